package targeting

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

func groupDeletion(name string, number uint64) *v1.Event {
	return &v1.Event{Event: &v1.Event_GroupDeleted{GroupDeleted: &v1.GroupDeleted{Group: name, Number: number}}}
}

func TestUpdateGroup(t *testing.T) {
	given := []proto.Message{&v1.CreateGroup{Group: "g", Description: "d", Attributes: attributes("line=3", "site=oslo")}}
	updated := func(version uint64, description string, list ...string) []*v1.Event {
		return []*v1.Event{{Event: &v1.Event_GroupUpdated{GroupUpdated: &v1.GroupUpdated{
			Group: "g", Number: id.Number(1, 0), Version: version, Description: description, Attributes: attributes(list...),
		}}}}
	}
	describe := func(text string, version uint64) *v1.UpdateGroup {
		return &v1.UpdateGroup{Group: "g", Description: &text, ExpectedVersion: version}
	}
	merge := func(list ...string) *v1.UpdateGroup {
		return &v1.UpdateGroup{Group: "g", ChangeAttributes: true, Merge: true, Attributes: attributes(list...)}
	}
	replace := func(list ...string) *v1.UpdateGroup {
		return &v1.UpdateGroup{Group: "g", ChangeAttributes: true, Attributes: attributes(list...)}
	}
	decide(t, given, []decision{
		{name: "an unknown group", cmd: &v1.UpdateGroup{Group: "h"}, code: codeNotFound},
		{name: "nothing", cmd: &v1.UpdateGroup{Group: "g"}},
		{name: "a description", cmd: describe("e", 0), then: updated(2, "e", "line=3", "site=oslo")},
		{name: "no description", cmd: describe("", 1), then: updated(2, "", "line=3", "site=oslo")},
		{name: "the same description", cmd: describe("d", 1)},
		{name: "a bad description", cmd: describe("a\nb", 0), code: codeInvalid, says: `'\n'`},
		{name: "merge", cmd: merge("line=", "zone=1"), then: updated(2, "d", "site=oslo", "zone=1")},
		{name: "merge what is there", cmd: merge("line=3", "other=")},
		{name: "replace all", cmd: replace("zone=1"), then: updated(2, "d", "zone=1")},
		{name: "replace with nothing", cmd: replace(), then: updated(2, "d")},
		{name: "attributes that are not to be changed", cmd: &v1.UpdateGroup{Group: "g", Attributes: attributes("b=1")}, code: codeInvalid, says: "not to be changed"},
		{name: "50 attributes", cmd: replace(many(50)...), then: updated(2, "d", many(50)...)},
		{name: "51 attributes", given: []proto.Message{replace(many(50)...)}, cmd: merge("b=1"), code: codeInvalid, says: "at most 50"},
		{name: "another version", cmd: describe("e", 2), code: codeVersion, says: "found version 1"},
		{name: "the version before", given: []proto.Message{describe("e", 1)}, cmd: describe("f", 1), code: codeVersion, says: "found version 2"},
		{name: "the version after a change", given: []proto.Message{describe("e", 1)}, cmd: describe("f", 2), then: updated(3, "f", "line=3", "site=oslo")},
	})
}

func TestDeleteGroup(t *testing.T) {
	given := []proto.Message{&v1.CreateGroup{Group: "g"}, &v1.CreateGroup{Group: "child", Parent: "g"}, things("a"), &v1.AddThings{Group: "child", Things: []string{"a"}}}
	g, child := id.Number(1, 0), id.Number(2, 0)
	drop := func(name string) proto.Message { return &v1.DeleteGroup{Group: name} }
	decide(t, given, []decision{
		{name: "with a child", cmd: drop("g"), code: codeInvalid, says: "1 child"},
		{name: "whose child is deleted", given: []proto.Message{drop("child")}, cmd: drop("g"), then: []*v1.Event{groupDeletion("g", g)}},
		{name: "with a member", cmd: drop("child"), then: []*v1.Event{groupDeletion("child", child)}},
		{name: "that is gone", given: []proto.Message{drop("child")}, cmd: drop("child")},
		{name: "that never was", cmd: &v1.DeleteGroup{Group: "h", ExpectedVersion: 3}},
		{name: "of another version", cmd: &v1.DeleteGroup{Group: "child", ExpectedVersion: 2}, code: codeVersion, says: "found version 1"},
		{name: "of this version", cmd: &v1.DeleteGroup{Group: "child", ExpectedVersion: 1}, then: []*v1.Event{groupDeletion("child", child)}},
		{name: "nobody joins it", given: []proto.Message{drop("child")}, cmd: &v1.AddThings{Group: "child", Things: []string{"a"}}, code: codeNotFound},
		{name: "nobody leaves it twice", given: []proto.Message{drop("child")}, cmd: &v1.DeleteThing{Name: "a"},
			then: []*v1.Event{{Event: &v1.Event_ThingDeleted{ThingDeleted: &v1.ThingDeleted{Thing: &v1.ThingRef{Name: "a", Number: id.Number(3, 0)}}}}}},
		{name: "no child comes below it", given: []proto.Message{drop("child")}, cmd: &v1.CreateGroup{Group: "x", Parent: "child"}, code: codeNotFound},
		{name: "its name is free at once, elsewhere and with another description", given: []proto.Message{drop("child")}, cmd: &v1.CreateGroup{Group: "child", Description: "new"},
			then: []*v1.Event{{Event: &v1.Event_GroupCreated{GroupCreated: &v1.GroupCreated{Group: "child", Description: "new", Number: id.Number(6, 0)}}}}},
		{name: "its members may join the next of its name before they have left", given: []proto.Message{drop("child"), &v1.CreateGroup{Group: "child", Parent: "g"}}, cmd: &v1.AddThings{Group: "child", Things: []string{"a"}},
			then: []*v1.Event{joined("child", &v1.ThingRef{Name: "a", Number: id.Number(3, 0)})}},
	})
}

// A deleted group's members leave it by its number, slice by slice; those of the next group of its name stay.
func TestTheMembersOfADeletedGroupLeaveInSlices(t *testing.T) {
	f := newFixture(t).things("a", "b", "c", "d", "e").group("g", "", "a", "b", "c", "d", "e")
	old := id.Number(2, 0)
	f.must(&v1.DeleteGroup{Group: "g"})
	f.group("g", "", "a", "e")
	f.must(&v1.DeleteThing{Name: "c"})
	var got []string
	slices := 0
	for f.slice(); len(f.Fresh) > 0 && slices < 9; f.slice() {
		slices++
		if len(f.Fresh) > 3 {
			t.Errorf("a slice of %d things", len(f.Fresh))
		}
		for _, e := range f.Fresh {
			x := e.Event.GetThingLeft()
			if x.GetGroup() != "g" || x.GetGroupNumber() != old || e.GetReason().GetCode() != v1.ReasonCode_REASON_CODE_GROUP_DELETED {
				t.Fatalf("got %v", e)
			}
			got = append(got, x.GetThing().GetName())
		}
	}
	if want := "[a b c d e]"; fmt.Sprint(got) != want || slices != 2 {
		t.Errorf("%v left in %d slices", got, slices)
	}
	f.start(1, group("g"))
	f.Due()
	if got := fmt.Sprint(f.selected(1)); got != "[a e]" {
		t.Errorf("the next group of the name holds %s", got)
	}
	f.must(&v1.DeleteGroup{Group: "g"})
	f.Due()
	f.things("z")
	wantNoTraces(t, f)
	if holds(f.State, []byte{tableTree}) || holds(f.State, []byte{tableCount}) || loadRunning(f.State).doomed != 0 {
		t.Error("a deleted group is left in the state")
	}
}

func TestALargeGroupIsEmptiedInBoundedSteps(t *testing.T) {
	f := newFixture(t)
	f.Core, f.Seldom = New(DefaultLimits()), true
	f.group("g", "")
	all := numbered(2500)
	for part := range slices.Chunk(all, 1000) {
		f.things(part...)
		f.must(&v1.AddThings{Group: "g", Things: part})
	}
	f.must(&v1.DeleteGroup{Group: "g"})
	if len(f.Fresh) != 1 {
		t.Errorf("the deletion wrote %d events", len(f.Fresh))
	}
	var got []string
	for f.slice(); len(f.Fresh) > 0 && len(got) < 5000; f.slice() {
		if len(f.Fresh) > core.EventsMax {
			t.Errorf("a step of %d events", len(f.Fresh))
		}
		for _, e := range f.Fresh {
			got = append(got, e.Event.GetThingLeft().GetThing().GetName())
		}
	}
	if !slices.Equal(got, all) || loadRunning(f.State).doomed != 0 || holds(f.State, []byte{tableMember}) {
		t.Errorf("%d things left", len(got))
	}
}

func TestChangeGroupsOfThing(t *testing.T) {
	// The thing is in left, of root, and in nine trees.
	given := []proto.Message{things("a"), &v1.CreateGroup{Group: "root"}, &v1.CreateGroup{Group: "left", Parent: "root"}, &v1.CreateGroup{Group: "right", Parent: "root"},
		&v1.CreateGroup{Group: "free"}, &v1.CreateGroup{Group: "free-too"}, &v1.AddThings{Group: "left", Things: []string{"a"}}}
	var nine []proto.Message
	for i := range 9 {
		name := fmt.Sprintf("tree-%d", i)
		nine = append(nine, &v1.CreateGroup{Group: name}, &v1.AddThings{Group: name, Things: []string{"a"}})
	}
	a := &v1.ThingRef{Name: "a", Number: id.Number(1, 0)}
	change := func(add, remove []string) proto.Message {
		return &v1.ChangeGroupsOfThing{Thing: "a", Add: add, Remove: remove}
	}
	leaves := left("left", id.Number(3, 0), "a", a.Number)
	decide(t, given, []decision{
		{name: "nothing", cmd: change(nil, nil)},
		{name: "an unknown thing", cmd: &v1.ChangeGroupsOfThing{Thing: "b"}, code: codeNotFound},
		{name: "join and leave", cmd: change([]string{"free"}, []string{"left"}), then: []*v1.Event{leaves, joined("free", a)}},
		{name: "move within a hierarchy", cmd: change([]string{"right"}, []string{"left"}), then: []*v1.Event{leaves, joined("right", a)}},
		{name: "join by an ARN, twice", cmd: change([]string{"free", "arn:aws:iot:eu-west-1:1:thinggroup/free"}, nil), then: []*v1.Event{joined("free", a)}},
		{name: "what it is in, and what not", cmd: change([]string{"left"}, []string{"free", "free"})},
		{name: "none if one is unknown", cmd: change([]string{"free", "other"}, []string{"left"}), code: codeNotFound, says: "other"},
		{name: "none if one to leave is unknown", cmd: change([]string{"free"}, []string{"left", "other"}), code: codeNotFound, says: "other"},
		{name: "none if one is of a hierarchy that it is in", cmd: change([]string{"free", "right"}, nil), code: codeInvalid, says: "one hierarchy"},
		{name: "none if two are of one hierarchy", cmd: change([]string{"root", "right"}, []string{"left"}), code: codeInvalid, says: "one hierarchy"},
		{name: "join and leave the same", cmd: change([]string{"free"}, []string{"free"}), code: codeInvalid, says: "both"},
		{name: "a tenth group", given: nine[2:], cmd: change([]string{"free"}, nil), then: []*v1.Event{joined("free", a)}},
		{name: "an eleventh group", given: nine[2:], cmd: change([]string{"free", "free-too"}, nil), code: codeLimit, says: "is in 10 groups"},
		{name: "a tenth for one that it leaves", given: nine, cmd: change([]string{"free"}, []string{"left"}), then: []*v1.Event{leaves, joined("free", a)}},
		{name: "a deleted group does not count", given: append(slices.Clone(nine), &v1.DeleteGroup{Group: "tree-3"}), cmd: change([]string{"free"}, nil), then: []*v1.Event{joined("free", a)}},
		{name: "101 groups", cmd: change(make([]string, 101), nil), code: codeInvalid, says: "at most 100"},
	})
}
