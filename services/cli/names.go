package cli

import (
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// Names are checked before anything is sent, as their owner would: the refusal is the same.

func jobArg(s string) (string, error) {
	j, err := id.ParseJob(s)
	if err != nil {
		return "", invalidErr("jobId", err)
	}
	return string(j), nil
}

func thingArg(s string) (string, error) {
	t, err := id.ParseThing(s)
	if err != nil {
		return "", invalidErr("thingName", err)
	}
	return string(t), nil
}

func groupArg(field, s string) (string, error) {
	g, err := id.ParseGroup(s)
	if err != nil {
		return "", invalidErr(field, err)
	}
	return string(g), nil
}

func targetArgs(list []string) ([]*v1.Target, error) {
	targets := make([]*v1.Target, 0, len(list))
	for _, s := range list {
		t, err := id.ParseTarget(s)
		if err != nil {
			return nil, invalidErr("targets", err)
		}
		targets = append(targets, t)
	}
	return targets, nil
}

// enumName is an enum value as AWS spells it: IN_PROGRESS, not EXECUTION_STATUS_IN_PROGRESS.
func enumName(e protoreflect.Enum) string {
	d := e.Descriptor()
	v := d.Values().ByNumber(e.Number())
	if v == nil {
		return "UNKNOWN"
	}
	return strings.TrimPrefix(string(v.Name()), enumPrefix(d))
}

// enumPrefix is what stands in front of the values' names of an enum: EXECUTION_STATUS_ of ExecutionStatus.
func enumPrefix(d protoreflect.EnumDescriptor) string {
	return strings.TrimSuffix(string(d.Values().ByNumber(0).Name()), "UNSPECIFIED")
}

// parseEnum is the twin of enumName for a field that a person filled in. Empty is the unspecified value.
func parseEnum[E protoreflect.Enum](field, s string, _ E) (protoreflect.EnumNumber, error) {
	var zero E
	d := zero.Descriptor()
	if s == "" {
		return 0, nil
	}
	var allowed []string
	for i := 1; i < d.Values().Len(); i++ {
		v := d.Values().Get(i)
		name := strings.TrimPrefix(string(v.Name()), enumPrefix(d))
		if s == name {
			return v.Number(), nil
		}
		allowed = append(allowed, name)
	}
	return 0, invalid(field, "%.40q is none of %s", s, strings.Join(allowed, ", "))
}

func jobStatus(s string) (v1.JobStatus, error) {
	n, err := parseEnum("status", s, v1.JobStatus(0))
	return v1.JobStatus(n), err
}

func executionStatus(s string) (v1.ExecutionStatus, error) {
	n, err := parseEnum("status", s, v1.ExecutionStatus(0))
	return v1.ExecutionStatus(n), err
}

// statusNames lists the values of an enum for completion.
func statusNames(d protoreflect.EnumDescriptor) []string {
	var names []string
	for i := 1; i < d.Values().Len(); i++ {
		names = append(names, strings.TrimPrefix(string(d.Values().Get(i).Name()), enumPrefix(d)))
	}
	return names
}

// moment is a time as JSON shows it: RFC 3339 with milliseconds, in UTC. 0 is no time.
func moment(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

// when is a time as a table shows it.
func when(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05Z")
}
