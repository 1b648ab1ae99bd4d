package rollout

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// dropMax is how many chunks of waiting things one event drops.
const dropMax = 64

func stopPhase(force bool) v1.JobPhase {
	if force {
		return v1.JobPhase_JOB_PHASE_FORCE_STOPPED
	}
	return v1.JobPhase_JOB_PHASE_STOPPED
}

// stop makes the job release nothing more, from this commit on. What waits is dropped in slices. A stop with force may
// follow one without (U19), not the other way.
func (c *Core) stop(s *core.Step, e *v1.JobCancelStarted) {
	if readJob(s, e.GetJob()).stop >= stopPhase(e.GetForce()) {
		return
	}
	s.Emit(&v1.Event{Event: &v1.Event_JobStopped{JobStopped: &v1.JobStopped{Job: e.GetJob(), Force: e.GetForce()}}}, stopReason(e.GetForce()))
}

func stopReason(force bool) *v1.Reason {
	if force {
		return core.Reason(v1.ReasonCode_REASON_CODE_JOB_FORCE_CANCELED)
	}
	return core.Reason(v1.ReasonCode_REASON_CODE_JOB_CANCELED)
}

// drop drops a slice of what waits in a stopped job.
func drop(s *core.Step, number uint64, j *job) {
	until := min(j.headChunk+dropMax, j.chunks)
	things := uint64(0)
	for n := j.headChunk; n < until; n++ {
		chunk := openChunk(s, number, n, 0)
		things += chunk.Len
	}
	things -= j.headOffset
	s.Emit(&v1.Event{Event: &v1.Event_ThingsDropped{ThingsDropped: &v1.ThingsDropped{Job: number, Things: things, UntilChunk: until}}},
		stopReason(j.stop == v1.JobPhase_JOB_PHASE_FORCE_STOPPED))
}
