package audit

import (
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// Report is a job in figures, recounted from the log.
type Report struct {
	Job    *Job
	Counts Counts
	// Selected, Released, Dropped count things.
	Selected, Released, Dropped uint64
	// Transitions is every ExecutionQueued and every ExecutionChanged to another status: what changed, not what was
	// reported in between, which Reports counts.
	Transitions, Reports uint64
	// Gaps counts executions whose versions are not 1, 2, 3, …; Ends those that have ended, Doubled those that ended twice.
	Gaps, Ends, Doubled uint64
	// First and Last are the times of the first and the last transition; zero if there is none.
	First, Last time.Time
}

// Executions is how many there are.
func (r Report) Executions() int64 {
	var n int64
	for _, c := range r.Counts.Attempts {
		n += c
	}
	return n
}

// PerSecond is how many transitions a second there were from the first to the last; 0 if they were at one time.
func (r Report) PerSecond() float64 {
	if d := r.Last.Sub(r.First).Seconds(); d > 0 {
		return float64(r.Transitions) / d
	}
	return 0
}

// Report counts a job.
func (j *Job) Report() Report {
	r := Report{Job: j, Counts: j.Counts(Everywhere), Dropped: j.Dropped}
	first, last := never, int64(0)
	for _, t := range j.Things {
		r.Selected += uint64(t.Selected)
		r.Released += uint64(t.Released)
		for _, x := range t.Executions {
			ends := 0
			for _, s := range x.Steps {
				if s.From == s.To {
					r.Reports++
					continue
				}
				r.Transitions++
				first, last = min(first, s.AtMs), max(last, s.AtMs)
				if Final(s.To) {
					ends++
				}
			}
			if !x.Gapless() {
				r.Gaps++
			}
			if ends > 0 {
				r.Ends++
			}
			if ends > 1 {
				r.Doubled++
			}
		}
	}
	if r.Transitions > 0 {
		r.First, r.Last = time.UnixMilli(first).UTC(), time.UnixMilli(last).UTC()
	}
	return r
}

// Gapless says that the versions are 1, 2, 3, … (specification §4.3)
func (x *Execution) Gapless() bool {
	for i, s := range x.Steps {
		if s.Version != uint64(i)+1 {
			return false
		}
	}
	return true
}

// Status is how many executions are in a status.
func (r Report) Status(s v1.ExecutionStatus) int64 { return r.Counts.Attempts[s] }

// ThingsInOrder lists a job's things by name. The list belongs to the job.
func (j *Job) ThingsInOrder() []*Thing {
	if len(j.ordered) == len(j.Things) {
		return j.ordered
	}
	j.ordered = slices.SortedFunc(maps.Values(j.Things), func(x, y *Thing) int { return strings.Compare(x.Name, y.Name) })
	return j.ordered
}
