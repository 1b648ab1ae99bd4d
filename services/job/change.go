package job

import (
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// active: it counts against the limit of active jobs, and can be updated and canceled. (specification §4.13)
func active(s v1.JobStatus) bool {
	return s == v1.JobStatus_JOB_STATUS_IN_PROGRESS || s == v1.JobStatus_JOB_STATUS_SCHEDULED
}

// update decides UpdateJob: what is present takes the place of what was there, as a whole (specification §2.6 and U13).
// What is there already is not written again.
func (j jobs) update(s *core.Step, cmd *v1.UpdateJob) (*v1.UpdateJobReply, error) {
	event, err := j.checkUpdate(cmd)
	if err != nil {
		return nil, err
	}
	row, err := named(s, cmd.JobId)
	if err != nil {
		return nil, err
	}
	if !active(row.Status) {
		return nil, invalid(fieldJobID, "job %s is %s; only a job that is SCHEDULED or IN_PROGRESS can be updated", row.JobId, row.Status.Word())
	}
	if event = news(row, event); event != nil {
		s.Emit(&v1.Event{Event: &v1.Event_JobUpdated{JobUpdated: event}}, nil)
	}
	return &v1.UpdateJobReply{Position: s.Position()}, nil
}

func (j jobs) checkUpdate(cmd *v1.UpdateJob) (*v1.JobUpdated, error) {
	if cmd.Description == nil && cmd.PresignedUrl == nil && cmd.Rollout == nil && cmd.Abort == nil && cmd.Timeout == nil && cmd.Retry == nil {
		return nil, invalid("", "nothing is to be changed; name description, presignedUrlConfig, jobExecutionsRolloutConfig, abortConfig, timeoutConfig or jobExecutionsRetryConfig")
	}
	if err := core.CheckText(fieldDescription, cmd.GetDescription(), descriptionMax); err != nil {
		return nil, err
	}
	event := &v1.JobUpdated{Description: cmd.Description, PresignedUrl: cmd.PresignedUrl, Abort: cmd.Abort, Timeout: cmd.Timeout, Retry: cmd.Retry}
	if cmd.Rollout != nil {
		rollout, err := j.limits.rollout(cmd.Rollout)
		if err != nil {
			return nil, err
		}
		if event.Rollout = rollout; rollout == nil {
			event.Rollout = &v1.RolloutConfig{} // no pace from here on
		}
	}
	if err := checkConfig(cmd); err != nil {
		return nil, err
	}
	if r := retries(cmd.Retry); r != 0 {
		return nil, invalid("jobExecutionsRetryConfig", "%d retries; after its creation a job's retries can only be set to 0", r)
	}
	return event, nil
}

func retries(c *v1.RetryConfig) (sum uint32) {
	for _, r := range c.GetCriteria() {
		sum += r.GetRetries()
	}
	return sum
}

// news is the part of an update that the row does not say yet; nil is none.
func news(row *v1.JobRow, e *v1.JobUpdated) *v1.JobUpdated {
	if e.Description != nil && *e.Description == row.Description {
		e.Description = nil
	}
	if same(e.PresignedUrl, row.PresignedUrl) {
		e.PresignedUrl = nil
	}
	if same(e.Rollout, row.Rollout) {
		e.Rollout = nil
	}
	if same(e.Abort, row.Abort) {
		e.Abort = nil
	}
	if same(e.Timeout, row.Timeout) {
		e.Timeout = nil
	}
	if same(e.Retry, row.Retry) || e.Retry != nil && retries(row.Retry) == 0 {
		e.Retry = nil
	}
	if proto.Size(e) == 0 {
		return nil
	}
	e.Job = row.Job
	return e
}

// same takes none for empty: a configuration without a value is none.
func same[M interface {
	proto.Message
	comparable
}](a, b M) bool {
	var none M
	if a == none || b == none {
		return (a == none || proto.Size(a) == 0) && (b == none || proto.Size(b) == 0)
	}
	return proto.Equal(a, b)
}

// associate decides AssociateTargets: a continuous job in progress gets those targets that it does not have yet.
func (j jobs) associate(s *core.Step, cmd *v1.AssociateTargets) (*v1.AssociateTargetsReply, error) {
	if err := checkSize(cmd.SizeVT() - cmd.Checked.SizeVT()); err != nil {
		return nil, err
	}
	if err := core.CheckText(fieldComment, cmd.Comment, descriptionMax); err != nil {
		return nil, err
	}
	targets, err := j.limits.checkTargets(cmd.Targets)
	if err != nil {
		return nil, err
	}
	row, err := named(s, cmd.JobId)
	if err != nil {
		return nil, err
	}
	if row.TargetSelection != v1.TargetSelection_TARGET_SELECTION_CONTINUOUS {
		return nil, invalid(fieldJobID, "job %s is a SNAPSHOT job; only a CONTINUOUS job can have more targets", row.JobId)
	}
	if row.Status != v1.JobStatus_JOB_STATUS_IN_PROGRESS || row.EndReached {
		return nil, invalid(fieldJobID, "job %s is %s; only a job in progress can have more targets", row.JobId, standing(row))
	}
	if err := checkUnknown(cmd.Checked); err != nil {
		return nil, err
	}
	complete(s, row)
	added := beside(row.Targets, targets)
	if len(added) == 0 {
		return &v1.AssociateTargetsReply{Position: s.Position()}, nil
	}
	if err := j.limits.countTargets(append(row.Targets, added...)); err != nil {
		return nil, err
	}
	s.Emit(&v1.Event{Event: &v1.Event_TargetsAssociated{TargetsAssociated: &v1.TargetsAssociated{
		Job: row.Job, Targets: added, Comment: cmd.Comment, TargetsKnownAt: cmd.Checked.AsOf,
	}}}, nil)
	return &v1.AssociateTargetsReply{Position: s.Position()}, nil
}

// standing is a job's status in words, with the end of its schedule.
func standing(row *v1.JobRow) string {
	if row.EndReached {
		return row.Status.Word() + " and past its end"
	}
	return row.Status.Word()
}

// beside is what of more is not among had, each once, in order.
func beside(had, more []*v1.Target) []*v1.Target {
	seen := make(map[string]bool, len(had)+len(more))
	for _, t := range had {
		seen[targetKey(t)] = true
	}
	var added []*v1.Target
	for _, t := range more {
		if k := targetKey(t); !seen[k] {
			seen[k] = true
			added = append(added, t)
		}
	}
	return added
}

func targetKey(t *v1.Target) string {
	if g := t.GetGroup(); g != "" {
		return "g" + g
	}
	return "t" + t.GetThing()
}
