package device

import (
	"strconv"
	"strings"
	"unicode/utf8"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// Answers and notifications are appended by hand: fields in the order of specification §10, times in whole seconds, a
// field that says nothing left out, documents as they are stored. A field is appended with the comma before it.

// form is where an answer goes. Over HTTP an execution names its thing, and a document is a string that holds it.
// (specification §3.2)
type form bool

const (
	topicForm form = false
	httpForm  form = true
)

func appendAccepted(b []byte, r *request, reply any) []byte {
	b = append(b, '{')
	if r.hasToken {
		b = append(b, `"clientToken":`...)
		b = appendString(b, r.token)
		b = append(b, ',')
	}
	switch reply := reply.(type) {
	case *v1.GetPendingReply:
		b = appendTime(b, "timestamp", reply.GetAtMs())
		b = appendPending(b, reply)
	case *v1.StartNextReply:
		b = appendTime(b, "timestamp", reply.GetAtMs())
		b = appendExecution(b, topicForm, reply.GetExecution(), reply.GetAtMs())
	case *v1.DescribeExecutionReply:
		b = appendTime(b, "timestamp", reply.GetAtMs())
		b = appendExecution(b, topicForm, reply.GetExecution(), reply.GetAtMs())
	case *v1.UpdateExecutionReply:
		b = appendTime(b, "timestamp", reply.GetAtMs())
		if r.state {
			b = appendState(b, reply.GetState())
		}
		b = appendDocument(b, topicForm, reply.GetDocument())
	}
	return append(b, '}')
}

func appendRejected(b []byte, r *request, code, message string, state *v1.ExecutionState, nowMs int64) []byte {
	b = append(b, `{"code":`...)
	b = appendString(b, code)
	b = append(b, `,"message":`...)
	b = appendString(b, message)
	b = append(b, ',')
	if r.hasToken {
		b = append(b, `"clientToken":`...)
		b = appendString(b, r.token)
		b = append(b, ',')
	}
	b = appendTime(b, "timestamp", nowMs)
	b = appendState(b, state)
	return append(b, '}')
}

// appendNotify tells the list: a status without executions is left out. (specification §3.6)
func appendNotify(b []byte, list *v1.PendingList, atMs int64) []byte {
	b = append(b, '{')
	b = appendTime(b, "timestamp", atMs)
	b = append(b, `,"jobs":{`...)
	if len(list.GetInProgress()) > 0 {
		b = append(b, `"IN_PROGRESS":`...)
		b = appendSummaries(b, list.GetInProgress())
	}
	if len(list.GetQueued()) > 0 {
		if len(list.GetInProgress()) > 0 {
			b = append(b, ',')
		}
		b = append(b, `"QUEUED":`...)
		b = appendSummaries(b, list.GetQueued())
	}
	return append(b, "}}"...)
}

// appendNotifyNext tells the head.
func appendNotifyNext(b []byte, head *v1.Head, atMs int64) []byte {
	b = append(b, '{')
	b = appendTime(b, "timestamp", atMs)
	b = appendExecution(b, topicForm, head.GetExecution(), atMs)
	return append(b, '}')
}

// appendPending appends both lists; each is there, if only empty.
func appendPending(b []byte, reply *v1.GetPendingReply) []byte {
	b = append(b, `,"inProgressJobs":`...)
	b = appendSummaries(b, reply.GetInProgress())
	b = append(b, `,"queuedJobs":`...)
	return appendSummaries(b, reply.GetQueued())
}

func appendSummaries(b []byte, list []*v1.Execution) []byte {
	b = append(b, '[')
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"jobId":`...)
		b = appendString(b, e.GetJobId())
		b = appendTimes(b, e)
		b = append(b, `,"executionNumber":`...)
		b = strconv.AppendUint(b, e.GetExecutionNumber(), 10)
		b = append(b, `,"versionNumber":`...)
		b = strconv.AppendUint(b, e.GetVersionNumber(), 10)
		b = append(b, '}')
	}
	return append(b, ']')
}

// appendExecution appends the field execution; nothing if there is none.
func appendExecution(b []byte, f form, e *v1.Execution, atMs int64) []byte {
	if e == nil {
		return b
	}
	b = append(b, `,"execution":{"jobId":`...)
	b = appendString(b, e.GetJobId())
	if f == httpForm {
		b = append(b, `,"thingName":`...)
		b = appendString(b, e.GetThing())
	}
	b = append(b, `,"status":"`...)
	b = append(b, statusName(e.GetStatus())...)
	b = append(b, '"')
	b = appendDetails(b, e.GetStatusDetails())
	b = appendTimes(b, e)
	b = append(b, `,"versionNumber":`...)
	b = strconv.AppendUint(b, e.GetVersionNumber(), 10)
	b = append(b, `,"executionNumber":`...)
	b = strconv.AppendUint(b, e.GetExecutionNumber(), 10)
	if e.GetDeadlineMs() != 0 {
		b = append(b, `,"approximateSecondsBeforeTimedOut":`...)
		b = strconv.AppendInt(b, max(0, e.GetDeadlineMs()-atMs)/1000, 10)
	}
	b = appendDocument(b, f, e.GetDocument())
	return append(b, '}')
}

// appendState appends the field executionState; nothing if there is none.
func appendState(b []byte, s *v1.ExecutionState) []byte {
	if s == nil {
		return b
	}
	b = append(b, `,"executionState":{"status":"`...)
	b = append(b, statusName(s.GetStatus())...)
	b = append(b, '"')
	b = appendDetails(b, s.GetStatusDetails())
	b = append(b, `,"versionNumber":`...)
	b = strconv.AppendUint(b, s.GetVersionNumber(), 10)
	return append(b, '}')
}

func appendDetails(b []byte, details []*v1.Detail) []byte {
	if len(details) == 0 {
		return b
	}
	b = append(b, `,"statusDetails":{`...)
	for i, d := range details {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, d.GetName())
		b = append(b, ':')
		b = appendString(b, d.GetValue())
	}
	return append(b, '}')
}

func appendTimes(b []byte, e *v1.Execution) []byte {
	b = append(b, ',')
	b = appendTime(b, "queuedAt", e.GetQueuedAtMs())
	b = append(b, ',')
	if e.GetStartedAtMs() != 0 {
		b = appendTime(b, "startedAt", e.GetStartedAtMs())
		b = append(b, ',')
	}
	return appendTime(b, "lastUpdatedAt", e.GetLastUpdatedAtMs())
}

// appendTime appends a field of whole seconds.
func appendTime(b []byte, name string, ms int64) []byte {
	b = append(b, '"')
	b = append(b, name...)
	b = append(b, `":`...)
	return strconv.AppendInt(b, ms/1000, 10)
}

func appendDocument(b []byte, f form, document []byte) []byte {
	if len(document) == 0 {
		return b
	}
	b = append(b, `,"jobDocument":`...)
	if f == httpForm {
		return appendString(b, string(document))
	}
	return append(b, document...)
}

func statusName(s v1.ExecutionStatus) string {
	return strings.TrimPrefix(s.String(), "EXECUTION_STATUS_")
}

// appendString appends a JSON string. What is not UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += size
			continue
		}
		i++
	}
	return append(b, '"')
}
