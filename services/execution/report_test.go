package execution

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core/coretest"
)

func detail(pairs ...string) (list []*v1.Detail) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, &v1.Detail{Name: pairs[i], Value: pairs[i+1]})
	}
	return list
}

func many(n int) (list []*v1.Detail) {
	for i := range n {
		list = append(list, &v1.Detail{Name: fmt.Sprintf("k%02d", i), Value: "v"})
	}
	return list
}

// Specification §1.3, §3.3, §3.5, §4.4: what a request says is looked at before anything else.
func TestAMalformedUpdateIsAnInvalidRequest(t *testing.T) {
	base := func() *v1.UpdateExecution {
		return &v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: statusInProgress, ReplaceDetails: true}
	}
	for _, c := range []struct {
		name  string
		field string // empty: it is accepted
		edit  func(u *v1.UpdateExecution)
	}{
		{"as it should be", "", func(u *v1.UpdateExecution) {}},
		{"no thing", "thingName", func(u *v1.UpdateExecution) { u.Thing = "" }},
		{"a thing with a dot", "thingName", func(u *v1.UpdateExecution) { u.Thing = "a.b" }},
		{"$next", "jobId", func(u *v1.UpdateExecution) { u.JobId = "$next" }},
		{"a job with a colon", "jobId", func(u *v1.UpdateExecution) { u.JobId = "a:b" }},
		{"a job of 65", "jobId", func(u *v1.UpdateExecution) { u.JobId = strings.Repeat("j", 65) }},
		{"no status", "status", func(u *v1.UpdateExecution) { u.Status = 0 }},
		{"status 99", "status", func(u *v1.UpdateExecution) { u.Status = 99 }},
		{"CANCELED", "status", func(u *v1.UpdateExecution) { u.Status = statusCanceled }},
		{"step -2", "stepTimeoutInMinutes", func(u *v1.UpdateExecution) { u.StepTimeoutMinutes = -2 }},
		{"step -1", "", func(u *v1.UpdateExecution) { u.StepTimeoutMinutes = -1 }},
		{"step 10080", "", func(u *v1.UpdateExecution) { u.StepTimeoutMinutes = 10080 }},
		{"step 10081", "stepTimeoutInMinutes", func(u *v1.UpdateExecution) { u.StepTimeoutMinutes = 10081 }},
		{"10 details", "", func(u *v1.UpdateExecution) { u.StatusDetails = many(10) }},
		{"11 details", "statusDetails", func(u *v1.UpdateExecution) { u.StatusDetails = many(11) }},
		{"a name of 128", "", func(u *v1.UpdateExecution) { u.StatusDetails = detail(strings.Repeat("k", 128), "v") }},
		{"a name of 129", "statusDetails", func(u *v1.UpdateExecution) { u.StatusDetails = detail(strings.Repeat("k", 129), "v") }},
		{"an empty name", "statusDetails", func(u *v1.UpdateExecution) { u.StatusDetails = detail("", "v") }},
		{"a name with a space", "statusDetails", func(u *v1.UpdateExecution) { u.StatusDetails = detail("a b", "v") }},
		{"a name twice", "statusDetails", func(u *v1.UpdateExecution) { u.StatusDetails = detail("b", "1", "a", "2", "b", "3") }},
		{"an empty value, as the device client sends", "", func(u *v1.UpdateExecution) { u.StatusDetails = detail("k", "") }},
		{"a value of 1024", "", func(u *v1.UpdateExecution) { u.StatusDetails = detail("k", strings.Repeat("é", 1024)) }},
		{"a value of 1025", "statusDetails", func(u *v1.UpdateExecution) { u.StatusDetails = detail("k", strings.Repeat("v", 1025)) }},
		{"a value with line breaks and tabs", "", func(u *v1.UpdateExecution) { u.StatusDetails = detail("k", "a\r\n\tb") }},
		{"a value in colours", "", func(u *v1.UpdateExecution) { u.StatusDetails = detail("k", "\x1b[31mred\x1b[0m") }},
		{"a value with a zero", "", func(u *v1.UpdateExecution) { u.StatusDetails = detail("k", "a\x00b") }},
		{"a value that is not UTF-8", "statusDetails", func(u *v1.UpdateExecution) { u.StatusDetails = detail("k", "a\xffb") }},
		{"a value with a format character", "", func(u *v1.UpdateExecution) { u.StatusDetails = detail("k", "a\u200bb") }},
		{"a token of 129", "clientToken", func(u *v1.UpdateExecution) { u.ClientToken = strings.Repeat("c", 129) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := put(t, statusQueued)
			cmd := base()
			c.edit(cmd)
			_, err := r.Decide(cmd)
			if c.field == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			refusal, _ := err.(*v1.Refusal)
			if code(err) != badRequest || refusal.GetField() != c.field || len(r.Fresh) != 0 {
				t.Errorf("got %v, field %q, %d events; want field %q", err, refusal.GetField(), len(r.Fresh), c.field)
			}
		})
	}
}

// Specification §3.5: schema, lookup, expected version, transition; each wins over those behind it.
func TestChecksAreMadeInOrder(t *testing.T) {
	for _, c := range []struct {
		name string
		from v1.ExecutionStatus
		cmd  *v1.UpdateExecution
		want v1.RefusalCode
	}{
		{"a bad status of an unknown job", statusQueued, &v1.UpdateExecution{Thing: "t", JobId: "none", Status: statusCanceled, ExpectedVersion: 9}, badRequest},
		{"an unknown job, a stale version", statusQueued, &v1.UpdateExecution{Thing: "t", JobId: "none", Status: statusQueued, ExpectedVersion: 9}, notFound},
		{"an unknown thing", statusQueued, &v1.UpdateExecution{Thing: "u", JobId: "job-1", Status: statusFailed}, notFound},
		{"another execution number, a stale version", statusQueued, &v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: statusFailed, ExecutionNumber: 2, ExpectedVersion: 9}, notFound},
		{"a stale version of what has ended", statusFailed, &v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: statusFailed, ExpectedVersion: 9}, badVersion},
		{"a stale version and no such transition", statusQueued, &v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: statusQueued, ExpectedVersion: 9}, badVersion},
		{"no such transition", statusQueued, &v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: statusQueued, ExpectedVersion: 1}, badTransition},
		{"as it should be", statusQueued, &v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: statusFailed, ExpectedVersion: 1, ExecutionNumber: 1}, ok},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := put(t, c.from).Decide(c.cmd); code(err) != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestAVersionMismatchSaysBothAndCarriesTheState(t *testing.T) {
	r := put(t, statusQueued)
	r.must(&v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: statusInProgress, ReplaceDetails: true, StatusDetails: detail("phase", "flash")})
	_, err := r.Decide(&v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: statusSucceeded, ExpectedVersion: 1})
	refusal := err.(*v1.Refusal)
	want := &v1.ExecutionState{Status: statusInProgress, VersionNumber: 2, StatusDetails: detail("phase", "flash")}
	if refusal.Message != "Expected version 1 but found version 2" || !proto.Equal(refusal.State, want) {
		t.Errorf("got %v", refusal)
	}
	if _, err := r.Decide(&v1.CancelExecution{Thing: "t", JobId: "job-1", Force: true, ExpectedVersion: 1}); code(err) != badVersion {
		t.Errorf("a cancel: %v", err)
	}
}

func TestStatusDetailsAreReplacedOrStay(t *testing.T) {
	r := put(t, statusQueued)
	report := func(replace bool, d []*v1.Detail) []*v1.Detail {
		reply := r.must(&v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: statusInProgress, ReplaceDetails: replace, StatusDetails: d})
		stored := r.describe("t", 1).StatusDetails
		for _, other := range [][]*v1.Detail{reply.(*v1.UpdateExecutionReply).State.StatusDetails, r.Fresh[0].GetEvent().GetExecutionChanged().StatusDetails} {
			if fmt.Sprint(other) != fmt.Sprint(stored) {
				t.Errorf("reply or event say %v, the state %v", other, stored)
			}
		}
		return stored
	}
	if got := report(true, detail("b", "2", "a", "1")); fmt.Sprint(got) != fmt.Sprint(detail("a", "1", "b", "2")) {
		t.Errorf("replaced: %v", got)
	}
	if got := report(false, nil); fmt.Sprint(got) != fmt.Sprint(detail("a", "1", "b", "2")) {
		t.Errorf("left: %v", got)
	}
	if got := report(true, detail("c", "3")); fmt.Sprint(got) != fmt.Sprint(detail("c", "3")) {
		t.Errorf("replaced again: %v", got)
	}
	if got := report(true, nil); len(got) != 0 {
		t.Errorf("replaced by none: %v", got)
	}
}

func TestTheRepeatOfTheUpdateThatEndedItIsAcceptedAndWritesNothing(t *testing.T) {
	last := func() *v1.UpdateExecution {
		return &v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: statusFailed, ExpectedVersion: 2, ClientToken: "c", ReplaceDetails: true, StatusDetails: detail("a", "1")}
	}
	for _, c := range []struct {
		name string
		edit func(u *v1.UpdateExecution)
		want v1.RefusalCode
	}{
		{"the same", func(u *v1.UpdateExecution) {}, ok},
		{"another token", func(u *v1.UpdateExecution) { u.ClientToken, u.ExpectedVersion = "d", 0 }, badTransition},
		{"no token", func(u *v1.UpdateExecution) { u.ClientToken, u.ExpectedVersion = "", 0 }, badTransition},
		{"another status", func(u *v1.UpdateExecution) { u.Status, u.ExpectedVersion = statusSucceeded, 0 }, badTransition},
		{"other details", func(u *v1.UpdateExecution) { u.StatusDetails, u.ExpectedVersion = detail("a", "2"), 0 }, badTransition},
		{"another version", func(u *v1.UpdateExecution) { u.ExpectedVersion = 1 }, badVersion},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := put(t, statusInProgress)
			r.must(last())
			cmd := last()
			c.edit(cmd)
			reply, err := r.Decide(cmd)
			if code(err) != c.want || len(r.Fresh) != 0 {
				t.Fatalf("got %v and %s, want %v", err, coretest.Text(r.Fresh), c.want)
			}
			if c.want == ok && reply.(*v1.UpdateExecutionReply).State.VersionNumber != 3 {
				t.Errorf("reply %v", reply)
			}
		})
	}
	t.Run("an empty token never repeats", func(t *testing.T) {
		r := put(t, statusInProgress)
		cmd := last()
		cmd.ClientToken, cmd.ExpectedVersion = "", 0
		r.must(cmd)
		if _, err := r.Decide(cmd); code(err) != badTransition {
			t.Errorf("got %v", err)
		}
	})
}

func TestAnUpdateAnswersWithStateDocumentTimeAndPosition(t *testing.T) {
	r := put(t, statusQueued)
	reply := r.must(&v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: statusInProgress, IncludeDocument: true}).(*v1.UpdateExecutionReply)
	if string(reply.Document) != `{"job":1}` || reply.AtMs != r.Now || reply.State.VersionNumber != 2 {
		t.Errorf("got %v", reply)
	}
	last := r.History[len(r.History)-1]
	if reply.Position.Number != last.Number || reply.Position.Service != v1.Service_SERVICE_EXECUTION {
		t.Errorf("position %v, the event is at %d", reply.Position, last.Number)
	}
}

// Specification §3.3 and §11 test 4.
func TestStartNextTakesTheHeadAndIsTheSameTwice(t *testing.T) {
	r := newRun(t)
	if reply := r.must(&v1.StartNext{Thing: "t"}).(*v1.StartNextReply); reply.Execution != nil || len(r.Fresh) != 0 {
		t.Errorf("with nothing pending: %v", reply)
	}
	r.open(1, 20)
	r.open(2, 0)
	r.release(1, "t")
	r.release(2, "t")
	r.Now += 100
	first := r.must(&v1.StartNext{Thing: "t", StatusDetails: detail("b", "2", "a", "1"), StepTimeoutMinutes: 7}).(*v1.StartNextReply)
	e := first.Execution
	if e.JobId != "job-1" || e.Status != statusInProgress || e.VersionNumber != 2 || e.StartedAtMs != r.Now || e.DeadlineMs != r.Now+7*minute ||
		fmt.Sprint(e.StatusDetails) != fmt.Sprint(detail("a", "1", "b", "2")) || string(e.Document) != `{"job":1}` {
		t.Errorf("first: %v", e)
	}
	if !proto.Equal(withoutDocument(e), r.describe("t", 1)) {
		t.Errorf("the answer says %v, the state %v", e, r.describe("t", 1))
	}
	r.Now += 100
	second := r.must(&v1.StartNext{Thing: "t", StatusDetails: detail("c", "3")}).(*v1.StartNextReply)
	if !proto.Equal(second.Execution, e) || len(r.Fresh) != 0 {
		t.Errorf("second: %v with\n%s", second, coretest.Text(r.Fresh))
	}
	// U17: the step timer of a start-next of what is in progress is applied; the version stays.
	third := r.must(&v1.StartNext{Thing: "t", StepTimeoutMinutes: 1}).(*v1.StartNextReply)
	if third.Execution.VersionNumber != 2 || third.Execution.DeadlineMs != r.Now+minute || len(r.Fresh) != 1 {
		t.Errorf("third: %v", third)
	}
	if e := third.Execution; !proto.Equal(withoutDocument(e), r.describe("t", 1)) {
		t.Errorf("the answer says %v, the state %v", e, r.describe("t", 1))
	}
	r.must(&v1.StartNext{Thing: "t", StepTimeoutMinutes: -1})
	if d := r.describe("t", 1).DeadlineMs; d != e.StartedAtMs+20*minute {
		t.Errorf("the step timer is off; the deadline is %d", d)
	}
	if r.must(&v1.StartNext{Thing: "t", StepTimeoutMinutes: -1}); len(r.Fresh) != 0 {
		t.Errorf("again: %s", coretest.Text(r.Fresh))
	}
}

func withoutDocument(e *v1.Execution) *v1.Execution {
	e = proto.CloneOf(e)
	e.Document = nil
	return e
}

// Specification §3.7.
func TestPendingExecutionsStandInOrderAndTenAreShown(t *testing.T) {
	r := newRun(t)
	for job := range uint64(12) {
		r.open(job+1, 0)
	}
	r.release(5, "t")
	r.release(3, "t") // queued in the same millisecond: the older job first
	r.Now++
	for job := uint64(12); job > 5; job-- {
		r.release(job, "t")
		r.Now++
	}
	r.release(4, "t")
	r.release(1, "t")
	if got, want := r.pending("t"), "|3 5 12 11 10 9 8 7 6 1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := r.update("t", 4, statusInProgress); err != nil {
		t.Fatal(err)
	}
	if err := r.update("t", 9, statusInProgress); err != nil {
		t.Fatal(err)
	}
	if got, want := r.pending("t"), "9 4|3 5 12 11 10 8 7 6"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := r.must(&v1.StartNext{Thing: "t"}).(*v1.StartNextReply).Execution.JobId; got != "job-9" {
		t.Errorf("the head is %s", got)
	}
	if got := r.pending("nobody"); got != "|" {
		t.Errorf("a thing without executions has %s", got)
	}
}

func TestDescribeTellsTheHeadTheLatestAndToOperatorsWhatHasEnded(t *testing.T) {
	r := put(t, statusQueued)
	ask := func(q *v1.DescribeExecution) (*v1.Execution, v1.RefusalCode) {
		reply, err := r.Answer(q)
		if err != nil {
			return nil, code(err)
		}
		return reply.(*v1.DescribeExecutionReply).Execution, ok
	}
	if e, _ := ask(&v1.DescribeExecution{Thing: "t", JobId: "$next", IncludeDocument: true}); e.GetJobId() != "job-1" || string(e.GetDocument()) != `{"job":1}` {
		t.Errorf("$next: %v", e)
	}
	if e, c := ask(&v1.DescribeExecution{Thing: "u", JobId: "$next"}); e != nil || c != ok {
		t.Errorf("$next of nothing: %v, %v", e, c)
	}
	for _, q := range []*v1.DescribeExecution{{Thing: "t", JobId: "none"}, {Thing: "u", JobId: "job-1"}, {Thing: "t", JobId: "job-1", ExecutionNumber: 2}} {
		if _, c := ask(q); c != notFound {
			t.Errorf("%v: %v", q, c)
		}
	}
	if _, c := ask(&v1.DescribeExecution{Thing: "t", JobId: "a b"}); c != badRequest {
		t.Errorf("a bad job id: %v", c)
	}
	r.must(&v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: statusSucceeded})
	if _, c := ask(&v1.DescribeExecution{Thing: "t", JobId: "job-1"}); c != terminal {
		t.Errorf("ended: %v", c)
	}
	if e, _ := ask(&v1.DescribeExecution{Thing: "t", JobId: "job-1", ExecutionNumber: 1, IncludeEnded: true}); e.GetStatus() != statusSucceeded || e.GetDocument() != nil {
		t.Errorf("ended, for an operator: %v", e)
	}
	if e, c := ask(&v1.DescribeExecution{Thing: "t", JobId: "$next"}); e != nil || c != ok {
		t.Errorf("$next: %v, %v", e, c)
	}
}

func TestAJobIDMeansItsLatestJob(t *testing.T) {
	r := newRun(t)
	learn := func(job uint64) {
		r.react(&v1.Event{Event: &v1.Event_JobOpened{JobOpened: &v1.JobOpened{Job: job, JobId: "fw", Document: []byte("{}")}}})
	}
	learn(1)
	r.release(1, "t")
	r.must(&v1.UpdateExecution{Thing: "t", JobId: "fw", Status: statusSucceeded})
	learn(2)
	if _, err := r.Decide(&v1.UpdateExecution{Thing: "t", JobId: "fw", Status: statusSucceeded}); code(err) != notFound {
		t.Errorf("before its release: %v", err)
	}
	r.release(2, "t")
	r.must(&v1.UpdateExecution{Thing: "t", JobId: "fw", Status: statusRejected})
	if got := r.Fresh[0].GetEvent().GetExecutionChanged(); got.Job != 2 || got.ExecutionNumber != 1 {
		t.Errorf("got %v", got)
	}
}

func TestExecutionRefusesWhatItDoesNotHave(t *testing.T) {
	r := newRun(t)
	if _, err := r.Decide(&v1.CreateJob{}); code(err) != v1.RefusalCode_REFUSAL_CODE_NOT_SUPPORTED {
		t.Errorf("a command: %v", err)
	}
	if _, err := r.Answer(&v1.CheckTargets{}); code(err) != v1.RefusalCode_REFUSAL_CODE_NOT_SUPPORTED {
		t.Errorf("a query: %v", err)
	}
}
