package invariants

import (
	"slices"

	"github.com/droverhq/drover/services/audit"
)

var places = Rule{
	Name: "places",
	Promise: "Nothing is released of a job that is held for others to be done, until it is admitted; who is held longer is admitted first; a job " +
		"that was crowded out is stopped in the same commit (specification §4.13).",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		var all []hold
		for _, j := range h.JobsInOrder() {
			holds := holdsOf(j, broken)
			for _, r := range j.Releases {
				for _, x := range holds {
					if x.from.Before(r.Place) && (x.until == nil || r.Before(*x.until)) {
						broken(r.Place, "%s releases %d things; it is held since %s", j.ID, r.Things, x.from)
					}
				}
			}
			all = append(all, holds...)
		}
		slices.SortFunc(all, func(x, y hold) int {
			if x.from.Before(y.from) {
				return -1
			}
			return 1
		})
		for i := range all {
			checkTurn(all[:i], all[i], broken)
		}
	},
}

// hold is from where to where a job was held; until is nil if it is still.
type hold struct {
	job         string
	from        audit.Place
	until       *audit.Place
	wasAdmitted bool
}

func holdsOf(j *audit.Job, broken func(any, string, ...any)) (list []hold) {
	var now *hold
	for _, f := range j.Life {
		switch f.Kind {
		case audit.Held:
			list = append(list, hold{job: j.ID, from: f.Place})
			now = &list[len(list)-1]
		case audit.Admitted:
			if now == nil {
				broken(f.Place, "%s is admitted, and was not held", j.ID)
				continue
			}
			now.until, now.wasAdmitted, now = &f.Place, true, nil
		case audit.Stopped, audit.Closed:
			if now != nil {
				now.until, now = &f.Place, nil
			}
		case audit.CrowdedOut:
			if !slices.ContainsFunc(j.Life, func(s audit.JobFact) bool { return s.Kind == audit.Stopped && s.Number == f.Number }) {
				broken(f.Place, "%s is crowded out, and not stopped in the same commit", j.ID)
			}
		}
	}
	return list
}

// checkTurn looks for one who was held before, and is so when this one is admitted.
func checkTurn(before []hold, x hold, broken func(any, string, ...any)) {
	for _, b := range before {
		if x.wasAdmitted && (b.until == nil || x.until.Before(*b.until)) {
			broken(*x.until, "%s is admitted; %s was held before it, at %s", x.job, b.job, b.from)
			return
		}
	}
}
