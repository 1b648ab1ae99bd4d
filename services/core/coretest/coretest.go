// Package coretest runs a core in memory, for tables of given events, when a command, then events.
//
// It promises that what a core wrote is what its events say: after every call the state is compared with a fold of
// all events from the beginning.
package coretest

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// Run is one core with its state and its history.
type Run struct {
	T     testing.TB
	Core  core.Core
	Log   id.Log
	Now   int64
	State *kv.Memory
	// History is every entry so far. Fresh are those of the last call.
	History []core.Placed
	Fresh   []*v1.Entry
	// Next is what the last Due returned.
	Next int64
	// Blind lets no current step be prepared: as if the end of a log could not be read.
	Blind bool
	// Seldom compares the state with the fold only when the history has doubled, for tests with a long one.
	Seldom   bool
	compared int
	number   uint64
	// together says that calls share a commit, entries how many entries it holds.
	together bool
	entries  int
}

// New starts with an empty state, at a time of 1,000,000 ms.
func New(t testing.TB, c core.Core, log id.Log) *Run {
	return &Run{T: t, Core: c, Log: log, Now: 1_000_000, State: kv.NewMemory(), number: 1}
}

// Given folds events as one commit.
func (r *Run) Given(events ...*v1.Event) *Run {
	r.T.Helper()
	r.call(func(s *core.Step) {
		for _, e := range events {
			s.Emit(e, nil)
		}
	})
	return r
}

// Decide runs a command as a commit of its own.
func (r *Run) Decide(cmd proto.Message) (reply proto.Message, err error) {
	r.T.Helper()
	r.call(func(s *core.Step) { reply, err = r.Core.Decide(s, cmd) })
	return reply, err
}

// React runs an upstream event.
func (r *Run) React(at *v1.Position, e *v1.Event) {
	r.T.Helper()
	r.ReactEntry(at, &v1.Entry{Event: e})
}

// ReactEntry runs an upstream event with its reason.
func (r *Run) ReactEntry(at *v1.Position, e *v1.Entry) {
	r.T.Helper()
	r.call(func(s *core.Step) { r.Core.React(s, at, s.Now, e) })
}

// Observe runs the tallies of some commits.
func (r *Run) Observe(t ...*v1.HomeTally) {
	r.T.Helper()
	r.call(func(s *core.Step) { r.Core.Observe(s, t) })
}

// Due runs what is due, call after call, until nothing is due at once; it returns all that was emitted. Where the core
// needs a current state it gets one, each time for one call, that is for one commit.
func (r *Run) Due() []*v1.Entry {
	r.T.Helper()
	var all []*v1.Entry
	current := false
	for range 1_000_000 {
		needs := false
		r.call(func(s *core.Step) {
			s.Current = current
			r.Next = r.Core.Due(s)
			needs = s.NeedsCurrent()
		})
		all = append(all, r.Fresh...)
		if current = needs && !current && !r.Blind; current {
			continue
		}
		if r.Next > r.Now && (!needs || r.Blind) {
			r.Fresh = all
			return all
		}
	}
	r.T.Fatal("Due is due for ever")
	return nil
}

// Answer asks.
func (r *Run) Answer(q proto.Message) (proto.Message, error) {
	return r.Core.Answer(core.View{Reader: r.State, Now: r.Now, Number: r.number - 1, Log: r.Log}, q)
}

// Notify asks what the last call makes the core tell.
func (r *Run) Notify() []*v1.Notification {
	n := len(r.History) - len(r.Fresh)
	return r.Core.Notify(r.State, r.Now, r.History[n:])
}

// Together runs the calls that f makes as one commit, as a host does with what arrived meanwhile. All have one time.
func (r *Run) Together(f func()) {
	r.together = true
	f()
	r.together = false
	if r.entries > 0 {
		r.number++
	}
	r.entries = 0
}

func (r *Run) call(f func(*core.Step)) {
	r.T.Helper()
	tx := kv.NewOverlay(r.State)
	s := core.NewStep(r.Core, tx, r.Log, r.number, r.entries, r.Now)
	f(s)
	r.Fresh = s.Entries()
	if len(r.Fresh) > core.EventsMax || s.Bytes() > 4*core.BytesMax {
		r.T.Fatalf("one call emitted %d events, %d bytes", len(r.Fresh), s.Bytes())
	}
	if len(r.Fresh) == 0 {
		if tx.Len() != 0 {
			r.T.Fatalf("the core wrote %d keys without an event", tx.Len())
		}
		return
	}
	b := r.State.NewBatch()
	tx.WriteTo(b)
	if err := b.Commit(); err != nil {
		r.T.Fatal(err)
	}
	for i, e := range r.Fresh {
		r.History = append(r.History, core.Placed{Place: core.Place{Number: r.number, Entry: r.entries + i, AtMs: r.Now}, Entry: e})
	}
	if r.together {
		r.entries += len(r.Fresh)
	} else {
		r.number++
	}
	if len(r.History) < 20_000 && (!r.Seldom || len(r.History) >= 2*r.compared) {
		r.compared = len(r.History)
		r.compare()
	}
}

// compare folds the history anew and compares.
func (r *Run) compare() {
	r.T.Helper()
	fold := kv.NewOverlay(kv.NewMemory())
	for _, p := range r.History {
		// As a reader would have it: decoded from bytes.
		data, err := p.Entry.MarshalVT()
		if err != nil {
			r.T.Fatal(err)
		}
		e := new(v1.Entry)
		if err := e.UnmarshalVT(data); err != nil {
			r.T.Fatal(err)
		}
		r.Core.Evolve(fold, p.Place, e.Event)
	}
	if got, want := Dump(r.State), Dump(fold); got != want {
		r.T.Fatalf("the state is not the fold of the events\nstate:\n%s\nfold:\n%s", got, want)
	}
}

// Dump writes a state out, key by key.
func Dump(s kv.Reader) string {
	var out strings.Builder
	for k, v := range s.Scan(nil, nil) {
		fmt.Fprintf(&out, "%q = %x\n", k, v)
	}
	return out.String()
}

// Text writes entries as one line each, for comparison and for failure messages.
func Text(entries []*v1.Entry) string {
	out := ""
	for _, e := range entries {
		b, _ := prototext.MarshalOptions{}.Marshal(e)
		out += string(b) + "\n"
	}
	return out
}
