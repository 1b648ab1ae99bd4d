package job

import (
	"errors"
	"fmt"
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
	"github.com/droverhq/drover/services/job/document"
)

// The limits of one command. AWS's own, where ours are wider, are a mode of its front.
const (
	commandBytesMax = 128 << 10 // design §4
	targetsMax      = 10_000    // design §4; AWS allows 100 (specification §2.4)
	// targetBytesMax is what targets may take, encoded: 10,000 names of 8 characters. They are written twice in
	// the commit that creates the job, and a commit is at most 256 KiB.
	targetBytesMax    = 120_000
	descriptionMax    = 2028       // characters (specification §1.3); comments too
	perMinuteMax      = 10_000_000 // things; AWS allows 1,000 (specification §2.4)
	timeoutMinutesMax = 10_080     // 7 days (specification §4.9)
	reasonCodeMax     = 128        // specification §1.3
)

// The fields, as a caller of CreateJob and CancelJob spells them (specification §2.4).
const (
	fieldJobID       = "jobId"
	fieldTargets     = "targets"
	fieldSelection   = "targetSelection"
	fieldDocument    = "document"
	fieldDescription = "description"
	fieldPerMinute   = "jobExecutionsRolloutConfig.maximumPerMinute"
	fieldTimeout     = "timeoutConfig.inProgressTimeoutInMinutes"
	fieldReasonCode  = "reasonCode"
	fieldComment     = "comment"
)

func invalid(field, format string, args ...any) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, field, format, args...)
}

// parseID reads a job id, or a job's ARN.
func parseID(s string) (id.Job, error) {
	job, err := id.ParseJob(s)
	if err != nil {
		return "", invalid(fieldJobID, "%v", err)
	}
	return job, nil
}

// checkCreate checks what can be checked of a CreateJob without any state. The event that it returns lacks only
// the job number.
func checkCreate(cmd *v1.CreateJob) (*v1.JobCreated, error) {
	job, err := parseID(cmd.JobId)
	if err != nil {
		return nil, err
	}
	targets, err := checkTargets(cmd.Targets)
	if err != nil {
		return nil, err
	}
	if err := checkSelection(cmd.TargetSelection); err != nil {
		return nil, err
	}
	if err := checkDocument(cmd.Document); err != nil {
		return nil, err
	}
	if err := core.CheckText(fieldDescription, cmd.Description, descriptionMax); err != nil {
		return nil, err
	}
	perMinute := cmd.Rollout.GetMaximumPerMinute()
	if perMinute > perMinuteMax {
		return nil, invalid(fieldPerMinute, "%d things a minute; 1 to %d are allowed, and leaving it out sets no pace", perMinute, perMinuteMax)
	}
	minutes := cmd.Timeout.GetInProgressTimeoutMinutes()
	if minutes > timeoutMinutesMax {
		return nil, invalid(fieldTimeout, "%d minutes; 1 to %d are allowed, and leaving it out sets no timeout", minutes, timeoutMinutesMax)
	}
	if n := cmd.SizeVT() - cmd.Checked.SizeVT(); n > commandBytesMax {
		return nil, invalid("", "the request has %d bytes; at most %d are allowed", n, commandBytesMax)
	}
	created := &v1.JobCreated{
		JobId:           string(job),
		Targets:         targets,
		TargetSelection: v1.TargetSelection_TARGET_SELECTION_SNAPSHOT,
		Document:        cmd.Document,
		Description:     cmd.Description,
	}
	if perMinute > 0 {
		created.Rollout = &v1.RolloutConfig{MaximumPerMinute: perMinute}
	}
	if minutes > 0 {
		created.Timeout = &v1.TimeoutConfig{InProgressTimeoutMinutes: minutes}
	}
	return created, nil
}

// checkTargets returns the targets with plain names in place of ARNs. A target given twice stays: it is selected
// once (specification U22).
func checkTargets(given []*v1.Target) ([]*v1.Target, error) {
	if len(given) == 0 {
		return nil, invalid(fieldTargets, "no target is named; name 1 to %d things or groups", targetsMax)
	}
	if len(given) > targetsMax {
		return nil, invalid(fieldTargets, "%d targets; at most %d are allowed: put the things into a group and name the group", len(given), targetsMax)
	}
	targets := make([]*v1.Target, len(given))
	bytes := 0
	for i, g := range given {
		t, err := checkTarget(g)
		if err != nil {
			return nil, invalid(fieldTargets, "target %d of %d: %v", i+1, len(given), err)
		}
		targets[i] = t
		bytes += t.SizeVT() + 2
	}
	if bytes > targetBytesMax {
		return nil, invalid(fieldTargets, "the targets take %d bytes; at most %d are allowed: put the things into a group and name the group", bytes, targetBytesMax)
	}
	return targets, nil
}

func checkTarget(t *v1.Target) (*v1.Target, error) {
	switch t := t.GetTarget().(type) {
	case *v1.Target_Thing:
		name, err := id.ParseThing(t.Thing)
		return &v1.Target{Target: &v1.Target_Thing{Thing: string(name)}}, err
	case *v1.Target_Group:
		name, err := id.ParseGroup(t.Group)
		return &v1.Target{Target: &v1.Target_Group{Group: string(name)}}, err
	}
	return nil, errors.New("it names neither a thing nor a group")
}

func checkSelection(s v1.TargetSelection) error {
	switch s {
	case v1.TargetSelection_TARGET_SELECTION_UNSPECIFIED, v1.TargetSelection_TARGET_SELECTION_SNAPSHOT:
		return nil
	case v1.TargetSelection_TARGET_SELECTION_CONTINUOUS:
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_SUPPORTED, fieldSelection, "CONTINUOUS jobs are not offered by this version; SNAPSHOT is")
	}
	return invalid(fieldSelection, "selection %d is unknown; SNAPSHOT is offered", s)
}

func checkDocument(text []byte) error {
	err := document.Check(text)
	var fault *document.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &fault) && fault.Problem == document.Placeholder:
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_SUPPORTED, fieldDocument, "%v", err)
	}
	return invalid(fieldDocument, "%v", err)
}

// checkUnknown refuses a job whose targets targeting's owner does not all know.
func checkUnknown(checked *v1.TargetsChecked) error {
	const named = 5
	if checked == nil {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INTERNAL, fieldTargets, "whether the targets exist was not asked before the decision; send the job to drover.cmd.job.create")
	}
	n := len(checked.Unknown)
	if n == 0 {
		return nil
	}
	var names []string
	for _, t := range checked.Unknown[:min(n, named)] {
		names = append(names, id.FormatTarget(t))
	}
	list := strings.Join(names, ", ")
	if n > named {
		list += fmt.Sprintf(" and %d more", n-named)
	}
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, fieldTargets, "unknown: %s; create what is missing, or leave it out", list)
}

// checkReasonCode: [A-Z0-9_], at most 128, or none.
func checkReasonCode(code string) error {
	if len(code) > reasonCodeMax {
		return invalid(fieldReasonCode, "the code has %d characters; at most %d of [A-Z0-9_] are allowed", len(code), reasonCodeMax)
	}
	for i := range len(code) {
		if c := code[i]; !('A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_') {
			return invalid(fieldReasonCode, "the code holds %q; only [A-Z0-9_] are allowed", c)
		}
	}
	return nil
}
