package targeting

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core/coretest"
)

const codeVersion = v1.RefusalCode_REFUSAL_CODE_VERSION_MISMATCH

// decision is one command on its own fixture: refused with a code and words, or taken with events, and none for what
// changes nothing.
type decision struct {
	name  string
	given []proto.Message
	cmd   proto.Message
	code  v1.RefusalCode
	says  string
	then  []*v1.Event
}

func decide(t *testing.T, given []proto.Message, tests []decision) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			for _, cmd := range slices.Concat(given, test.given) {
				f.must(cmd)
			}
			f.want(test.cmd, test.code, test.says, test.then...)
		})
	}
}

// want decides a command, and holds what comes of it against a code with words, or against events.
func (f *fixture) want(cmd proto.Message, code v1.RefusalCode, says string, then ...*v1.Event) {
	f.t.Helper()
	_, err := f.Decide(cmd)
	var refusal *v1.Refusal
	if errors.As(err, &refusal); refusal.GetCode() != code || !strings.Contains(refusal.GetMessage(), says) || err != nil && refusal == nil {
		f.t.Fatalf("%v: got %v, want %s …%s…", cmd, err, code, says)
	}
	if !slices.EqualFunc(f.Fresh, then, func(e *v1.Entry, w *v1.Event) bool { return proto.Equal(e.Event, w) }) {
		f.t.Errorf("%v: got\n%swant\n%v", cmd, coretest.Text(f.Fresh), then)
	}
}

// attributes are written name=value.
func attributes(list ...string) (attributes []*v1.Attribute) {
	for _, text := range list {
		name, value, _ := strings.Cut(text, "=")
		attributes = append(attributes, &v1.Attribute{Name: name, Value: value})
	}
	return attributes
}

func many(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("a%02d=1", i))
	}
	return list
}

func tags(list ...string) (tags []*v1.Tag) {
	for _, a := range attributes(list...) {
		tags = append(tags, &v1.Tag{Key: a.Name, Value: a.Value})
	}
	return tags
}

func manyTags(from, to int) (list []*v1.Tag) {
	for i := from; i < to; i++ {
		list = append(list, &v1.Tag{Key: fmt.Sprintf("k%02d", i)})
	}
	return list
}

func newType(name string) proto.Message   { return &v1.CreateThingType{ThingType: name} }
func deprecate(name string) proto.Message { return &v1.DeprecateThingType{ThingType: name} }
func restore(name string) proto.Message   { return &v1.DeprecateThingType{ThingType: name, Undo: true} }
func deleteType(name string) proto.Message {
	return &v1.DeleteThingType{ThingType: name}
}
func typed(thing, thingType string, list ...string) proto.Message {
	return &v1.CreateThings{Things: []*v1.NewThing{{Name: thing, ThingType: thingType, Attributes: attributes(list...)}}}
}

func typeCreated(e *v1.ThingTypeCreated) *v1.Event {
	return &v1.Event{Event: &v1.Event_ThingTypeCreated{ThingTypeCreated: e}}
}
func typeDeprecated(name string, undone bool) *v1.Event {
	return &v1.Event{Event: &v1.Event_ThingTypeDeprecated{ThingTypeDeprecated: &v1.ThingTypeDeprecated{ThingType: name, Undone: undone}}}
}
func typeDeleted(name string) *v1.Event {
	return &v1.Event{Event: &v1.Event_ThingTypeDeleted{ThingTypeDeleted: &v1.ThingTypeDeleted{ThingType: name}}}
}

func TestThingTypes(t *testing.T) {
	press := &v1.CreateThingType{ThingType: "press", Description: "d", SearchableAttributes: []string{"site", "line"}, Tags: tags("b=2", "a=1")}
	with := func(change func(*v1.CreateThingType)) proto.Message {
		cmd := proto.Clone(press).(*v1.CreateThingType)
		change(cmd)
		return cmd
	}
	decide(t, nil, []decision{
		{name: "create", cmd: press, then: []*v1.Event{typeCreated(&v1.ThingTypeCreated{ThingType: "press", Description: "d", SearchableAttributes: []string{"site", "line"}, Tags: tags("a=1", "b=2")})}},
		{name: "four searchable attributes", cmd: with(func(c *v1.CreateThingType) { c.SearchableAttributes = []string{"a", "b", "c", "d"} }), code: codeInvalid, says: "at most 3"},
		{name: "a searchable attribute twice", cmd: with(func(c *v1.CreateThingType) { c.SearchableAttributes = []string{"a", "a"} }), code: codeInvalid, says: "twice"},
		{name: "51 tags", cmd: with(func(c *v1.CreateThingType) { c.Tags = manyTags(0, 51) }), code: codeLimit, says: "at most 50"},
	})
	decide(t, []proto.Message{press}, []decision{
		{name: "repeat", cmd: press},
		{name: "repeat without tags", cmd: with(func(c *v1.CreateThingType) { c.Tags = nil })},
		{name: "repeat with another description", cmd: with(func(c *v1.CreateThingType) { c.Description = "e" }), code: codeExists},
		{name: "repeat with other searchable attributes", cmd: with(func(c *v1.CreateThingType) { c.SearchableAttributes = []string{"site"} }), code: codeExists},
		{name: "repeat with other tags", cmd: with(func(c *v1.CreateThingType) { c.Tags = tags("a=1") }), code: codeExists},
		{name: "deprecate", cmd: deprecate("press"), then: []*v1.Event{typeDeprecated("press", false)}},
		{name: "deprecate again", given: []proto.Message{deprecate("press")}, cmd: deprecate("press")},
		{name: "deprecate an unknown one", cmd: deprecate("other"), code: codeNotFound},
		{name: "undo", given: []proto.Message{deprecate("press")}, cmd: restore("press"), then: []*v1.Event{typeDeprecated("press", true)}},
		{name: "undo nothing", cmd: restore("press")},
		{name: "give a deprecated one", given: []proto.Message{deprecate("press")}, cmd: typed("a", "press"), code: codeInvalid, says: "deprecated"},
		{name: "give an unknown one", cmd: typed("a", "other"), code: codeNotFound},
		{name: "delete one that is not deprecated", cmd: deleteType("press"), code: codeInvalid, says: "deprecate it first"},
		{name: "delete one after undoing", given: []proto.Message{deprecate("press"), restore("press")}, cmd: deleteType("press"), code: codeInvalid, says: "deprecate it first"},
		{name: "delete an unknown one", cmd: deleteType("other"), code: codeNotFound},
		{name: "delete one in use", given: []proto.Message{typed("a", "press"), deprecate("press")}, cmd: deleteType("press"), code: codeInvalid, says: "1 things have"},
		{name: "delete one whose thing is deleted", given: []proto.Message{typed("a", "press"), deprecate("press"), &v1.DeleteThing{Name: "a"}}, cmd: deleteType("press"), then: []*v1.Event{typeDeleted("press")}},
		{name: "delete one whose thing lost it", given: []proto.Message{typed("a", "press"), deprecate("press"), &v1.UpdateThing{Name: "a", RemoveThingType: true}}, cmd: deleteType("press"), then: []*v1.Event{typeDeleted("press")}},
		{name: "delete one that a thing got", given: []proto.Message{things("a"), &v1.UpdateThing{Name: "a", ThingType: proto.String("press")}, deprecate("press")}, cmd: deleteType("press"), code: codeInvalid, says: "1 things have"},
		{name: "delete", given: []proto.Message{deprecate("press")}, cmd: deleteType("press"), then: []*v1.Event{typeDeleted("press")}},
		{name: "create it anew, without its tags", given: []proto.Message{deprecate("press"), deleteType("press"), newType("press")}, cmd: &v1.CreateThingType{ThingType: "press", Tags: press.Tags}, code: codeExists},
	})
}

func TestAThingTypeIsDeletedFiveMinutesAfterItsDeprecationByAWSLimits(t *testing.T) {
	f := newFixture(t)
	f.Core = New(AWSLimits())
	f.must(newType("press"))
	f.must(deprecate("press"))
	f.Now += 200_000
	f.must(restore("press"))
	f.must(deprecate("press")) // counts from here
	f.Now += 299_999
	f.must(deprecate("press")) // changes nothing
	f.want(deleteType("press"), codeInvalid, "in 1 s")
	f.Now++
	f.want(deleteType("press"), 0, "", typeDeleted("press"))
}

func TestUpdateThing(t *testing.T) {
	given := []proto.Message{newType("press"), newType("drill"), newType("old"), typed("a", "press", "line=3", "site=oslo"), things("plain"), deprecate("old")}
	number := id.Number(4, 0)
	updated := func(version uint64, thingType string, list ...string) []*v1.Event {
		return []*v1.Event{{Event: &v1.Event_ThingUpdated{ThingUpdated: &v1.ThingUpdated{
			Thing: &v1.ThingRef{Name: "a", Number: number}, Version: version, ThingType: thingType, Attributes: attributes(list...),
		}}}}
	}
	was := func(before string, list []*v1.Event) []*v1.Event {
		e := list[0].GetThingUpdated()
		e.TypeChanged, e.TypeBefore = true, before
		return list
	}
	merge := func(list ...string) *v1.UpdateThing {
		return &v1.UpdateThing{Name: "a", ChangeAttributes: true, Merge: true, Attributes: attributes(list...)}
	}
	replace := func(list ...string) *v1.UpdateThing {
		return &v1.UpdateThing{Name: "a", ChangeAttributes: true, Attributes: attributes(list...)}
	}
	plain := func(list ...string) *v1.UpdateThing {
		return &v1.UpdateThing{Name: "plain", ChangeAttributes: true, Attributes: attributes(list...)}
	}
	toType := func(name string) *v1.UpdateThing { return &v1.UpdateThing{Name: "a", ThingType: proto.String(name)} }
	expected := func(version uint64) *v1.UpdateThing {
		return &v1.UpdateThing{Name: "a", RemoveThingType: true, ExpectedVersion: version}
	}
	decide(t, given, []decision{
		{name: "an unknown thing", cmd: &v1.UpdateThing{Name: "b"}, code: codeNotFound},
		{name: "nothing", cmd: &v1.UpdateThing{Name: "a"}},
		{name: "merge", cmd: merge("zone=1", "line=4", "area=x"), then: updated(2, "press", "area=x", "line=4", "site=oslo", "zone=1")},
		{name: "merge an empty value", cmd: merge("line=", "other="), then: updated(2, "press", "site=oslo")},
		{name: "merge what is there", cmd: merge("line=3", "other=")},
		{name: "merge nothing", cmd: merge()},
		{name: "replace all", cmd: replace("zone=1"), then: updated(2, "press", "zone=1")},
		{name: "replace with nothing", cmd: replace(), then: updated(2, "press")},
		{name: "replace with what is there", cmd: replace("site=oslo", "line=3")},
		{name: "attributes that are not to be changed", cmd: &v1.UpdateThing{Name: "a", Attributes: attributes("b=1")}, code: codeInvalid, says: "not to be changed"},
		{name: "a second change", given: []proto.Message{merge("line=4")}, cmd: merge("line=5"), then: updated(3, "press", "line=5", "site=oslo")},
		{name: "a type", cmd: toType("drill"), then: was("press", updated(2, "drill", "line=3", "site=oslo"))},
		{name: "a type for a thing that had none", cmd: &v1.UpdateThing{Name: "plain", ThingType: proto.String("drill")}, then: []*v1.Event{{Event: &v1.Event_ThingUpdated{
			ThingUpdated: &v1.ThingUpdated{Thing: &v1.ThingRef{Name: "plain", Number: id.Number(5, 0)}, Version: 2, ThingType: "drill", TypeChanged: true},
		}}}},
		{name: "the same type", cmd: toType("press")},
		{name: "the same type, deprecated since", given: []proto.Message{deprecate("press")}, cmd: &v1.UpdateThing{Name: "a", ThingType: proto.String("press"), ChangeAttributes: true}, then: updated(2, "press")},
		{name: "an unknown type", cmd: toType("other"), code: codeNotFound},
		{name: "a deprecated type", cmd: toType("old"), code: codeInvalid, says: "deprecated"},
		{name: "an empty type", cmd: toType(""), code: codeInvalid, says: "removeThingType"},
		{name: "a type and none", cmd: &v1.UpdateThing{Name: "a", ThingType: proto.String("drill"), RemoveThingType: true}, code: codeInvalid, says: "one of the two"},
		{name: "no type", cmd: expected(0), then: was("press", updated(2, "", "line=3", "site=oslo"))},
		{name: "the version that is there", cmd: expected(1), then: was("press", updated(2, "", "line=3", "site=oslo"))},
		{name: "another version", cmd: expected(2), code: codeVersion, says: "found version 1"},
		{name: "the version before", given: []proto.Message{merge("line=4")}, cmd: expected(1), code: codeVersion, says: "found version 2"},
		{name: "50 attributes with a type", cmd: replace(many(50)...), then: updated(2, "press", many(50)...)},
		{name: "51 attributes with a type", given: []proto.Message{replace(many(50)...)}, cmd: merge("b=1"), code: codeInvalid, says: "at most 50"},
		{name: "a 51st for one that goes", given: []proto.Message{replace(many(50)...)}, cmd: merge("a49=", "b=1"), then: updated(3, "press", append(many(49), "b=1")...)},
		{name: "four attributes without a type", cmd: plain(many(4)...), code: codeInvalid, says: "at most 3"},
		{name: "no type with four attributes", given: []proto.Message{replace(many(4)...)}, cmd: expected(0), code: codeInvalid, says: "at most 3"},
	})
	f := newFixture(t).things("a")
	for i, want := range []uint64{2, 2, 3} {
		if got := f.must(merge([]string{"b=1", "b=1", "b="}[i])).(*v1.UpdateThingReply).Version; got != want {
			t.Errorf("update %d replies version %d, want %d", i, got, want)
		}
	}
}

func TestDeleteThingExpectsAVersion(t *testing.T) {
	change := &v1.UpdateThing{Name: "a", ChangeAttributes: true, Attributes: attributes("b=1")}
	deleted := []*v1.Event{{Event: &v1.Event_ThingDeleted{ThingDeleted: &v1.ThingDeleted{Thing: &v1.ThingRef{Name: "a", Number: id.Number(1, 0)}}}}}
	decide(t, []proto.Message{things("a")}, []decision{
		{name: "any", cmd: &v1.DeleteThing{Name: "a"}, then: deleted},
		{name: "the one that is there", given: []proto.Message{change}, cmd: &v1.DeleteThing{Name: "a", ExpectedVersion: 2}, then: deleted},
		{name: "the one before", given: []proto.Message{change}, cmd: &v1.DeleteThing{Name: "a", ExpectedVersion: 1}, code: codeVersion, says: "found version 2"},
		{name: "a thing that is gone", cmd: &v1.DeleteThing{Name: "b", ExpectedVersion: 7}},
		{name: "the first of a thing of that name", given: []proto.Message{change, &v1.DeleteThing{Name: "a"}, things("a")}, cmd: &v1.DeleteThing{Name: "a", ExpectedVersion: 2}, code: codeVersion, says: "found version 1"},
	})
}

func TestTags(t *testing.T) {
	given := []proto.Message{&v1.CreateGroup{Group: "g", Tags: tags("a=1", "b=2")}, newType("press")}
	const g, press = "group/g", "thing-type/press"
	groupG, typePress := groupResource("g"), typeResource("press")
	tagged := func(r *v1.TaggedResource, list ...string) []*v1.Event {
		return []*v1.Event{{Event: &v1.Event_RegistryTagged{RegistryTagged: &v1.RegistryTagged{Resource: r, Tags: tags(list...)}}}}
	}
	untagged := func(r *v1.TaggedResource, keys ...string) []*v1.Event {
		return []*v1.Event{{Event: &v1.Event_RegistryUntagged{RegistryUntagged: &v1.RegistryUntagged{Resource: r, Keys: keys}}}}
	}
	tag := func(resource string, list ...*v1.Tag) proto.Message {
		return &v1.TagResource{Resource: resource, Tags: list}
	}
	untag := func(resource string, keys ...string) proto.Message {
		return &v1.UntagResource{Resource: resource, Keys: keys}
	}
	decide(t, given, []decision{
		{name: "of a group: new, other and the same", cmd: tag(g, tags("c=3", "a=1", "b=9")...), then: tagged(groupG, "b=9", "c=3")},
		{name: "of a type, by its ARN", cmd: tag("arn:aws:iot:eu-west-1:1:thingtype/press", tags("c=3")...), then: tagged(typePress, "c=3")},
		{name: "the same", cmd: tag(g, tags("a=1")...)},
		{name: "48 more", cmd: tag(g, manyTags(0, 48)...), then: []*v1.Event{{Event: &v1.Event_RegistryTagged{RegistryTagged: &v1.RegistryTagged{Resource: groupG, Tags: manyTags(0, 48)}}}}},
		{name: "49 more", cmd: tag(g, manyTags(0, 49)...), code: codeLimit, says: "would have 51"},
		{name: "another value for one of 50", given: []proto.Message{tag(g, manyTags(0, 48)...)}, cmd: tag(g, tags("a=2")...), then: tagged(groupG, "a=2")},
		{name: "51 at once", cmd: tag(press, manyTags(0, 51)...), code: codeLimit, says: "at most 50"},
		{name: "a key twice", cmd: tag(g, tags("a=1", "a=2")...), code: codeInvalid, says: "twice"},
		{name: "no key", cmd: tag(g, tags("=1")...), code: codeInvalid, says: "no key"},
		{name: "a key of 129 characters", cmd: tag(g, tags(strings.Repeat("ä", 129))...), code: codeInvalid, says: "at most 128"},
		{name: "a bad key", cmd: tag(g, tags("a*")...), code: codeInvalid, says: "'*'"},
		{name: "a value of 257 characters", cmd: tag(g, tags("a="+strings.Repeat("ä", 257))...), code: codeInvalid, says: "at most 256"},
		{name: "an unknown group", cmd: tag("group/press", tags("a=1")...), code: codeNotFound, says: "group/press"},
		{name: "an unknown type", cmd: tag("thing-type/g", tags("a=1")...), code: codeNotFound, says: "thing-type/g"},
		{name: "neither", cmd: tag("thing/g", tags("a=1")...), code: codeInvalid, says: "neither"},
		{name: "untag", cmd: untag(g, "b", "z", "a"), then: untagged(groupG, "a", "b")},
		{name: "untag what is not there", cmd: untag(press, "a")},
		{name: "untag 51 keys", cmd: untag(g, make([]string, 51)...), code: codeInvalid, says: "give 1 to 50"},
		{name: "untag no keys", cmd: untag(g), code: codeInvalid, says: "give 1 to 50"},
		{name: "untag what is no key", cmd: untag(g, "a", "a*"), code: codeInvalid, says: "'*'"},
		{name: "untag an unknown group", cmd: untag("group/h", "a"), code: codeNotFound},
		{name: "tag what was untagged", given: []proto.Message{untag(g, "a")}, cmd: tag(g, tags("a=1")...), then: tagged(groupG, "a=1")},
		{name: "tag a group that has the name of a deleted one", given: []proto.Message{&v1.DeleteGroup{Group: "g"}, &v1.CreateGroup{Group: "g"}}, cmd: tag(g, tags("a=1")...), then: tagged(groupG, "a=1")},
	})
}
