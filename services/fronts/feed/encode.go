package feed

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// One event is one CloudEvent 1.0 in structured mode:
//
//	id            execution.0@812.3: its place: log, commit, and index of the entry in the commit
//	source        urn:drover:log:execution.0:<first 8 bytes of the log's id>
//	type          drover.execution.ExecutionChanged
//	subject       job/fw-1, thing/press-07 or job/fw-1/thing/press-07; absent where there is neither
//	time          of the commit
//	data          the event: as `drover events --output json` shows it
//
// and these extensions, where there is something to say:
//
//	jobid, thing                    what the event is about, if it is one of them
//	cause                           "command", "position" or "timer"
//	causeref                        the command's id, the position, or the time that had come
//	causeby, causecommand           who sent the command (absent for devices), and its type
//	causereply                      the answer that a command with an id was given: base64 of its protobuf
//	reason, reasonnumbers           code and numbers ("600,3000"); what they mean is in types.proto
//	reasontext                      the same as a sentence, for people
//	dataomitted                     true: data would not fit a message, and is read from the log (drover events)
const (
	contentType = "application/cloudevents+json"
	typePrefix  = "drover."
	unknown     = "unknown" // an entry without an event, which no service writes

	// eventBytes is the most that one message may have; beyond, data is left out. The broker takes 1 MiB, with headers.
	eventBytes = 960 << 10
)

// record is an entry with its place, its time, and the job id behind its job number. Its cause is filled in.
type record struct {
	log   id.Log
	logID []byte
	at    int64 // ms
	num   uint64
	index int
	entry *v1.Entry
	jobID string
}

func (r *record) id() string {
	return r.log.String() + "@" + strconv.FormatUint(r.num, 10) + "." + strconv.Itoa(r.index)
}

// typeOf is the CloudEvents type of an event of a log.
func typeOf(log id.Log, event string) string {
	return typePrefix + id.ServiceName(log.Service) + "." + event
}

// appendEvent encodes a record. Nothing outside the feed holds these bytes: they may change from version to version, an
// id never does.
func appendEvent(dst []byte, r *record) []byte {
	body, name := r.entry.GetEvent().Body(), unknown
	if body != nil {
		name = string(body.Descriptor().Name())
	}
	thing := thingOf(body)
	dst = append(dst, `{"specversion":"1.0","id":"`...)
	dst = append(dst, r.id()...)
	dst = append(dst, `","source":"urn:drover:log:`...)
	dst = append(dst, r.log.String()...)
	dst = append(dst, ':')
	dst = hex.AppendEncode(dst, r.logID[:min(8, len(r.logID))])
	dst = append(dst, `","type":"`...)
	dst = append(dst, typeOf(r.log, name)...)
	if about := about(r.jobID, thing); about != "" {
		dst = appendMember(dst, "subject", about)
	} else {
		dst = append(dst, '"')
	}
	dst = append(dst, `,"time":"`...)
	dst = appendTime(dst, r.at)
	dst = append(dst, `","datacontenttype":"application/json"`...)
	if r.jobID != "" {
		dst = appendText(append(dst, `,"jobid":`...), r.jobID)
	}
	if thing != "" {
		dst = appendText(append(dst, `,"thing":`...), thing)
	}
	dst = appendCause(dst, r.entry)
	dst = appendReason(dst, r.entry.GetReason())
	end := len(dst)
	dst = append(dst, `,"data":`...)
	if body == nil {
		dst = append(dst, `{}`...)
	} else {
		dst = appendMessage(dst, body)
	}
	if len(dst) > eventBytes {
		dst = append(dst[:end], `,"dataomitted":true`...)
	}
	return append(dst, '}')
}

// appendMember ends the string before it and adds a member.
func appendMember(dst []byte, name, value string) []byte {
	dst = append(dst, `","`...)
	dst = append(dst, name...)
	return appendText(append(dst, `":`...), value)
}

func about(job, thing string) string {
	switch {
	case job == "" && thing == "":
		return ""
	case thing == "":
		return "job/" + job
	case job == "":
		return "thing/" + thing
	}
	return "job/" + job + "/thing/" + thing
}

func appendCause(dst []byte, e *v1.Entry) []byte {
	kind, ref := "", ""
	switch c := e.GetCause().(type) {
	case *v1.Entry_Command:
		kind, ref = "command", c.Command.GetId()
	case *v1.Entry_Position:
		kind, ref = "position", id.FormatPosition(c.Position)
	case *v1.Entry_Timer:
		kind, ref = "timer", moment(c.Timer.GetDueMs())
	default:
		return dst
	}
	for _, m := range [...][2]string{
		{"cause", kind}, {"causeref", ref},
		{"causeby", e.GetCommand().GetBy()}, {"causecommand", e.GetCommand().GetType()},
		{"causereply", base64.StdEncoding.EncodeToString(e.GetCommand().GetReply())},
	} {
		if m[1] != "" {
			dst = append(dst, `,"`...)
			dst = append(dst, m[0]...)
			dst = appendText(append(dst, `":`...), m[1])
		}
	}
	return dst
}

func appendReason(dst []byte, r *v1.Reason) []byte {
	if r == nil {
		return dst
	}
	dst = append(dst, `,"reason":"`...)
	dst = append(dst, r.GetCode().Word()...)
	if len(r.GetNumbers()) > 0 {
		dst = append(dst, `","reasonnumbers":"`...)
		for i, n := range r.GetNumbers() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, n, 10)
		}
	}
	dst = append(dst, '"')
	if text := r.Sentence(); text != "" {
		dst = appendText(append(dst, `,"reasontext":`...), text)
	}
	return dst
}

// thingOf is the one thing that an event is about; empty if it is about none, or many.
func thingOf(body protoreflect.Message) string {
	if body == nil {
		return ""
	}
	f := body.Descriptor().Fields().ByName("thing")
	switch {
	case f == nil:
		return ""
	case f.Kind() == protoreflect.StringKind:
		return body.Get(f).String()
	}
	ref, _ := body.Get(f).Message().Interface().(*v1.ThingRef)
	return ref.GetName()
}

// shape is how the fields of one kind of message are shown.
type shape []shown

type shown struct {
	field protoreflect.FieldDescriptor
	key   string // `"name":`
	enum  []string
	pairs bool // a list of Detail or Attribute: one object
	time  bool
	text  bool // bytes that are text
}

// shapes holds every message of every event, by its name.
var shapes = sync.OnceValue(func() map[protoreflect.FullName]shape {
	all := map[protoreflect.FullName]shape{}
	var add func(protoreflect.MessageDescriptor)
	add = func(d protoreflect.MessageDescriptor) {
		if _, there := all[d.FullName()]; there {
			return
		}
		s := shape{}
		all[d.FullName()] = s
		for i := range d.Fields().Len() {
			f := d.Fields().Get(i)
			s = append(s, shownAs(f))
			if f.Message() != nil {
				add(f.Message())
			}
		}
		all[d.FullName()] = s
	}
	add((*v1.Event)(nil).ProtoReflect().Descriptor())
	return all
})

func shownAs(f protoreflect.FieldDescriptor) shown {
	s := shown{field: f, text: f.Name() == "document", time: strings.HasSuffix(string(f.Name()), "_ms")}
	name := f.JSONName()
	if s.time {
		name = strings.TrimSuffix(name, "Ms")
	}
	s.key = `"` + name + `":`
	if e := f.Enum(); e != nil {
		prefix := strings.TrimSuffix(string(e.Values().ByNumber(0).Name()), "UNSPECIFIED")
		for i := range e.Values().Len() {
			v := e.Values().Get(i)
			for len(s.enum) <= int(v.Number()) {
				s.enum = append(s.enum, "")
			}
			s.enum[v.Number()] = strings.TrimPrefix(string(v.Name()), prefix)
		}
	}
	if m := f.Message(); m != nil && f.IsList() {
		s.pairs = m.Name() == "Detail" || m.Name() == "Attribute"
	}
	return s
}

// appendMessage shows a message as `drover events --output json` does: lowerCamel names, numbers as numbers, enums as
// AWS spells them, documents as text, other bytes in hex; times in RFC 3339 under their name without Ms; targets,
// positions as text; details and attributes as one object. Fields that are not set are absent. (a test in services/cli
// holds the two together)
func appendMessage(dst []byte, m protoreflect.Message) []byte {
	switch x := m.Interface().(type) {
	case *v1.Position:
		return appendText(dst, id.FormatPosition(x))
	case *v1.Target:
		return appendText(dst, id.FormatTarget(x))
	}
	dst = append(dst, '{')
	first := true
	for _, f := range shapes()[m.Descriptor().FullName()] {
		if !m.Has(f.field) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, f.key...)
		v := m.Get(f.field)
		switch {
		case f.pairs:
			dst = appendPairs(dst, v.List())
		case f.field.IsList():
			dst = append(dst, '[')
			for i := range v.List().Len() {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = f.appendValue(dst, v.List().Get(i))
			}
			dst = append(dst, ']')
		default:
			dst = f.appendValue(dst, v)
		}
	}
	return append(dst, '}')
}

func appendPairs(dst []byte, l protoreflect.List) []byte {
	dst = append(dst, '{')
	for i := range l.Len() {
		p := l.Get(i).Message().Interface().(interface {
			GetName() string
			GetValue() string
		})
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, p.GetName())
		dst = appendText(append(dst, ':'), p.GetValue())
	}
	return append(dst, '}')
}

func (f *shown) appendValue(dst []byte, v protoreflect.Value) []byte {
	switch f.field.Kind() {
	case protoreflect.EnumKind:
		if n := int(v.Enum()); n >= 0 && n < len(f.enum) && f.enum[n] != "" {
			dst = append(dst, '"')
			dst = append(dst, f.enum[n]...)
			return append(dst, '"')
		}
		return strconv.AppendInt(dst, int64(v.Enum()), 10)
	case protoreflect.BytesKind:
		if f.text && utf8.Valid(v.Bytes()) {
			return appendText(dst, string(v.Bytes()))
		}
		dst = hex.AppendEncode(append(dst, '"'), v.Bytes())
		return append(dst, '"')
	case protoreflect.Int64Kind:
		if f.time {
			dst = appendTime(append(dst, '"'), v.Int())
			return append(dst, '"')
		}
		return strconv.AppendInt(dst, v.Int(), 10)
	case protoreflect.Fixed64Kind:
		return fmt.Appendf(dst, `"%016x"`, v.Uint())
	case protoreflect.MessageKind:
		return appendMessage(dst, v.Message())
	case protoreflect.StringKind:
		return appendText(dst, v.String())
	case protoreflect.BoolKind:
		return strconv.AppendBool(dst, v.Bool())
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return strconv.AppendUint(dst, v.Uint(), 10)
	default: // the schema has no floats
		return strconv.AppendInt(dst, v.Int(), 10)
	}
}

// appendText writes a JSON string as encoding/json does, without escaping for HTML.
func appendText(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			var out bytes.Buffer
			e := json.NewEncoder(&out)
			e.SetEscapeHTML(false)
			_ = e.Encode(s) // a string always encodes
			return append(dst, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

const timeFormat = "2006-01-02T15:04:05.000Z"

// appendTime writes a time in RFC 3339 with milliseconds, in UTC.
func appendTime(dst []byte, ms int64) []byte {
	return time.UnixMilli(ms).UTC().AppendFormat(dst, timeFormat)
}

// moment is a time as text; 0 is no time.
func moment(ms int64) string {
	if ms == 0 {
		return ""
	}
	return string(appendTime(nil, ms))
}

// AppendData encodes the data of an event.
func AppendData(dst []byte, e *v1.Event) []byte { return appendMessage(dst, e.Body()) }
