package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// Abort is what the logs tell of a job with abort criteria, counted anew from the executions themselves: neither tallies
// nor what rollout observed is looked at. (design §7)
type Abort struct {
	Job      uint64
	Criteria []*v1.AbortCriterion
	// Triggered is AbortTriggered and what it says; nil if the job was not aborted.
	Triggered   *v1.AbortTriggered
	TriggeredAt Place
	// Wrong is what a recount, up to where rollout had counted the homes, says against Triggered; empty if it agrees.
	// Crossing may be another commit than it names: homes cross together, and the broker may have stored their commits in
	// another order than that in which they were decided.
	Wrong    string
	Canceled bool // JobCanceled, or JobCancelStarted at least
	// Crossed says that a criterion was met, in the order in which the broker stored the homes' commits: by the commit at
	// Crossing, stored at CrossingAt, after which so many had failed among so many that had ended.
	Crossed            bool
	Criterion          int
	Crossing           Place
	CrossingAt         time.Time
	Failures, Executed int64
	// Released is how many things were released in all.
	Released int
	// Knowing are release commits by whose cursors a criterion was met already: rollout could have known. There is none in
	// a system that keeps its promise.
	Knowing []LateRelease
	// Later are release commits that the broker stored after the crossing; one at most, of at most Bound things.
	Later []LateRelease
	// Bound is the most that one release may hold: a second's pace, or 100 things without one.
	Bound int
}

// LateRelease is a commit that released things.
type LateRelease struct {
	At     Place
	Stored time.Time
	Things int
}

// unpacedBound is the most that one release of a job without a pace holds, if it has abort criteria. (design §7)
const unpacedBound = 100

// end is what a commit of a home adds to what has ended, by status, and the sums up to it.
type endings struct {
	at     Place
	stored time.Time
	change map[v1.ExecutionStatus]int64
}

// ReadAbort recounts a job's abort.
func ReadAbort(ctx context.Context, logs []*eventstore.Log, jobID string) (*Abort, error) {
	a := &Abort{Criterion: -1}
	var rollout *eventstore.Log
	homes := map[id.Home][]endings{}
	for _, l := range slices.SortedFunc(slices.Values(logs), func(x, y *eventstore.Log) int { return x.Name().Compare(y.Name()) }) {
		switch l.Name().Service {
		case v1.Service_SERVICE_JOB:
			if err := a.readJob(ctx, l, jobID); err != nil {
				return nil, err
			}
			if a.Job == 0 {
				return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "jobId", "the logs know no job %s", jobID)
			}
		case v1.Service_SERVICE_ROLLOUT:
			rollout = l
		case v1.Service_SERVICE_EXECUTION:
			list, err := a.readHome(ctx, l)
			if err != nil {
				return nil, err
			}
			homes[l.Name().Home] = list
		}
	}
	a.cross(homes)
	if err := a.readReleases(ctx, rollout, homes); err != nil {
		return nil, err
	}
	return a, nil
}

func readAll(ctx context.Context, l *eventstore.Log, f func(c *eventstore.Commit) error) error {
	_, last, err := l.Bounds(ctx)
	if err != nil {
		return err
	}
	return l.ReadTo(ctx, eventstore.Mark{}, last, f)
}

func (a *Abort) readJob(ctx context.Context, l *eventstore.Log, jobID string) error {
	return readAll(ctx, l, func(c *eventstore.Commit) error {
		for _, e := range c.Entries {
			switch e := e.GetEvent().GetEvent().(type) {
			case *v1.Event_JobCreated:
				if e.JobCreated.GetJobId() == jobID {
					*a = Abort{Criterion: -1, Job: e.JobCreated.GetJob()}
					a.take(e.JobCreated.GetAbort(), e.JobCreated.GetRollout())
				}
			case *v1.Event_JobUpdated:
				if e.JobUpdated.GetJob() == a.Job && e.JobUpdated.GetAbort() != nil {
					return fmt.Errorf("job %s had its abort criteria changed at %s: what crosses them is not recounted here", jobID, id.FormatPosition(l.Name().Position(c.Number, 0)))
				}
			case *v1.Event_JobCancelStarted:
				a.Canceled = a.Canceled || e.JobCancelStarted.GetJob() == a.Job
			}
		}
		return nil
	})
}

func (a *Abort) take(c *v1.AbortConfig, r *v1.RolloutConfig) {
	a.Criteria = c.GetCriteria()
	a.Bound = unpacedBound
	if pace := r.GetMaximumPerMinute(); pace > 0 {
		a.Bound = int(pace+59) / 60
	} else if r.GetExponential() != nil {
		a.Bound = (1000 + 59) / 60
	}
}

// readHome lists the commits of a home in which executions of the job ended or were deleted.
func (a *Abort) readHome(ctx context.Context, l *eventstore.Log) (list []endings, err error) {
	err = readAll(ctx, l, func(c *eventstore.Commit) error {
		change := map[v1.ExecutionStatus]int64{}
		last := 0
		for i, e := range c.Entries {
			switch e := e.GetEvent().GetEvent().(type) {
			case *v1.Event_ExecutionChanged:
				if x := e.ExecutionChanged; x.GetJob() == a.Job && x.GetTo().Terminal() {
					change[x.GetTo()]++
					last = i
				}
			case *v1.Event_ExecutionDeleted:
				if x := e.ExecutionDeleted; x.GetJob() == a.Job && x.GetStatus().Terminal() {
					change[x.GetStatus()]--
					last = i
				}
			}
		}
		if len(change) == 0 {
			return nil
		}
		stored, err := storedAt(ctx, l, c)
		list = append(list, endings{at: Place{l.Name(), c.Number, last, c.AtMs}, stored: stored, change: change})
		return err
	})
	return list, err
}

// storedAt is when the broker stored a commit; by its writer's clock where the medium has none.
func storedAt(ctx context.Context, l *eventstore.Log, c *eventstore.Commit) (time.Time, error) {
	r, err := l.Raw(ctx, c.Number)
	if err != nil {
		return time.Time{}, err
	}
	if r.Stored.IsZero() {
		return time.UnixMilli(c.AtMs), nil
	}
	return r.Stored, nil
}

// sums are ended executions by status.
type sums map[v1.ExecutionStatus]int64

func (s sums) add(change map[v1.ExecutionStatus]int64) {
	for status, n := range change {
		s[status] += n
	}
}

// executed are those that count: not what was canceled or removed. (specification U6)
func (s sums) executed() int64 {
	return s[v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED] + s.failed(v1.FailureType_FAILURE_TYPE_ALL)
}

func (s sums) failed(t v1.FailureType) (n int64) {
	for status, of := range map[v1.ExecutionStatus]v1.FailureType{
		v1.ExecutionStatus_EXECUTION_STATUS_FAILED:    v1.FailureType_FAILURE_TYPE_FAILED,
		v1.ExecutionStatus_EXECUTION_STATUS_REJECTED:  v1.FailureType_FAILURE_TYPE_REJECTED,
		v1.ExecutionStatus_EXECUTION_STATUS_TIMED_OUT: v1.FailureType_FAILURE_TYPE_TIMED_OUT,
	} {
		if t == of || t == v1.FailureType_FAILURE_TYPE_ALL {
			n += s[status]
		}
	}
	return n
}

// met is the first criterion that is met, or -1. (specification §4.11)
func (a *Abort) met(s sums) int {
	return slices.IndexFunc(a.Criteria, func(c *v1.AbortCriterion) bool {
		return s.executed() >= int64(c.GetMinExecuted()) && 100*100*s.failed(c.GetFailure()) >= int64(c.GetThresholdHundredths())*s.executed()
	})
}

// cross finds the commit by which a criterion was met, in the order of storing.
func (a *Abort) cross(homes map[id.Home][]endings) {
	var all []endings
	for _, list := range homes {
		all = append(all, list...)
	}
	slices.SortFunc(all, func(x, y endings) int {
		return cmp.Or(x.stored.Compare(y.stored), x.at.Log.Compare(y.at.Log), cmp.Compare(x.at.Number, y.at.Number))
	})
	s := sums{}
	for _, e := range all {
		s.add(e.change)
		if i := a.met(s); i >= 0 {
			a.Crossed, a.Criterion, a.Crossing, a.CrossingAt = true, i, e.at, e.stored
			a.Failures, a.Executed = s.failed(a.Criteria[i].GetFailure()), s.executed()
			return
		}
	}
}

// readReleases counts what was released, and holds each release against what its commit's cursors covered.
func (a *Abort) readReleases(ctx context.Context, l *eventstore.Log, homes map[id.Home][]endings) error {
	covered := sums{}
	taken := map[id.Home]int{}
	observed := map[id.Home]uint64{} // by entries, while a commit is read
	return readAll(ctx, l, func(c *eventstore.Commit) error {
		for _, cursor := range c.Cursors {
			if cursor.GetService() != v1.Service_SERVICE_EXECUTION {
				continue
			}
			home := id.Home(cursor.GetHome())
			for taken[home] < len(homes[home]) && homes[home][taken[home]].at.Number <= cursor.GetNumber() {
				covered.add(homes[home][taken[home]].change)
				taken[home]++
			}
		}
		things, first := 0, 0
		for i, e := range c.Entries {
			switch e := e.GetEvent().GetEvent().(type) {
			case *v1.Event_ExecutionsReleased:
				if e.ExecutionsReleased.GetJob() == a.Job {
					if things == 0 {
						first = i
					}
					things += len(e.ExecutionsReleased.GetThings())
				}
			case *v1.Event_Observed:
				for _, h := range e.Observed.GetHomes() {
					observed[id.Home(h.GetHome())] = h.GetUpTo()
				}
			case *v1.Event_AbortTriggered:
				if e.AbortTriggered.GetJob() == a.Job && a.Triggered == nil {
					a.Triggered, a.TriggeredAt = e.AbortTriggered, Place{l.Name(), c.Number, i, c.AtMs}
					a.Wrong = a.contradiction(homes, observed)
				}
			}
		}
		if things == 0 {
			return nil
		}
		a.Released += things
		if !a.Crossed {
			return nil
		}
		stored, err := storedAt(ctx, l, c)
		release := LateRelease{At: Place{l.Name(), c.Number, first, c.AtMs}, Stored: stored, Things: things}
		if a.met(covered) >= 0 {
			a.Knowing = append(a.Knowing, release)
		}
		if stored.After(a.CrossingAt) {
			a.Later = append(a.Later, release)
		}
		return err
	})
}
