package executions

import (
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/jobs"
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

const (
	queuedStatus = v1.ExecutionStatus_EXECUTION_STATUS_QUEUED
	inProgress   = v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS
	succeeded    = v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED
	failed       = v1.ExecutionStatus_EXECUTION_STATUS_FAILED
)

func TestAQueuedExecutionHasVersionOne(t *testing.T) {
	m := state(t, "fw")
	Apply(m, id.ExecutionLog(0), commit(5000, queued(1, "dev", 1)))
	want := &v1.ExecutionRow{
		Job: 1, JobId: "fw", Thing: "dev", ExecutionNumber: 1, Status: queuedStatus, VersionNumber: 1,
		QueuedAtMs: 5000, LastUpdatedAtMs: 5000,
	}
	if got := get(t, m, "fw", "dev", 0); !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestAChangeReplacesTheWholeRowWithoutReadingIt(t *testing.T) {
	m := state(t, "fw")
	change := &v1.ExecutionChanged{
		Job: 1, Thing: "dev", ExecutionNumber: 2, From: queuedStatus, To: inProgress, VersionNumber: 4,
		StatusDetails: []*v1.Detail{{Name: "a", Value: "b"}}, QueuedAtMs: 1000, StartedAtMs: 2000,
		InProgressDeadlineMs: 9000, StepDeadlineMs: 8000, ForceCanceled: true, RetryAttempt: 1,
	}
	Apply(blind{m}, id.ExecutionLog(0), commit(3000, &v1.Event{Event: &v1.Event_ExecutionChanged{ExecutionChanged: change}}))
	want := &v1.ExecutionRow{
		Job: 1, JobId: "fw", Thing: "dev", ExecutionNumber: 2, Status: inProgress, StatusDetails: change.StatusDetails, VersionNumber: 4,
		QueuedAtMs: 1000, StartedAtMs: 2000, LastUpdatedAtMs: 3000, RetryAttempt: 1, ForceCanceled: true, DeadlineMs: 8000,
	}
	if got := get(t, m, "fw", "dev", 0); !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestTheEarlierDeadlineCounts(t *testing.T) {
	for _, c := range [][3]int64{{0, 0, 0}, {5, 0, 5}, {0, 5, 5}, {5, 6, 5}, {6, 5, 5}} {
		if got := earlier(c[0], c[1]); got != c[2] {
			t.Errorf("of %d and %d: %d", c[0], c[1], got)
		}
	}
}

func TestTheLatestAttemptIsToldUnlessANumberIsGiven(t *testing.T) {
	m := state(t, "fw")
	Apply(m, id.ExecutionLog(0), commit(1, queued(1, "dev", 1), queued(1, "dev2", 7), changed(1, "dev", 1, failed), queued(1, "dev", 2)))
	if got := get(t, m, "fw", "dev", 0); got.ExecutionNumber != 2 || got.Status != queuedStatus {
		t.Errorf("the latest is %v", got)
	}
	if got := get(t, m, "fw", "dev", 1); got.ExecutionNumber != 1 || got.Status != failed {
		t.Errorf("the first is %v", got)
	}
}

func TestAJobsExecutionsAreListedByThingPageAndStatus(t *testing.T) {
	m := state(t, "fw", "other")
	for i := range 7 {
		Apply(m, id.ExecutionLog(id.Home(i%2)), commit(int64(i), queued(1, fmt.Sprint("dev", i), 1), queued(2, fmt.Sprint("dev", i), 1)))
	}
	Apply(m, id.ExecutionLog(0), commit(9, changed(1, "dev3", 1, succeeded), changed(1, "dev5", 1, succeeded)))
	if got := listForJob(t, m, &v1.ListExecutionsForJob{JobId: "fw", Page: &v1.Page{Limit: 3}}); got != "fw/dev0 fw/dev1 fw/dev2 | fw/dev3 fw/dev4 fw/dev5 | fw/dev6 " {
		t.Errorf("all: %s", got)
	}
	if got := listForJob(t, m, &v1.ListExecutionsForJob{JobId: "fw", Status: succeeded, Page: &v1.Page{}}); got != "fw/dev3 fw/dev5 " {
		t.Errorf("succeeded: %s", got)
	}
}

func TestAThingsExecutionsAreListedNewestFirst(t *testing.T) {
	m := state(t, "a", "b", "c")
	Apply(m, id.ExecutionLog(0), commit(1000, queued(2, "dev", 1), queued(2, "dev-1", 1)))
	Apply(m, id.ExecutionLog(0), commit(2000, queued(1, "dev", 1), changed(2, "dev", 1, failed)))
	Apply(m, id.ExecutionLog(0), commit(3000, queued(3, "dev", 1), queued(2, "dev", 2), queued(3, "dev2", 1)))
	list := func(q *v1.ListExecutionsForThing) (got string) {
		reply, err := ListForThing(m, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range reply.Executions {
			got += fmt.Sprintf("%s.%d ", e.JobId, e.ExecutionNumber)
		}
		return got
	}
	if got := list(&v1.ListExecutionsForThing{Thing: "dev"}); got != "b.2 c.1 a.1 b.1 " {
		t.Errorf("all: %s", got)
	}
	if got := list(&v1.ListExecutionsForThing{Thing: "dev", Status: failed}); got != "b.1 " {
		t.Errorf("failed: %s", got)
	}
	if got := list(&v1.ListExecutionsForThing{Thing: "dev", JobId: "b"}); got != "b.2 b.1 " {
		t.Errorf("of job b: %s", got)
	}
	if got := list(&v1.ListExecutionsForThing{Thing: "dev", JobId: "b", Status: failed}); got != "b.1 " {
		t.Errorf("failed, of job b: %s", got)
	}
	if got := list(&v1.ListExecutionsForThing{Thing: "nobody"}); got != "" {
		t.Errorf("of nobody: %s", got)
	}
	jobs.Apply(m, id.JobLog, commit(0, &v1.Event{Event: &v1.Event_JobCreated{JobCreated: &v1.JobCreated{Job: 4, JobId: "d", NamespaceId: "fleet"}}}))
	Apply(m, id.ExecutionLog(0), commit(4000, queued(4, "dev", 1)))
	if got := list(&v1.ListExecutionsForThing{Thing: "dev", NamespaceId: "fleet"}); got != "d.1 " {
		t.Errorf("in a namespace: %s", got)
	}
}

// Deleted attempts are gone from every list, and the one before is the latest.
func TestADeletedAttemptIsGone(t *testing.T) {
	m := state(t, "fw")
	Apply(m, id.ExecutionLog(0), commit(1000, queued(1, "dev", 1), changed(1, "dev", 1, failed), queued(1, "dev", 2), queued(1, "dev", 3)))
	deleted := func(number uint64) *v1.Event {
		return &v1.Event{Event: &v1.Event_ExecutionDeleted{ExecutionDeleted: &v1.ExecutionDeleted{
			Job: 1, Thing: &v1.ThingRef{Name: "dev", Number: 1}, ExecutionNumber: number, QueuedAtMs: 1000,
		}}}
	}
	Apply(blind{m}, id.ExecutionLog(0), commit(2000, deleted(2), deleted(3)))
	if got := get(t, m, "fw", "dev", 0); got.ExecutionNumber != 1 {
		t.Errorf("the latest is %v", got)
	}
	_, err := Get(m, &v1.GetExecution{JobId: "fw", Thing: "dev", ExecutionNumber: 2})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "executionNumber")
	reply, err := ListForThing(m, &v1.ListExecutionsForThing{Thing: "dev", JobId: "fw"})
	if err != nil || len(reply.Executions) != 1 {
		t.Errorf("got %v, %v", reply, err)
	}
	if got := listForJob(t, m, &v1.ListExecutionsForJob{JobId: "fw", Page: &v1.Page{}}); got != "fw/dev " {
		t.Errorf("the job's: %s", got)
	}
}

func TestWhatIsNotThereIsRefusedByField(t *testing.T) {
	m := state(t, "fw")
	Apply(m, id.ExecutionLog(0), commit(1, queued(1, "dev", 1)))
	for _, c := range []struct {
		q     *v1.GetExecution
		code  v1.RefusalCode
		field string
	}{
		{&v1.GetExecution{JobId: "no", Thing: "dev"}, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "jobId"},
		{&v1.GetExecution{JobId: "fw", Thing: "de"}, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "thingName"},
		{&v1.GetExecution{JobId: "fw", Thing: "dev", ExecutionNumber: 2}, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "executionNumber"},
		{&v1.GetExecution{JobId: "fw", Thing: "d>"}, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "thingName"},
		{&v1.GetExecution{JobId: "f.w", Thing: "dev"}, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "jobId"},
	} {
		_, err := Get(m, c.q)
		refused(t, err, c.code, c.field)
	}
	_, err := ListForJob(m, &v1.ListExecutionsForJob{JobId: "no"})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "jobId")
	_, err = ListForThing(m, &v1.ListExecutionsForThing{Thing: "dev", JobId: "no"})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "jobId")
	_, err = ListForThing(m, &v1.ListExecutionsForThing{Thing: "*"})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "thingName")
	// A token of one job does not lead into another's executions.
	_, err = ListForJob(state(t, "x"), &v1.ListExecutionsForJob{JobId: "x", Page: &v1.Page{Token: "ZQ"}})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "nextToken")
}

// Whatever stands in keys and rows, they are read or are a damaged store; what is read is written the same.
func FuzzRows(f *testing.F) {
	f.Add([]byte(rowKey(1, "dev", 2)), []byte{8, 1})
	f.Add([]byte(thingKey("dev", 5, 1, 2)), []byte{})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		attempt := func(f func()) {
			defer func() {
				if p := recover(); p != nil {
					if _, ok := p.(*kv.Failure); !ok {
						panic(p)
					}
				}
			}()
			f()
		}
		attempt(func() {
			key := append([]byte{tableRow}, key...)
			row := read(key, value)
			if again := rowKey(row.Job, row.Thing, row.ExecutionNumber); string(again) != string(key) {
				t.Fatalf("%q became %q", key, again)
			}
		})
		attempt(func() {
			thing, job, attempt := parseThingKey(append([]byte{tableThing}, key...))
			again := thingKey(thing, 0, job, attempt)
			if len(again) != len(key)+1 {
				t.Fatalf("%q became %q", key, again)
			}
		})
	})
}

// state knows jobs 1, 2, … by these ids.
func state(t testing.TB, ids ...string) *kv.Overlay {
	t.Helper()
	m := kv.NewOverlay(kv.NewMemory())
	for i, name := range ids {
		jobs.Apply(m, id.JobLog, commit(0, &v1.Event{Event: &v1.Event_JobCreated{JobCreated: &v1.JobCreated{Job: uint64(i + 1), JobId: name}}}))
	}
	return m
}

// blind fails the test of a model that reads.
type blind struct{ kv.Writer }

func commit(at int64, events ...*v1.Event) *v1.Commit {
	c := &v1.Commit{AtMs: at}
	for _, e := range events {
		c.Entries = append(c.Entries, &v1.Entry{Event: e})
	}
	return c
}

func queued(job uint64, thing string, attempt uint64) *v1.Event {
	return &v1.Event{Event: &v1.Event_ExecutionQueued{ExecutionQueued: &v1.ExecutionQueued{
		Job: job, Thing: &v1.ThingRef{Name: thing, Number: 1}, ExecutionNumber: attempt,
	}}}
}

func changed(job uint64, thing string, attempt uint64, to v1.ExecutionStatus) *v1.Event {
	return &v1.Event{Event: &v1.Event_ExecutionChanged{ExecutionChanged: &v1.ExecutionChanged{
		Job: job, Thing: thing, ExecutionNumber: attempt, From: queuedStatus, To: to, VersionNumber: 2,
	}}}
}

func get(t *testing.T, r kv.Reader, job, thing string, attempt uint64) *v1.ExecutionRow {
	t.Helper()
	reply, err := Get(r, &v1.GetExecution{JobId: job, Thing: thing, ExecutionNumber: attempt})
	if err != nil {
		t.Fatal(err)
	}
	return reply.Execution
}

func listForJob(t *testing.T, r kv.Reader, q *v1.ListExecutionsForJob) (got string) {
	t.Helper()
	for {
		reply, err := ListForJob(r, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range reply.Executions {
			got += e.JobId + "/" + e.Thing + " "
		}
		if reply.NextToken == "" {
			return got
		}
		got += "| "
		q.Page.Token = reply.NextToken
	}
}

func refused(t *testing.T, err error, code v1.RefusalCode, field string) {
	t.Helper()
	var r *v1.Refusal
	if !errors.As(err, &r) || r.Code != code || r.Field != field {
		t.Errorf("want %s of %s, got %v", code, field, err)
	}
}
