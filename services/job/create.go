package job

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// create decides CreateJob. Checks come in the order of specification §2.4: syntax, the id, the targets, quotas.
func (j jobs) create(s *core.Step, cmd *v1.CreateJob) (*v1.CreateJobReply, error) {
	cmd, err := fromTemplate(s, cmd)
	if err != nil {
		return nil, err
	}
	created, err := j.checkCreate(cmd, s.Now)
	if err != nil {
		return nil, err
	}
	if other := find(s, id.Job(created.JobId)); other != nil {
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_ALREADY_EXISTS, fieldJobID,
			"job %s exists already (%s); choose another id", other.JobId, other.Status.Word())
	}
	if err := checkUnknown(cmd.Checked); err != nil {
		return nil, err
	}
	if n := count(s, activeJobs); n >= j.limits.ActiveMax {
		return nil, exceeded(fieldJobID, "%d jobs are SCHEDULED or IN_PROGRESS; at most %d are allowed: cancel some, or let them end", n, j.limits.ActiveMax)
	}
	created.Job = s.Place().ID()
	created.TargetsKnownAt = cmd.Checked.AsOf
	// One commit holds both: a crash leaves the job created and started, or no job.
	s.Emit(&v1.Event{Event: &v1.Event_JobCreated{JobCreated: created}}, nil)
	if c := created.Scheduling; c.GetFirstWindowMs() == 0 && c.GetStartAtMs() <= s.Now {
		start(s, created.Job, created, nil)
	}
	return &v1.CreateJobReply{Position: s.Position(), Job: created.Job}, nil
}

// start says that the things of a job may be selected.
func start(s *core.Step, number uint64, def interface {
	GetTargets() []*v1.Target
	GetTargetSelection() v1.TargetSelection
}, reason *v1.Reason) {
	s.Emit(&v1.Event{Event: &v1.Event_JobStarted{JobStarted: &v1.JobStarted{
		Job:             number,
		Targets:         def.GetTargets(),
		TargetSelection: def.GetTargetSelection(),
	}}}, reason)
}

// checkCreate checks what can be checked of a CreateJob without any state. The event that it returns lacks only
// the job number.
func (j jobs) checkCreate(cmd *v1.CreateJob, now int64) (*v1.JobCreated, error) {
	job, err := parseID(cmd.JobId)
	if err != nil {
		return nil, err
	}
	targets, err := j.limits.checkTargets(cmd.Targets)
	if err != nil {
		return nil, err
	}
	selection, err := checkSelection(cmd.TargetSelection)
	if err != nil {
		return nil, err
	}
	if err := checkDocument(cmd.Document); err != nil {
		return nil, err
	}
	if err := core.CheckText(fieldDescription, cmd.Description, descriptionMax); err != nil {
		return nil, err
	}
	rollout, err := j.limits.rollout(cmd.Rollout)
	if err != nil {
		return nil, err
	}
	if err := checkConfig(cmd); err != nil {
		return nil, err
	}
	scheduling, err := j.limits.scheduling(cmd.Scheduling, selection, now)
	if err != nil {
		return nil, err
	}
	if err := checkNamespace(cmd.NamespaceId); err != nil {
		return nil, err
	}
	if err := checkPackages(cmd.DestinationPackageVersions); err != nil {
		return nil, err
	}
	tags, err := checkTags(cmd.Tags)
	if err != nil {
		return nil, err
	}
	if err := checkSize(cmd.SizeVT() - cmd.Checked.SizeVT()); err != nil {
		return nil, err
	}
	return &v1.JobCreated{
		JobId:                      string(job),
		Targets:                    targets,
		TargetSelection:            selection,
		Document:                   cmd.Document,
		Description:                cmd.Description,
		Rollout:                    rollout,
		Timeout:                    some(cmd.Timeout),
		Abort:                      cmd.Abort,
		Retry:                      cmd.Retry,
		Scheduling:                 scheduling,
		PresignedUrl:               some(cmd.PresignedUrl),
		Tags:                       tags,
		NamespaceId:                cmd.NamespaceId,
		JobTemplateArn:             cmd.JobTemplate,
		DocumentParameters:         cmd.DocumentParameters,
		DestinationPackageVersions: cmd.DestinationPackageVersions,
	}, nil
}
