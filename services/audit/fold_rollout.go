package audit

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// rollout takes in an event of log.rollout.
func (f *fold) rollout(at Place, event *v1.Event) {
	h := f.history
	if o := event.GetObserved(); o != nil {
		f.observed(at, o)
		return
	}
	if event.Job() == 0 {
		return
	}
	j := h.job(event.Job())
	fact := JobFact{Place: at, Kind: JobFactKind(event.Type())}
	switch e := event.GetEvent().(type) {
	case *v1.Event_JobOpened:
		j.Windowed = e.JobOpened.GetWindowed()
		f.configured(at, j, e.JobOpened.GetRollout(), e.JobOpened.GetAbort())
	case *v1.Event_JobChanged:
		f.configured(at, j, e.JobChanged.GetRollout(), e.JobChanged.GetAbort())
	case *v1.Event_ThingsWaiting:
		for _, ref := range e.ThingsWaiting.GetThings() {
			f.known(at, j, ref).Waiting++
			j.WaitingBySelection++
		}
		j.queue(at, len(e.ThingsWaiting.GetThings()))
		return
	case *v1.Event_ThingsJoined:
		for _, ref := range e.ThingsJoined.GetThings() {
			f.known(at, j, ref).Waiting++
		}
		j.queue(at, len(e.ThingsJoined.GetThings()))
		return
	case *v1.Event_WaitingComplete:
		j.WaitingTold = max(j.WaitingTold, 0) + int64(e.WaitingComplete.GetThings())
		return
	case *v1.Event_ExecutionsReleased:
		f.released(at, e.ExecutionsReleased)
		return
	case *v1.Event_ThingsDropped:
		j.Dropped += e.ThingsDropped.GetThings()
		j.queue(at, -int(e.ThingsDropped.GetThings()))
		return
	case *v1.Event_WindowOpened:
		j.Windows = append(j.Windows, Window{Place: at, Open: true})
		return
	case *v1.Event_WindowClosed:
		j.Windows = append(j.Windows, Window{Place: at})
		return
	case *v1.Event_AbortTriggered:
		j.Aborts = append(j.Aborts, Triggered{Place: at, Told: e.AbortTriggered})
		return
	case *v1.Event_JobStopped:
		fact.Force, fact.Phase = e.JobStopped.GetForce(), e.JobStopped.GetPhase()
	case *v1.Event_JobDrained:
		if fact.Phase = e.JobDrained.GetPhase(); fact.Phase == v1.JobPhase_JOB_PHASE_DELETED {
			f.done(at, j.Number)
		}
	case *v1.Event_JobErased, *v1.Event_JobClosed, *v1.Event_JobHeld, *v1.Event_JobAdmitted, *v1.Event_JobCrowdedOut:
	default:
		return
	}
	j.Life = append(j.Life, fact)
}

// configured keeps a pace and criteria, as of there.
func (f *fold) configured(at Place, j *Job, pace *v1.RolloutConfig, abort *v1.AbortConfig) {
	if pace != nil || at.Log == id.RolloutLog && len(j.Paces) == 0 {
		p := Pace{Place: at, PerMinute: pace.GetMaximumPerMinute(), Slowest: pace.GetMaximumPerMinute()}
		if e := pace.GetExponential(); e != nil {
			p.Slowest = e.GetBasePerMinute()
		}
		j.Paces = append(j.Paces, p)
	}
	if abort != nil {
		j.Criteria = append(j.Criteria, Criteria{Place: at, List: abort.GetCriteria()})
	}
}

func (j *Job) queue(at Place, things int) {
	j.Queue = append(j.Queue, QueueChange{Place: at, Things: things})
}

func (f *fold) released(at Place, e *v1.ExecutionsReleased) {
	j := f.history.job(e.GetJob())
	j.queue(at, -len(e.GetThings()))
	j.Releases = append(j.Releases, Release{Place: at, Home: id.Home(e.GetHome()), Things: len(e.GetThings()), Joined: e.GetJoined()})
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
			c := Counts{Open: t.GetOpen(), Good: t.GetGood(), Harmed: t.GetHarmed(), Void: t.GetVoid(), Refused: int64(t.GetRefused()), Deleted: int64(t.GetDeleted())}
			for _, s := range t.GetAttempts() {
				c.status(s.GetStatus(), s.GetCount())
			}
			o.Jobs[t.GetJob()] = c
		}
		f.history.Observed = append(f.history.Observed, o)
	}
}
