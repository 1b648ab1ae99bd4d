package sim

import (
	"fmt"
	"time"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

func target(s string) *v1.Target {
	t, err := id.ParseTarget(s)
	if err != nil {
		panic(err)
	}
	return t
}

// plan adds one thing that the operator does at about that tick.
func (o *operator) plan(at int, names []string) {
	w := o.w
	jobs, fleet := w.logs[0], w.logs[1]
	pick := func() string { return names[w.rng.IntN(len(names))] }
	kind := w.rng.IntN(18)
	if len(o.created) == 0 || kind < 5 {
		o.planJob(at, pick)
		return
	}
	job, thing := o.created[w.rng.IntN(len(o.created))], pick()
	home := w.logs[3+int(id.HomeOf(thing, homes))]
	switch kind {
	case 5, 6:
		o.add(at, jobs, &v1.CancelJob{JobId: job, Force: w.chance(0.5)}, notFound, invalid, illegal)
	case 7:
		o.add(at, jobs, &v1.DeleteJob{JobId: job, Force: w.chance(0.5)}, notFound, illegal, limited)
	case 8:
		o.add(at, jobs, o.update(job), notFound, invalid)
	case 9:
		o.add(at, jobs, &v1.AssociateTargets{JobId: job, Targets: []*v1.Target{target("group/other"), target("thing/" + thing)}}, notFound, invalid)
	case 10:
		o.add(at, fleet, &v1.DeleteThing{Name: thing})
		if w.chance(0.5) {
			o.add(at, fleet, &v1.CreateThings{Things: []*v1.NewThing{{Name: thing}}})
		}
	case 11, 12, 16, 17:
		// It leaves, and perhaps comes back.
		group := []string{"all", "some", "other"}[w.rng.IntN(3)]
		o.add(at, fleet, &v1.RemoveThings{Group: group, Things: []string{thing}}, notFound)
		if w.chance(0.5) {
			at += w.rng.IntN(20)
			o.add(at, fleet, &v1.AddThings{Group: group, Things: []string{thing}}, notFound, invalid, limited)
		}
	case 13:
		o.add(at, fleet, &v1.AddThings{Group: "other", Things: []string{thing}}, notFound)
		if w.chance(0.1) {
			o.add(at, fleet, &v1.DeleteGroup{Group: "other"}, notFound, invalid)
		}
	case 14:
		o.add(at, home, &v1.CancelExecution{Thing: thing, JobId: job, Force: w.chance(0.5)}, notFound, illegal, mismatch)
	case 15:
		o.add(at, home, &v1.DeleteExecution{Thing: thing, JobId: job, ExecutionNumber: 1, Force: w.chance(0.7)}, notFound, illegal)
	}
}

// planJob adds a job, of any configuration.
func (o *operator) planJob(at int, pick func() string) {
	w := o.w
	c := &v1.CreateJob{JobId: fmt.Sprint("job-", len(o.created)), Document: []byte(`{"do":"it"}`)}
	o.created = append(o.created, c.JobId)
	switch w.rng.IntN(4) {
	case 0:
		c.Targets = []*v1.Target{target("group/all")}
	case 1:
		c.Targets = []*v1.Target{target("group/other"), target("thing/" + pick())}
	case 2:
		c.Targets = []*v1.Target{target("thing/" + pick()), target("thing/" + pick())}
	case 3:
		c.Targets = []*v1.Target{target("group/some"), target("group/all"), target("group/other")}
	}
	c.Rollout = o.rollout()
	if w.chance(0.4) {
		c.Timeout = &v1.TimeoutConfig{InProgressTimeoutMinutes: 1}
	}
	if w.chance(0.4) {
		c.Retry = o.retry()
	}
	if w.chance(0.3) {
		c.Abort = o.abort()
	}
	o.add(at, w.logs[0], c, notFound, invalid)
	o.schedule(c)
}

// schedule lets a job be continuous, and start, end and run in windows by its own: times are said when it is created.
func (o *operator) schedule(c *v1.CreateJob) {
	w := o.w
	s := &v1.SchedulingConfig{}
	starts, ends := w.chance(0.15), w.chance(0.25)
	if w.chance(0.5) {
		c.TargetSelection = v1.TargetSelection_TARGET_SELECTION_CONTINUOUS
		if w.chance(0.5) {
			s.Windows = []*v1.MaintenanceWindow{{StartTime: "cron(0/2 * * * ? *)", DurationMinutes: 1}}
			starts = false
		}
		if ends = w.chance(0.5); !ends {
			o.endless = append(o.endless, c.JobId)
		}
	}
	if ends {
		s.EndBehavior = v1.EndBehavior(1 + w.rng.IntN(3))
	}
	if !starts && !ends && len(s.Windows) == 0 {
		return
	}
	c.Scheduling = s
	o.tasks[len(o.tasks)-1].prepare = func(nowMs int64) {
		text := func(minutes int) string {
			return time.UnixMilli(nowMs).UTC().Truncate(time.Minute).Add(time.Duration(minutes) * time.Minute).Format("2006-01-02 15:04")
		}
		if starts {
			s.StartTime = text(1)
		}
		if ends {
			s.EndTime = text(3)
		}
	}
}

func (o *operator) rollout() *v1.RolloutConfig {
	w := o.w
	switch w.rng.IntN(5) {
	case 0, 1:
		return &v1.RolloutConfig{MaximumPerMinute: 20 + w.rng.Uint32N(300)}
	case 2:
		r := &v1.ExponentialRate{BasePerMinute: 10 + w.rng.Uint32N(40), IncrementFactorTenths: 11 + w.rng.Uint32N(40), NotifiedThings: 1 + w.rng.Uint64N(5)}
		if w.chance(0.5) {
			r.NotifiedThings, r.SucceededThings = 0, r.NotifiedThings
		}
		return &v1.RolloutConfig{MaximumPerMinute: 60 + w.rng.Uint32N(300), Exponential: r}
	}
	return nil
}

func (o *operator) retry() *v1.RetryConfig {
	w := o.w
	if w.chance(0.3) {
		return &v1.RetryConfig{Criteria: []*v1.RetryCriterion{{Failure: v1.FailureType_FAILURE_TYPE_ALL, Retries: 1 + w.rng.Uint32N(4)}}}
	}
	return &v1.RetryConfig{Criteria: []*v1.RetryCriterion{
		{Failure: v1.FailureType_FAILURE_TYPE_FAILED, Retries: 1 + w.rng.Uint32N(3)}, {Failure: v1.FailureType_FAILURE_TYPE_TIMED_OUT, Retries: w.rng.Uint32N(3)},
	}}
}

func (o *operator) abort() *v1.AbortConfig {
	w := o.w
	c := &v1.AbortConfig{}
	for range 1 + w.rng.IntN(2) {
		c.Criteria = append(c.Criteria, &v1.AbortCriterion{
			Failure: v1.FailureType(1 + w.rng.IntN(4)), ThresholdHundredths: 500 + w.rng.Uint32N(6000), MinExecuted: 1 + w.rng.Uint32N(6),
		})
	}
	return c
}

// update changes one thing of a job.
func (o *operator) update(job string) *v1.UpdateJob {
	u := &v1.UpdateJob{JobId: job}
	switch o.w.rng.IntN(4) {
	case 0:
		u.Retry = &v1.RetryConfig{Criteria: []*v1.RetryCriterion{{Failure: v1.FailureType_FAILURE_TYPE_ALL}}}
	case 1:
		u.Timeout = &v1.TimeoutConfig{InProgressTimeoutMinutes: 2}
	case 2:
		u.Abort = o.abort()
	default:
		u.Rollout = &v1.RolloutConfig{MaximumPerMinute: 30 + o.w.rng.Uint32N(300)}
	}
	return u
}
