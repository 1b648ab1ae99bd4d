package audit

import (
	"math"
	"slices"
	"time"

	"github.com/droverhq/drover/proto/id"
)

const (
	// takeoverBefore and takeoverBehind bound how far from a new owner's first commit a request may go unanswered for
	// it, where devices are too few to show it: a lease that ran out, or a hand-over that waited for its last answers,
	// and the reading upstream.
	takeoverBefore, takeoverBehind = 6 * time.Second, 6 * time.Second
	// underWay is how long before a fault a request may have been sent that it took away.
	underWay = time.Second
	// slack is what two clocks on the way of one request may differ by, and the time that the request is on its way.
	slack = 50 * time.Millisecond
)

// Excuses tells requests that went unanswered for a reason that is known from those that the system has lost.
//
// It looks at the pause that a request fell into: from the last request before it that was answered promptly to the
// first one behind it, of those to the same home and of the same kind. Kinds are what writes and what does not, for an
// owner whose lease has run out answers the ones and is silent on the others. A pause excuses a request if
//
//   - the home had a new owner in it, whether it took the log over or was handed it, or
//   - a fault was done to the home in it, or
//   - it begins behind a fault, before the next one, and is longer than every pause in the 10 s before that fault: a
//     broker that is gone is missed for a second time when the lease that it kept runs out, and when its logs elect.
type Excuses struct {
	history *History
	faults  []Fault
	heard   map[kind][]int64 // when requests were sent that were answered promptly
}

// kind is of requests that fare alike.
type kind struct {
	home   id.Log
	writes bool
}

// Excuses takes in what devices sent and had an answer to within a second, in any order, and faults in theirs.
func (h *History) Excuses(prompt []Sent, faults []Fault) *Excuses {
	e := &Excuses{history: h, faults: faults, heard: map[kind][]int64{}}
	for _, s := range prompt {
		k := h.kind(s)
		e.heard[k] = append(e.heard[k], s.AtMs)
	}
	for _, times := range e.heard {
		slices.Sort(times)
	}
	return e
}

func (h *History) kind(s Sent) kind {
	return kind{id.ExecutionLog(id.HomeOf(s.Thing, h.Homes)), s.Writes}
}

// interval is a time, its ends included.
type interval struct{ from, until int64 }

func (i interval) meets(from, until int64) bool { return i.from <= until && from <= i.until }

// Excused says whether a request that was not answered went so for a reason that is known.
func (e *Excuses) Excused(u Sent) bool {
	k := e.history.kind(u)
	p := e.pause(k, u.AtMs)
	return e.takenOver(k.home, u.AtMs, p) || e.done(k.home, u.AtMs, p) || e.longer(k, p)
}

// pause is the one that a time falls into.
func (e *Excuses) pause(k kind, at int64) interval {
	heard, p := e.heard[k], interval{math.MinInt64, math.MaxInt64}
	i, _ := slices.BinarySearch(heard, at)
	if i > 0 {
		p.from = heard[i-1]
	}
	if i < len(heard) {
		p.until = heard[i]
	}
	return p
}

// takenOver says whether a home had a new owner in a pause, not too far from a time in it.
func (e *Excuses) takenOver(home id.Log, at int64, p interval) bool {
	l := e.history.Log(home)
	return l != nil && slices.ContainsFunc(l.Owners, func(o Owner) bool {
		first := o.At.AtMs
		return p.meets(first-slack.Milliseconds(), first+slack.Milliseconds()) &&
			first-takeoverBefore.Milliseconds() <= at && at <= first+takeoverBehind.Milliseconds()
	})
}

// done says whether a fault was done to a home in a pause, not too far from a time in it.
func (e *Excuses) done(home id.Log, at int64, p interval) bool {
	return slices.ContainsFunc(e.faults, func(f Fault) bool {
		first, last := f.AtMs, f.AtMs+f.For.Milliseconds()
		return f.hits(home) && p.meets(first-slack.Milliseconds(), last+slack.Milliseconds()) &&
			first-underWay.Milliseconds() <= at && at <= last+faultWindow.Milliseconds()
	})
}

// longer says whether a pause begins behind a fault and is longer than was usual before. Behind the last release there is less
// and less to hear.
func (e *Excuses) longer(k kind, p interval) bool {
	release := e.history.lastRelease()
	for i, f := range e.faults {
		end := f.AtMs + faultWindow.Milliseconds()
		if i+1 < len(e.faults) {
			end = min(end, e.faults[i+1].AtMs)
		}
		if release >= f.AtMs {
			end = min(end, release)
		}
		if !f.hits(k.home) || p.from < f.AtMs || p.from >= end {
			continue
		}
		var before Standstill
		if before.pace(e.heard[k], f.AtMs) && time.Duration(min(p.until, end)-p.from)*time.Millisecond > before.UsualMax {
			return true
		}
	}
	return false
}

// hits says whether a fault may have hit a log.
func (f Fault) hits(log id.Log) bool { return len(f.Logs) == 0 || slices.Contains(f.Logs, log) }
