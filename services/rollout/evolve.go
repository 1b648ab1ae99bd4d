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
		c.came(tx, at, e.ThingsWaiting.GetJob(), selected, e.ThingsWaiting.GetChunk(), e.ThingsWaiting.GetThings())
	case *v1.Event_ThingsJoined:
		c.came(tx, at, e.ThingsJoined.GetJob(), joined, e.ThingsJoined.GetChunk(), e.ThingsJoined.GetThings())
	case *v1.Event_ThingsWithdrawn:
		c.withdrawn(tx, at, e.ThingsWithdrawn)
	case *v1.Event_ThingsDropped:
		c.thingsDropped(tx, at, e.ThingsDropped)
	case *v1.Event_JobOpened:
		c.jobOpened(tx, at, e.JobOpened)
	case *v1.Event_WaitingComplete:
		c.change(tx, at, e.WaitingComplete.GetJob(), func(j *job) { j.complete = true })
	case *v1.Event_JobClosed:
		c.change(tx, at, e.JobClosed.GetJob(), func(j *job) {
			j.closed = true
			j.hold(tx, at, e.JobClosed.GetJob(), false)
		})
	case *v1.Event_JobHeld:
		c.change(tx, at, e.JobHeld.GetJob(), func(j *job) { j.hold(tx, at, e.JobHeld.GetJob(), true) })
	case *v1.Event_JobAdmitted:
		c.change(tx, at, e.JobAdmitted.GetJob(), func(j *job) {
			j.hold(tx, at, e.JobAdmitted.GetJob(), false)
			j.restart(at.AtMs)
		})
	case *v1.Event_JobCrowdedOut:
		c.change(tx, at, e.JobCrowdedOut.GetJob(), func(j *job) { j.crowded = true })
	case *v1.Event_AbortTriggered:
		c.change(tx, at, e.AbortTriggered.GetJob(), func(j *job) { j.aborted = true })
	case *v1.Event_JobErased:
		c.change(tx, at, e.JobErased.GetJob(), func(j *job) { j.erased = true })
	case *v1.Event_JobSwept:
		c.sweep(tx, at, e.JobSwept.GetJob())
	case *v1.Event_JobDrained:
		c.jobDrained(tx, at, e.JobDrained)
	case *v1.Event_ThingRemoved:
		// A thing that waits still is refused by its home when it is released.
	default:
		c.configured(tx, at, event)
	}
}

// configured folds what changes a job's settings.
func (c *Core) configured(tx kv.Tx, at core.Place, event *v1.Event) {
	switch e := event.GetEvent().(type) {
	case *v1.Event_JobStopped:
		c.change(tx, at, e.JobStopped.GetJob(), func(j *job) {
			j.stop, j.completes = stopPhase(e.JobStopped), e.JobStopped.GetCompletes()
			j.hold(tx, at, e.JobStopped.GetJob(), false)
		})
	case *v1.Event_WindowOpened:
		c.change(tx, at, e.WindowOpened.GetJob(), func(j *job) {
			j.window, j.turns, j.begun = true, e.WindowOpened.GetClosesAtMs(), true
			j.restart(at.AtMs)
		})
	case *v1.Event_WindowClosed:
		c.change(tx, at, e.WindowClosed.GetJob(), func(j *job) { j.window, j.turns = false, e.WindowClosed.GetOpensAtMs() })
	case *v1.Event_JobChanged:
		c.change(tx, at, e.JobChanged.GetJob(), func(j *job) {
			if e.JobChanged.Rollout != nil {
				j.configure(e.JobChanged.Rollout, at.AtMs)
			}
			if e.JobChanged.Abort != nil {
				setCriteria(tx, e.JobChanged.GetJob(), j, e.JobChanged.Abort)
			}
		})
	default:
		panic(core.Unreadable(at, event))
	}
}

// change reads a job's row, changes it and writes it. A job that is not known stays so.
func (c *Core) change(tx kv.Tx, at core.Place, number uint64, f func(*job)) {
	j := readJob(tx, number)
	if !j.opened {
		return
	}
	f(&j)
	c.put(tx, at, number, &j, false)
}

// put writes a job's row, and its place in line and among the due. A job that was just served stands at the end of the
// line; one that stands in it already keeps its place otherwise.
func (c *Core) put(tx kv.Tx, at core.Place, number uint64, j *job, served bool) {
	j.notice(tx, number)
	line(tx, at, tableLine, number, &j.line, j.hasWork(c.homes), served)
	line(tx, at, tableCareful, number, &j.carefulLine, j.careful && j.unpaced(), served)
	c.work(tx, j)
	due := int64(0)
	if j.pace.perMinute > 0 && j.queue[selected].waiting() > 0 && j.mayRelease() {
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

// line keeps a job's place in a line.
func line(tx kv.Tx, at core.Place, table byte, number uint64, place *uint64, stands, served bool) {
	if *place != 0 && (!stands || served) {
		tx.Delete(lineKey(table, *place, number))
		*place = 0
	}
	if stands && *place == 0 {
		*place = at.ID()
		tx.Set(lineKey(table, *place, number), []byte{})
	}
}

func (c *Core) jobOpened(tx kv.Tx, at core.Place, e *v1.JobOpened) {
	j := job{
		opened: true, continuous: e.GetTargetSelection() == v1.TargetSelection_TARGET_SELECTION_CONTINUOUS,
		begins: e.GetBeginsAtMs(), begun: e.GetBeginsAtMs() <= e.GetCreatedAtMs(), windowed: e.GetWindowed(),
	}
	if j.windowed {
		j.turns = j.begins
	}
	j.configure(e.GetRollout(), at.AtMs)
	setCriteria(tx, e.GetJob(), &j, e.GetAbort())
	tx.Set(idKey(e.GetJobId()), kv.Row(nil).Uint(e.GetJob()))
	tx.Set(nameKey(e.GetJob()), kv.Row(nil).String(e.GetJobId()))
	c.put(tx, at, e.GetJob(), &j, false)
}

func (c *Core) came(tx kv.Tx, at core.Place, number uint64, which int, chunk uint64, things []*v1.ThingRef) {
	c.change(tx, at, number, func(j *job) {
		j.queue[which].push(tx, number, which, chunk, at.ID(), things)
		j.begun = true
		if which == selected && j.pace.began == 0 {
			j.pace.begin(at.AtMs)
		}
	})
}

// released moves the head; the events of one release all move it to the same place.
func (c *Core) released(tx kv.Tx, at core.Place, e *v1.ExecutionsReleased) {
	j := readJob(tx, e.GetJob())
	which, n := selected, uint64(len(e.GetThings()))
	if e.GetJoined() {
		which = joined
	}
	j.queue[which].released += n
	if j.careful {
		if j.lastCommit != at.Number {
			j.lastCommit, j.lastThings = at.Number, 0
		}
		j.lastThings += n
	}
	if which == selected && j.pace.perMinute > 0 {
		j.pace.slot = max(j.pace.slot, e.GetUntilSlot())
		j.remember(tx, e.GetJob(), at.AtMs, n)
		j.adjust(max(j.pace.slotDue(j.pace.slot), at.AtMs-second))
	}
	j.queue[which].moveHead(tx, e.GetJob(), which, e.GetUntilChunk(), uint64(e.GetUntilOffset()))
	j.sweep(tx, e.GetJob(), marksSwept)
	c.put(tx, at, e.GetJob(), &j, true)
}

func (c *Core) thingsDropped(tx kv.Tx, at core.Place, e *v1.ThingsDropped) {
	j := readJob(tx, e.GetJob())
	which := selected
	if e.GetJoined() {
		which = joined
	}
	j.queue[which].dropped += e.GetThings()
	j.queue[which].moveHead(tx, e.GetJob(), which, e.GetUntilChunk(), uint64(e.GetUntilOffset()))
	j.sweep(tx, e.GetJob(), marksSwept)
	c.put(tx, at, e.GetJob(), &j, true)
}

func (c *Core) observed(tx kv.Tx, at core.Place, e *v1.Observed) {
	for _, home := range e.GetHomes() {
		for _, t := range home.GetTallies() {
			c.change(tx, at, t.GetJob(), func(j *job) {
				j.counts.AddObserved(t)
				for _, p := range t.GetSettled() {
					settled(tx, t.GetJob(), j, p, home.GetHome())
				}
				j.adjust(at.AtMs)
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
	if e.GetPhase() == v1.JobPhase_JOB_PHASE_DELETED {
		forgetJob(tx, e.GetJob())
		return
	}
	for home := range c.homes {
		tx.Delete(settledPrefix(e.GetJob(), e.GetPhase()).Uint(uint64(home)))
	}
	c.change(tx, at, e.GetJob(), func(j *job) { j.drained = e.GetPhase() })
}

// forgetJob deletes everything that is kept of a job. Nothing waits in it any more, and slices have left little (sweep.go).
func forgetJob(tx kv.Tx, number uint64) {
	j := readJob(tx, number)
	if j.line != 0 {
		tx.Delete(lineKey(tableLine, j.line, number))
	}
	if j.carefulLine != 0 {
		tx.Delete(lineKey(tableCareful, j.carefulLine, number))
	}
	if j.due != 0 {
		tx.Delete(dueKey(j.due, number))
	}
	if j.held != 0 {
		tx.Delete(lineKey(tableHeld, j.held, number))
	}
	if name, ok := tx.Get(nameKey(number)); ok {
		f := kv.NewFields(name)
		id := f.String()
		f.Must("a job's id")
		if latest, ok := numberOf(tx, id); ok && latest == number {
			tx.Delete(idKey(id))
		}
	}
	for _, table := range []byte{tableJob, tableName, tableCriteria, tableWaiting, tableMark, tableWithdrawn, tableRecent, tableSettled} {
		of := kv.NewKey(table).Uint(number)
		forget(tx, of, kv.PrefixEnd(of))
	}
}

// numberOf is the latest job of an id.
func numberOf(r kv.Reader, jobID string) (uint64, bool) {
	row, ok := r.Get(idKey(jobID))
	if !ok {
		return 0, false
	}
	f := kv.NewFields(row)
	number := f.Uint()
	f.Must("a job's number")
	return number, true
}
