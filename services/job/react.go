package job

import (
	"fmt"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// The reason codes of jobs that were canceled by their abort criteria, and since too many others were at work when their
// window opened. AWS's are not known; these are ours (specification U16).
const (
	reasonAborted    = "ABORT_CRITERIA_MET"
	reasonCrowdedOut = "TOO_MANY_CONCURRENT_JOBS"
)

// React implements core.Core. Of log.rollout three events matter: every home has carried a phase out, an abort criterion
// was met, and there was no place for a job whose window opened. What does not fit the job as it stands is about an earlier
// stage of it, and past.
func (jobs) React(s *core.Step, _ *v1.Position, _ int64, entry *v1.Entry) {
	switch e := entry.GetEvent().GetEvent().(type) {
	case *v1.Event_JobDrained:
		drained(s, e.JobDrained)
	case *v1.Event_AbortTriggered:
		aborted(s, e.AbortTriggered)
	case *v1.Event_JobCrowdedOut:
		crowdedOut(s, e.JobCrowdedOut, entry.GetReason())
	}
}

func drained(s *core.Step, e *v1.JobDrained) {
	row := load(s, e.Job)
	switch {
	case row == nil:
	case completes(row, e.Phase):
		s.Emit(&v1.Event{Event: &v1.Event_JobCompleted{JobCompleted: &v1.JobCompleted{Job: row.Job}}}, nil)
	case finishesCancel(row, e.Phase):
		s.Emit(&v1.Event{Event: &v1.Event_JobCanceled{JobCanceled: &v1.JobCanceled{Job: row.Job}}}, nil)
	case row.Status == v1.JobStatus_JOB_STATUS_DELETION_IN_PROGRESS && e.Phase == v1.JobPhase_JOB_PHASE_DELETED:
		s.Emit(&v1.Event{Event: &v1.Event_JobDeleted{JobDeleted: &v1.JobDeleted{Job: row.Job}}}, nil)
	}
}

// completes: a job that ended before it started, or between two windows, is SCHEDULED to its end.
func completes(row *v1.JobRow, phase v1.JobPhase) bool {
	return active(row.Status) && phase == v1.JobPhase_JOB_PHASE_CLOSED
}

// finishesCancel: the phase is what the latest cancel asked for, or more: an end by force before the cancel has canceled
// everything. CLOSED says that nothing of the job is left to cancel; it comes when a cancel crosses the last report.
func finishesCancel(row *v1.JobRow, phase v1.JobPhase) bool {
	if row.Status != v1.JobStatus_JOB_STATUS_CANCELED || !row.IsConcurrent {
		return false
	}
	switch phase {
	case v1.JobPhase_JOB_PHASE_STOPPED:
		return !row.ForceCanceled
	case v1.JobPhase_JOB_PHASE_FORCE_STOPPED, v1.JobPhase_JOB_PHASE_CLOSED:
		return true
	}
	return false
}

// aborted takes in what rollout has decided and carried out: the job is canceled without force. A cancel or a deletion
// that crossed it has said more. (specification §4.11)
func aborted(s *core.Step, e *v1.AbortTriggered) {
	row := load(s, e.Job)
	if row == nil || !active(row.Status) {
		return
	}
	s.Emit(&v1.Event{Event: &v1.Event_JobCancelStarted{JobCancelStarted: &v1.JobCancelStarted{
		Job:        row.Job,
		ReasonCode: reasonAborted,
		Comment:    abortComment(e),
		Aborted:    true,
	}}}, core.Reason(v1.ReasonCode_REASON_CODE_ABORT_CRITERIA, int64(e.Criterion), int64(e.Failures), int64(e.Executed), int64(e.ThresholdHundredths)))
}

// crowdedOut takes in, in the same way, that rollout has stopped a job for others. (specification §4.13)
func crowdedOut(s *core.Step, e *v1.JobCrowdedOut, reason *v1.Reason) {
	row := load(s, e.Job)
	if row == nil || !active(row.Status) {
		return
	}
	s.Emit(&v1.Event{Event: &v1.Event_JobCancelStarted{JobCancelStarted: &v1.JobCancelStarted{
		Job:        row.Job,
		ReasonCode: reasonCrowdedOut,
		Comment:    fmt.Sprintf("%d jobs were at work when the window opened; at most %d may be", e.Concurrent, e.Most),
	}}}, reason)
}

// abortComment: "abort criterion 1 was met: 30 of 150 executions FAILED, 20.00 %; the threshold is 20.00 % after 100".
func abortComment(e *v1.AbortTriggered) string {
	what := e.Failure.String()[len("FAILURE_TYPE_"):]
	if e.Failure == v1.FailureType_FAILURE_TYPE_ALL {
		what = "FAILED, REJECTED or TIMED_OUT"
	}
	share := uint64(0)
	if e.Executed > 0 {
		share = e.Failures * 10_000 / e.Executed
	}
	return fmt.Sprintf("abort criterion %d was met: %d of %d executions %s, %d.%02d %%; the threshold is %d.%02d %% after %d",
		e.Criterion+1, e.Failures, e.Executed, what, share/100, share%100, e.ThresholdHundredths/100, e.ThresholdHundredths%100, e.MinExecuted)
}
