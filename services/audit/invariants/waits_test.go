package invariants

import (
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
)

// idle is a job of which five things wait from second 0, beside which rollout writes every 5 s, for 200 s.
func idle() (*audit.History, *audit.Job) {
	log := audit.LogRead{Name: id.RolloutLog, Owners: []audit.Owner{{At: second(0)}}}
	for s := int64(0); s <= 200; s += 5 {
		log.Times = append(log.Times, s*1000)
		log.Last++
	}
	j := &audit.Job{ID: "fw", Paces: []audit.Pace{{Place: second(0)}}, Queue: []audit.QueueChange{{Place: second(0), Things: 5}}}
	return &audit.History{Logs: []audit.LogRead{log}, Jobs: map[uint64]*audit.Job{1: j}}, j
}

// second is the commit of that second.
func second(s int64) audit.Place {
	return audit.Place{Log: id.RolloutLog, Number: uint64(s/5) + 1, AtMs: s * 1000}
}

func TestAJobThatMayReleaseDoes(t *testing.T) {
	fact := func(s int64, kind audit.JobFactKind) audit.JobFact {
		return audit.JobFact{Place: second(s), Kind: kind}
	}
	released := func(j *audit.Job, seconds ...int64) {
		for _, s := range seconds {
			j.Queue = append(j.Queue, audit.QueueChange{Place: second(s), Things: -1})
			j.Releases = append(j.Releases, audit.Release{Place: second(s), Things: 1})
		}
	}
	careful := func(h *audit.History, j *audit.Job, seconds ...int64) {
		j.Criteria = []audit.Criteria{{Place: second(0), List: []*v1.AbortCriterion{{}}}}
		other := &audit.Job{ID: "other", Criteria: j.Criteria}
		released(other, seconds...)
		h.Jobs[2] = other
	}
	for name, c := range map[string]struct {
		change func(h *audit.History, j *audit.Job)
		found  bool
	}{
		"neglected from the start": {func(*audit.History, *audit.Job) {}, true},
		"neglected in the end":     {func(_ *audit.History, j *audit.Job) { released(j, 5, 10, 60) }, true},
		"for a minute":             {func(_ *audit.History, j *audit.Job) { released(j, 60, 120, 180) }, false},
		"nothing waits any more":   {func(_ *audit.History, j *audit.Job) { released(j, 5, 10, 15, 20, 25) }, false},
		"as slow as its pace":      {func(_ *audit.History, j *audit.Job) { j.Paces[0].Slowest = 1; released(j, 60, 120) }, false},
		"slower than its pace":     {func(_ *audit.History, j *audit.Job) { j.Paces[0].Slowest = 60; released(j, 10) }, true},
		"stopped":                  {func(_ *audit.History, j *audit.Job) { j.Life = []audit.JobFact{fact(50, audit.Stopped)} }, false},
		"held for others":          {func(_ *audit.History, j *audit.Job) { j.Life = []audit.JobFact{fact(0, "JobHeld")} }, false},
		"held, and let in": {func(_ *audit.History, j *audit.Job) {
			j.Life = []audit.JobFact{fact(0, "JobHeld"), fact(20, "JobAdmitted")}
		}, true},
		"its window is closed": {func(_ *audit.History, j *audit.Job) { j.Windowed = true }, false},
		"its window opens": {func(_ *audit.History, j *audit.Job) {
			j.Windowed, j.Windows = true, []audit.Window{{Place: second(60), Open: true}}
		}, true},
		"log.rollout has another owner": {func(h *audit.History, _ *audit.Job) {
			h.Logs[0].Owners = append(h.Logs[0].Owners, audit.Owner{At: second(140)})
		}, true},
		"it has no owner": {func(h *audit.History, _ *audit.Job) { h.Logs[0].Last, h.Logs[0].Times = 5, h.Logs[0].Times[:5] }, false},
		"a process was stopped, and goes on": {func(h *audit.History, j *audit.Job) {
			h.Logs[0].Times = []int64{0, 100_000, 100_200}
			h.Logs[0].Last = 3
		}, false},
		"careful: nobody knows":             {func(h *audit.History, j *audit.Job) { careful(h, j) }, false},
		"careful: another one is released":  {func(h *audit.History, j *audit.Job) { careful(h, j, 90) }, true},
		"careful: another one was released": {func(h *audit.History, j *audit.Job) { careful(h, j, 50) }, false},
	} {
		h, j := idle()
		c.change(h, j)
		found := waits.Check(h)
		if (len(found) == 1) != c.found || c.found && !strings.Contains(found[0].What, "things wait from there on, and nothing holds it") {
			t.Errorf("%s: found %v", name, found)
		}
	}
}
