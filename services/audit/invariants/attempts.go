package invariants

import "github.com/droverhq/drover/services/audit"

var attempts = Rule{
	Name:    "attempts",
	Promise: "A thing has at most one pending execution of a job, and their numbers grow; one that follows another is a retry, or the thing joined a continuous job again.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, j := range h.JobsInOrder() {
			for _, t := range j.ThingsInOrder() {
				pending := 0
				for i, x := range t.Executions {
					if audit.Pending(x.Status()) && x.Deleted == nil {
						pending++
					}
					if i == 0 {
						continue
					}
					before := t.Executions[i-1]
					switch {
					case x.Number <= before.Number:
						broken(x.Steps[0].Place, "execution %d of %s follows %d", x.Number, on(j, t), before.Number)
					case x.Retry == 0 && !j.Continuous:
						broken(x.Steps[0].Place, "%s is queued again, and not as a retry", on(j, t))
					case audit.Pending(before.StatusAt(x.Steps[0].Place)) && (before.Deleted == nil || x.Steps[0].Before(*before.Deleted)):
						broken(x.Steps[0].Place, "%s is queued again while execution %d is pending", on(j, t), before.Number)
					}
				}
				if pending > 1 {
					broken(on(j, t), "%d executions are pending", pending)
				}
			}
		}
	},
}
