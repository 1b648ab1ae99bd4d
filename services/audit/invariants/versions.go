package invariants

import "github.com/droverhq/drover/services/audit"

var versions = Rule{
	Name:    "versions",
	Promise: "An execution's versions are 1, 2, 3, … without a gap (specification §4.3).",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		eachExecution(h, func(j *audit.Job, t *audit.Thing, x *audit.Execution) {
			for i, s := range x.Steps {
				if s.Version != uint64(i)+1 {
					broken(s.Place, "%s comes to version %d; %d is due", on(j, t), s.Version, i+1)
					return
				}
			}
		})
	},
}
