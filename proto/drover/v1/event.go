package droverv1

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Type is the event's name: "ExecutionQueued"; "" for an event that this version does not know.
func (e *Event) Type() string {
	m := e.ProtoReflect()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("event"))
	if field == nil {
		return ""
	}
	return string(field.Message().Name())
}

// Body is the message in the oneof, or nil.
func (e *Event) Body() protoreflect.Message {
	m := e.ProtoReflect()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("event"))
	if field == nil {
		return nil
	}
	return m.Get(field).Message()
}

// Job is the number of the job that the event is about, or 0.
func (e *Event) Job() uint64 {
	body := e.Body()
	if body == nil {
		return 0
	}
	if f := body.Descriptor().Fields().ByName("job"); f != nil && f.Kind() == protoreflect.Uint64Kind {
		return body.Get(f).Uint()
	}
	return 0
}

// Names reports whether the event is about the thing: as its only one, or as one of many.
func (e *Event) Names(thing string) bool {
	switch x := e.GetEvent().(type) {
	case *Event_ExecutionQueued:
		return x.ExecutionQueued.GetThing().GetName() == thing
	case *Event_ExecutionChanged:
		return x.ExecutionChanged.GetThing() == thing
	case *Event_ThingsSelected:
		return hasThing(x.ThingsSelected.GetThings(), thing)
	case *Event_ThingsWaiting:
		return hasThing(x.ThingsWaiting.GetThings(), thing)
	case *Event_ExecutionsReleased:
		return hasThing(x.ExecutionsReleased.GetThings(), thing)
	case *Event_ThingsDeselected:
		return hasThing(x.ThingsDeselected.GetThings(), thing)
	case *Event_ThingsJoined:
		return hasThing(x.ThingsJoined.GetThings(), thing)
	case *Event_ThingsWithdrawn:
		return hasThing(x.ThingsWithdrawn.GetThings(), thing)
	case *Event_WithdrawalLearned:
		return hasThing(x.WithdrawalLearned.GetThings(), thing)
	case *Event_ExecutionsShown:
		return slices.Contains(x.ExecutionsShown.GetThings(), thing)
	}
	body := e.Body()
	if body == nil {
		return false
	}
	f := body.Descriptor().Fields().ByName("thing")
	if f == nil || f.Kind() != protoreflect.MessageKind {
		return false
	}
	ref, ok := body.Get(f).Message().Interface().(*ThingRef)
	return ok && ref.GetName() == thing
}

// Phases are those that the home has carried out in the commit, in their order.
func (t *Tally) Phases() []JobPhase {
	if t.GetSettled() == JobPhase_JOB_PHASE_UNSPECIFIED {
		return nil
	}
	return append(slices.Clone(t.GetSettledBefore()), t.GetSettled())
}

func hasThing(things []*ThingRef, name string) bool {
	for _, t := range things {
		if t.GetName() == name {
			return true
		}
	}
	return false
}

// Word is a status as AWS spells it: "IN_PROGRESS".
func (s ExecutionStatus) Word() string { return strings.TrimPrefix(s.String(), "EXECUTION_STATUS_") }

// Word is a status as AWS spells it: "IN_PROGRESS".
func (s JobStatus) Word() string { return strings.TrimPrefix(s.String(), "JOB_STATUS_") }

// Word is a reason's code without its prefix: "JOB_CANCELED".
func (c ReasonCode) Word() string { return strings.TrimPrefix(c.String(), "REASON_CODE_") }

// Word is a refusal's code without its prefix: "NOT_FOUND".
func (c RefusalCode) Word() string { return strings.TrimPrefix(c.String(), "REFUSAL_CODE_") }

// Terminal says that nothing follows: neither QUEUED nor IN_PROGRESS. (specification §4.2)
func (s ExecutionStatus) Terminal() bool {
	return s > ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS
}
