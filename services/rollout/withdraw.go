package rollout

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// Things that are in no target of a continuous job any more (specification §4.7). Their homes are told; those that wait
// here are passed over when they come to the head.
//
// A queue knows things by order only. So a withdrawal leaves a mark by thing, with its place in the log: of a thing at the
// head it counts if it is younger than the chunk, so that one that joined again meanwhile is released. Marks that are
// older than everything that waits mean nothing; they go with the releases, two events' worth at a time.
const marksSwept = 2

// withdraw takes in ThingsDeselected: one event for each home that has some.
func (c *Core) withdraw(s *core.Step, e *v1.ThingsDeselected, reason *v1.Reason) {
	if !readJob(s, e.GetJob()).opened {
		return
	}
	byHome := make([][]*v1.ThingRef, c.homes)
	for _, ref := range e.GetThings() {
		home := id.HomeOf(ref.GetName(), c.homes)
		byHome[home] = append(byHome[home], ref)
	}
	if reason.GetCode() == 0 {
		reason = core.Reason(v1.ReasonCode_REASON_CODE_LEFT_TARGETS)
	}
	for home, things := range byHome {
		if len(things) > 0 {
			s.Emit(&v1.Event{Event: &v1.Event_ThingsWithdrawn{ThingsWithdrawn: &v1.ThingsWithdrawn{
				Job: e.GetJob(), Home: uint32(home), Things: things,
			}}}, reason)
		}
	}
}

func (c *Core) withdrawn(tx kv.Tx, at core.Place, e *v1.ThingsWithdrawn) {
	c.change(tx, at, e.GetJob(), func(j *job) {
		if j.waiting() == 0 {
			return
		}
		row := kv.Row(nil).Uint(uint64(len(e.GetThings())))
		for _, ref := range e.GetThings() {
			tx.Set(markKey(e.GetJob(), ref.GetNumber()), kv.Row(nil).Uint(at.ID()))
			row = row.Uint(ref.GetNumber())
		}
		tx.Set(withdrawnKey(e.GetJob(), at.ID()), row)
		j.withdrawals++
	})
}

// isWithdrawn says that a thing was withdrawn after it had come with the event at a place.
func isWithdrawn(r kv.Reader, number uint64, ref *v1.ThingRef, came uint64) bool {
	at, ok := withdrawnAt(r, number, ref.GetNumber())
	return ok && at > came
}

func withdrawnAt(r kv.Reader, number, thing uint64) (uint64, bool) {
	row, ok := r.Get(markKey(number, thing))
	if !ok {
		return 0, false
	}
	f := kv.NewFields(row)
	at := f.Uint()
	f.Must("a mark")
	return at, true
}

// sweep deletes some of the marks that mean nothing any more: at most so many events' worth.
func (j *job) sweep(tx kv.Tx, number uint64, most int) {
	if j.withdrawals == 0 {
		return
	}
	oldest := j.oldest(tx, number)
	var rows []kv.Key
	prefix := kv.NewKey(tableWithdrawn).Uint(number)
	for k := range tx.Scan(prefix, kv.PrefixEnd(prefix)) {
		place, _ := kv.CutUint(k[9:])
		if place > oldest || len(rows) == most {
			break
		}
		rows = append(rows, append(kv.Key(nil), k...))
	}
	for _, k := range rows {
		place, _ := kv.CutUint(k[9:])
		row, _ := tx.Get(k)
		f := kv.NewFields(row)
		for range f.Uint() {
			thing := f.Uint()
			if at, ok := withdrawnAt(tx, number, thing); ok && at == place {
				tx.Delete(markKey(number, thing))
			}
		}
		f.Must("a withdrawal")
		tx.Delete(k)
		j.withdrawals--
	}
}

// oldest is the place of the oldest chunk that something waits in; the greatest there is if nothing waits.
func (j *job) oldest(r kv.Reader, number uint64) uint64 {
	oldest := ^uint64(0)
	for which := range j.queue {
		if q := &j.queue[which]; q.waiting() > 0 {
			oldest = min(oldest, openChunk(r, number, which, q.headChunk, 0).Place)
		}
	}
	return oldest
}
