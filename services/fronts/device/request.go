package device

import (
	"strings"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// next is the job id that means the head.
const next = "$next"

// request is what a device asked, and what its answer needs.
type request struct {
	// topic is the subject of the request as the device knows it; answers go to topic.accepted and topic.rejected.
	topic string
	// inbox is where to answer instead; empty: on the topic.
	inbox string
	// token is the clientToken, if hasToken.
	token    string
	hasToken bool
	// state: the answer to an update tells the execution's state.
	state bool
	// message is what to submit.
	message proto.Message
}

// parse reads a request. rest is the subject behind "drover.home.<home>.device.". A refusal comes with as much of the
// request as its answer needs.
func parse(rest, reply string, data []byte) (*request, *v1.Refusal) {
	thing, op, _ := strings.Cut(rest, ".")
	r := &request{topic: topicOf(thing, op)}
	if isInbox(reply) {
		r.inbox = reply
	}
	job, last, deep := strings.Cut(op, ".")
	var kind operation
	switch {
	case !deep && op == "get":
		kind = opGet
	case !deep && op == "start-next":
		kind = opStartNext
	case deep && last == "get":
		kind = opDescribe
	case deep && last == "update":
		kind = opUpdate
	}
	b, refusal := decode(data, kind|onTopic)
	r.token, r.hasToken, r.state = b.clientToken, b.hasToken, b.includeState
	if refusal == nil {
		refusal = checkNames(thing, job, kind)
	}
	if refusal == nil {
		r.message, refusal = b.message(kind, thing, job)
	}
	return r, refusal
}

// message is what to submit for an operation; names are checked.
func (b *body) message(op operation, thing, job string) (proto.Message, *v1.Refusal) {
	switch op {
	case opGet:
		return &v1.GetPending{Thing: thing}, nil
	case opStartNext:
		return &v1.StartNext{Thing: thing, StatusDetails: b.details, StepTimeoutMinutes: b.stepTimeout}, nil
	case opDescribe:
		return &v1.DescribeExecution{
			Thing: thing, JobId: job, ExecutionNumber: b.executionNumber,
			IncludeDocument: b.includeDocument == nil || *b.includeDocument,
		}, nil
	}
	if b.status == v1.ExecutionStatus_EXECUTION_STATUS_UNSPECIFIED {
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "status", "is missing: an update tells the execution's status")
	}
	return &v1.UpdateExecution{
		Thing: thing, JobId: job, Status: b.status,
		StatusDetails: b.details, ReplaceDetails: b.hasDetails,
		ExpectedVersion: b.expectedVersion, ExecutionNumber: b.executionNumber,
		StepTimeoutMinutes: b.stepTimeout, ClientToken: b.clientToken,
		IncludeDocument: b.includeDocument != nil && *b.includeDocument,
	}, nil
}

// checkNames checks what a topic or a path names.
func checkNames(thing, job string, op operation) *v1.Refusal {
	if op == 0 {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_TOPIC, "", "the topic names no operation")
	}
	if name, err := id.ParseThing(thing); err != nil || string(name) != thing {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "thingName", "%.60q is no thing name: 1 to 128 of [a-zA-Z0-9:_-]", thing)
	}
	switch {
	case op&(opDescribe|opUpdate) == 0 || op == opDescribe && job == next:
		return nil
	case job == next:
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_TOPIC, "", "an update names its job; $next can only be asked for")
	}
	if name, err := id.ParseJob(job); err != nil || string(name) != job {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "jobId", "%.60q is no job id: 1 to 64 of [a-zA-Z0-9_-]", job)
	}
	return nil
}

// topicOf is the subject of a thing's topic: a request, notify or notify-next.
func topicOf(thing, op string) string { return "$aws.things." + thing + ".jobs." + op }

// isInbox says whether a reply subject is one that may be published to for whoever named it: the broker lets a
// client read inboxes, and a device those among its own topics.
func isInbox(subject string) bool {
	if strings.HasPrefix(subject, "_INBOX.") {
		return true
	}
	rest, ok := strings.CutPrefix(subject, "$aws.things.")
	if !ok {
		return false
	}
	_, op, _ := strings.Cut(rest, ".")
	return strings.HasPrefix(op, "jobs.$inbox.")
}
