package aws

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/fronts/aws/sigv4"
)

// errorHeader is where AWS's clients read an error's name first; then in the body.
const errorHeader = "x-amzn-ErrorType"

// Names of AWS's errors.
const (
	invalidRequest   = "InvalidRequestException"
	resourceNotFound = "ResourceNotFoundException"
	resourceExists   = "ResourceAlreadyExistsException"
	conflict         = "ConflictException"
	versionConflict  = "VersionConflictException"
	badTransition    = "InvalidStateTransitionException"
	limitExceeded    = "LimitExceededException"
	throttling       = "ThrottlingException"
	unauthorized     = "UnauthorizedException"
)

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
	return &awsError{name: invalidRequest, status: http.StatusBadRequest, message: fmt.Sprintf(format, args...)}
}

// throttled is ThrottlingException, whose status differs between the planes.
func throttled(status int) *awsError {
	return &awsError{name: throttling, status: status, message: "Rate exceeded"}
}

// refusals is the one table from refusals to AWS's errors. (specification §2.2)
var refusals = map[v1.RefusalCode]struct {
	name   string
	status int
}{
	v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST:          {invalidRequest, http.StatusBadRequest},
	v1.RefusalCode_REFUSAL_CODE_NOT_SUPPORTED:            {invalidRequest, http.StatusBadRequest},
	v1.RefusalCode_REFUSAL_CODE_INVALID_JSON:             {invalidRequest, http.StatusBadRequest},
	v1.RefusalCode_REFUSAL_CODE_INVALID_TOPIC:            {invalidRequest, http.StatusBadRequest},
	v1.RefusalCode_REFUSAL_CODE_NOT_FOUND:                {resourceNotFound, http.StatusNotFound},
	v1.RefusalCode_REFUSAL_CODE_ALREADY_EXISTS:           {resourceExists, http.StatusConflict},
	v1.RefusalCode_REFUSAL_CODE_VERSION_MISMATCH:         {versionConflict, http.StatusConflict},
	v1.RefusalCode_REFUSAL_CODE_INVALID_STATE_TRANSITION: {badTransition, http.StatusConflict},
	v1.RefusalCode_REFUSAL_CODE_TERMINAL_STATE:           {badTransition, http.StatusConflict},
	v1.RefusalCode_REFUSAL_CODE_LIMIT_EXCEEDED:           {limitExceeded, http.StatusGone},
	v1.RefusalCode_REFUSAL_CODE_UNAUTHORIZED:             {unauthorized, http.StatusUnauthorized},
	// Clients try these again. What is tried again after an unknown outcome is the same command (commandID) where the client
	// says so; else a repeat is refused as a repeat.
	v1.RefusalCode_REFUSAL_CODE_THROTTLED:       {throttling, http.StatusBadRequest},
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
	if e.status < 500 && !c.op.knows(e.name) {
		e.name, e.status = invalidRequest, http.StatusBadRequest
	}
	return e
}

// knows says whether an operation may answer with an error.
func (o *operation) knows(name string) bool {
	return o.errors == nil || slices.Contains(o.errors, name) || slices.Contains([]string{invalidRequest, throttling, unauthorized}, name)
}

// exists adds to an error that says that a resource is there already which one it is.
func (c *call) exists(err error, resource, arn string) error {
	err = c.explain(err)
	if e, ok := err.(*awsError); ok && e.name == resourceExists {
		e.resourceID, e.resourceARN = resource, arn
	}
	return err
}

// conflicts is exists for the operations whose error is ConflictException, which names no ARN.
func (c *call) conflicts(err error, resource string) error {
	var refusal *v1.Refusal
	if errors.As(err, &refusal) && refusal.GetCode() == v1.RefusalCode_REFUSAL_CODE_ALREADY_EXISTS {
		return &awsError{name: conflict, status: http.StatusConflict, message: refusal.Error(), resourceID: resource}
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
