package sim

import (
	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/projections/tally"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// executionFacts are what the logs say of one attempt of one job on one thing.
type executionFacts struct {
	thing    uint64
	number   uint64
	retry    uint32
	status   v1.ExecutionStatus
	version  uint64
	queuedAt int64
	started  int64
	deadline int64 // the earlier one; 0 is none
	due      bool  // a retry is
	deleted  bool
}

func (e *executionFacts) ended() bool { return tally.Ended(e.status) }

const (
	queued     = v1.ExecutionStatus_EXECUTION_STATUS_QUEUED
	inProgress = v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS
	succeeded  = v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED
	failed     = v1.ExecutionStatus_EXECUTION_STATUS_FAILED
	rejected   = v1.ExecutionStatus_EXECUTION_STATUS_REJECTED
	timedOut   = v1.ExecutionStatus_EXECUTION_STATUS_TIMED_OUT
	canceled   = v1.ExecutionStatus_EXECUTION_STATUS_CANCELED
	removed    = v1.ExecutionStatus_EXECUTION_STATUS_REMOVED
)

// legal are the transitions of specification §4.2, without retries.
var legal = map[v1.ExecutionStatus][]v1.ExecutionStatus{
	queued:     {inProgress, succeeded, failed, rejected, canceled, removed},
	inProgress: {inProgress, succeeded, failed, rejected, timedOut, canceled, removed},
}

// executionEvent: log.execution.<home>. One execution for each release, and one for each retry that is due, at the thing's
// home, and only there; versions without gaps along legal transitions; nothing after an end; nothing queued of a job that
// the home knows as stopped; nothing hidden started; no time-out before its deadline; and a home settles a phase when
// it has carried it out.
func (c *checker) executionEvent(x *eventstore.Commit, event *v1.Event) error {
	home := uint32(x.Log.Home)
	if event.Job() == 0 {
		return nil
	}
	j, err := c.job(event.Job())
	if err != nil {
		return err
	}
	if j.settled[home] == v1.JobPhase_JOB_PHASE_DELETED {
		return broken("%s of %s; the home has settled its deletion", event.Type(), j.id)
	}
	switch e := event.Event.(type) {
	case *v1.Event_ExecutionQueued:
		return c.queued(j, home, x.AtMs, e.ExecutionQueued)
	case *v1.Event_ReleaseRefused:
		t := e.ReleaseRefused.Thing
		c.w.met("release refused")
		j.refused[t.Number]++
		if e.ReleaseRefused.Rejoined {
			c.w.met("left and back while IN_PROGRESS")
			j.latest(t.Name).retry = 0
		}
		return j.takenIn(t, home)
	case *v1.Event_ExecutionChanged:
		return c.changed(j, home, x, e.ExecutionChanged)
	case *v1.Event_RetryDropped:
		was := j.latest(e.RetryDropped.Thing.GetName())
		if was == nil || !was.due || was.number != e.RetryDropped.ExecutionNumber {
			return broken("a retry of %s on %s is dropped; there is %+v", j.id, e.RetryDropped.Thing.GetName(), was)
		}
		c.w.met("retry dropped")
		was.due = false
	case *v1.Event_ExecutionDeleted:
		return c.deleted(j, e.ExecutionDeleted)
	case *v1.Event_StopLearned:
		if !j.stopped {
			return broken("the home stops %s, rollout did not", j.id)
		}
		if j.stops[home] = e.StopLearned.Phase; e.StopLearned.Phase == 0 {
			return broken("the home stops %s, and does not say how", j.id)
		}
	case *v1.Event_ErasureLearned:
		if !j.erased {
			return broken("the home erases %s, rollout did not", j.id)
		}
		j.erasing[home] = true
	case *v1.Event_WindowLearned:
		j.shown[home] = e.WindowLearned.Open
	case *v1.Event_HomeSettled:
		return c.homeSettled(j, home, e.HomeSettled.Phase)
	}
	return nil
}

// takenIn holds what a home made of releases against them.
func (j *jobFacts) takenIn(t *v1.ThingRef, home uint32) error {
	if facts := j.queued[t.Number] + j.refused[t.Number]; facts > j.released[t.Number] || uint32(id.HomeOf(t.Name, homes)) != home {
		return broken("home %d takes in %s for %s for the %d. time; released %d times", home, t.Name, j.id, facts, j.released[t.Number])
	}
	return nil
}

func (c *checker) queued(j *jobFacts, home uint32, at int64, q *v1.ExecutionQueued) error {
	was, name := j.latest(q.Thing.Name), q.Thing.Name
	number, retries := uint64(1), uint32(0)
	if was != nil {
		number, retries = was.number+1, was.retry+1
	}
	switch {
	case j.stops[home] != 0 || j.settled[home] != 0 || j.erasing[home]:
		return broken("%s is queued for %s; the home has learned %v and settled %v, erasing %v", j.id, name, j.stops[home], j.settled[home], j.erasing[home])
	case q.ExecutionNumber < number:
		return broken("execution %d of %s is queued for %s after %d", q.ExecutionNumber, j.id, name, number-1)
	case was != nil && !was.ended() && !was.deleted:
		return broken("execution %d of %s is queued for %s, and %d is %v", q.ExecutionNumber, j.id, name, was.number, was.status)
	case q.RetryAttempt > 0 && (was == nil || !was.due || was.deleted || q.RetryAttempt != retries):
		return broken("retry %d of %s is queued for %s after %+v", q.RetryAttempt, j.id, name, was)
	case q.RetryAttempt == 0 && was != nil && was.due:
		return broken("execution %d of %s is queued for %s, and a retry is due", q.ExecutionNumber, j.id, name)
	}
	if q.RetryAttempt == 0 {
		j.queued[q.Thing.Number]++
		if err := j.takenIn(q.Thing, home); err != nil {
			return err
		}
		if was != nil {
			c.w.met("queued again after a join")
		}
	} else {
		c.w.met("retry")
		was.due = false
	}
	j.attempts[name] = append(j.attempts[name], &executionFacts{
		thing: q.Thing.Number, number: q.ExecutionNumber, retry: q.RetryAttempt, status: queued, version: 1, queuedAt: at,
	})
	c.changes[changeKey(j.id, name, 1, queued)] = true
	return nil
}

func (c *checker) deleted(j *jobFacts, d *v1.ExecutionDeleted) error {
	list := j.attempts[d.Thing.GetName()]
	for i, e := range list {
		if e.number != d.ExecutionNumber {
			continue
		}
		// The last of its release: one that follows because the thing joined again counts by itself.
		last := i == len(list)-1 || list[i+1].retry == 0
		if e.deleted || e.status != d.Status || d.Last != last || d.RetryDue != e.due {
			return broken("%v of %s is deleted; it stands as %+v, the last %v", d, j.id, e, last)
		}
		c.w.met("execution deleted while " + e.status.Word())
		e.deleted, e.due = true, false
		return nil
	}
	return broken("%v of %s is deleted, and is not there", d, j.id)
}

func (c *checker) changed(j *jobFacts, home uint32, x *eventstore.Commit, e *v1.ExecutionChanged) error {
	was := j.latest(e.Thing)
	if was == nil || was.deleted || was.number != e.ExecutionNumber {
		return broken("execution %d of %s on %s changes; the latest is %+v", e.ExecutionNumber, j.id, e.Thing, was)
	}
	byDevice := e.To == inProgress || e.To == succeeded || e.To == failed || e.To == rejected
	if was.status == queued && byDevice && !j.shown[home] {
		return broken("%s of %s becomes %v while it is hidden", j.id, e.Thing, e.To)
	}
	if e.RetryDue && (e.To != failed && e.To != timedOut || j.stops[home] != 0) {
		return broken("a retry of %s on %s is due after %v; the home has learned %v", j.id, e.Thing, e.To, j.stops[home])
	}
	ok := false
	for _, to := range legal[was.status] {
		ok = ok || to == e.To
	}
	if !ok || e.From != was.status || e.VersionNumber != was.version+1 {
		return broken("%s of %s stands at %v, version %d; it changes from %v to %v, version %d", j.id, e.Thing, was.status, was.version, e.From, e.To, e.VersionNumber)
	}
	if e.To == timedOut && (was.deadline == 0 || x.AtMs < was.deadline) {
		return broken("%s of %s is timed out at %d, its deadline is %d", j.id, e.Thing, x.AtMs, was.deadline)
	}
	if e.QueuedAtMs != was.queuedAt || was.started != 0 && e.StartedAtMs != was.started || e.To == inProgress && e.StartedAtMs == 0 {
		return broken("%s of %s was queued at %d and started at %d; its event says %d and %d", j.id, e.Thing, was.queuedAt, was.started, e.QueuedAtMs, e.StartedAtMs)
	}
	c.w.met("execution to " + e.To.String()[len("EXECUTION_STATUS_"):])
	was.status, was.version, was.started, was.due = e.To, e.VersionNumber, e.StartedAtMs, e.RetryDue
	was.deadline = e.InProgressDeadlineMs
	if e.StepDeadlineMs != 0 && (was.deadline == 0 || e.StepDeadlineMs < was.deadline) {
		was.deadline = e.StepDeadlineMs
	}
	c.changes[changeKey(j.id, e.Thing, e.VersionNumber, e.To)] = true
	return nil
}

func (c *checker) homeSettled(j *jobFacts, home uint32, phase v1.JobPhase) error {
	for name, list := range j.attempts {
		if uint32(id.HomeOf(name, homes)) != home {
			continue
		}
		for _, x := range list {
			var left bool
			switch phase {
			case v1.JobPhase_JOB_PHASE_DELETED:
				left = true
			case v1.JobPhase_JOB_PHASE_ENDED:
				left = x.due
			case v1.JobPhase_JOB_PHASE_STOPPED:
				left = x.due || x.status == queued
			default:
				left = x.due || !x.ended()
			}
			if left && !x.deleted {
				return broken("home %d settles %v of %s; execution %d on %s is %v, a retry due %v", home, phase, j.id, x.number, name, x.status, x.due)
			}
		}
	}
	c.w.met("home settled " + phase.String()[len("JOB_PHASE_"):])
	if rank(phase) > rank(j.settled[home]) {
		j.settled[home] = phase
	}
	return nil
}
