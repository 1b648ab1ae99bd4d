package invariants

import (
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
)

var observations = Rule{
	Name:    "observations",
	Promise: "What rollout has counted of a home, up to a commit, is a recount of that home's log up to there.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		type key struct {
			home id.Home
			job  uint64
		}
		sums := map[key]audit.Counts{}
		upTo := map[id.Home]uint64{}
		for _, o := range h.Observed {
			if o.UpTo <= upTo[o.Home] {
				broken(o.At, "home %d is observed up to %d, and was up to %d already", o.Home, o.UpTo, upTo[o.Home])
			}
			upTo[o.Home] = o.UpTo
			for job, c := range o.Jobs {
				k := key{o.Home, job}
				sums[k] = sums[k].Plus(c)
			}
		}
		for home := range id.Home(h.Homes) {
			log, last := id.ExecutionLog(home), upTo[home]
			for _, j := range h.JobsInOrder() {
				recount := j.Counts(func(p audit.Place) bool { return p.Log == log && p.Number <= last })
				if sum := sums[key{home, j.Number}]; sum != recount {
					broken(j.ID, "rollout has counted %v at home %d up to %d; the log says %v", sum, home, last, recount)
				}
			}
		}
	},
}
