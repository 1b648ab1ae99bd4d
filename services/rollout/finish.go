package rollout

import (
	"cmp"
	"slices"

	"github.com/droverhq/drover/projections/tally"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// observedMax is how many tallies one Observed holds.
const observedMax = 200

// Observe implements core.Core: it records what the homes have said of their executions, and what follows from it: aborts
// first, then ends. Jobs for whose end the call has no room stand in line for Due.
func (c *Core) Observe(s *core.Step, commits []*v1.HomeTally) {
	crossed := crossings(s, commits)
	homes := merge(commits)
	var event []*v1.HomeTally
	n := 0
	for _, home := range homes {
		for rest := home.GetTallies(); len(rest) > 0; {
			some := rest[:min(len(rest), observedMax-n)]
			rest = rest[len(some):]
			n += len(some)
			event = append(event, &v1.HomeTally{Home: home.GetHome(), UpTo: home.GetUpTo(), Tallies: some})
			if n == observedMax {
				emitObserved(s, event)
				event, n = nil, 0
			}
		}
	}
	if n > 0 {
		emitObserved(s, event)
	}
	for _, x := range crossed {
		x.abort(s)
	}
	for _, home := range homes {
		for _, t := range home.GetTallies() {
			c.finish(s, t.GetJob())
		}
	}
}

// merge adds up the tallies of each home, ascending by home.
func merge(commits []*v1.HomeTally) (homes []*v1.HomeTally) {
	for _, x := range commits {
		i, found := slices.BinarySearchFunc(homes, x.GetHome(), func(h *v1.HomeTally, home uint32) int { return cmp.Compare(h.GetHome(), home) })
		if !found {
			homes = slices.Insert(homes, i, &v1.HomeTally{Home: x.GetHome()})
		}
		homes[i].UpTo = x.GetUpTo()
		homes[i].Tallies = tally.Merge(homes[i].Tallies, x.GetTallies())
	}
	return homes
}

func emitObserved(s *core.Step, homes []*v1.HomeTally) {
	s.Emit(&v1.Event{Event: &v1.Event_Observed{Observed: &v1.Observed{Homes: homes}}}, nil)
}

// finish writes the end of a job if it has come: JobClosed when every selected thing has ended, JobDrained when every
// home has settled what was asked of it last.
func (c *Core) finish(s *core.Step, number uint64) {
	if j := readJob(s, number); j.opened && j.closable(c.homes) && !s.Full() {
		reason := core.Reason(v1.ReasonCode_REASON_CODE_ALL_ENDED, int64(j.came()))
		if j.came() == 0 {
			reason = core.Reason(v1.ReasonCode_REASON_CODE_NOTHING_SELECTED)
		}
		s.Emit(&v1.Event{Event: &v1.Event_JobClosed{JobClosed: &v1.JobClosed{Job: number}}}, reason)
	}
	j := readJob(s, number)
	if phase := j.drainable(c.homes); j.opened && phase != 0 && !s.Full() {
		s.Emit(&v1.Event{Event: &v1.Event_JobDrained{JobDrained: &v1.JobDrained{Job: number, Phase: phase}}}, nil)
	}
}
