// Package core declares what a core is: the rules of one service, as functions of their arguments.
//
// A core does no I/O, reads no clock, draws no randomness and starts no goroutine. Its state is an ordered key-value
// transaction; its events are what changes that state, and nothing else does. services/host runs a core on a log,
// services/core/coretest in a test, services/sim in a simulation; none of them is known here. (design §4)
package core

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// The bounds of one call of Decide, React, Observe or Due. What is larger is an intent and slices.
const (
	EventsMax = 1000
	BytesMax  = 64 << 10
)

// Never is what Due returns when there is nothing to look again for.
const Never = int64(math.MaxInt64)

// Core is the rules of one service. The four functions that are handed a Step change state by Step.Emit only.
type Core interface {
	// Decide answers a command: with a reply, or with a *v1.Refusal as its error. What it emitted before it
	// refused stands (an intent that it settled on the way).
	Decide(s *Step, cmd proto.Message) (reply proto.Message, err error)
	// React takes in one entry of an upstream log. It cannot refuse: it has happened.
	React(s *Step, at *v1.Position, atMs int64, entry *v1.Entry)
	// Observe takes in the tallies of the homes' commits, one HomeTally a commit, in the order in which those were
	// decided, each home's in the order of its log (rollout only).
	Observe(s *Step, tallies []*v1.HomeTally)
	// Due does what has come due: one slice, and returns when to look again in ms since the epoch: s.Now if more
	// is due at once, Never if nothing will be.
	Due(s *Step) (next int64)
	// Answer answers a query from the state.
	Answer(v View, query proto.Message) (reply proto.Message, err error)
	// Evolve folds one event of the core's own log. It is total and needs nothing but the event and its place.
	Evolve(tx kv.Tx, at Place, event *v1.Event)
	// Notify says which things must be told what, now that these entries of one or more commits stand, in log
	// order: list and head before them (undone from the state) compared with list and head in the state.
	// (execution only)
	Notify(state kv.Reader, nowMs int64, entries []Placed) []*v1.Notification
	// StateVersion is that of the rows that Evolve writes. It is raised by one whenever the same events come to leave
	// other rows: another table, key or encoding, or the same bytes with another meaning. A state that was folded under
	// another version is never read: it is folded anew from the log.
	StateVersion() int
}

// Place is where and when an event stands.
type Place struct {
	Number uint64 // of its commit
	Entry  int    // in its commit, from 0
	AtMs   int64  // of its commit
}

// ID is the number that names for ever what an event at this place created (id.Number).
func (p Place) ID() uint64 { return id.Number(p.Number, p.Entry) }

// Placed is an entry with its place.
type Placed struct {
	Place
	Entry *v1.Entry
}

// View is a state to answer from.
type View struct {
	kv.Reader
	Now    int64  // ms since the epoch
	Number uint64 // the last commit that is folded into the state
	Log    id.Log
}

// Step is one call into a core: the state, the time, and what it emits.
type Step struct {
	kv.Tx
	// Now in ms since the epoch: never less than the time of the commit before.
	Now int64
	// Log is the core's own log, Number the commit that is being built.
	Log    id.Log
	Number uint64

	// Current says that the state has taken in all that was durable, in every log that this core reads, when their ends were
	// read: after Due had asked for it, and after the commit of the last call that was Current. Due alone is called with it;
	// several calls of one commit may be. (design §7)
	Current bool

	core    Core
	current bool // NeedCurrent was called
	first   int  // entries that stood in the commit before this call
	entries []*v1.Entry
	bytes   int
}

// NewStep begins a call. Entries is how many entries the commit holds already.
func NewStep(c Core, tx kv.Tx, log id.Log, number uint64, entries int, now int64) *Step {
	return &Step{Tx: tx, Now: now, Log: log, Number: number, core: c, first: entries}
}

// NeedCurrent asks, in Due, for another call of Due with Current set: the host reads the ends of all upstream logs, and
// everything up to there first, tallies included. Until it can, what asked for it waits; what Due returns is for the
// rest alone, and it is called again in any case.
func (s *Step) NeedCurrent() { s.current = true }

// NeedsCurrent says whether NeedCurrent was called.
func (s *Step) NeedsCurrent() bool { return s.current }

// Emit makes an event stand, and folds it. A nil reason is none beyond the cause.
func (s *Step) Emit(event *v1.Event, reason *v1.Reason) {
	at := s.Place()
	e := &v1.Entry{Reason: reason, Event: event}
	s.entries = append(s.entries, e)
	s.bytes += e.SizeVT()
	s.core.Evolve(s.Tx, at, event)
}

// Place is where the next event will stand.
func (s *Step) Place() Place {
	return Place{Number: s.Number, Entry: s.first + len(s.entries), AtMs: s.Now}
}

// Position is that of the last event emitted; of the last commit if there is none.
func (s *Step) Position() *v1.Position {
	if len(s.entries) == 0 {
		return s.Log.Position(s.Number-1, 0)
	}
	return s.Log.Position(s.Number, s.first+len(s.entries)-1)
}

// Full says that a slice should end here: an event of 1 KiB more might not fit.
func (s *Step) Full() bool { return len(s.entries) >= EventsMax || s.bytes > BytesMax-1024 }

// Entries are what was emitted, without causes. Bytes is about their encoded size.
func (s *Step) Entries() []*v1.Entry { return s.entries }
func (s *Step) Bytes() int           { return s.bytes }

// Reason makes a reason.
func Reason(code v1.ReasonCode, numbers ...int64) *v1.Reason {
	return &v1.Reason{Code: code, Numbers: numbers}
}

// Unknown is what Decide and Answer return for a message that they do not have.
func Unknown(service string, m proto.Message) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_SUPPORTED, "", "%s does not answer %s", service, m.ProtoReflect().Descriptor().Name())
}

// Unreadable is what Evolve panics with for an event that it does not know: the log was written by a newer version.
func Unreadable(at Place, e *v1.Event) error {
	return fmt.Errorf("commit %d entry %d holds an event that this version does not know (%T)", at.Number, at.Entry, e.GetEvent())
}
