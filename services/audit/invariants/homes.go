package invariants

import (
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
)

var homes = Rule{
	Name:    "homes",
	Promise: "A thing is released to its home, by the hash of its name, and all of its executions stand in that home's log.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		if h.Homes == 0 {
			return
		}
		for _, j := range h.JobsInOrder() {
			for _, t := range j.ThingsInOrder() {
				home := id.HomeOf(t.Name, h.Homes)
				if t.Released > 0 && t.ReleasedTo != home {
					broken(t.ReleasedAt, "%s is released to home %d; its home is %d", on(j, t), t.ReleasedTo, home)
				}
				for _, x := range t.Executions {
					for _, s := range x.Steps {
						if s.Log != id.ExecutionLog(home) {
							broken(s.Place, "%s changes there; its home is %d", on(j, t), home)
						}
					}
				}
			}
		}
	},
}
