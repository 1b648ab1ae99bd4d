package execution

import (
	"fmt"
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// heavy is a home with as many jobs in progress on thing t, each with the largest details that a device may report.
func heavy(t *testing.T, jobs uint64) run {
	r := newRun(t)
	var details []*v1.Detail
	for i := range 10 {
		details = append(details, &v1.Detail{Name: fmt.Sprint("k", i), Value: strings.Repeat("🙂", 1024)})
	}
	for job := uint64(1); job <= jobs; job++ {
		r.open(job, 5)
		r.release(job, "t")
		r.must(&v1.UpdateExecution{Thing: "t", JobId: jobID(job), Status: statusInProgress, ReplaceDetails: true, StatusDetails: details})
	}
	return r
}

// bounded fails if the last call emitted more than a step holds and one event more, and says how many moves it made.
func (r run) bounded() (moves int) {
	r.T.Helper()
	bytes := 0
	for _, e := range r.Fresh {
		bytes += e.SizeVT()
		if e.GetEvent().GetExecutionChanged() != nil {
			moves++
		}
	}
	if bytes > core.BytesMax+48<<10 {
		r.T.Errorf("a call emitted %d bytes", bytes)
	}
	return moves
}

// A home's commit must fit a message, whatever devices have reported: one that does not fit would end the home for good.
func TestADeletedThingIsEmptiedInSlices(t *testing.T) {
	const jobs = 12
	r := heavy(t, jobs)
	r.forget("t")
	moves := r.bounded()
	if moves == 0 || moves == jobs {
		t.Fatalf("%d of %d moves in the first call", moves, jobs)
	}
	if got := r.pending("t"); got != "|" {
		t.Errorf("a deleted thing is offered %s", got)
	}
	if _, err := r.Decide(&v1.UpdateExecution{Thing: "t", JobId: jobID(jobs), Status: statusSucceeded}); code(err) != v1.RefusalCode_REFUSAL_CODE_THROTTLED {
		t.Errorf("a report while there is no room: %v", err)
	}
	moves += r.bounded()
	for _, e := range r.Due() { // call after call, each bounded by the harness
		if c := e.GetEvent().GetExecutionChanged(); c.GetTo() != statusRemoved {
			t.Errorf("%v", c.GetTo())
		}
		moves++
	}
	if moves != jobs {
		t.Errorf("%d of %d moves", moves, jobs)
	}
	for job := uint64(1); job <= jobs; job++ {
		if _, err := r.Answer(&v1.DescribeExecution{Thing: "t", JobId: jobID(job), IncludeEnded: true}); code(err) != notFound {
			t.Errorf("job %d of a deleted thing: %v", job, err)
		}
	}
	if left, ok := firstLeft(r.State); ok {
		t.Errorf("left: %v", left)
	}
}

func TestAThingIsSettledInSlices(t *testing.T) {
	const jobs = 12
	r := heavy(t, jobs)
	for job := uint64(1); job <= jobs; job++ {
		r.stop(job, true)
	}
	moves := 0
	for {
		_, err := r.Decide(&v1.StartNext{Thing: "t"})
		moves += r.bounded()
		if err == nil {
			break
		}
		if code(err) != v1.RefusalCode_REFUSAL_CODE_THROTTLED || r.bounded() == 0 {
			t.Fatalf("%v after %d moves", err, moves)
		}
	}
	if moves != jobs {
		t.Errorf("%d of %d moves", moves, jobs)
	}
}

// A thousand things leave their targets at once, in all that they can be in.
func TestAWithdrawalOfAThousandThingsIsBounded(t *testing.T) {
	r, names := fleet(t, 3000)
	withdrawn := names[1000:2000] // half of them in progress
	r.withdraw(1, withdrawn...)
	if len(r.Fresh) != 501 || len(r.Fresh[500].GetEvent().GetWithdrawalLearned().GetThings()) != 500 {
		t.Fatalf("%d entries, the last %v", len(r.Fresh), r.Fresh[len(r.Fresh)-1])
	}
	for i, name := range withdrawn {
		if e := r.describe(name, 1); (e.Status == statusRemoved) != (i >= 500) {
			t.Errorf("%s: %v", name, e)
		}
	}
	// What there is no room for is an intent: answers obey it, and slices end it.
	r = newRun(t)
	r.open(1, 0)
	r.open(2, 0)
	r.release(1, "t", "u")
	r.release(2, "t")
	r.withdrawWithoutRoom(1, "t", "u")
	if r.pending("t") != "|2" {
		t.Errorf("t has %s", r.pending("t"))
	}
	if e := r.describe("t", 1); e.Status != statusRemoved || e.VersionNumber != 2 {
		t.Errorf("got %v", e)
	}
	if err := r.update("t", 1, statusInProgress); code(err) != badTransition || r.Fresh[0].GetEvent().GetExecutionChanged().GetTo() != statusRemoved {
		t.Errorf("a report: %v", err)
	}
	r.join(1, "u") // before a slice has come to it: it is removed first, and then queued again
	if len(r.Fresh) != 2 || r.describe("u", 1).ExecutionNumber != 2 {
		t.Errorf("got %v", r.Fresh)
	}
	if r.Due(); len(r.Fresh) != 0 {
		t.Errorf("left: %v", r.Fresh)
	}
}

// withdrawWithoutRoom is what a withdrawal makes of things when the call is full.
func (r run) withdrawWithoutRoom(job uint64, things ...string) {
	e := &v1.WithdrawalLearned{Job: job}
	for _, name := range things {
		e.Things = append(e.Things, &v1.ThingRef{Name: name, Number: number(name)})
	}
	r.Given(&v1.Event{Event: &v1.Event_WithdrawalLearned{WithdrawalLearned: e}})
}
