package execution

import (
	"cmp"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// stateVersion is raised when the rows below come to be others (core.Core).
const stateVersion = 1

// The tables of a home's state. What a deletion of a job has to find begins with the job.
const (
	tableThing    = 't' // thing → its pending attempts, in the order in which they are offered, and those with a retry due
	tableEnded    = 'e' // job, thing → the latest attempt, which has ended
	tableEarlier  = 'b' // job, thing, number → an attempt that another one followed
	tableDeleted  = 'z' // job, thing → number of the last attempt that was deleted as the latest, and the thing's
	tablePending  = 'p' // job, class, thing → nothing: what stops, windows and deletions have to change
	tableDeadline = 'x' // deadline, thing, job → nothing: what a timer has to end
	tableJob      = 'j' // job → what a home keeps of it
	tableDocument = 'd' // job → document
	tableJobID    = 'n' // job id → the latest job of that id
	tableStops    = 'w' // → the stops under way
	tableWindows  = 'v' // → the windows of which things are to be told
	tableLeft     = 'l' // thing → nothing: it was deleted or withdrawn, and something of it is to be ended
)

// The classes of tablePending.
const (
	classDue     = 'd'
	classHidden  = 'h'
	classQueued  = 'q'
	classRunning = 'r'
)

func thingKey(thing string) kv.Key             { return kv.NewKey(tableThing).String(thing) }
func endedKey(thing string, job uint64) kv.Key { return kv.NewKey(tableEnded).Uint(job).String(thing) }
func deletedKey(thing string, job uint64) kv.Key {
	return kv.NewKey(tableDeleted).Uint(job).String(thing)
}
func jobKey(job uint64) kv.Key      { return kv.NewKey(tableJob).Uint(job) }
func documentKey(job uint64) kv.Key { return kv.NewKey(tableDocument).Uint(job) }
func jobIDKey(jobID string) kv.Key  { return kv.NewKey(tableJobID).String(jobID) }
func leftKey(thing string) kv.Key   { return kv.NewKey(tableLeft).String(thing) }

// earlierKey without a number stands before those of all attempts that others followed.
func earlierKey(thing string, job uint64) kv.Key {
	return kv.NewKey(tableEarlier).Uint(job).String(thing)
}

// pendingPrefix stands before the names of the things on which the job is in a class.
func pendingPrefix(job uint64, class byte) kv.Key {
	return append(kv.NewKey(tablePending).Uint(job), class)
}

func pendingKey(thing string, a *attempt) kv.Key {
	return pendingPrefix(a.job, a.class()).String(thing)
}

func deadlineKey(thing string, a *attempt) kv.Key {
	return kv.NewKey(tableDeadline).Uint(uint64(a.deadline())).String(thing).Uint(a.job)
}

// thing is a thing's row.
type thing struct {
	// forgotten is the highest number of a thing of this name that was deleted; 0 is none.
	forgotten uint64
	// pending is in the order of specification §3.7: the first is the head, if it is not hidden. Those with a retry due
	// stand behind. A job has one attempt at most among them.
	pending []attempt
}

// readThing reads a thing's row. What it returns refers to the row: it is good until the next write.
func readThing(r kv.Reader, name string) thing {
	row, ok := r.Get(thingKey(name))
	if !ok {
		return thing{}
	}
	t, fields := parseThing(row)
	fields.Must("the queue of thing " + name)
	return t
}

func parseThing(row []byte) (thing, kv.Fields) {
	fields := kv.NewFields(row)
	t := thing{forgotten: fields.Uint()}
	for fields.More() {
		if t.pending == nil {
			t.pending = make([]attempt, 0, 2)
		}
		t.pending = append(t.pending, readAttempt(&fields))
	}
	return t, fields
}

func writeThing(w kv.Writer, name string, t *thing) {
	if t.forgotten == 0 && len(t.pending) == 0 {
		w.Delete(thingKey(name))
		return
	}
	size := 8
	for i := range t.pending {
		size += t.pending[i].size()
	}
	row := make(kv.Row, 0, size).Uint(t.forgotten)
	for i := range t.pending {
		row = t.pending[i].appendTo(row)
	}
	w.Set(thingKey(name), row)
}

// of is the place of a job's attempt among the pending ones, or -1.
func (t *thing) of(job uint64) int {
	for i := range t.pending {
		if t.pending[i].job == job {
			return i
		}
	}
	return -1
}

// gone says whether an attempt is one of a thing that was deleted: it has ended for whoever asks.
func (t *thing) gone(a *attempt) bool { return t.forgotten != 0 && a.thing <= t.forgotten }

// left says whether an attempt is to be ended because of its thing: it was deleted, or withdrawn from the job while the
// attempt was queued or a retry of it due.
func (t *thing) left(a *attempt) bool { return t.gone(a) || a.withdrawn && !a.inProgress() }

// ofID is the pending attempt of the latest job of that id, or nil.
func (t *thing) ofID(jobID string) *attempt {
	var found *attempt
	for i := range t.pending {
		if a := &t.pending[i]; string(a.jobID) == jobID && !t.gone(a) && (found == nil || a.job > found.job) {
			found = a
		}
	}
	return found
}

// put places an attempt where the order has it, in the stead of the job's attempt that stood there.
func (t *thing) put(a attempt) {
	t.drop(a.job)
	i := 0
	for i < len(t.pending) && t.pending[i].rank().compare(a.rank()) < 0 {
		i++
	}
	t.pending = append(t.pending, attempt{})
	copy(t.pending[i+1:], t.pending[i:])
	t.pending[i] = a
}

func (t *thing) drop(job uint64) {
	if i := t.of(job); i >= 0 {
		t.pending = append(t.pending[:i], t.pending[i+1:]...)
	}
}

// first is the first attempt of which that holds, or nil.
func (t *thing) first(holds func(*attempt) bool) *attempt {
	for i := range t.pending {
		if holds(&t.pending[i]) {
			return &t.pending[i]
		}
	}
	return nil
}

// rank is what the order of pending executions looks at: IN_PROGRESS before QUEUED, the longest queued first, the
// older job first (specification §3.7). Job and number are an execution's identity.
type rank struct {
	status   v1.ExecutionStatus
	hidden   bool
	queuedAt int64
	job      uint64
	number   uint64
}

// class is 0 for what is in progress, 1 for what is queued, 2 for the rest.
func (r rank) class() int {
	switch r.status {
	case statusInProgress:
		return 0
	case statusQueued:
		return 1
	}
	return 2
}

func (r rank) compare(o rank) int {
	if c := cmp.Compare(r.class(), o.class()); c != 0 {
		return c
	}
	if r.queuedAt != o.queuedAt {
		return cmp.Compare(r.queuedAt, o.queuedAt)
	}
	return cmp.Compare(r.job, o.job)
}

func (r rank) same(o rank) bool { return r.job == o.job && r.number == o.number }

// readEnded is the latest attempt of a job on a thing if it has ended and no retry of it is due.
func readEnded(r kv.Reader, name string, job uint64) (attempt, bool) {
	return readOne(r, endedKey(name, job))
}

// readEarlier is an attempt that another one followed.
func readEarlier(r kv.Reader, name string, job, number uint64) (attempt, bool) {
	return readOne(r, earlierKey(name, job).Uint(number))
}

func readOne(r kv.Reader, key kv.Key) (attempt, bool) {
	row, ok := r.Get(key)
	if !ok {
		return attempt{}, false
	}
	fields := kv.NewFields(row)
	a := readAttempt(&fields)
	fields.Must("an ended execution")
	return a, true
}

func writeEnded(w kv.Writer, name string, a *attempt) {
	w.Set(endedKey(name, a.job), a.appendTo(make(kv.Row, 0, a.size())))
}

func writeEarlier(w kv.Writer, name string, a *attempt) {
	w.Set(earlierKey(name, a.job).Uint(a.number), a.appendTo(make(kv.Row, 0, a.size())))
}

// readDeleted is what is left of the last attempt of a job on a thing that was deleted as the latest: its number, and its
// thing's; 0 is none.
func readDeleted(r kv.Reader, name string, job uint64) (a attempt) {
	row, ok := r.Get(deletedKey(name, job))
	if !ok {
		return a
	}
	fields := kv.NewFields(row)
	a.number, a.thing = fields.Uint(), fields.Uint()
	fields.Must("a deleted execution")
	return a
}
