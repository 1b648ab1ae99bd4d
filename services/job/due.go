package job

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

const dayMs = 24 * 60 * 60 * 1000

// Due implements core.Core: starts and ends jobs, opens and closes their windows, deletes what was kept long enough.
func (j jobs) Due(s *core.Step) int64 {
	for !s.Full() {
		at, number := first(s, tableNext)
		if number == 0 || at > s.Now {
			next := j.retire(s)
			if number != 0 {
				next = min(next, at)
			}
			return next
		}
		tick(s, number)
	}
	return s.Now
}

// retire begins to delete jobs that ended longer ago than they are kept. Where as many are in deletion as may be, the
// next JobDeleted makes room.
func (j jobs) retire(s *core.Step) int64 {
	for count(s, deletions) < retentionsMax && !s.Full() {
		ended, number := first(s, tableEnded)
		if number == 0 {
			return core.Never
		}
		if at := ended + j.limits.RetentionDays*dayMs; at > s.Now {
			return at
		}
		erase(s, number, false, core.Reason(v1.ReasonCode_REASON_CODE_RETENTION, j.limits.RetentionDays))
	}
	if s.Full() {
		return s.Now
	}
	return core.Never
}

// first is the first key of a table of times: when, and which job; 0 is none.
func first(r kv.Reader, table byte) (atMs int64, number uint64) {
	for key := range r.Scan([]byte{table}, []byte{table + 1}) {
		at, rest := kv.CutUint(key[1:])
		number, _ := kv.CutUint(rest)
		return int64(at), number
	}
	return 0, 0
}
