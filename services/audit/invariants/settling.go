package invariants

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/audit"
)

var settling = Rule{
	Name: "settling",
	Promise: "When a home says that it has carried a stop or a close out, it has: nothing of the job is queued there any more, and but for a " +
		"stop without force nothing is in progress; and nothing is queued there afterwards.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, j := range h.JobsInOrder() {
			for _, s := range j.Settled {
				for _, t := range j.ThingsInOrder() {
					for _, x := range t.Executions {
						checkSettled(j, t, x, s, broken)
					}
				}
			}
		}
	},
}

func checkSettled(j *audit.Job, t *audit.Thing, x *audit.Execution, s audit.Settled, broken func(any, string, ...any)) {
	if x.Steps[0].Log != s.Log {
		return
	}
	if s.Before(x.Steps[0].Place) {
		broken(x.Steps[0].Place, "%s is queued; home %d settled the job at %s", on(j, t), s.Home, s.Place)
		return
	}
	switch status := x.StatusAt(s.Place); {
	case status == queued, status == inProgress && s.Phase != v1.JobPhase_JOB_PHASE_STOPPED:
		broken(s.Place, "home %d settles %s of %s while %s is %s", s.Home, s.Phase, j.ID, t.Name, audit.StatusName(status))
	}
}
