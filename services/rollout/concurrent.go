package rollout

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// Concurrent jobs (specification §4.13). A job is at work while it is being rolled out, which is from its start until
// everything that it selected was released, and while homes cancel executions of it. So many jobs may be at work
// (Limits); a cancel is never put off, and counts all the same.
//
// A job that would be rolled out when there is no place is held: it is IN_PROGRESS, its things wait, and nothing of it is
// released. A place that becomes free is for the job that was held the longest. One whose window opens when there is no
// place is stopped instead, and log.job cancels it.

// wants says that the job is being rolled out, or would be if it had a place.
func (j *job) wants() bool {
	return j.opened && j.stop == 0 && !j.erased && !j.closed && (!j.windowed || j.window) && (j.waiting() > 0 || j.begun && !j.complete)
}

// cancels says that homes are canceling executions of the job.
func (j *job) cancels(homes uint32) bool {
	return !j.erased && rank(j.stop) >= rank(v1.JobPhase_JOB_PHASE_STOPPED) && j.settled[j.stop] < uint64(homes)
}

// work keeps count of the jobs that are at work.
func (c *Core) work(tx kv.Tx, j *job) {
	if works := j.held == 0 && j.wants() || j.cancels(c.homes); works != j.works {
		j.works = works
		n := concurrent(tx)
		if works {
			n++
		} else {
			n--
		}
		setConcurrent(tx, n)
	}
}

// concurrent is how many jobs are at work.
func concurrent(r kv.Reader) uint64 {
	row, ok := r.Get(kv.NewKey(tableConcurrent))
	if !ok {
		return 0
	}
	f := kv.NewFields(row)
	n := f.Uint()
	f.Must("how many jobs are at work")
	return n
}

func setConcurrent(tx kv.Tx, n uint64) {
	if n == 0 {
		tx.Delete(kv.NewKey(tableConcurrent))
		return
	}
	tx.Set(kv.NewKey(tableConcurrent), kv.Row(nil).Uint(n))
}

// engage emits an event by which a job may come to be at work, and holds the job if that makes one too many.
func (c *Core) engage(s *core.Step, number uint64, event *v1.Event, reason *v1.Reason) {
	before := readJob(s, number)
	c.admit(s)
	s.Emit(event, reason)
	n := concurrent(s)
	switch {
	case before.works || !readJob(s, number).works || n <= c.limits.ConcurrentMax:
	case event.GetWindowOpened() != nil:
		c.crowdOut(s, number, n-1)
	default:
		s.Emit(&v1.Event{Event: &v1.Event_JobHeld{JobHeld: &v1.JobHeld{Job: number}}}, c.heldReason(n-1, ahead(s, s.Place().ID())))
	}
}

func (c *Core) heldReason(others uint64, ahead int64) *v1.Reason {
	return core.Reason(v1.ReasonCode_REASON_CODE_WAITS_FOR_CONCURRENT, int64(others), int64(c.limits.ConcurrentMax), ahead)
}

// crowdOut stops a job whose window opened when there was no place.
func (c *Core) crowdOut(s *core.Step, number, others uint64) {
	reason := core.Reason(v1.ReasonCode_REASON_CODE_TOO_MANY_CONCURRENT, int64(others), int64(c.limits.ConcurrentMax))
	s.Emit(&v1.Event{Event: &v1.Event_JobCrowdedOut{JobCrowdedOut: &v1.JobCrowdedOut{
		Job: number, Concurrent: others, Most: c.limits.ConcurrentMax,
	}}}, reason)
	s.Emit(&v1.Event{Event: &v1.Event_JobStopped{JobStopped: &v1.JobStopped{Job: number, Phase: v1.JobPhase_JOB_PHASE_STOPPED}}}, reason)
}

// admit gives free places to those who were held the longest.
func (c *Core) admit(s *core.Step) {
	for c.mayAdmit(s) && !s.Full() {
		number, _ := firstInLine(s, tableHeld)
		s.Emit(&v1.Event{Event: &v1.Event_JobAdmitted{JobAdmitted: &v1.JobAdmitted{Job: number}}}, nil)
	}
}

// mayAdmit says that there is a place, and a job that is held.
func (c *Core) mayAdmit(r kv.Reader) bool {
	_, held := firstInLine(r, tableHeld)
	return held && concurrent(r) < c.limits.ConcurrentMax
}

// hold makes the job stand in the line of those that are held, or not any more.
func (j *job) hold(tx kv.Tx, at core.Place, number uint64, stands bool) {
	line(tx, at, tableHeld, number, &j.held, stands, false)
}

// ahead is how many jobs were held before this one.
func ahead(r kv.Reader, held uint64) (n int64) {
	for range r.Scan(kv.NewKey(tableHeld), kv.NewKey(tableHeld).Uint(held)) {
		if n++; n == scanMax {
			break
		}
	}
	return n
}
