package invariants

import (
	"slices"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
)

var aborts = Rule{
	Name: "aborts",
	Promise: "A job is aborted at most once, by the first of its criteria that a recount of the homes' logs meets, up to where rollout had counted them: " +
		"with the numbers that it tells, by the commit without which it is not met, and in the commit that stops the job (specification §4.11).",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, j := range h.JobsInOrder() {
			for i, a := range j.Aborts {
				if i > 0 {
					broken(a.Place, "%s is aborted again", j.ID)
				}
				stops := func(f audit.JobFact) bool { return f.Kind == audit.Stopped && f.Number == a.Number }
				if !slices.ContainsFunc(j.Life, stops) {
					broken(a.Place, "%s is aborted, and not stopped in the same commit", j.ID)
				}
				checkAbort(h, j, a, broken)
			}
		}
	},
}

func checkAbort(h *audit.History, j *audit.Job, a audit.Triggered, broken func(any, string, ...any)) {
	upTo := observedBefore(h, a.Place)
	told := a.Told
	for _, p := range told.GetCounted() {
		if home := id.Home(p.GetHome()); p.GetNumber() > upTo[home] {
			broken(a.Place, "%s is aborted for %s; rollout has read that log up to %d", j.ID, id.FormatPosition(p), upTo[home])
		} else {
			upTo[home] = p.GetNumber()
		}
	}
	c := countUpTo(j, upTo)
	list := criteriaAt(j, a.Place)
	met := firstMet(list, c)
	switch {
	case met < 0:
		broken(a.Place, "%s is aborted, and no criterion is met by %v", j.ID, c)
		return
	case met != int(told.GetCriterion()):
		broken(a.Place, "%s is aborted by criterion %d; criterion %d is met first", j.ID, told.GetCriterion(), met)
		return
	}
	failures, executed := executions(list[met].GetFailure(), c)
	if failures != int64(told.GetFailures()) || executed != int64(told.GetExecuted()) {
		broken(a.Place, "%s is aborted for %d failures of %d; the homes' logs hold %d of %d", j.ID, told.GetFailures(), told.GetExecuted(), failures, executed)
	}
	if at := told.GetCrossing(); at != nil && at.GetNumber() > upTo[id.Home(at.GetHome())] {
		broken(a.Place, "%s is aborted for %s; rollout has read that log up to %d", j.ID, id.FormatPosition(at), upTo[id.Home(at.GetHome())])
	} else if at != nil && len(told.GetCounted()) > 0 {
		upTo[id.Home(at.GetHome())] = at.GetNumber() - 1
		if before := firstMet(list, countUpTo(j, upTo)); before >= 0 {
			broken(a.Place, "%s is aborted for %s; criterion %d is met without it", j.ID, id.FormatPosition(at), before)
		}
	}
}

// countUpTo recounts the homes' logs up to where they are named.
func countUpTo(j *audit.Job, upTo map[id.Home]uint64) audit.Counts {
	return j.Counts(func(p audit.Place) bool {
		return p.Log.Service == v1.Service_SERVICE_EXECUTION && p.Number <= upTo[p.Log.Home]
	})
}

// observedBefore is up to where rollout had taken in each home.
func observedBefore(h *audit.History, p audit.Place) map[id.Home]uint64 {
	upTo := map[id.Home]uint64{}
	for _, o := range h.Observed {
		if o.At.Before(p) {
			upTo[o.Home] = o.UpTo
		}
	}
	return upTo
}

// criteriaAt are those in force at a place of log.rollout.
func criteriaAt(j *audit.Job, p audit.Place) (list []*v1.AbortCriterion) {
	for _, c := range j.Criteria {
		if c.Before(p) {
			list = c.List
		}
	}
	return list
}

// firstMet is the index of the first criterion that counts meet, or -1.
func firstMet(list []*v1.AbortCriterion, c audit.Counts) int {
	for i, x := range list {
		failures, executed := executions(x.GetFailure(), c)
		if executed >= int64(x.GetMinExecuted()) && executed > 0 && failures*10_000 >= int64(x.GetThresholdHundredths())*executed {
			return i
		}
	}
	return -1
}

// executions is how many attempts failed so, of how many that were executed (U6).
func executions(f v1.FailureType, c audit.Counts) (failures, executed int64) {
	executed = c.Attempts[succeeded] + c.Attempts[failed] + c.Attempts[rejected] + c.Attempts[timedOut]
	switch f {
	case v1.FailureType_FAILURE_TYPE_FAILED:
		return c.Attempts[failed], executed
	case v1.FailureType_FAILURE_TYPE_REJECTED:
		return c.Attempts[rejected], executed
	case v1.FailureType_FAILURE_TYPE_TIMED_OUT:
		return c.Attempts[timedOut], executed
	}
	return c.Attempts[failed] + c.Attempts[rejected] + c.Attempts[timedOut], executed
}
