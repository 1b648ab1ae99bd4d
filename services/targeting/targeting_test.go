package targeting

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
	"github.com/droverhq/drover/services/core/coretest"
)

// fixture is a run of the core that reads as a story. Slices hold three things and look at seven rows, so that few
// things make many, some of them empty.
type fixture struct {
	*coretest.Run
	t testing.TB
}

func newFixture(t testing.TB) *fixture {
	return &fixture{Run: coretest.New(t, targeting{slices: bounds{things: 3, looks: 7, jobs: 2}}, id.TargetingLog), t: t}
}

// oneSlice does one call of Due at a time: coretest stops where nothing is due at once.
type oneSlice struct{ core.Core }

func (c oneSlice) Due(s *core.Step) int64 {
	c.Core.Due(s)
	return core.Never
}

// must decides a command that is to be accepted.
func (f *fixture) must(cmd proto.Message) proto.Message {
	f.t.Helper()
	reply, err := f.Decide(cmd)
	if err != nil {
		f.t.Fatalf("%v: %v", cmd, err)
	}
	return reply
}

func (f *fixture) things(names ...string) *fixture {
	f.t.Helper()
	f.must(things(names...))
	return f
}

// group creates a group with members; parent may be empty.
func (f *fixture) group(name, parent string, members ...string) *fixture {
	f.t.Helper()
	f.must(&v1.CreateGroup{Group: name, Parent: parent})
	if len(members) > 0 {
		f.must(&v1.AddThings{Group: name, Things: members})
	}
	return f
}

func (f *fixture) start(job uint64, targets ...*v1.Target) {
	f.React(id.JobLog.Position(job, 1), &v1.Event{Event: &v1.Event_JobStarted{JobStarted: &v1.JobStarted{
		Job: job, Targets: targets, TargetSelection: v1.TargetSelection_TARGET_SELECTION_SNAPSHOT,
	}}})
}

func (f *fixture) cancel(job uint64) {
	f.React(id.JobLog.Position(job, 2), &v1.Event{Event: &v1.Event_JobCancelStarted{JobCancelStarted: &v1.JobCancelStarted{Job: job}}})
}

// slice does one call of Due.
func (f *fixture) slice() {
	whole := f.Core
	f.Core = oneSlice{whole}
	f.Due()
	f.Core = whole
}

// selected is what the log says was selected for a job: names in order.
func (f *fixture) selected(job uint64) (list []string) {
	for _, p := range f.History {
		if e := p.Entry.Event.GetThingsSelected(); e.GetJob() == job {
			for _, thing := range e.Things {
				list = append(list, thing.Name)
			}
		}
	}
	return list
}

// finishedWith is the reason of a job's SelectionFinished, and what it counts.
func (f *fixture) finishedWith(job uint64) (reason v1.ReasonCode, things uint64) {
	f.t.Helper()
	for _, p := range f.History {
		if e := p.Entry.Event.GetSelectionFinished(); e.GetJob() == job {
			return p.Entry.GetReason().GetCode(), e.Things
		}
	}
	f.t.Fatalf("the selection for job %d has not finished", job)
	return 0, 0
}

func things(names ...string) *v1.CreateThings {
	cmd := new(v1.CreateThings)
	for _, name := range names {
		cmd.Things = append(cmd.Things, &v1.NewThing{Name: name})
	}
	return cmd
}

func thing(name string) *v1.Target { return &v1.Target{Target: &v1.Target_Thing{Thing: name}} }
func group(name string) *v1.Target { return &v1.Target{Target: &v1.Target_Group{Group: name}} }

func numbered(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("thing-%05d", i))
	}
	return list
}

const (
	codeInvalid  = v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST
	codeNotFound = v1.RefusalCode_REFUSAL_CODE_NOT_FOUND
	codeExists   = v1.RefusalCode_REFUSAL_CODE_ALREADY_EXISTS
	codeLimit    = v1.RefusalCode_REFUSAL_CODE_LIMIT_EXCEEDED
	codeNotOurs  = v1.RefusalCode_REFUSAL_CODE_NOT_SUPPORTED
)

// fleet is what the refusals below are refused against.
func fleet(f *fixture) {
	f.things(numbered(20)...)
	f.must(&v1.CreateThingType{ThingType: "press-v2"})
	f.must(&v1.CreateThings{Things: []*v1.NewThing{{Name: "press", ThingType: "press-v2", Attributes: []*v1.Attribute{{Name: "site", Value: "oslo"}, {Name: "line", Value: "3"}}}}})
	f.group("root", "").group("left", "root", "thing-00000").group("right", "root")
	for i := 1; i <= 10; i++ {
		f.group(fmt.Sprintf("tree-%d", i), "", "thing-00001")
	}
	f.group("depth-1", "")
	for i := 2; i <= 7; i++ {
		f.group(fmt.Sprintf("depth-%d", i), fmt.Sprintf("depth-%d", i-1))
	}
	f.group("wide", "")
	for i := range 100 {
		f.group(fmt.Sprintf("wide-%d", i), "wide")
	}
}

func TestABadCommandIsRefusedByField(t *testing.T) {
	long := strings.Repeat("a", 129)
	attributes := func(list ...*v1.Attribute) *v1.CreateThings {
		return &v1.CreateThings{Things: []*v1.NewThing{{Name: "x", Attributes: list}}}
	}
	many := make([]*v1.Attribute, 51)
	for i := range many {
		many[i] = &v1.Attribute{Name: fmt.Sprintf("a%d", i)}
	}
	fat := new(v1.CreateThings)
	for i := range 41 {
		fat.Things = append(fat.Things, &v1.NewThing{Name: fmt.Sprintf("x%d", i), Attributes: []*v1.Attribute{{Name: "a", Value: strings.Repeat("b", 800)}}})
	}
	typed := func(list []*v1.Attribute) *v1.CreateThings {
		return &v1.CreateThings{Things: []*v1.NewThing{{Name: "x", ThingType: "press-v2", Attributes: list}}}
	}
	tests := []struct {
		name  string
		cmd   proto.Message
		code  v1.RefusalCode
		field string
		says  string
	}{
		{"no things", &v1.CreateThings{}, codeInvalid, "thingName", "1 to 1000"},
		{"1,001 things", things(numbered(1001)...), codeInvalid, "thingName", "split it"},
		{"more than 32 KiB", fat, codeInvalid, "thingName", "at most 32768"},
		{"a thing without a name", things(""), codeInvalid, "thingName", "1 to 128"},
		{"a missing thing", &v1.CreateThings{Things: []*v1.NewThing{nil}}, codeInvalid, "thingName", "1 to 128"},
		{"a thing of 129 characters", things(long), codeInvalid, "thingName", "129"},
		{"a thing with a dot", things("a.b"), codeInvalid, "thingName", "'.'"},
		{"a thing with a wildcard", things("a*"), codeInvalid, "thingName", "'*'"},
		{"a thing with a tail wildcard", things("ok", ">"), codeInvalid, "thingName", "'>'"},
		{"a thing with a space", things("a b"), codeInvalid, "thingName", "' '"},
		{"a thing with a zero byte", things("a\x00"), codeInvalid, "thingName", `'\x00'`},
		{"a thing named twice", things("a", "b", "a"), codeInvalid, "thingName", "a is named twice"},
		{"a thing named twice, once by ARN", things("a", "arn:aws:iot:eu-west-1:1:thing/a"), codeInvalid, "thingName", "a is named twice"},
		{"a bad type", &v1.CreateThings{Things: []*v1.NewThing{{Name: "x", ThingType: "a b"}}}, codeInvalid, "thingTypeName", "' '"},
		{"a type of 129 characters", &v1.CreateThings{Things: []*v1.NewThing{{Name: "x", ThingType: long}}}, codeInvalid, "thingTypeName", "1 to 128"},
		{"51 attributes", typed(many), codeInvalid, "attributePayload.attributes", "at most 50"},
		{"four attributes without a type", attributes(many[:4]...), codeInvalid, "attributePayload.attributes", "at most 3 are allowed without"},
		{"an attribute without a name", attributes(&v1.Attribute{Value: "a"}), codeInvalid, "attributePayload.attributes", "no name"},
		{"a missing attribute", attributes(nil), codeInvalid, "attributePayload.attributes", "no name"},
		{"a bad attribute name", attributes(&v1.Attribute{Name: "a b"}), codeInvalid, "attributePayload.attributes", "' '"},
		{"an attribute name of 129 characters", attributes(&v1.Attribute{Name: long}), codeInvalid, "attributePayload.attributes", "at most 128"},
		{"a bad attribute value", attributes(&v1.Attribute{Name: "a", Value: "é"}), codeInvalid, "attributePayload.attributes", "only"},
		{"an attribute value of 801 characters", attributes(&v1.Attribute{Name: "a", Value: strings.Repeat("a", 801)}), codeInvalid, "attributePayload.attributes", "at most 800"},
		{"an attribute twice", attributes(&v1.Attribute{Name: "a"}, &v1.Attribute{Name: "a"}), codeInvalid, "attributePayload.attributes", "twice"},
		{"a thing that exists with other settings", things("new", "press"), codeExists, "thingName", "press"},
		{"delete a bad name", &v1.DeleteThing{Name: "a>"}, codeInvalid, "thingName", "'>'"},
		{"a group without a name", &v1.CreateGroup{}, codeInvalid, "thingGroupName", "1 to 128"},
		{"a group with a dot", &v1.CreateGroup{Group: "a.b"}, codeInvalid, "thingGroupName", "'.'"},
		{"a bad parent", &v1.CreateGroup{Group: "a", Parent: "b*"}, codeInvalid, "parentGroupName", "'*'"},
		{"an unknown parent", &v1.CreateGroup{Group: "a", Parent: "b"}, codeNotFound, "parentGroupName", "no group b"},
		{"a group as its own parent", &v1.CreateGroup{Group: "a", Parent: "a"}, codeNotFound, "parentGroupName", "no group a"},
		{"a description with a line end", &v1.CreateGroup{Group: "a", Description: "b\nc"}, codeInvalid, "thingGroupProperties.thingGroupDescription", `'\n'`},
		{"an eighth level", &v1.CreateGroup{Group: "a", Parent: "depth-7"}, codeLimit, "parentGroupName", "at most 7"},
		{"a 101st child", &v1.CreateGroup{Group: "a", Parent: "wide"}, codeLimit, "parentGroupName", "at most 100"},
		{"a group that exists with another parent", &v1.CreateGroup{Group: "left"}, codeExists, "thingGroupName", "left"},
		{"a group that exists with another description", &v1.CreateGroup{Group: "left", Parent: "root", Description: "x"}, codeExists, "thingGroupName", "left"},
		{"add to a bad group", &v1.AddThings{Group: "a.b", Things: numbered(1)}, codeInvalid, "thingGroupName", "'.'"},
		{"add to an unknown group", &v1.AddThings{Group: "a", Things: numbered(1)}, codeNotFound, "thingGroupName", "no group a"},
		{"add nothing", &v1.AddThings{Group: "root"}, codeInvalid, "thingName", "1 to 1000"},
		{"add 1,001", &v1.AddThings{Group: "root", Things: numbered(1001)}, codeInvalid, "thingName", "split it"},
		{"add a bad name", &v1.AddThings{Group: "root", Things: []string{"a.b"}}, codeInvalid, "thingName", "'.'"},
		{"add unknown things", &v1.AddThings{Group: "root", Things: []string{"a", "thing-00002", "b", "c", "d", "e", "f"}}, codeNotFound, "thingName", "a, b, c, d, e and 1 more"},
		{"add to an 11th group", &v1.AddThings{Group: "right", Things: []string{"thing-00002", "thing-00001"}}, codeLimit, "thingName", "thing-00001 is in 10 groups"},
		{"add to a sibling", &v1.AddThings{Group: "right", Things: []string{"thing-00000"}}, codeInvalid, "thingGroupName", "is in group left"},
		{"add to the parent", &v1.AddThings{Group: "root", Things: []string{"thing-00000"}}, codeInvalid, "thingGroupName", "its root is root"},
		{"remove from an unknown group", &v1.RemoveThings{Group: "a", Things: numbered(1)}, codeNotFound, "thingGroupName", "no group a"},
		{"remove nothing", &v1.RemoveThings{Group: "root"}, codeInvalid, "thingName", "1 to 1000"},
		{"remove a bad name", &v1.RemoveThings{Group: "root", Things: []string{""}}, codeInvalid, "thingName", "1 to 128"},
		{"remove an unknown thing", &v1.RemoveThings{Group: "root", Things: []string{"thing-00002", "a"}}, codeNotFound, "thingName", "unknown: a"},
		{"a command of another service", &v1.CancelJob{}, codeNotOurs, "", "CancelJob"},
	}
	f := newFixture(t)
	fleet(f)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := f.Decide(test.cmd)
			var got *v1.Refusal
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want a refusal", err)
			}
			if got.Code != test.code || got.Field != test.field || !strings.Contains(got.Message, test.says) {
				t.Errorf("got %s of %q: %s\nwant %s of %q: …%s…", got.Code, got.Field, got.Message, test.code, test.field, test.says)
			}
			if len(f.Fresh) != 0 {
				t.Errorf("a refused command wrote %s", coretest.Text(f.Fresh))
			}
		})
	}
}

func TestAnAcceptedCommandChangesNothingWhenRepeated(t *testing.T) {
	tests := []struct {
		name          string
		cmd           proto.Message
		events        int
		first, second proto.Message // replies, without position and number
	}{
		{"create things", things("a", "b"), 2, &v1.CreateThingsReply{Created: 2}, &v1.CreateThingsReply{Existing: 2}},
		{"create some that exist", things("thing-00003", "b"), 1, &v1.CreateThingsReply{Created: 1, Existing: 1}, &v1.CreateThingsReply{Existing: 2}},
		{"create with the same attributes in another order", &v1.CreateThings{Things: []*v1.NewThing{{Name: "press", ThingType: "press-v2", Attributes: []*v1.Attribute{{Name: "line", Value: "3"}, {Name: "site", Value: "oslo"}}}}}, 0, &v1.CreateThingsReply{Existing: 1}, &v1.CreateThingsReply{Existing: 1}},
		{"delete a thing", &v1.DeleteThing{Name: "press"}, 1, &v1.DeleteThingReply{Existed: true}, &v1.DeleteThingReply{}},
		{"delete a member", &v1.DeleteThing{Name: "thing-00001"}, 11, &v1.DeleteThingReply{Existed: true}, &v1.DeleteThingReply{}},
		{"create a group", &v1.CreateGroup{Group: "a", Description: "d"}, 1, &v1.CreateGroupReply{}, &v1.CreateGroupReply{Existed: true}},
		{"create a child", &v1.CreateGroup{Group: "a", Parent: "root"}, 1, &v1.CreateGroupReply{}, &v1.CreateGroupReply{Existed: true}},
		{"add things", &v1.AddThings{Group: "left", Things: []string{"thing-00000", "thing-00002", "thing-00003", "thing-00002"}}, 2, &v1.AddThingsReply{Joined: 2}, &v1.AddThingsReply{}},
		{"add a thing to 10 groups again", &v1.AddThings{Group: "tree-3", Things: []string{"thing-00001"}}, 0, &v1.AddThingsReply{}, &v1.AddThingsReply{}},
		{"remove things", &v1.RemoveThings{Group: "tree-1", Things: []string{"thing-00001", "thing-00002"}}, 1, &v1.RemoveThingsReply{Left: 1}, &v1.RemoveThingsReply{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			fleet(f)
			for i, want := range []proto.Message{test.first, test.second} {
				reply := f.must(test.cmd)
				events := test.events
				if i == 1 {
					events = 0
				}
				if len(f.Fresh) != events {
					t.Errorf("decision %d wrote %d events, want %d", i+1, len(f.Fresh), events)
				}
				if p := reply.(interface{ GetPosition() *v1.Position }).GetPosition(); p.GetService() != v1.Service_SERVICE_TARGETING || p.Number == 0 {
					t.Errorf("decision %d: position %v", i+1, p)
				}
				got := proto.Clone(reply)
				for _, name := range []protoreflect.Name{"position", "number"} {
					if field := got.ProtoReflect().Descriptor().Fields().ByName(name); field != nil {
						got.ProtoReflect().Clear(field)
					}
				}
				if !proto.Equal(got, want) {
					t.Errorf("decision %d: got %v, want %v", i+1, got, want)
				}
			}
		})
	}
}

// Number is what AWS's ids are made of.
func TestACreationTellsTheNumberAndSoDoesItsRepeat(t *testing.T) {
	f := newFixture(t)
	number := func(cmd proto.Message) uint64 { return f.must(cmd).(interface{ GetNumber() uint64 }).GetNumber() }
	first := number(things("a"))
	if first == 0 || first != f.Fresh[0].Event.GetThingCreated().Thing.Number || number(things("a")) != first || number(things("a", "b")) != 0 {
		t.Errorf("thing a is %d", first)
	}
	if n := number(&v1.CreateThings{Things: []*v1.NewThing{{Name: "arn:aws:iot:eu-west-1:1:thing/a"}}}); n != first {
		t.Errorf("thing a by its ARN is %d, by its name %d", n, first)
	}
	first = number(&v1.CreateGroup{Group: "g"})
	if first == 0 || first != f.Fresh[0].Event.GetGroupCreated().Number || number(&v1.CreateGroup{Group: "g"}) != first {
		t.Errorf("group g is %d", first)
	}
}

func TestAThingIsWhatItsCreationSays(t *testing.T) {
	f := newFixture(t)
	f.must(&v1.CreateThingType{ThingType: "press"})
	f.must(&v1.CreateThings{Things: []*v1.NewThing{
		{Name: "a", ThingType: "press", Attributes: []*v1.Attribute{{Name: "z", Value: "1"}, {Name: "b"}}},
		{Name: "arn:aws:iot:eu-west-1:123456789012:thing/b"},
	}})
	want := []*v1.ThingCreated{
		{Thing: &v1.ThingRef{Name: "a", Number: id.Number(2, 0)}, ThingType: "press", Attributes: []*v1.Attribute{{Name: "b"}, {Name: "z", Value: "1"}}},
		{Thing: &v1.ThingRef{Name: "b", Number: id.Number(2, 1)}},
	}
	for i, e := range f.Fresh {
		if !proto.Equal(e.Event.GetThingCreated(), want[i]) {
			t.Errorf("got %v, want %v", e.Event, want[i])
		}
	}
	f.must(&v1.DeleteThing{Name: "a"})
	f.things("a")
	if got := f.Fresh[0].Event.GetThingCreated().Thing.Number; got != id.Number(4, 0) {
		t.Errorf("the second thing of that name has number %d, want %d", got, id.Number(4, 0))
	}
}

func TestADeletedThingLeavesItsGroupsFirst(t *testing.T) {
	f := newFixture(t).things("a").group("g", "", "a").group("h", "", "a")
	f.must(&v1.DeleteThing{Name: "a"})
	ref := &v1.ThingRef{Name: "a", Number: id.Number(1, 0)}
	want := []*v1.Event{
		{Event: &v1.Event_ThingLeft{ThingLeft: &v1.ThingLeft{Group: "g", GroupNumber: id.Number(2, 0), Thing: ref}}},
		{Event: &v1.Event_ThingLeft{ThingLeft: &v1.ThingLeft{Group: "h", GroupNumber: id.Number(4, 0), Thing: ref}}},
		{Event: &v1.Event_ThingDeleted{ThingDeleted: &v1.ThingDeleted{Thing: ref}}},
	}
	if !slices.EqualFunc(f.Fresh, want, func(e *v1.Entry, w *v1.Event) bool { return proto.Equal(e.Event, w) }) {
		t.Errorf("got\n%s", coretest.Text(f.Fresh))
	}
	f.things("a")
	f.must(&v1.AddThings{Group: "g", Things: []string{"a"}})
	if len(f.Fresh) != 1 {
		t.Errorf("the new thing of that name was taken for a member: %s", coretest.Text(f.Fresh))
	}
}

func TestCheckTargetsNamesWhatIsUnknown(t *testing.T) {
	f := newFixture(t).things("a", "b").group("g", "")
	f.must(&v1.DeleteThing{Name: "b"})
	reply, err := f.Answer(&v1.CheckTargets{Targets: []*v1.Target{
		thing("a"), group("g"), thing("arn:aws:iot:eu-west-1:1:thing/a"), group("arn:aws:iot:eu-west-1:1:thinggroup/g"),
		thing("b"), thing("g"), group("a"), thing(""), {}, nil, thing("a>"),
	}})
	want := &v1.CheckTargetsReply{AsOf: 3, Unknown: []*v1.Target{thing("b"), thing("g"), group("a"), thing(""), {}, {}, thing("a>")}}
	if err != nil || !proto.Equal(reply, want) {
		t.Errorf("got %v, %v\nwant %v", reply, err, want)
	}
	_, err = f.Answer(&v1.CheckTargets{Targets: make([]*v1.Target, 10_001)})
	var refusal *v1.Refusal
	if !errors.As(err, &refusal) || refusal.Code != codeInvalid || refusal.Field != "targets" {
		t.Errorf("got %v", err)
	}
	if _, err = f.Answer(&v1.ListThings{}); !errors.As(err, &refusal) || refusal.Code != codeNotOurs {
		t.Errorf("got %v", err)
	}
}
