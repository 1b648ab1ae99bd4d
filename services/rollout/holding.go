package rollout

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// scanMax is how many waiting things are looked through for one.
const scanMax = 100_000

// holding says what a job waits for now. NOT_FOUND if there is none of that id or number.
func (c *Core) holding(v core.View, q *v1.GetHolding) (*v1.GetHoldingReply, error) {
	number := q.GetJob()
	if number == 0 {
		number, _ = numberOf(v, q.GetJobId())
	}
	j := readJob(v, number)
	if !j.opened {
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "job_id", "there is no job %s", q.GetJobId())
	}
	r := &v1.GetHoldingReply{
		Holdings: c.holdings(v, number, &j), Waiting: j.waiting(), Released: j.released(), PerMinute: j.pace.perMinute, AtMs: v.Now,
	}
	if q.GetThing() != "" {
		r.ThingWaits, r.BeforeIt = j.find(v, number, q.GetThing())
	}
	return r, nil
}

// holdings are the reasons, the most binding first: each of them would hold the job back without those before it.
func (c *Core) holdings(v core.View, number uint64, j *job) (list []*v1.Holding) {
	add := func(until int64, code v1.ReasonCode, numbers ...int64) {
		list = append(list, &v1.Holding{Reason: core.Reason(code, numbers...), UntilMs: until})
	}
	switch {
	case j.stop != 0 || j.erased:
		list = append(list, &v1.Holding{Reason: j.stopReason()})
	case j.closed:
		add(0, v1.ReasonCode_REASON_CODE_ALL_ENDED, int64(j.came()))
	default:
		if j.begins > v.Now {
			add(j.begins, v1.ReasonCode_REASON_CODE_NOT_STARTED, j.begins)
		} else if j.windowed && !j.window {
			add(j.turns, v1.ReasonCode_REASON_CODE_WINDOW_IS_CLOSED, j.turns)
		}
		if j.held != 0 {
			list = append(list, &v1.Holding{Reason: c.heldReason(concurrent(v), ahead(v, j.held))})
		}
		if !j.complete && j.begins <= v.Now {
			add(0, v1.ReasonCode_REASON_CODE_SELECTING)
		}
		if until, code, numbers := j.nextHolding(v, number); code != 0 {
			add(until, code, numbers...)
		}
	}
	if n := j.outstanding(); n > 0 && (j.stop == 0 || j.completes) && !j.erased {
		add(0, v1.ReasonCode_REASON_CODE_WAITS_FOR_DEVICES, n)
	}
	if j.continuous && j.complete && j.stop == 0 && !j.erased {
		add(0, v1.ReasonCode_REASON_CODE_CONTINUOUS)
	}
	return list
}

// nextHolding is what the next waiting thing waits for; nothing if none waits. A careful job that could release waits for
// a state that knows all ends: mostly for a moment, or until they can be read.
func (j *job) nextHolding(v core.View, number uint64) (until int64, code v1.ReasonCode, numbers []int64) {
	if j.waiting() == 0 {
		return 0, 0, nil
	}
	paced := j.pace.perMinute > 0 && j.queue[joined].waiting() == 0
	if paced {
		until = j.nextRelease(v, number, v.Now)
	}
	switch {
	case paced && until > v.Now:
		return until, v1.ReasonCode_REASON_CODE_WAITS_FOR_PACE, []int64{int64(j.pace.perMinute), until}
	case j.careful:
		return 0, v1.ReasonCode_REASON_CODE_WAITS_FOR_ENDS, nil
	case paced:
		return v.Now, v1.ReasonCode_REASON_CODE_WAITS_FOR_PACE, []int64{int64(j.pace.perMinute), v.Now}
	}
	return v.Now, v1.ReasonCode_REASON_CODE_UNPACED, nil
}

// find looks for a thing among those that wait next, the joined first. before is how many stand before it in its queue,
// -1 if it was not found.
func (j *job) find(v core.View, number uint64, thing string) (waits bool, before int64) {
	seen := 0
	for which := joined; which >= selected; which-- {
		q, before := &j.queue[which], int64(0)
		for n, offset := q.headChunk, q.headOffset; n < q.chunks; n, offset = n+1, 0 {
			chunk := openChunk(v, number, which, n, offset)
			for ref := chunk.next(); ref != nil; ref = chunk.next() {
				if seen++; seen > scanMax {
					return false, -1
				}
				if j.withdrawals > 0 && isWithdrawn(v, number, ref, chunk.Place) {
					continue
				}
				if ref.GetName() == thing {
					return true, before
				}
				before++
			}
		}
	}
	return false, -1
}
