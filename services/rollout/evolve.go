package rollout

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// Evolve implements core.Core.
func (c *Core) Evolve(tx kv.Tx, at core.Place, event *v1.Event) {
	switch e := event.GetEvent().(type) {
	case *v1.Event_ExecutionsReleased:
		c.released(tx, at, e.ExecutionsReleased)
	case *v1.Event_Observed:
		c.observed(tx, at, e.Observed)
	case *v1.Event_ThingsWaiting:
		c.thingsWaiting(tx, at, e.ThingsWaiting)
	case *v1.Event_JobOpened:
		c.change(tx, at, e.JobOpened.GetJob(), func(j *job) {
			j.perMinute = uint64(e.JobOpened.GetRollout().GetMaximumPerMinute())
		})
	case *v1.Event_WaitingComplete:
		c.change(tx, at, e.WaitingComplete.GetJob(), func(j *job) { j.complete = true })
	case *v1.Event_JobStopped:
		c.change(tx, at, e.JobStopped.GetJob(), func(j *job) { j.stop = stopPhase(e.JobStopped.GetForce()) })
	case *v1.Event_ThingsDropped:
		c.thingsDropped(tx, at, e.ThingsDropped)
	case *v1.Event_JobClosed:
		c.change(tx, at, e.JobClosed.GetJob(), func(j *job) { j.closed = true })
	case *v1.Event_JobDrained:
		c.jobDrained(tx, at, e.JobDrained)
	case *v1.Event_ThingRemoved:
		// A thing that waits still is refused by its home when it is released.
	default:
		panic(core.Unreadable(at, event))
	}
}

// change reads a job's row, changes it and writes it.
func (c *Core) change(tx kv.Tx, at core.Place, number uint64, f func(*job)) {
	j := readJob(tx, number)
	f(&j)
	c.put(tx, at, number, &j, false)
}

// put writes a job's row, and its place in line and among the due. A job that was just served stands at the end of the
// line; one that stands in it already keeps its place otherwise.
func (c *Core) put(tx kv.Tx, at core.Place, number uint64, j *job, served bool) {
	work := j.hasWork(c.homes)
	if j.line != 0 && (!work || served) {
		tx.Delete(lineKey(j.line, number))
		j.line = 0
	}
	if work && j.line == 0 {
		j.line = at.ID()
		tx.Set(lineKey(j.line, number), []byte{})
	}

	due := int64(0)
	if j.perMinute > 0 && j.waiting() > 0 && j.stop == 0 {
		due = j.nextRelease(tx, number, at.AtMs)
	}
	if due != j.due {
		if j.due != 0 {
			tx.Delete(dueKey(j.due, number))
		}
		if due != 0 {
			tx.Set(dueKey(due, number), []byte{})
		}
		j.due = due
	}
	tx.Set(jobKey(number), j.row())
}

func (c *Core) thingsWaiting(tx kv.Tx, at core.Place, e *v1.ThingsWaiting) {
	j := readJob(tx, e.GetJob())
	tx.Set(waitingKey(e.GetJob(), e.GetChunk()), chunk(e.GetThings()))
	j.chunks = e.GetChunk() + 1
	j.selected += uint64(len(e.GetThings()))
	if j.began == 0 {
		j.began = at.AtMs
	}
	c.put(tx, at, e.GetJob(), &j, false)
}

// released moves the head; the events of one release all move it to the same place.
func (c *Core) released(tx kv.Tx, at core.Place, e *v1.ExecutionsReleased) {
	j := readJob(tx, e.GetJob())
	j.released += uint64(len(e.GetThings()))
	j.slot = max(j.slot, e.GetUntilSlot())
	if j.perMinute > 0 {
		j.remember(tx, e.GetJob(), at.AtMs)
	}
	moveHead(tx, e.GetJob(), &j, e.GetUntilChunk(), uint64(e.GetUntilOffset()))
	c.put(tx, at, e.GetJob(), &j, true)
}

func (c *Core) thingsDropped(tx kv.Tx, at core.Place, e *v1.ThingsDropped) {
	j := readJob(tx, e.GetJob())
	j.dropped += e.GetThings()
	moveHead(tx, e.GetJob(), &j, e.GetUntilChunk(), 0)
	c.put(tx, at, e.GetJob(), &j, true)
}

// moveHead deletes the chunks that nothing waits in any more.
func moveHead(tx kv.Tx, number uint64, j *job, chunk, offset uint64) {
	for ; j.headChunk < chunk; j.headChunk++ {
		tx.Delete(waitingKey(number, j.headChunk))
	}
	j.headOffset = offset
}

func (c *Core) observed(tx kv.Tx, at core.Place, e *v1.Observed) {
	for _, home := range e.GetHomes() {
		for _, t := range home.GetTallies() {
			c.change(tx, at, t.GetJob(), func(j *job) {
				j.counts.AddObserved(t)
				for _, p := range t.GetSettled() {
					settled(tx, t.GetJob(), j, p, home.GetHome())
				}
			})
		}
	}
}

// settled counts a home once for each phase.
func settled(tx kv.Tx, number uint64, j *job, p v1.JobPhase, home uint32) {
	key := settledPrefix(number, p).Uint(uint64(home))
	if _, before := tx.Get(key); before || int(p) >= phases {
		return
	}
	tx.Set(key, []byte{})
	j.settled[p]++
}

func (c *Core) jobDrained(tx kv.Tx, at core.Place, e *v1.JobDrained) {
	for home := range c.homes {
		tx.Delete(settledPrefix(e.GetJob(), e.GetPhase()).Uint(uint64(home)))
	}
	c.change(tx, at, e.GetJob(), func(j *job) { j.drained = e.GetPhase() })
}
