package scenario

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// teller writes facts as lines for people. It knows jobs by their ids.
type teller struct {
	jobs map[uint64]string
}

// listed is how many members of a list are written out; of a longer one the first, the last and how many.
const listed = 6

// clock is a time of a story: hours since its first midnight, minutes and seconds, and milliseconds if there are any.
func clock(ms int64) string {
	d := time.Duration(ms-MidnightMs) * time.Millisecond
	s := fmt.Sprintf("%02d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
	if rest := d.Milliseconds() % 1000; rest != 0 {
		s += fmt.Sprintf(".%03d", rest)
	}
	return s
}

// event is one line: its name, what it says, and why.
func (t *teller) event(e *v1.Entry) string {
	if c := e.Event.GetJobCreated(); c != nil {
		t.jobs[c.Job] = c.JobId
	}
	var s string
	switch x := e.Event.Event.(type) {
	case *v1.Event_ExecutionQueued:
		q := x.ExecutionQueued
		s = fmt.Sprintf("%s %s #%d QUEUED", t.job(q.Job), q.Thing.GetName(), q.ExecutionNumber)
		if q.RetryAttempt > 0 {
			s += fmt.Sprintf(" retry=%d", q.RetryAttempt)
		}
	case *v1.Event_ExecutionChanged:
		s = t.changed(x.ExecutionChanged)
	default:
		s = t.message(e.Event.Body())
	}
	s = strings.TrimSpace(e.Event.Type() + " " + s)
	if why := e.Reason.Sentence(); why != "" {
		s += " (" + why + ")"
	}
	return s
}

func (t *teller) changed(c *v1.ExecutionChanged) string {
	s := fmt.Sprintf("%s %s #%d %s -> %s version=%d", t.job(c.Job), c.Thing, c.ExecutionNumber, c.From.Word(), c.To.Word(), c.VersionNumber)
	if len(c.StatusDetails) > 0 {
		s += " details=" + t.details(c.StatusDetails)
	}
	if !c.To.Terminal() {
		if c.InProgressDeadlineMs != 0 {
			s += " in_progress_until=" + clock(c.InProgressDeadlineMs)
		}
		if c.StepDeadlineMs != 0 {
			s += " step_until=" + clock(c.StepDeadlineMs)
		}
	}
	if c.ForceCanceled {
		s += " force_canceled"
	}
	if c.RetryDue {
		s += " retry_due"
	}
	return s
}

func (t *teller) details(list []*v1.Detail) string {
	var out []string
	for _, d := range list {
		out = append(out, d.Name+":"+d.Value)
	}
	return "{" + strings.Join(out, " ") + "}"
}

func (t *teller) job(number uint64) string {
	if name := t.jobs[number]; name != "" {
		return name
	}
	return fmt.Sprintf("job-number-%d", number)
}

// untold are fields that say nothing to people: places, and what is written out elsewhere.
var untold = map[string]bool{"document": true, "resume": true, "position": true, "targets_known_at": true, "checked": true, "number": true, "group_number": true, "stamp": true}

// message writes what is set in a message, field by field.
func (t *teller) message(m protoreflect.Message) string {
	var out []string
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if !m.Has(f) || untold[string(f.Name())] {
			continue
		}
		name, v := string(f.Name()), ""
		if f.IsList() {
			v = t.list(f, m.Get(f).List())
		} else {
			v = t.value(f, m.Get(f))
		}
		switch {
		case name == "job" || name == "thing" || name == "name" || name == "job_id" && !hasJob(m) || name == "group" && f.ContainingOneof() == nil:
			out = append(out, v)
		case name == "job_id" || v == "":
		case f.Kind() == protoreflect.BoolKind && !f.IsList():
			out = append(out, name)
		default:
			out = append(out, strings.TrimSuffix(strings.TrimSuffix(name, "_ms"), "_at")+"="+v)
		}
	}
	return strings.Join(out, " ")
}

func hasJob(m protoreflect.Message) bool { return m.Descriptor().Fields().ByName("job") != nil }

func (t *teller) list(f protoreflect.FieldDescriptor, l protoreflect.List) string {
	var out []string
	for i := range l.Len() {
		switch {
		case l.Len() <= listed || i == 0 || i == l.Len()-1:
			out = append(out, t.value(f, l.Get(i)))
		case i == 1:
			out = append(out, "…")
		}
	}
	s := strings.Join(out, " ")
	if l.Len() > listed {
		s += fmt.Sprintf(" (%d)", l.Len())
	}
	return "[" + s + "]"
}

func (t *teller) value(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch name := string(f.Name()); {
	case f.Kind() == protoreflect.MessageKind:
		return t.nested(v.Message())
	case f.Kind() == protoreflect.EnumKind:
		values := f.Enum().Values()
		prefix, _ := strings.CutSuffix(string(values.Get(0).Name()), "UNSPECIFIED")
		if d := values.ByNumber(v.Enum()); d != nil {
			return strings.TrimPrefix(string(d.Name()), prefix)
		}
		return fmt.Sprint(v.Enum())
	case name == "job" && f.Kind() == protoreflect.Uint64Kind:
		return t.job(v.Uint())
	case strings.HasSuffix(name, "_ms") && v.Int() > 0:
		return clock(v.Int())
	case f.Kind() == protoreflect.BytesKind:
		return string(v.Bytes())
	case f.Kind() == protoreflect.StringKind && strings.ContainsAny(v.String(), " \n"):
		return fmt.Sprintf("%q", v.String())
	}
	return v.String()
}

func (t *teller) nested(m protoreflect.Message) string {
	switch x := m.Interface().(type) {
	case *v1.ThingRef:
		return x.Name
	case *v1.Target:
		if x.GetGroup() != "" {
			return "group/" + x.GetGroup()
		}
		return "thing/" + x.GetThing()
	case *v1.Detail:
		return x.Name + ":" + x.Value
	case *v1.Tag:
		return x.Key + ":" + x.Value
	case *v1.Attribute:
		return x.Name + ":" + x.Value
	case *v1.Position:
		return id.FormatPosition(x)
	case *v1.Reason:
		return x.Sentence()
	}
	return "{" + t.message(m) + "}"
}
