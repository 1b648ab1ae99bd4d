package audit

import (
	"fmt"
	"slices"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// fold takes one log's commits into a history.
type fold struct {
	history *History
	log     *LogRead
	recount map[uint64]*Counts // of the commit at hand, by job number
	settled map[uint64][]v1.JobPhase
	gone    map[uint64]Place // jobs that this log has done with, since when
}

func (f *fold) commit(c *eventstore.Commit) {
	for uint64(len(f.log.hashes))+1 < c.Number {
		f.log.hashes = append(f.log.hashes, 0) // foreign messages
	}
	f.log.hashes = append(f.log.hashes, c.Hash.Prefix())
	f.log.Last = c.Number
	for uint64(len(f.log.Times)) < c.Number {
		f.log.Times = append(f.log.Times, c.AtMs)
	}
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
	switch e := event.GetEvent().(type) {
	case *v1.Event_LogOpened:
		f.opened(at, e.LogOpened)
		return
	case *v1.Event_Owned:
		f.log.Owners = append(f.log.Owners, Owner{At: at, Name: e.Owned.GetOwner(), Epoch: e.Owned.GetEpoch()})
		return
	}
	f.late(at, event)
	switch at.Log.Service {
	case v1.Service_SERVICE_JOB:
		f.job(at, event)
	case v1.Service_SERVICE_TARGETING:
		f.targeting(at, event)
	case v1.Service_SERVICE_ROLLOUT:
		f.rollout(at, event)
	case v1.Service_SERVICE_EXECUTION:
		f.execution(at, event)
	}
}

// late notes an event of a job that this log has done with.
func (f *fold) late(at Place, event *v1.Event) {
	if gone, ok := f.gone[event.Job()]; ok {
		j := f.history.job(event.Job())
		j.Late = append(j.Late, Late{Place: at, Event: event.Type(), Gone: gone})
	}
}

// done says that nothing of a job may stand in this log behind there.
func (f *fold) done(at Place, job uint64) {
	if f.gone == nil {
		f.gone = map[uint64]Place{}
	}
	f.gone[job] = at
}

func (f *fold) opened(at Place, e *v1.LogOpened) {
	if f.history.Homes != 0 && f.history.Homes != e.GetHomes() {
		f.strange(at, "the log was opened for %d homes, another for %d", e.GetHomes(), f.history.Homes)
	}
	f.history.Homes = e.GetHomes()
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
		says := Counts{Open: t.GetOpen(), Good: t.GetGood(), Harmed: t.GetHarmed(), Void: t.GetVoid(), Refused: int64(t.GetRefused()), Deleted: int64(t.GetDeleted())}
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
		if said := t.Phases(); !settles(said, f.settled[t.GetJob()]) {
			f.miscount(at, t.GetJob(), "its tally says settled %v, its entries %v", said, f.settled[t.GetJob()])
		}
	}
	for job, r := range f.recount {
		if !told[job] && *r != (Counts{}) {
			f.miscount(at, job, "it has no tally, and its entries count %v", *r)
		}
	}
}

// settles says that a tally names the phases that a home has settled in its commit. Older ones name the last alone.
func settles(said, settled []v1.JobPhase) bool {
	return slices.Equal(said, settled) || len(said) == 1 && len(settled) > 0 && said[0] == settled[len(settled)-1]
}

func (f *fold) miscount(at Place, job uint64, format string, args ...any) {
	f.history.Miscounts = append(f.history.Miscounts, Miscount{At: at, Job: job, What: fmt.Sprintf(format, args...)})
}

func (f *fold) strange(at Place, format string, args ...any) {
	f.history.Strange = append(f.history.Strange, Strange{At: at, What: fmt.Sprintf(format, args...)})
}
