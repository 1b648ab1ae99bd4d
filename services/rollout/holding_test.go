package rollout

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// waitsFor asks what job 7 waits for: codes and until when, from now.
func (r run) waitsFor(thing string) (string, *v1.GetHoldingReply) {
	r.T.Helper()
	reply, err := r.Answer(&v1.GetHolding{JobId: "job-7", Thing: thing})
	if err != nil {
		r.T.Fatal(err)
	}
	h := reply.(*v1.GetHoldingReply)
	var list []string
	for _, x := range h.Holdings {
		s := x.Reason.Code.Word()
		if x.UntilMs != 0 {
			s += fmt.Sprintf("%+d", x.UntilMs-r.Now)
		}
		list = append(list, s)
	}
	return strings.Join(list, " "), h
}

func (r run) wantsHoldings(want string) {
	r.T.Helper()
	if got, _ := r.waitsFor(""); got != want {
		r.T.Errorf("it waits for %q, want %q", got, want)
	}
}

func TestEveryWaitHasAReason(t *testing.T) {
	r := newRun(t)
	r.createWith(&v1.JobCreated{
		TargetSelection: continuous, Rollout: &v1.RolloutConfig{MaximumPerMinute: 60},
		Scheduling: &v1.SchedulingConfig{Windows: []*v1.MaintenanceWindow{{}}, FirstWindowMs: r.Now + minute},
	})
	r.wantsHoldings("NOT_STARTED+60000")
	r.Now += minute
	r.wantsHoldings("WINDOW_IS_CLOSED+0 SELECTING")
	r.windowOpens(r.Now + minute)
	r.wantsHoldings("SELECTING")
	r.selects(7, 0, 2)
	r.selected(7)
	r.wantsHoldings("WAITS_FOR_PACE+1000 CONTINUOUS")
	r.windowCloses(r.Now + 5*minute)
	r.wantsHoldings("WINDOW_IS_CLOSED+300000 WAITS_FOR_PACE+1000 CONTINUOUS")
	r.windowOpens(r.Now + minute)
	r.went(r.Now, r.Now+2*second)
	r.wantsHoldings("WAITS_FOR_DEVICES CONTINUOUS")
	r.update(&v1.JobUpdated{Abort: abortOn(on(byFailed, 100, 1))})
	r.Blind = true
	r.selects(7, 2, 2)
	r.Now += 2 * second
	r.Due()
	r.wantsHoldings("WAITS_FOR_ENDS WAITS_FOR_DEVICES CONTINUOUS")
	r.tally(0, 3, 0, 1)
	r.wantsHoldings("ABORT_CRITERIA")
	r.ends(7, v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT)
	r.deletes(7)
	r.wantsHoldings("JOB_DELETED")
}

func TestAnEndedJobWaitsForItsDevices(t *testing.T) {
	r := newRun(t)
	r.create(7, 0)
	r.selects(7, 0, 2)
	r.selected(7)
	r.wantsHoldings("UNPACED+0")
	r.Due()
	r.wantsHoldings("WAITS_FOR_DEVICES")
	r.ends(7, v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT)
	r.wantsHoldings("END_TIME WAITS_FOR_DEVICES")
	r.Observe(&v1.HomeTally{Home: 0, UpTo: 3, Tallies: []*v1.ObservedTally{{Job: 7, Good: 2}}})
	r.wantsHoldings("END_TIME")
}

func TestAThingIsFoundWhereItWaits(t *testing.T) {
	r := newRun(t)
	r.createWith(&v1.JobCreated{TargetSelection: continuous, Rollout: &v1.RolloutConfig{MaximumPerMinute: 60}})
	r.selects(7, 0, 10)
	r.selects(7, 10, 10)
	r.went(r.Now, r.Now+2*second)
	r.leaves(7, 5, 2)
	r.Blind = true
	for thing, want := range map[int]string{1: "false -1", 2: "true 0", 4: "true 2", 5: "false -1", 12: "true 8", 99: "false -1"} {
		_, h := r.waitsFor(fmt.Sprintf("thing-%06d", thing))
		if got := fmt.Sprint(h.ThingWaits, " ", h.BeforeIt); got != want {
			t.Errorf("thing %d: %s, want %s", thing, got, want)
		}
		if h.Waiting != 18 || h.Released != 2 || h.PerMinute != 60 || h.AtMs != r.Now {
			t.Errorf("the job: %v", h)
		}
	}
}

func TestAThingIsNotLookedForAmongMoreThanAHundredThousand(t *testing.T) {
	r := newRun(t)
	r.Seldom = true
	r.create(7, 1)
	for i := range 101 {
		r.selects(7, i*1000, 1000)
	}
	for thing, want := range map[int]string{99_999: "true 99999", 100_000: "false -1"} {
		if _, h := r.waitsFor(fmt.Sprintf("thing-%06d", thing)); fmt.Sprint(h.ThingWaits, " ", h.BeforeIt) != want {
			t.Errorf("thing %d: %v %d, want %s", thing, h.ThingWaits, h.BeforeIt, want)
		}
	}
}

func TestAnUnknownJobHoldsNothing(t *testing.T) {
	r := newRun(t)
	var refusal *v1.Refusal
	if _, err := r.Answer(&v1.GetHolding{JobId: "x"}); !errors.As(err, &refusal) || refusal.Code != v1.RefusalCode_REFUSAL_CODE_NOT_FOUND {
		t.Errorf("got %v", err)
	}
	r.create(7, 0)
	if _, err := r.Answer(&v1.GetHolding{Job: 7}); err != nil {
		t.Errorf("by its number: %v", err)
	}
}
