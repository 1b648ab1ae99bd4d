package execution

import (
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// cancel ends one execution for an operator: what is queued, and with force what is in progress (specification §4.5).
func cancel(s *core.Step, cmd *v1.CancelExecution) (proto.Message, error) {
	name, err := thingName(cmd.GetThing())
	if err != nil {
		return nil, err
	}
	jobID, err := checkJobID(cmd.GetJobId())
	if err != nil {
		return nil, err
	}
	details, err := checkDetails(cmd.GetStatusDetails())
	if err != nil {
		return nil, err
	}

	t, err := settle(s, name)
	if err != nil {
		return nil, err
	}
	a, err := latest(s, name, &t, jobID, 0)
	if err != nil {
		return nil, err
	}
	if err := checkVersion(cmd.GetExpectedVersion(), &a); err != nil {
		return nil, err
	}
	if a.ended() {
		return nil, illegal(&a, "the execution has ended: it is %s", statusName(a.status))
	}
	if a.inProgress() && !cmd.GetForce() {
		return nil, illegal(&a, "the execution is IN_PROGRESS; only force cancels it")
	}
	if !cmd.GetReplaceDetails() {
		details = readDetails(a.details)
	}
	next := a.canceled(s.Now)
	emitChange(s, name, a.status, &next, details, "", core.Reason(v1.ReasonCode_REASON_CODE_EXECUTION_CANCELED))
	return &v1.CancelExecutionReply{Position: s.Position()}, nil
}
