package sim

import (
	"fmt"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// jobFacts are what the logs say of one job.
type jobFacts struct {
	id       string
	number   uint64
	targets  []*v1.Target
	pace     uint32
	over     bool // JobCompleted, or JobCanceled after the last JobCancelStarted
	canceled bool
	forced   bool

	selecting, chosen bool                // SelectionStarted, SelectionFinished
	members           map[uint64]string   // what the targets held when it started
	selected          map[uint64]string   // by thing number: name
	waiting, released map[uint64]struct{} //
	dropped           uint64
	pages             []page // of releases, for the pace
	stopped, closed   bool   // in log.rollout
	drained           map[v1.JobPhase]bool
	observed          []*v1.ObservedTally

	stops      [homes]v1.JobPhase // StopLearned, by home
	settled    [homes]v1.JobPhase
	executions map[string]*executionFacts // by thing name
	refused    map[uint64]struct{}
}

type page struct {
	at int64
	n  int
}

// jobEvent: log.job. A job starts with the commit that creates it, ends once, and is never canceled afterwards.
func (c *checker) jobEvent(number uint64, event *v1.Event) error {
	switch e := event.Event.(type) {
	case *v1.Event_JobCreated:
		if e.JobCreated.Job != number {
			return broken("job number %d at place %d", e.JobCreated.Job, number)
		}
		for _, j := range c.jobs {
			if j.id == e.JobCreated.JobId {
				return broken("job id %s is used twice", j.id)
			}
		}
		c.w.met("job")
		c.order = append(c.order, number)
		c.jobs[number] = &jobFacts{
			id: e.JobCreated.JobId, number: number, targets: e.JobCreated.Targets, pace: e.JobCreated.Rollout.GetMaximumPerMinute(),
			selected: map[uint64]string{}, waiting: map[uint64]struct{}{}, released: map[uint64]struct{}{},
			drained: map[v1.JobPhase]bool{}, executions: map[string]*executionFacts{}, refused: map[uint64]struct{}{},
		}
	case *v1.Event_JobCancelStarted:
		j, err := c.job(e.JobCancelStarted.Job)
		if err != nil {
			return err
		}
		if j.forced || j.over && !j.canceled || j.canceled && !e.JobCancelStarted.Force {
			return broken("job %s is canceled again, or after its end", j.id)
		}
		c.w.met("job canceled")
		j.over, j.canceled, j.forced = false, true, e.JobCancelStarted.Force
	case *v1.Event_JobCompleted:
		j, err := c.job(e.JobCompleted.Job)
		if err != nil {
			return err
		}
		if j.over || j.canceled || !j.drained[v1.JobPhase_JOB_PHASE_CLOSED] {
			return broken("job %s completes; over %v, canceled %v, drained %v", j.id, j.over, j.canceled, j.drained)
		}
		c.w.met("job completed")
		j.over = true
	case *v1.Event_JobCanceled:
		j, err := c.job(e.JobCanceled.Job)
		if err != nil {
			return err
		}
		if j.over || !j.canceled || len(j.drained) == 0 {
			return broken("job %s is canceled; over %v, canceled %v, drained %v", j.id, j.over, j.canceled, j.drained)
		}
		j.over = true
	}
	return nil
}

func (c *checker) job(number uint64) (*jobFacts, error) {
	if j := c.jobs[number]; j != nil {
		return j, nil
	}
	return nil, broken("there is no job %d", number)
}

// rolloutEvent: log.rollout. What is released was selected, once, at its home, within the pace, and not after a stop.
func (c *checker) rolloutEvent(x *eventstore.Commit, event *v1.Event) error {
	switch e := event.Event.(type) {
	case *v1.Event_ThingsWaiting:
		j, err := c.job(e.ThingsWaiting.Job)
		if err != nil {
			return err
		}
		for _, t := range e.ThingsWaiting.Things {
			if _, twice := j.waiting[t.Number]; twice || j.selected[t.Number] != t.Name {
				return broken("%s waits; twice %v, selected as %q", t.Name, twice, j.selected[t.Number])
			}
			j.waiting[t.Number] = struct{}{}
		}
	case *v1.Event_ExecutionsReleased:
		r := e.ExecutionsReleased
		j, err := c.job(r.Job)
		if err != nil {
			return err
		}
		if j.stopped {
			return broken("%d things are released after the job was stopped", len(r.Things))
		}
		for _, t := range r.Things {
			_, waits := j.waiting[t.Number]
			if _, twice := j.released[t.Number]; twice || !waits || uint32(id.HomeOf(t.Name, homes)) != r.Home {
				return broken("%s is released to home %d; twice %v, waits %v", t.Name, r.Home, twice, waits)
			}
			j.released[t.Number] = struct{}{}
		}
		return j.release(x.AtMs, len(r.Things))
	case *v1.Event_JobStopped:
		j, err := c.job(e.JobStopped.Job)
		if err != nil {
			return err
		}
		if !j.canceled {
			return broken("it is stopped and was not canceled")
		}
		j.stopped = true
	case *v1.Event_ThingsDropped:
		j, err := c.job(e.ThingsDropped.Job)
		if err != nil {
			return err
		}
		c.w.met("waiting things dropped")
		j.dropped += e.ThingsDropped.Things
	case *v1.Event_JobClosed:
		j, err := c.job(e.JobClosed.Job)
		if err != nil {
			return err
		}
		if j.closed || !j.chosen || j.pending() > 0 || !j.stopped && len(j.executions)+len(j.refused) != len(j.selected) {
			return broken("it is closed; again %v, all selected %v, %d pending, %d executions and %d refused of %d things", j.closed, j.chosen, j.pending(), len(j.executions), len(j.refused), len(j.selected))
		}
		j.closed = true
	case *v1.Event_JobDrained:
		j, err := c.job(e.JobDrained.Job)
		if err != nil {
			return err
		}
		for home, phase := range j.settled {
			if phase < e.JobDrained.Phase {
				return broken("%v is drained; home %d has settled %v", e.JobDrained.Phase, home, phase)
			}
		}
		j.drained[e.JobDrained.Phase] = true
	case *v1.Event_Observed:
		return c.observed(e.Observed)
	}
	return nil
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
	within := func(ms int64) (sum int) {
		for _, p := range j.pages {
			if p.at > at-ms {
				sum += p.n
			}
		}
		return sum
	}
	if sum := within(60_000); sum > int(j.pace) {
		return broken("%d things are released within a minute, at a pace of %d", sum, j.pace)
	}
	if sum, most := within(1000), int(j.pace+59)/60; sum > most {
		return broken("%d things are released within a second, at a pace of %d a minute", sum, j.pace)
	}
	return nil
}

func (j *jobFacts) pending() (n int) {
	for _, e := range j.executions {
		if !e.ended() {
			n++
		}
	}
	return n
}

func (j *jobFacts) left() int {
	n := j.pending()
	if !j.over {
		n++
	}
	return n
}

func (j *jobFacts) describe() string {
	return fmt.Sprintf("%s: over %v, canceled %v force %v, selection %v of %d things, %d waiting, %d released, %d dropped, %d executions of which %d pending, %d refused, stopped %v, closed %v, settled %v, drained %v",
		j.id, j.over, j.canceled, j.forced, j.chosen, len(j.selected), len(j.waiting), len(j.released), j.dropped, len(j.executions), j.pending(), len(j.refused), j.stopped, j.closed, j.settled, j.drained)
}

// finishJob: every thing of the snapshot has exactly one outcome.
func (c *checker) finishJob(j *jobFacts) error {
	if j.left() > 0 {
		return broken("it is not over")
	}
	for number, name := range j.selected {
		_, released := j.released[number]
		_, refused := j.refused[number]
		e := j.executions[name]
		queued := e != nil && e.thing == number
		switch {
		case queued && refused:
			return broken("%s has an execution and was refused one", name)
		case released && !queued && !refused:
			return broken("%s was released and has neither an execution nor a refusal", name)
		case !released && (queued || refused):
			return broken("%s has an execution and was not released", name)
		case !released && !j.canceled:
			return broken("%s was selected and never released", name)
		}
	}
	if !j.canceled && len(j.waiting) != len(j.selected) {
		return broken("%d things were selected, %d waited", len(j.selected), len(j.waiting))
	}
	for name, e := range j.executions {
		if j.selected[e.thing] != name {
			return broken("%s has an execution and was not selected", name)
		}
	}
	return nil
}
