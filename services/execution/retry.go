package execution

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// emitFailure makes the end of an attempt stand, and what follows from it: another attempt at once, or when the window
// opens, if the job allows one more after a failure of this kind (specification §4.8).
func emitFailure(s *core.Step, name string, from v1.ExecutionStatus, to *attempt, details []*v1.Detail, token string, reason *v1.Reason) {
	if to.status != statusFailed && to.status != statusTimedOut {
		emitChange(s, name, from, to, details, token, reason)
		return
	}
	j, _ := readJob(s, to.job)
	retry, allowed := j.retry.next(to, to.status)
	to.due = retry <= allowed && j.stop == v1.JobPhase_JOB_PHASE_UNSPECIFIED && !to.withdrawn
	if to.due && j.shut {
		reason = core.Reason(v1.ReasonCode_REASON_CODE_RETRY_DEFERRED, int64(retry), int64(allowed))
	}
	next := nextAttempt(to)
	emitChange(s, name, from, to, details, token, reason)
	if to.due && !j.shut {
		emitRetry(s, name, next, retry, allowed, to.status)
	}
}

func nextAttempt(a *attempt) *v1.ExecutionQueued {
	return &v1.ExecutionQueued{
		Job: a.job, Thing: &v1.ThingRef{Number: a.thing}, ExecutionNumber: a.number + 1, RetryAttempt: a.retry + 1,
	}
}

func emitRetry(s *core.Step, name string, next *v1.ExecutionQueued, retry, allowed uint64, failure v1.ExecutionStatus) {
	next.Thing.Name = name
	s.Emit(&v1.Event{Event: &v1.Event_ExecutionQueued{ExecutionQueued: next}},
		core.Reason(v1.ReasonCode_REASON_CODE_RETRY, int64(retry), int64(allowed), int64(failure)))
}

// makeOrDrop makes a retry that is due, in an open window, or drops it if it is not allowed any more.
func makeOrDrop(s *core.Step, name string, j *job, a *attempt) {
	retry, allowed := j.retry.next(a, a.status)
	if retry > allowed || j.stop != v1.JobPhase_JOB_PHASE_UNSPECIFIED {
		emitDropped(s, name, a)
		return
	}
	emitRetry(s, name, nextAttempt(a), retry, allowed, a.status)
}

// emitDropped ends what was open for a retry only.
func emitDropped(s *core.Step, name string, a *attempt) {
	s.Emit(&v1.Event{Event: &v1.Event_RetryDropped{RetryDropped: &v1.RetryDropped{
		Job: a.job, Thing: &v1.ThingRef{Name: name, Number: a.thing}, ExecutionNumber: a.number,
		Status: a.status, StartedAtMs: a.startedAt,
	}}}, core.Reason(v1.ReasonCode_REASON_CODE_RETRY_DROPPED))
}
