package invariants

import "github.com/droverhq/drover/services/audit"

var windows = Rule{
	Name: "windows",
	Promise: "While a job's maintenance window is closed nothing of it is released, and at a home that knows it no device starts or ends an execution " +
		"that is queued (specification §4.12).",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, j := range h.JobsInOrder() {
			if !j.Windowed {
				continue
			}
			for _, r := range j.Releases {
				if !j.OpenAt(r.Place) {
					broken(r.Place, "%s releases %d things while its window is closed", j.ID, r.Things)
				}
			}
		}
		eachExecution(h, func(j *audit.Job, t *audit.Thing, x *audit.Execution) {
			for _, s := range x.Steps[1:] {
				byDevice := s.To == inProgress || s.To == succeeded || s.To == failed || s.To == rejected
				if j.Windowed && s.From == queued && byDevice && !j.OpenAt(s.Place) {
					broken(s.Place, "%s goes from QUEUED to %s while the window is closed", on(j, t), audit.StatusName(s.To))
				}
			}
		})
	},
}
