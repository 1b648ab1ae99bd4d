package execution

import (
	"slices"
	"strings"
	"unicode/utf8"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// The limits of specification §1.3 and §4.4.
const (
	detailsMax     = 10
	detailNameMax  = 128
	detailValueMax = 1024 // characters
	stepMinutesMax = 10080
	tokenMax       = 128 // bytes; ours, no source names one
)

func invalid(field, format string, args ...any) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, field, format, args...)
}

// checkJobID checks the id of the job that a request is about.
func checkJobID(s string) (string, error) {
	if s == "$next" {
		return "", invalid("jobId", "$next stands for no job here; name the job")
	}
	j, err := id.ParseJob(s)
	if err != nil {
		return "", invalid("jobId", "%v", err)
	}
	return string(j), nil
}

func checkStep(minutes int32) error {
	if minutes < -1 || minutes > stepMinutesMax {
		return invalid("stepTimeoutInMinutes", "%d is out of range; 1 to %d, or -1 to cancel the timer", minutes, stepMinutesMax)
	}
	return nil
}

func checkToken(token string) error {
	if len(token) > tokenMax || !utf8.ValidString(token) {
		return invalid("clientToken", "a client token is UTF-8 of at most %d bytes", tokenMax)
	}
	return nil
}

// checkDetails checks status details and returns them sorted by name, as events hold them.
func checkDetails(details []*v1.Detail) ([]*v1.Detail, error) {
	if len(details) > detailsMax {
		return nil, invalid("statusDetails", "%d pairs; at most %d are allowed", len(details), detailsMax)
	}
	byName := func(a, b *v1.Detail) int { return strings.Compare(a.GetName(), b.GetName()) }
	if !slices.IsSortedFunc(details, byName) {
		details = slices.SortedFunc(slices.Values(details), byName)
	}
	for i, d := range details {
		if err := checkDetailName(d.GetName()); err != nil {
			return nil, err
		}
		if i > 0 && details[i-1].GetName() == d.GetName() {
			return nil, invalid("statusDetails", "the name %q stands twice", d.GetName())
		}
		if err := checkDetailValue(d.GetName(), d.GetValue()); err != nil {
			return nil, err
		}
	}
	return details, nil
}

func checkDetailName(name string) error {
	ok := name != "" && len(name) <= detailNameMax
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		ok = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == ':' || c == '_' || c == '-'
	}
	if !ok {
		return invalid("statusDetails", "the name %.40q is not 1 to %d of [a-zA-Z0-9:_-]", name, detailNameMax)
	}
	return nil
}

// checkDetailValue is wider than the pattern of specification §1.3, for real agents send what their scripts have
// printed: line ends, colours, and nothing where there is no reason to tell (specification §9.3).
func checkDetailValue(name, value string) error {
	if utf8.RuneCountInString(value) > detailValueMax || !utf8.ValidString(value) {
		return invalid("statusDetails", "the value of %q is not UTF-8 of at most %d characters", name, detailValueMax)
	}
	return nil
}
