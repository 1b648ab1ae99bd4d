package rollout

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// rate is a job's rollout configuration, and how far its rate has been increased (specification §4.10). The zero value is
// no pace.
type rate struct {
	maximum uint64 // things a minute; the cap of an exponential rate
	// Of an exponential rate: the base, 0 if it is constant; the factor in tenths; and after how many things it is
	// increased, 0 is no such criterion.
	base, tenths        uint64
	notified, succeeded uint64
	increases           uint64
}

// exponentialCap is the cap of an exponential rate that names none. (specification §4.10)
const exponentialCap = 1000

func newRate(c *v1.RolloutConfig) rate {
	e := c.GetExponential()
	return rate{
		maximum: uint64(c.GetMaximumPerMinute()), base: uint64(e.GetBasePerMinute()), tenths: uint64(e.GetIncrementFactorTenths()),
		notified: e.GetNotifiedThings(), succeeded: e.GetSucceededThings(),
	}
}

func (r *rate) read(f *kv.Fields) {
	r.maximum, r.base, r.tenths = f.Uint(), f.Uint(), f.Uint()
	r.notified, r.succeeded, r.increases = f.Uint(), f.Uint(), f.Uint()
}

func (r *rate) append(row kv.Row) kv.Row {
	row = row.Uint(r.maximum).Uint(r.base).Uint(r.tenths)
	return row.Uint(r.notified).Uint(r.succeeded).Uint(r.increases)
}

// perMinute is the rate now: min(base · factor^increases, cap), in whole things, rounded down; 0 is no pace.
func (r *rate) perMinute() uint64 {
	if r.base == 0 {
		return r.maximum
	}
	most := r.maximum
	if most == 0 {
		most = exponentialCap
	}
	// In thousand millionths: what is cut off below them never reaches a whole thing, since a rate that comes out whole
	// has come from whole ones.
	const parts = 1_000_000_000
	most = min(most, parts)
	n := min(r.base, parts) * parts
	for range r.increases {
		if n >= most*parts {
			break
		}
		next := n / 10 * max(r.tenths, 10)
		next += n % 10 * max(r.tenths, 10) / 10
		if next == n {
			break
		}
		n = next
	}
	return max(1, min(n/parts, most))
}

// increasesBy is how often the rate is increased by that many things notified and succeeded; of both criteria what
// gives more (U7).
func (r *rate) increasesBy(notified, succeeded uint64) (k uint64) {
	if r.notified > 0 {
		k = notified / r.notified
	}
	if r.succeeded > 0 {
		k = max(k, succeeded/r.succeeded)
	}
	return k
}

// untilIncrease is how many things may go before the rate is increased by their number.
func (r *rate) untilIncrease(notified uint64) uint64 {
	if r.base == 0 || r.notified == 0 {
		return releaseMax
	}
	next := (notified/r.notified + 1) * r.notified
	return next - notified
}

// adjust increases the rate as far as the counts say; where that changes it, the pace begins anew from a time.
func (j *job) adjust(from int64) {
	if k := j.increases(); k > j.rate.increases {
		j.rate.increases = k
		j.pace.change(j.rate.perMinute(), from)
	}
}

// configure takes over a configuration; how often its rate was increased follows from the counts.
func (j *job) configure(c *v1.RolloutConfig, at int64) {
	j.rate = newRate(c)
	j.rate.increases = j.increases()
	j.pace.change(j.rate.perMinute(), at)
}

// increases is how often the counts increase the rate.
func (j *job) increases() uint64 {
	succeeded := max(0, j.counts.Attempts[v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED])
	return j.rate.increasesBy(j.queue[selected].released, uint64(succeeded))
}
