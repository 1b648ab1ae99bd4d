package droverv1

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// EnumName is an enum value as AWS spells it: IN_PROGRESS, not EXECUTION_STATUS_IN_PROGRESS.
func EnumName(e protoreflect.Enum) string {
	d := e.Descriptor()
	v := d.Values().ByNumber(e.Number())
	if v == nil {
		return "UNKNOWN"
	}
	return strings.TrimPrefix(string(v.Name()), EnumPrefix(d))
}

// EnumPrefix is what stands in front of the values' names of an enum: EXECUTION_STATUS_ of ExecutionStatus.
func EnumPrefix(d protoreflect.EnumDescriptor) string {
	return strings.TrimSuffix(string(d.Values().ByNumber(0).Name()), "UNSPECIFIED")
}
