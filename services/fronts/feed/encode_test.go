package feed

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// drawMessage fills a message with whatever its fields may hold, within what the schema promises beyond the types.
func drawMessage(t *rapid.T, m protoreflect.Message) {
	switch x := m.Interface().(type) {
	case *v1.Position:
		proto.Merge(x, drawLog(t).Position(rapid.Uint64Range(1, 1<<40).Draw(t, "number"), rapid.IntRange(0, 1<<15).Draw(t, "entry")))
		return
	case *v1.Target:
		name := rapid.StringMatching(`[a-zA-Z0-9:_-]{1,20}`).Draw(t, "name")
		if rapid.Bool().Draw(t, "group") {
			x.Target = &v1.Target_Group{Group: name}
		} else {
			x.Target = &v1.Target_Thing{Thing: name}
		}
		return
	}
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		if rapid.IntRange(0, 3).Draw(t, "absent") == 0 {
			continue
		}
		if !f.IsList() {
			m.Set(f, drawValue(t, f, m.NewField(f)))
			continue
		}
		list := m.Mutable(f).List()
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			list.Append(drawValue(t, f, list.NewElement()))
		}
		sortPairs(m, f)
	}
}

// sortPairs makes a list of details what the schema says: sorted by name, each name once.
func sortPairs(m protoreflect.Message, f protoreflect.FieldDescriptor) {
	if f.Message() == nil || f.Message().Name() != "Detail" && f.Message().Name() != "Attribute" {
		return
	}
	list, name := m.Get(f).List(), f.Message().Fields().ByName("name")
	var all []protoreflect.Message
	for i := range list.Len() {
		all = append(all, list.Get(i).Message())
	}
	slices.SortFunc(all, func(a, b protoreflect.Message) int {
		return strings.Compare(a.Get(name).String(), b.Get(name).String())
	})
	all = slices.CompactFunc(all, func(a, b protoreflect.Message) bool { return a.Get(name).String() == b.Get(name).String() })
	m.Clear(f)
	for _, p := range all {
		m.Mutable(f).List().Append(protoreflect.ValueOfMessage(p))
	}
}

func drawValue(t *rapid.T, f protoreflect.FieldDescriptor, zero protoreflect.Value) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(rapid.IntRange(0, f.Enum().Values().Len()+1).Draw(t, "enum")))
	case protoreflect.BytesKind:
		if f.Name() == "document" {
			return protoreflect.ValueOfBytes([]byte(rapid.String().Draw(t, "text")))
		}
		return protoreflect.ValueOfBytes(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(rapid.String().Draw(t, "string"))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(rapid.Uint32().Draw(t, "uint32"))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t, "uint64"))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind:
		if strings.HasSuffix(string(f.Name()), "_ms") {
			return protoreflect.ValueOfInt64(rapid.Int64Range(0, 4e12).Draw(t, "ms"))
		}
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, "int64"))
	case protoreflect.MessageKind:
		drawMessage(t, zero.Message())
		return zero
	}
	t.Fatalf("the schema has a %s, which the feed does not know", f.Kind())
	return zero
}

func drawLog(t *rapid.T) id.Log { return rapid.SampledFrom(id.Logs(12)).Draw(t, "log") }

// drawRecord is an entry with any event.
func drawRecord(t *rapid.T) *record {
	event := &v1.Event{}
	fields := event.ProtoReflect().Descriptor().Fields()
	body := event.ProtoReflect().Mutable(fields.Get(rapid.IntRange(0, fields.Len()-1).Draw(t, "event"))).Message()
	drawMessage(t, body)
	if f := body.Descriptor().Fields().ByName("thing"); f != nil { // names of things are checked where they come in
		name := rapid.StringMatching(`[a-zA-Z0-9:_-]{1,20}`).Draw(t, "thing")
		if f.Kind() == protoreflect.StringKind {
			body.Set(f, protoreflect.ValueOfString(name))
		} else {
			ref := &v1.ThingRef{Name: name, Number: rapid.Uint64().Draw(t, "number")}
			body.Set(f, protoreflect.ValueOfMessage(ref.ProtoReflect()))
		}
	}
	e := &v1.Entry{Event: event}
	switch rapid.IntRange(0, 3).Draw(t, "cause") {
	case 0:
		c := &v1.CommandCause{}
		drawMessage(t, c.ProtoReflect())
		e.Cause = &v1.Entry_Command{Command: c}
	case 1:
		e.Cause = &v1.Entry_Position{Position: drawLog(t).Position(rapid.Uint64Range(1, 1<<40).Draw(t, "number"), rapid.IntRange(0, 1<<15).Draw(t, "entry"))}
	case 2:
		e.Cause = &v1.Entry_Timer{Timer: &v1.TimerCause{DueMs: rapid.Int64Range(0, 4e12).Draw(t, "due")}}
	}
	if rapid.Bool().Draw(t, "has a reason") {
		e.Reason = &v1.Reason{
			Code:    v1.ReasonCode(rapid.IntRange(0, len(v1.ReasonCode_name)+1).Draw(t, "code")),
			Numbers: rapid.SliceOf(rapid.Int64()).Draw(t, "numbers"),
		}
		if len(e.Reason.Numbers) == 0 {
			e.Reason.Numbers = nil
		}
	}
	r := &record{
		log: drawLog(t), logID: rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "log id"), at: rapid.Int64Range(1, 4e12).Draw(t, "at"),
		num: rapid.Uint64Range(1, 1<<40).Draw(t, "commit"), index: rapid.IntRange(0, 1<<15).Draw(t, "index"), entry: e,
	}
	if event.Job() != 0 {
		r.jobID = rapid.StringMatching(`[a-zA-Z0-9_-]{1,20}`).Draw(t, "job id")
	}
	return r
}

// Whatever event is written is a valid CloudEvent, and is read back as it stands in the log.
func TestWhatIsWrittenIsACloudEventAndReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		text := appendEvent(nil, r)

		var event cloudevents.Event
		if err := json.Unmarshal(text, &event); err != nil {
			t.Fatalf("the CloudEvents SDK cannot read it: %v\n%s", err, text)
		}
		if err := event.Validate(); err != nil {
			t.Fatalf("not a valid CloudEvent: %v\n%s", err, text)
		}
		name := r.entry.GetEvent().Type()
		if event.ID() != r.id() || event.Type() != "drover."+id.ServiceName(r.log.Service)+"."+name || event.Time().UnixMilli() != r.at {
			t.Fatalf("%s\nhas id %s, type %s, time %v", text, event.ID(), event.Type(), event.Time())
		}

		got, err := Decode(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		want := &v1.RecordedEvent{Position: r.log.Position(r.num, r.index), AtMs: r.at, Entry: r.entry, JobId: r.jobID}
		if !proto.Equal(got, want) {
			t.Fatalf("%s\nis read as %v\nnot as    %v", text, got, want)
		}
	})
}

func TestAnEvent(t *testing.T) {
	r := &record{
		log: id.ExecutionLog(0), logID: []byte("0123456789abcdef"), at: 1_795_608_000_123, num: 812, index: 3, jobID: "fw-1",
		entry: &v1.Entry{
			Cause:  &v1.Entry_Command{Command: &v1.CommandCause{}},
			Reason: &v1.Reason{Code: v1.ReasonCode_REASON_CODE_REPORTED},
			Event: &v1.Event{Event: &v1.Event_ExecutionChanged{ExecutionChanged: &v1.ExecutionChanged{
				Job: 65536, Thing: "press-07", ExecutionNumber: 1, From: v1.ExecutionStatus_EXECUTION_STATUS_QUEUED, To: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS,
				VersionNumber: 2, StatusDetails: []*v1.Detail{{Name: "phase", Value: "<flash>"}}, QueuedAtMs: 1_795_608_000_000, StartedAtMs: 1_795_608_000_123,
			}}},
		},
	}
	const want = `{"specversion":"1.0","id":"execution.0@812.3","source":"urn:drover:log:execution.0:3031323334353637",` +
		`"type":"drover.execution.ExecutionChanged","subject":"job/fw-1/thing/press-07","time":"2026-11-25T12:00:00.123Z",` +
		`"datacontenttype":"application/json","jobid":"fw-1","thing":"press-07","cause":"command","reason":"REPORTED",` +
		`"reasontext":"the device reported it","data":{"job":65536,"thing":"press-07","executionNumber":1,"from":"QUEUED","to":"IN_PROGRESS",` +
		`"versionNumber":2,"statusDetails":{"phase":"<flash>"},"queuedAt":"2026-11-25T12:00:00.000Z","startedAt":"2026-11-25T12:00:00.123Z"}}`
	if got := string(appendEvent(nil, r)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := subjectOf(r).String(); got != "drover.feed.execution.ExecutionChanged.fw-1.press-07" {
		t.Errorf("subject %s", got)
	}
}

// An event that is larger than a message may be is told without its data.
func TestAnEventThatIsTooLargeLeavesItsDataOut(t *testing.T) {
	r := &record{log: id.JobLog, logID: make([]byte, 16), at: 1, num: 2, jobID: "fw-1", entry: &v1.Entry{
		Event: &v1.Event{Event: &v1.Event_InputQuarantined{InputQuarantined: &v1.InputQuarantined{Type: "t", Input: make([]byte, 600<<10)}}},
	}}
	text := appendEvent(nil, r)
	if len(text) > eventBytes || !strings.Contains(string(text), `"dataomitted":true`) {
		t.Fatalf("%d bytes: %.300s", len(text), text)
	}
	got, err := Decode(text)
	if err != nil || got.GetEntry().GetEvent().Type() != "InputQuarantined" {
		t.Errorf("read as %v: %v", got, err)
	}
}

func TestAnEventOfALaterVersionHasNoBody(t *testing.T) {
	got, err := Decode([]byte(`{"specversion":"1.0","id":"job@5.0","source":"s","type":"drover.job.JobPainted","time":"2026-11-25T12:00:00.000Z","data":{"color":"red"}}`))
	if err != nil || got.GetEntry().GetEvent().Type() != "" || id.FormatPosition(got.GetPosition()) != "job@5" {
		t.Errorf("%v: %v", got, err)
	}
}

func TestSubjectsAreParsedByTheirTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		s := subjectOf(r)
		if r.jobID == "" && strings.Split(s.String(), ".")[4] != "~" {
			t.Fatalf("%s names a job", s)
		}
		if got, err := ParseSubject(s.String()); err != nil || got != s {
			t.Fatalf("%s is parsed as %+v: %v", s, got, err)
		}
	})
	for _, bad := range []string{"", "drover.feed.job.JobCreated", "drover.feed.job..fw-1", "drover.feed.x.JobCreated.fw-1", "drover.feed.job.JobCreated.fw-1.a.b", "drover.feed.job.JobCreated.fw-1.a b", "feed.job.JobCreated.fw-1"} {
		if s, err := ParseSubject(bad); err == nil {
			t.Errorf("%q is parsed as %+v", bad, s)
		}
	}
}

// Whatever somebody else puts into the feed is refused, not a panic.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"specversion":"1.0","id":"execution.0@812.3","type":"drover.execution.ExecutionChanged","time":"2026-11-25T12:00:00.123Z","cause":"position","causeref":"rollout@8","reason":"PACE","reasonnumbers":"1,2","data":{"job":1,"statusDetails":{"a":"b"},"from":"QUEUED"}}`))
	f.Add([]byte(`{"id":"job@5.0","type":"drover.job.JobCreated","time":"2026-11-25T12:00:00Z","data":{"targets":["thing/a","group/b"],"document":"{}","rollout":{"maximumPerMinute":3}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if e, err := Decode(text); err == nil && e.GetPosition() == nil {
			t.Error("no error, and no position")
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	r := &record{
		log: id.ExecutionLog(0), logID: []byte("0123456789abcdef"), at: 1_795_608_000_123, num: 812, index: 3, jobID: "fw-1",
		entry: &v1.Entry{
			Cause:  &v1.Entry_Command{Command: &v1.CommandCause{}},
			Reason: &v1.Reason{Code: v1.ReasonCode_REASON_CODE_REPORTED},
			Event: &v1.Event{Event: &v1.Event_ExecutionChanged{ExecutionChanged: &v1.ExecutionChanged{
				Job: 65536, Thing: "press-07", ExecutionNumber: 1, From: v1.ExecutionStatus_EXECUTION_STATUS_QUEUED, To: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS,
				VersionNumber: 2, StatusDetails: []*v1.Detail{{Name: "phase", Value: "flash"}}, QueuedAtMs: 1_795_608_000_000, StartedAtMs: 1_795_608_000_123,
			}}},
		},
	}
	var dst []byte
	for b.Loop() {
		dst = appendEvent(dst[:0], r)
	}
	b.SetBytes(int64(len(dst)))
}
