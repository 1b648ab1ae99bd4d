package invariants

import "github.com/droverhq/drover/services/audit"

var deadlines = Rule{
	Name:    "deadlines",
	Promise: "An execution is TIMED_OUT only after a deadline that it had.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		eachExecution(h, func(j *audit.Job, t *audit.Thing, x *audit.Execution) {
			for i, s := range x.Steps {
				if s.To == timedOut && i > 0 && s.AtMs < x.Steps[i-1].DeadlineMs {
					broken(s.Place, "%s times out at %d ms; its deadline is %d ms", on(j, t), s.AtMs, x.Steps[i-1].DeadlineMs)
				}
			}
		})
	},
}
