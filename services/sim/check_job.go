package sim

import (
	"fmt"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// jobFacts are what the logs say of one job.
type jobFacts struct {
	id         string
	number     uint64
	targets    []*v1.Target
	continuous bool
	windowed   bool
	pace       uint32 // the fastest that it had; 0 if it had none at a time
	over       bool   // JobCompleted, JobDeleted, or JobCanceled after the last JobCancelStarted
	canceled   bool
	forced     bool
	ended      bool // JobEndReached
	deleting   bool
	gone       bool // JobDeleted

	selecting, chosen bool              // SelectionStarted, SelectionFinished
	members           map[uint64]string // what the targets held when it started
	selected          map[uint64]string // by thing number: name
	// How often, by thing number.
	chosenTimes, waiting, released, queued, refused map[uint64]int

	dropped         uint64
	pages           []page // of releases, for the pace
	stopped, closed bool   // in log.rollout
	open            bool   // in log.rollout: its window
	aborted, erased bool
	held, crowded   bool // in log.rollout, for other jobs were at work
	drained         map[v1.JobPhase]bool
	observed        []*v1.ObservedTally

	stops    [homes]v1.JobPhase // StopLearned, by home
	settled  [homes]v1.JobPhase
	erasing  [homes]bool
	shown    [homes]bool                  // its window, as the home knows it
	attempts map[string][]*executionFacts // by thing name
}

func newJobFacts(number uint64, c *v1.JobCreated) *jobFacts {
	j := &jobFacts{
		id: c.JobId, number: number, targets: c.Targets, pace: c.Rollout.GetMaximumPerMinute(),
		continuous: c.TargetSelection == v1.TargetSelection_TARGET_SELECTION_CONTINUOUS,
		windowed:   len(c.Scheduling.GetWindows()) > 0,
		selected:   map[uint64]string{}, chosenTimes: map[uint64]int{}, waiting: map[uint64]int{}, released: map[uint64]int{},
		queued: map[uint64]int{}, refused: map[uint64]int{}, drained: map[v1.JobPhase]bool{}, attempts: map[string][]*executionFacts{},
	}
	j.open = !j.windowed
	for h := range j.shown {
		j.shown[h] = !j.windowed
	}
	return j
}

type page struct {
	at int64
	n  int
}

// rank orders the phases that a home carries out.
func rank(p v1.JobPhase) int {
	switch p {
	case v1.JobPhase_JOB_PHASE_ENDED:
		return 1
	case v1.JobPhase_JOB_PHASE_STOPPED:
		return 2
	case v1.JobPhase_JOB_PHASE_FORCE_STOPPED:
		return 3
	case v1.JobPhase_JOB_PHASE_CLOSED:
		return 4
	case v1.JobPhase_JOB_PHASE_DELETED:
		return 5
	}
	return 0
}

// jobEvent: log.job. A job ends once, and is never canceled afterwards; nothing happens to it once it was deleted, and
// then its id may be used again.
func (c *checker) jobEvent(number uint64, event *v1.Event) error {
	if e := event.GetJobCreated(); e != nil {
		if e.Job != number {
			return broken("job number %d at place %d", e.Job, number)
		}
		for _, j := range c.jobs {
			if j.id == e.JobId && !j.gone {
				return broken("job id %s is used twice", j.id)
			}
		}
		c.w.met("job")
		c.order = append(c.order, number)
		c.jobs[number] = newJobFacts(number, e)
		return nil
	}
	if event.Job() == 0 {
		return nil
	}
	j, err := c.job(event.Job())
	if err != nil {
		return err
	}
	if j.gone {
		return broken("%s of job %s, which was deleted", event.Type(), j.id)
	}
	switch e := event.Event.(type) {
	case *v1.Event_JobWindowOpened:
		c.w.met("window opened")
	case *v1.Event_JobWindowClosed:
		c.w.met("window closed")
	case *v1.Event_JobEndReached:
		if j.ended || j.over {
			return broken("job %s reaches its end; before %v, over %v", j.id, j.ended, j.over)
		}
		c.w.met("job ended with " + e.JobEndReached.EndBehavior.String()[len("END_BEHAVIOR_"):])
		j.ended = true
	case *v1.Event_JobUpdated:
		c.w.met("job updated")
		if r := e.JobUpdated.Rollout; r != nil && r.MaximumPerMinute == 0 {
			j.pace = 0
		} else if r != nil && j.pace != 0 {
			j.pace = max(j.pace, r.MaximumPerMinute)
		}
	case *v1.Event_TargetsAssociated:
		c.w.met("targets associated")
		j.targets = append(j.targets, e.TargetsAssociated.Targets...)
	case *v1.Event_JobCancelStarted:
		if j.forced || j.over && !j.canceled || j.canceled && !e.JobCancelStarted.Force {
			return broken("job %s is canceled again, or after its end", j.id)
		}
		c.w.met("job canceled")
		if e.JobCancelStarted.Aborted {
			c.w.met("job aborted")
		}
		j.over, j.canceled, j.forced = false, true, e.JobCancelStarted.Force
	case *v1.Event_JobCompleted:
		if j.over || j.canceled || !j.drained[v1.JobPhase_JOB_PHASE_CLOSED] || j.continuous && !j.ended {
			return broken("job %s completes; over %v, canceled %v, drained %v, continuous %v, ended %v", j.id, j.over, j.canceled, j.drained, j.continuous, j.ended)
		}
		c.w.met("job completed")
		j.over = true
	case *v1.Event_JobCanceled:
		if j.over || !j.canceled || len(j.drained) == 0 {
			return broken("job %s is canceled; over %v, canceled %v, drained %v", j.id, j.over, j.canceled, j.drained)
		}
		j.over = true
	case *v1.Event_JobDeletionStarted:
		if j.deleting || !j.over && !j.canceled && !e.JobDeletionStarted.Force {
			return broken("the deletion of job %s begins; again %v, over %v", j.id, j.deleting, j.over)
		}
		j.deleting, j.over = true, false
	case *v1.Event_JobDeleted:
		if !j.deleting || !j.drained[v1.JobPhase_JOB_PHASE_DELETED] {
			return broken("job %s is deleted; deleting %v, drained %v", j.id, j.deleting, j.drained)
		}
		c.w.met("job deleted")
		j.over, j.gone = true, true
	}
	return nil
}

func (c *checker) job(number uint64) (*jobFacts, error) {
	if j := c.jobs[number]; j != nil {
		return j, nil
	}
	return nil, broken("there is no job %d", number)
}

// rolloutEvent: log.rollout. What is released was selected, as often, at its home, within the pace and the windows, and not
// after a stop.
func (c *checker) rolloutEvent(x *eventstore.Commit, event *v1.Event) error {
	if o := event.GetObserved(); o != nil {
		return c.observed(o)
	}
	if event.Job() == 0 {
		return nil
	}
	j, err := c.job(event.Job())
	if err != nil {
		return err
	}
	switch e := event.Event.(type) {
	case *v1.Event_ThingsWaiting:
		return j.waits(e.ThingsWaiting.Things)
	case *v1.Event_ThingsJoined:
		c.w.met("things joined")
		return j.waits(e.ThingsJoined.Things)
	case *v1.Event_ThingsWithdrawn:
		c.w.met("things withdrawn")
	case *v1.Event_ExecutionsReleased:
		return j.releases(x.AtMs, e.ExecutionsReleased)
	case *v1.Event_WindowOpened:
		j.open = true
	case *v1.Event_WindowClosed:
		j.open = false
	case *v1.Event_AbortTriggered:
		j.aborted = true
	case *v1.Event_JobHeld:
		c.w.met("job held")
		j.held = true
	case *v1.Event_JobAdmitted:
		if !j.held {
			return broken("%s is admitted, and was not held", j.id)
		}
		j.held = false
	case *v1.Event_JobCrowdedOut:
		c.w.met("job crowded out")
		j.crowded = true
	case *v1.Event_JobStopped:
		if !j.canceled && !j.ended && !j.deleting && !j.aborted && !j.crowded {
			return broken("%s is stopped and was neither canceled nor ended nor deleted nor aborted nor crowded out", j.id)
		}
		j.stopped = true
	case *v1.Event_JobErased:
		if !j.deleting {
			return broken("%s is erased and not deleted", j.id)
		}
		j.erased, j.stopped = true, true
	case *v1.Event_ThingsDropped:
		c.w.met("waiting things dropped")
		j.dropped += e.ThingsDropped.Things
	case *v1.Event_JobClosed:
		firsts := sum(j.queued) + sum(j.refused)
		if j.closed || !j.ended && !j.chosen || j.pending() > 0 || !j.stopped && firsts != len(j.selected) || j.continuous && !j.ended {
			return broken("it is closed; again %v, all selected %v, %d pending, %d executions and refusals of %d things, ended %v", j.closed, j.chosen, j.pending(), firsts, len(j.selected), j.ended)
		}
		j.closed = true
	case *v1.Event_JobDrained:
		for home, phase := range j.settled {
			if rank(phase) < rank(e.JobDrained.Phase) {
				return broken("%v is drained; home %d has settled %v", e.JobDrained.Phase, home, phase)
			}
		}
		j.drained[e.JobDrained.Phase] = true
	}
	return nil
}

func sum(m map[uint64]int) (n int) {
	for _, k := range m {
		n += k
	}
	return n
}

func (j *jobFacts) waits(things []*v1.ThingRef) error {
	for _, t := range things {
		if j.waiting[t.Number]++; j.waiting[t.Number] > j.chosenTimes[t.Number] {
			return broken("%s waits %d times, and was selected %d times", t.Name, j.waiting[t.Number], j.chosenTimes[t.Number])
		}
	}
	return nil
}

func (j *jobFacts) releases(at int64, r *v1.ExecutionsReleased) error {
	if j.stopped || !j.open || j.held {
		return broken("%d things are released; the job was stopped %v, its window is open %v, it is held %v", len(r.Things), j.stopped, j.open, j.held)
	}
	for _, t := range r.Things {
		j.released[t.Number]++
		if j.released[t.Number] > j.waiting[t.Number] || uint32(id.HomeOf(t.Name, homes)) != r.Home {
			return broken("%s is released to home %d for the %d. time, and waited %d times", t.Name, r.Home, j.released[t.Number], j.waiting[t.Number])
		}
	}
	if r.Joined {
		return nil
	}
	return j.release(at, len(r.Things))
}

func (c *checker) observed(o *v1.Observed) error {
	for _, h := range o.Homes {
		for _, t := range h.Tallies {
			j, err := c.job(t.Job)
			if err != nil {
				return err
			}
			j.observed = append(j.observed, t)
		}
	}
	return nil
}

// release holds the pace: in any 60 s at most pace things, and in any second at most a sixtieth, rounded up.
func (j *jobFacts) release(at int64, n int) error {
	if j.pace == 0 {
		return nil
	}
	if len(j.pages) > 0 && j.pages[len(j.pages)-1].at == at {
		j.pages[len(j.pages)-1].n += n
	} else {
		j.pages = append(j.pages, page{at, n})
	}
	within := func(ms int64) (total int) {
		for _, p := range j.pages {
			if p.at > at-ms {
				total += p.n
			}
		}
		return total
	}
	if sum := within(60_000); sum > int(j.pace) {
		return broken("%d things are released within a minute, at a pace of %d", sum, j.pace)
	}
	if sum, most := within(1000), int(j.pace+59)/60; sum > most {
		return broken("%d things are released within a second, at a pace of %d a minute", sum, j.pace)
	}
	return nil
}

// pending counts attempts that have not ended, and retries that are due.
func (j *jobFacts) pending() (n int) {
	for _, list := range j.attempts {
		for _, e := range list {
			if !e.deleted && (!e.ended() || e.due) {
				n++
			}
		}
	}
	return n
}

// latest is the last attempt on a thing, deleted or not; nil if there is none.
func (j *jobFacts) latest(thing string) *executionFacts {
	if list := j.attempts[thing]; len(list) > 0 {
		return list[len(list)-1]
	}
	return nil
}

func (j *jobFacts) left() int {
	n := j.pending()
	if !j.over {
		n++
	}
	return n
}

func (j *jobFacts) describe() string {
	return fmt.Sprintf("%s: over %v, canceled %v force %v, ended %v, deleting %v, continuous %v, windowed %v, open %v, shown %v, selection %v of %d things, %d waiting, %d released, %d dropped, %d executions, %d pending, %d refused, stopped %v, closed %v, settled %v, drained %v",
		j.id, j.over, j.canceled, j.forced, j.ended, j.deleting, j.continuous, j.windowed, j.open, j.shown, j.chosen, len(j.selected), sum(j.waiting), sum(j.released), j.dropped, len(j.attempts), j.pending(), sum(j.refused), j.stopped, j.closed, j.settled, j.drained)
}

// finishJob: every release has exactly one outcome, and what a snapshot job has selected and nobody has stopped was
// released.
func (c *checker) finishJob(j *jobFacts) error {
	if j.left() > 0 {
		return broken("it is not over")
	}
	for number, name := range j.selected {
		if j.released[number] == 0 && !j.stopped && !j.continuous {
			return broken("%s was selected and never released", name)
		}
	}
	for number, n := range j.released {
		if facts := j.queued[number] + j.refused[number]; facts != n && !j.gone {
			return broken("%s was released %d times; it has %d executions and %d refusals", c.fleet.names[number], n, j.queued[number], j.refused[number])
		}
	}
	if j.gone {
		for name, list := range j.attempts {
			for _, e := range list {
				if !e.deleted {
					return broken("it was deleted, and execution %d on %s was not", e.number, name)
				}
			}
		}
	}
	return nil
}
