package execution

import (
	"fmt"
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core/coretest"
)

const nextWindow = 9_000_000

func (r run) window(job uint64, open bool) {
	if open {
		r.react(&v1.Event{Event: &v1.Event_WindowOpened{WindowOpened: &v1.WindowOpened{Job: job, ClosesAtMs: nextWindow}}})
	} else {
		r.react(&v1.Event{Event: &v1.Event_WindowClosed{WindowClosed: &v1.WindowClosed{Job: job, OpensAtMs: nextWindow}}})
	}
}

// windowed is a home with job 1, which has windows, three retries and an open window, and job 2; things t and u have both
// queued, job 1 first.
func windowed(t testing.TB) run {
	r := newRun(t)
	r.openWith(1, func(o *v1.JobOpened) {
		o.Scheduled, o.Windowed = true, true
		o.Retry = &v1.RetryConfig{Criteria: []*v1.RetryCriterion{retries(onAll, 3)}}
	})
	r.open(2, 0)
	r.window(1, true)
	r.Due()
	r.release(1, "t", "u")
	r.Now++
	r.release(2, "t", "u")
	r.Now++
	return r
}

// Specification §3.7 and §4.12: the answers obey from the commit that learned of the window; nothing was done in slices yet.
func TestAClosedWindowHidesWhatIsQueued(t *testing.T) {
	r := windowed(t)
	r.must(&v1.StartNext{Thing: "u"})
	r.window(1, false)
	if len(r.Fresh) != 1 || r.Fresh[0].GetEvent().GetWindowLearned() == nil {
		t.Fatalf("got %s", coretest.Text(r.Fresh))
	}
	if r.pending("t") != "|2" || r.pending("u") != "1|2" {
		t.Errorf("t has %s, u has %s", r.pending("t"), r.pending("u"))
	}
	if reply, _ := r.Answer(&v1.DescribeExecution{Thing: "t", JobId: "$next"}); reply.(*v1.DescribeExecutionReply).Execution.GetJobId() != "job-2" {
		t.Errorf("$next: %v", reply)
	}
	if _, err := r.Answer(&v1.DescribeExecution{Thing: "t", JobId: "job-1"}); code(err) != notFound {
		t.Errorf("describe: %v", err)
	}
	if e := r.describe("t", 1); e.Status != statusQueued {
		t.Errorf("an operator finds %v", e)
	}
	for _, to := range []v1.ExecutionStatus{statusInProgress, statusSucceeded, statusRejected, statusQueued} {
		if err := r.update("t", 1, to); code(err) != notFound || len(r.Fresh) != 0 {
			t.Errorf("%v: %v", to, err)
		}
	}
	if err := r.update("u", 1, statusInProgress); err != nil {
		t.Errorf("what is in progress: %v", err)
	}
	if e := r.must(&v1.StartNext{Thing: "t"}).(*v1.StartNextReply).Execution; e.GetJobId() != "job-2" {
		t.Errorf("start-next: %v", e)
	}
	if _, err := r.Decide(&v1.CancelExecution{Thing: "t", JobId: "job-1"}); err != nil {
		t.Errorf("an operator's cancel: %v", err)
	}
	r.window(1, true)
	if r.pending("u") != "1|2" || r.pending("t") != "2|" {
		t.Errorf("t has %s, u has %s", r.pending("t"), r.pending("u"))
	}
}

// U23: devices are told in slices; what is in progress is not hidden, and what did not change is not told.
func TestDevicesAreToldWhenAWindowClosesAndOpens(t *testing.T) {
	r := windowed(t)
	r.must(&v1.StartNext{Thing: "u"})
	for _, c := range []struct {
		open bool
		list string
		head string
	}{{false, "2", "job-2"}, {true, "1 2", "job-1"}} {
		r.window(1, c.open)
		if told := r.Notify(); len(told) != 0 {
			t.Errorf("by the intent alone: %v", told)
		}
		entries := r.Due()
		if len(entries) != 2 || len(entries[0].GetEvent().GetExecutionsShown().GetThings()) != 1 {
			t.Fatalf("got %s", coretest.Text(entries))
		}
		told := r.Notify()
		if len(told) != 1 || told[0].Thing != "t" || ids(told[0].List.GetQueued()) != c.list || told[0].Head.GetExecution().GetJobId() != c.head {
			t.Errorf("open %v: %v", c.open, told)
		}
	}
	// A takeover between the two tells nothing: it is as it was.
	if told := r.Core.Notify(r.State, r.Now, r.History[len(r.History)-6:]); len(told) != 0 {
		t.Errorf("both together: %v", told)
	}
}

// An execution that the device was not told of is told as soon as it moves.
func TestWhatWasHiddenIsToldAsItStarts(t *testing.T) {
	r := windowed(t)
	r.window(1, false)
	r.Due()
	r.window(1, true)
	r.must(&v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: statusInProgress})
	told := r.Notify()
	if len(told) != 1 || ids(told[0].List.GetInProgress()) != "1" || told[0].Head.GetExecution().GetJobId() != "job-1" {
		t.Errorf("got %v", told)
	}
	r.Due()
	if told := r.Notify(); len(told) != 1 || told[0].Thing != "u" {
		t.Errorf("then: %v", told)
	}
}

// What ends while it is hidden is told to nobody.
func TestTheEndOfWhatIsHiddenIsNotTold(t *testing.T) {
	for name, end := range map[string]func(r run){
		"a cancel":     func(r run) { r.must(&v1.CancelExecution{Thing: "t", JobId: "job-1"}) },
		"a deletion":   func(r run) { r.must(&v1.DeleteExecution{Thing: "t", JobId: "job-1", ExecutionNumber: 1, Force: true}) },
		"a withdrawal": func(r run) { r.withdraw(1, "t") },
		"a stop":       func(r run) { r.stop(1, false); r.Due() },
	} {
		r := windowed(t)
		r.window(1, false)
		r.Due()
		if end(r); len(r.Fresh) == 0 {
			t.Errorf("%s does nothing", name)
		}
		if told := r.Notify(); len(told) != 0 {
			t.Errorf("%s: %v", name, told)
		}
	}
}

// Specification §4.8: a failure outside the window is tried again when the next one opens.
func TestARetryWaitsForTheWindow(t *testing.T) {
	due := func(t *testing.T) run {
		r := windowed(t)
		r.must(&v1.StartNext{Thing: "t"})
		r.window(1, false)
		r.Due()
		if err := r.update("t", 1, statusFailed); err != nil {
			t.Fatal(err)
		}
		if len(r.Fresh) != 1 || !r.Fresh[0].GetEvent().GetExecutionChanged().GetRetryDue() || r.Fresh[0].GetReason().GetCode() != v1.ReasonCode_REASON_CODE_RETRY_DEFERRED {
			t.Fatalf("got %s", coretest.Text(r.Fresh))
		}
		if e := r.describe("t", 1); e.Status != statusFailed || r.pending("t") != "|2" {
			t.Fatalf("t has %v, %s", e, r.pending("t"))
		}
		r.Now++
		return r
	}
	t.Run("and is made when it opens", func(t *testing.T) {
		r := due(t)
		r.window(1, true)
		r.Due()
		if e := r.describe("t", 1); e.Status != statusQueued || e.ExecutionNumber != 2 || e.RetryAttempt != 1 || e.QueuedAtMs != r.Now {
			t.Errorf("got %v", e)
		}
	})
	for name, drop := range map[string]func(r run){
		"a stop":                 func(r run) { r.stop(1, false); r.Due() },
		"the end":                func(r run) { r.stopAs(1, phaseEnded); r.Due() },
		"a withdrawal":           func(r run) { r.withdraw(1, "t") },
		"the thing's deletion":   func(r run) { r.forget("t") },
		"no more retries":        func(r run) { r.change(&v1.JobChanged{Job: 1, Retry: &v1.RetryConfig{}}); r.Due() },
		"a stop, while it opens": func(r run) { r.window(1, true); r.stop(1, false); r.Due() },
	} {
		t.Run(name+" drops it", func(t *testing.T) {
			r := due(t)
			drop(r)
			dropped := 0
			for _, p := range r.History {
				if d := p.Entry.GetEvent().GetRetryDropped(); d != nil && d.Thing.Name == "t" && d.ExecutionNumber == 1 && d.Status == statusFailed && d.StartedAtMs != 0 {
					dropped++
				}
				if q := p.Entry.GetEvent().GetExecutionQueued(); q.GetRetryAttempt() > 0 {
					t.Errorf("queued: %v", q)
				}
			}
			if dropped != 1 {
				t.Errorf("dropped %d times", dropped)
			}
			r.window(1, true)
			if r.Due(); r.pending("t") == "|1 2" {
				t.Error("it was made later")
			}
		})
	}
	t.Run("its attempt is deleted", func(t *testing.T) {
		r := due(t)
		r.must(&v1.DeleteExecution{Thing: "t", JobId: "job-1", ExecutionNumber: 1})
		if d := r.Fresh[0].GetEvent().GetExecutionDeleted(); !d.GetRetryDue() || !d.GetLast() || len(r.Fresh) != 1 {
			t.Errorf("got %s", coretest.Text(r.Fresh))
		}
		r.window(1, true)
		if r.Due(); r.pending("t") != "|2" {
			t.Errorf("t has %s", r.pending("t"))
		}
	})
}

func TestAWindowIsToldToThousandsInSlices(t *testing.T) {
	r := newRun(t)
	r.Seldom = true
	r.openWith(1, func(o *v1.JobOpened) { o.Windowed = true })
	r.window(1, true)
	r.Due()
	const n = 2000
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("thing-%04d", i))
	}
	r.release(1, names[:1000]...)
	r.release(1, names[1000:]...)
	for _, open := range []bool{false, true} {
		r.window(1, open)
		told := 0
		for _, e := range r.Due() {
			s := e.GetEvent().GetExecutionsShown()
			if told += len(s.GetThings()); s.GetShown() != open || len(s.GetThings()) > slice {
				t.Errorf("got %v", s)
			}
		}
		if told != n || len(r.Notify()) != n {
			t.Errorf("open %v: %d things in slices, %d told", open, told, len(r.Notify()))
		}
	}
	// A window that closes while it is being opened: only those that were told it opened are told that it closed.
	r.window(1, false)
	r.Due()
	r.window(1, true)
	r.Given(shownEvent(window{1, true}, scanThings(r.State, pendingPrefix(1, classHidden))))
	r.window(1, false)
	told := 0
	for _, e := range r.Due() {
		told += len(e.GetEvent().GetExecutionsShown().GetThings())
	}
	if told != slice {
		t.Errorf("%d things were told, %d knew of it", told, slice)
	}
}

// A takeover goes through many entries thing by thing.
func TestAnEventIsCutDownToSomeThings(t *testing.T) {
	shown := shownEvent(window{1, true}, []string{"a", "b", "c"})
	queued := &v1.Event{Event: &v1.Event_ExecutionQueued{ExecutionQueued: &v1.ExecutionQueued{Thing: &v1.ThingRef{Name: "a"}}}}
	report := &v1.Event{Event: &v1.Event_ExecutionChanged{ExecutionChanged: &v1.ExecutionChanged{Thing: "a", From: statusInProgress, To: statusInProgress}}}
	past := &v1.Event{Event: &v1.Event_ExecutionDeleted{ExecutionDeleted: &v1.ExecutionDeleted{Thing: &v1.ThingRef{Name: "a"}, Status: statusFailed}}}
	for _, c := range []struct {
		event *v1.Event
		part  string
		want  string
	}{
		{shown, "abc", `job:1 things:"a" things:"b" things:"c" shown:true`},
		{shown, "bd", `job:1 things:"b" shown:true`},
		{shown, "d", ""},
		{queued, "a", "as it is"},
		{queued, "b", ""},
		{report, "a", ""},
		{past, "a", ""},
		{shownEvent(window{1, true}, nil), "abc", ""},
	} {
		got := new(Core).Cut(c.event, func(thing string) bool { return strings.Contains(c.part, thing) })
		text := strings.Join(strings.Fields(got.GetExecutionsShown().String()), " ")
		if got == c.event && c.event != shown {
			text = "as it is"
		}
		if got == nil {
			text = ""
		}
		if text != c.want {
			t.Errorf("%v, of %s: %s, want %s", c.event, c.part, text, c.want)
		}
	}
}
