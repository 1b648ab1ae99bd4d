package invariants

import (
	"math"

	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
)

var cursors = Rule{
	Name:    "cursors",
	Promise: "What a writer says it has read stands in that log, with the same bytes, and it never reads backwards.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for i := range h.Logs {
			at := map[id.Log]audit.Cursor{}
			for _, c := range h.Logs[i].Cursors {
				of := h.Log(c.Of)
				switch before := at[c.Of]; {
				case of == nil:
					broken(c.At, "it has read log %s, which is not there", c.Of)
				case c.Number > of.Last:
					broken(c.At, "it has read %s@%d; that log ends at %d", c.Of, c.Number, of.Last)
				case of.Prefix(c.Number) != c.Hash:
					broken(c.At, "it has read %s@%d with hash %016x; there stands %016x", c.Of, c.Number, c.Hash, of.Prefix(c.Number))
				case c.Number < before.Number || c.Number == before.Number && done(c) < done(before):
					broken(c.At, "it has read %s up to %d, and at %s up to %d already", c.Of, c.Number, before.At, before.Number)
				}
				at[c.Of] = c
			}
		}
	},
}

// done is how many entries of its last commit a cursor has behind it.
func done(c audit.Cursor) uint64 {
	if c.EntriesDone == 0 {
		return math.MaxUint64
	}
	return uint64(c.EntriesDone)
}

// hasRead says whether a log's writer had read an entry of another log, by what it has written.
func hasRead(l *audit.LogRead, of id.Log, number uint64, entry int) bool {
	for i := len(l.Cursors) - 1; i >= 0; i-- {
		if l.Cursors[i].Of == of {
			return l.Cursors[i].Covers(number, entry)
		}
	}
	return false
}
