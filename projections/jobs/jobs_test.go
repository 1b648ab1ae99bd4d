package jobs

import (
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/progress"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

func TestACreatedJobIsDescribedAsItWasAskedFor(t *testing.T) {
	m := fold(t, created(1, "fw", 1000))
	d := describe(t, m, &v1.DescribeJob{JobId: "fw", IncludeDocument: true})
	want := &v1.JobRow{
		Job: 1, JobId: "fw", Status: v1.JobStatus_JOB_STATUS_IN_PROGRESS, Description: "the description",
		TargetSelection: v1.TargetSelection_TARGET_SELECTION_SNAPSHOT, Targets: []*v1.Target{{Target: &v1.Target_Thing{Thing: "a"}}},
		Rollout: &v1.RolloutConfig{MaximumPerMinute: 5}, Timeout: &v1.TimeoutConfig{InProgressTimeoutMinutes: 9},
		CreatedAtMs: 1000, LastUpdatedAtMs: 1000, Document: []byte(`{"v": 1}`), IsConcurrent: true,
	}
	if !proto.Equal(d.Job, want) {
		t.Errorf("got  %v\nwant %v", d.Job, want)
	}
	if d := describe(t, m, &v1.DescribeJob{JobId: "arn:aws:iot:eu-west-1:1:job/fw"}); d.Job.Document != nil || len(d.Job.Targets) != 1 {
		t.Errorf("by its ARN, without the document: %v", d.Job)
	}
}

func TestACancelShowsAtOnceAndIsCompleteWhenItIsCarriedOut(t *testing.T) {
	m := fold(t, created(1, "fw", 1000),
		commit(2000, event(&v1.JobCancelStarted{Job: 1, ReasonCode: "BAD", Comment: "no"})))
	d := describe(t, m, &v1.DescribeJob{JobId: "fw"}).Job
	if d.Status != v1.JobStatus_JOB_STATUS_CANCELED || d.ReasonCode != "BAD" || d.Comment != "no" || d.ForceCanceled || !d.IsConcurrent || d.CompletedAtMs != 0 || d.LastUpdatedAtMs != 2000 {
		t.Errorf("being canceled: %v", d)
	}
	apply(m, commit(3000, event(&v1.JobCanceled{Job: 1})))
	if d := describe(t, m, &v1.DescribeJob{JobId: "fw"}).Job; d.IsConcurrent || d.CompletedAtMs != 3000 {
		t.Errorf("canceled: %v", d)
	}
	apply(m, commit(4000, event(&v1.JobCancelStarted{Job: 1, Force: true, ReasonCode: "WORSE"})))
	if d := describe(t, m, &v1.DescribeJob{JobId: "fw"}).Job; !d.IsConcurrent || !d.ForceCanceled || d.ReasonCode != "WORSE" {
		t.Errorf("canceled again, by force: %v", d)
	}
}

func TestACompletedJobSaysWhen(t *testing.T) {
	m := fold(t, created(1, "fw", 1000), commit(5000, event(&v1.JobCompleted{Job: 1})))
	if d := describe(t, m, &v1.DescribeJob{JobId: "fw"}).Job; d.Status != v1.JobStatus_JOB_STATUS_COMPLETED || d.CompletedAtMs != 5000 || d.IsConcurrent {
		t.Errorf("completed: %v", d)
	}
}

func TestAJobIsConcurrentUntilEverythingSelectedIsReleased(t *testing.T) {
	m := fold(t, created(1, "fw", 1000))
	things := []*v1.ThingRef{{Name: "a"}, {Name: "b"}}
	for _, step := range []struct {
		log        id.Log
		event      *v1.Event
		concurrent bool
	}{
		{id.TargetingLog, &v1.Event{Event: &v1.Event_ThingsSelected{ThingsSelected: &v1.ThingsSelected{Job: 1, Things: things}}}, true},
		{id.TargetingLog, &v1.Event{Event: &v1.Event_SelectionFinished{SelectionFinished: &v1.SelectionFinished{Job: 1, Things: 2}}}, true},
		{id.RolloutLog, &v1.Event{Event: &v1.Event_ThingsWaiting{ThingsWaiting: &v1.ThingsWaiting{Job: 1, Things: things}}}, true},
		{id.RolloutLog, &v1.Event{Event: &v1.Event_JobHeld{JobHeld: &v1.JobHeld{Job: 1}}}, false},
		{id.RolloutLog, &v1.Event{Event: &v1.Event_JobAdmitted{JobAdmitted: &v1.JobAdmitted{Job: 1}}}, true},
		{id.RolloutLog, &v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{Job: 1, Things: things[:1]}}}, true},
		{id.RolloutLog, &v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{Job: 1, Things: things[1:]}}}, false},
	} {
		progress.Apply(m, step.log, commit(0, step.event))
		if d := describe(t, m, &v1.DescribeJob{JobId: "fw"}).Job; d.IsConcurrent != step.concurrent {
			t.Errorf("after %v: isConcurrent is %v", step.event, d.IsConcurrent)
		}
	}
}

// Shows: past its end a job is at work while homes cancel what its end behavior cancels. (specification §2.5, §4.13)
func TestAnEndedJobIsConcurrentWhileItsExecutionsAreCanceled(t *testing.T) {
	const queued, running = v1.ExecutionStatus_EXECUTION_STATUS_QUEUED, v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS
	for _, c := range []struct {
		behavior v1.EndBehavior
		left     v1.ExecutionStatus
		want     bool
	}{
		{v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT, queued, false},
		{v1.EndBehavior_END_BEHAVIOR_CANCEL, queued, true},
		{v1.EndBehavior_END_BEHAVIOR_CANCEL, running, false},
		{v1.EndBehavior_END_BEHAVIOR_FORCE_CANCEL, queued, true},
		{v1.EndBehavior_END_BEHAVIOR_FORCE_CANCEL, running, true},
	} {
		e := created(1, "fw", 1000)
		e.Entries[0].GetEvent().GetJobCreated().Scheduling = &v1.SchedulingConfig{EndBehavior: c.behavior}
		m := fold(t, e)
		Apply(m, id.JobLog, commit(2000, &v1.Event{Event: &v1.Event_JobEndReached{JobEndReached: &v1.JobEndReached{Job: 1, EndBehavior: c.behavior}}}))
		progress.Apply(m, id.ExecutionLog(0), &v1.Commit{Tallies: []*v1.Tally{{Job: 1, Open: 1, Attempts: []*v1.StatusCount{{Status: c.left, Count: 1}}}}})
		if got := describe(t, m, &v1.DescribeJob{JobId: "fw"}).Job.IsConcurrent; got != c.want {
			t.Errorf("%v, %v left: isConcurrent is %v", c.behavior, c.left, got)
		}
	}
}

func TestJobsAreListedNewestFirstByPageAndStatus(t *testing.T) {
	m := fold(t)
	for n := range uint64(7) {
		apply(m, created(n+1, fmt.Sprint("job-", n+1), int64(n)))
	}
	apply(m, commit(9, event(&v1.JobCompleted{Job: 3}), event(&v1.JobCompleted{Job: 5})))
	list := func(q *v1.ListJobs) (got string) {
		for {
			reply, err := List(m, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, j := range reply.Jobs {
				if j.Targets != nil || j.Document != nil {
					t.Errorf("a list shows targets or document: %v", j)
				}
				got += fmt.Sprint(j.Job, " ")
			}
			if reply.NextToken == "" {
				return got
			}
			got += "| "
			q.Page.Token = reply.NextToken
		}
	}
	if got := list(&v1.ListJobs{Page: &v1.Page{Limit: 3}}); got != "7 6 5 | 4 3 2 | 1 " {
		t.Errorf("all: %s", got)
	}
	if got := list(&v1.ListJobs{Status: v1.JobStatus_JOB_STATUS_COMPLETED}); got != "5 3 " {
		t.Errorf("completed: %s", got)
	}
	inside := created(8, "job-8", 10)
	inside.Entries[0].Event.GetJobCreated().NamespaceId = "fleet"
	apply(m, inside)
	if got := list(&v1.ListJobs{NamespaceId: "fleet"}); got != "8 " {
		t.Errorf("in a namespace: %s", got)
	}
	if Namespace(m, 8) != "fleet" || Namespace(m, 7) != "" || Namespace(m, 99) != "" {
		t.Error("a job is told in a namespace that it is not in")
	}
}

func TestAnIDNamesTheJobThatHasItNow(t *testing.T) {
	m := fold(t, created(1, "fw", 1000), created(2, "fw", 2000))
	if n, err := Number(m, "fw"); n != 2 || err != nil {
		t.Errorf("fw is job %d, %v", n, err)
	}
	if ID(m, 1) != "fw" || ID(m, 3) != "" {
		t.Errorf("the ids of jobs 1 and 3 are %q and %q", ID(m, 1), ID(m, 3))
	}
}

func TestUnknownAndMalformedJobsAreRefusedByField(t *testing.T) {
	m := fold(t)
	for name, code := range map[string]v1.RefusalCode{
		"nobody": v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "": v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST,
		"a.b": v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "a>": v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST,
	} {
		_, err := Describe(m, &v1.DescribeJob{JobId: name})
		var r *v1.Refusal
		if !errors.As(err, &r) || r.Code != code || r.Field != "jobId" {
			t.Errorf("job %q: %v", name, err)
		}
	}
}

func TestCommitsOfOtherLogsAreNothing(t *testing.T) {
	m := kv.NewOverlay(kv.NewMemory())
	for _, log := range []id.Log{id.TargetingLog, id.RolloutLog, id.ExecutionLog(0)} {
		Apply(m, log, created(1, "fw", 1000))
	}
	if m.Len() != 0 {
		t.Errorf("%d rows were written", m.Len())
	}
}

// Whatever stands in a row, a query answers, or panics with the failure of a damaged store; nothing else.
func FuzzRows(f *testing.F) {
	f.Add([]byte{}, []byte{})
	m := fold(f, created(1, "fw", 1000))
	row, _ := m.Get(rowKey(1))
	detail, _ := m.Get(detailKey(1))
	f.Add(row, detail)
	f.Fuzz(func(t *testing.T, row, detail []byte) {
		m := fold(t, created(1, "fw", 1000))
		m.Set(rowKey(1), row)
		m.Set(detailKey(1), detail)
		defer func() {
			if p := recover(); p != nil {
				if _, ok := p.(*kv.Failure); !ok {
					panic(p)
				}
			}
		}()
		if _, err := Describe(m, &v1.DescribeJob{JobId: "fw", IncludeDocument: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := List(m, &v1.ListJobs{}); err != nil {
			t.Fatal(err)
		}
	})
}

func fold(_ testing.TB, commits ...*v1.Commit) *kv.Overlay {
	m := kv.NewOverlay(kv.NewMemory())
	for _, c := range commits {
		apply(m, c)
	}
	return m
}

func apply(tx kv.Tx, c *v1.Commit) { Apply(tx, id.JobLog, c) }

func created(job uint64, name string, at int64) *v1.Commit {
	c := commit(at, event(&v1.JobCreated{
		Job: job, JobId: name, Targets: []*v1.Target{{Target: &v1.Target_Thing{Thing: "a"}}},
		TargetSelection: v1.TargetSelection_TARGET_SELECTION_SNAPSHOT, Document: []byte(`{"v": 1}`), Description: "the description",
		Rollout: &v1.RolloutConfig{MaximumPerMinute: 5}, Timeout: &v1.TimeoutConfig{InProgressTimeoutMinutes: 9},
	}), &v1.Event{Event: &v1.Event_JobStarted{JobStarted: &v1.JobStarted{Job: job}}})
	return c
}

func commit(at int64, events ...*v1.Event) *v1.Commit {
	c := &v1.Commit{AtMs: at}
	for _, e := range events {
		c.Entries = append(c.Entries, &v1.Entry{Event: e})
	}
	return c
}

func event(fact any) *v1.Event {
	switch f := fact.(type) {
	case *v1.JobCreated:
		return &v1.Event{Event: &v1.Event_JobCreated{JobCreated: f}}
	case *v1.JobCancelStarted:
		return &v1.Event{Event: &v1.Event_JobCancelStarted{JobCancelStarted: f}}
	case *v1.JobCanceled:
		return &v1.Event{Event: &v1.Event_JobCanceled{JobCanceled: f}}
	}
	return &v1.Event{Event: &v1.Event_JobCompleted{JobCompleted: fact.(*v1.JobCompleted)}}
}

func describe(t *testing.T, r kv.Reader, q *v1.DescribeJob) *v1.DescribeJobReply {
	t.Helper()
	d, err := Describe(r, q)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
