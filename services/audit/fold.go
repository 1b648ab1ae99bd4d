package audit

import (
	"fmt"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// fold takes one log's commits into a history.
type fold struct {
	history *History
	log     *LogRead
	recount map[uint64]*Counts // of the commit at hand, by job number
	settled map[uint64]v1.JobPhase
}

func (f *fold) commit(c *eventstore.Commit) {
	for uint64(len(f.log.hashes))+1 < c.Number {
		f.log.hashes = append(f.log.hashes, 0) // foreign messages
	}
	f.log.hashes = append(f.log.hashes, c.Hash.Prefix())
	f.log.Last = c.Number
	f.log.Entries += uint64(len(c.Entries))
	f.log.Bytes += uint64(c.Size)
	for _, u := range c.Cursors {
		f.log.Cursors = append(f.log.Cursors, Cursor{
			At: f.place(c, 0), Of: id.Log{Service: u.GetService(), Home: id.Home(u.GetHome())},
			Number: u.GetNumber(), EntriesDone: u.GetEntriesDone(), Hash: u.GetHash(),
		})
	}
	f.recount, f.settled = nil, nil
	for i, e := range c.Entries {
		f.entry(f.place(c, i), e.GetEvent())
	}
	f.beat(c)
	f.compareTallies(c)
}

func (f *fold) place(c *eventstore.Commit, entry int) Place {
	return Place{Log: f.log.Name, Number: c.Number, Entry: entry, AtMs: c.AtMs}
}

// entry takes in one event. Events that say nothing about jobs are left out.
func (f *fold) entry(at Place, event *v1.Event) {
	h := f.history
	switch e := event.GetEvent().(type) {
	case *v1.Event_LogOpened:
		f.opened(at, e.LogOpened)
	case *v1.Event_Owned:
		f.log.Owners = append(f.log.Owners, Owner{At: at, Name: e.Owned.GetOwner(), Epoch: e.Owned.GetEpoch()})

	case *v1.Event_JobCreated:
		j := h.job(e.JobCreated.GetJob())
		j.ID, j.Created, j.PerMinute = e.JobCreated.GetJobId(), at, e.JobCreated.GetRollout().GetMaximumPerMinute()
		j.Status = v1.JobStatus_JOB_STATUS_IN_PROGRESS
		j.Life = append(j.Life, JobFact{Place: at, Kind: Created})
	case *v1.Event_JobStarted:
		j := h.job(e.JobStarted.GetJob())
		j.Life = append(j.Life, JobFact{Place: at, Kind: Started})
	case *v1.Event_JobCancelStarted:
		j := h.job(e.JobCancelStarted.GetJob())
		j.Status = v1.JobStatus_JOB_STATUS_CANCELED
		j.Life = append(j.Life, JobFact{Place: at, Kind: CancelStarted, Force: e.JobCancelStarted.GetForce()})
	case *v1.Event_JobCanceled:
		j := h.job(e.JobCanceled.GetJob())
		j.Life = append(j.Life, JobFact{Place: at, Kind: Canceled})
	case *v1.Event_JobCompleted:
		j := h.job(e.JobCompleted.GetJob())
		j.Status = v1.JobStatus_JOB_STATUS_COMPLETED
		j.Life = append(j.Life, JobFact{Place: at, Kind: Completed})

	case *v1.Event_ThingsSelected:
		j := h.job(e.ThingsSelected.GetJob())
		for _, ref := range e.ThingsSelected.GetThings() {
			f.known(at, j, ref).Selected++
		}
	case *v1.Event_SelectionFinished:
		h.job(e.SelectionFinished.GetJob()).SelectedTold = int64(e.SelectionFinished.GetThings())

	case *v1.Event_JobOpened:
		j := h.job(e.JobOpened.GetJob())
		j.Life = append(j.Life, JobFact{Place: at, Kind: Opened})
	case *v1.Event_ThingsWaiting:
		j := h.job(e.ThingsWaiting.GetJob())
		for _, ref := range e.ThingsWaiting.GetThings() {
			f.known(at, j, ref).Waiting++
		}
	case *v1.Event_WaitingComplete:
		h.job(e.WaitingComplete.GetJob()).WaitingTold = int64(e.WaitingComplete.GetThings())
	case *v1.Event_ExecutionsReleased:
		f.released(at, e.ExecutionsReleased)
	case *v1.Event_ThingsDropped:
		h.job(e.ThingsDropped.GetJob()).Dropped += e.ThingsDropped.GetThings()
	case *v1.Event_JobStopped:
		j := h.job(e.JobStopped.GetJob())
		j.Life = append(j.Life, JobFact{Place: at, Kind: Stopped, Force: e.JobStopped.GetForce()})
	case *v1.Event_JobClosed:
		j := h.job(e.JobClosed.GetJob())
		j.Life = append(j.Life, JobFact{Place: at, Kind: Closed})
	case *v1.Event_JobDrained:
		j := h.job(e.JobDrained.GetJob())
		j.Life = append(j.Life, JobFact{Place: at, Kind: Drained, Phase: e.JobDrained.GetPhase()})
	case *v1.Event_Observed:
		f.observed(at, e.Observed)

	case *v1.Event_ExecutionQueued:
		f.queued(at, e.ExecutionQueued)
	case *v1.Event_ExecutionChanged:
		f.changed(at, e.ExecutionChanged)
	case *v1.Event_ReleaseRefused:
		j := h.job(e.ReleaseRefused.GetJob())
		t := f.known(at, j, e.ReleaseRefused.GetThing())
		t.Refused++
		t.RefusedAt = at
		f.counts(j.Number).Refused++
	case *v1.Event_HomeSettled:
		j := h.job(e.HomeSettled.GetJob())
		j.Settled = append(j.Settled, Settled{Place: at, Home: at.Log.Home, Phase: e.HomeSettled.GetPhase()})
		if f.settled == nil {
			f.settled = map[uint64]v1.JobPhase{}
		}
		f.settled[j.Number] = e.HomeSettled.GetPhase()
	}
}

func (f *fold) opened(at Place, e *v1.LogOpened) {
	if f.history.Homes != 0 && f.history.Homes != e.GetHomes() {
		f.strange(at, "the log was opened for %d homes, another for %d", e.GetHomes(), f.history.Homes)
	}
	f.history.Homes = e.GetHomes()
}

// known is a thing of a job; another thing of the same name, deleted or made since, has no business in it.
func (f *fold) known(at Place, j *Job, ref *v1.ThingRef) *Thing {
	t := j.thing(ref.GetName())
	if t.Number == 0 {
		t.Number = ref.GetNumber()
	}
	if t.Number != ref.GetNumber() {
		f.strange(at, "job %s meets thing %s as number %d and as %d", j.ID, t.Name, t.Number, ref.GetNumber())
	}
	return t
}

func (f *fold) released(at Place, e *v1.ExecutionsReleased) {
	j := f.history.job(e.GetJob())
	j.Releases = append(j.Releases, Release{Place: at, Home: id.Home(e.GetHome()), Things: len(e.GetThings())})
	for _, ref := range e.GetThings() {
		t := f.known(at, j, ref)
		t.Released++
		t.ReleasedAt, t.ReleasedTo = at, id.Home(e.GetHome())
	}
}

func (f *fold) observed(at Place, e *v1.Observed) {
	for _, home := range e.GetHomes() {
		o := Observed{At: at, Home: id.Home(home.GetHome()), UpTo: home.GetUpTo(), Jobs: map[uint64]Counts{}}
		for _, t := range home.GetTallies() {
			c := Counts{Open: t.GetOpen(), Good: t.GetGood(), Harmed: t.GetHarmed(), Void: t.GetVoid(), Refused: int64(t.GetRefused())}
			for _, s := range t.GetAttempts() {
				c.status(s.GetStatus(), s.GetCount())
			}
			o.Jobs[t.GetJob()] = c
		}
		f.history.Observed = append(f.history.Observed, o)
	}
}

func (f *fold) queued(at Place, e *v1.ExecutionQueued) {
	j := f.history.job(e.GetJob())
	t := f.known(at, j, e.GetThing())
	if t.execution(e.GetExecutionNumber()) != nil {
		f.strange(at, "execution %d of job %s on %s is queued a second time", e.GetExecutionNumber(), j.ID, t.Name)
		return
	}
	x := &Execution{Number: e.GetExecutionNumber(), Retry: e.GetRetryAttempt(), Steps: make([]Step, 0, 3)}
	x.Steps = append(x.Steps, Step{Place: at, To: v1.ExecutionStatus_EXECUTION_STATUS_QUEUED, Version: 1, DeadlineMs: never})
	t.Executions = append(t.Executions, x)
	f.counts(j.Number).queued(e.GetRetryAttempt())
}

func (f *fold) changed(at Place, e *v1.ExecutionChanged) {
	j := f.history.job(e.GetJob())
	var x *Execution
	if t := j.Things[e.GetThing()]; t != nil {
		x = t.execution(e.GetExecutionNumber())
	}
	if x == nil {
		f.strange(at, "execution %d of job %s on %s changes and was never queued", e.GetExecutionNumber(), j.ID, e.GetThing())
		return
	}
	s := Step{
		Place: at, From: e.GetFrom(), To: e.GetTo(), Version: e.GetVersionNumber(), Force: e.GetForceCanceled(),
		HasRun: x.Last().HasRun || e.GetTo() == v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS, DeadlineMs: never,
	}
	for _, d := range []int64{e.GetInProgressDeadlineMs(), e.GetStepDeadlineMs()} {
		if d != 0 {
			s.DeadlineMs = min(s.DeadlineMs, d)
		}
	}
	x.Steps = append(x.Steps, s)
	f.counts(j.Number).moved(s)
}

func (f *fold) counts(job uint64) *Counts {
	if f.recount == nil {
		f.recount = map[uint64]*Counts{}
	}
	c := f.recount[job]
	if c == nil {
		c = new(Counts)
		f.recount[job] = c
	}
	return c
}

// compareTallies holds the tallies in front of a commit against its entries.
func (f *fold) compareTallies(c *eventstore.Commit) {
	at := f.place(c, 0)
	told := map[uint64]bool{}
	for _, t := range c.Tallies {
		told[t.GetJob()] = true
		says := Counts{Open: t.GetOpen(), Good: t.GetGood(), Harmed: t.GetHarmed(), Void: t.GetVoid(), Refused: int64(t.GetRefused())}
		for _, s := range t.GetAttempts() {
			says.status(s.GetStatus(), s.GetCount())
		}
		var counted Counts
		if r := f.recount[t.GetJob()]; r != nil {
			counted = *r
		}
		if says != counted {
			f.miscount(at, t.GetJob(), "its tally says %v, its entries %v", says, counted)
		}
		if t.GetSettled() != f.settled[t.GetJob()] {
			f.miscount(at, t.GetJob(), "its tally says settled %v, its entries %v", t.GetSettled(), f.settled[t.GetJob()])
		}
	}
	for job, r := range f.recount {
		if !told[job] && *r != (Counts{}) {
			f.miscount(at, job, "it has no tally, and its entries count %v", *r)
		}
	}
}

func (f *fold) miscount(at Place, job uint64, format string, args ...any) {
	f.history.Miscounts = append(f.history.Miscounts, Miscount{At: at, Job: job, What: fmt.Sprintf(format, args...)})
}

func (f *fold) strange(at Place, format string, args ...any) {
	f.history.Strange = append(f.history.Strange, Strange{At: at, What: fmt.Sprintf(format, args...)})
}
