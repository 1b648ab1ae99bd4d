package audit

import (
	"slices"
	"time"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// Fault is something that was done to a running system: a process killed, a broker restarted.
type Fault struct {
	AtMs int64
	// For is how long it was being done; 0 is a moment.
	For  time.Duration
	What string
	// Logs that it hit; none means that the histories must say (Standstills).
	Logs []id.Log
	// Max is how long each of them may stand still; 0 is no limit.
	Max time.Duration
}

const (
	// faultWindow is for how long after a fault what stands still is laid to it, if no other fault comes.
	faultWindow = 30 * time.Second
	// usualWindow is from which time before a fault the usual pace is taken.
	usualWindow = 10 * time.Second
)

// Standstill is for how long one log stood still around a fault: the longest time between two beats that follow each
// other and of which the second lies behind the fault. It is an upper bound of what the fault cost: the log had nothing to
// do in some part of it, for as long as Usual as a rule.
//
// Times are those at which commits were decided, by their owners' clocks; a commit that waited for its broker stands at
// the beginning of the wait, so the wait is in the standstill behind it.
type Standstill struct {
	Log  id.Log
	Beat string
	// Usual and UsualMax are the median and the longest time between beats in the 10 s before the fault.
	Usual, UsualMax time.Duration
	// FromMs and UntilMs are the two beats. UntilMs is 0 if there was no beat behind the fault although there was one
	// to be expected, FromMs then the last one.
	FromMs, UntilMs int64
	// OwnedMs is when the log was first taken over behind the fault, by Owner; 0 if it was not.
	OwnedMs int64
	Owner   string
	// Idle says that the log had nothing to do before the fault. From FromMs, the fault itself, to UntilMs is then what
	// it took until another had taken it over; 0 if nobody has.
	Idle bool
}

// Length is how long it was; false if it did not end.
func (s Standstill) Length() (time.Duration, bool) {
	if s.UntilMs == 0 && !s.Idle {
		return 0, false
	}
	return time.Duration(max(s.UntilMs-s.FromMs, 0)) * time.Millisecond, true
}

// beatsOf says which events are a log's work going on: of a home, that a device's report was accepted (an execution
// changes; that one is queued says only that the home reads); of rollout, that things are released. job and targeting
// have work now and then only, and no beat.
func beatsOf(s v1.Service) (name string, is func(*v1.Event) bool) {
	switch s {
	case v1.Service_SERVICE_EXECUTION:
		return "reports", func(e *v1.Event) bool { return e.GetExecutionChanged() != nil }
	case v1.Service_SERVICE_ROLLOUT:
		return "releases", func(e *v1.Event) bool { return e.GetExecutionsReleased() != nil }
	}
	return "", func(*v1.Event) bool { return false }
}

func (f *fold) beat(c *eventstore.Commit) {
	_, is := beatsOf(c.Log.Service)
	if slices.ContainsFunc(c.Entries, func(e *v1.Entry) bool { return is(e.GetEvent()) }) {
		f.log.Beats = append(f.log.Beats, c.AtMs)
	}
}

// Standstills are the standstills of each fault: of the logs that it names; else of those that were taken over behind it;
// else of all that have beats. What devices say adds one of its own for each home: how long none of its things had an
// answer. Faults must be in their order. A fault's time ends 30 s behind it, at the next fault, or with the last release
// of all, behind which homes have less and less to do.
func (h *History) Standstills(faults []Fault, devices []Testimony) [][]Standstill {
	all := make([][]Standstill, len(faults))
	answers := h.answers(devices)
	for i, f := range faults {
		end := f.AtMs + faultWindow.Milliseconds()
		if i+1 < len(faults) {
			end = min(end, faults[i+1].AtMs)
		}
		for _, l := range h.hit(f, end) {
			s := h.standstill(l, l.Beats, f.AtMs, end)
			all[i] = append(all[i], s)
			if told := answers[l.Name]; len(told) > 0 && !s.Idle {
				s = h.standstill(l, told, f.AtMs, end)
				s.Beat = "answers"
				all[i] = append(all[i], s)
			}
		}
	}
	return all
}

// answers are the times of the devices' accepted reports, by the log of their homes.
func (h *History) answers(devices []Testimony) map[id.Log][]int64 {
	times := map[id.Log][]int64{}
	for _, d := range devices {
		log := id.ExecutionLog(id.HomeOf(d.Thing, h.Homes))
		for _, a := range d.Accepted {
			times[log] = append(times[log], a.AtMs)
		}
	}
	for _, t := range times {
		slices.Sort(t)
	}
	return times
}

// hit are the logs that a fault stopped.
func (h *History) hit(f Fault, end int64) []*LogRead {
	var named, taken, all []*LogRead
	for i := range h.Logs {
		l := &h.Logs[i]
		if len(l.Beats) > 0 {
			all = append(all, l)
		}
		if slices.Contains(f.Logs, l.Name) {
			named = append(named, l)
		}
		if o := l.takenOver(f.AtMs, end); o != nil {
			taken = append(taken, l)
		}
	}
	switch {
	case len(f.Logs) > 0:
		return named
	case len(taken) > 0:
		return taken
	}
	return all
}

// takenOver is the first owner that came between two times, or nil.
func (l *LogRead) takenOver(from, to int64) *Owner {
	i := slices.IndexFunc(l.Owners, func(o Owner) bool { return o.At.AtMs >= from && o.At.AtMs < to })
	if i < 0 {
		return nil
	}
	return &l.Owners[i]
}

func (h *History) standstill(l *LogRead, beats []int64, at, end int64) Standstill {
	name, _ := beatsOf(l.Name.Service)
	s := Standstill{Log: l.Name, Beat: name}
	if o := l.takenOver(at, end); o != nil {
		s.OwnedMs, s.Owner = o.At.AtMs, o.Name
	}
	if !s.pace(beats, at) {
		s.Beat, s.Idle, s.FromMs, s.UntilMs = "an owner", true, at, s.OwnedMs
		return s
	}
	if release := h.lastRelease(); release >= at && l.Name.Service != v1.Service_SERVICE_ROLLOUT {
		end = min(end, release)
	}
	s.longest(beats, at, end)
	return s
}

// pace finds the usual pace before a fault; false if there was none.
func (s *Standstill) pace(beats []int64, at int64) bool {
	first, _ := slices.BinarySearch(beats, at-usualWindow.Milliseconds())
	last, _ := slices.BinarySearch(beats, at)
	var gaps []int64
	for i := first + 1; i < last; i++ {
		gaps = append(gaps, beats[i]-beats[i-1])
	}
	if len(gaps) == 0 {
		return false
	}
	slices.Sort(gaps)
	s.Usual = time.Duration(gaps[len(gaps)/2]) * time.Millisecond
	s.UsualMax = time.Duration(gaps[len(gaps)-1]) * time.Millisecond
	return true
}

// longest finds the longest time between two beats, of which the second lies behind at and the first before end; what
// lies behind end is another's.
func (s *Standstill) longest(beats []int64, at, end int64) {
	i, _ := slices.BinarySearch(beats, at)
	if i == len(beats) {
		s.FromMs = beats[i-1]
		return
	}
	for ; i < len(beats) && (i == 0 || beats[i-1] < end); i++ {
		if i == 0 {
			continue
		}
		until := beats[i]
		if until > end && beats[i-1] >= at {
			until = end
		}
		if until-beats[i-1] > s.UntilMs-s.FromMs {
			s.FromMs, s.UntilMs = beats[i-1], until
		}
	}
}

// lastRelease is when rollout released things for the last time; 0 if never.
func (h *History) lastRelease() int64 {
	l := h.Log(id.RolloutLog)
	if l == nil || len(l.Beats) == 0 {
		return 0
	}
	return l.Beats[len(l.Beats)-1]
}
