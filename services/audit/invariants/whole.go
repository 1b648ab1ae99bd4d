package invariants

import "github.com/droverhq/drover/services/audit"

var whole = Rule{
	Name:    "whole",
	Promise: "Every event continues what stands before it: nothing changes that was never made, and nothing is made twice.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, s := range h.Strange {
			broken(s.At, "%s", s.What)
		}
	},
}
