package device

import (
	"encoding/base64"
	"errors"
	"net/http"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// HTTPAnswer is what is sent over HTTP.
type HTTPAnswer struct {
	Status    int
	ErrorType string // the header x-amzn-ErrorType; empty if the request was carried out
	Body      []byte // JSON
}

// Answer answers with a reply, or with an error.
func (x *HTTPExchange) Answer(reply proto.Message, err error) HTTPAnswer {
	if x.refusal != nil {
		err = x.refusal
	}
	if err != nil {
		return refused(err)
	}
	return HTTPAnswer{Status: http.StatusOK, Body: appendReply(nil, reply, x.state)}
}

// appendReply appends the body of an answer: neither clientToken nor timestamp; {} where there is nothing to tell.
func appendReply(b []byte, reply proto.Message, state bool) []byte {
	start := len(b)
	switch reply := reply.(type) {
	case *v1.GetPendingReply:
		b = appendPending(b, reply)
	case *v1.StartNextReply:
		b = appendExecution(b, httpForm, reply.GetExecution(), reply.GetAtMs())
	case *v1.DescribeExecutionReply:
		b = appendExecution(b, httpForm, reply.GetExecution(), reply.GetAtMs())
	case *v1.UpdateExecutionReply:
		if state {
			b = appendState(b, reply.GetState())
		}
		b = appendDocument(b, httpForm, reply.GetDocument())
	}
	if len(b) == start {
		return append(b, "{}"...)
	}
	b[start] = '{' // in the place of the first field's comma
	return append(b, '}')
}

// failure is an error of AWS over HTTP.
type failure struct {
	name   string
	status int
}

var (
	invalidRequestException         = failure{"InvalidRequestException", http.StatusBadRequest}
	invalidStateTransitionException = failure{"InvalidStateTransitionException", http.StatusConflict}
	throttlingException             = failure{"ThrottlingException", http.StatusTooManyRequests}
	serviceUnavailableException     = failure{"ServiceUnavailableException", http.StatusServiceUnavailable}
	internalFailureException        = failure{"InternalFailureException", http.StatusInternalServerError}
)

// failures is the one table from refusals to the errors of iot-jobs-data (specification §3.4, §3.5). AWS's SDKs ask again
// after 429, 500 and 503, and after nothing else.
//
// 503 is what asking again may mend: nobody owned the home, or its answer did not come. Then an update may have been
// carried out; an SDK's repeat of it is the same command, another meets expectedVersion. 500 is a fault of ours, which its model
// does not name; nothing was decided.
var failures = map[v1.RefusalCode]failure{
	v1.RefusalCode_REFUSAL_CODE_UNSPECIFIED:              internalFailureException,
	v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST:          invalidRequestException,
	v1.RefusalCode_REFUSAL_CODE_NOT_FOUND:                {"ResourceNotFoundException", http.StatusNotFound},
	v1.RefusalCode_REFUSAL_CODE_ALREADY_EXISTS:           invalidRequestException,
	v1.RefusalCode_REFUSAL_CODE_VERSION_MISMATCH:         invalidStateTransitionException,
	v1.RefusalCode_REFUSAL_CODE_INVALID_STATE_TRANSITION: invalidStateTransitionException,
	v1.RefusalCode_REFUSAL_CODE_TERMINAL_STATE:           {"TerminalStateException", http.StatusGone},
	v1.RefusalCode_REFUSAL_CODE_LIMIT_EXCEEDED:           invalidRequestException,
	v1.RefusalCode_REFUSAL_CODE_THROTTLED:                throttlingException,
	v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE:              serviceUnavailableException,
	v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN:          serviceUnavailableException,
	v1.RefusalCode_REFUSAL_CODE_INTERNAL:                 internalFailureException,
	v1.RefusalCode_REFUSAL_CODE_UNAUTHORIZED:             {"UnauthorizedException", http.StatusUnauthorized},
	v1.RefusalCode_REFUSAL_CODE_NOT_SUPPORTED:            invalidRequestException,
	v1.RefusalCode_REFUSAL_CODE_INVALID_JSON:             invalidRequestException,
	v1.RefusalCode_REFUSAL_CODE_INVALID_TOPIC:            invalidRequestException,
}

// errNoOperation refuses a path that is none of this plane's. Its name is not that of a missing execution.
var errNoOperation = errors.New("there is no operation here; " + offered)

// errNoMethod refuses another method on a path of this plane.
var errNoMethod = errors.New("this method is no operation of this path; " + offered)

func refused(err error) HTTPAnswer {
	switch {
	case errors.Is(err, errNoOperation):
		return failed(failure{"UnknownOperationException", http.StatusNotFound}, err.Error())
	case errors.Is(err, errNoMethod):
		return failed(failure{"MethodNotAllowedException", http.StatusMethodNotAllowed}, err.Error())
	}
	refusal := internal
	errors.As(err, &refusal)
	f, known := failures[refusal.GetCode()]
	if !known {
		f = internalFailureException
	}
	return failed(f, told(refusal))
}

func failed(f failure, message string) HTTPAnswer {
	b := appendString([]byte(`{"message":`), message)
	if f == throttlingException {
		// Its model has the message a second time, as a blob.
		b = appendString(append(b, `,"payload":`...), base64.StdEncoding.EncodeToString([]byte(message)))
	}
	return HTTPAnswer{f.status, f.name, append(b, '}')}
}
