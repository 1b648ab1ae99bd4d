package job_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
	"github.com/droverhq/drover/services/core/coretest"
	"github.com/droverhq/drover/services/job"
)

// A row of a table of changes: given events, when a command, then events, or a refusal that names a field.
type changing struct {
	name  string
	given []*v1.Event
	cmd   proto.Message
	then  []*v1.Event
	code  v1.RefusalCode
	field string
	says  string
}

// decides runs a table; a command that was accepted is decided again, and then nothing happens or it is refused.
func decides(t *testing.T, tests []changing) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := run(t)
			if test.given != nil {
				r.Given(test.given...)
			}
			_, err := r.Decide(proto.Clone(test.cmd))
			if test.code != 0 {
				wantRefusal(t, r, err, test.code, test.field, test.says)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantEvents(t, r.Fresh, test.then...)
			if _, err := r.Decide(proto.Clone(test.cmd)); len(r.Fresh) != 0 {
				t.Errorf("decided again: %v, %s", err, coretest.Text(r.Fresh))
			}
		})
	}
}

func updatedEvent(e *v1.JobUpdated) *v1.Event {
	e.Job = first
	return &v1.Event{Event: &v1.Event_JobUpdated{JobUpdated: e}}
}

func deletionStarted(force bool) *v1.Event {
	return &v1.Event{Event: &v1.Event_JobDeletionStarted{JobDeletionStarted: &v1.JobDeletionStarted{Job: first, Force: force}}}
}

func deleted() *v1.Event {
	return &v1.Event{Event: &v1.Event_JobDeleted{JobDeleted: &v1.JobDeleted{Job: first}}}
}

func scheduled() []*v1.Event { return created()[:1] }

func continuous() []*v1.Event {
	list := created()
	list[0].GetJobCreated().TargetSelection = v1.TargetSelection_TARGET_SELECTION_CONTINUOUS
	list[0].GetJobCreated().Targets = []*v1.Target{thing("press-1"), group("presses")}
	return list
}

func TestUpdateJob(t *testing.T) {
	pace := &v1.RolloutConfig{MaximumPerMinute: 5}
	five := abort(&v1.AbortCriterion{Failure: failed, ThresholdHundredths: 500, MinExecuted: 200})
	retrying := created()
	retrying[0].GetJobCreated().Retry = retry(failed, 3)
	paced := created()
	paced[0].GetJobCreated().Rollout = pace
	decides(t, []changing{
		{name: "every field at once", given: created(), cmd: &v1.UpdateJob{
			JobId: "reboot", Description: proto.String("d"), PresignedUrl: &v1.PresignedUrlConfig{ExpiresInSeconds: 60}, Rollout: pace, Abort: five, Timeout: &v1.TimeoutConfig{InProgressTimeoutMinutes: 7},
		}, then: []*v1.Event{updatedEvent(&v1.JobUpdated{
			Description: proto.String("d"), PresignedUrl: &v1.PresignedUrlConfig{ExpiresInSeconds: 60}, Rollout: pace, Abort: five, Timeout: &v1.TimeoutConfig{InProgressTimeoutMinutes: 7},
		})}},
		{name: "only what is new is written", given: paced, cmd: &v1.UpdateJob{JobId: "reboot", Rollout: pace, Abort: five}, then: []*v1.Event{updatedEvent(&v1.JobUpdated{Abort: five})}},
		{name: "nothing new", given: paced, cmd: &v1.UpdateJob{JobId: "reboot", Rollout: pace, Description: proto.String("")}},
		{name: "no pace any more", given: paced, cmd: &v1.UpdateJob{JobId: "reboot", Rollout: &v1.RolloutConfig{}}, then: []*v1.Event{updatedEvent(&v1.JobUpdated{Rollout: &v1.RolloutConfig{}})}},
		{name: "a job that is SCHEDULED", given: scheduled(), cmd: &v1.UpdateJob{JobId: "reboot", Rollout: pace}, then: []*v1.Event{updatedEvent(&v1.JobUpdated{Rollout: pace})}},
		{name: "retries to 0", given: retrying, cmd: &v1.UpdateJob{JobId: "reboot", Retry: retry(failed, 0)}, then: []*v1.Event{updatedEvent(&v1.JobUpdated{Retry: retry(failed, 0)})}},
		{name: "retries to 0 where there are none", given: created(), cmd: &v1.UpdateJob{JobId: "reboot", Retry: retry(failed, 0)}},
		{name: "retries to 1", given: retrying, cmd: &v1.UpdateJob{JobId: "reboot", Retry: retry(failed, 1)}, code: invalid, field: "jobExecutionsRetryConfig", says: "only be set to 0"},
		{name: "no change named", given: created(), cmd: &v1.UpdateJob{JobId: "reboot"}, code: invalid, says: "nothing is to be changed"},
		{name: "a bad pace", given: created(), cmd: &v1.UpdateJob{JobId: "reboot", Rollout: exponential(1, 9, 1, 0)}, code: invalid, field: "jobExecutionsRolloutConfig.exponentialRate.incrementFactor", says: "0.9"},
		{name: "a bad criterion", given: created(), cmd: &v1.UpdateJob{JobId: "reboot", Abort: abort()}, code: invalid, field: "abortConfig.criteriaList", says: "1 to 100"},
		{name: "a description with a line end", given: created(), cmd: &v1.UpdateJob{JobId: "reboot", Description: proto.String("a\nb")}, code: invalid, field: "description", says: `'\n'`},
		{name: "completed", given: append(created(), completed()), cmd: &v1.UpdateJob{JobId: "reboot", Rollout: pace}, code: invalid, field: "jobId", says: "COMPLETED"},
		{name: "canceled", given: append(created(), cancelStarted(false)), cmd: &v1.UpdateJob{JobId: "reboot", Rollout: pace}, code: invalid, field: "jobId", says: "CANCELED"},
		{name: "being deleted", given: append(created(), deletionStarted(true)), cmd: &v1.UpdateJob{JobId: "reboot", Rollout: pace}, code: invalid, field: "jobId", says: "DELETION_IN_PROGRESS"},
		{name: "unknown", cmd: &v1.UpdateJob{JobId: "reboot", Rollout: pace}, code: notFound, field: "jobId", says: "reboot"},
	})
}

func TestAnUpdateTakesThePlaceOfWhatWasThere(t *testing.T) {
	r := run(t).Given(created()...)
	r.Now += 1000
	if _, err := r.Decide(&v1.UpdateJob{JobId: "reboot", Description: proto.String("d"), Rollout: exponential(50, 20, 1000, 0), Timeout: &v1.TimeoutConfig{InProgressTimeoutMinutes: 7}}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Decide(&v1.UpdateJob{JobId: "reboot", Rollout: &v1.RolloutConfig{MaximumPerMinute: 9}, Timeout: &v1.TimeoutConfig{}}); err != nil {
		t.Fatal(err)
	}
	got := describe(t, r, "reboot")
	if got.Description != "d" || got.Rollout.Exponential != nil || got.Rollout.MaximumPerMinute != 9 || got.Timeout != nil || got.LastUpdatedAtMs != r.Now {
		t.Errorf("got %v", got)
	}
}

func TestAssociateTargets(t *testing.T) {
	known := &v1.TargetsChecked{AsOf: 44}
	ask := func(targets ...*v1.Target) *v1.AssociateTargets {
		return &v1.AssociateTargets{JobId: "reboot", Targets: targets, Checked: known}
	}
	associated := func(comment string, targets ...*v1.Target) *v1.Event {
		return &v1.Event{Event: &v1.Event_TargetsAssociated{TargetsAssociated: &v1.TargetsAssociated{Job: first, Targets: targets, Comment: comment, TargetsKnownAt: 44}}}
	}
	commented := ask(group("lathes"))
	commented.Comment = "more"
	unchecked, unknown, badComment := ask(thing("a")), ask(thing("a")), ask(thing("a"))
	unchecked.Checked, unknown.Checked = nil, &v1.TargetsChecked{Unknown: []*v1.Target{thing("a")}}
	badComment.Comment = "\t"
	decides(t, []changing{
		{name: "one more", given: continuous(), cmd: commented, then: []*v1.Event{associated("more", group("lathes"))}},
		{name: "each once, and only those it does not have", given: continuous(), cmd: ask(group("presses"), thing("presses"), thing("presses"), thing("press-1")), then: []*v1.Event{associated("", thing("presses"))}},
		{name: "none that it does not have", given: continuous(), cmd: ask(group("presses"))},
		{name: "a snapshot job", given: created(), cmd: ask(thing("a")), code: invalid, field: "jobId", says: "SNAPSHOT"},
		{name: "not started", given: continuous()[:1], cmd: ask(thing("a")), code: invalid, field: "jobId", says: "SCHEDULED"},
		{name: "past its end", given: append(continuous(), &v1.Event{Event: &v1.Event_JobEndReached{JobEndReached: &v1.JobEndReached{Job: first, EndBehavior: 1}}}), cmd: ask(thing("a")), code: invalid, field: "jobId", says: "IN_PROGRESS and past its end"},
		{name: "canceled", given: append(continuous(), cancelStarted(false)), cmd: ask(thing("a")), code: invalid, field: "jobId", says: "CANCELED"},
		{name: "no target", given: continuous(), cmd: ask(), code: invalid, field: "targets", says: "no target"},
		{name: "a malformed target", given: continuous(), cmd: ask(thing("a.b")), code: invalid, field: "targets[0]", says: "'.'"},
		{name: "an unknown target", given: continuous(), cmd: unknown, code: notFound, field: "targets", says: "thing/a"},
		{name: "targets that nobody checked", given: continuous(), cmd: unchecked, code: internal, field: "targets"},
		{name: "a bad comment", given: continuous(), cmd: badComment, code: invalid, field: "comment", says: `'\t'`},
		{name: "an unknown job", cmd: ask(thing("a")), code: notFound, field: "jobId", says: "reboot"},
	})
	r := runAWS(t)
	if _, err := r.Decide(creation(func(c *v1.CreateJob) {
		targetsOf(99)(c)
		c.TargetSelection = v1.TargetSelection_TARGET_SELECTION_CONTINUOUS
	})); err != nil {
		t.Fatal(err)
	}
	_, err := r.Decide(ask(thing("a"), thing("b")))
	wantRefusal(t, r, err, exceeded, "targets", "101 targets; at most 100")
	if _, err := r.Decide(ask(thing("a"), thing("thing-0"))); err != nil {
		t.Error(err)
	}
	if got := describe(t, r, "reboot").Targets; len(got) != 100 || got[99].GetThing() != "a" {
		t.Errorf("%d targets, the last is %v", len(got), got[len(got)-1])
	}
}

func TestDeleteJob(t *testing.T) {
	ask, force := &v1.DeleteJob{JobId: "reboot"}, &v1.DeleteJob{JobId: "arn:aws:iot:eu-west-1:1:job/reboot", Force: true}
	decides(t, []changing{
		{name: "completed", given: append(created(), completed()), cmd: ask, then: []*v1.Event{deletionStarted(false)}},
		{name: "canceled", given: append(created(), cancelStarted(false), canceled()), cmd: ask, then: []*v1.Event{deletionStarted(false)}},
		{name: "while a cancel is being carried out", given: append(created(), cancelStarted(false)), cmd: ask, then: []*v1.Event{deletionStarted(false)}},
		{name: "in progress", given: created(), cmd: ask, code: badState, field: "jobId", says: "IN_PROGRESS; cancel it first"},
		{name: "scheduled", given: scheduled(), cmd: ask, code: badState, field: "jobId", says: "SCHEDULED"},
		{name: "in progress, by force", given: created(), cmd: force, then: []*v1.Event{deletionStarted(true)}},
		{name: "scheduled, by force", given: scheduled(), cmd: force, then: []*v1.Event{deletionStarted(true)}},
		{name: "again", given: append(created(), deletionStarted(true)), cmd: force, code: badState, field: "jobId", says: "already"},
		{name: "cancel of one that is being deleted", given: append(created(), deletionStarted(true)), cmd: &v1.CancelJob{JobId: "reboot", Force: true}, code: invalid, field: "jobId", says: "DELETION_IN_PROGRESS"},
		{name: "unknown", cmd: ask, code: notFound, field: "jobId", says: "reboot"},
	})
}

// Checklist 11 of the specification: ten deletions at a time, and an id that may be used again.
func TestTheEleventhDeletionWaitsAndAnIDIsFreeAfterDeletion(t *testing.T) {
	r := run(t)
	names := strings.Split("abcdefghijk", "")
	numbers := map[string]uint64{}
	for _, name := range names {
		reply, err := r.Decide(creation(func(c *v1.CreateJob) { c.JobId = name }))
		if err != nil {
			t.Fatal(err)
		}
		numbers[name] = reply.(*v1.CreateJobReply).Job
	}
	erase := func(name string) error {
		_, err := r.Decide(&v1.DeleteJob{JobId: name, Force: true})
		return err
	}
	for _, name := range names[:10] {
		if err := erase(name); err != nil {
			t.Fatal(err)
		}
	}
	wantRefusal(t, r, erase("k"), exceeded, "jobId", "at most 10")
	_, err := r.Decide(creation(func(c *v1.CreateJob) { c.JobId = "a" }))
	wantRefusal(t, r, err, exists, "jobId", "DELETION_IN_PROGRESS")
	r.React(id.RolloutLog.Position(9, 0), drained(numbers["a"], v1.JobPhase_JOB_PHASE_DELETED))
	if len(r.Fresh) != 1 || r.Fresh[0].Event.GetJobDeleted().GetJob() != numbers["a"] {
		t.Fatalf("got %s", coretest.Text(r.Fresh))
	}
	if _, err := r.Answer(&v1.DescribeJob{JobId: "a"}); err == nil {
		t.Error("a deleted job is described")
	}
	if err := erase("k"); err != nil {
		t.Error(err)
	}
	reply, err := r.Decide(creation(func(c *v1.CreateJob) { c.JobId = "a" }))
	if err != nil {
		t.Fatal(err)
	}
	if again := reply.(*v1.CreateJobReply).Job; again <= numbers["k"] {
		t.Errorf("the id is used again by job %d, an old number", again)
	}
	// What is told of the job that had the id before is not about the one that has it now.
	r.React(id.RolloutLog.Position(10, 0), drained(numbers["a"], v1.JobPhase_JOB_PHASE_CLOSED))
	wantEvents(t, r.Fresh)
}

func TestADeletedJobLeavesNothing(t *testing.T) {
	r := run(t)
	empty := coretest.Dump(r.State)
	r.Given(created()...).Given(completed()).Given(deletionStarted(false)).Given(deleted())
	if got := coretest.Dump(r.State); got != empty {
		t.Errorf("left over:\n%s", got)
	}
}

func TestAJobIsDeletedWhenItWasKeptLongEnough(t *testing.T) {
	const day = 24 * 60 * 60 * 1000
	limits := job.DefaultLimits()
	limits.RetentionDays = 3
	r := coretest.New(t, job.New(limits), id.JobLog).Given(created()...)
	r.Due()
	r.Now = 10 * day
	r.Given(completed())
	if got := r.Due(); len(got) != 0 || r.Next != 13*day {
		t.Errorf("next look at %d, %s", r.Next, coretest.Text(got))
	}
	r.Now = 13*day - 1
	wantEvents(t, r.Due())
	r.Now = 13 * day
	got := r.Due()
	wantEvents(t, got, deletionStarted(false))
	if reason := got[0].Reason.Sentence(); reason != "it was kept for 3 days" {
		t.Error(reason)
	}
	wantEvents(t, r.Due())
}

func TestACancelByForceBeginsTheRetentionAnew(t *testing.T) {
	r := run(t).Given(created()...).Given(cancelStarted(false)).Given(canceled())
	due := r.Now + 730*24*60*60*1000
	if r.Due(); r.Next != due {
		t.Fatalf("next look at %d, want %d", r.Next, due)
	}
	r.Now += 1000
	r.Given(cancelStarted(true))
	if r.Due(); r.Next != 1<<63-1 {
		t.Errorf("while it is being canceled by force: next look at %d", r.Next)
	}
	r.Given(canceled())
	if r.Due(); r.Next != due+1000 {
		t.Errorf("next look at %d, want %d", r.Next, due+1000)
	}
}

// What is deleted for its age leaves room for people.
func TestRetentionDeletesFiveAtATime(t *testing.T) {
	r := run(t)
	for n := range uint64(7) {
		number := n + 1
		r.Given(&v1.Event{Event: &v1.Event_JobCreated{JobCreated: &v1.JobCreated{Job: number, JobId: string(rune('a' + n))}}},
			&v1.Event{Event: &v1.Event_JobCompleted{JobCompleted: &v1.JobCompleted{Job: number}}})
	}
	r.Now += 731 * 24 * 60 * 60 * 1000
	if got := r.Due(); len(got) != 5 || r.Next != 1<<63-1 {
		t.Fatalf("%d deletions, next look at %d", len(got), r.Next)
	}
	r.React(id.RolloutLog.Position(1, 0), drained(3, v1.JobPhase_JOB_PHASE_DELETED))
	if got := r.Due(); len(got) != 1 || got[0].Event.GetJobDeletionStarted().GetJob() != 6 {
		t.Errorf("after one was deleted: %s", coretest.Text(got))
	}
}

func TestAnAbortCancelsTheJobInWords(t *testing.T) {
	abort := func(number uint64) *v1.Event {
		return &v1.Event{Event: &v1.Event_AbortTriggered{AbortTriggered: &v1.AbortTriggered{Job: number, Criterion: 1, Failure: failed, ThresholdHundredths: 2050, MinExecuted: 100, Failures: 31, Executed: 150}}}
	}
	tests := []struct {
		name  string
		given []*v1.Event
		job   uint64
		then  bool
	}{
		{"in progress", created(), first, true},
		{"between two windows", scheduled(), first, true},
		{"canceled meanwhile", append(created(), cancelStarted(false)), first, false},
		{"completed", append(created(), completed()), first, false},
		{"being deleted", append(created(), deletionStarted(true)), first, false},
		{"unknown", created(), first + 1, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := run(t).Given(test.given...)
			r.React(id.RolloutLog.Position(7, 0), abort(test.job))
			var want []*v1.Event
			if test.then {
				want = []*v1.Event{{Event: &v1.Event_JobCancelStarted{JobCancelStarted: &v1.JobCancelStarted{
					Job: first, Aborted: true, ReasonCode: "ABORT_CRITERIA_MET",
					Comment: "abort criterion 2 was met: 31 of 150 executions FAILED, 20.66 %; the threshold is 20.50 % after 100",
				}}}}
			}
			wantEvents(t, r.Fresh, want...)
			if test.then && r.Fresh[0].Reason.Sentence() != "abort criterion 2 was met: 31 failures among 150 executions that ended, 20.50 % or more" {
				t.Error(r.Fresh[0].Reason.Sentence())
			}
			r.React(id.RolloutLog.Position(7, 0), abort(test.job))
			wantEvents(t, r.Fresh)
		})
	}
	r := run(t).Given(created()...)
	r.React(id.RolloutLog.Position(7, 0), abort(first))
	row := describe(t, r, "reboot")
	if row.Status != v1.JobStatus_JOB_STATUS_CANCELED || row.ReasonCode != "ABORT_CRITERIA_MET" || !row.IsConcurrent {
		t.Errorf("got %v", row)
	}
	if _, err := r.Decide(&v1.CancelJob{JobId: "reboot", Force: true}); err != nil {
		t.Errorf("with force after an abort: %v", err)
	}
}

// Shows: a job for whose window there was no place is canceled, and never twice. (specification §4.13)
func TestAJobThatWasCrowdedOutIsCanceled(t *testing.T) {
	crowdedOut := &v1.Entry{
		Event:  &v1.Event{Event: &v1.Event_JobCrowdedOut{JobCrowdedOut: &v1.JobCrowdedOut{Job: first, Concurrent: 501, Most: 500}}},
		Reason: core.Reason(v1.ReasonCode_REASON_CODE_TOO_MANY_CONCURRENT, 501, 500),
	}
	r := run(t).Given(created()...)
	r.ReactEntry(id.RolloutLog.Position(7, 0), crowdedOut)
	wantEvents(t, r.Fresh, &v1.Event{Event: &v1.Event_JobCancelStarted{JobCancelStarted: &v1.JobCancelStarted{
		Job: first, ReasonCode: "TOO_MANY_CONCURRENT_JOBS", Comment: "501 jobs were at work when the window opened; at most 500 may be",
	}}})
	if got := r.Fresh[0].Reason.Sentence(); got != "501 jobs were at work when its window opened; 500 may be" {
		t.Error(got)
	}
	r.ReactEntry(id.RolloutLog.Position(8, 0), crowdedOut)
	wantEvents(t, r.Fresh)
}

// For a command to be refused it must be a refusal, never another error.
func TestWhatIsRefusedIsARefusal(t *testing.T) {
	for _, cmd := range []proto.Message{&v1.CreateJob{}, &v1.UpdateJob{}, &v1.AssociateTargets{}, &v1.CancelJob{}, &v1.DeleteJob{}} {
		_, err := run(t).Decide(cmd)
		var refusal *v1.Refusal
		if !errors.As(err, &refusal) {
			t.Errorf("%T: %v", cmd, err)
		}
	}
}
