package execution

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// queue takes in a release of things of this home: each gets an execution, or a refusal that says why, so that every
// released thing ends in exactly one fact (design §7).
func queue(s *core.Step, r *v1.ExecutionsReleased) {
	j, known := readJob(s, r.GetJob())
	for _, ref := range r.GetThings() {
		code := v1.ReasonCode_REASON_CODE_JOB_UNKNOWN
		switch {
		case !known:
		case j.stop != v1.JobPhase_JOB_PHASE_UNSPECIFIED:
			code = v1.ReasonCode_REASON_CODE_JOB_STOPPED
		default:
			code = refusal(s, r.GetJob(), ref)
		}
		if code != v1.ReasonCode_REASON_CODE_UNSPECIFIED {
			s.Emit(&v1.Event{Event: &v1.Event_ReleaseRefused{ReleaseRefused: &v1.ReleaseRefused{Job: r.GetJob(), Thing: ref}}}, core.Reason(code))
			continue
		}
		s.Emit(&v1.Event{Event: &v1.Event_ExecutionQueued{ExecutionQueued: &v1.ExecutionQueued{
			Job: r.GetJob(), Thing: ref, ExecutionNumber: 1,
		}}}, nil)
	}
}

// refusal is why a thing gets no execution of a job, or none.
func refusal(s *core.Step, job uint64, ref *v1.ThingRef) v1.ReasonCode {
	t := readThing(s, ref.GetName())
	if t.forgotten != 0 && ref.GetNumber() <= t.forgotten {
		return v1.ReasonCode_REASON_CODE_THING_DELETED
	}
	if t.of(job) >= 0 {
		return v1.ReasonCode_REASON_CODE_ALREADY_QUEUED
	}
	if _, ran := s.Get(endedKey(ref.GetName(), job)); ran {
		return v1.ReasonCode_REASON_CODE_ALREADY_QUEUED
	}
	return v1.ReasonCode_REASON_CODE_UNSPECIFIED
}

// remove remembers that a thing's number is gone: a release that was on its way is refused. That is an intent too: what
// is pending for the thing ends at once as far as there is room, the rest by endLeft, and all of it before anybody is
// told of it (settle). A thing that was created since under the same name keeps what it has.
func remove(s *core.Step, ref *v1.ThingRef) {
	s.Emit(&v1.Event{Event: &v1.Event_ThingForgotten{ThingForgotten: &v1.ThingForgotten{Thing: ref}}}, nil)
	endGone(s, ref.GetName())
}

// endLeft ends what is pending for deleted things, and says whether more is left.
func endLeft(s *core.Step) (more bool) {
	for _, name := range readLeft(s) {
		if endGone(s, name) {
			return true
		}
	}
	return false
}

// endGone ends what is pending for a thing that was deleted, and says whether more is left.
func endGone(s *core.Step, name string) (more bool) {
	for {
		t := readThing(s, name)
		a := t.first(t.gone)
		if a == nil {
			return false
		}
		if s.Full() {
			return true
		}
		removeGone(s, name, a)
	}
}

// removeGone ends one attempt of a thing that was deleted.
func removeGone(s *core.Step, name string, a *attempt) {
	next := a.end(statusRemoved, s.Now)
	emitChange(s, name, a.status, &next, readDetails(a.details), "", core.Reason(v1.ReasonCode_REASON_CODE_THING_DELETED))
}

// first is the first pending attempt of which that holds, or nil.
func (t *thing) first(holds func(*attempt) bool) *attempt {
	for i := range t.pending {
		if holds(&t.pending[i]) {
			return &t.pending[i]
		}
	}
	return nil
}
