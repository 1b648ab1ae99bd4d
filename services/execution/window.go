package execution

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// learnWindow records that the window of a job that has some opened or closed. Answers obey it at once; carryOutWindows
// tells devices.
func learnWindow(s *core.Step, job uint64, open bool, changesAt int64, reason *v1.Reason) {
	j, known := readJob(s, job)
	if !known || !j.windowed || j.shut == !open && j.changesAt == changesAt {
		return
	}
	s.Emit(&v1.Event{Event: &v1.Event_WindowLearned{WindowLearned: &v1.WindowLearned{Job: job, Open: open, ChangesAtMs: changesAt}}}, reason)
}

// carryOutWindows does a slice of what windows leave to be done, and says whether more is left: retries that were due are
// made as a window opens, or dropped if they are not allowed any more, and devices are told of what is queued.
func carryOutWindows(s *core.Step) (more bool) {
	for {
		windows := readWindows(s)
		if len(windows) == 0 {
			return false
		}
		if full(s) {
			return true
		}
		w := windows[0]
		if !workOffRetries(s, w) && !show(s, w) {
			s.Emit(shownEvent(w, nil), nil)
		}
	}
}

// workOffRetries makes or drops some of the retries that are due, as there is room, and says whether there was any to be
// made or dropped. In a closed window those that are allowed stay due.
func workOffRetries(s *core.Step, w window) bool {
	j, _ := readJob(s, w.job)
	if !w.open && j.retry != (budgets{}) {
		return false
	}
	things := scanThings(s, pendingPrefix(w.job, classDue))
	for _, name := range things {
		if full(s) {
			break
		}
		t := readThing(s, name)
		a := &t.pending[t.of(w.job)]
		if t.left(a) {
			emitDropped(s, name, a)
		} else {
			makeOrDrop(s, name, &j, a)
		}
	}
	return len(things) > 0
}

// show tells some of the things that a window opened or closed, and says whether there was any.
func show(s *core.Step, w window) bool {
	class := byte(classHidden)
	if !w.open {
		class = classQueued
	}
	things := scanThings(s, pendingPrefix(w.job, class))
	if len(things) > 0 {
		s.Emit(shownEvent(w, things), nil)
	}
	return len(things) > 0
}

func shownEvent(w window, things []string) *v1.Event {
	return &v1.Event{Event: &v1.Event_ExecutionsShown{ExecutionsShown: &v1.ExecutionsShown{Job: w.job, Things: things, Shown: w.open}}}
}
