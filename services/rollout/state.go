package rollout

import (
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/tally"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// stateVersion is raised when the rows below come to be others (core.Core).
const stateVersion = 1

// The tables of the state.
const (
	tableJob       = 'j' // job → its row
	tableID        = 'i' // job id → the latest job of that id
	tableName      = 'n' // job → its id
	tableCriteria  = 'a' // job → its abort criteria, if it has any
	tableWaiting   = 'w' // job, queue, chunk → the things of one ThingsWaiting or ThingsJoined
	tableMark      = 'm' // job, thing number → when the thing was withdrawn, as a place
	tableWithdrawn = 'x' // job, place → the thing numbers of one ThingsWithdrawn that have marks
	tableRecent    = 'r' // job, things released until then → when, and how many: the latest releases of a paced job
	tableLine      = 'l' // place in line, job → nothing: jobs that have something to do at once
	tableCareful   = 'c' // place in line, job → nothing: jobs with criteria that may release at once, in a current state
	tableDue       = 'd' // ms since the epoch, job → nothing: paced jobs and when their next release may be due
	tableSettled   = 's' // job, phase, home → nothing
	tableHeld      = 'h' // place in line, job → nothing: jobs that wait for others to be done
	// → how many jobs are at work
	tableConcurrent = 'k'
)

func jobKey(job uint64) kv.Key           { return kv.NewKey(tableJob).Uint(job) }
func idKey(jobID string) kv.Key          { return kv.NewKey(tableID).String(jobID) }
func nameKey(job uint64) kv.Key          { return kv.NewKey(tableName).Uint(job) }
func criteriaKey(job uint64) kv.Key      { return kv.NewKey(tableCriteria).Uint(job) }
func markKey(job, thing uint64) kv.Key   { return kv.NewKey(tableMark).Uint(job).Uint(thing) }
func recentKey(job, until uint64) kv.Key { return kv.NewKey(tableRecent).Uint(job).Uint(until) }
func dueKey(at int64, job uint64) kv.Key { return kv.NewKey(tableDue).Uint(uint64(at)).Uint(job) }
func lineKey(table byte, place, job uint64) kv.Key {
	return kv.NewKey(table).Uint(place).Uint(job)
}
func withdrawnKey(job, place uint64) kv.Key { return kv.NewKey(tableWithdrawn).Uint(job).Uint(place) }
func settledPrefix(job uint64, p v1.JobPhase) kv.Key {
	return kv.NewKey(tableSettled).Uint(job).Uint(uint64(p))
}

// job is a job's row. Of a job that is not known, or forgotten, it is zero.
type job struct {
	opened     bool
	continuous bool
	careful    bool  // it has abort criteria
	begins     int64 // when it is to begin; 0 is at once
	begun      bool  // it has: its selection goes on, or has finished
	complete   bool  // its selection has finished

	windowed bool
	window   bool  // its window is open
	turns    int64 // when the window closes if it is open, opens if not; 0 is never

	rate  rate
	pace  pace
	queue [queues]queue

	stop      v1.JobPhase // the stop that was decided, or none
	completes bool        // it was by the end time: the job is closed when everything has ended
	aborted   bool
	crowded   bool // it was stopped since too many others were at work
	erased    bool
	closed    bool
	drained   v1.JobPhase    // the last phase that every home has settled
	settled   [phases]uint64 // by phase, how many homes have settled it
	counts    tally.Counts

	// The commit that holds the latest release, and how many things it holds. Kept for careful jobs.
	lastCommit, lastThings uint64
	// How many rows of tableWithdrawn there are.
	withdrawals uint64
	// Where the job stands in tableLine, tableCareful and tableDue; 0 is not.
	line, carefulLine uint64
	due               int64
	// Where it stands among those that are held, 0 if it is not; and whether it is at work. (concurrent.go)
	held  uint64
	works bool
	// Nothing is left of an erased job but what goes with its row. (sweep.go)
	swept bool
}

// phases is one more than the last phase.
const phases = int(v1.JobPhase_JOB_PHASE_DELETED) + 1

// readJob reads a job's row.
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
	j.opened, j.continuous, j.careful, j.begins, j.complete = f.Bool(), f.Bool(), f.Bool(), f.Int(), f.Bool()
	j.windowed, j.window, j.turns = f.Bool(), f.Bool(), f.Int()
	j.rate.read(&f)
	j.pace.read(&f)
	for i := range j.queue {
		j.queue[i].read(&f)
	}
	j.stop, j.completes, j.aborted = phase(f.Uint()), f.Bool(), f.Bool()
	j.erased, j.closed, j.drained = f.Bool(), f.Bool(), phase(f.Uint())
	for p := range j.settled {
		j.settled[p] = f.Uint()
	}
	j.counts.Read(&f)
	j.lastCommit, j.lastThings, j.withdrawals = f.Uint(), f.Uint(), f.Uint()
	j.line, j.carefulLine, j.due = f.Uint(), f.Uint(), f.Int()
	j.begun, j.crowded, j.held, j.works, j.swept = f.Bool(), f.Bool(), f.Uint(), f.Bool(), f.Bool()
	return j, f
}

func (j *job) row() kv.Row {
	r := make(kv.Row, 0, 96)
	r = r.Bool(j.opened).Bool(j.continuous).Bool(j.careful).Int(j.begins).Bool(j.complete)
	r = r.Bool(j.windowed).Bool(j.window).Int(j.turns)
	r = j.pace.append(j.rate.append(r))
	for i := range j.queue {
		r = j.queue[i].append(r)
	}
	r = r.Uint(uint64(j.stop)).Bool(j.completes).Bool(j.aborted)
	r = r.Bool(j.erased).Bool(j.closed).Uint(uint64(j.drained))
	for _, n := range j.settled {
		r = r.Uint(n)
	}
	r = j.counts.AppendTo(r)
	r = r.Uint(j.lastCommit).Uint(j.lastThings).Uint(j.withdrawals)
	r = r.Uint(j.line).Uint(j.carefulLine).Int(j.due)
	return r.Bool(j.begun).Bool(j.crowded).Uint(j.held).Bool(j.works).Bool(j.swept)
}

// phase takes a phase that this version does not know for none.
func phase(n uint64) v1.JobPhase {
	if n >= uint64(phases) {
		return v1.JobPhase_JOB_PHASE_UNSPECIFIED
	}
	return v1.JobPhase(n)
}

// waiting is how many things were neither released nor dropped; released and selected are over both queues.
func (j *job) waiting() uint64  { return j.queue[selected].waiting() + j.queue[joined].waiting() }
func (j *job) released() uint64 { return j.queue[selected].released + j.queue[joined].released }
func (j *job) came() uint64     { return j.queue[selected].came + j.queue[joined].came }

// mayRelease says that neither a stop nor a closed window nor other jobs forbid releases.
func (j *job) mayRelease() bool {
	return j.stop == 0 && !j.erased && (!j.windowed || j.window) && j.held == 0
}

// outstanding is how many released things have not ended, as far as the homes have said.
func (j *job) outstanding() int64 { return int64(j.released()) - j.counts.Ended() }

// quiet says that nothing waits, and everything released has ended.
func (j *job) quiet() bool { return j.waiting() == 0 && j.counts.Open == 0 && j.outstanding() == 0 }

// closable says that JobClosed is true and not written: a snapshot job has reached everything that it selected, or the
// end time has come and every home has carried out what it asked for. A job that was canceled is never closed.
func (j *job) closable(homes uint32) bool {
	if j.closed || j.erased || !j.quiet() {
		return false
	}
	if j.stop != 0 {
		return j.completes && j.settled[j.stop] >= uint64(homes)
	}
	return j.complete && !j.continuous
}

// drainable is the phase for which JobDrained is true and not written, or none. A deletion takes the place of all else,
// a stop that of the stops before it and of a close.
func (j *job) drainable(homes uint32) v1.JobPhase {
	phase := v1.JobPhase_JOB_PHASE_UNSPECIFIED
	switch {
	case j.erased:
		phase = v1.JobPhase_JOB_PHASE_DELETED
	case j.stop != 0 && !j.completes:
		phase = j.stop
	case j.closed:
		phase = v1.JobPhase_JOB_PHASE_CLOSED
	}
	if phase == j.drained || j.waiting() > 0 || j.erased && !j.swept || j.settled[phase] < uint64(homes) {
		return v1.JobPhase_JOB_PHASE_UNSPECIFIED
	}
	return phase
}

// hasWork says whether a slice could do something for the job at once, in any state.
func (j *job) hasWork(homes uint32) bool {
	if j.stop != 0 && j.waiting() > 0 || j.sweepable() || j.closable(homes) || j.drainable(homes) != 0 {
		return true
	}
	return !j.careful && j.unpaced()
}

// unpaced says that something may be released without waiting for a pace.
func (j *job) unpaced() bool {
	return j.mayRelease() && (j.queue[joined].waiting() > 0 || j.pace.perMinute == 0 && j.queue[selected].waiting() > 0)
}

// bound is how many things a careful job releases in one commit: a second's pace, 100 without one. (design §7 "Abort")
func (j *job) bound() uint64 {
	if j.pace.perMinute == 0 {
		return unpacedBound
	}
	return j.pace.perSecond()
}

const unpacedBound = 100

// roomIn is how many things may go in the commit of that number.
func (j *job) roomIn(commit uint64) uint64 {
	if !j.careful {
		return releaseMax
	}
	if j.lastCommit != commit {
		return j.bound()
	}
	return j.bound() - min(j.bound(), j.lastThings)
}
