package rollout

import (
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/services/core"
)

// What is left of an erased job, when nothing waits in it any more, are marks of withdrawals and releases that its pace
// remembers: a row for each thing that left, and for each release of a minute. They are forgotten in slices before the job is
// drained of its deletion (design §4 "Bounded steps"). The event of a slice is small and stands for many rows: so there is one
// a step.
const sweptMax = 1000

// sweepable says that there is something for a slice to forget.
func (j *job) sweepable() bool { return j.erased && !j.swept && j.waiting() == 0 }

// notice notes that nothing is left to forget in slices.
func (j *job) notice(r kv.Reader, number uint64) {
	if j.sweepable() && j.withdrawals == 0 && len(keys(r, kv.NewKey(tableRecent).Uint(number), 1)) == 0 {
		j.swept = true
	}
}

// sweep does one slice; then it is another job's turn.
func (c *Core) sweep(tx kv.Tx, at core.Place, number uint64) {
	j := readJob(tx, number)
	if !j.opened {
		return
	}
	if j.withdrawals > 0 {
		j.sweep(tx, number, 1)
	} else {
		for _, k := range keys(tx, kv.NewKey(tableRecent).Uint(number), sweptMax) {
			tx.Delete(k)
		}
	}
	c.put(tx, at, number, &j, true)
}

// keys are the first keys behind a prefix, at most so many.
func keys(r kv.Reader, prefix kv.Key, most int) (list []kv.Key) {
	for k := range r.Scan(prefix, kv.PrefixEnd(prefix)) {
		if list = append(list, append(kv.Key(nil), k...)); len(list) == most {
			break
		}
	}
	return list
}
