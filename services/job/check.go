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

// The limits that are everybody's.
const (
	commandBytesMax = 128 << 10 // of a command, and of the JobCreated that comes of it (design §4)
	// targetBytesMax is what targets may take, encoded: 10,000 names of 8 characters. They are written twice in
	// the commit that creates the job, and a commit is at most 256 KiB.
	targetBytesMax = 120_000
	descriptionMax = 2028 // characters (specification §1.3); comments too
	reasonCodeMax  = 128  // specification §1.3
)

// The fields, as AWS's callers spell them (specification §2.4).
const (
	fieldJobID       = "jobId"
	fieldTargets     = "targets"
	fieldSelection   = "targetSelection"
	fieldDocument    = "document"
	fieldDescription = "description"
	fieldReasonCode  = "reasonCode"
	fieldComment     = "comment"
)

func invalid(field, format string, args ...any) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, field, format, args...)
}

func exceeded(field, format string, args ...any) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_LIMIT_EXCEEDED, field, format, args...)
}

func notFound(job id.Job) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, fieldJobID, "there is no job %s", job)
}

// parseID reads a job id, or a job's ARN.
func parseID(s string) (id.Job, error) {
	job, err := id.ParseJob(s)
	if err != nil {
		return "", invalid(fieldJobID, "%v", err)
	}
	return job, nil
}

// named is the row of the job that a command names.
func named(s *core.Step, jobID string) (*v1.JobRow, error) {
	job, err := parseID(jobID)
	if err != nil {
		return nil, err
	}
	row := find(s, job)
	if row == nil {
		return nil, notFound(job)
	}
	return row, nil
}

// checkTargets returns the targets with plain names in place of ARNs. A target given twice stays: it is selected
// once (specification U22).
func (l Limits) checkTargets(given []*v1.Target) ([]*v1.Target, error) {
	if len(given) == 0 {
		return nil, invalid(fieldTargets, "no target is named; name 1 to %d things or groups", l.TargetsMax)
	}
	targets := make([]*v1.Target, len(given))
	for i, g := range given {
		t, err := checkTarget(g)
		if err != nil {
			return nil, invalid(fmt.Sprintf("%s[%d]", fieldTargets, i), "target %d of %d: %v", i+1, len(given), err)
		}
		targets[i] = t
	}
	return targets, l.countTargets(targets)
}

// countTargets refuses more targets than a job may have.
func (l Limits) countTargets(targets []*v1.Target) error {
	if n := len(targets); n > l.TargetsMax {
		return exceeded(fieldTargets, "%d targets; at most %d are allowed: put the things into a group and name the group", n, l.TargetsMax)
	}
	bytes := 0
	for _, t := range targets {
		bytes += t.SizeVT() + 2
	}
	if bytes > targetBytesMax {
		return exceeded(fieldTargets, "the targets take %d bytes; at most %d are allowed: put the things into a group and name the group", bytes, targetBytesMax)
	}
	return nil
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

// checkSelection: none is SNAPSHOT.
func checkSelection(s v1.TargetSelection) (v1.TargetSelection, error) {
	switch s {
	case v1.TargetSelection_TARGET_SELECTION_UNSPECIFIED, v1.TargetSelection_TARGET_SELECTION_SNAPSHOT:
		return v1.TargetSelection_TARGET_SELECTION_SNAPSHOT, nil
	case v1.TargetSelection_TARGET_SELECTION_CONTINUOUS:
		return s, nil
	}
	return 0, invalid(fieldSelection, "selection %d is unknown; choose SNAPSHOT or CONTINUOUS", s)
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

// checkUnknown refuses targets that targeting's owner does not all know.
func checkUnknown(checked *v1.TargetsChecked) error {
	const named = 5
	if checked == nil {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INTERNAL, fieldTargets, "whether the targets exist was not asked before the decision; send the command to its subject on the bus")
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

// checkSize refuses what would not fit its commit.
func checkSize(bytes int) error {
	if bytes > commandBytesMax {
		return invalid("", "the request has %d bytes; at most %d are allowed", bytes, commandBytesMax)
	}
	return nil
}
