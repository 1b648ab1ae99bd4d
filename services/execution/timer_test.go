package execution

import (
	"fmt"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// The worked example of specification §4.9: in-progress 20 min, started 12:00; 12:05 step 7 → 12:12; 12:10 step 5 →
// 12:15; 12:13 step 9 would be 12:22 and is capped to 12:20.
func TestTheWorkedExampleOfTheTimers(t *testing.T) {
	r := newRun(t)
	r.open(1, 20)
	r.release(1, "t")
	noon := r.Now + 1234
	at := func(m int64) int64 { return noon + m*minute }
	r.Now = noon
	r.must(&v1.StartNext{Thing: "t"})
	r.wantDeadline(at(20))
	for _, step := range []struct {
		at      int64
		minutes int32
		want    int64
	}{{5, 7, 12}, {10, 5, 15}, {13, 9, 20}} {
		r.Now = at(step.at)
		if len(r.Due()) != 0 {
			t.Fatalf("timed out at 12:%02d", step.at)
		}
		r.must(&v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: statusInProgress, StepTimeoutMinutes: step.minutes})
		r.wantDeadline(at(step.want))
	}
	r.Now = at(14)
	r.must(&v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: statusInProgress})
	r.wantDeadline(at(20)) // a report without a step timeout leaves the timer

	r.Now = at(20) - 1
	if r.Due(); len(r.Fresh) != 0 || r.Next != at(20) {
		t.Fatalf("a millisecond early: %v, look again at %d", r.Fresh, r.Next)
	}
	r.Now = at(20)
	r.Due()
	if got := r.describe("t", 1); got.Status != statusTimedOut || got.DeadlineMs != 0 {
		t.Errorf("got %v", got)
	}
	reason := r.Fresh[0].GetReason()
	if reason.GetCode() != v1.ReasonCode_REASON_CODE_IN_PROGRESS_TIMEOUT || reason.GetNumbers()[0] != at(20) {
		t.Errorf("reason %v", reason)
	}
	if r.Next != core.Never {
		t.Errorf("look again at %d", r.Next)
	}
}

func (r run) wantDeadline(want int64) {
	r.T.Helper()
	if got := r.describe("t", 1).DeadlineMs; got != want {
		r.T.Errorf("deadline %d, want %d", got, want)
	}
	if r.Due(); r.Next != want {
		r.T.Errorf("look again at %d, want %d", r.Next, want)
	}
}

func TestAStepTimerEndsAnExecutionAndMinusOneClearsIt(t *testing.T) {
	r := put(t, statusInProgress)
	start := r.Now
	r.must(&v1.StartNext{Thing: "t", StepTimeoutMinutes: 1})
	r.must(&v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: statusInProgress, StepTimeoutMinutes: -1})
	r.Now = start + minute
	if r.Due(); len(r.Fresh) != 0 {
		t.Fatal("a timer that was cleared went off")
	}
	r.must(&v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: statusInProgress, StepTimeoutMinutes: 2})
	r.Now += 2 * minute
	r.Due()
	if code := r.Fresh[0].GetReason().GetCode(); code != v1.ReasonCode_REASON_CODE_STEP_TIMEOUT {
		t.Errorf("reason %v", code)
	}
}

func TestNoTimerOutlivesItsExecution(t *testing.T) {
	for _, to := range []v1.ExecutionStatus{statusSucceeded, statusFailed, statusRejected} {
		r := put(t, statusInProgress)
		r.must(&v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: to})
		r.Now += 10 * minute
		if r.Due(); len(r.Fresh) != 0 || r.Next != core.Never {
			t.Errorf("after %v: %v, look again at %d", to, r.Fresh, r.Next)
		}
	}
}

func TestThousandsOfTimersGoOffInBoundedSteps(t *testing.T) {
	r := newRun(t)
	r.Seldom = true
	r.open(1, 1)
	const n = 2500
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("thing-%04d", i))
	}
	for from := 0; from < n; from += 500 {
		r.release(1, names[from:from+500]...)
	}
	for _, name := range names {
		r.must(&v1.StartNext{Thing: name})
	}
	r.Now += minute
	if got := len(r.Due()); got != n || r.Next != core.Never {
		t.Errorf("%d of %d timed out; look again at %d", got, n, r.Next)
	}
}
