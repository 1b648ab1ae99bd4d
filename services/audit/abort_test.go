package audit_test

import (
	"strings"
	"testing"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
)

// abortStory writes the logs of a job with the criterion FAILED 50 % after 4, at 120 things a minute, on two homes.
type abortStory struct {
	job, rollout *writer
	homes        [2]*writer
}

func newAbortStory(t *testing.T) *abortStory {
	s := &abortStory{
		job: newWriter(t, id.JobLog), rollout: newWriter(t, id.RolloutLog),
		homes: [2]*writer{newWriter(t, id.ExecutionLog(0)), newWriter(t, id.ExecutionLog(1))},
	}
	s.job.commit(start, nil, &v1.Event{Event: &v1.Event_JobCreated{JobCreated: &v1.JobCreated{
		Job: 1, JobId: "fw", Rollout: &v1.RolloutConfig{MaximumPerMinute: 120},
		Abort: &v1.AbortConfig{Criteria: []*v1.AbortCriterion{{Failure: v1.FailureType_FAILURE_TYPE_FAILED, ThresholdHundredths: 5000, MinExecuted: 4}}},
	}}})
	return s
}

// ends lets executions of a home end so, in one commit.
func (s *abortStory) ends(home int, at int64, statuses ...v1.ExecutionStatus) {
	var events []*v1.Event
	for _, status := range statuses {
		events = append(events, &v1.Event{Event: &v1.Event_ExecutionChanged{ExecutionChanged: &v1.ExecutionChanged{
			Job: 1, Thing: "t", From: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS, To: status,
		}}})
	}
	s.homes[home].commit(at, nil, events...)
}

// releases releases things in a commit that has read the homes so far.
func (s *abortStory) releases(at int64, things int, read0, read1 uint64) {
	refs := make([]*v1.ThingRef, things)
	for i := range refs {
		refs[i] = &v1.ThingRef{Name: "t"}
	}
	var cursors []*v1.Cursor
	for home, n := range []uint64{read0, read1} {
		cursors = append(cursors, &v1.Cursor{Service: v1.Service_SERVICE_EXECUTION, Home: uint32(home), Number: n})
	}
	s.rollout.commit(at, cursors, &v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{Job: 1, Things: refs}}})
}

func (s *abortStory) read(t *testing.T) *audit.Abort {
	t.Helper()
	a, err := audit.ReadAbort(t.Context(), []*eventstore.Log{s.rollout.log, s.homes[1].log, s.homes[0].log, s.job.log}, "fw")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The crossing is the commit by which the criterion is met in the order of storing, whichever home it is of; what was
// canceled does not count. A release that had not read it may be later, one that had is found out.
// Broken once by counting CANCELED as executed: the crossing came two commits early.
func TestAnAbortIsRecounted(t *testing.T) {
	s := newAbortStory(t)
	s.releases(start+10, 6, 1, 1)
	s.ends(0, start+20, succeeded, wasCanceled, wasCanceled) // 0 of 1
	s.ends(1, start+30, failed)                              // 1 of 2
	s.ends(0, start+40, succeeded)                           // 1 of 3
	s.releases(start+45, 2, 3, 2)
	s.ends(1, start+50, failed) // 2 of 4: crossed, by execution.1@3
	s.releases(start+60, 2, 3, 2)
	a := s.read(t)
	if !a.Crossed || a.Crossing.String() != "execution.1@3" || a.Failures != 2 || a.Executed != 4 {
		t.Errorf("crossed %v by %s: %d of %d", a.Crossed, a.Crossing, a.Failures, a.Executed)
	}
	if a.Released != 10 || a.Bound != 2 || len(a.Knowing) != 0 || len(a.Later) != 1 || a.Later[0].Things != 2 {
		t.Errorf("%+v", a)
	}
	s.releases(start+70, 1, 3, 3)
	if a := s.read(t); len(a.Knowing) != 1 || a.Knowing[0].At.String() != "rollout@5" || len(a.Later) != 2 {
		t.Errorf("a release that had read the crossing report: %+v", a)
	}
}

// What AbortTriggered says is held against a recount up to where it says that homes were counted.
// Broken once by counting home 1 up to where it was observed: the first row was found wrong.
func TestWhatAnAbortSaysIsRecounted(t *testing.T) {
	position := func(home id.Home, number uint64) *v1.Position { return id.ExecutionLog(home).Position(number, 0) }
	for _, c := range []struct {
		name  string
		told  *v1.AbortTriggered
		wrong string
	}{
		{"right", &v1.AbortTriggered{Failures: 2, Executed: 4, Crossing: position(0, 3), Counted: []*v1.Position{position(0, 3), position(1, 2)}}, ""},
		{"an older log", &v1.AbortTriggered{Failures: 9, Executed: 9, Crossing: position(0, 4)}, ""},
		{"other numbers", &v1.AbortTriggered{Failures: 3, Executed: 4, Crossing: position(0, 3), Counted: []*v1.Position{position(0, 3), position(1, 2)}}, "a recount 2 of 4"},
		{"too early", &v1.AbortTriggered{Failures: 1, Executed: 3, Crossing: position(0, 2), Counted: []*v1.Position{position(0, 2), position(1, 2)}}, "a recount meets -1"},
		{"too late", &v1.AbortTriggered{Failures: 3, Executed: 5, Crossing: position(1, 3), Counted: []*v1.Position{position(0, 3), position(1, 3)}}, "is met without it"},
	} {
		s := newAbortStory(t)
		s.ends(0, start+20, succeeded, succeeded)
		s.ends(1, start+30, failed)
		s.ends(0, start+40, failed) // 2 of 4: crossed, by execution.0@3
		s.ends(1, start+50, failed)
		c.told.Job, c.told.Failure = 1, v1.FailureType_FAILURE_TYPE_FAILED
		s.rollout.commit(start+60, nil,
			&v1.Event{Event: &v1.Event_Observed{Observed: &v1.Observed{Homes: []*v1.HomeTally{{Home: 0, UpTo: 3}, {Home: 1, UpTo: 3}}}}},
			&v1.Event{Event: &v1.Event_AbortTriggered{AbortTriggered: c.told}})
		if a := s.read(t); !strings.Contains(a.Wrong, c.wrong) || c.wrong == "" && a.Wrong != "" {
			t.Errorf("%s: wrong %q", c.name, a.Wrong)
		}
	}
}

// What one home's report crosses alone may be known through that home's cursor, although the other home's end was not read.
func TestAReleaseIsHeldAgainstWhatItHadReadAlone(t *testing.T) {
	s := newAbortStory(t)
	s.ends(0, start+20, succeeded, succeeded)
	s.ends(1, start+30, failed, failed) // 2 of 4: crossed
	s.releases(start+40, 2, 1, 2)       // knows 2 of 2 failures, of two ended: too few to say
	if a := s.read(t); len(a.Knowing) != 0 || len(a.Later) != 1 {
		t.Errorf("%+v", a)
	}
	s.releases(start+50, 2, 2, 2)
	if a := s.read(t); len(a.Knowing) != 1 {
		t.Errorf("%+v", a)
	}
}

func TestAJobThatWasNotAbortedSaysSo(t *testing.T) {
	s := newAbortStory(t)
	s.ends(0, start+20, succeeded, succeeded, succeeded, failed)
	s.releases(start+40, 2, 2, 1)
	if a := s.read(t); a.Crossed || a.Triggered != nil || a.Canceled || a.Released != 2 {
		t.Errorf("%+v", a)
	}
	if _, err := audit.ReadAbort(t.Context(), []*eventstore.Log{s.job.log, s.rollout.log, s.homes[0].log}, "nobody"); err == nil {
		t.Error("a job that is not there was recounted")
	}
}

const wasCanceled = v1.ExecutionStatus_EXECUTION_STATUS_CANCELED
