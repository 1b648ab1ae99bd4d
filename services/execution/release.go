package execution

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// queue takes in a release of things of this home: each gets an execution, or a refusal that says why, so that every
// released thing ends in exactly one fact (design §7).
func queue(s *core.Step, r *v1.ExecutionsReleased) {
	j, known := readJob(s, r.GetJob())
	x := release{job: r.GetJob(), rules: j, joined: r.GetJoined()}
	var reason *v1.Reason
	if x.joined {
		reason = core.Reason(v1.ReasonCode_REASON_CODE_JOINED)
	}
	for _, ref := range r.GetThings() {
		code, number := v1.ReasonCode_REASON_CODE_JOB_UNKNOWN, uint64(0)
		switch {
		case !known:
		case j.stop != v1.JobPhase_JOB_PHASE_UNSPECIFIED:
			code = v1.ReasonCode_REASON_CODE_JOB_STOPPED
		default:
			code, number = x.number(s, ref)
		}
		if number == 0 {
			refusal := &v1.ReleaseRefused{Job: r.GetJob(), Thing: ref, Rejoined: rejoins(s, r.GetJob(), ref)}
			s.Emit(&v1.Event{Event: &v1.Event_ReleaseRefused{ReleaseRefused: refusal}}, core.Reason(code))
			continue
		}
		s.Emit(&v1.Event{Event: &v1.Event_ExecutionQueued{ExecutionQueued: &v1.ExecutionQueued{
			Job: r.GetJob(), Thing: ref, ExecutionNumber: number, Hidden: j.shut,
		}}}, reason)
	}
}

// release is what a release's things have in common.
type release struct {
	job    uint64
	rules  job
	joined bool
}

// number is the number of the execution that a thing gets, or 0 and why it gets none. Who joins again gets another one
// (U3); who has one pending, or a retry due, keeps that. If it had left meanwhile, that is the first attempt of this release:
// all retries are before it again. (specification §4.7)
func (x *release) number(s *core.Step, ref *v1.ThingRef) (v1.ReasonCode, uint64) {
	name := ref.GetName()
	t := readThing(s, name)
	if t.forgotten != 0 && ref.GetNumber() <= t.forgotten {
		return v1.ReasonCode_REASON_CODE_THING_DELETED, 0
	}
	if i := t.of(x.job); i >= 0 {
		if !t.left(&t.pending[i]) {
			return v1.ReasonCode_REASON_CODE_ALREADY_QUEUED, 0
		}
		endIntended(s, name, &t, &t.pending[i], nil)
		t = readThing(s, name)
	}
	last, _ := readEnded(s, name, x.job)
	if x.rules.deletions {
		if d := readDeleted(s, name, x.job); d.number > last.number {
			last = d
		}
	}
	if last.number > 0 && !x.joined && !t.gone(&last) {
		return v1.ReasonCode_REASON_CODE_ALREADY_QUEUED, 0
	}
	return 0, last.number + 1
}

// rejoins says that a thing is released anew that left while its execution was in progress.
func rejoins(s *core.Step, job uint64, ref *v1.ThingRef) bool {
	t := readThing(s, ref.GetName())
	i := t.of(job)
	return i >= 0 && t.pending[i].thing == ref.GetNumber() && t.pending[i].withdrawn
}

// remove remembers that a thing's number is gone: a release that was on its way is refused. That is an intent too: what
// is pending for the thing ends at once as far as there is room, the rest by endLeft, and all of it before anybody is
// told of it (settle). A thing that was created since under the same name keeps what it has.
func remove(s *core.Step, ref *v1.ThingRef) {
	s.Emit(&v1.Event{Event: &v1.Event_ThingForgotten{ThingForgotten: &v1.ThingForgotten{Thing: ref}}}, nil)
	endLeftOf(s, ref.GetName())
}

// withdraw takes things of a continuous job that are in none of its targets any more: what is queued is removed, a retry
// that is due is dropped. What is in progress goes on, and is not tried again (U2). What there is no room for, endLeft ends.
func withdraw(s *core.Step, w *v1.ThingsWithdrawn) {
	learned := &v1.WithdrawalLearned{Job: w.GetJob()}
	under := readStops(s)
	for _, ref := range w.GetThings() {
		t := readThing(s, ref.GetName())
		i := t.of(w.GetJob())
		if i < 0 || t.pending[i].thing != ref.GetNumber() {
			continue
		}
		a := &t.pending[i]
		if a.inProgress() || full(s) {
			learned.Things = append(learned.Things, ref)
			continue
		}
		a.withdrawn = true
		endIntended(s, ref.GetName(), &t, a, under)
	}
	if len(learned.Things) > 0 {
		s.Emit(&v1.Event{Event: &v1.Event_WithdrawalLearned{WithdrawalLearned: learned}}, core.Reason(v1.ReasonCode_REASON_CODE_LEFT_TARGETS))
	}
}

// endLeft ends what deleted and withdrawn things leave, and says whether more is left.
func endLeft(s *core.Step) (more bool) {
	for {
		name, ok := firstLeft(s)
		if !ok {
			return false
		}
		if endLeftOf(s, name) {
			return true
		}
	}
}

func firstLeft(r kv.Reader) (name string, ok bool) {
	prefix := kv.NewKey(tableLeft)
	for k := range r.Scan(prefix, kv.PrefixEnd(prefix)) {
		name, _ = kv.CutString(k[len(prefix):])
		return name, true
	}
	return "", false
}

// endLeftOf ends what a thing leaves, and says whether more is left.
func endLeftOf(s *core.Step, name string) (more bool) {
	for {
		t := readThing(s, name)
		a := t.first(t.left)
		if a == nil {
			return false
		}
		if full(s) {
			return true
		}
		endIntended(s, name, &t, a, readStops(s))
	}
}

// full leaves room for the two events that the end of an attempt may make.
func full(s *core.Step) bool { return s.Full() || len(s.Entries())+2 > core.EventsMax }
