package execution

import (
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// listMax is how many pending executions a list shows (specification §3.7); the others follow when these have ended.
const listMax = 10

// getPending lists what is pending for a thing. A thing that this home has never had an execution for has none.
func getPending(v core.View, q *v1.GetPending) (proto.Message, error) {
	name, err := thingName(q.GetThing())
	if err != nil {
		return nil, err
	}
	t := readSettled(v, name)
	reply := &v1.GetPendingReply{AtMs: v.Now}
	reply.InProgress, reply.Queued = list(name, t.pending)
	return reply, nil
}

// list is the first pending executions, without details and documents.
func list(thing string, pending []attempt) (inProgress, queued []*v1.Execution) {
	for i := range pending[:min(len(pending), listMax)] {
		if a := &pending[i]; a.inProgress() {
			inProgress = append(inProgress, a.execution(thing))
		} else {
			queued = append(queued, a.execution(thing))
		}
	}
	return inProgress, queued
}

// readSettled is the thing as settle would leave it: without what stops under way and a deletion are going to end.
func readSettled(r kv.Reader, name string) thing {
	t := readThing(r, name)
	t.pending = readStops(r).spare(&t)
	return t
}

// spare is what stops under way and a deletion leave of what is pending, in place.
func (s stops) spare(t *thing) []attempt {
	if len(s) == 0 && t.forgotten == 0 {
		return t.pending
	}
	kept := t.pending[:0]
	for i := range t.pending {
		if a := &t.pending[i]; !s.end(t, a) {
			kept = append(kept, *a)
		}
	}
	return kept
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
		t := readSettled(v, name)
		if len(t.pending) == 0 {
			return reply, nil
		}
		a = t.pending[0]
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
	if !a.ended() && readStops(v).reach(&a) {
		a = a.canceled(v.Now)
	}
	if a.ended() && !q.GetIncludeEnded() {
		return attempt{}, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_TERMINAL_STATE, "jobId", "the execution has ended: it is %s", statusName(a.status))
	}
	return a, nil
}
