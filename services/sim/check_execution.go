package sim

import (
	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/projections/tally"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// executionFacts are what the logs say of one job on one thing.
type executionFacts struct {
	thing    uint64
	status   v1.ExecutionStatus
	version  uint64
	queuedAt int64
	started  int64
	deadline int64 // the earlier one; 0 is none
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

// executionEvent: log.execution.<home>. One execution for each released thing, at its home, and only there; versions
// without gaps along legal transitions; nothing after an end; nothing queued of a job that the home knows as stopped;
// no time-out before its deadline; and a home settles a phase when it has carried it out.
func (c *checker) executionEvent(x *eventstore.Commit, event *v1.Event) error {
	home := uint32(x.Log.Home)
	switch e := event.Event.(type) {
	case *v1.Event_ExecutionQueued:
		q := e.ExecutionQueued
		j, err := c.releasedAt(q.Job, q.Thing, home)
		if err != nil {
			return err
		}
		if j.executions[q.Thing.Name] != nil || j.stops[home] != 0 || j.settled[home] != 0 || q.RetryAttempt != 0 {
			return broken("%s is queued for %s; it has %v, the home has learned %v and settled %v", j.id, q.Thing.Name, j.executions[q.Thing.Name], j.stops[home], j.settled[home])
		}
		if _, refused := j.refused[q.Thing.Number]; refused {
			return broken("%s is queued for %s, and was refused", j.id, q.Thing.Name)
		}
		j.executions[q.Thing.Name] = &executionFacts{thing: q.Thing.Number, status: queued, version: 1, queuedAt: x.AtMs}
		c.changes[changeKey(j.id, q.Thing.Name, 1, queued)] = true
	case *v1.Event_ReleaseRefused:
		r := e.ReleaseRefused
		j, err := c.releasedAt(r.Job, r.Thing, home)
		if err != nil {
			return err
		}
		if _, twice := j.refused[r.Thing.Number]; twice {
			return broken("%s is refused twice for %s", j.id, r.Thing.Name)
		}
		if e := j.executions[r.Thing.Name]; e != nil && e.thing == r.Thing.Number {
			return broken("%s is refused for %s, which has it", j.id, r.Thing.Name)
		}
		c.w.met("release refused")
		j.refused[r.Thing.Number] = struct{}{}
	case *v1.Event_ExecutionChanged:
		return c.changed(x, e.ExecutionChanged)
	case *v1.Event_StopLearned:
		j, err := c.job(e.StopLearned.Job)
		if err != nil {
			return err
		}
		if !j.stopped {
			return broken("the home stops %s, rollout did not", j.id)
		}
		j.stops[home] = v1.JobPhase_JOB_PHASE_STOPPED
		if e.StopLearned.Force {
			j.stops[home] = v1.JobPhase_JOB_PHASE_FORCE_STOPPED
		}
	case *v1.Event_HomeSettled:
		return c.homeSettled(home, e.HomeSettled)
	}
	return nil
}

func (c *checker) releasedAt(number uint64, t *v1.ThingRef, home uint32) (*jobFacts, error) {
	j, err := c.job(number)
	if err != nil {
		return nil, err
	}
	if _, ok := j.released[t.Number]; !ok || uint32(id.HomeOf(t.Name, homes)) != home {
		return nil, broken("home %d takes in %s for %s; released %v", home, t.Name, j.id, ok)
	}
	return j, nil
}

func (c *checker) changed(x *eventstore.Commit, e *v1.ExecutionChanged) error {
	j, err := c.job(e.Job)
	if err != nil {
		return err
	}
	was := j.executions[e.Thing]
	if was == nil {
		return broken("%s of %s changes, and was never queued", j.id, e.Thing)
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
	was.status, was.version, was.started = e.To, e.VersionNumber, e.StartedAtMs
	was.deadline = e.InProgressDeadlineMs
	if e.StepDeadlineMs != 0 && (was.deadline == 0 || e.StepDeadlineMs < was.deadline) {
		was.deadline = e.StepDeadlineMs
	}
	c.changes[changeKey(j.id, e.Thing, e.VersionNumber, e.To)] = true
	return nil
}

func (c *checker) homeSettled(home uint32, e *v1.HomeSettled) error {
	j, err := c.job(e.Job)
	if err != nil {
		return err
	}
	for name, x := range j.executions {
		if uint32(id.HomeOf(name, homes)) != home {
			continue
		}
		if x.status == queued || !x.ended() && e.Phase != v1.JobPhase_JOB_PHASE_STOPPED {
			return broken("home %d settles %v of %s; %s is %v", home, e.Phase, j.id, name, x.status)
		}
	}
	c.w.met("home settled " + e.Phase.String()[len("JOB_PHASE_"):])
	j.settled[home] = max(j.settled[home], e.Phase)
	return nil
}
