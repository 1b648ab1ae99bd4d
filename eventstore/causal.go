package eventstore

import (
	"fmt"
	"slices"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// Causal puts commits of several logs into an order in which no effect comes before its cause: a commit is handed out only
// when, of every followed log that its cursors name, at least that much was handed out or seen. (design §3 "Causal delivery")
//
// It is a value without goroutines: the same calls give the same order. It buffers what it is given; whoever feeds it
// bounds that (Buffered). It is not safe for concurrent use.
type Causal struct {
	logs []source // in the order of id.Log.Compare
}

// source is one followed log.
type source struct {
	log     id.Log
	seen    uint64 // every commit up to here was handed out, or seen elsewhere
	added   uint64 // the last commit that was added; at least seen
	waiting []*Commit
}

// NewCausal follows these logs. Cursors on other logs are ignored. A service follows its own log too, which it marks
// by Seen as it appends.
func NewCausal(follow []id.Log) *Causal {
	c := &Causal{}
	for _, l := range slices.SortedFunc(slices.Values(follow), id.Log.Compare) {
		if c.source(l) == nil {
			c.logs = append(c.logs, source{log: l})
		}
	}
	return c
}

// Seen says that a log was read up to a number already: by a checkpoint, or by its own writer. It never goes back.
func (c *Causal) Seen(log id.Log, number uint64) {
	s := c.must(log)
	s.seen = max(s.seen, number)
	s.added = max(s.added, number)
	s.waiting = slices.DeleteFunc(s.waiting, func(w *Commit) bool { return w.Number <= s.seen })
}

// Add gives the next commit of a log, as Follow delivers it. One that was added or seen before is ignored, so that a log
// may be read again from a mark.
func (c *Causal) Add(commit *Commit) {
	s := c.must(commit.Log)
	if commit.Number > s.added {
		s.added = commit.Number
		s.waiting = append(s.waiting, commit)
	}
}

// Next hands out a commit whose causes were all handed out, and counts it as seen; nil if there is none.
func (c *Causal) Next() *Commit {
	for i := range c.logs {
		s := &c.logs[i]
		if len(s.waiting) == 0 || c.missing(s.waiting[0]) != nil {
			continue
		}
		commit := s.waiting[0]
		s.waiting[0] = nil
		s.waiting = s.waiting[1:]
		s.seen = commit.Number
		return commit
	}
	return nil
}

// Buffered is how many commits of a log wait.
func (c *Causal) Buffered(log id.Log) int { return len(c.must(log).waiting) }

// At is the number up to which a log was handed out or seen.
func (c *Causal) At(log id.Log) uint64 { return c.must(log).seen }

// Wait is a commit that cannot be handed out before commit OnNumber of log On was.
type Wait struct {
	Log      id.Log
	Number   uint64
	On       id.Log
	OnNumber uint64
}

func (w Wait) String() string {
	return fmt.Sprintf("%s@%d waits for %s@%d", w.Log, w.Number, w.On, w.OnNumber)
}

// Blocked lists, for each log whose next commit waits for a cause, what it waits for. If that lies beyond the end of
// the log that it names, that log was cut: it is for the caller, who knows the ends, to stop then and name it.
func (c *Causal) Blocked() []Wait {
	var waits []Wait
	for _, s := range c.logs {
		if len(s.waiting) == 0 {
			continue
		}
		if on := c.missing(s.waiting[0]); on != nil {
			waits = append(waits, Wait{s.log, s.waiting[0].Number, cursorLog(on), on.Number})
		}
	}
	return waits
}

// missing is the first cursor of a commit that lies beyond what was seen; nil if there is none. A cursor that stands
// within a commit (entries_done) needs all of it: what is done of it can only have been read whole.
func (c *Causal) missing(commit *Commit) *v1.Cursor {
	for _, cursor := range commit.Cursors {
		if s := c.source(cursorLog(cursor)); s != nil && cursor.Number > s.seen {
			return cursor
		}
	}
	return nil
}

func cursorLog(c *v1.Cursor) id.Log { return id.Log{Service: c.Service, Home: id.Home(c.Home)} }

func (c *Causal) source(log id.Log) *source {
	i, ok := slices.BinarySearchFunc(c.logs, log, func(s source, l id.Log) int { return s.log.Compare(l) })
	if !ok {
		return nil
	}
	return &c.logs[i]
}

func (c *Causal) must(log id.Log) *source {
	s := c.source(log)
	if s == nil {
		panic(fmt.Sprintf("log %s is not followed", log))
	}
	return s
}
