package execution

import (
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// startNext hands the device its head. A queued one starts; one in progress is returned as it is, with its details, but
// for the step timer (specification §3.3, U17). With nothing pending it is accepted without an execution.
func startNext(s *core.Step, cmd *v1.StartNext) (proto.Message, error) {
	name, err := thingName(cmd.GetThing())
	if err != nil {
		return nil, err
	}
	if err := checkStep(cmd.GetStepTimeoutMinutes()); err != nil {
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
	head := t.head(s)
	if head == nil {
		return &v1.StartNextReply{AtMs: s.Now, Position: s.Position()}, nil
	}
	a := *head
	next := a
	if a.status == statusQueued {
		next = a.progress(timeoutOf(s, &a), s.Now)
	}
	next.setStep(cmd.GetStepTimeoutMinutes(), s.Now)
	if a.status == statusInProgress || len(details) == 0 {
		details = readDetails(a.details)
	}
	changes := a.status == statusQueued || a.stepDeadline != next.stepDeadline
	if changes {
		next.updatedAt = s.Now
	}
	// The reply copies what it needs of the row: emitting writes.
	execution := next.execution(name)
	execution.StatusDetails, execution.Document = details, document(s, next.job)
	if changes {
		emitChange(s, name, a.status, &next, details, "", core.Reason(v1.ReasonCode_REASON_CODE_START_NEXT))
	}
	return &v1.StartNextReply{Execution: execution, AtMs: s.Now, Position: s.Position()}, nil
}
