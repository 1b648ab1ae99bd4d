package execution

import (
	"fmt"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
	"github.com/droverhq/drover/services/core/coretest"
)

// fleet is a run with a job on n things, the first half of them in progress.
func fleet(t testing.TB, n int) (run, []string) {
	r := newRun(t)
	r.Seldom = true
	r.open(1, 0)
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("thing-%05d", i))
	}
	for from := 0; from < n; from += 1000 {
		r.release(1, names[from:min(from+1000, n)]...)
	}
	for _, name := range names[:n/2] {
		r.must(&v1.StartNext{Thing: name})
	}
	return r, names
}

func TestAStopIsCarriedOutInSlicesAndThenSettled(t *testing.T) {
	for _, force := range []bool{false, true} {
		t.Run(fmt.Sprint("force ", force), func(t *testing.T) {
			r, _ := fleet(t, 3000)
			r.stop(1, force)
			if len(r.Fresh) != 1 || r.Fresh[0].GetEvent().GetStopLearned().GetForce() != force {
				t.Fatalf("got %s", coretest.Text(r.Fresh))
			}
			canceled, forced := 0, 0
			entries := r.Due()
			for _, e := range entries {
				if c := e.GetEvent().GetExecutionChanged(); c != nil && c.To == statusCanceled {
					canceled++
					if c.ForceCanceled {
						forced++
					}
				}
			}
			wantCanceled, wantForced, phase := 1500, 0, v1.JobPhase_JOB_PHASE_STOPPED
			if force {
				wantCanceled, wantForced, phase = 3000, 1500, v1.JobPhase_JOB_PHASE_FORCE_STOPPED
			}
			last := entries[len(entries)-1].GetEvent().GetHomeSettled()
			if canceled != wantCanceled || forced != wantForced || len(entries) != canceled+1 || last.GetPhase() != phase {
				t.Errorf("%d canceled, %d by force, settled %v", canceled, forced, last)
			}
			if r.Next != core.Never {
				t.Errorf("look again at %d", r.Next)
			}
			r.stop(1, force)
			if len(r.Fresh) != 0 {
				t.Errorf("the same stop again: %s", coretest.Text(r.Fresh))
			}
		})
	}
}

func TestAForcedStopTakesTheStopBeforeItOver(t *testing.T) {
	r, names := fleet(t, 4)
	r.stop(1, false)
	r.stop(1, true)
	entries := r.Due()
	settled := 0
	for _, e := range entries {
		if s := e.GetEvent().GetHomeSettled(); s != nil {
			settled++
			if s.Phase != v1.JobPhase_JOB_PHASE_FORCE_STOPPED {
				t.Errorf("settled %v", s)
			}
		}
	}
	if settled != 1 || len(entries) != 5 {
		t.Errorf("got %s", coretest.Text(entries))
	}
	for _, name := range names {
		if got := r.describe(name, 1); got.Status != statusCanceled {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAStopThatWasSettledMayBeFollowedByAForcedOne(t *testing.T) {
	r, _ := fleet(t, 4)
	r.stop(1, false)
	r.Due()
	r.stop(1, true)
	if entries := r.Due(); len(entries) != 3 {
		t.Errorf("got %s", coretest.Text(entries))
	}
	r.stop(1, false)
	if len(r.Fresh) != 0 {
		t.Errorf("a stop without force after one with: %s", coretest.Text(r.Fresh))
	}
}

// An intent holds from its commit on: no slice has run in this test when the thing is asked about.
func TestWhoeverAsksAboutAThingFindsTheStopCarriedOut(t *testing.T) {
	begin := func(force bool) run {
		r := newRun(t)
		r.open(1, 0)
		r.open(2, 0)
		r.release(1, "t", "u")
		r.release(2, "t")
		r.must(&v1.StartNext{Thing: "u"})
		r.stop(1, force)
		return r
	}
	settles := func(t *testing.T, r run) {
		t.Helper()
		if len(r.Fresh) == 0 || r.Fresh[0].GetEvent().GetExecutionChanged().GetTo() != statusCanceled || r.Fresh[0].GetEvent().GetExecutionChanged().GetJob() != 1 {
			t.Errorf("it was not settled first: %s", coretest.Text(r.Fresh))
		}
	}
	t.Run("start-next gets the next job", func(t *testing.T) {
		r := begin(false)
		if e := r.must(&v1.StartNext{Thing: "t"}).(*v1.StartNextReply).Execution; e.GetJobId() != "job-2" {
			t.Errorf("got %v", e)
		}
		settles(t, r)
	})
	t.Run("an update is refused, and the cancel stands", func(t *testing.T) {
		r := begin(false)
		if err := r.update("t", 1, statusInProgress); code(err) != badTransition {
			t.Errorf("got %v", err)
		}
		settles(t, r)
	})
	t.Run("a cancel is refused", func(t *testing.T) {
		r := begin(false)
		if _, err := r.Decide(&v1.CancelExecution{Thing: "t", JobId: "job-1"}); code(err) != badTransition {
			t.Errorf("got %v", err)
		}
		settles(t, r)
	})
	t.Run("what is in progress goes on without force", func(t *testing.T) {
		r := begin(false)
		if err := r.update("u", 1, statusSucceeded); err != nil {
			t.Error(err)
		}
	})
	t.Run("what is in progress ends with force", func(t *testing.T) {
		r := begin(true)
		err := r.update("u", 1, statusSucceeded)
		if code(err) != badTransition || err.(*v1.Refusal).State.Status != statusCanceled {
			t.Errorf("got %v", err)
		}
	})
	t.Run("questions", func(t *testing.T) {
		r := begin(true)
		if r.pending("t") != "|2" || r.pending("u") != "|" {
			t.Errorf("t has %s, u has %s", r.pending("t"), r.pending("u"))
		}
		if e := r.describe("u", 1); e.Status != statusCanceled || !e.ForceCanceled || e.VersionNumber != 3 {
			t.Errorf("u: %v", e)
		}
		if _, err := r.Answer(&v1.DescribeExecution{Thing: "u", JobId: "job-1"}); code(err) != terminal {
			t.Errorf("u, asked by itself: %v", err)
		}
		reply, _ := r.Answer(&v1.DescribeExecution{Thing: "t", JobId: "$next"})
		if e := reply.(*v1.DescribeExecutionReply).Execution; e.GetJobId() != "job-2" {
			t.Errorf("$next of t: %v", e)
		}
	})
}

func TestAStopOfAJobWithoutExecutionsIsSettledAtOnce(t *testing.T) {
	r := newRun(t)
	r.open(1, 0)
	r.stop(1, false)
	if entries := r.Due(); len(entries) != 1 || entries[0].GetEvent().GetHomeSettled() == nil {
		t.Errorf("got %s", coretest.Text(entries))
	}
}

func TestATimerOfAStoppedExecutionCancelsIt(t *testing.T) {
	r := newRun(t)
	r.open(1, 1)
	r.release(1, "t")
	r.must(&v1.StartNext{Thing: "t"})
	r.stop(1, true)
	r.Now += minute
	r.Due()
	if got := r.describe("t", 1); got.Status != statusCanceled {
		t.Errorf("got %v", got)
	}
}

func TestAClosedJobIsSettledAtOnce(t *testing.T) {
	r := newRun(t)
	r.open(1, 0)
	r.react(&v1.Event{Event: &v1.Event_JobClosed{JobClosed: &v1.JobClosed{Job: 1}}})
	if got := r.Fresh[0].GetEvent().GetHomeSettled(); got.GetPhase() != v1.JobPhase_JOB_PHASE_CLOSED || got.GetJob() != 1 {
		t.Errorf("got %s", coretest.Text(r.Fresh))
	}
}

// An execution that an abort or an end time cancels says so; what was stopped by an operator says that.
// Broken once by leaving the cause out of the row of stops: all said that the job was canceled.
func TestWhatAStopCancelsSaysWhyItWasStopped(t *testing.T) {
	for cause, want := range map[v1.ReasonCode]v1.ReasonCode{
		v1.ReasonCode_REASON_CODE_ABORT_CRITERIA:     v1.ReasonCode_REASON_CODE_ABORT_CRITERIA,
		v1.ReasonCode_REASON_CODE_END_TIME:           v1.ReasonCode_REASON_CODE_END_TIME,
		v1.ReasonCode_REASON_CODE_JOB_CANCELED:       v1.ReasonCode_REASON_CODE_JOB_CANCELED,
		v1.ReasonCode_REASON_CODE_UNSPECIFIED:        v1.ReasonCode_REASON_CODE_JOB_CANCELED,
		v1.ReasonCode_REASON_CODE_JOB_FORCE_CANCELED: v1.ReasonCode_REASON_CODE_JOB_FORCE_CANCELED,
	} {
		r := newRun(t)
		r.open(1, 0)
		r.release(1, "a")
		r.ReactEntry(id.RolloutLog.Position(1, 0), &v1.Entry{
			Reason: core.Reason(cause), Event: &v1.Event{Event: &v1.Event_JobStopped{JobStopped: &v1.JobStopped{Job: 1, Phase: phaseStopped}}},
		})
		var got v1.ReasonCode
		for _, e := range r.Due() {
			if e.GetEvent().GetExecutionChanged().GetTo() == statusCanceled {
				got = e.GetReason().GetCode()
			}
		}
		if got != want {
			t.Errorf("stopped for %v: canceled for %v", cause, got)
		}
	}
}
