package job

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// deletionsMax is how many jobs may be in deletion at a time (specification §7.1). What is deleted because of its age
// leaves half of them to people.
const (
	deletionsMax  = 10
	retentionsMax = deletionsMax / 2
)

// remove decides DeleteJob: of a job that has ended, and with force of any (specification §4.6).
func remove(s *core.Step, cmd *v1.DeleteJob) (*v1.DeleteJobReply, error) {
	row, err := named(s, cmd.JobId)
	if err != nil {
		return nil, err
	}
	refuse := func(format string, args ...any) (*v1.DeleteJobReply, error) {
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_STATE_TRANSITION, fieldJobID, format, args...)
	}
	if row.Status == v1.JobStatus_JOB_STATUS_DELETION_IN_PROGRESS {
		return refuse("job %s is being deleted already", row.JobId)
	}
	if active(row.Status) && !cmd.Force {
		return refuse("job %s is %s; cancel it first, or delete it with force", row.JobId, row.Status.Word())
	}
	if n := count(s, deletions); n >= deletionsMax {
		return nil, exceeded(fieldJobID, "%d jobs are being deleted; at most %d are at a time: try again when one of them is gone", n, deletionsMax)
	}
	erase(s, row.Job, cmd.Force, nil)
	return &v1.DeleteJobReply{Position: s.Position()}, nil
}

func erase(s *core.Step, number uint64, force bool, reason *v1.Reason) {
	s.Emit(&v1.Event{Event: &v1.Event_JobDeletionStarted{JobDeletionStarted: &v1.JobDeletionStarted{Job: number, Force: force}}}, reason)
}
