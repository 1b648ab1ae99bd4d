package agent

// Status is an execution's, in AWS's words. (specification §4.2)
type Status string

// The statuses that this package names; others may arrive, and count as ended.
const (
	Queued     Status = "QUEUED"
	InProgress Status = "IN_PROGRESS"
	Succeeded  Status = "SUCCEEDED"
	Failed     Status = "FAILED"
)

// Ended tells whether nothing follows a status.
func (s Status) Ended() bool { return s != Queued && s != InProgress }

// Execution is one attempt of a job on this device, as the service tells it.
type Execution struct {
	Job     string
	Number  uint64
	Status  Status
	Version uint64
}

// Op is what a request asks for.
type Op string

// The operations that an agent uses. (specification §3.1)
const (
	StartNext Op = "start-next"
	Update    Op = "update"
)

// Request is one message to the service. Only Token is set beside Op in a StartNext.
type Request struct {
	Op              Op
	Job             string
	Number          uint64
	Status          Status
	ExpectedVersion uint64
	Details         map[string]string
	Token           string
}

// Answer is what the service says to a request, found by its token.
type Answer struct {
	Token    string
	Accepted bool
	// Execution is the head, in an accepted StartNext; nil if nothing is pending.
	Execution *Execution
	// State is the execution's present state, in an accepted Update, and in a refusal that the state is the reason of.
	State *State
	// Code says why it was rejected. (specification §3.5)
	Code Code
}

// State is what an answer tells of an execution.
type State struct {
	Status  Status
	Version uint64
}

// Code is a reason for a rejection.
type Code string

// The codes that an agent tells apart; every other is final for the request.
const (
	VersionMismatch        Code = "VersionMismatch"
	InvalidStateTransition Code = "InvalidStateTransition"
	ResourceNotFound       Code = "ResourceNotFound"
	Throttled              Code = "RequestThrottled"
	InternalError          Code = "InternalError"
)
