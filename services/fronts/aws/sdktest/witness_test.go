package sdktest

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// AWS's errors. (specification §2.2)
const (
	invalid      = "InvalidRequestException"
	notFound     = "ResourceNotFoundException"
	exists       = "ResourceAlreadyExistsException"
	conflict     = "ConflictException"
	badState     = "InvalidStateTransitionException"
	badVersion   = "VersionConflictException"
	limit        = "LimitExceededException"
	throttling   = "ThrottlingException"
	unavailable  = "ServiceUnavailableException"
	unauthorized = "UnauthorizedException"
	failure      = "InternalFailureException"
	serverFault  = "InternalServerException"
	badQuery     = "InvalidQueryException"
	terminal     = "TerminalStateException"
	certificate  = "CertificateValidationException"
)

// statusOf is the HTTP status that a plane sends an error with.
func statusOf(plane, name string) int {
	switch name {
	case throttling:
		if plane == "iot-jobs-data" {
			return 429
		}
		return 400
	case invalid, badQuery, certificate:
		return 400
	case unauthorized:
		return 401
	case notFound:
		return 404
	case exists, conflict, badState, badVersion:
		return 409
	case limit, terminal:
		return 410
	case unavailable:
		return 503
	}
	return 500
}

// seen is what the tests of this run called and were refused with.
var seen = witness{calls: map[string]map[string]bool{}, refusals: map[string]map[string]bool{}}

type witness struct {
	mu       sync.Mutex
	calls    map[string]map[string]bool // operation to the SDKs that called it
	refusals map[string]map[string]bool // operation to the names of errors
}

// key names an operation; the planes have one name in common.
func key(plane, operation string) string {
	if plane == "iot-jobs-data" {
		return "iot-jobs-data " + operation
	}
	return operation
}

func (w *witness) called(plane, operation, sdk string) { w.note(w.calls, key(plane, operation), sdk) }

func (w *witness) refused(plane, operation, name string) {
	w.note(w.refusals, key(plane, operation), name)
}

func (w *witness) note(where map[string]map[string]bool, operation, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if where[operation] == nil {
		where[operation] = map[string]bool{}
	}
	where[operation][what] = true
}

// was: an operation of the control plane was refused with an error.
func (w *witness) was(operation, name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refusals[operation][name]
}

// wholeRun: no test was left out.
func wholeRun() bool {
	return flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == ""
}

// report says what was seen, and is 1 if something that is promised was not.
func (w *witness) report() (status int) {
	fail := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "sdktest: "+format+"\n", args...)
		status = 1
	}
	offered, err := offeredOperations()
	if err != nil {
		fail("%v", err)
	}
	for _, operation := range offered {
		if len(w.calls[operation]) == 0 {
			fail("%s is offered (%s) and was never called", operation, readme)
		}
		if _, ok := documented[operation]; !ok {
			fail("%s is offered and documented has no errors for it", operation)
		}
	}
	met, left := 0, 0
	for _, operation := range slices.Sorted(maps.Keys(documented)) {
		for _, name := range documented[operation] {
			_, excused := unmetError(operation, name)
			switch found := w.refusals[operation][name]; {
			case found && excused:
				fail("%s: %s was met, though unmet says that it cannot be", operation, name)
			case found:
				met++
			case excused:
				left++
			case slices.Contains(offered, operation):
				fail("%s: %s is documented and was never met", operation, name)
			}
		}
	}
	bySDK := map[string]int{}
	for _, sdks := range w.calls {
		for sdk := range sdks {
			bySDK[sdk]++
		}
	}
	fmt.Printf("sdktest: %d operations offered; called with aws-sdk-go %d, with aws-sdk-go-v2 %d. Of %d documented errors %d met as the SDK's type, %d cannot be met\n",
		len(offered), bySDK["v1"], bySDK["v2"], met+left, met, left)
	return status
}

func unmetError(operation, name string) (why string, ok bool) {
	if why, ok = unmet[operation+" "+name]; !ok {
		why, ok = unmet[name]
	}
	return why, ok
}

var operationRow = regexp.MustCompile("^\\| *([A-Z][A-Za-z]+) *\\| *`(GET|PUT|POST|PATCH|DELETE) ")

// offeredOperations are those that the front's README says are there.
func offeredOperations() ([]string, error) {
	text, err := os.ReadFile(readme)
	if err != nil {
		return nil, err
	}
	var names []string
	plane := "iot"
	for part := range strings.SplitAfterSeq(string(text), "\n") {
		if heading, ok := strings.CutPrefix(part, "## "); ok {
			plane = "iot"
			if strings.Contains(heading, "iot-jobs-data") {
				plane = "iot-jobs-data"
			}
		}
		if row := operationRow.FindStringSubmatch(part); row != nil {
			names = append(names, key(plane, row[1]))
		}
	}
	if len(names) < 20 {
		return nil, fmt.Errorf("%s: found %d operations only", readme, len(names))
	}
	return names, nil
}
