package execution

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// slice is how many things one look into an index collects.
const slice = 256

// stopPhase is the phase of a stop; older events say force alone.
func stopPhase(phase v1.JobPhase, force bool) v1.JobPhase {
	switch {
	case phase != v1.JobPhase_JOB_PHASE_UNSPECIFIED:
		return phase
	case force:
		return phaseForceStopped
	}
	return phaseStopped
}

func settledEvent(job uint64, phase v1.JobPhase) *v1.Event {
	return &v1.Event{Event: &v1.Event_HomeSettled{HomeSettled: &v1.HomeSettled{Job: job, Phase: phase}}}
}

// learnStop records the intent. It is carried out in slices by carryOutStops, and for a thing that somebody asks about
// at once, by settle. The reason is that of what is learned. A job that this home does not know, or has forgotten, is settled.
func learnStop(s *core.Step, e *v1.JobStopped, reason *v1.Reason) {
	j, known := readJob(s, e.GetJob())
	phase := stopPhase(e.GetPhase(), e.GetForce())
	if !known {
		s.Emit(settledEvent(e.GetJob(), phase), nil)
		return
	}
	if severity(j.stop) >= severity(phase) {
		return // the stop that was learned before ends all that this one would
	}
	s.Emit(&v1.Event{Event: &v1.Event_StopLearned{StopLearned: &v1.StopLearned{
		Job: e.GetJob(), Force: phase == phaseForceStopped, Phase: phase, Cause: reason.GetCode(),
	}}}, reason)
}

// learnErasure records that a job's executions are deleted.
func learnErasure(s *core.Step, job uint64, reason *v1.Reason) {
	if j, known := readJob(s, job); !known {
		s.Emit(settledEvent(job, phaseDeleted), nil)
	} else if j.stop != phaseDeleted {
		s.Emit(&v1.Event{Event: &v1.Event_ErasureLearned{ErasureLearned: &v1.ErasureLearned{Job: job}}}, reason)
	}
}

// settle ends what stops under way, a deletion and a withdrawal are going to end on a thing, so that the command that
// follows is decided as if they were carried out everywhere. It returns the thing as it is then. Where there is no room for
// so much, it ends what it can and has the caller ask again.
func settle(s *core.Step, name string) (thing, error) {
	under := readStops(s)
	for {
		t := readThing(s, name)
		a := t.firstToEnd(under)
		switch {
		case a == nil:
			return t, nil
		case full(s):
			return t, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_THROTTLED, "", "executions of thing %s are being ended; ask again", name)
		}
		endIntended(s, name, &t, a, under)
	}
}

func (t *thing) firstToEnd(under stops) *attempt {
	for i := range t.pending {
		if a := &t.pending[i]; under.end(t, a) {
			return a
		}
	}
	return nil
}

// endIntended ends an attempt as the stop under way that reaches it would have it, or its thing's deletion or withdrawal.
func endIntended(s *core.Step, name string, t *thing, a *attempt, under stops) {
	switch {
	case under.phase(a.job) == phaseDeleted:
		emitDeleted(s, name, a, v1.ReasonCode_REASON_CODE_JOB_DELETED)
	case a.due:
		emitDropped(s, name, a)
	case t.gone(a):
		endAs(s, name, a, a.end(statusRemoved, s.Now), v1.ReasonCode_REASON_CODE_THING_DELETED)
	case a.withdrawn && a.queued():
		endAs(s, name, a, a.end(statusRemoved, s.Now), v1.ReasonCode_REASON_CODE_LEFT_TARGETS)
	default:
		endAs(s, name, a, a.canceled(s.Now), under.cause(a.job))
	}
}

func endAs(s *core.Step, name string, a *attempt, next attempt, code v1.ReasonCode) {
	emitChange(s, name, a.status, &next, readDetails(a.details), "", core.Reason(code))
}

// canceled is the attempt once it is canceled; by force, if it was in progress (specification §4.5).
func (a *attempt) canceled(now int64) attempt {
	next := a.end(statusCanceled, now)
	next.forced = a.inProgress()
	return next
}

// carryOutStops does a slice of the stops under way, those that delete last, and says when to go on. A home has settled a
// stop when nothing that it reaches is left in the index. Events that forget numbers are small, and stand for many rows: so
// there is one a step, which is over when the next thing is due later.
func carryOutStops(s *core.Step) (next int64) {
	for {
		under := readStops(s)
		if len(under) == 0 {
			return core.Never
		}
		if full(s) {
			return s.Now
		}
		x := under.first()
		switch {
		case endReached(s, x, under):
		case x.phase == phaseDeleted && eraseEnded(s, x.job):
		case x.phase == phaseDeleted && len(deletions(s, x.job, forgottenMax+1)) > forgottenMax:
			s.Emit(&v1.Event{Event: &v1.Event_DeletionsForgotten{DeletionsForgotten: &v1.DeletionsForgotten{Job: x.job}}},
				core.Reason(v1.ReasonCode_REASON_CODE_JOB_DELETED))
			return s.Now + 1
		default:
			s.Emit(settledEvent(x.job, x.phase), nil)
		}
	}
}

// first is the one to carry out first: a deletion may take long, and nobody waits for it.
func (s stops) first() stop {
	for _, x := range s {
		if x.phase != phaseDeleted {
			return x
		}
	}
	return s[0]
}

// endReached ends some of what a stop reaches among the attempts of things' rows, as there is room, and says whether
// there was anything.
func endReached(s *core.Step, x stop, under stops) bool {
	things := reached(s, x)
	for _, name := range things {
		if full(s) {
			break
		}
		t := readThing(s, name)
		i := t.of(x.job)
		if i < 0 {
			panic("execution: thing " + name + " has no execution that the index of its job names")
		}
		endIntended(s, name, &t, &t.pending[i], under)
	}
	return len(things) > 0
}

// reached lists a few of the things on which a stop has something to end.
func reached(r kv.Reader, x stop) []string {
	for _, class := range []struct {
		class byte
		phase v1.JobPhase
	}{{classDue, phaseEnded}, {classQueued, phaseStopped}, {classHidden, phaseStopped}, {classRunning, phaseForceStopped}} {
		if severity(x.phase) < severity(class.phase) {
			return nil
		}
		if things := scanThings(r, pendingPrefix(x.job, class.class)); len(things) > 0 {
			return things
		}
	}
	return nil
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
