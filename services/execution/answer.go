package execution

import (
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// How many pending executions a list shows, and how many if one of them is of a job with a schedule (specification §3.7);
// the others follow when these have ended.
const (
	listMax          = 10
	listMaxScheduled = 15
)

// getPending lists what is pending for a thing. A thing that this home has never had an execution for has none.
func getPending(v core.View, q *v1.GetPending) (proto.Message, error) {
	name, err := thingName(q.GetThing())
	if err != nil {
		return nil, err
	}
	reply := &v1.GetPendingReply{AtMs: v.Now}
	reply.InProgress, reply.Queued = list(name, readOffered(v, name))
	return reply, nil
}

// list is the first pending executions, without details and documents.
func list(thing string, pending []attempt) (inProgress, queued []*v1.Execution) {
	show := listMax
	for i := range pending {
		if pending[i].scheduled {
			show = listMaxScheduled
		}
	}
	for i := range pending[:min(len(pending), show)] {
		if a := &pending[i]; a.inProgress() {
			inProgress = append(inProgress, a.execution(thing))
		} else {
			queued = append(queued, a.execution(thing))
		}
	}
	return inProgress, queued
}

// readOffered is what a thing's device may have, the head first: without what stops under way, a deletion or a withdrawal
// are going to end, and without what closed windows hide.
func readOffered(r kv.Reader, name string) []attempt {
	t := readThing(r, name)
	under := readStops(r)
	offered := t.pending[:0]
	for i := range t.pending {
		if a := &t.pending[i]; !a.ended() && !under.end(&t, a) && !veiled(r, a) {
			offered = append(offered, *a)
		}
	}
	return offered
}

// head is the first attempt of a settled thing that its device may have, or nil.
func (t *thing) head(r kv.Reader) *attempt {
	return t.first(func(a *attempt) bool { return !a.ended() && !veiled(r, a) })
}

// describe tells one execution; it starts nothing (specification §3.3).
func describe(v core.View, q *v1.DescribeExecution) (proto.Message, error) {
	name, err := thingName(q.GetThing())
	if err != nil {
		return nil, err
	}
	reply := &v1.DescribeExecutionReply{AtMs: v.Now}
	var a attempt
	if q.GetJobId() == "$next" {
		offered := readOffered(v, name)
		if len(offered) == 0 {
			return reply, nil
		}
		a = offered[0]
	} else if a, err = describeJob(v, name, q); err != nil {
		return nil, err
	}
	reply.Execution = a.execution(name)
	reply.Execution.StatusDetails = readDetails(a.details)
	if q.GetIncludeDocument() {
		reply.Execution.Document = document(v, a.job)
	}
	return reply, nil
}

// describeJob finds the execution that a question names. Who may know of ended ones, the control plane, may know of those
// too that a closed window hides from the device.
func describeJob(v core.View, name string, q *v1.DescribeExecution) (attempt, error) {
	jobID, err := checkJobID(q.GetJobId())
	if err != nil {
		return attempt{}, err
	}
	t := readThing(v, name)
	a, err := latest(v, name, &t, jobID, q.GetExecutionNumber())
	if err != nil {
		return attempt{}, err
	}
	under := readStops(v)
	if under.phase(a.job) == phaseDeleted || !q.GetIncludeEnded() && veiled(v, &a) {
		return attempt{}, noExecution(name, jobID)
	}
	if !a.ended() {
		a = a.settled(under, v.Now)
	}
	if a.ended() && !q.GetIncludeEnded() {
		return attempt{}, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_TERMINAL_STATE, "jobId", "the execution has ended: it is %s", statusName(a.status))
	}
	return a, nil
}

// settled is a pending attempt as settle would leave it.
func (a attempt) settled(under stops, now int64) attempt {
	switch {
	case a.withdrawn && a.queued():
		return a.end(statusRemoved, now)
	case under.reach(&a):
		return a.canceled(now)
	}
	return a
}
