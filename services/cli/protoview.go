package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// object is a JSON object whose members keep their order: that of the message's definition.
type object []member

type member struct {
	name  string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			out.WriteByte(',')
		}
		name, err := marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := marshal(m.value)
		if err != nil {
			return nil, err
		}
		out.Write(name)
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// viewMessage is a message as JSON shows it: lowerCamel names, numbers as numbers, enums as AWS spells them, documents
// as text, other bytes in hex; times in RFC 3339 under their name without Ms; targets, things and positions as text.
// Fields that are not set are absent.
func viewMessage(m proto.Message) object {
	return viewReflect(m.ProtoReflect())
}

func viewReflect(m protoreflect.Message) object {
	o := object{}
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		if !m.Has(f) {
			continue
		}
		v := m.Get(f)
		if !f.IsList() {
			o = append(o, member{fieldName(f), viewValue(f, v)})
			continue
		}
		if d, ok := viewPairs(f, v.List()); ok {
			o = append(o, member{fieldName(f), d})
			continue
		}
		items := make([]any, v.List().Len())
		for i := range items {
			items[i] = viewValue(f, v.List().Get(i))
		}
		o = append(o, member{fieldName(f), items})
	}
	return o
}

// viewPairs shows details and attributes as one object.
func viewPairs(f protoreflect.FieldDescriptor, l protoreflect.List) (object, bool) {
	if f.Message() == nil || f.Message().Name() != "Detail" && f.Message().Name() != "Attribute" {
		return nil, false
	}
	o := object{}
	for i := range l.Len() {
		switch p := l.Get(i).Message().Interface().(type) {
		case *v1.Detail:
			o = append(o, member{p.GetName(), p.GetValue()})
		case *v1.Attribute:
			o = append(o, member{p.GetName(), p.GetValue()})
		}
	}
	return o, true
}

func viewValue(f protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch f.Kind() {
	case protoreflect.EnumKind:
		d := f.Enum().Values().ByNumber(v.Enum())
		if d == nil {
			return int32(v.Enum())
		}
		return strings.TrimPrefix(string(d.Name()), v1.EnumPrefix(f.Enum()))
	case protoreflect.BytesKind:
		if f.Name() == "document" && utf8.Valid(v.Bytes()) {
			return string(v.Bytes())
		}
		return fmt.Sprintf("%x", v.Bytes())
	case protoreflect.Int64Kind:
		if isTime(f) {
			return moment(v.Int())
		}
		return v.Int()
	case protoreflect.Fixed64Kind:
		return fmt.Sprintf("%016x", v.Uint())
	case protoreflect.MessageKind:
		switch m := v.Message().Interface().(type) {
		case *v1.Position:
			return id.FormatPosition(m)
		case *v1.Target:
			return id.FormatTarget(m)
		}
		return viewReflect(v.Message())
	}
	return v.Interface()
}

func isTime(f protoreflect.FieldDescriptor) bool { return strings.HasSuffix(string(f.Name()), "_ms") }

func fieldName(f protoreflect.FieldDescriptor) string {
	if isTime(f) {
		return strings.TrimSuffix(f.JSONName(), "Ms")
	}
	return f.JSONName()
}

// eventOf is the name of an event and its body.
func eventOf(e *v1.Event) (string, protoreflect.Message) {
	m := e.ProtoReflect()
	f := m.WhichOneof(m.Descriptor().Oneofs().Get(0))
	if f == nil {
		return "unknown", nil
	}
	body := m.Get(f).Message()
	return string(body.Descriptor().Name()), body
}

// quiet are fields that a line of text leaves out: they repeat what other events say.
var quiet = []protoreflect.Name{"document", "queued_at_ms", "started_at_ms", "created_at_ms", "client_token", "hash", "resume", "targets_known_at", "until_chunk", "until_offset", "until_slot"}

// eventLine is what a line of text says of an event: its fields, long lists as their length, the job by its id.
func eventLine(body protoreflect.Message, jobID string) string {
	if body == nil {
		return ""
	}
	var out []string
	for i := range body.Descriptor().Fields().Len() {
		f := body.Descriptor().Fields().Get(i)
		if !body.Has(f) || slices.Contains(quiet, f.Name()) {
			continue
		}
		v := body.Get(f)
		text := ""
		switch {
		case f.Name() == "job" && jobID != "":
			text = jobID
		case f.IsList():
			text = listText(f, v.List())
		default:
			text = valueText(viewValue(f, v))
		}
		if text != "" {
			out = append(out, fieldName(f)+"="+text)
		}
	}
	return strings.Join(out, " ")
}

func listText(f protoreflect.FieldDescriptor, l protoreflect.List) string {
	const shown = 3
	if pairs, ok := viewPairs(f, l); ok {
		return valueText(pairs)
	}
	var out []string
	for i := range min(l.Len(), shown) {
		out = append(out, valueText(viewValue(f, l.Get(i))))
	}
	if more := l.Len() - shown; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func valueText(v any) string {
	switch v := v.(type) {
	case string:
		if v == "" || strings.ContainsAny(v, " \t\"") {
			return fmt.Sprintf("%q", v)
		}
		return v
	case object:
		if len(v) == 2 && v[0].name == "name" && v[1].name == "number" { // a ThingRef
			return valueText(v[0].value)
		}
		var out []string
		for _, m := range v {
			out = append(out, m.name+"="+valueText(m.value))
		}
		return "{" + strings.Join(out, " ") + "}"
	case []any:
		return fmt.Sprintf("[%d]", len(v))
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}
