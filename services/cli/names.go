package cli

import (
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/fronts/aws/body"
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

func jobStatus(s string) (v1.JobStatus, error) {
	n, err := body.Enum("status", s, v1.JobStatus(0))
	return v1.JobStatus(n), err
}

func executionStatus(s string) (v1.ExecutionStatus, error) {
	n, err := body.Enum("status", s, v1.ExecutionStatus(0))
	return v1.ExecutionStatus(n), err
}

// statusNames lists the values of an enum for completion.
func statusNames(d protoreflect.EnumDescriptor) []string {
	var names []string
	for i := 1; i < d.Values().Len(); i++ {
		names = append(names, strings.TrimPrefix(string(d.Values().Get(i).Name()), v1.EnumPrefix(d)))
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
