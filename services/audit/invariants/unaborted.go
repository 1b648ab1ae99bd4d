package invariants

import (
	"github.com/droverhq/drover/services/audit"
)

var unaborted = Rule{
	Name:    "unaborted",
	Promise: "When what rollout has counted meets a criterion of a job that nobody has stopped, the job is aborted in that commit.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, j := range h.JobsInOrder() {
			if len(j.Criteria) > 0 {
				checkUnaborted(h, j, broken)
			}
		}
	},
}

func checkUnaborted(h *audit.History, j *audit.Job, broken func(any, string, ...any)) {
	stop := firstFact(j, audit.Stopped, audit.Closed, audit.Erased)
	var c audit.Counts
	for i, o := range h.Observed {
		if stop != nil && stop.Before(o.At) {
			return
		}
		c = c.Plus(o.Jobs[j.Number])
		if i+1 < len(h.Observed) && h.Observed[i+1].At == o.At {
			continue // another home of the same event
		}
		if firstMet(criteriaAt(j, o.At), c) >= 0 && (stop == nil || stop.Number > o.At.Number) {
			broken(o.At, "%s goes on, and has counted %v", j.ID, c)
			return
		}
	}
}
