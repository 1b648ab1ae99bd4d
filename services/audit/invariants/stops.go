package invariants

import "github.com/droverhq/drover/services/audit"

var stops = Rule{
	Name:    "stops",
	Promise: "Nothing of a job is released in or after the commit that stops it, for whatever reason.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, j := range h.JobsInOrder() {
			stop := firstFact(j, audit.Stopped, audit.Erased)
			if stop == nil {
				continue
			}
			for _, r := range j.Releases {
				if r.Number >= stop.Number {
					broken(r.Place, "%s releases %d things; it was stopped at %s", j.ID, r.Things, stop.Place)
				}
			}
		}
	},
}

// firstFact is the first of some kinds in the order of their log; nil if there is none.
func firstFact(j *audit.Job, kinds ...audit.JobFactKind) *audit.JobFact {
	for i := range j.Life {
		for _, k := range kinds {
			if j.Life[i].Kind == k {
				return &j.Life[i]
			}
		}
	}
	return nil
}
