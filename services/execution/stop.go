package execution

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// slice is how many things one look into an index collects.
const slice = 256

func stopPhase(force bool) v1.JobPhase {
	if force {
		return v1.JobPhase_JOB_PHASE_FORCE_STOPPED
	}
	return v1.JobPhase_JOB_PHASE_STOPPED
}

func settledEvent(job uint64, phase v1.JobPhase) *v1.Event {
	return &v1.Event{Event: &v1.Event_HomeSettled{HomeSettled: &v1.HomeSettled{Job: job, Phase: phase}}}
}

// learnStop records the intent. It is carried out in slices by carryOutStops, and for a thing that somebody asks about
// at once, by settle.
func learnStop(s *core.Step, e *v1.JobStopped) {
	j, _ := readJob(s, e.GetJob())
	if j.stop >= stopPhase(e.GetForce()) {
		return // the stop that was learned before ends all that this one would
	}
	s.Emit(&v1.Event{Event: &v1.Event_StopLearned{StopLearned: &v1.StopLearned{Job: e.GetJob(), Force: e.GetForce()}}}, nil)
}

// settle ends what stops under way and a deletion are going to end on a thing, so that the command that follows is
// decided as if they were carried out everywhere. It returns the thing as it is then. Where there is no room for so
// much, it ends what it can and has the caller ask again.
func settle(s *core.Step, name string) (thing, error) {
	under := readStops(s)
	for {
		t := readThing(s, name)
		a := t.first(func(a *attempt) bool { return under.end(&t, a) })
		switch {
		case a == nil:
			return t, nil
		case s.Full():
			return t, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_THROTTLED, "", "executions of thing %s are being ended; ask again", name)
		}
		endIntended(s, name, &t, a, under)
	}
}

// endIntended ends an attempt as its thing's deletion, or the stop under way that reaches it, would have it.
func endIntended(s *core.Step, name string, t *thing, a *attempt, under stops) {
	if t.gone(a) {
		removeGone(s, name, a)
		return
	}
	cancelStopped(s, name, a, under)
}

// cancelStopped ends an attempt that a stop under way reaches.
func cancelStopped(s *core.Step, name string, a *attempt, under stops) {
	code := v1.ReasonCode_REASON_CODE_JOB_CANCELED
	if under.force(a.job) {
		code = v1.ReasonCode_REASON_CODE_JOB_FORCE_CANCELED
	}
	next := a.canceled(s.Now)
	emitChange(s, name, a.status, &next, readDetails(a.details), "", core.Reason(code))
}

// canceled is the attempt once it is canceled; by force, if it was in progress (specification §4.5).
func (a *attempt) canceled(now int64) attempt {
	next := a.end(statusCanceled, now)
	next.forced = a.inProgress()
	return next
}

// carryOutStops does a slice of the stops under way, and says whether more is left. A home has settled a stop when
// nothing that it reaches is left in the index.
func carryOutStops(s *core.Step) (more bool) {
	for {
		under := readStops(s)
		if len(under) == 0 {
			return false
		}
		if s.Full() {
			return true
		}
		things := reached(s, under[0])
		if len(things) == 0 {
			s.Emit(settledEvent(under[0].job, stopPhase(under[0].force)), nil)
			continue
		}
		for _, name := range things {
			if s.Full() {
				return true
			}
			t := readThing(s, name)
			i := t.of(under[0].job)
			if i < 0 {
				panic("execution: thing " + name + " has no execution that the index of its job names")
			}
			endIntended(s, name, &t, &t.pending[i], under)
		}
	}
}

// reached lists a few of the things on which a stop has something to end.
func reached(r kv.Reader, x stop) []string {
	things := scanThings(r, pendingPrefix(x.job, false))
	if len(things) == 0 && x.force {
		things = scanThings(r, pendingPrefix(x.job, true))
	}
	return things
}

func scanThings(r kv.Reader, prefix kv.Key) []string {
	var things []string
	for k := range r.Scan(prefix, kv.PrefixEnd(prefix)) {
		name, _ := kv.CutString(k[len(prefix):])
		if things = append(things, name); len(things) == slice {
			break
		}
	}
	return things
}
