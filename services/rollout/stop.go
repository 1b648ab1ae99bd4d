package rollout

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// dropMax is how many chunks of waiting things one event drops.
const dropMax = 64

// rank orders the phases that stop a job: a later one takes the place of those before it, not the other way.
func rank(p v1.JobPhase) int {
	switch p {
	case v1.JobPhase_JOB_PHASE_ENDED:
		return 1
	case v1.JobPhase_JOB_PHASE_STOPPED:
		return 2
	case v1.JobPhase_JOB_PHASE_FORCE_STOPPED:
		return 3
	case v1.JobPhase_JOB_PHASE_DELETED:
		return 4
	}
	return 0
}

// stopPhase is the phase of a JobStopped; logs of before there were others say it by force.
func stopPhase(e *v1.JobStopped) v1.JobPhase {
	switch {
	case e.GetPhase() != 0:
		return e.GetPhase()
	case e.GetForce():
		return v1.JobPhase_JOB_PHASE_FORCE_STOPPED
	}
	return v1.JobPhase_JOB_PHASE_STOPPED
}

// stop makes the job release nothing more, from this commit on. What waits is dropped in slices. A stop of a higher rank
// may follow (U19: force after non-force). A cancel may follow an end, and is the last word: it takes the place of an end
// of a higher rank without taking that back.
func (c *Core) stop(s *core.Step, number uint64, phase v1.JobPhase, completes bool, reason *v1.Reason) {
	j := readJob(s, number)
	if !j.opened || j.erased {
		return
	}
	if rank(phase) < rank(j.stop) {
		phase = j.stop
	}
	if completes && j.closed {
		return // every execution has ended before the end time
	}
	completes = completes && (j.stop == 0 || j.completes)
	if phase == j.stop && completes == j.completes {
		return
	}
	s.Emit(&v1.Event{Event: &v1.Event_JobStopped{JobStopped: &v1.JobStopped{
		Job: number, Force: phase == v1.JobPhase_JOB_PHASE_FORCE_STOPPED, Phase: phase, Completes: completes,
	}}}, reason)
	c.finish(s, number)
}

// cancel stops a job that was canceled.
func (c *Core) cancel(s *core.Step, e *v1.JobCancelStarted) {
	phase, reason := v1.JobPhase_JOB_PHASE_STOPPED, core.Reason(v1.ReasonCode_REASON_CODE_JOB_CANCELED)
	if e.GetForce() {
		phase, reason = v1.JobPhase_JOB_PHASE_FORCE_STOPPED, core.Reason(v1.ReasonCode_REASON_CODE_JOB_FORCE_CANCELED)
	}
	before := s.Place()
	c.stop(s, e.GetJob(), phase, false, reason)
	if j := readJob(s, e.GetJob()); e.GetForce() && s.Place() == before && j.opened && j.stop != 0 && j.drained == j.stop {
		// An end had stopped it as far as this cancel asks for: it has been carried out, and is said again.
		s.Emit(&v1.Event{Event: &v1.Event_JobDrained{JobDrained: &v1.JobDrained{Job: e.GetJob(), Phase: j.drained}}}, reason)
	}
}

// end stops a job whose end time has come, as its end behavior says (specification §4.12). Where what is pending may finish,
// and no window follows in which a device could take it up, what is queued is canceled: else nobody would ever end it.
func (c *Core) end(s *core.Step, e *v1.JobEndReached, reason *v1.Reason) {
	phase := v1.JobPhase_JOB_PHASE_ENDED
	switch e.GetEndBehavior() {
	case v1.EndBehavior_END_BEHAVIOR_CANCEL:
		phase = v1.JobPhase_JOB_PHASE_STOPPED
	case v1.EndBehavior_END_BEHAVIOR_FORCE_CANCEL:
		phase = v1.JobPhase_JOB_PHASE_FORCE_STOPPED
	}
	if reason.GetCode() == 0 {
		reason = core.Reason(v1.ReasonCode_REASON_CODE_END_TIME)
	}
	if j := readJob(s, e.GetJob()); phase == v1.JobPhase_JOB_PHASE_ENDED && j.stranded() {
		phase, reason = v1.JobPhase_JOB_PHASE_STOPPED, core.Reason(v1.ReasonCode_REASON_CODE_NO_WINDOW_FOLLOWS)
	}
	c.stop(s, e.GetJob(), phase, true, reason)
}

// stranded says that the job's last window has closed.
func (j *job) stranded() bool { return j.windowed && !j.window && j.turns == 0 }

// erase lets the homes delete a job's executions. One that may have something to release yet is stopped first.
func (c *Core) erase(s *core.Step, number uint64) {
	j := readJob(s, number)
	if !j.opened || j.erased {
		return
	}
	reason := core.Reason(v1.ReasonCode_REASON_CODE_JOB_DELETED)
	if j.stop == 0 && !j.closed {
		s.Emit(&v1.Event{Event: &v1.Event_JobStopped{JobStopped: &v1.JobStopped{
			Job: number, Force: true, Phase: v1.JobPhase_JOB_PHASE_FORCE_STOPPED,
		}}}, reason)
	}
	s.Emit(&v1.Event{Event: &v1.Event_JobErased{JobErased: &v1.JobErased{Job: number}}}, reason)
}

// stopReason is why a stopped job drops what waits.
func (j *job) stopReason() *v1.Reason {
	switch {
	case j.erased:
		return core.Reason(v1.ReasonCode_REASON_CODE_JOB_DELETED)
	case j.aborted:
		return core.Reason(v1.ReasonCode_REASON_CODE_ABORT_CRITERIA)
	case j.crowded:
		return core.Reason(v1.ReasonCode_REASON_CODE_TOO_MANY_CONCURRENT)
	case j.completes:
		return core.Reason(v1.ReasonCode_REASON_CODE_END_TIME)
	case j.stop == v1.JobPhase_JOB_PHASE_FORCE_STOPPED:
		return core.Reason(v1.ReasonCode_REASON_CODE_JOB_FORCE_CANCELED)
	}
	return core.Reason(v1.ReasonCode_REASON_CODE_JOB_CANCELED)
}

// drop drops a slice of what waits in a stopped job.
func drop(s *core.Step, number uint64, j *job) {
	which := selected
	if j.queue[which].waiting() == 0 {
		which = joined
	}
	q := &j.queue[which]
	until := min(q.headChunk+dropMax, q.chunks)
	things := uint64(0)
	for n := q.headChunk; n < until; n++ {
		chunk := openChunk(s, number, which, n, 0)
		things += chunk.Len
	}
	things -= q.headOffset
	s.Emit(&v1.Event{Event: &v1.Event_ThingsDropped{ThingsDropped: &v1.ThingsDropped{
		Job: number, Things: things, UntilChunk: until, Joined: which == joined,
	}}}, j.stopReason())
}
