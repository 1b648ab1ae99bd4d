package feed

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// cloudEvent is what this version reads of a message of the feed.
type cloudEvent struct {
	ID            string          `json:"id"`
	Type          string          `json:"type"`
	Time          string          `json:"time"`
	JobID         string          `json:"jobid"`
	Cause         string          `json:"cause"`
	CauseRef      string          `json:"causeref"`
	CauseBy       string          `json:"causeby"`
	CauseCommand  string          `json:"causecommand"`
	CauseReply    string          `json:"causereply"`
	Reason        string          `json:"reason"`
	ReasonNumbers string          `json:"reasonnumbers"`
	DataOmitted   bool            `json:"dataomitted"`
	Data          json.RawMessage `json:"data"`
}

// Decode is the twin of what the feeder writes: the event as ReadEvents answers it from the log. An event that this
// version does not know has no body, as there; fields that it does not know are passed over.
func Decode(text []byte) (*v1.RecordedEvent, error) {
	var c cloudEvent
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("not an event of the feed: %w", err)
	}
	position, err := id.ParsePosition(c.ID)
	if err != nil {
		return nil, fmt.Errorf("not an event of the feed: id: %w", err)
	}
	at, err := parseTime(c.Time)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", c.ID, err)
	}
	entry := &v1.Entry{Event: &v1.Event{}}
	if err := c.cause(entry); err != nil {
		return nil, fmt.Errorf("event %s: cause: %w", c.ID, err)
	}
	if entry.Reason, err = c.reason(); err != nil {
		return nil, fmt.Errorf("event %s: reason: %w", c.ID, err)
	}
	if err := c.body(entry.Event.ProtoReflect()); err != nil {
		return nil, fmt.Errorf("event %s: data: %w", c.ID, err)
	}
	return &v1.RecordedEvent{Position: position, AtMs: at, Entry: entry, JobId: c.JobID}, nil
}

func (c *cloudEvent) cause(e *v1.Entry) error {
	switch c.Cause {
	case "command":
		reply, err := base64.StdEncoding.DecodeString(c.CauseReply)
		if len(reply) == 0 {
			reply = nil
		}
		e.Cause = &v1.Entry_Command{Command: &v1.CommandCause{Id: c.CauseRef, By: c.CauseBy, Type: c.CauseCommand, Reply: reply}}
		return err
	case "position":
		p, err := id.ParsePosition(c.CauseRef)
		e.Cause = &v1.Entry_Position{Position: p}
		return err
	case "timer":
		due, err := parseTime(c.CauseRef)
		e.Cause = &v1.Entry_Timer{Timer: &v1.TimerCause{DueMs: due}}
		return err
	}
	return nil
}

func (c *cloudEvent) reason() (*v1.Reason, error) {
	if c.Reason == "" {
		return nil, nil
	}
	r := &v1.Reason{Code: v1.ReasonCode(v1.ReasonCode_value["REASON_CODE_"+c.Reason])}
	if n, err := strconv.ParseInt(c.Reason, 10, 32); err == nil {
		r.Code = v1.ReasonCode(n)
	}
	if c.ReasonNumbers == "" {
		return r, nil
	}
	for s := range strings.SplitSeq(c.ReasonNumbers, ",") {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, err
		}
		r.Numbers = append(r.Numbers, n)
	}
	return r, nil
}

// body puts the event into the oneof that its type names.
func (c *cloudEvent) body(event protoreflect.Message) error {
	name := c.Type[strings.LastIndexByte(c.Type, '.')+1:]
	fields := event.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if string(f.Message().Name()) != name {
			continue
		}
		body := event.Mutable(f).Message()
		if c.DataOmitted {
			return nil
		}
		d := json.NewDecoder(bytes.NewReader(c.Data))
		d.UseNumber()
		var data map[string]any
		if err := d.Decode(&data); err != nil {
			return err
		}
		return setFields(body, data)
	}
	return nil
}

func setFields(m protoreflect.Message, data map[string]any) error {
	for _, f := range shapes()[m.Descriptor().FullName()] {
		name := f.key[1 : len(f.key)-2]
		v, there := data[name]
		if !there {
			continue
		}
		if err := f.set(m, v); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (f *shown) set(m protoreflect.Message, v any) error {
	if f.pairs {
		return f.setPairs(m, v)
	}
	if !f.field.IsList() {
		value, err := f.parse(m.NewField(f.field), v)
		if err == nil {
			m.Set(f.field, value)
		}
		return err
	}
	items, ok := v.([]any)
	if !ok {
		return fmt.Errorf("%T is no list", v)
	}
	list := m.Mutable(f.field).List()
	for _, item := range items {
		value, err := f.parse(list.NewElement(), item)
		if err != nil {
			return err
		}
		list.Append(value)
	}
	return nil
}

// setPairs reads details and attributes, which are sorted by name.
func (f *shown) setPairs(m protoreflect.Message, v any) error {
	pairs, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%T is no object", v)
	}
	list := m.Mutable(f.field).List()
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		value, ok := pairs[name].(string)
		if !ok {
			return fmt.Errorf("%s: %T is no string", name, pairs[name])
		}
		p := list.NewElement()
		fields := p.Message().Descriptor().Fields()
		p.Message().Set(fields.ByName("name"), protoreflect.ValueOfString(name))
		p.Message().Set(fields.ByName("value"), protoreflect.ValueOfString(value))
		list.Append(p)
	}
	return nil
}

// parse is the twin of appendValue. A message is parsed into zero.
func (f *shown) parse(zero protoreflect.Value, v any) (none protoreflect.Value, err error) {
	if f.field.Kind() == protoreflect.MessageKind {
		return zero, parseMessage(zero.Message(), v)
	}
	switch v := v.(type) {
	case bool:
		if f.field.Kind() == protoreflect.BoolKind {
			return protoreflect.ValueOfBool(v), nil
		}
	case string:
		return f.parseText(v)
	case json.Number:
		return f.parseNumber(string(v))
	}
	return none, fmt.Errorf("%T is no %s", v, f.field.Kind())
}

func (f *shown) parseText(s string) (none protoreflect.Value, err error) {
	switch f.field.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(s), nil
	case protoreflect.BytesKind:
		if f.text {
			return protoreflect.ValueOfBytes([]byte(s)), nil
		}
		data, err := hex.DecodeString(s)
		return protoreflect.ValueOfBytes(data), err
	case protoreflect.EnumKind:
		if n := slices.Index(f.enum, s); n >= 0 && s != "" {
			return protoreflect.ValueOfEnum(protoreflect.EnumNumber(n)), nil
		}
	case protoreflect.Int64Kind:
		if f.time {
			ms, err := parseTime(s)
			return protoreflect.ValueOfInt64(ms), err
		}
	case protoreflect.Fixed64Kind:
		n, err := strconv.ParseUint(s, 16, 64)
		return protoreflect.ValueOfUint64(n), err
	}
	return none, fmt.Errorf("%.40q is no %s", s, f.field.Kind())
}

func (f *shown) parseNumber(s string) (none protoreflect.Value, err error) {
	switch f.field.Kind() {
	case protoreflect.EnumKind:
		n, err := strconv.ParseInt(s, 10, 32)
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(n)), err
	case protoreflect.Uint32Kind:
		n, err := strconv.ParseUint(s, 10, 32)
		return protoreflect.ValueOfUint32(uint32(n)), err
	case protoreflect.Uint64Kind:
		n, err := strconv.ParseUint(s, 10, 64)
		return protoreflect.ValueOfUint64(n), err
	case protoreflect.Int32Kind, protoreflect.Sint32Kind:
		n, err := strconv.ParseInt(s, 10, 32)
		return protoreflect.ValueOfInt32(int32(n)), err
	case protoreflect.Int64Kind, protoreflect.Sint64Kind:
		n, err := strconv.ParseInt(s, 10, 64)
		return protoreflect.ValueOfInt64(n), err
	}
	return none, fmt.Errorf("%s is no %s", s, f.field.Kind())
}

func parseMessage(into protoreflect.Message, v any) error {
	switch v := v.(type) {
	case map[string]any:
		return setFields(into, v)
	case string:
		switch into.Interface().(type) {
		case *v1.Position:
			return put(into, v, id.ParsePosition)
		case *v1.Target:
			return put(into, v, id.ParseTarget)
		}
	}
	return fmt.Errorf("%T is no %s", v, into.Descriptor().Name())
}

// put parses text into a message.
func put[M protoreflect.ProtoMessage](into protoreflect.Message, text string, parse func(string) (M, error)) error {
	m, err := parse(text)
	if err != nil {
		return err
	}
	m.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		into.Set(f, v)
		return true
	})
	return nil
}

func parseTime(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	return t.UnixMilli(), err
}
