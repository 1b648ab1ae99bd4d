package node

import (
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// Shows: releases in a row, for one reason, are one event with all their things; another pace, a joiner or another job is none of
// them; what is not read at the level of jobs stays as it is.
func TestReleasesInARowAreOneEvent(t *testing.T) {
	number, before := uint64(1), int64(0)
	release := func(things uint32, change func(*v1.RecordedEvent)) *v1.RecordedEvent {
		number++
		e := &v1.RecordedEvent{
			Position: id.RolloutLog.Position(number, 0), AtMs: int64(number), Things: things, Steps: 1,
			Entry: &v1.Entry{
				Event:  &v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{Job: 7}}},
				Reason: &v1.Reason{Code: v1.ReasonCode_REASON_CODE_PACE, Numbers: []int64{60, before}},
			},
		}
		before += int64(things)
		if change != nil {
			change(e)
		}
		return e
	}
	last := release(1, nil)
	for range 99_999 {
		if !sumUp(last, release(1, nil)) {
			t.Fatalf("release %d is an event of its own", number)
		}
	}
	sameCommit := release(3, nil)
	number--
	sameCommit.Position = id.RolloutLog.Position(number, 1)
	if !sumUp(last, sameCommit) || last.Things != 100_003 || last.Steps != 100_000 || last.Last.GetNumber() != number || last.Position.GetNumber() != 2 {
		t.Errorf("%v", last)
	}
	for name, change := range map[string]func(*v1.RecordedEvent){
		"another pace":    func(e *v1.RecordedEvent) { e.Entry.Reason.Numbers[0] = 120 },
		"another reason":  func(e *v1.RecordedEvent) { e.Entry.Reason.Code = v1.ReasonCode_REASON_CODE_UNPACED },
		"joiners":         func(e *v1.RecordedEvent) { e.Entry.Event.GetExecutionsReleased().Joined = true },
		"another job":     func(e *v1.RecordedEvent) { e.Entry.Event.GetExecutionsReleased().Job = 8 },
		"with its things": func(e *v1.RecordedEvent) { e.Steps = 0 },
		"something else": func(e *v1.RecordedEvent) {
			e.Entry.Event = &v1.Event{Event: &v1.Event_JobStopped{JobStopped: &v1.JobStopped{Job: 7}}}
		},
		"nothing to tell of": func(e *v1.RecordedEvent) { e.Entry = &v1.Entry{} },
	} {
		if sumUp(last, release(1, change)) {
			t.Errorf("%s is summed up with the others", name)
		}
	}
}
