package fleet

import (
	"cmp"
	"slices"
	"time"

	"github.com/droverhq/drover/loadtest/agent"
)

// Sending is one time that a request went out.
type Sending struct {
	// At is when, since the Unix epoch.
	At    time.Duration
	Thing string
	Op    agent.Op
	Token string
	// Lost says that none of its sendings was answered, and that the device does not wait for an answer any more.
	Lost bool
}

// Prompt is a sending that was answered within promptly.
type Prompt struct {
	// At is when it was sent, since the Unix epoch.
	At    time.Duration
	Thing string
	// Wrote says that the answer tells of something that was written: a report was accepted, or an execution started.
	Wrote bool
}

// promptly is how soon an answer comes where nothing is in the way.
const promptly = time.Second

// sendings are the requests that went out, by thing and token.
type sendings struct {
	open           map[[2]string]*asked
	sent, answered int
	prompt         []Prompt
	last           time.Duration // the newest fact
}

// asked is one request that has not been answered as often as it was sent.
type asked struct {
	op       agent.Op
	sent     []time.Duration // those that are not answered
	answered bool            // one was
}

// add takes in the next fact. Which sending an answer belongs to cannot be seen: the last one that has none yet is taken to be
// answered, since what was in the way of those before it has ended by then.
func (s *sendings) add(f agent.Fact) {
	s.last = max(s.last, time.Duration(f.At))
	key := [2]string{f.Thing, f.Token}
	q := s.open[key]
	switch f.What {
	case agent.Sent:
		if s.open == nil {
			s.open = map[[2]string]*asked{}
		}
		if q == nil {
			q = &asked{op: f.Op}
			s.open[key] = q
		}
		s.sent++
		q.sent = append(q.sent, time.Duration(f.At))
	case agent.Reported, agent.Rejected, agent.Answered:
		if q == nil {
			return // another answer to what was answered before, or a journal without sendings
		}
		s.answered++
		at := q.sent[len(q.sent)-1]
		if time.Duration(f.At)-at <= promptly {
			s.prompt = append(s.prompt, Prompt{At: at, Thing: f.Thing, Wrote: f.What == agent.Reported})
		}
		q.answered = true
		if q.sent = q.sent[:len(q.sent)-1]; len(q.sent) == 0 {
			delete(s.open, key)
		}
	}
}

// stillWaiting is how long before the end of a journal a sending may have gone out without being called unanswered.
const stillWaiting = 2 * time.Second

// count also lists what is not answered, and counts what was still waited for at the end of the journal.
func (s *sendings) count() (waiting int, unanswered []Sending) {
	for key, q := range s.open {
		lost := !q.answered && q.sent[len(q.sent)-1] <= s.last-stillWaiting
		for _, at := range q.sent {
			if at > s.last-stillWaiting {
				waiting++
				continue
			}
			unanswered = append(unanswered, Sending{At: at, Thing: key[0], Op: q.op, Token: key[1], Lost: lost})
		}
	}
	slices.SortFunc(unanswered, func(x, y Sending) int { return cmp.Or(cmp.Compare(x.At, y.At), cmp.Compare(x.Thing, y.Thing)) })
	return waiting, unanswered
}
