package execution

import (
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// deleteExecution takes one attempt away for an operator: what has ended, and with force what is pending (specification
// §4.6). A retry that was due goes with its attempt. The thing is not given another one instead.
func deleteExecution(s *core.Step, cmd *v1.DeleteExecution) (proto.Message, error) {
	name, err := thingName(cmd.GetThing())
	if err != nil {
		return nil, err
	}
	jobID, err := checkJobID(cmd.GetJobId())
	if err != nil {
		return nil, err
	}
	if cmd.GetExecutionNumber() == 0 {
		return nil, invalid("executionNumber", "the number of the execution is required; the first attempt is 1")
	}

	t, err := settle(s, name)
	if err != nil {
		return nil, err
	}
	a, err := latest(s, name, &t, jobID, cmd.GetExecutionNumber())
	if err != nil {
		return nil, err
	}
	if !a.ended() && !cmd.GetForce() {
		return nil, illegal(&a, "the execution is %s; only force deletes it", statusName(a.status))
	}
	emitDeleted(s, name, &a, v1.ReasonCode_REASON_CODE_DELETED)
	return &v1.DeleteExecutionReply{Position: s.Position()}, nil
}

// emitDeleted takes one attempt away.
func emitDeleted(s *core.Step, name string, a *attempt, code v1.ReasonCode) {
	s.Emit(&v1.Event{Event: &v1.Event_ExecutionDeleted{ExecutionDeleted: &v1.ExecutionDeleted{
		Job: a.job, Thing: &v1.ThingRef{Name: name, Number: a.thing}, ExecutionNumber: a.number, Status: a.status,
		StartedAtMs: a.startedAt, QueuedAtMs: a.queuedAt, Last: !a.retried, RetryDue: a.due, Hidden: a.hidden,
	}}}, core.Reason(code))
}

// eraseEnded deletes some of the attempts of a job that have rows of their own, as there is room, and says whether there
// was any.
func eraseEnded(s *core.Step, job uint64) bool {
	ended := scanAttempts(s, kv.NewKey(tableEnded).Uint(job))
	if len(ended) == 0 {
		ended = scanAttempts(s, kv.NewKey(tableEarlier).Uint(job))
	}
	for i := range ended {
		if full(s) {
			break
		}
		emitDeleted(s, ended[i].name, &ended[i].attempt, v1.ReasonCode_REASON_CODE_JOB_DELETED)
	}
	return len(ended) > 0
}

// named is an attempt and its thing's name.
type named struct {
	name string
	attempt
}

// scanAttempts lists a few of the attempts in the rows behind a prefix, of which a thing's name is the rest, or its
// beginning. What they refer to is not good after the scan.
func scanAttempts(r kv.Reader, prefix kv.Key) []named {
	var list []named
	for k, row := range r.Scan(prefix, kv.PrefixEnd(prefix)) {
		name, _ := kv.CutString(k[len(prefix):])
		fields := kv.NewFields(row)
		a := readAttempt(&fields)
		fields.Must("an ended execution of thing " + name)
		a.jobID, a.details, a.token = nil, nil, nil
		if list = append(list, named{name, a}); len(list) == slice {
			break
		}
	}
	return list
}
