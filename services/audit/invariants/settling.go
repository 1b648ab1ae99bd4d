package invariants

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/audit"
)

var settling = Rule{
	Name: "settling",
	Promise: "When a home says that it has carried a phase out, it has. But for an end without a cancel nothing of the job is queued there any " +
		"more; with force, or when the job is closed, nothing is in progress; when it is deleted, nothing is left; no retry is due; and nothing is queued there afterwards.",
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
	if x.Deleted != nil && x.Deleted.Before(s.Place) {
		return
	}
	switch status := x.StatusAt(s.Place); {
	case s.Phase == v1.JobPhase_JOB_PHASE_DELETED:
		broken(s.Place, "home %d settles %s of %s while execution %d of %s is there", s.Home, s.Phase, j.ID, x.Number, t.Name)
	case status == queued && s.Phase != v1.JobPhase_JOB_PHASE_ENDED,
		status == inProgress && s.Phase != v1.JobPhase_JOB_PHASE_STOPPED && s.Phase != v1.JobPhase_JOB_PHASE_ENDED:
		broken(s.Place, "home %d settles %s of %s while %s is %s", s.Home, s.Phase, j.ID, t.Name, audit.StatusName(status))
	case audit.Final(status) && x.Last().RetryDue && t.Executions[len(t.Executions)-1] == x && (x.Dropped == nil || s.Before(*x.Dropped)):
		broken(s.Place, "home %d settles %s of %s while a retry of %s is due", s.Home, s.Phase, j.ID, t.Name)
	}
}
