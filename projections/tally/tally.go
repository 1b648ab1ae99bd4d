// Package tally counts a job's executions: by attempt, as AWS's counters do, and by thing, as budgets and completion
// need. It is the one fold behind progress, completion and abort. (design §7 "Attempts, things")
//
// It promises that what Of says about the entries of a commit can be added up in any order and grouping: the sum over
// all commits of the homes is a recount of their state. It is pure. Who adds up, and how far he has read, is left to
// services/rollout and projections/progress.
//
// By attempt, a count is how many executions stand in a status. By thing:
//
//	open    has a pending execution, or a retry is due
//	good    its last attempt SUCCEEDED
//	void    its last attempt ended without having started: CANCELED, REMOVED or REJECTED straight from QUEUED
//	harmed  its last attempt ended in any other way; a device that reports FAILED straight from QUEUED has run
//	refused it was released and got no execution
//	deleted its last attempt was deleted
//
// So released = open + good + harmed + void + refused + deleted, once the homes have taken the releases in. A thing that
// joins a job again is released once more, and counts once more.
package tally

import (
	"cmp"
	"slices"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// Of is what the entries of a commit change in the counts, one tally per job, by ascending job number. Jobs whose
// counts do not change and that settle nothing are left out.
func Of(entries []*v1.Entry) []*v1.Tally {
	var sums book
	for _, e := range entries {
		switch e := e.GetEvent().GetEvent().(type) {
		case *v1.Event_ExecutionQueued:
			sums.of(e.ExecutionQueued.GetJob()).queued(e.ExecutionQueued)
		case *v1.Event_ExecutionChanged:
			if c := e.ExecutionChanged; c.GetFrom() != c.GetTo() {
				sums.of(c.GetJob()).changed(c)
			}
		case *v1.Event_ReleaseRefused:
			sums.of(e.ReleaseRefused.GetJob()).counts.Refused++
		case *v1.Event_RetryDropped:
			sums.of(e.RetryDropped.GetJob()).retryDropped(e.RetryDropped)
		case *v1.Event_ExecutionDeleted:
			sums.of(e.ExecutionDeleted.GetJob()).deleted(e.ExecutionDeleted)
		case *v1.Event_HomeSettled:
			s := sums.of(e.HomeSettled.GetJob())
			s.settled = append(s.settled, e.HomeSettled.GetPhase())
		}
	}
	return sums.tallies()
}

// book holds the sums of a few jobs. Commits are about few jobs, mostly one, and neighbouring entries about the
// same: the last one found is looked at first.
type book struct {
	jobs []sum
	last int
}

type sum struct {
	job     uint64
	counts  Counts
	settled []v1.JobPhase
}

func (b *book) of(job uint64) *sum {
	if b.last < len(b.jobs) && b.jobs[b.last].job == job {
		return &b.jobs[b.last]
	}
	for i := range b.jobs {
		if b.jobs[i].job == job {
			b.last = i
			return &b.jobs[i]
		}
	}
	b.last = len(b.jobs)
	b.jobs = append(b.jobs, sum{job: job})
	return &b.jobs[b.last]
}

func (b *book) tallies() []*v1.Tally {
	slices.SortFunc(b.jobs, func(x, y sum) int { return cmp.Compare(x.job, y.job) })
	var tallies []*v1.Tally
	for i := range b.jobs {
		s := &b.jobs[i]
		if s.counts == (Counts{}) && len(s.settled) == 0 {
			continue
		}
		t := &v1.Tally{
			Job: s.job, Attempts: s.counts.Statuses(),
			Open: s.counts.Open, Good: s.counts.Good, Harmed: s.counts.Harmed, Void: s.counts.Void,
			Refused: uint64(s.counts.Refused), Deleted: uint64(s.counts.Deleted),
		}
		if n := len(s.settled); n > 0 {
			t.Settled, t.SettledBefore = s.settled[n-1], s.settled[:n-1]
		}
		tallies = append(tallies, t)
	}
	return tallies
}

func (s *sum) queued(q *v1.ExecutionQueued) {
	s.counts.Attempts[v1.ExecutionStatus_EXECUTION_STATUS_QUEUED]++
	if q.GetRetryAttempt() == 0 {
		s.counts.Open++ // a retry's thing is open already: the attempt before it ended with a retry due
	}
}

func (s *sum) changed(c *v1.ExecutionChanged) {
	s.counts.status(c.GetFrom(), -1)
	s.counts.status(c.GetTo(), +1)
	if !Ended(c.GetTo()) || c.GetRetryDue() {
		return
	}
	s.counts.Open--
	s.ended(c.GetTo(), c.GetStartedAtMs(), +1)
}

// retryDropped ends a thing that was open for a retry only.
func (s *sum) retryDropped(r *v1.RetryDropped) {
	s.counts.Open--
	s.ended(r.GetStatus(), r.GetStartedAtMs(), +1)
}

// deleted takes back what an attempt counts for, and what its thing does if it was the last.
func (s *sum) deleted(d *v1.ExecutionDeleted) {
	s.counts.status(d.GetStatus(), -1)
	if !d.GetLast() {
		return
	}
	s.counts.Deleted++
	switch {
	case d.GetRetryDue() || !Ended(d.GetStatus()):
		s.counts.Open--
	default:
		s.ended(d.GetStatus(), d.GetStartedAtMs(), -1)
	}
}

// ended counts a thing whose last attempt ended so.
func (s *sum) ended(status v1.ExecutionStatus, startedAtMs, n int64) {
	switch {
	case status == v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED:
		s.counts.Good += n
	case startedAtMs == 0 && isVoid(status):
		s.counts.Void += n
	default:
		s.counts.Harmed += n
	}
}

func isVoid(to v1.ExecutionStatus) bool {
	return to == v1.ExecutionStatus_EXECUTION_STATUS_CANCELED ||
		to == v1.ExecutionStatus_EXECUTION_STATUS_REMOVED ||
		to == v1.ExecutionStatus_EXECUTION_STATUS_REJECTED
}

// Ended says whether an execution in this status changes no more (specification §4.2).
func Ended(s v1.ExecutionStatus) bool {
	return s >= v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED && s <= v1.ExecutionStatus_EXECUTION_STATUS_REMOVED
}

// Observed are the tallies of a commit as rollout takes them in.
func Observed(tallies []*v1.Tally) []*v1.ObservedTally {
	list := make([]*v1.ObservedTally, len(tallies))
	for i, t := range tallies {
		o := &v1.ObservedTally{
			Job: t.GetJob(), Open: t.GetOpen(), Good: t.GetGood(), Harmed: t.GetHarmed(), Void: t.GetVoid(),
			Refused: t.GetRefused(), Deleted: t.GetDeleted(), Settled: t.Phases(),
		}
		for _, s := range t.GetAttempts() {
			o.Attempts = append(o.Attempts, &v1.ObservedCount{Status: s.GetStatus(), Count: s.GetCount()})
		}
		list[i] = o
	}
	return list
}

// Merge adds the tallies of one more commit to those merged so far, and returns the sum by ascending job number. It
// takes into over and leaves from alone; the sum may still hold jobs whose counts have come out at zero.
func Merge(into, from []*v1.ObservedTally) []*v1.ObservedTally {
	for _, t := range from {
		i, found := slices.BinarySearchFunc(into, t.GetJob(), func(o *v1.ObservedTally, job uint64) int {
			return cmp.Compare(o.GetJob(), job)
		})
		if !found {
			into = slices.Insert(into, i, &v1.ObservedTally{Job: t.GetJob()})
		}
		merge(into[i], t)
	}
	return into
}

func merge(o, t *v1.ObservedTally) {
	var c Counts
	c.AddObserved(o)
	c.AddObserved(t)
	o.Attempts = o.Attempts[:0]
	for _, s := range c.Statuses() {
		o.Attempts = append(o.Attempts, &v1.ObservedCount{Status: s.Status, Count: s.Count})
	}
	o.Open, o.Good, o.Harmed, o.Void, o.Refused, o.Deleted = c.Open, c.Good, c.Harmed, c.Void, uint64(c.Refused), uint64(c.Deleted)
	for _, p := range t.GetSettled() {
		if !slices.Contains(o.Settled, p) {
			o.Settled = append(o.Settled, p)
		}
	}
}
