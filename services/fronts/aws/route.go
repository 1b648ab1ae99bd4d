package aws

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// operation is one of AWS's, and how it is carried out.
type operation struct {
	name   string // AWS's: CreateJob
	method string
	// path is AWS's template, /jobs/{jobId}/cancel. Its variables are whole segments.
	path []string
	// query are the parameters that it takes; another is refused.
	query []string
	// errors are the names that AWS's model gives it, beside those of every operation; nil is any.
	errors []string
	// absent: it is refused by name.
	absent bool
	// do answers with what is written as JSON, nil for an empty answer, or with a *v1.Refusal or an *awsError.
	do func(*call) (any, error)
}

// op makes an operation of the table.
func op(name, method, path string, do func(*call) (any, error), query ...string) *operation {
	return &operation{name: name, method: method, path: strings.Split(path[1:], "/"), query: query, do: do}
}

// fails says which of AWS's errors an operation has, beside those of every operation: clients know no other. What is
// refused otherwise is an invalid request. (specification §2.3)
func (o *operation) fails(errors ...string) *operation {
	o.errors = append([]string{}, errors...)
	return o
}

// notOffered makes an operation that is refused by name, with what would do instead.
func notOffered(name, method, path, instead string) *operation {
	o := op(name, method, path, func(c *call) (any, error) {
		return nil, invalid("%s is not offered here: %s", name, instead)
	}, anyQuery)
	o.absent = true
	return o
}

// anyQuery stands for every parameter, of an operation that is refused anyway.
const anyQuery = "*"

// operations are all that a Front answers.
func operations() []*operation {
	return slices.Concat(jobOperations(), executionOperations(), templateOperations(), thingOperations(), groupOperations(),
		thingTypeOperations(), tagOperations(), settingOperations(), absentOperations())
}

// route finds the operation of a request, and the variables of its path, unescaped. A literal segment wins over a variable:
// PUT /thing-groups/addThingToThingGroup adds a thing to a group, and names no group.
func (f *Front) route(method, path string) (*operation, map[string]string, error) {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	var found *operation
	var allowed []string
	for _, o := range f.routes {
		if !o.matches(segments) {
			continue
		}
		if o.method != method {
			allowed = append(allowed, o.method+" for "+o.name)
			continue
		}
		if found == nil || o.literals() > found.literals() {
			found = o
		}
	}
	switch {
	case found != nil:
	case allowed != nil:
		slices.Sort(allowed)
		return nil, nil, &awsError{name: "MethodNotAllowedException", status: http.StatusMethodNotAllowed,
			message: method + " is no operation there; " + strings.Join(allowed, ", ") + " would be"}
	default:
		return nil, nil, &awsError{name: "UnknownOperationException", status: http.StatusNotFound,
			message: "no operation of iot that is offered here has this path; a signature for iot-jobs-data leads to the devices' data plane"}
	}
	vars := map[string]string{}
	for i, s := range found.path {
		if s[0] != '{' {
			continue
		}
		value, err := unescape(segments[i])
		if err != nil || value == "" {
			return nil, nil, invalid("%s: the path holds no value that can be read", strings.Trim(s, "{}"))
		}
		vars[strings.Trim(s, "{}")] = value
	}
	return found, vars, nil
}

func (o *operation) matches(segments []string) bool {
	return slices.EqualFunc(o.path, segments, func(want, have string) bool { return want[0] == '{' || want == have })
}

func (o *operation) literals() (n int) {
	for _, s := range o.path {
		if s[0] != '{' {
			n++
		}
	}
	return n
}

func unescape(s string) (string, error) { return url.PathUnescape(s) }
