package rollout

import (
	"fmt"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

const (
	waitsForConcurrent = v1.ReasonCode_REASON_CODE_WAITS_FOR_CONCURRENT
	tooManyConcurrent  = v1.ReasonCode_REASON_CODE_TOO_MANY_CONCURRENT
)

// job makes a job of two things with a pace; number by number they have things of their own.
func (r run) job(number uint64, perMinute uint32) {
	r.create(number, perMinute)
	r.selects(number, int(number)*10, 2)
	r.selected(number)
}

// held are the jobs that wait for a place, by what they say of themselves.
func (r run) held() string {
	out := ""
	for _, number := range inLine(r.State, tableHeld, 100) {
		reply, err := r.Answer(&v1.GetHolding{Job: number})
		if err != nil {
			r.T.Fatal(err)
		}
		for _, h := range reply.(*v1.GetHoldingReply).Holdings {
			if h.Reason.Code == waitsForConcurrent {
				out += fmt.Sprintf("%d%v ", number, h.Reason.Numbers)
			}
		}
	}
	return out
}

func (r run) wantHeld(want string) {
	r.T.Helper()
	if got := r.held(); got != want {
		r.T.Errorf("held are %q, want %q", got, want)
	}
}

// At the cap other jobs stay, and create no executions until there is a place. (specification §4.13)
func TestNoMoreJobsAreAtWorkThanMayBe(t *testing.T) {
	r := newRunOf(t, 2)
	r.job(1, 60)
	r.job(2, 60)
	r.create(3, 0)
	wantKinds(t, r.Fresh, "JobOpened JobHeld ")
	if got := r.Fresh[1].GetReason(); got.Code != waitsForConcurrent || fmt.Sprint(got.Numbers) != "[2 2 0]" {
		t.Errorf("held with %v", got)
	}
	r.selects(3, 30, 2)
	wantKinds(t, r.Fresh, "ThingsWaiting ")
	r.selected(3)
	r.job(4, 0)
	r.wantHeld("3[2 2 0] 4[2 2 1] ")
	if got, want := count(r.Due(), 0), 0; got != want {
		t.Errorf("%d things are released at once, want %d", got, want)
	}

	r.Now += second
	wantKinds(t, r.Due(), "ExecutionsReleased ExecutionsReleased ")
	r.Now += second // both have released all that they have, and there are places for both
	wantKinds(t, r.Due(), "ExecutionsReleased ExecutionsReleased JobAdmitted JobAdmitted ExecutionsReleased ExecutionsReleased ExecutionsReleased ExecutionsReleased ")
	r.wantHeld("")
	r.wantAtWork(0)
}

func (r run) wantAtWork(want uint64) {
	r.T.Helper()
	if n := concurrent(r.State); n != want {
		r.T.Errorf("%d jobs are at work, want %d", n, want)
	}
}

// What counts as being at work, by what has happened to job 1. (specification §4.13)
func TestAJobIsAtWorkWhileItIsRolledOutOrCanceled(t *testing.T) {
	type step struct {
		does string
		do   func(r run)
		want uint64
	}
	opens, closes := func(r run) { r.windowOpens(r.Now + minute) }, func(r run) { r.windowCloses(r.Now + minute) }
	due := func(r run) { r.Due() }
	windows := &v1.SchedulingConfig{Windows: []*v1.MaintenanceWindow{{}}, FirstWindowMs: 1_000_000 + minute}
	for _, steps := range [][]step{
		{
			{"created", func(r run) { r.create(7, 60) }, 1},
			{"selecting", func(r run) { r.selects(7, 0, 1) }, 1},
			{"selected", func(r run) { r.selected(7) }, 1},
			{"released", func(r run) { r.Now += second; r.Due() }, 0},
			{"canceled", func(r run) { r.cancel(7, false) }, 1},
			{"at one home", func(r run) { r.settle(0, 7, stopped) }, 1},
			{"at both", func(r run) { r.settle(1, 7, stopped) }, 0},
			{"with force", func(r run) { r.cancel(7, true) }, 1},
			{"at both", func(r run) { r.settleAll(7, forceStopped) }, 0},
		}, {
			{"scheduled", func(r run) { r.createWith(&v1.JobCreated{Scheduling: &v1.SchedulingConfig{StartAtMs: r.Now + minute}}) }, 0},
			{"started", func(r run) { r.Now += minute; r.selects(7, 0, 1) }, 1},
			{"released", due, 1},
			{"selected", func(r run) { r.selected(7) }, 0},
		}, {
			{"windowed", func(r run) { r.createWith(&v1.JobCreated{TargetSelection: continuous, Scheduling: windows}) }, 0},
			{"the window opens", opens, 1},
			{"selected", func(r run) { r.selects(7, 0, 1); r.selected(7) }, 1},
			{"the window closes", closes, 0},
			{"it opens again", opens, 1},
			{"released", due, 0},
			{"something joins", func(r run) { r.joins(7, 1, 1) }, 1},
			{"released", due, 0},
			{"its end cancels", func(r run) { r.ends(7, v1.EndBehavior_END_BEHAVIOR_CANCEL) }, 1},
			{"deleted", func(r run) { r.deletes(7) }, 0},
		}, {
			{"created", func(r run) { r.job(7, 60) }, 1},
			{"its end stops it", func(r run) { r.ends(7, v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT) }, 0},
		}, {
			{"nothing selected", func(r run) { r.create(7, 60); r.selected(7) }, 0},
		},
	} {
		r := newRun(t)
		for i, s := range steps {
			s.do(r)
			if n := concurrent(r.State); n != s.want {
				t.Errorf("step %d, %s: %d jobs are at work, want %d", i+1, s.does, n, s.want)
			}
		}
	}
}

// Shows: a cancel is never put off, a place goes to who was held the longest, and who comes when there is one in line
// stands behind.
func TestAPlaceIsForTheJobThatWasHeldTheLongest(t *testing.T) {
	r := newRunOf(t, 1)
	r.job(1, 1)
	r.job(2, 0)
	r.job(3, 0)
	r.wantHeld("2[1 1 0] 3[1 1 1] ")
	r.cancel(2, false)
	wantKinds(t, r.Fresh, "JobStopped ")
	r.wantAtWork(2)
	r.wantHeld("3[2 1 0] ")
	r.Due()
	r.settleAll(2, stopped)
	r.wantAtWork(1)
	wantKinds(t, r.Due(), "")
	r.cancel(1, false)
	r.settleAll(1, stopped)
	r.create(4, 0) // before anything was due
	wantKinds(t, r.Fresh, "JobAdmitted JobOpened JobHeld ")
	wantKinds(t, r.Due(), "ThingsDropped JobDrained ExecutionsReleased ExecutionsReleased JobAdmitted ")
}

// Shows: the joined are held too; a job that is held keeps its place in line, its window and its pace.
func TestWhoIsHeldIsHeldWhateverHappens(t *testing.T) {
	r := newRunOf(t, 1)
	r.createWith(&v1.JobCreated{TargetSelection: continuous, Rollout: &v1.RolloutConfig{MaximumPerMinute: 60}})
	r.selected(7)
	r.job(1, 1)
	r.joins(7, 0, 1)
	wantKinds(t, r.Fresh, "ThingsJoined JobHeld ")
	r.selects(7, 1, 5)
	wantKinds(t, r.Fresh, "ThingsWaiting ")
	r.wantsHoldings("WAITS_FOR_CONCURRENT UNPACED+0 CONTINUOUS")
	r.update(&v1.JobUpdated{Rollout: &v1.RolloutConfig{MaximumPerMinute: 120}})
	r.Now += 10 * second
	wantKinds(t, r.Due(), "")
	r.cancel(1, false)
	r.settleAll(1, stopped)
	wantKinds(t, r.Due(), "JobAdmitted ThingsDropped JobDrained ExecutionsReleased ")
	if n, d := r.Next-r.Now, count(r.Due(), 7); n != second/2 || d != 0 {
		t.Errorf("the next of 120 a minute go after %d ms, at once %d", n, d)
	}
}

// A window job that would start at the cap is canceled, and one that has nothing to release is not. (specification §4.13)
func TestAWindowThatOpensWhenThereIsNoPlaceStopsItsJob(t *testing.T) {
	create := func(r run) {
		r.createWith(&v1.JobCreated{TargetSelection: continuous, Scheduling: &v1.SchedulingConfig{Windows: []*v1.MaintenanceWindow{{}}, FirstWindowMs: r.Now + minute}})
		r.Now += minute
	}
	for _, c := range []struct {
		name  string
		given func(r run)
		want  string
	}{
		{"no place", func(r run) { create(r); r.job(1, 1) }, "WindowOpened JobCrowdedOut JobStopped "},
		{"a place", func(r run) { create(r) }, "WindowOpened "},
		{"nothing to release", func(r run) {
			create(r)
			r.windowOpens(r.Now + minute)
			r.selected(7)
			r.windowCloses(r.Now + minute)
			r.job(1, 1)
		}, "WindowOpened "},
		{"it has ended", func(r run) {
			create(r)
			r.ends(7, v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT)
			r.job(1, 1)
		}, "WindowOpened "},
		{"it opens again", func(r run) {
			create(r)
			r.windowOpens(r.Now + minute)
			r.selects(7, 0, 2)
			r.windowCloses(r.Now + minute)
			r.job(1, 1)
		}, "WindowOpened JobCrowdedOut JobStopped "},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRunOf(t, 1)
			c.given(r)
			r.windowOpens(r.Now + minute)
			wantKinds(t, r.Fresh, c.want)
			if len(r.Fresh) == 1 {
				return
			}
			if x := r.Fresh[1].GetEvent().GetJobCrowdedOut(); x.Job != 7 || x.Concurrent != 1 || x.Most != 1 {
				t.Errorf("crowded out: %v", x)
			}
			if x := r.Fresh[2]; x.GetReason().GetCode() != tooManyConcurrent || x.GetEvent().GetJobStopped().GetPhase() != stopped || x.GetEvent().GetJobStopped().GetCompletes() {
				t.Errorf("stopped: %v", x)
			}
			r.wantsHoldings("TOO_MANY_CONCURRENT")
			r.cancel(7, false) // what log.job makes of it
			wantKinds(t, r.Fresh, "")
			r.Due()
			r.settleAll(7, stopped)
			wantKinds(t, r.Fresh, "Observed JobDrained ")
		})
	}
}
