package targeting

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// sliceBytesMax is about what the largest slice takes, encoded: 32 KiB of names, and 1,000 numbers.
const sliceBytesMax = 48 << 10

// Due implements core.Core: changes are matched with continuous jobs, deleted groups are emptied and selections are
// carried on, a slice each, until another might not fit. Each is first in every third commit, so that none starves.
func (t targeting) Due(s *core.Step) int64 {
	work := [...]func(*core.Step){t.match, t.empty, t.selectThings}
	for i := range work {
		work[(s.Number+uint64(i))%uint64(len(work))](s)
		if full(s) {
			break
		}
	}
	switch w := loadRunning(s); {
	case len(w.asOfs) == 0 && w.changes == 0 && w.doomed == 0:
		return core.Never
	case len(s.Entries()) == 0:
		return s.Now + 1
	}
	return s.Now
}

// full says that another slice might not fit.
func full(s *core.Step) bool {
	return s.Bytes()+sliceBytesMax > core.BytesMax || len(s.Entries())+sliceEventsMax > core.EventsMax
}

// selectThings carries the running selections on in turn, a slice each.
func (t targeting) selectThings(s *core.Step) {
	w := loadRunning(s)
	turn := w.last
	for range w.asOfs {
		job, row := nextSelection(s, turn)
		turn = job
		// The commit that holds SelectionStarted may grow until it is written; a slice waits for the next one. What was
		// associated waits until the changes before it are matched: they are nothing to the new targets.
		if row.asOf >= s.Number || row.first > 0 && w.changes > 0 && firstChange(s).commit <= row.asOf {
			continue
		}
		t.slice(s, job, row)
		if full(s) {
			return
		}
	}
}

// nextSelection is the running selection whose turn comes after that of a job. There is one.
func nextSelection(r kv.Reader, after uint64) (job uint64, row selectionRow) {
	table := kv.NewKey(tableSelection)
	for _, from := range []kv.Key{selectionKey(after+1, 0), table} {
		for k := range r.Scan(from, kv.PrefixEnd(table)) {
			job, _ = kv.CutUint(k[1:])
			row, _ = loadSelection(r, job)
			return job, row
		}
	}
	panic("targeting: selections are counted as running and there is none")
}

// slice carries one selection on, and ends it where nothing is left.
func (t targeting) slice(s *core.Step, job uint64, row selectionRow) {
	k := newWalk(s, job, row, t.slices)
	done := k.run()
	if len(k.things) > 0 || !done {
		s.Emit(&v1.Event{Event: &v1.Event_ThingsSelected{ThingsSelected: &v1.ThingsSelected{
			Job: job, Things: k.things, Resume: encodeCursor(k.at),
		}}}, core.Reason(v1.ReasonCode_REASON_CODE_TARGETED, int64(k.head), int64(k.last)))
	}
	if !done {
		return
	}
	things := row.selected + uint64(len(k.things))
	var reason *v1.Reason
	if things == 0 {
		reason = core.Reason(v1.ReasonCode_REASON_CODE_NOTHING_SELECTED)
	}
	s.Emit(finished(job, things), reason)
}
