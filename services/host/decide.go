package host

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

const (
	// commitMax bounds a commit, in bytes of its entries. (design §4)
	commitMax = 256 << 10
	// room is kept for a call of each kind that waits behind: the largest that a core makes.
	room = core.BytesMax
	// entriesMax keeps entry numbers within 16 bits (id.Number).
	entriesMax = 60_000
	// sealedMax is what a broker takes as one message, a little below its 1 MiB. Commits stay far below.
	sealedMax = 1_000_000
	// requestsMax bounds the requests of a step, which may all be reads and take no room.
	requestsMax = 4096
	// bulkMax bounds what upstream, and then what slices, add to a step in bytes of entries: about 2,500 releases.
	// Longer steps are no faster, and whoever asks waits behind one.
	bulkMax = 112 << 10
	// askedMax does so while requests come: until askedMs after the last one.
	askedMax = 16 << 10
	askedMs  = 1000
	// slicesMax bounds the slices of a step, so that requests wait for no more than these.
	slicesMax = 16
	// idleMs is when Due is asked again that says "now" and does nothing.
	idleMs = 1000
	// panicMax bounds the text of a panic in InputQuarantined.
	panicMax = 1024
)

// build is a commit that is being decided: an overlay over the state, and what came of it.
type build struct {
	m       *Machine
	tx      *kv.Overlay
	number  uint64
	now     int64
	entries []*v1.Entry
	bytes   int
	answers []answer

	requests int // taken from the front of m.requests
	taken    int // commits taken from the front of m.inbox
	part     int // entries done of the commit after them, if there is one
	unsaved  int // of those taken, how many told the core something
	seen     []cursor
	gulps    int // of m.gulps, from the front, that are in it
	dueAt    int64

	usedEnds     bool // Due was called with a current state
	wantsCurrent bool // the core has asked for one, or for another one
}

type answer struct {
	request Request
	reply   proto.Message
	err     error
	wrote   bool // entries of the commit are this request's
}

func (m *Machine) begin() *build {
	b := &build{
		m: m, tx: kv.NewOverlay(m.cfg.State), number: m.end.Number + 1, now: m.now,
		seen: slices.Clone(m.seen), dueAt: m.dueAt,
	}
	if len(m.inbox) > 0 {
		b.part = m.inbox[0].done
	}
	return b
}

// answerAll hands out the answers, in order.
func (b *build) answerAll() {
	for _, a := range b.answers {
		b.m.answer(a)
	}
	b.answers = nil
}

// refuse turns every request of the build away, whatever was decided.
func (b *build) refuse(r *v1.Refusal) {
	for _, a := range b.answers {
		b.m.turnAway(a.request, r)
	}
	b.answers = nil
}

// evolver marks panics of Evolve: they stop the partition, whichever call they happen in.
type evolver struct{ core.Core }

type evolvePanic struct {
	at    core.Place
	value any
}

func (p evolvePanic) Error() string {
	if err, ok := p.value.(error); ok {
		return err.Error()
	}
	return fmt.Sprintf("fold commit %d entry %d: panic: %v", p.at.Number, p.at.Entry, p.value)
}

func (p evolvePanic) Unwrap() error { err, _ := p.value.(error); return err }

func (e evolver) Evolve(tx kv.Tx, at core.Place, event *v1.Event) {
	defer func() {
		if p := recover(); p != nil {
			panic(evolvePanic{at, p})
		}
	}()
	e.Core.Evolve(tx, at, event)
}

// inputPanic is a panic of the core over an input.
type inputPanic struct{ text string }

func (p inputPanic) Error() string { return "panic: " + p.text }

// errNoRoom: the call's events do not fit; it was taken back, and belongs to the next commit.
var errNoRoom = errors.New("no room in this commit")

// try runs f as one call into the core, in a savepoint. An inputPanic and errNoRoom mean that nothing of it stands;
// any other error ends the partition.
func (b *build) try(f func(*core.Step)) (s *core.Step, err error) {
	b.tx.Savepoint()
	s = core.NewStep(evolver{b.m.cfg.Core}, b.tx, b.m.log, b.number, len(b.entries), b.now)
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		b.tx.Rollback()
		cause, _ := p.(error)
		var failure *kv.Failure
		if e, ok := p.(evolvePanic); ok {
			err = fmt.Errorf("%s: %w", b.m.log, e)
		} else if errors.As(cause, &failure) {
			err = fmt.Errorf("%s: %w", b.m.log, failure)
		} else {
			text := fmt.Sprint(p)
			b.m.cfg.Logger.Error("the core panicked over an input", "panic", text, "stack", string(debug.Stack()))
			err = inputPanic{text[:min(len(text), panicMax)]}
		}
	}()
	f(s)
	if size := b.bytes + s.Bytes() + 8*len(s.Entries()); len(b.entries) > 0 && (size > commitMax || len(b.entries)+len(s.Entries()) > entriesMax) {
		b.tx.Rollback()
		return s, errNoRoom
	}
	return s, nil
}

// add makes the entries of a call part of the commit, with its cause.
func (b *build) add(cause *v1.Entry, entries []*v1.Entry, bytes int) {
	if len(entries) == 0 {
		return
	}
	entries[0].Cause = cause.Cause
	b.entries = append(b.entries, entries...)
	b.bytes += bytes + 8*len(entries)
	if c := cause.GetCommand(); c != nil {
		b.bytes += c.SizeVT()
	}
}

// quarantine keeps an input that the core panicked over. It reports whether it fitted.
func (b *build) quarantine(cause *v1.Entry, input proto.Message, p inputPanic) bool {
	data, err := proto.Marshal(input)
	if err != nil {
		data = nil
	}
	e := &v1.Event{Event: &v1.Event_InputQuarantined{InputQuarantined: &v1.InputQuarantined{
		Type: string(input.ProtoReflect().Descriptor().FullName()), Input: data, Panic: p.text,
	}}}
	if len(b.entries) > 0 && b.bytes+len(data) > commitMax {
		return false
	}
	b.m.counters.Quarantined++
	b.m.cfg.Logger.Error("quarantined an input", "type", e.GetInputQuarantined().Type, "commit", b.number, "bytes", len(data))
	b.add(cause, []*v1.Entry{{Event: e}}, len(data)+len(p.text))
	return true
}

// call runs a call that has no input to quarantine: a panic ends the partition. done is false if it did not fit.
func (b *build) call(cause *v1.Entry, f func(*core.Step)) (done bool, err error) {
	s, err := b.try(f)
	if errors.Is(err, errNoRoom) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", b.m.log, err)
	}
	b.add(cause, s.Entries(), s.Bytes())
	return true, nil
}

// takeRequests decides requests, in order of arrival, while there is room.
func (b *build) takeRequests(limit int) error {
	for b.requests < len(b.m.requests) && b.requests < requestsMax {
		r := b.m.requests[b.requests]
		if len(b.entries) > 0 && b.bytes+2*proto.Size(r.Command)+1024 > limit {
			return nil
		}
		before := len(b.entries)
		a, err := b.request(r)
		if errors.Is(err, errNoRoom) {
			return nil
		}
		if err != nil {
			return err
		}
		a.wrote = len(b.entries) > before
		b.answers = append(b.answers, a)
		b.requests++
	}
	return nil
}

// request decides one request; the error ends the partition, or is errNoRoom.
func (b *build) request(r Request) (answer, error) {
	a := answer{request: r}
	if b.m.cfg.IsQuery(r.Command) {
		a.reply, a.err = b.query(r.Command)
		var failure *kv.Failure
		if errors.As(a.err, &failure) {
			return a, a.err
		}
		return a, nil
	}
	if r.ID != "" {
		if a.err = checkCommandID(r.ID); a.err != nil {
			return a, nil
		}
		reply, known, err := outcome(b.tx, r.ID, r.Command, b.now)
		if known {
			a.reply, a.err = reply, b.internal(err)
			return a, nil
		}
	}
	cause := &v1.Entry{Cause: &v1.Entry_Command{Command: &v1.CommandCause{Id: r.ID, By: r.By}}}
	s, err := b.try(func(s *core.Step) {
		a.reply, a.err = b.m.cfg.Core.Decide(s, r.Command)
		if a.err != nil {
			var refusal *v1.Refusal
			if !errors.As(a.err, &refusal) {
				panic(fmt.Sprintf("Decide of %s failed with an error that is no refusal: %v", commandName(r.Command), a.err))
			}
			a.reply, a.err = nil, refusal
		}
	})
	var p inputPanic
	switch {
	case errors.As(err, &p):
		if !b.quarantine(cause, r.Command, p) {
			return a, errNoRoom
		}
		a.reply, a.err = nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INTERNAL, "", "internal error; nothing was decided")
		return a, nil
	case err != nil:
		return a, err
	}
	if r.ID != "" && a.err == nil && len(s.Entries()) > 0 {
		// The outcome stands in the commit; a repeat within this very step finds it in the overlay.
		c := cause.GetCommand()
		if c.Reply, err = proto.Marshal(a.reply); err != nil {
			return a, fmt.Errorf("%s: reply of %s: %w", b.m.log, commandName(r.Command), err)
		}
		c.Type = commandName(r.Command)
		foldCommand(b.tx, c, b.now)
		b.m.expires = min(b.m.expires, b.now+commandsMs)
	}
	b.add(cause, s.Entries(), s.Bytes())
	return a, nil
}

// query answers from the state as this step has left it.
func (b *build) query(q proto.Message) (reply proto.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			reply, err = nil, b.m.recovered("answer "+commandName(q), p)
			b.m.cfg.Logger.Error("the core panicked over a query", "error", err, "stack", string(debug.Stack()))
			var failure *kv.Failure
			if !errors.As(err, &failure) {
				err = v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INTERNAL, "", "internal error")
			}
		}
	}()
	v := core.View{Reader: b.tx, Now: b.now, Number: b.number - 1, Log: b.m.log}
	if len(b.entries) > 0 {
		v.Number = b.number
	}
	reply, err = b.m.cfg.Core.Answer(v, q)
	return reply, b.internal(err)
}

// internal makes a refusal of an error that is none; nil stays nil.
func (b *build) internal(err error) error {
	var refusal *v1.Refusal
	if err == nil || errors.As(err, &refusal) {
		return err
	}
	b.m.cfg.Logger.Error("a request met an error", "error", err)
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INTERNAL, "", "internal error; nothing was decided")
}

// takeUpstream reacts to upstream entries, in causal order, while there is room.
func (b *build) takeUpstream(limit int) error {
	for b.taken < len(b.m.inbox) {
		c := b.m.inbox[b.taken]
		i := b.m.upstreamIndex(c.Log)
		for b.part < len(c.Entries) {
			if len(b.entries) > 0 && b.bytes > limit {
				return nil
			}
			err := b.react(c.Log.Position(c.Number, b.part), c.AtMs, c.Entries[b.part])
			if errors.Is(err, errNoRoom) {
				return nil
			}
			if err != nil {
				return err
			}
			b.part++
			b.seen[i] = cursor{c.Number, uint32(b.part), c.Hash.Prefix()}
		}
		b.seen[i] = cursor{number: c.Number, hash: c.Hash.Prefix()}
		if slices.ContainsFunc(c.Entries, func(e *v1.Entry) bool { return !hosts(e.Event) }) {
			b.unsaved++
		}
		b.taken, b.part = b.taken+1, 0
		if b.taken < len(b.m.inbox) {
			b.part = b.m.inbox[b.taken].done
		}
	}
	return nil
}

func (b *build) react(at *v1.Position, atMs int64, e *v1.Entry) error {
	if hosts(e.Event) {
		return nil
	}
	cause := &v1.Entry{Cause: &v1.Entry_Position{Position: at}}
	s, err := b.try(func(s *core.Step) { b.m.cfg.Core.React(s, at, atMs, e) })
	var p inputPanic
	switch {
	case errors.As(err, &p):
		if !b.quarantine(cause, e.Event, p) {
			return errNoRoom
		}
		return nil
	case err != nil:
		return err
	}
	b.add(cause, s.Entries(), s.Bytes())
	return nil
}

// takeDue does what has come due, slice after slice, while there is room.
func (b *build) takeDue(limit int) error {
	for range slicesMax {
		if len(b.entries) > 0 && b.bytes > limit {
			b.dueAt = b.now
			return nil
		}
		due := b.dueAt
		if due <= 0 || due > b.now {
			due = b.now
		}
		before := len(b.entries)
		next := int64(core.Never)
		cause := &v1.Entry{Cause: &v1.Entry_Timer{Timer: &v1.TimerCause{DueMs: due}}}
		wants, current := false, b.current()
		done, err := b.call(cause, func(s *core.Step) {
			s.Current = current
			next = b.m.cfg.Core.Due(s)
			wants = s.NeedsCurrent()
		})
		if err != nil {
			return err
		}
		if !done {
			b.dueAt = b.now
			return nil
		}
		b.usedEnds, b.wantsCurrent = b.usedEnds || current, b.wantsCurrent || wants
		b.dueAt = next
		if next > b.now {
			return nil
		}
		if len(b.entries) == before {
			b.dueAt = b.now + idleMs
			return nil
		}
	}
	return nil
}
