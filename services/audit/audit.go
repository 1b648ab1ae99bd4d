// Package audit reads a system's logs anew and says what happened: offline, from the commits alone.
//
// It promises a second opinion. History is a fold of the logs that shares no code with the cores, the read models or
// their tallies; what they concluded is held against it (invariants, one rule a file). It reads verified logs only
// (eventstore.Log.ReadTo), so a broken chain is an error, not a finding. It leaves starting a stopped system's broker,
// and what to do about a violation, to its callers. (design §9)
//
// A History of a million executions needs some 500 MB.
package audit

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/proto/id"
)

// Place is where an event stands, and when it was decided.
type Place struct {
	Log    id.Log
	Number uint64 // of its commit
	Entry  int
	AtMs   int64
}

func (p Place) String() string { return id.FormatPosition(p.Log.Position(p.Number, p.Entry)) }

// Before says that p stands before q in the same log.
func (p Place) Before(q Place) bool {
	return p.Number < q.Number || p.Number == q.Number && p.Entry < q.Entry
}

// History is what the logs of one system tell.
type History struct {
	// Homes is how many homes the system has, for its life.
	Homes uint32
	Logs  []LogRead // in the order of id.Log.Compare
	// Jobs by job number.
	Jobs map[uint64]*Job
	// Observed is what rollout learned of the homes, in order.
	Observed []Observed
	// Miscounts are tallies that are not what the entries behind them say.
	Miscounts []Miscount
	// Strange are events that contradict themselves so that they could not be taken in.
	Strange []Strange
}

// LogRead is one log as it was read.
type LogRead struct {
	Name    id.Log
	Last    uint64 // commit
	Entries uint64
	Bytes   uint64
	// Cursors in the order in which they were written.
	Cursors []Cursor
	// Owners in their order, one for each Owned.
	Owners []Owner
	// Beats are the times of the commits by which the log's work goes on, in their order (Beat says which those are).
	Beats []int64
	// Times are when the commits were decided; that of commit n is at n-1.
	Times []int64
	// hashes are the first 8 bytes of each message's hash; that of commit n is at n-1, 0 for a foreign message.
	hashes []uint64
}

// AtMs is when a commit was decided; 0 if the log holds none at that number.
func (l *LogRead) AtMs(number uint64) int64 {
	if number == 0 || number > uint64(len(l.Times)) {
		return 0
	}
	return l.Times[number-1]
}

// Prefix is the first 8 bytes of the hash of a commit, 0 if the log holds none at that number.
func (l *LogRead) Prefix(number uint64) uint64 {
	if number == 0 || number > uint64(len(l.hashes)) {
		return 0
	}
	return l.hashes[number-1]
}

// Cursor says that the commit at At was written with another log read up to Number.
type Cursor struct {
	At          Place
	Of          id.Log
	Number      uint64
	EntriesDone uint32
	Hash        uint64
}

// Covers says whether an entry had been read.
func (c Cursor) Covers(number uint64, entry int) bool {
	return number < c.Number || number == c.Number && (c.EntriesDone == 0 || entry < int(c.EntriesDone))
}

// Owner says who owned a log from a place on.
type Owner struct {
	At    Place
	Name  string
	Epoch uint64
}

// Observed is one home's share of an Observed event.
type Observed struct {
	At   Place
	Home id.Home
	UpTo uint64
	// Jobs by job number.
	Jobs map[uint64]Counts
}

// Miscount is a tally that differs from a recount of its commit.
type Miscount struct {
	At   Place
	Job  uint64
	What string
}

// Strange is an event that contradicts what stands before it.
type Strange struct {
	At   Place
	What string
}

// Log is the log of that name, or nil.
func (h *History) Log(name id.Log) *LogRead {
	i, ok := slices.BinarySearchFunc(h.Logs, name, func(l LogRead, n id.Log) int { return l.Name.Compare(n) })
	if !ok {
		return nil
	}
	return &h.Logs[i]
}

// JobByID is the newest job with that id, or nil.
func (h *History) JobByID(jobID string) *Job {
	var newest *Job
	for _, j := range h.Jobs {
		if j.ID == jobID && (newest == nil || j.Number > newest.Number) {
			newest = j
		}
	}
	return newest
}

// JobsInOrder lists the jobs by number: as they were created.
func (h *History) JobsInOrder() []*Job {
	jobs := make([]*Job, 0, len(h.Jobs))
	for _, j := range h.Jobs {
		jobs = append(jobs, j)
	}
	slices.SortFunc(jobs, func(x, y *Job) int { return cmp.Compare(x.Number, y.Number) })
	return jobs
}

// Read reads all logs to their present ends, and of each at least what the others vouch for: a running system's logs grow
// while they are read, and a history in which a commit rests on one that was not read would break every rule. The
// logs must be those of one system; progress may be nil.
func Read(ctx context.Context, logs []*eventstore.Log, progress func(log id.Log, done, last uint64)) (*History, error) {
	h := &History{Jobs: map[uint64]*Job{}}
	logs = slices.SortedFunc(slices.Values(logs), func(x, y *eventstore.Log) int { return x.Name().Compare(y.Name()) })
	readers := make([]*reader, len(logs))
	for i, l := range logs {
		_, last, err := l.Bounds(ctx)
		if err != nil {
			return nil, err
		}
		readers[i] = &reader{fold: fold{history: h, log: &LogRead{Name: l.Name()}}, source: l, progress: progress}
		if err := readers[i].readTo(ctx, last); err != nil {
			return nil, err
		}
	}
	for again := true; again; {
		again = false
		for _, r := range readers {
			if last := vouched(readers, r.log.Name); last > r.at.Number {
				again = true
				if err := r.readTo(ctx, last); err != nil {
					return nil, err
				}
			}
		}
	}
	for _, r := range readers {
		h.Logs = append(h.Logs, *r.log)
	}
	return h, nil
}

// vouched is how far the commits that were read say that a log reaches.
func vouched(readers []*reader, name id.Log) (last uint64) {
	for _, r := range readers {
		for i := len(r.log.Cursors) - 1; i >= 0; i-- {
			if c := r.log.Cursors[i]; c.Of == name {
				last = max(last, c.Number)
				break // cursors only move on
			}
		}
	}
	return last
}

// reader reads one log into a history.
type reader struct {
	fold
	source   *eventstore.Log
	at       eventstore.Mark
	progress func(log id.Log, done, last uint64)
}

func (r *reader) readTo(ctx context.Context, last uint64) error {
	err := r.source.ReadTo(ctx, r.at, last, func(c *eventstore.Commit) error {
		r.commit(c)
		r.at = c.Mark()
		if r.progress != nil && (c.Number%1000 == 0 || c.Number == last) {
			r.progress(r.log.Name, c.Number, last)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// never is later than every time.
const never = int64(math.MaxInt64)
