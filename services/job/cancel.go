package job

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// cancel decides CancelJob: of a job that is scheduled or in progress, also past its end, and with force of one that was
// canceled without (specification §4.5 and U19).
func cancel(s *core.Step, cmd *v1.CancelJob) (*v1.CancelJobReply, error) {
	if _, err := parseID(cmd.JobId); err != nil {
		return nil, err
	}
	if err := checkReasonCode(cmd.ReasonCode); err != nil {
		return nil, err
	}
	if err := core.CheckText(fieldComment, cmd.Comment, descriptionMax); err != nil {
		return nil, err
	}
	row, err := named(s, cmd.JobId)
	if err != nil {
		return nil, err
	}
	canceled := row.Status == v1.JobStatus_JOB_STATUS_CANCELED
	switch {
	case canceled && row.ForceCanceled:
		return nil, invalid(fieldJobID, "job %s was canceled with force already", row.JobId)
	case canceled && !cmd.Force:
		return nil, invalid(fieldJobID, "job %s was canceled already; with force, executions in progress are canceled too", row.JobId)
	case !canceled && !active(row.Status):
		return nil, invalid(fieldJobID, "job %s is %s; only a job that is scheduled or in progress can be canceled", row.JobId, row.Status.Word())
	}
	s.Emit(&v1.Event{Event: &v1.Event_JobCancelStarted{JobCancelStarted: &v1.JobCancelStarted{
		Job:        row.Job,
		Force:      cmd.Force,
		ReasonCode: cmd.ReasonCode,
		Comment:    cmd.Comment,
	}}}, nil)
	return &v1.CancelJobReply{Position: s.Position()}, nil
}
