package execution

import (
	"slices"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// notify compares, for every thing that the entries touch, what was pending before them with what is pending now. The
// list is told if an execution has come or gone, the head if it is another execution: one message of each at most, from
// the present state, however many commits the entries are from. Moves that change neither are not told, nor is a start
// of the head (specification §3.6).
//
// What a stop under way, a deletion, a withdrawal or a window that has closed is going to take away is not offered. The head
// that it stands before is left to the commit that takes it: told now, it would be told twice. What a window that has opened
// shows is told by the commit that shows it, ExecutionsShown.
func notify(r kv.Reader, now int64, entries []core.Placed) []*v1.Notification {
	touched, steps := touches(entries)
	if len(touched) == 0 {
		return nil
	}
	n := notifier{reader: r, now: now, under: readStops(r), documents: map[uint64][]byte{}}
	var told []*v1.Notification
	for i := range touched {
		name := touched[i].thing
		t := readThing(r, name)
		n.before = n.before[:0]
		for j := range t.pending {
			if !t.pending[j].ended() {
				n.before = append(n.before, t.pending[j].rank())
			}
		}
		for at := touched[i].last; at >= 0; at = steps[at].earlier {
			n.undo(entries[steps[at].entry])
		}
		if notification := n.compare(name, &t); notification != nil {
			told = append(told, notification)
		}
	}
	return told
}

// touch is a thing and the last step of its way through the entries.
type touch struct {
	thing string
	last  int
}

// step is an entry that touches a thing, and the step before it of the same thing, or -1.
type step struct{ entry, earlier int }

// touches lists the things whose list or head the entries may change, in order of first touch, and their steps.
func touches(entries []core.Placed) (touched []touch, steps []step) {
	var slot map[string]int
	for i, e := range entries {
		event := e.Entry.GetEvent()
		name, names := touchedThings(event)
		for k := -1; k < len(names); k++ {
			if k >= 0 {
				name = names[k]
			}
			if name == "" {
				continue
			}
			if slot == nil {
				slot, steps = make(map[string]int), make([]step, 0, len(entries))
			}
			at, seen := slot[name]
			if !seen {
				at = len(touched)
				slot[name] = at
				touched = append(touched, touch{thing: name, last: -1})
			}
			steps = append(steps, step{entry: i, earlier: touched[at].last})
			touched[at].last = len(steps) - 1
		}
	}
	return touched, steps
}

// Cut is an event cut down to the things of which part holds, or nil if it can change no list and no head of them. Who goes
// through more entries than he can hold hands Notify all those of some things at a time.
func (c *Core) Cut(e *v1.Event, part func(thing string) bool) *v1.Event {
	name, names := touchedThings(e)
	if name != "" {
		if part(name) {
			return e
		}
		return nil
	}
	var kept []string
	for _, name := range names {
		if part(name) {
			kept = append(kept, name)
		}
	}
	if len(kept) == len(names) {
		if len(names) == 0 {
			return nil
		}
		return e
	}
	if len(kept) == 0 {
		return nil
	}
	x := e.GetExecutionsShown()
	return shownEvent(window{job: x.GetJob(), open: x.GetShown()}, kept)
}

// touchedThings names the thing, or the things, whose list or head an event may change, if there are any.
func touchedThings(e *v1.Event) (name string, names []string) {
	switch e := e.GetEvent().(type) {
	case *v1.Event_ExecutionQueued:
		return e.ExecutionQueued.GetThing().GetName(), nil
	case *v1.Event_ExecutionChanged:
		if e.ExecutionChanged.GetFrom() != e.ExecutionChanged.GetTo() {
			return e.ExecutionChanged.GetThing(), nil
		}
	case *v1.Event_ExecutionDeleted:
		if !ended(e.ExecutionDeleted.GetStatus()) {
			return e.ExecutionDeleted.GetThing().GetName(), nil
		}
	case *v1.Event_ExecutionsShown:
		return "", e.ExecutionsShown.GetThings()
	}
	return "", nil
}

type notifier struct {
	reader    kv.Reader
	now       int64
	under     stops
	before    []rank            // of the thing at hand, undone entry by entry
	documents map[uint64][]byte // copies, shared by the notifications of one call
}

// undo takes an entry back from what was pending after it.
func (n *notifier) undo(e core.Placed) {
	switch e := e.Entry.GetEvent().GetEvent().(type) {
	case *v1.Event_ExecutionQueued:
		n.remove(rank{job: e.ExecutionQueued.GetJob(), number: e.ExecutionQueued.GetExecutionNumber()})
	case *v1.Event_ExecutionChanged:
		c := e.ExecutionChanged
		was := rank{status: c.GetFrom(), hidden: c.GetHidden(), queuedAt: c.GetQueuedAtMs(), job: c.GetJob(), number: c.GetExecutionNumber()}
		if !ended(c.GetTo()) {
			n.remove(was)
		}
		n.before = append(n.before, was)
	case *v1.Event_ExecutionDeleted:
		d := e.ExecutionDeleted
		n.before = append(n.before, rank{status: d.GetStatus(), hidden: d.GetHidden(), queuedAt: d.GetQueuedAtMs(), job: d.GetJob(), number: d.GetExecutionNumber()})
	case *v1.Event_ExecutionsShown:
		for i := range n.before {
			if r := &n.before[i]; r.job == e.ExecutionsShown.GetJob() && r.status == statusQueued {
				r.hidden = e.ExecutionsShown.GetShown()
			}
		}
	}
}

func (n *notifier) remove(r rank) {
	for i := range n.before {
		if n.before[i].same(r) {
			n.before = append(n.before[:i], n.before[i+1:]...)
			return
		}
	}
}

// compare makes the notification of a thing, or nil if it need be told nothing.
func (n *notifier) compare(name string, t *thing) *v1.Notification {
	n.before = slices.DeleteFunc(n.before, func(r rank) bool { return r.hidden })
	known := slices.DeleteFunc(t.pending, func(a attempt) bool { return a.ended() || a.hidden }) // t.pending is used up
	told := &v1.Notification{Thing: name, AtMs: n.now}
	headMoved := !n.headStays(t, known)
	pending := slices.DeleteFunc(known, func(a attempt) bool { return n.takes(t, &a) })
	if headMoved {
		told.Head = n.head(name, pending)
	}
	if !n.sameMembers(pending) {
		told.List = new(v1.PendingList)
		told.List.InProgress, told.List.Queued = list(name, pending)
	}
	if told.List == nil && told.Head == nil {
		return nil
	}
	return told
}

// takes says that an attempt which the device knows of is going to be taken from it.
func (n *notifier) takes(t *thing, a *attempt) bool { return n.under.end(t, a) || veiled(n.reader, a) }

// headStays says that the head is the execution that it was, or that it is going to be taken away.
func (n *notifier) headStays(t *thing, known []attempt) bool {
	if len(known) == 0 || len(n.before) == 0 {
		return len(known) == len(n.before) || len(known) > 0 && n.takes(t, &known[0])
	}
	was := n.before[0]
	for _, r := range n.before[1:] {
		if r.compare(was) < 0 {
			was = r
		}
	}
	return was.same(known[0].rank()) || n.takes(t, &known[0])
}

func (n *notifier) head(name string, pending []attempt) *v1.Head {
	if len(pending) == 0 {
		return new(v1.Head)
	}
	a := &pending[0]
	d, ok := n.documents[a.job]
	if !ok {
		d = document(n.reader, a.job)
		n.documents[a.job] = d
	}
	e := a.execution(name)
	e.StatusDetails, e.Document = readDetails(a.details), d
	return &v1.Head{Execution: e}
}

// sameMembers says whether the same executions are pending as before.
func (n *notifier) sameMembers(pending []attempt) bool {
	if len(pending) != len(n.before) {
		return false
	}
	for i := range pending {
		found := false
		for _, r := range n.before {
			found = found || r.same(pending[i].rank())
		}
		if !found {
			return false
		}
	}
	return true
}
