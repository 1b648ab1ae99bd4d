// Package progress is the read model of a job's counters.
//
// Each row is the sum of what one log says of one job, so that no two logs write one row; Counts adds them up when
// asked. Of execution logs it reads the commits' tallies and no entry. A job that was deleted has none of the first and the
// last kind; what it selected stays, a few bytes, for log.targeting does not say when. (design §3, §6)
//
//	h job home           homeSum (one execution log)
//	s job                selectionSum (log.targeting)
//	r job                rolloutSum (log.rollout)
package progress

import (
	"slices"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// The tables. A byte belongs to one model of the store that all of them share.
const (
	tableHome      = 'h'
	tableSelection = 's'
	tableRollout   = 'r'
)

// Tables are the first bytes of this model's keys.
const Tables = string(tableHome) + string(tableSelection) + string(tableRollout)

// Apply folds one commit of any log. A sum is read, changed and written once for each event or tally of a job.
func Apply(tx kv.Tx, log id.Log, c *v1.Commit) {
	switch log.Service {
	case v1.Service_SERVICE_EXECUTION:
		for _, t := range c.Tallies {
			executions(tx, log.Home, t, c.AtMs)
		}
	case v1.Service_SERVICE_TARGETING:
		for _, e := range c.Entries {
			selection(tx, e.GetEvent())
		}
	case v1.Service_SERVICE_ROLLOUT:
		for _, e := range c.Entries {
			rollout(tx, e.GetEvent())
		}
	}
}

func executions(tx kv.Tx, home id.Home, t *v1.Tally, at int64) {
	key := homeKey(t.GetJob()).Uint(uint64(home))
	if slices.Contains(t.Phases(), v1.JobPhase_JOB_PHASE_DELETED) {
		tx.Delete(key) // this home has forgotten the job
		return
	}
	s := readHome(tx, key)
	s.counts.Add(t)
	if len(t.GetAttempts()) > 0 {
		if s.first == 0 {
			s.first = at
		}
		s.last = at
	}
	tx.Set(key, s.row())
}

func selection(tx kv.Tx, e *v1.Event) {
	switch event := e.GetEvent().(type) {
	case *v1.Event_SelectionStarted: // another one of a continuous job, or the first
		s := readSelection(tx, event.SelectionStarted.GetJob())
		s.finished = false
		tx.Set(selectionKey(event.SelectionStarted.GetJob()), s.row())
	case *v1.Event_ThingsSelected:
		s := readSelection(tx, event.ThingsSelected.GetJob())
		s.things += uint64(len(event.ThingsSelected.GetThings()))
		tx.Set(selectionKey(event.ThingsSelected.GetJob()), s.row())
	case *v1.Event_SelectionFinished:
		s := readSelection(tx, event.SelectionFinished.GetJob())
		s.finished = true
		tx.Set(selectionKey(event.SelectionFinished.GetJob()), s.row())
	}
}

func rollout(tx kv.Tx, e *v1.Event) {
	change := func(job uint64, f func(*rolloutSum)) {
		s := readRollout(tx, job)
		f(&s)
		tx.Set(rolloutKey(job), s.row())
	}
	switch event := e.GetEvent().(type) {
	case *v1.Event_ThingsWaiting:
		change(event.ThingsWaiting.GetJob(), func(s *rolloutSum) { s.came += uint64(len(event.ThingsWaiting.GetThings())) })
	case *v1.Event_ThingsJoined:
		change(event.ThingsJoined.GetJob(), func(s *rolloutSum) {
			s.came += uint64(len(event.ThingsJoined.GetThings()))
			s.joined += uint64(len(event.ThingsJoined.GetThings()))
		})
	case *v1.Event_ExecutionsReleased:
		change(event.ExecutionsReleased.GetJob(), func(s *rolloutSum) { s.released += uint64(len(event.ExecutionsReleased.GetThings())) })
	case *v1.Event_ThingsDropped:
		change(event.ThingsDropped.GetJob(), func(s *rolloutSum) { s.dropped += event.ThingsDropped.GetThings() })
	case *v1.Event_JobHeld:
		change(event.JobHeld.GetJob(), func(s *rolloutSum) { s.held = true })
	case *v1.Event_JobAdmitted:
		change(event.JobAdmitted.GetJob(), func(s *rolloutSum) { s.held = false })
	case *v1.Event_JobStopped:
		change(event.JobStopped.GetJob(), func(s *rolloutSum) { s.held = false })
	case *v1.Event_JobDrained:
		if event.JobDrained.GetPhase() == v1.JobPhase_JOB_PHASE_DELETED {
			tx.Delete(rolloutKey(event.JobDrained.GetJob()))
		}
	}
}

// Held says that nothing of a job is released, for as many others are at work as may be. (specification §4.13)
func Held(r kv.Reader, job uint64) bool { return readRollout(r, job).held }

// Counts adds up what all logs say of a job. A job that is not known has none.
func Counts(r kv.Reader, job uint64) *v1.JobCounts {
	var sum homeSum
	from := homeKey(job)
	for _, value := range r.Scan(from, kv.PrefixEnd(from)) {
		sum.add(parseHome(value))
	}
	selected, rollout := readSelection(r, job), readRollout(r, job)
	return &v1.JobCounts{
		Attempts: sum.counts.Statuses(),
		Selected: selected.things, SelectionFinished: selected.finished,
		Waiting: rollout.waiting(), Released: rollout.released, Dropped: rollout.dropped, Joined: rollout.joined,
		Refused: uint64(sum.counts.Refused), Deleted: uint64(sum.counts.Deleted),
		Open: sum.counts.Open, Good: sum.counts.Good, Harmed: sum.counts.Harmed, Void: sum.counts.Void,
		FirstChangeMs: sum.first, LastChangeMs: sum.last,
	}
}

func homeKey(job uint64) kv.Key      { return kv.NewKey(tableHome).Uint(job) }
func selectionKey(job uint64) kv.Key { return kv.NewKey(tableSelection).Uint(job) }
func rolloutKey(job uint64) kv.Key   { return kv.NewKey(tableRollout).Uint(job) }
