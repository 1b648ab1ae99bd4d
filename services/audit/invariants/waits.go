package invariants

import (
	"slices"
	"sort"

	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
)

// A job is overdue a minute after its pace let the next thing go, twice over, for a late slot is forfeited. Rollout
// neglects it if it goes on for overdueMs behind that: a process that was stopped does at once what is due.
const (
	waitsMs   = 60_000
	overdueMs = 10_000
)

var waits = Rule{
	Name: "waits",
	Promise: "A job that may release does. Where things wait, nothing has stopped the job or holds it, its window is open and its pace lets the next " +
		"thing go, one owner of log.rollout does not write for more than a minute without releasing any (design §7). A job with abort criteria also " +
		"needs the ends of all logs, so it is held against releases of other such jobs alone.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		log := h.Log(id.RolloutLog)
		if log == nil {
			return
		}
		careful := carefulReleases(h)
		for _, j := range h.JobsInOrder() {
			checkWaits(j, log, careful, broken)
		}
	},
}

// waiting is how a job stands at a place of log.rollout.
type waiting struct {
	things                int
	held, stopped, closed bool // closed: its window
	careful               bool
	slowest               uint32
}

// turn is a place of log.rollout at which that changes.
type turn struct {
	audit.Place
	change func(*waiting)
}

func turns(j *audit.Job, log *audit.LogRead) (list []turn) {
	at := func(p audit.Place, change func(*waiting)) {
		if p.Log == log.Name {
			list = append(list, turn{p, change})
		}
	}
	for _, q := range j.Queue {
		at(q.Place, func(w *waiting) { w.things += q.Things })
	}
	for _, x := range j.Windows {
		at(x.Place, func(w *waiting) { w.closed = !x.Open })
	}
	for _, p := range j.Paces {
		at(p.Place, func(w *waiting) { w.slowest = p.Slowest })
	}
	for _, c := range j.Criteria {
		at(c.Place, func(w *waiting) { w.careful = len(c.List) > 0 })
	}
	for _, fact := range j.Life {
		switch fact.Kind {
		case audit.Stopped, audit.Closed, audit.Erased:
			at(fact.Place, func(w *waiting) { w.stopped = true })
		case audit.Held, audit.Admitted:
			at(fact.Place, func(w *waiting) { w.held = fact.Kind == audit.Held })
		}
	}
	for _, o := range log.Owners {
		at(o.At, func(*waiting) {})
	}
	slices.SortStableFunc(list, func(a, b turn) int {
		if a.Before(b.Place) {
			return -1
		}
		return 1
	})
	return list
}

func checkWaits(j *audit.Job, log *audit.LogRead, careful []uint64, broken func(any, string, ...any)) {
	w := waiting{closed: j.Windowed}
	all := turns(j, log)
	for i, t := range all {
		t.change(&w)
		if w.things == 0 || w.held || w.stopped || w.closed {
			continue
		}
		until := log.Last + 1
		if i+1 < len(all) {
			until = all[i+1].Number
		}
		due := t.AtMs + waitsMs
		if w.slowest > 0 {
			due += 2 * 60_000 / int64(w.slowest)
		}
		late := firstAt(log, due)
		seen := firstAt(log, log.AtMs(late)+overdueMs)
		if w.careful {
			k, _ := slices.BinarySearch(careful, seen)
			if seen = log.Last + 1; k < len(careful) {
				seen = careful[k]
			}
		}
		if late <= log.Last && seen < until {
			broken(t.Place, "of %s %d things wait from there on, and nothing holds it; rollout goes on up to commit %d, %d s later, and has released none",
				j.ID, w.things, seen, (log.AtMs(seen)-t.AtMs)/1000)
			return
		}
	}
}

// firstAt is the first commit of a log at or after a time; one more than the last if there is none.
func firstAt(log *audit.LogRead, atMs int64) uint64 {
	return uint64(sort.Search(len(log.Times), func(i int) bool { return log.Times[i] >= atMs })) + 1
}

// carefulReleases are the commits that release things of jobs with criteria: the ends of all logs were read then.
func carefulReleases(h *audit.History) (commits []uint64) {
	for _, j := range h.Jobs {
		if len(j.Criteria) == 0 {
			continue
		}
		for _, r := range j.Releases {
			commits = append(commits, r.Number)
		}
	}
	slices.Sort(commits)
	return slices.Compact(commits)
}
