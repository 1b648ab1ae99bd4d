package invariants

import "github.com/droverhq/drover/services/audit"

var tallies = Rule{
	Name:    "tallies",
	Promise: "The tally in front of a commit is what its entries say.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, m := range h.Miscounts {
			broken(m.At, "job %d: %s", m.Job, m.What)
		}
	},
}
