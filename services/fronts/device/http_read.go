package device

import (
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// HTTPExchange is one request over HTTP and its answer as they stand on the wire, without a connection.
type HTTPExchange struct {
	message proto.Message
	state   bool // the answer to an update tells the execution's state
	refusal error
}

// ReadHTTP reads a request by its escaped path, its raw query and its whole body. (specification §3.4)
func ReadHTTP(method, escapedPath, query string, data []byte) *HTTPExchange {
	op, thing, job, err := route(method, escapedPath)
	if err != nil {
		return &HTTPExchange{refusal: err}
	}
	var b body
	var refusal *v1.Refusal
	switch op {
	case opDescribe:
		b, refusal = decodeQuery(query)
	case opStartNext, opUpdate:
		b, refusal = decode(data, op)
	}
	if refusal == nil {
		refusal = checkNames(thing, job, op)
	}
	x := &HTTPExchange{state: b.includeState}
	if refusal == nil {
		x.message, refusal = b.message(op, thing, job)
	}
	if refusal != nil {
		x.refusal = refusal
	}
	return x
}

// Message is what to ask of the bus; nil if the request is refused as it stands: then Answer is called with neither reply
// nor error.
func (x *HTTPExchange) Message() proto.Message { return x.message }

// Operation is AWS's name of the operation that a request is: "UpdateJobExecution"; empty if it is none.
func Operation(method, escapedPath string) string {
	op, _, _, err := route(method, escapedPath)
	if err != nil {
		return ""
	}
	return operationNames[op]
}

var operationNames = map[operation]string{
	opGet:       "GetPendingJobExecutions",
	opStartNext: "StartNextPendingJobExecution",
	opDescribe:  "DescribeJobExecution",
	opUpdate:    "UpdateJobExecution",
}

const offered = "this endpoint serves GET /things/{thing}/jobs, PUT /things/{thing}/jobs/$next and GET and POST /things/{thing}/jobs/{job}"

// route finds the operation and what its path names. Segments are unescaped one by one: %2F in one is no slash, and a thing
// may be called jobs.
func route(method, escapedPath string) (op operation, thing, job string, err error) {
	parts := strings.Split(escapedPath, "/")
	if len(parts) < 4 || len(parts) > 5 || parts[0] != "" || parts[1] != "things" || parts[3] != "jobs" {
		return 0, "", "", errNoOperation
	}
	if thing, err = url.PathUnescape(parts[2]); err != nil {
		return 0, "", "", errNoOperation
	}
	if len(parts) == 4 {
		if method == http.MethodGet {
			return opGet, thing, "", nil
		}
		return 0, "", "", errNoMethod
	}
	if job, err = url.PathUnescape(parts[4]); err != nil {
		return 0, "", "", errNoOperation
	}
	switch {
	case method == http.MethodGet:
		return opDescribe, thing, job, nil
	case method == http.MethodPost:
		return opUpdate, thing, job, nil
	case method == http.MethodPut && job == next:
		return opStartNext, thing, "", nil
	}
	return 0, "", "", errNoMethod
}

// decodeQuery reads what is asked of DescribeJobExecution. What is no parameter of it is passed over.
func decodeQuery(query string) (b body, refusal *v1.Refusal) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return b, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "", "the query cannot be read: %.100v", err)
	}
	invalid := func(field, wrong string) {
		if wrong != "" && refusal == nil {
			refusal = v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, field, "%s", wrong)
		}
	}
	if values.Has("includeJobDocument") {
		invalid("includeJobDocument", setIncludeDocument(&b, boolean(values.Get("includeJobDocument"))))
	}
	if values.Has("executionNumber") {
		invalid("executionNumber", value{kind: kindNumber, text: values.Get("executionNumber")}.positive(&b.executionNumber))
	}
	return b, refusal
}

// boolean is a query's true or false as JSON's; anything else is a string.
func boolean(text string) value {
	switch text {
	case "true":
		return value{kind: kindTrue}
	case "false":
		return value{kind: kindFalse}
	}
	return value{kind: kindString, text: text}
}
