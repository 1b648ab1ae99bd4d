package device

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"unicode/utf8"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// depthMax is how deep a payload may nest; devices send two levels.
const depthMax = 32

// body is the payload of a request, of whichever kind. What a device left out, or sent as null, has its zero value.
type body struct {
	clientToken     string
	hasToken        bool
	status          v1.ExecutionStatus
	details         []*v1.Detail // sorted by name
	hasDetails      bool
	expectedVersion uint64
	executionNumber uint64
	stepTimeout     int32
	includeState    bool
	includeDocument *bool
}

// decode reads a payload as devices really send it (specification §9.3): empty is {}; numbers and booleans in
// statusDetails become strings; whole numbers may stand in quotes; what is no field of the operation is passed over. op
// is an operation, with onTopic or without. It refuses with INVALID_JSON what is not one JSON object in UTF-8, and with INVALID_REQUEST, after reading to the end so that the
// clientToken is known, the first field of a wrong kind.
func decode(data []byte, op operation) (b body, refusal *v1.Refusal) {
	if len(data) == 0 {
		return b, nil
	}
	if !utf8.Valid(data) {
		return b, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_JSON, "", "the payload is not UTF-8")
	}
	s := scanner{data: string(data)}
	s.space()
	if s.peek() != '{' {
		return b, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_JSON, "", "the payload is not a JSON object")
	}
	err := s.object(func(key string) error {
		f := fields[key]
		if f.of&op == 0 {
			return s.skip()
		}
		v, err := s.value()
		if err != nil || v.kind == kindNull {
			return err
		}
		if wrong := f.set(&b, v); wrong != "" && refusal == nil {
			refusal = v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, key, "%s", wrong)
		}
		return nil
	})
	if s.space(); err == nil && s.pos != len(data) {
		err = errors.New("something follows the object")
	}
	if err != nil {
		return body{}, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_JSON, "", "byte %d of the payload: %v", s.pos, err)
	}
	return b, refusal
}

// operation is one of the four requests, as a bit.
type operation byte

const (
	opGet operation = 1 << iota
	opStartNext
	opDescribe
	opUpdate

	// onTopic stands beside one of them: an answer on a topic is known by its clientToken. HTTP has none.
	onTopic
)

// fields are what is read of each operation's payload. set stores a value, or says what is wrong with it.
var fields = map[string]struct {
	of  operation
	set func(*body, value) string
}{
	"clientToken":              {onTopic, setToken},
	"status":                   {opUpdate, setStatus},
	"statusDetails":            {opStartNext | opUpdate, setDetails},
	"expectedVersion":          {opUpdate, func(b *body, v value) string { return v.positive(&b.expectedVersion) }},
	"executionNumber":          {opDescribe | opUpdate, func(b *body, v value) string { return v.positive(&b.executionNumber) }},
	"stepTimeoutInMinutes":     {opStartNext | opUpdate, setStepTimeout},
	"includeJobExecutionState": {opUpdate, setIncludeState},
	"includeJobDocument":       {opDescribe | opUpdate, setIncludeDocument},
}

// tokenMax bounds a clientToken: devices send 10 to 36 characters, and it is kept with the update.
const tokenMax = 128

func setToken(b *body, v value) string {
	if v.kind != kindString {
		return "is not a string"
	}
	if len(v.text) > tokenMax {
		return "is longer than " + strconv.Itoa(tokenMax) + " bytes"
	}
	b.clientToken, b.hasToken = v.text, true
	return ""
}

func setStatus(b *body, v value) string {
	b.status = 0
	if v.kind == kindString {
		b.status = statuses[v.text]
	}
	if b.status == 0 {
		return "is not one of IN_PROGRESS, SUCCEEDED, FAILED, REJECTED"
	}
	return ""
}

// statuses are all that there are; which of them a device may set is the core's to say.
var statuses = func() map[string]v1.ExecutionStatus {
	m := map[string]v1.ExecutionStatus{}
	for n := range v1.ExecutionStatus_name {
		if s := v1.ExecutionStatus(n); s != v1.ExecutionStatus_EXECUTION_STATUS_UNSPECIFIED {
			m[statusName(s)] = s
		}
	}
	return m
}()

func setDetails(b *body, v value) string {
	if v.kind != kindObject {
		return "is not an object"
	}
	b.details, b.hasDetails = v.pairs, true
	return v.wrong
}

func setStepTimeout(b *body, v value) string {
	n, err := strconv.ParseInt(v.text, 10, 32)
	if v.kind != kindNumber && v.kind != kindString || err != nil || n == 0 {
		return "is neither a number of minutes (1 to 10080) nor -1"
	}
	b.stepTimeout = int32(n)
	return ""
}

func setIncludeState(b *body, v value) string {
	b.includeState = v.kind == kindTrue
	return v.boolean()
}

func setIncludeDocument(b *body, v value) string {
	include := v.kind == kindTrue
	b.includeDocument = &include
	return v.boolean()
}

type kind byte

const (
	kindNull kind = iota
	kindTrue
	kindFalse
	kindNumber
	kindString
	kindObject
	kindArray
)

// value is a JSON value that may mean something: text of a string, a number or a boolean, pairs of an object.
type value struct {
	kind  kind
	text  string
	pairs []*v1.Detail
	wrong string // the first member of an object that can be no detail
}

func (v value) positive(n *uint64) string {
	var err error
	if *n, err = strconv.ParseUint(v.text, 10, 63); err != nil || *n == 0 || v.kind != kindNumber && v.kind != kindString {
		*n = 0
		return "is not a whole number above 0"
	}
	return ""
}

func (v value) boolean() string {
	if v.kind != kindTrue && v.kind != kindFalse {
		return "is neither true nor false"
	}
	return ""
}

// value reads what stands at the scanner as a field's value.
func (s *scanner) value() (value, error) {
	s.space()
	switch s.peek() {
	case '{':
		return s.details()
	case '[':
		return value{kind: kindArray}, s.skip()
	default:
		return s.scalar()
	}
}

// details reads an object as statusDetails. A name that comes twice has its last value.
func (s *scanner) details() (value, error) {
	v := value{kind: kindObject, pairs: make([]*v1.Detail, 0, 4)}
	err := s.object(func(name string) error {
		s.space()
		if c := s.peek(); c == '{' || c == '[' {
			v.wrong = cmp.Or(v.wrong, strconv.Quote(short(name))+" is neither a string nor a number nor a boolean")
			return s.skip()
		}
		m, err := s.scalar()
		if err != nil {
			return err
		}
		if m.kind == kindNull {
			v.wrong = cmp.Or(v.wrong, strconv.Quote(short(name))+" is null")
			return nil
		}
		v.pairs = append(v.pairs, &v1.Detail{Name: name, Value: m.text})
		return nil
	})
	if len(v.pairs) > 1 {
		slices.SortStableFunc(v.pairs, func(a, b *v1.Detail) int { return cmp.Compare(a.Name, b.Name) })
		last := v.pairs[:0]
		for i, p := range v.pairs {
			if i+1 == len(v.pairs) || v.pairs[i+1].Name != p.Name {
				last = append(last, p)
			}
		}
		v.pairs = last
	}
	return v, err
}

// short keeps a message short whatever a device names.
func short(name string) string {
	if len(name) > 40 {
		return name[:40]
	}
	return name
}
