package job

import (
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// create decides CreateJob. Checks come in the order of specification §2.4: syntax, the id, the targets.
func create(s *core.Step, cmd *v1.CreateJob) (*v1.CreateJobReply, error) {
	created, err := checkCreate(cmd)
	if err != nil {
		return nil, err
	}
	if other := find(s, id.Job(created.JobId)); other != nil {
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_ALREADY_EXISTS, fieldJobID,
			"job %s exists already (%s); choose another id", other.JobId, statusName(other.Status))
	}
	if err := checkUnknown(cmd.Checked); err != nil {
		return nil, err
	}
	created.Job = s.Place().ID()
	created.TargetsKnownAt = cmd.Checked.AsOf
	// One commit holds both: a crash leaves the job created and started, or no job.
	s.Emit(&v1.Event{Event: &v1.Event_JobCreated{JobCreated: created}}, nil)
	s.Emit(&v1.Event{Event: &v1.Event_JobStarted{JobStarted: &v1.JobStarted{
		Job:             created.Job,
		Targets:         created.Targets,
		TargetSelection: created.TargetSelection,
	}}}, nil)
	return &v1.CreateJobReply{Position: s.Position(), Job: created.Job}, nil
}

// cancel decides CancelJob: of a job in progress, and with force of one that was canceled without
// (specification §4.5 and U19).
func cancel(s *core.Step, cmd *v1.CancelJob) (*v1.CancelJobReply, error) {
	job, err := parseID(cmd.JobId)
	if err != nil {
		return nil, err
	}
	if err := checkReasonCode(cmd.ReasonCode); err != nil {
		return nil, err
	}
	if err := core.CheckText(fieldComment, cmd.Comment, descriptionMax); err != nil {
		return nil, err
	}
	row := find(s, job)
	if row == nil {
		return nil, notFound(job)
	}
	switch {
	case row.Status == v1.JobStatus_JOB_STATUS_CANCELED && row.ForceCanceled:
		return nil, invalid(fieldJobID, "job %s was canceled with force already", job)
	case row.Status == v1.JobStatus_JOB_STATUS_CANCELED && !cmd.Force:
		return nil, invalid(fieldJobID, "job %s was canceled already; with force, executions in progress are canceled too", job)
	case row.Status != v1.JobStatus_JOB_STATUS_CANCELED && row.Status != v1.JobStatus_JOB_STATUS_IN_PROGRESS:
		return nil, invalid(fieldJobID, "job %s is %s; only a job in progress can be canceled", job, statusName(row.Status))
	}
	s.Emit(&v1.Event{Event: &v1.Event_JobCancelStarted{JobCancelStarted: &v1.JobCancelStarted{
		Job:        row.Job,
		Force:      cmd.Force,
		ReasonCode: cmd.ReasonCode,
		Comment:    cmd.Comment,
	}}}, nil)
	return &v1.CancelJobReply{Position: s.Position()}, nil
}

func notFound(job id.Job) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, fieldJobID, "there is no job %s", job)
}

// statusName is AWS's word: IN_PROGRESS.
func statusName(s v1.JobStatus) string { return strings.TrimPrefix(s.String(), "JOB_STATUS_") }
