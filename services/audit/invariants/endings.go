package invariants

import "github.com/droverhq/drover/services/audit"

var endings = Rule{
	Name:    "endings",
	Promise: "An execution ends once, and nothing follows.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		eachExecution(h, func(j *audit.Job, t *audit.Thing, x *audit.Execution) {
			for i, s := range x.Steps {
				if audit.Final(s.To) && i != len(x.Steps)-1 {
					broken(x.Steps[i+1].Place, "%s has ended at %s already, in %s", on(j, t), s.Place, audit.StatusName(s.To))
				}
			}
		})
	},
}
