package rollout

import (
	"fmt"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core/coretest"
)

const (
	endedPhase = v1.JobPhase_JOB_PHASE_ENDED
	deleted    = v1.JobPhase_JOB_PHASE_DELETED
	continuous = v1.TargetSelection_TARGET_SELECTION_CONTINUOUS
)

func (r run) joins(job uint64, from, n int) {
	r.React(id.TargetingLog.Position(2, 0), &v1.Event{Event: &v1.Event_ThingsSelected{ThingsSelected: &v1.ThingsSelected{Job: job, Things: things(from, n), Joined: true}}})
}

func (r run) leaves(job uint64, from, n int) {
	r.React(id.TargetingLog.Position(2, 0), &v1.Event{Event: &v1.Event_ThingsDeselected{ThingsDeselected: &v1.ThingsDeselected{Job: job, Things: things(from, n)}}})
}

func (r run) ends(job uint64, b v1.EndBehavior) {
	r.React(id.JobLog.Position(9, 0), &v1.Event{Event: &v1.Event_JobEndReached{JobEndReached: &v1.JobEndReached{Job: job, EndBehavior: b}}})
}

func (r run) deletes(job uint64) {
	r.React(id.JobLog.Position(9, 0), &v1.Event{Event: &v1.Event_JobDeletionStarted{JobDeletionStarted: &v1.JobDeletionStarted{Job: job}}})
}

func (r run) windowOpens(closes int64) {
	r.React(id.JobLog.Position(9, 0), &v1.Event{Event: &v1.Event_JobWindowOpened{JobWindowOpened: &v1.JobWindowOpened{Job: 7, ClosesAtMs: closes}}})
}

func (r run) windowCloses(opens int64) {
	r.React(id.JobLog.Position(9, 0), &v1.Event{Event: &v1.Event_JobWindowClosed{JobWindowClosed: &v1.JobWindowClosed{Job: 7, OpensAtMs: opens}}})
}

// settleAll lets both homes settle a phase.
func (r run) settleAll(job uint64, phase v1.JobPhase) {
	r.settle(0, job, phase)
	r.settle(1, job, phase)
}

// names are the things that are released among entries, by their index.
func names(entries []*v1.Entry) (list []int) {
	for _, e := range releases(entries, 7) {
		for _, ref := range e.Things {
			list = append(list, int(ref.Number)-1)
		}
	}
	return list
}

func TestJoinersAreNotPacedAndKeepTheirOwnOrder(t *testing.T) {
	r := newRun(t)
	r.createWith(&v1.JobCreated{TargetSelection: continuous, Rollout: &v1.RolloutConfig{MaximumPerMinute: 60}})
	r.selects(7, 0, 10)
	r.selected(7)
	r.joins(7, 100, 20)
	wantKinds(t, r.Fresh, "ThingsJoined ")
	if n := count(r.Due(), 7); n != 20 {
		t.Fatalf("%d went at once, want the 20 that joined: %v", n, names(r.Fresh))
	}
	for _, e := range r.Fresh {
		if e.GetReason().GetCode() != v1.ReasonCode_REASON_CODE_JOINED || !e.GetEvent().GetExecutionsReleased().GetJoined() {
			t.Errorf("not as joined: %v", e)
		}
	}
	if at := r.went(r.Now, r.Now+4*second); len(at) != 4 {
		t.Errorf("of the selected %d went in 4 s", len(at))
	}
}

func TestWithdrawnThingsAreToldToTheirHomesAndPassedOverAtTheHead(t *testing.T) {
	r := newRun(t)
	r.createWith(&v1.JobCreated{TargetSelection: continuous, Rollout: &v1.RolloutConfig{MaximumPerMinute: 60}})
	r.selects(7, 0, 10)
	r.selected(7)
	r.went(r.Now, r.Now+2*second) // 0 and 1 have gone
	r.leaves(7, 1, 4)             // 1 is out there, 2, 3, 4 wait
	told := map[string]bool{}
	for _, e := range r.Fresh {
		w := e.GetEvent().GetThingsWithdrawn()
		for _, ref := range w.GetThings() {
			told[ref.Name] = w.Home == uint32(id.HomeOf(ref.Name, 2))
		}
		if e.GetReason().GetCode() != v1.ReasonCode_REASON_CODE_LEFT_TARGETS {
			t.Errorf("reason %v", e.GetReason())
		}
	}
	if fmt.Sprint(told) != "map[thing-000001:true thing-000002:true thing-000003:true thing-000004:true]" {
		t.Errorf("told %v", told)
	}
	r.joins(7, 3, 1) // is back, in the other queue
	if got := fmt.Sprint(names(r.Due())); got != "[3]" {
		t.Errorf("joined again: %s", got)
	}
	r.selects(7, 4, 1) // is back behind the others: another target was associated
	var went []int
	dropped := uint64(0)
	for range 8 {
		r.Now += second
		for _, e := range r.Due() {
			if d := e.GetEvent().GetThingsDropped(); d != nil {
				dropped += d.Things
				if e.GetReason().GetCode() != v1.ReasonCode_REASON_CODE_LEFT_TARGETS {
					t.Errorf("reason %v", e.GetReason())
				}
			}
		}
		went = append(went, names(r.Fresh)...)
	}
	if got := fmt.Sprint(went); got != "[5 6 7 8 9 4]" || dropped != 3 {
		t.Errorf("went %s, %d dropped", got, dropped)
	}
	if j := readJob(r.State, 7); j.withdrawals != 0 || j.waiting() != 0 {
		t.Errorf("marks are left: %+v", j)
	}
}

func TestThousandsOfWithdrawnThingsAreDroppedInSlices(t *testing.T) {
	r := newRun(t)
	r.Seldom = true
	r.createWith(&v1.JobCreated{TargetSelection: continuous})
	r.windowless(5)
	for i := range 5 {
		r.leaves(7, i*1000, 1000)
	}
	r.joins(7, 0, 1)
	if got := fmt.Sprint(names(r.Due())); got != "[0]" {
		t.Errorf("went %s", got)
	}
	if j := readJob(r.State, 7); j.queue[selected].dropped != 5000 {
		t.Errorf("%d dropped", j.queue[selected].dropped)
	}
}

func (r run) windowless(thousands int) {
	for i := range thousands {
		r.selects(7, i*1000, 1000)
	}
}

func TestNothingIsReleasedWhileTheWindowIsClosedAndPaceIsNotCaughtUp(t *testing.T) {
	for _, careful := range []*v1.AbortConfig{nil, abortOn(on(byFailed, 100, 1))} {
		r := newRun(t)
		r.Seldom = true
		r.createWith(&v1.JobCreated{
			TargetSelection: continuous, Abort: careful, Rollout: &v1.RolloutConfig{MaximumPerMinute: 60},
			Scheduling: &v1.SchedulingConfig{Windows: []*v1.MaintenanceWindow{{}}, FirstWindowMs: r.Now + minute},
		})
		r.selects(7, 0, 1000)
		r.selected(7)
		r.joins(7, 1000, 5)
		if at := r.went(r.Now, r.Now+minute); len(at) != 0 {
			t.Fatalf("%d went before the first window", len(at))
		}
		r.windowOpens(r.Now + 10*second)
		wantKinds(t, r.Fresh, "WindowOpened ")
		if at := r.went(r.Now, r.Now+10*second); len(at) != 15 || at[4] != 0 || at[5] != second || at[14] != 10*second {
			t.Errorf("in the window went at %v", at)
		}
		r.windowCloses(r.Now + minute)
		wantKinds(t, r.Fresh, "WindowClosed ")
		r.joins(7, 2000, 5)
		if at := r.went(r.Now, r.Now+minute); len(at) != 0 {
			t.Errorf("%d went between the windows", len(at))
		}
		r.windowOpens(r.Now + 10*second)
		if at := r.went(r.Now, r.Now+3*second); fmt.Sprint(at) != "[0 0 0 0 0 1000 2000 3000]" {
			t.Errorf("in the next window went at %v", at)
		}
	}
}

func TestAContinuousJobIsClosedOnlyAfterItsEnd(t *testing.T) {
	r := newRun(t)
	r.createWith(&v1.JobCreated{TargetSelection: continuous})
	r.selects(7, 0, 2)
	r.selected(7)
	r.Due()
	r.Observe(&v1.HomeTally{Home: 0, UpTo: 3, Tallies: []*v1.ObservedTally{{Job: 7, Good: 2}}})
	wantKinds(t, r.Fresh, "Observed ")
	r.ends(7, v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT)
	wantKinds(t, r.Fresh, "JobStopped ")
	r.settle(0, 7, endedPhase)
	wantKinds(t, r.Fresh, "Observed ")
	r.settle(1, 7, endedPhase)
	wantKinds(t, r.Fresh, "Observed JobClosed ")
	r.settleAll(7, closed)
	wantKinds(t, r.Fresh, "Observed JobDrained ")
	if p := r.Fresh[1].GetEvent().GetJobDrained().GetPhase(); p != closed {
		t.Errorf("drained %v", p)
	}
}

// Shows: at its end a job is stopped as its behavior says, completes when what goes on has ended, and what was deleted,
// refused or dropped counts for that.
func TestEachEndBehaviorStopsAndThenCompletes(t *testing.T) {
	for behavior, phase := range map[v1.EndBehavior]v1.JobPhase{
		v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT: endedPhase, v1.EndBehavior_END_BEHAVIOR_CANCEL: stopped, v1.EndBehavior_END_BEHAVIOR_FORCE_CANCEL: forceStopped,
	} {
		t.Run(behavior.String(), func(t *testing.T) {
			r := newRun(t)
			r.create(7, 60)
			r.selects(7, 0, 10)
			r.selected(7)
			r.went(r.Now, r.Now+5*second)
			r.ends(7, behavior)
			if s := r.Fresh[0].GetEvent().GetJobStopped(); s.Phase != phase || !s.Completes || s.Force != (phase == forceStopped) {
				t.Errorf("stopped: %v", s)
			}
			r.Due()
			wantKinds(t, r.Fresh, "ThingsDropped ")
			if d := r.Fresh[0]; d.GetEvent().GetThingsDropped().Things != 5 || d.GetReason().GetCode() != v1.ReasonCode_REASON_CODE_END_TIME {
				t.Errorf("dropped %v", d)
			}
			r.settleAll(7, phase)
			wantKinds(t, r.Fresh, "Observed ")
			r.Observe(&v1.HomeTally{Home: 0, UpTo: 9, Tallies: []*v1.ObservedTally{{Job: 7, Good: 1, Harmed: 1, Void: 1, Refused: 1, Deleted: 1}}})
			wantKinds(t, r.Fresh, "Observed JobClosed ")
			r.settleAll(7, closed)
			wantKinds(t, r.Fresh, "Observed JobDrained ")
		})
	}
}

// Shows: what is queued when the last window has closed and the end time has come is canceled, whichever comes first, for no
// device could take it up any more.
func TestAnEndWithoutAnotherWindowCancelsWhatIsQueued(t *testing.T) {
	const goesOn, cancels = v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT, v1.EndBehavior_END_BEHAVIOR_CANCEL
	end := func(b v1.EndBehavior) func(run) { return func(r run) { r.ends(7, b) } }
	closes := func(opens int64) func(run) { return func(r run) { r.windowCloses(opens) } }
	opens := func(r run) { r.windowOpens(r.Now + minute) }
	for _, c := range []struct {
		name string
		do   []func(run)
		want string // phases of the stops
	}{
		{"the window closes, then it ends", []func(run){closes(0), end(goesOn)}, "STOPPED NO_WINDOW_FOLLOWS "},
		{"it ends, then the window closes", []func(run){end(goesOn), closes(0)}, "ENDED END_TIME STOPPED NO_WINDOW_FOLLOWS "},
		{"a window follows", []func(run){closes(9_000_000), end(goesOn)}, "ENDED END_TIME "},
		{"one more follows", []func(run){closes(9_000_000), end(goesOn), opens, closes(0)}, "ENDED END_TIME STOPPED NO_WINDOW_FOLLOWS "},
		{"the end canceled it already", []func(run){end(cancels), closes(0)}, "STOPPED END_TIME "},
		{"it was canceled", []func(run){func(r run) { r.cancel(7, false) }, closes(0), end(goesOn)}, "STOPPED JOB_CANCELED "},
		{"without an end time", []func(run){closes(0)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(t)
			r.createWith(&v1.JobCreated{TargetSelection: continuous, Scheduling: &v1.SchedulingConfig{Windows: []*v1.MaintenanceWindow{{}}, FirstWindowMs: r.Now + minute}})
			r.windowOpens(r.Now + minute)
			r.selects(7, 0, 2)
			r.selected(7)
			r.Due()
			got := ""
			for _, do := range c.do {
				do(r)
				for _, e := range r.Fresh {
					if s := e.GetEvent().GetJobStopped(); s != nil {
						got += s.Phase.String()[len("JOB_PHASE_"):] + " " + e.GetReason().GetCode().Word() + " "
					}
				}
			}
			if got != c.want {
				t.Fatalf("stopped %q, want %q", got, c.want)
			}
			if j := readJob(r.State, 7); j.completes {
				r.settleAll(7, stopped)
				r.Observe(&v1.HomeTally{Home: 0, UpTo: 9, Tallies: []*v1.ObservedTally{{Job: 7, Void: 2}}})
				if j.stop == stopped {
					wantKinds(t, r.Fresh, "Observed JobClosed ")
				}
			}
		})
	}
}

func TestACancelAfterTheEndIsTheLastWord(t *testing.T) {
	for _, c := range []struct {
		name  string
		end   v1.EndBehavior
		force bool
		want  v1.JobPhase
	}{
		{"goes on", v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT, false, stopped},
		{"was canceled", v1.EndBehavior_END_BEHAVIOR_CANCEL, false, stopped},
		{"was canceled, with force now", v1.EndBehavior_END_BEHAVIOR_CANCEL, true, forceStopped},
		{"was canceled with force", v1.EndBehavior_END_BEHAVIOR_FORCE_CANCEL, false, forceStopped},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(t)
			r.create(7, 0)
			r.selects(7, 0, 1)
			r.selected(7)
			r.Due()
			r.ends(7, c.end)
			r.cancel(7, c.force)
			if s := r.Fresh[0].GetEvent().GetJobStopped(); s.GetPhase() != c.want || s.GetCompletes() {
				t.Fatalf("stopped: %v", s)
			}
			r.settleAll(7, c.want)
			wantKinds(t, r.Fresh, "Observed JobDrained ")
			r.ends(7, c.end)
			wantKinds(t, r.Fresh, "")
		})
	}
}

func TestAJobThatNeverStartedEndsAndIsCanceledLikeAnyOther(t *testing.T) {
	r := newRun(t)
	r.createWith(&v1.JobCreated{Scheduling: &v1.SchedulingConfig{StartAtMs: r.Now + minute}})
	if got := r.Fresh[0].GetEvent().GetJobOpened(); !got.Scheduled || got.Windowed || got.BeginsAtMs != r.Now+minute {
		t.Errorf("opened: %v", got)
	}
	r.ends(7, v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT)
	r.settleAll(7, endedPhase)
	wantKinds(t, r.Fresh, "Observed JobClosed ")

	r = newRun(t)
	r.createWith(&v1.JobCreated{Scheduling: &v1.SchedulingConfig{StartAtMs: r.Now + minute}})
	r.cancel(7, false)
	r.settleAll(7, stopped)
	wantKinds(t, r.Fresh, "Observed JobDrained ")
}

func TestADeletedJobIsStoppedErasedAndForgotten(t *testing.T) {
	fresh := coretest.Dump(newRun(t).State)
	for _, c := range []struct {
		name   string
		before func(run)
		want   string
	}{
		{"while it rolls out", func(r run) {}, "JobStopped JobErased "},
		{"canceled", func(r run) { r.cancel(7, false); r.Due(); r.settleAll(7, stopped) }, "JobErased "},
		{"ended", func(r run) { r.ends(7, v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT) }, "JobErased "},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(t)
			r.createWith(&v1.JobCreated{TargetSelection: continuous, Rollout: &v1.RolloutConfig{MaximumPerMinute: 60}, Abort: abortOn(on(byFailed, 100, 1))})
			r.selects(7, 0, 10)
			r.joins(7, 10, 5)
			r.leaves(7, 8, 4)
			r.went(r.Now, r.Now+3*second)
			c.before(r)
			r.deletes(7)
			wantKinds(t, r.Fresh, c.want)
			r.deletes(7)
			wantKinds(t, r.Fresh, "")
			for _, e := range r.Due() {
				if e.GetEvent().GetThingsDropped() == nil && e.GetEvent().GetJobSwept() == nil {
					t.Errorf("after the deletion: %v", e)
				}
			}
			r.settle(0, 7, forceStopped)
			r.settleAll(7, deleted)
			wantKinds(t, r.Fresh, "Observed JobDrained ")
			if left := coretest.Dump(r.State); left != fresh {
				t.Errorf("left behind:\n%s", left)
			}
			r.selects(7, 100, 10)
			r.selected(7)
			r.leaves(7, 100, 1)
			r.cancel(7, true)
			if r.Due(); coretest.Dump(r.State) != fresh || len(r.Fresh) != 0 {
				t.Errorf("what is said of it afterwards means something: %s", coretest.Text(r.Fresh))
			}
		})
	}
}

func TestACompletedJobIsDeletedWithoutAStop(t *testing.T) {
	r := newRun(t)
	r.create(7, 0)
	r.selected(7)
	r.settleAll(7, closed)
	r.deletes(7)
	wantKinds(t, r.Fresh, "JobErased ")
	r.settleAll(7, deleted)
	wantKinds(t, r.Fresh, "Observed JobDrained ")
}

// The end time comes between the close of a job and what its homes say of that: there is nothing left to stop, and a stop that
// the homes settled in the same commits would hide that they have settled the close.
func TestAnEndBehindTheCloseIsNothing(t *testing.T) {
	r := newRun(t)
	r.create(7, 0)
	r.selected(7) // closed
	r.ends(7, v1.EndBehavior_END_BEHAVIOR_CANCEL)
	wantKinds(t, r.Fresh, "")
	r.settle(0, 7, closed)
	r.settle(1, 7, closed)
	wantKinds(t, r.Fresh, "Observed JobDrained ")
}

// An end by force, then a cancel, then one by force: nothing is left for the last one to stop, and job waits for its end.
func TestACancelByForceOfWhatAnEndHasStoppedByForceIsDrainedAtOnce(t *testing.T) {
	r := newRun(t)
	r.create(7, 0)
	r.selects(7, 0, 2)
	r.Due()
	r.ends(7, v1.EndBehavior_END_BEHAVIOR_FORCE_CANCEL)
	r.cancel(7, false)
	r.settle(0, 7, forceStopped)
	r.settle(1, 7, forceStopped)
	r.cancel(7, true)
	wantKinds(t, r.Fresh, "JobDrained ")
}
