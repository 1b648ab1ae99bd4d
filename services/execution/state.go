package execution

import (
	"cmp"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// The tables of a home's state.
const (
	tableThing    = 't' // thing → its pending attempts, in the order in which they are offered
	tableEnded    = 'e' // thing, job → the last attempt that ended
	tablePending  = 'p' // job, in progress?, thing → nothing: what a stop has to end
	tableDeadline = 'x' // deadline, thing, job → nothing: what a timer has to end
	tableJob      = 'j' // job → id, timeout, stop
	tableDocument = 'd' // job → document
	tableJobID    = 'n' // job id → the latest job of that id
	tableStops    = 'w' // → the stops under way
	tableLeft     = 'l' // → the deleted things that still have something pending
)

func thingKey(thing string) kv.Key             { return kv.NewKey(tableThing).String(thing) }
func endedKey(thing string, job uint64) kv.Key { return kv.NewKey(tableEnded).String(thing).Uint(job) }
func jobKey(job uint64) kv.Key                 { return kv.NewKey(tableJob).Uint(job) }
func documentKey(job uint64) kv.Key            { return kv.NewKey(tableDocument).Uint(job) }
func jobIDKey(jobID string) kv.Key             { return kv.NewKey(tableJobID).String(jobID) }
func stopsKey() kv.Key                         { return kv.NewKey(tableStops) }
func leftKey() kv.Key                          { return kv.NewKey(tableLeft) }

// pendingPrefix stands before the names of the things on which the job is queued, or in progress.
func pendingPrefix(job uint64, inProgress bool) kv.Key {
	class := byte('q')
	if inProgress {
		class = 'r'
	}
	return append(kv.NewKey(tablePending).Uint(job), class)
}

func pendingKey(thing string, a *attempt) kv.Key {
	return pendingPrefix(a.job, a.inProgress()).String(thing)
}

func deadlineKey(thing string, a *attempt) kv.Key {
	return kv.NewKey(tableDeadline).Uint(uint64(a.deadline())).String(thing).Uint(a.job)
}

// thing is a thing's row.
type thing struct {
	// forgotten is the highest number of a thing of this name that was deleted; 0 is none.
	forgotten uint64
	// pending is in the order of specification §3.7: the first is the head.
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

// rank is what the order of pending executions looks at: IN_PROGRESS before QUEUED, the longest queued first, the
// older job first (specification §3.7). Job and number are an execution's identity.
type rank struct {
	inProgress bool
	queuedAt   int64
	job        uint64
	number     uint64
}

func (r rank) compare(o rank) int {
	if r.inProgress != o.inProgress {
		if r.inProgress {
			return -1
		}
		return 1
	}
	if r.queuedAt != o.queuedAt {
		return cmp.Compare(r.queuedAt, o.queuedAt)
	}
	return cmp.Compare(r.job, o.job)
}

func (r rank) same(o rank) bool { return r.job == o.job && r.number == o.number }

// job is what a home keeps of a job, but for its document.
type job struct {
	id             string
	timeoutMinutes uint64 // 0 is none
	stop           v1.JobPhase
}

func readJob(r kv.Reader, number uint64) (j job, known bool) {
	row, ok := r.Get(jobKey(number))
	if !ok {
		return job{}, false
	}
	fields := kv.NewFields(row)
	j = job{id: fields.String(), timeoutMinutes: fields.Uint(), stop: v1.JobPhase(fields.Uint())}
	fields.Must("a job")
	return j, true
}

func writeJob(w kv.Writer, number uint64, j job) {
	w.Set(jobKey(number), kv.Row(nil).String(j.id).Uint(j.timeoutMinutes).Uint(uint64(j.stop)))
}

// document is a copy of a job's document.
func document(r kv.Reader, job uint64) []byte {
	d, _ := r.Get(documentKey(job))
	return append([]byte(nil), d...)
}

// jobNumber is the latest job of an id.
func jobNumber(r kv.Reader, jobID string) (uint64, bool) {
	row, ok := r.Get(jobIDKey(jobID))
	if !ok {
		return 0, false
	}
	fields := kv.NewFields(row)
	n := fields.Uint()
	fields.Must("a job id")
	return n, true
}

// stop is an intent that is not carried out everywhere yet.
type stop struct {
	job   uint64
	force bool
}

// stops are few: those that slices are still working on. Mostly there is none, and no row.
type stops []stop

func readStops(r kv.Reader) stops {
	row, ok := r.Get(stopsKey())
	if !ok {
		return nil
	}
	fields := kv.NewFields(row)
	var s stops
	for fields.More() {
		s = append(s, stop{job: fields.Uint(), force: fields.Bool()})
	}
	fields.Must("the stops under way")
	return s
}

func writeStops(w kv.Writer, s stops) {
	if len(s) == 0 {
		w.Delete(stopsKey())
		return
	}
	row := kv.Row(nil)
	for _, x := range s {
		row = row.Uint(x.job).Bool(x.force)
	}
	w.Set(stopsKey(), row)
}

// readLeft lists the deleted things of which something is still pending; mostly there is none, and no row.
func readLeft(r kv.Reader) (names []string) {
	row, ok := r.Get(leftKey())
	if !ok {
		return nil
	}
	fields := kv.NewFields(row)
	for fields.More() {
		names = append(names, fields.String())
	}
	fields.Must("the deleted things with something pending")
	return names
}

func writeLeft(w kv.Writer, names []string) {
	if len(names) == 0 {
		w.Delete(leftKey())
		return
	}
	row := kv.Row(nil)
	for _, name := range names {
		row = row.String(name)
	}
	w.Set(leftKey(), row)
}

// without is the list less one job.
func (s stops) without(job uint64) stops {
	var rest stops
	for _, x := range s {
		if x.job != job {
			rest = append(rest, x)
		}
	}
	return rest
}

// reach says whether a stop ends this attempt: what is queued, and with force what is in progress.
func (s stops) reach(a *attempt) bool {
	for _, x := range s {
		if x.job == a.job {
			return x.force || !a.inProgress()
		}
	}
	return false
}

// end says whether a stop under way or the thing's deletion ends this attempt.
func (s stops) end(t *thing, a *attempt) bool { return t.gone(a) || s.reach(a) }

// force says whether the stop of a job under way is one with force.
func (s stops) force(job uint64) bool {
	for _, x := range s {
		if x.job == job {
			return x.force
		}
	}
	return false
}
