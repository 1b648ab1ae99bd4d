package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/droverhq/drover/loadtest/agent"
)

// request is a payload to the service. (specification §3.2)
type request struct {
	Status                agent.Status      `json:"status,omitempty"`
	StatusDetails         map[string]string `json:"statusDetails,omitempty"`
	ExpectedVersion       uint64            `json:"expectedVersion,omitempty"`
	ExecutionNumber       uint64            `json:"executionNumber,omitempty"`
	IncludeExecutionState bool              `json:"includeJobExecutionState,omitempty"`
	ClientToken           string            `json:"clientToken"`
}

// encode is a request's topic, below …/jobs/, and its payload.
func encode(r agent.Request) (topic string, payload []byte) {
	topic = string(r.Op)
	body := request{ClientToken: r.Token}
	if r.Op == agent.Update {
		topic = r.Job + "/" + topic
		body = request{Status: r.Status, StatusDetails: r.Details, ExpectedVersion: r.ExpectedVersion, ExecutionNumber: r.Number,
			IncludeExecutionState: true, ClientToken: r.Token}
	}
	payload, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings and numbers always can be
	}
	return topic, payload
}

// message is what the service sent: a notice of the head, or an answer.
type message struct {
	notice bool
	head   *agent.Execution
	answer agent.Answer
}

// reply has every field that an answer or a notify-next may have; another field is an error.
type reply struct {
	ClientToken string     `json:"clientToken"`
	Timestamp   int64      `json:"timestamp"`
	Execution   *execution `json:"execution"`
	State       *state     `json:"executionState"`
	Code        agent.Code `json:"code"`
	Message     string     `json:"message"`
}

type execution struct {
	JobID           string            `json:"jobId"`
	ThingName       string            `json:"thingName"`
	Status          agent.Status      `json:"status"`
	StatusDetails   map[string]string `json:"statusDetails"`
	QueuedAt        int64             `json:"queuedAt"`
	StartedAt       int64             `json:"startedAt"`
	LastUpdatedAt   int64             `json:"lastUpdatedAt"`
	VersionNumber   uint64            `json:"versionNumber"`
	ExecutionNumber uint64            `json:"executionNumber"`
	SecondsLeft     *int64            `json:"approximateSecondsBeforeTimedOut"`
	JobDocument     json.RawMessage   `json:"jobDocument"`
}

type state struct {
	Status        agent.Status      `json:"status"`
	StatusDetails map[string]string `json:"statusDetails"`
	VersionNumber uint64            `json:"versionNumber"`
}

// decode reads a message of the service and holds it against specification §3.2, §3.5 and §3.6. topic is what follows
// …/jobs/ of the thing.
func decode(thing, topic string, payload []byte) (message, error) {
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	var r reply
	if err := decoder.Decode(&r); err != nil {
		return message{}, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return message{}, errors.New("something follows the object")
	}
	if !inSeconds(r.Timestamp) {
		return message{}, fmt.Errorf("timestamp %d is not in seconds since the epoch", r.Timestamp)
	}
	head, err := r.Execution.check(thing)
	if err != nil {
		return message{}, err
	}
	if topic == "notify-next" {
		if r.ClientToken != "" || r.State != nil || r.Code != "" {
			return message{}, errors.New("a notify-next with fields of an answer")
		}
		return message{notice: true, head: head}, nil
	}

	slash := strings.LastIndexByte(topic, '/')
	if slash < 0 {
		return message{}, errors.New("a topic that nobody subscribed")
	}
	a := agent.Answer{Token: r.ClientToken, Code: r.Code, Execution: head}
	if a.Token == "" {
		return message{}, errors.New("the clientToken is missing")
	}
	if r.State != nil {
		if r.State.Status == "" || r.State.VersionNumber == 0 {
			return message{}, errors.New("an executionState without status or versionNumber")
		}
		a.State = &agent.State{Status: r.State.Status, Version: r.State.VersionNumber}
	}
	switch op, verdict := topic[:slash], topic[slash+1:]; {
	case verdict == "rejected":
		if r.Code == "" || r.Message == "" {
			return message{}, errors.New("rejected without code or message")
		}
		if (r.Code == agent.VersionMismatch || r.Code == agent.InvalidStateTransition) && r.State == nil {
			return message{}, fmt.Errorf("%s without executionState", r.Code)
		}
	case verdict != "accepted":
		return message{}, errors.New("neither accepted nor rejected")
	case r.Code != "" || r.Message != "":
		return message{}, errors.New("accepted with a code")
	case op == "start-next":
		if head != nil && (head.Status != agent.InProgress || len(r.Execution.JobDocument) == 0) {
			return message{}, errors.New("started, and not IN_PROGRESS or without jobDocument")
		}
		a.Accepted = true
	default:
		if r.State == nil {
			return message{}, errors.New("the executionState that was asked for is missing")
		}
		a.Accepted = true
	}
	return message{answer: a}, nil
}

// check holds an execution against the specification; nil is nothing pending.
func (e *execution) check(thing string) (*agent.Execution, error) {
	switch {
	case e == nil:
		return nil, nil
	case e.JobID == "" || e.ExecutionNumber == 0 || e.VersionNumber == 0:
		return nil, errors.New("an execution without jobId, executionNumber or versionNumber")
	case e.ThingName != "" && e.ThingName != thing:
		return nil, fmt.Errorf("an execution of thing %q", e.ThingName)
	case e.Status != agent.Queued && e.Status != agent.InProgress:
		return nil, fmt.Errorf("an execution that is %q", e.Status)
	case !inSeconds(e.QueuedAt) || !inSeconds(e.LastUpdatedAt):
		return nil, errors.New("queuedAt or lastUpdatedAt is not in seconds since the epoch")
	case (e.Status == agent.InProgress) != inSeconds(e.StartedAt):
		return nil, errors.New("startedAt does not agree with the status")
	case len(e.JobDocument) > 0 && e.JobDocument[0] != '{':
		return nil, errors.New("the jobDocument is not an object")
	}
	return &agent.Execution{Job: e.JobID, Number: e.ExecutionNumber, Status: e.Status, Version: e.VersionNumber}, nil
}

// inSeconds tells seconds since the epoch from milliseconds: 2001 to 5138.
func inSeconds(t int64) bool { return t > 1e9 && t < 1e11 }
