package execution

import (
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// getHolding tells what a thing's executions wait for: its window, those that stand before it, or the device, until the
// deadline if there is one. A retry that is due stands as the attempt that it follows.
func getHolding(v core.View, q *v1.GetThingHolding) (proto.Message, error) {
	name, err := thingName(q.GetThing())
	if err != nil {
		return nil, err
	}
	if q.GetJobId() != "" {
		if _, err := checkJobID(q.GetJobId()); err != nil {
			return nil, err
		}
	}
	reply := &v1.GetThingHoldingReply{AtMs: v.Now}
	t := readThing(v, name)
	under := readStops(v)
	before := int64(0)
	for i := range t.pending {
		a := &t.pending[i]
		if under.end(&t, a) {
			continue
		}
		hidden := veiled(v, a)
		if q.GetJobId() == "" || string(a.jobID) == q.GetJobId() {
			reply.Executions = append(reply.Executions, &v1.ThingHolding{
				Execution: a.execution(name), Hidden: hidden, Holdings: holdings(v, a, hidden, before),
			})
		}
		if !hidden && !a.ended() {
			before++
		}
	}
	return reply, nil
}

// holdings is what one attempt waits for, the most binding first. Before is how many stand before it.
func holdings(v core.View, a *attempt, hidden bool, before int64) (list []*v1.Holding) {
	add := func(until int64, code v1.ReasonCode, numbers ...int64) {
		list = append(list, &v1.Holding{Reason: core.Reason(code, numbers...), UntilMs: until})
	}
	j, _ := readJob(v, a.job)
	if a.due {
		retry, allowed := j.retry.next(a, a.status)
		add(j.changesAt, v1.ReasonCode_REASON_CODE_RETRY_DEFERRED, int64(retry), int64(allowed))
		return list
	}
	if hidden {
		add(j.changesAt, v1.ReasonCode_REASON_CODE_WINDOW_IS_CLOSED, j.changesAt)
	}
	if before > 0 && !a.inProgress() {
		add(0, v1.ReasonCode_REASON_CODE_BEHIND_OTHERS, before)
	} else if !hidden {
		add(a.deadline(), v1.ReasonCode_REASON_CODE_WAITS_FOR_DEVICES, 1)
	}
	return list
}
