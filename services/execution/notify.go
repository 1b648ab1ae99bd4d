package execution

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// notify compares, for every thing that the entries touch, what was pending before them with what is pending now. The
// list is told if an execution has come or gone, the head if it is another execution: one message of each at most, from
// the present state, however many commits the entries are from. Moves that change neither are not told, nor is a start
// of the head (specification §3.6).
//
// What a stop under way or a deletion is going to end is not offered. The head that it stands before is left to the commit that ends
// it: told now, it would be told twice.
func notify(r kv.Reader, now int64, entries []core.Placed) []*v1.Notification {
	touched, earlier := touches(entries)
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
			n.before = append(n.before, t.pending[j].rank())
		}
		for e := touched[i].last; e >= 0; e = earlier[e] {
			n.undo(entries[e])
		}
		if notification := n.compare(name, &t); notification != nil {
			told = append(told, notification)
		}
	}
	return told
}

// touch is a thing and the last entry that is about it.
type touch struct {
	thing string
	last  int
}

// touches lists the things whose list or head the entries may change, in order of first touch, and for each entry the
// one before it about the same thing, or -1.
func touches(entries []core.Placed) (touched []touch, earlier []int) {
	var slot map[string]int
	for i, e := range entries {
		name := touchedThing(e.Entry.GetEvent())
		if name == "" {
			continue
		}
		if slot == nil {
			slot, earlier = make(map[string]int), make([]int, len(entries))
		}
		at, seen := slot[name]
		if !seen {
			at = len(touched)
			slot[name] = at
			touched = append(touched, touch{thing: name, last: -1})
		}
		earlier[i] = touched[at].last
		touched[at].last = i
	}
	return touched, earlier
}

// Touches names the thing whose list or head an event may change, or nothing. Who goes through more entries than he can
// hold hands Notify all those of some things at a time.
func (c *Core) Touches(e *v1.Event) string { return touchedThing(e) }

func touchedThing(e *v1.Event) string {
	switch e := e.GetEvent().(type) {
	case *v1.Event_ExecutionQueued:
		return e.ExecutionQueued.GetThing().GetName()
	case *v1.Event_ExecutionChanged:
		if e.ExecutionChanged.GetFrom() != e.ExecutionChanged.GetTo() {
			return e.ExecutionChanged.GetThing()
		}
	}
	return ""
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
		was := rank{inProgress: c.GetFrom() == statusInProgress, queuedAt: c.GetQueuedAtMs(), job: c.GetJob(), number: c.GetExecutionNumber()}
		if !ended(c.GetTo()) {
			n.remove(was)
		}
		n.before = append(n.before, was)
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
	told := &v1.Notification{Thing: name, AtMs: n.now}
	headMoved := !n.headStays(t)
	pending := n.under.spare(t) // t.pending is used up
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

// headStays says that the head is the execution that it was, or that a stop or a deletion is going to end it.
func (n *notifier) headStays(t *thing) bool {
	if len(t.pending) == 0 || len(n.before) == 0 {
		return len(t.pending) == len(n.before) || len(t.pending) > 0 && n.under.end(t, &t.pending[0])
	}
	was := n.before[0]
	for _, r := range n.before[1:] {
		if r.compare(was) < 0 {
			was = r
		}
	}
	return was.same(t.pending[0].rank()) || n.under.end(t, &t.pending[0])
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
