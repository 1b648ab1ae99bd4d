package host

import (
	"fmt"
	"time"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// An owner whose lease has run out may not be one any more, and cannot know it before an append is refused. So it is
// silent: what wrote nothing (a read, a refusal, the repeat of a command) is answered only while MaySpeak says so, asked
// right before the answer; what it may not say is decided anew once it may. Answers of what it has written go out: the
// log took it, so no other host owned it before.
//
// A request gets at most one answer, from whichever of two owners: the second takes requests only when the lease of the
// first has run out, so what the first got before that the second never saw, and what it got later it drops unless it
// can write. (design §4 step 5)

const (
	// withheldMax and withheldMs bound what waits for the lease: whoever asked has stopped listening by then.
	withheldMax = 5000
	withheldMs  = 5000
	// silentMs is between two looks whether it may speak again.
	silentMs = 50
)

// withheld is a request that was decided and may not be answered now. It is decided again when it may.
type withheld struct {
	Request
	since int64
}

// Held hands in until when the lease holds; the zero time changes nothing. What arrived before that nobody else has
// answered.
func (m *Machine) Held(until time.Time) {
	if !until.IsZero() {
		m.until = until
	}
}

// Depose ends a machine whose lease is another's: nothing is decided any more. No commit is under way.
func (m *Machine) Depose() error {
	return m.stop(fmt.Errorf("%s: the lease is lost: %w", m.log, ErrDeposed))
}

func (m *Machine) maySpeak() bool { return m.cfg.MaySpeak == nil || m.cfg.MaySpeak() }

// answer gives an answer, or withholds it.
func (m *Machine) answer(a answer) {
	if a.wrote || m.maySpeak() {
		a.request.Done(a.reply, a.err)
		return
	}
	m.withheld = append(m.withheld, withheld{a.request, m.now})
}

// turnAway ends a request that is not decided, or whose decision is void: with a refusal if nobody else can have
// answered it, else without an answer.
func (m *Machine) turnAway(r Request, refusal *v1.Refusal) {
	if m.cfg.MaySpeak != nil && !r.Arrived.Before(m.until) {
		r.Done(nil, ErrDropped)
		return
	}
	r.Done(nil, refusal)
}

// turnAllAway does so with every request that waits.
func (m *Machine) turnAllAway(refusal *v1.Refusal) {
	for _, w := range m.withheld {
		m.turnAway(w.Request, refusal)
	}
	for _, r := range m.requests {
		m.turnAway(r, refusal)
	}
	m.withheld, m.requests = nil, nil
}

// reconsider puts what was withheld before what has arrived since, if it may be answered now, and ends what has waited
// too long.
func (m *Machine) reconsider() {
	if len(m.withheld) == 0 {
		return
	}
	n := 0
	for n < len(m.withheld) && (m.withheld[n].since+withheldMs <= m.now || len(m.withheld)-n > withheldMax) {
		m.turnAway(m.withheld[n].Request, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "%s may have another owner; ask again", m.log))
		n++
	}
	m.withheld = m.withheld[n:]
	if m.phase != serving || len(m.withheld) == 0 || !m.maySpeak() {
		return
	}
	again := make([]Request, 0, len(m.withheld)+len(m.requests))
	for _, w := range m.withheld {
		again = append(again, w.Request)
	}
	m.requests, m.withheld = append(again, m.requests...), nil
}

// nextWord is when to look whether what is withheld may be said.
func (m *Machine) nextWord() int64 {
	if len(m.withheld) == 0 {
		return core.Never
	}
	return m.now + silentMs
}

// Oldest is when the first request arrived that waits to be decided; the zero time if none does.
func (m *Machine) Oldest() time.Time {
	if len(m.requests) == 0 {
		return time.Time{}
	}
	return m.requests[0].Arrived
}
