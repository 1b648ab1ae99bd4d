package progress

import (
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/tally"
)

// homeSum is what one execution log says of a job.
type homeSum struct {
	counts tally.Counts
	// The times of the first and the last commit in which an execution changed its status; 0 is none.
	first, last int64
}

func (s homeSum) row() kv.Row { return kv.Row(s.counts.AppendTo(nil)).Int(s.first).Int(s.last) }

func parseHome(value []byte) (s homeSum) {
	f := kv.NewFields(value)
	s.counts.Read(&f)
	s.first, s.last = f.Int(), f.Int()
	f.Must("a home's sums")
	return s
}

func readHome(r kv.Reader, key kv.Key) (s homeSum) {
	if value, ok := r.Get(key); ok {
		s = parseHome(value)
	}
	return s
}

// add adds the sums of another home.
func (s *homeSum) add(o homeSum) {
	s.counts.AddCounts(o.counts)
	if s.first == 0 || o.first != 0 && o.first < s.first {
		s.first = o.first
	}
	s.last = max(s.last, o.last)
}

// selectionSum is what log.targeting says of a job: how many things it selected, and whether that is all.
type selectionSum struct {
	things   uint64
	finished bool
}

func (s selectionSum) row() kv.Row { return kv.Row(nil).Uint(s.things).Bool(s.finished) }

func parseSelection(value []byte) (s selectionSum) {
	f := kv.NewFields(value)
	s.things, s.finished = f.Uint(), f.Bool()
	f.Must("a selection's sums")
	return s
}

func readSelection(r kv.Reader, job uint64) (s selectionSum) {
	if value, ok := r.Get(selectionKey(job)); ok {
		s = parseSelection(value)
	}
	return s
}

// rolloutSum is what log.rollout says of a job's things: how many came to wait, of those how many by joining a target
// later, and how many were released, were dropped. A thing that joins again counts again. And whether the job is held, for as
// many others are at work as may be.
type rolloutSum struct {
	came, joined, released, dropped uint64
	held                            bool
}

// waiting is how many things are neither released nor dropped.
func (s rolloutSum) waiting() uint64 {
	if gone := s.released + s.dropped; gone < s.came {
		return s.came - gone
	}
	return 0
}

func (s rolloutSum) row() kv.Row {
	return kv.Row(nil).Uint(s.came).Uint(s.joined).Uint(s.released).Uint(s.dropped).Bool(s.held)
}

func parseRollout(value []byte) (s rolloutSum) {
	f := kv.NewFields(value)
	s.came, s.joined, s.released, s.dropped, s.held = f.Uint(), f.Uint(), f.Uint(), f.Uint(), f.Bool()
	f.Must("a rollout's sums")
	return s
}

func readRollout(r kv.Reader, job uint64) (s rolloutSum) {
	if value, ok := r.Get(rolloutKey(job)); ok {
		s = parseRollout(value)
	}
	return s
}
