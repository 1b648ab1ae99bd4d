package job_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core/coretest"
	"github.com/droverhq/drover/services/job"
)

// The first job of a coretest run stands in commit 1, entry 0.
const first = 1 << 16

func run(t testing.TB) *coretest.Run { return coretest.New(t, job.New(job.DefaultLimits()), id.JobLog) }

func thing(name string) *v1.Target { return &v1.Target{Target: &v1.Target_Thing{Thing: name}} }
func group(name string) *v1.Target { return &v1.Target{Target: &v1.Target_Group{Group: name}} }

// creation is a CreateJob that is accepted, changed by the caller.
func creation(change func(*v1.CreateJob)) *v1.CreateJob {
	cmd := &v1.CreateJob{
		JobId:    "reboot",
		Targets:  []*v1.Target{thing("press-1"), group("presses")},
		Document: []byte(`{"operation":"reboot"}`),
		Checked:  &v1.TargetsChecked{AsOf: 41},
	}
	if change != nil {
		change(cmd)
	}
	return cmd
}

func created() []*v1.Event {
	return []*v1.Event{
		{Event: &v1.Event_JobCreated{JobCreated: &v1.JobCreated{Job: first, JobId: "reboot", TargetSelection: 1, Document: []byte("{}"), Targets: []*v1.Target{thing("press-1")}}}},
		{Event: &v1.Event_JobStarted{JobStarted: &v1.JobStarted{Job: first}}},
	}
}

func cancelStarted(force bool) *v1.Event {
	return &v1.Event{Event: &v1.Event_JobCancelStarted{JobCancelStarted: &v1.JobCancelStarted{Job: first, Force: force}}}
}

func canceled() *v1.Event {
	return &v1.Event{Event: &v1.Event_JobCanceled{JobCanceled: &v1.JobCanceled{Job: first}}}
}

func completed() *v1.Event {
	return &v1.Event{Event: &v1.Event_JobCompleted{JobCompleted: &v1.JobCompleted{Job: first}}}
}

func drained(number uint64, phase v1.JobPhase) *v1.Event {
	return &v1.Event{Event: &v1.Event_JobDrained{JobDrained: &v1.JobDrained{Job: number, Phase: phase}}}
}

func events(entries []*v1.Entry) []*v1.Event {
	var list []*v1.Event
	for _, e := range entries {
		list = append(list, e.Event)
	}
	return list
}

func wantEvents(t *testing.T, got []*v1.Entry, want ...*v1.Event) {
	t.Helper()
	list := events(got)
	equal := len(list) == len(want)
	for i := 0; equal && i < len(want); i++ {
		equal = proto.Equal(list[i], want[i])
	}
	if !equal {
		t.Fatalf("got events %v\nwant %v", list, want)
	}
}

func wantRefusal(t *testing.T, r *coretest.Run, err error, code v1.RefusalCode, field, says string) {
	t.Helper()
	var refusal *v1.Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if refusal.Code != code || refusal.Field != field || !strings.Contains(refusal.Message, says) {
		t.Errorf("got %s of %q: %s\nwant %s of %q: …%s…", refusal.Code, refusal.Field, refusal.Message, code, field, says)
	}
	if len(r.Fresh) != 0 {
		t.Errorf("a refused command wrote %s", coretest.Text(r.Fresh))
	}
}

const (
	invalid      = v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST
	notFound     = v1.RefusalCode_REFUSAL_CODE_NOT_FOUND
	exists       = v1.RefusalCode_REFUSAL_CODE_ALREADY_EXISTS
	notSupported = v1.RefusalCode_REFUSAL_CODE_NOT_SUPPORTED
	exceeded     = v1.RefusalCode_REFUSAL_CODE_LIMIT_EXCEEDED
	badState     = v1.RefusalCode_REFUSAL_CODE_INVALID_STATE_TRANSITION
	internal     = v1.RefusalCode_REFUSAL_CODE_INTERNAL
)

func TestACreatedJobIsStartedInTheSameCommit(t *testing.T) {
	r := run(t)
	cmd := creation(func(c *v1.CreateJob) {
		c.Description = "restart all presses"
		c.Rollout = &v1.RolloutConfig{MaximumPerMinute: 50}
		c.Timeout = &v1.TimeoutConfig{InProgressTimeoutMinutes: 20}
		c.Targets = append(c.Targets, thing("press-1"), thing("arn:aws:iot:eu-west-1:123456789012:thing/press-2"))
	})
	reply, err := r.Decide(cmd)
	if err != nil {
		t.Fatal(err)
	}
	targets := []*v1.Target{thing("press-1"), group("presses"), thing("press-1"), thing("press-2")}
	wantEvents(t, r.Fresh,
		&v1.Event{Event: &v1.Event_JobCreated{JobCreated: &v1.JobCreated{
			Job: first, JobId: "reboot", Targets: targets, TargetSelection: v1.TargetSelection_TARGET_SELECTION_SNAPSHOT,
			Document: cmd.Document, Description: cmd.Description, Rollout: cmd.Rollout, Timeout: cmd.Timeout, TargetsKnownAt: 41,
		}}},
		&v1.Event{Event: &v1.Event_JobStarted{JobStarted: &v1.JobStarted{
			Job: first, Targets: targets, TargetSelection: v1.TargetSelection_TARGET_SELECTION_SNAPSHOT,
		}}})
	want := &v1.CreateJobReply{Job: first, Position: id.JobLog.Position(1, 1)}
	if !proto.Equal(reply, want) {
		t.Errorf("got reply %v, want %v", reply, want)
	}
	_, err = r.Decide(cmd)
	wantRefusal(t, r, err, exists, "jobId", "job reboot exists already (IN_PROGRESS)")
}

func TestABadCreateJobIsRefusedByField(t *testing.T) {
	tests := []struct {
		name   string
		change func(*v1.CreateJob)
		code   v1.RefusalCode
		field  string
		says   string
	}{
		{"no id", func(c *v1.CreateJob) { c.JobId = "" }, invalid, "jobId", "1 to 64"},
		{"an id of 65 characters", func(c *v1.CreateJob) { c.JobId = strings.Repeat("a", 65) }, invalid, "jobId", "1 to 64"},
		{"an id with a dot", func(c *v1.CreateJob) { c.JobId = "a.b" }, invalid, "jobId", "'.'"},
		{"an id with a wildcard", func(c *v1.CreateJob) { c.JobId = "*" }, invalid, "jobId", "'*'"},
		{"an id with a tail wildcard", func(c *v1.CreateJob) { c.JobId = ">" }, invalid, "jobId", "'>'"},
		{"an id with a space", func(c *v1.CreateJob) { c.JobId = "a b" }, invalid, "jobId", "' '"},
		{"no target", func(c *v1.CreateJob) { c.Targets = nil }, invalid, "targets", "1 to 10000"},
		{"10,001 targets", func(c *v1.CreateJob) {
			c.Targets = nil
			for range 10_001 {
				c.Targets = append(c.Targets, thing("a"))
			}
		}, exceeded, "targets", "into a group"},
		{"targets of more than 120,000 bytes", func(c *v1.CreateJob) {
			c.Targets = nil
			for i := range 1000 {
				c.Targets = append(c.Targets, thing(fmt.Sprintf("%0128d", i)))
			}
		}, exceeded, "targets", "into a group"},
		{"an empty target", func(c *v1.CreateJob) { c.Targets = append(c.Targets, &v1.Target{}) }, invalid, "targets[2]", "target 3 of 3"},
		{"a missing target", func(c *v1.CreateJob) { c.Targets = append(c.Targets, nil) }, invalid, "targets[2]", "target 3 of 3"},
		{"a thing of 129 characters", func(c *v1.CreateJob) { c.Targets[0] = thing(strings.Repeat("a", 129)) }, invalid, "targets[0]", "target 1 of 2"},
		{"a group with a dot", func(c *v1.CreateJob) { c.Targets[1] = group("a.b") }, invalid, "targets[1]", "target 2 of 2"},
		{"an unknown selection", func(c *v1.CreateJob) { c.TargetSelection = 9 }, invalid, "targetSelection", "9"},
		{"no document", func(c *v1.CreateJob) { c.Document = nil }, invalid, "document", "empty"},
		{"a document that is not JSON", func(c *v1.CreateJob) { c.Document = []byte("{reboot}") }, invalid, "document", "byte 1"},
		{"a document that is not UTF-8", func(c *v1.CreateJob) { c.Document = []byte("\"\xff\"") }, invalid, "document", "byte 1"},
		{"a document over 32 KiB", func(c *v1.CreateJob) { c.Document = bytes.Repeat([]byte(" "), 32769) }, invalid, "document", "at most 32768"},
		{"a document nested 10,000 deep", func(c *v1.CreateJob) { c.Document = bytes.Repeat([]byte("["), 10_000) }, invalid, "document", "deeper than 64 at byte 64"},
		{"a document with a placeholder", func(c *v1.CreateJob) { c.Document = []byte(`{"u":"${aws:iot:s3-presigned-url:x}"}`) }, notSupported, "document", "byte 6"},
		{"a description of 2,029 characters", func(c *v1.CreateJob) { c.Description = strings.Repeat("é", 2029) }, invalid, "description", "at most 2028"},
		{"a description with a line end", func(c *v1.CreateJob) { c.Description = "a\nb" }, invalid, "description", `'\n'`},
		{"a description that is not UTF-8", func(c *v1.CreateJob) { c.Description = "a\xff" }, invalid, "description", "UTF-8"},
		{"a pace beyond the limit", func(c *v1.CreateJob) { c.Rollout = &v1.RolloutConfig{MaximumPerMinute: 10_000_001} }, invalid, "jobExecutionsRolloutConfig.maximumPerMinute", "1 to 10000000"},
		{"a timeout of more than a week", func(c *v1.CreateJob) { c.Timeout = &v1.TimeoutConfig{InProgressTimeoutMinutes: 10_081} }, invalid, "timeoutConfig.inProgressTimeoutInMinutes", "1 to 10080"},
		{"more than 128 KiB in all", func(c *v1.CreateJob) {
			c.Targets = nil
			for i := range 900 {
				c.Targets = append(c.Targets, thing(fmt.Sprintf("%0128d", i)))
			}
			c.Document = []byte(`"` + strings.Repeat("a", 20_000) + `"`)
		}, invalid, "", "at most 131072"},
		{"unknown targets", func(c *v1.CreateJob) {
			c.Checked.Unknown = []*v1.Target{thing("a"), group("b"), thing("c"), thing("d"), thing("e"), thing("f"), thing("g")}
		}, notFound, "targets", "unknown: thing/a, group/b, thing/c, thing/d, thing/e and 2 more;"},
		{"more unknown targets than a command has room for twice", func(c *v1.CreateJob) {
			c.Targets = nil
			for i := range 900 {
				c.Targets = append(c.Targets, thing(fmt.Sprintf("%0128d", i)))
			}
			c.Checked.Unknown = c.Targets
		}, notFound, "targets", "and 895 more;"},
		{"targets that nobody checked", func(c *v1.CreateJob) { c.Checked = nil }, internal, "targets", ""},
		{"syntax before unknown targets", func(c *v1.CreateJob) {
			c.Checked.Unknown = []*v1.Target{thing("a")}
			c.Document = nil
		}, invalid, "document", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := run(t)
			_, err := r.Decide(creation(test.change))
			wantRefusal(t, r, err, test.code, test.field, test.says)
		})
	}
}

func TestATakenIDIsRefusedBeforeUnknownTargets(t *testing.T) {
	r := run(t).Given(created()...)
	_, err := r.Decide(creation(func(c *v1.CreateJob) { c.Checked.Unknown = []*v1.Target{thing("a")} }))
	wantRefusal(t, r, err, exists, "jobId", "reboot")
}

func TestTheLimitsThemselvesAreAccepted(t *testing.T) {
	r := run(t)
	reply, err := r.Decide(creation(func(c *v1.CreateJob) {
		c.JobId = strings.Repeat("a", 64)
		c.Targets = nil
		for i := range 10_000 {
			c.Targets = append(c.Targets, thing(fmt.Sprintf("th-%05d", i)))
		}
		c.Description = strings.Repeat("é", 2028)
		c.Rollout = &v1.RolloutConfig{MaximumPerMinute: 10_000_000}
		c.Timeout = &v1.TimeoutConfig{InProgressTimeoutMinutes: 10_080}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if reply.(*v1.CreateJobReply).Job != first {
		t.Error(reply)
	}
	r = run(t)
	if _, err := r.Decide(creation(func(c *v1.CreateJob) { c.Document = []byte(`"` + strings.Repeat("a", 32766) + `"`) })); err != nil {
		t.Error(err)
	}
}

func TestAPaceOrTimeoutOfZeroIsNone(t *testing.T) {
	r := run(t)
	if _, err := r.Decide(creation(func(c *v1.CreateJob) {
		c.Rollout, c.Timeout = &v1.RolloutConfig{}, &v1.TimeoutConfig{}
	})); err != nil {
		t.Fatal(err)
	}
	if e := r.Fresh[0].Event.GetJobCreated(); e.Rollout != nil || e.Timeout != nil {
		t.Errorf("got %v", e)
	}
}

func TestCancelJob(t *testing.T) {
	tests := []struct {
		name  string
		given []*v1.Event
		cmd   *v1.CancelJob
		then  []*v1.Event
		code  v1.RefusalCode
		field string
		says  string
	}{
		{name: "in progress", given: created(), cmd: &v1.CancelJob{JobId: "reboot"}, then: []*v1.Event{cancelStarted(false)}},
		{name: "with force", given: created(), cmd: &v1.CancelJob{JobId: "reboot", Force: true}, then: []*v1.Event{cancelStarted(true)}},
		{name: "by ARN", given: created(), cmd: &v1.CancelJob{JobId: "arn:aws:iot:eu-west-1:123456789012:job/reboot"}, then: []*v1.Event{cancelStarted(false)}},
		{name: "with force while a cancel is being carried out", given: append(created(), cancelStarted(false)), cmd: &v1.CancelJob{JobId: "reboot", Force: true}, then: []*v1.Event{cancelStarted(true)}},
		{name: "with force after a cancel", given: append(created(), cancelStarted(false), canceled()), cmd: &v1.CancelJob{JobId: "reboot", Force: true}, then: []*v1.Event{cancelStarted(true)}},
		{name: "again", given: append(created(), cancelStarted(false)), cmd: &v1.CancelJob{JobId: "reboot"}, code: invalid, field: "jobId", says: "with force"},
		{name: "again after force", given: append(created(), cancelStarted(true)), cmd: &v1.CancelJob{JobId: "reboot"}, code: invalid, field: "jobId", says: "with force already"},
		{name: "with force again", given: append(created(), cancelStarted(true), canceled()), cmd: &v1.CancelJob{JobId: "reboot", Force: true}, code: invalid, field: "jobId", says: "with force already"},
		{name: "completed", given: append(created(), completed()), cmd: &v1.CancelJob{JobId: "reboot", Force: true}, code: invalid, field: "jobId", says: "COMPLETED"},
		{name: "unknown", given: created(), cmd: &v1.CancelJob{JobId: "other"}, code: notFound, field: "jobId", says: "other"},
		{name: "a bad id", cmd: &v1.CancelJob{JobId: "a>"}, code: invalid, field: "jobId", says: "'>'"},
		{name: "a reason code in small letters", given: created(), cmd: &v1.CancelJob{JobId: "reboot", ReasonCode: "Bad"}, code: invalid, field: "reasonCode", says: "'a'"},
		{name: "a reason code of 129 characters", given: created(), cmd: &v1.CancelJob{JobId: "reboot", ReasonCode: strings.Repeat("A", 129)}, code: invalid, field: "reasonCode", says: "at most 128"},
		{name: "a comment with a tab", given: created(), cmd: &v1.CancelJob{JobId: "reboot", Comment: "a\tb"}, code: invalid, field: "comment", says: `'\t'`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := run(t)
			if test.given != nil {
				r.Given(test.given...)
			}
			reply, err := r.Decide(test.cmd)
			if test.then == nil {
				wantRefusal(t, r, err, test.code, test.field, test.says)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantEvents(t, r.Fresh, test.then...)
			if want := (&v1.CancelJobReply{Position: id.JobLog.Position(2, 0)}); !proto.Equal(reply, want) {
				t.Errorf("got reply %v, want %v", reply, want)
			}
			if _, err := r.Decide(test.cmd); err == nil || len(r.Fresh) != 0 {
				t.Errorf("decided again: %v, %s", err, coretest.Text(r.Fresh))
			}
		})
	}
}

func TestJobDrained(t *testing.T) {
	const (
		stopped      = v1.JobPhase_JOB_PHASE_STOPPED
		forceStopped = v1.JobPhase_JOB_PHASE_FORCE_STOPPED
		closed       = v1.JobPhase_JOB_PHASE_CLOSED
	)
	tests := []struct {
		name  string
		given []*v1.Event
		when  *v1.Event
		then  []*v1.Event
	}{
		{"closed in progress: completed", created(), drained(first, closed), []*v1.Event{completed()}},
		{"stopped in progress: nothing", created(), drained(first, stopped), nil},
		{"closed again: nothing", append(created(), completed()), drained(first, closed), nil},
		{"stopped after a cancel: canceled", append(created(), cancelStarted(false)), drained(first, stopped), []*v1.Event{canceled()}},
		{"stopped by force after a cancel, because the job had ended by force: canceled", append(created(), cancelStarted(false)), drained(first, forceStopped), []*v1.Event{canceled()}},
		{"stopped by force after a cancel by force: canceled", append(created(), cancelStarted(true)), drained(first, forceStopped), []*v1.Event{canceled()}},
		{"stopped, and force asked for since: nothing", append(created(), cancelStarted(false), cancelStarted(true)), drained(first, stopped), nil},
		{"closed after a cancel: nothing is left to cancel", append(created(), cancelStarted(false)), drained(first, closed), []*v1.Event{canceled()}},
		{"canceled already: nothing", append(created(), cancelStarted(false), canceled()), drained(first, stopped), nil},
		{"force after canceled: canceled once more", append(created(), cancelStarted(false), canceled(), cancelStarted(true)), drained(first, forceStopped), []*v1.Event{canceled()}},
		{"an unknown job: nothing", created(), drained(first+1, closed), nil},
		{"another event: nothing", created(), &v1.Event{Event: &v1.Event_JobClosed{JobClosed: &v1.JobClosed{Job: first}}}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := run(t).Given(test.given...)
			r.React(id.RolloutLog.Position(7, 0), test.when)
			wantEvents(t, r.Fresh, test.then...)
			r.React(id.RolloutLog.Position(7, 0), test.when)
			wantEvents(t, r.Fresh)
		})
	}
}

func TestTheOwnerDescribesAJob(t *testing.T) {
	r := run(t)
	cmd := creation(func(c *v1.CreateJob) { c.Description = "d" })
	if _, err := r.Decide(cmd); err != nil {
		t.Fatal(err)
	}
	r.Now += 5000
	if _, err := r.Decide(&v1.CancelJob{JobId: "reboot", Force: true, ReasonCode: "BAD_IMAGE", Comment: "stop it"}); err != nil {
		t.Fatal(err)
	}
	want := &v1.JobRow{
		Job: first, JobId: "reboot", Status: v1.JobStatus_JOB_STATUS_CANCELED, TargetSelection: 1, Targets: cmd.Targets,
		Description: "d", ForceCanceled: true, ReasonCode: "BAD_IMAGE", Comment: "stop it",
		CreatedAtMs: 1_000_000, LastUpdatedAtMs: 1_005_000, IsConcurrent: true,
	}
	ask := func(document bool) *v1.DescribeJobReply {
		reply, err := r.Answer(&v1.DescribeJob{JobId: "reboot", IncludeDocument: document})
		if err != nil {
			t.Fatal(err)
		}
		return reply.(*v1.DescribeJobReply)
	}
	got := ask(false)
	if !proto.Equal(got.Job, want) {
		t.Errorf("got %v\nwant %v", got.Job, want)
	}
	if at := id.FormatPosition(got.Stamp.Positions[0]); at != "job@2" {
		t.Errorf("answered as of %s, want job@2", at)
	}
	if got := ask(true).Job.Document; !bytes.Equal(got, cmd.Document) {
		t.Errorf("got document %s, want %s", got, cmd.Document)
	}
	r.Now += 5000
	r.React(id.RolloutLog.Position(3, 0), drained(first, v1.JobPhase_JOB_PHASE_FORCE_STOPPED))
	want.IsConcurrent, want.LastUpdatedAtMs, want.CompletedAtMs = false, 1_010_000, 1_010_000
	if got := ask(false).Job; !proto.Equal(got, want) {
		t.Errorf("after the cancel: got %v\nwant %v", got, want)
	}
	_, err := r.Answer(&v1.DescribeJob{JobId: "other"})
	r.Fresh = nil
	wantRefusal(t, r, err, notFound, "jobId", "other")
	_, err = r.Answer(&v1.ListJobs{})
	wantRefusal(t, r, err, notSupported, "", "ListJobs")
	_, err = r.Decide(&v1.DeleteThing{})
	wantRefusal(t, r, err, notSupported, "", "DeleteThing")
}
