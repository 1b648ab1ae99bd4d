package invariants

import "github.com/droverhq/drover/services/audit"

var deletions = Rule{
	Name:    "deletions",
	Promise: "No event of a job stands behind its deletion: in log.job, in log.rollout once it was drained of it, at a home once that has settled it.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, j := range h.JobsInOrder() {
			for _, l := range j.Late {
				broken(l.Place, "%s of %s; it was deleted at %s", l.Event, j.ID, l.Gone)
			}
		}
	},
}
