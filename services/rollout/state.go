package rollout

import (
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/tally"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// The tables of the state.
const (
	tableJob     = 'j' // job → its row
	tableWaiting = 'w' // job, chunk → the things of one ThingsWaiting
	tableRecent  = 'r' // job, things released until then → when: the latest releases of a paced job
	tableLine    = 'l' // place in line, job → nothing: jobs that have something to do at once
	tableDue     = 'd' // ms since the epoch, job → nothing: paced jobs and when their next release may be due
	tableSettled = 's' // job, phase, home → nothing
)

func jobKey(job uint64) kv.Key            { return kv.NewKey(tableJob).Uint(job) }
func waitingKey(job, chunk uint64) kv.Key { return kv.NewKey(tableWaiting).Uint(job).Uint(chunk) }
func recentKey(job, until uint64) kv.Key  { return kv.NewKey(tableRecent).Uint(job).Uint(until) }
func lineKey(place, job uint64) kv.Key    { return kv.NewKey(tableLine).Uint(place).Uint(job) }
func dueKey(at int64, job uint64) kv.Key  { return kv.NewKey(tableDue).Uint(uint64(at)).Uint(job) }
func settledPrefix(job uint64, p v1.JobPhase) kv.Key {
	return kv.NewKey(tableSettled).Uint(job).Uint(uint64(p))
}

// job is a job's row.
type job struct {
	perMinute uint64 // 0 is no pace
	// began is when the first thing waited, which is when the pace began; 0 is not yet.
	began int64
	// slot is the place in the pace up to which things were released or forfeited.
	slot uint64

	chunks   uint64 // how many ThingsWaiting there were
	complete bool   // none will follow
	// The first waiting thing is at this offset of this chunk.
	headChunk, headOffset uint64
	selected, released    uint64
	dropped               uint64

	stop    v1.JobPhase // the stop that was decided, or none
	closed  bool
	drained v1.JobPhase    // the last phase that every home has settled
	settled [phases]uint64 // by phase, how many homes have settled it
	counts  tally.Counts

	// Where the job stands in tableLine and tableDue; 0 is not.
	line uint64
	due  int64
}

func (j *job) waiting() uint64 { return j.selected - j.released - j.dropped }

// phases is one more than the last phase.
const phases = int(v1.JobPhase_JOB_PHASE_CLOSED) + 1

// ended says that every selected thing was released and has ended.
func (j *job) ended() bool {
	return j.complete && j.waiting() == 0 && j.counts.Open == 0 && j.counts.Ended() == int64(j.released)
}

// closable says that JobClosed is true and not written. A job that was stopped is never closed.
func (j *job) closable() bool { return j.stop == 0 && !j.closed && j.ended() }

// drainable is the phase for which JobDrained is true and not written, or none. A stop takes the place of the stop
// without force before it, and of a close.
func (j *job) drainable(homes uint32) v1.JobPhase {
	phase := j.stop
	if phase == 0 && j.closed {
		phase = v1.JobPhase_JOB_PHASE_CLOSED
	}
	if phase == j.drained || j.waiting() > 0 || j.settled[phase] < uint64(homes) {
		return v1.JobPhase_JOB_PHASE_UNSPECIFIED
	}
	return phase
}

// hasWork says whether a slice could do something for the job at once.
func (j *job) hasWork(homes uint32) bool {
	atOnce := j.waiting() > 0 && (j.stop != 0 || j.perMinute == 0)
	return atOnce || j.closable() || j.drainable(homes) != 0
}

// readJob reads a job's row; of a job that is not known it is zero.
func readJob(r kv.Reader, number uint64) job {
	row, ok := r.Get(jobKey(number))
	if !ok {
		return job{}
	}
	j, fields := parseJob(row)
	fields.Must("a job")
	return j
}

func parseJob(row []byte) (job, kv.Fields) {
	f := kv.NewFields(row)
	var j job
	j.perMinute, j.began, j.slot = f.Uint(), f.Int(), f.Uint()
	j.chunks, j.complete = f.Uint(), f.Bool()
	j.headChunk, j.headOffset = f.Uint(), f.Uint()
	j.selected, j.released, j.dropped = f.Uint(), f.Uint(), f.Uint()
	j.stop, j.closed, j.drained = phase(f.Uint()), f.Bool(), phase(f.Uint())
	for p := range j.settled {
		j.settled[p] = f.Uint()
	}
	j.counts.Read(&f)
	j.line, j.due = f.Uint(), f.Int()
	return j, f
}

func (j *job) row() kv.Row {
	r := make(kv.Row, 0, 64)
	r = r.Uint(j.perMinute).Int(j.began).Uint(j.slot)
	r = r.Uint(j.chunks).Bool(j.complete)
	r = r.Uint(j.headChunk).Uint(j.headOffset)
	r = r.Uint(j.selected).Uint(j.released).Uint(j.dropped)
	r = r.Uint(uint64(j.stop)).Bool(j.closed).Uint(uint64(j.drained))
	for _, n := range j.settled {
		r = r.Uint(n)
	}
	r = j.counts.AppendTo(r)
	return r.Uint(j.line).Int(j.due)
}

// chunk is a row of waiting things: how many, then name and number of each.
func chunk(things []*v1.ThingRef) kv.Row {
	r := make(kv.Row, 0, 16*len(things)).Uint(uint64(len(things)))
	for _, t := range things {
		r = r.String(t.GetName()).Uint(t.GetNumber())
	}
	return r
}

// chunkReader goes through a chunk.
type chunkReader struct {
	fields kv.Fields
	Len    uint64 // in all
	at     uint64
}

// openChunk begins at an offset. A chunk that is not there is empty.
func openChunk(r kv.Reader, job, number, offset uint64) chunkReader {
	row, _ := r.Get(waitingKey(job, number))
	return newChunkReader(row, offset)
}

func newChunkReader(row []byte, offset uint64) chunkReader {
	c := chunkReader{fields: kv.NewFields(row)}
	if len(row) > 0 {
		c.Len = c.fields.Uint()
	}
	for c.at < offset && c.at < c.Len && c.fields.More() {
		c.fields.Bytes()
		c.fields.Uint()
		c.at++
	}
	return c
}

// next is the next thing, or nil at the end.
func (c *chunkReader) next() *v1.ThingRef {
	if c.at >= c.Len || !c.fields.More() {
		return nil
	}
	c.at++
	return &v1.ThingRef{Name: c.fields.String(), Number: c.fields.Uint()}
}

// nextInLine is the job that has stood in line the longest.
func nextInLine(r kv.Reader) (uint64, bool) {
	prefix := kv.NewKey(tableLine)
	for k := range r.Scan(prefix, kv.PrefixEnd(prefix)) {
		_, rest := kv.CutUint(k[1:])
		job, _ := kv.CutUint(rest)
		return job, true
	}
	return 0, false
}

// phase takes a phase that this version does not know for none.
func phase(n uint64) v1.JobPhase {
	if n >= uint64(phases) {
		return v1.JobPhase_JOB_PHASE_UNSPECIFIED
	}
	return v1.JobPhase(n)
}
