package job

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// React implements core.Core. Of log.rollout only JobDrained matters: every home has carried a phase out. What does
// not fit the job as it stands is about an earlier stage of it, and past.
func (jobs) React(s *core.Step, _ *v1.Position, _ int64, entry *v1.Entry) {
	drained := entry.GetEvent().GetJobDrained()
	if drained == nil {
		return
	}
	row := load(s, drained.Job)
	switch {
	case row == nil:
	case completes(row, drained.Phase):
		s.Emit(&v1.Event{Event: &v1.Event_JobCompleted{JobCompleted: &v1.JobCompleted{Job: row.Job}}}, nil)
	case finishesCancel(row, drained.Phase):
		s.Emit(&v1.Event{Event: &v1.Event_JobCanceled{JobCanceled: &v1.JobCanceled{Job: row.Job}}}, nil)
	}
}

func completes(row *v1.JobRow, phase v1.JobPhase) bool {
	return row.Status == v1.JobStatus_JOB_STATUS_IN_PROGRESS && phase == v1.JobPhase_JOB_PHASE_CLOSED
}

// finishesCancel: the phase is the one that the latest cancel asked for. CLOSED says more than either, that nothing
// of the job is left to cancel; it comes when a cancel crosses the last report.
func finishesCancel(row *v1.JobRow, phase v1.JobPhase) bool {
	if row.Status != v1.JobStatus_JOB_STATUS_CANCELED || !row.IsConcurrent {
		return false
	}
	asked := v1.JobPhase_JOB_PHASE_STOPPED
	if row.ForceCanceled {
		asked = v1.JobPhase_JOB_PHASE_FORCE_STOPPED
	}
	return phase == asked || phase == v1.JobPhase_JOB_PHASE_CLOSED
}
