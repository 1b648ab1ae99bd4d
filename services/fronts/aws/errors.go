package aws

import (
	"errors"
	"fmt"
	"net/http"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/fronts/aws/sigv4"
)

// errorHeader is where AWS's clients read an error's name first; then in the body.
const errorHeader = "x-amzn-ErrorType"

// awsError is one of AWS's errors. (specification §2.2)
type awsError struct {
	name    string
	status  int
	message string
	// Members of some errors beside message.
	resourceID, resourceARN string
}

func (e *awsError) Error() string { return e.name + ": " + e.message }

// invalid is InvalidRequestException.
func invalid(format string, args ...any) *awsError {
	return &awsError{name: "InvalidRequestException", status: http.StatusBadRequest, message: fmt.Sprintf(format, args...)}
}

// throttled is ThrottlingException, whose status differs between the planes.
func throttled(status int) *awsError {
	return &awsError{name: "ThrottlingException", status: status, message: "Rate exceeded"}
}

// refusals is the one table from refusals to AWS's errors. (specification §2.2)
var refusals = map[v1.RefusalCode]struct {
	name   string
	status int
}{
	v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST:          {"InvalidRequestException", http.StatusBadRequest},
	v1.RefusalCode_REFUSAL_CODE_NOT_SUPPORTED:            {"InvalidRequestException", http.StatusBadRequest},
	v1.RefusalCode_REFUSAL_CODE_INVALID_JSON:             {"InvalidRequestException", http.StatusBadRequest},
	v1.RefusalCode_REFUSAL_CODE_INVALID_TOPIC:            {"InvalidRequestException", http.StatusBadRequest},
	v1.RefusalCode_REFUSAL_CODE_NOT_FOUND:                {"ResourceNotFoundException", http.StatusNotFound},
	v1.RefusalCode_REFUSAL_CODE_ALREADY_EXISTS:           {"ResourceAlreadyExistsException", http.StatusConflict},
	v1.RefusalCode_REFUSAL_CODE_VERSION_MISMATCH:         {"VersionConflictException", http.StatusConflict},
	v1.RefusalCode_REFUSAL_CODE_INVALID_STATE_TRANSITION: {"InvalidStateTransitionException", http.StatusConflict},
	v1.RefusalCode_REFUSAL_CODE_TERMINAL_STATE:           {"InvalidStateTransitionException", http.StatusConflict},
	v1.RefusalCode_REFUSAL_CODE_LIMIT_EXCEEDED:           {"LimitExceededException", http.StatusGone},
	v1.RefusalCode_REFUSAL_CODE_UNAUTHORIZED:             {"UnauthorizedException", http.StatusUnauthorized},
	// Clients try these again. What is tried again after an unknown outcome is the same command (commandID) where the client
	// says so; else a repeat is refused as a repeat.
	v1.RefusalCode_REFUSAL_CODE_THROTTLED:       {"ThrottlingException", http.StatusBadRequest},
	v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE:     {"ServiceUnavailableException", http.StatusServiceUnavailable},
	v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN: {"ServiceUnavailableException", http.StatusServiceUnavailable},
}

// explain says an operation's error in AWS's words.
func (c *call) explain(err error) error {
	var refusal *v1.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	e := &awsError{name: "InternalFailureException", status: http.StatusInternalServerError, message: refusal.Error()}
	if known, ok := refusals[refusal.GetCode()]; ok {
		e.name, e.status = known.name, known.status
	}
	return e
}

// exists adds to an error that says that a resource is there already which one it is.
func (c *call) exists(err error, resource, arn string) error {
	err = c.explain(err)
	if e, ok := err.(*awsError); ok && e.name == "ResourceAlreadyExistsException" {
		e.resourceID, e.resourceARN = resource, arn
	}
	return err
}

// errorBody is an error as JSON; its name stands in errorHeader.
type errorBody struct {
	Message     string `json:"message"`
	ResourceID  string `json:"resourceId,omitempty"`
	ResourceARN string `json:"resourceArn,omitempty"`
}

// fail answers with an error.
func (a *answer) fail(err error) {
	e := &awsError{name: "InternalFailureException", status: http.StatusInternalServerError, message: "internal error"}
	var unsigned *sigv4.Error
	if errors.As(err, &unsigned) {
		e = &awsError{name: unsigned.Name, status: http.StatusForbidden, message: unsigned.Message}
	} else {
		errors.As(err, &e)
	}
	if a.status != 0 {
		return
	}
	a.Header().Set(errorHeader, e.name)
	a.write(e.status, errorBody{e.message, e.resourceID, e.resourceARN})
}
