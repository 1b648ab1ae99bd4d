package invariants

import (
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
)

var releases = Rule{
	Name:    "releases",
	Promise: "A release that a home has read ended in exactly one fact, an execution or a refusal; neither is there without a release.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, j := range h.JobsInOrder() {
			for _, t := range j.ThingsInOrder() {
				first := 0 // attempts that follow no other
				for _, x := range t.Executions {
					if x.Retry == 0 {
						first++
					}
				}
				facts := first + t.Refused
				if facts > t.Released {
					broken(on(j, t), "%d executions and %d refusals for %d releases", first, t.Refused, t.Released)
					continue
				}
				home := h.Log(id.ExecutionLog(t.ReleasedTo))
				if facts < t.Released && home != nil && hasRead(home, id.RolloutLog, t.ReleasedAt.Number, t.ReleasedAt.Entry) {
					broken(on(j, t), "home %d has read the release at %s and made nothing of it", t.ReleasedTo, t.ReleasedAt)
				}
			}
		}
	},
}
