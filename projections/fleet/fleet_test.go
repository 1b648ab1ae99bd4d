package fleet

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

func TestAThingIsDescribedWithItsGroups(t *testing.T) {
	attributes := []*v1.Attribute{{Name: "model", Value: "x"}}
	m := fold(t,
		group("a", ""), group("b", ""),
		&v1.Event{Event: &v1.Event_ThingCreated{ThingCreated: &v1.ThingCreated{Thing: ref("dev"), ThingType: "pump", Attributes: attributes}}},
		joined("b", "dev"), joined("a", "dev"))
	reply, err := DescribeThing(m, &v1.DescribeThing{Name: "arn:aws:iot:eu-west-1:1:thing/dev"})
	want := &v1.ThingRow{Name: "dev", Number: 7, ThingType: "pump", Attributes: attributes, Version: 1, CreatedAtMs: 1000, Groups: []string{"a", "b"}}
	if err != nil || !proto.Equal(reply.Thing, want) {
		t.Errorf("got  %v, %v\nwant %v", reply.GetThing(), err, want)
	}
}

func TestAGroupIsDescribedWithItsMembersAndChildren(t *testing.T) {
	m := fold(t, group("root", ""), group("y", "root"), group("x", "root"), group("xx", "x"),
		joined("root", "a"), joined("root", "b"), joined("x", "a"))
	apply(m, &v1.Event{Event: &v1.Event_ThingLeft{ThingLeft: &v1.ThingLeft{Group: "root", Thing: ref("a")}}}, joined("root", "c"))
	reply, err := DescribeGroup(m, &v1.DescribeGroup{Group: "root"})
	want := &v1.GroupRow{Group: "root", Number: 9, Description: "about root", CreatedAtMs: 1000, Members: 2, Children: []string{"x", "y"}, Version: 1}
	if err != nil || !proto.Equal(reply.Group, want) {
		t.Errorf("got  %v, %v\nwant %v", reply.GetGroup(), err, want)
	}
	if got := members(t, m, "root"); got != "b c" {
		t.Errorf("members: %s", got)
	}
}

func TestADeletedThingIsGoneFromItsGroups(t *testing.T) {
	m := fold(t, group("a", ""), group("b", ""), thing("dev"), thing("dev2"),
		joined("a", "dev"), joined("b", "dev"), joined("a", "dev2"))
	apply(m, &v1.Event{Event: &v1.Event_ThingDeleted{ThingDeleted: &v1.ThingDeleted{Thing: ref("dev")}}})
	_, err := DescribeThing(m, &v1.DescribeThing{Name: "dev"})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "thingName")
	if got := members(t, m, "a") + "|" + members(t, m, "b"); got != "dev2|" {
		t.Errorf("members: %s", got)
	}
	if reply, err := DescribeGroup(m, &v1.DescribeGroup{Group: "b"}); err != nil || reply.Group.Members != 0 {
		t.Errorf("group b: %v %v", reply, err)
	}
	apply(m, thing("dev")) // another thing of that name
	if reply, err := DescribeThing(m, &v1.DescribeThing{Name: "dev"}); err != nil || len(reply.Thing.Groups) != 0 {
		t.Errorf("the new thing: %v %v", reply, err)
	}
}

// Leaving first and being deleted then, in one commit or two, counts once.
func TestAThingThatLeftBeforeItWasDeletedIsCountedOnce(t *testing.T) {
	m := fold(t, group("a", ""), thing("dev"), thing("dev2"), joined("a", "dev"), joined("a", "dev2"))
	apply(m, &v1.Event{Event: &v1.Event_ThingLeft{ThingLeft: &v1.ThingLeft{Group: "a", Thing: ref("dev")}}},
		&v1.Event{Event: &v1.Event_ThingDeleted{ThingDeleted: &v1.ThingDeleted{Thing: ref("dev")}}})
	if reply, err := DescribeGroup(m, &v1.DescribeGroup{Group: "a"}); err != nil || reply.Group.Members != 1 {
		t.Errorf("group a: %v %v", reply, err)
	}
}

func TestThingsAndGroupsAreListedByPrefixAndPage(t *testing.T) {
	m := fold(t, thing("a1"), thing("b1"), thing("b2"), thing("b10"), thing("c1"), group("g1", ""), group("g2", ""), group("h", ""))
	list := func(q *v1.ListThings) (got string) {
		for {
			reply, err := ListThings(m, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range reply.Things {
				got += row.Name + " "
			}
			if reply.NextToken == "" {
				return got
			}
			got += "| "
			q.Page.Token = reply.NextToken
		}
	}
	if got := list(&v1.ListThings{Page: &v1.Page{Limit: 2}}); got != "a1 b1 | b10 b2 | c1 " {
		t.Errorf("all: %s", got)
	}
	if got := list(&v1.ListThings{Prefix: "b1", Page: &v1.Page{}}); got != "b1 b10 " {
		t.Errorf("b1…: %s", got)
	}
	if got := list(&v1.ListThings{Prefix: "arn:aws:iot:eu-west-1:123456789012:thing/b1", Page: &v1.Page{}}); got != "b1 b10 " {
		t.Errorf("b1…, by ARN: %s", got)
	}
	for _, prefix := range []string{"g", "arn:aws:iot:eu-west-1:123456789012:thinggroup/g"} {
		reply, err := ListGroups(m, &v1.ListGroups{Prefix: prefix})
		if err != nil || len(reply.Groups) != 2 || reply.Groups[1].Group != "g2" {
			t.Errorf("groups %s…: %v %v", prefix, reply, err)
		}
	}
}

func TestUnknownAndMalformedNamesAreRefusedByField(t *testing.T) {
	m := fold(t)
	long := strings.Repeat("x", 129)
	for _, name := range []string{"", "a b", "a*", "a>", "a.b", long} {
		_, err := DescribeThing(m, &v1.DescribeThing{Name: name})
		refused(t, err, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "thingName")
		_, err = DescribeGroup(m, &v1.DescribeGroup{Group: name})
		refused(t, err, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "thingGroupName")
	}
	_, err := ListThings(m, &v1.ListThings{Prefix: "a\x00"})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "namePrefixFilter")
	_, err = DescribeThing(m, &v1.DescribeThing{Name: "no"})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "thingName")
	_, err = DescribeGroup(m, &v1.DescribeGroup{Group: "no"})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "thingGroupName")
	_, err = ListThingsInGroup(m, &v1.ListThingsInGroup{Group: "no"})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "thingGroupName")
}

// Whatever stands in a row, a query answers, or panics with the failure of a damaged store; nothing else.
func FuzzRows(f *testing.F) {
	f.Add([]byte{8, 1}, []byte{0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, row, count []byte) {
		m := kv.NewOverlay(kv.NewMemory())
		m.Set(thingKey("a"), row)
		m.Set(groupKey("a"), row)
		m.Set(countKey("a"), count)
		defer func() {
			if p := recover(); p != nil {
				if _, ok := p.(*kv.Failure); !ok {
					panic(p)
				}
			}
		}()
		if reply, err := DescribeThing(m, &v1.DescribeThing{Name: "a"}); err != nil || reply.Thing.Name != "a" {
			t.Fatal(reply, err)
		}
		if reply, err := DescribeGroup(m, &v1.DescribeGroup{Group: "a"}); err != nil || reply.Group.Group != "a" {
			t.Fatal(reply, err)
		}
	})
}

func fold(_ testing.TB, events ...*v1.Event) *kv.Overlay {
	m := kv.NewOverlay(kv.NewMemory())
	apply(m, events...)
	return m
}

func apply(tx kv.Tx, events ...*v1.Event) {
	c := &v1.Commit{AtMs: 1000}
	for _, e := range events {
		c.Entries = append(c.Entries, &v1.Entry{Event: e})
	}
	Apply(tx, id.TargetingLog, c)
}

func ref(name string) *v1.ThingRef { return &v1.ThingRef{Name: name, Number: 7} }

func thing(name string) *v1.Event {
	return &v1.Event{Event: &v1.Event_ThingCreated{ThingCreated: &v1.ThingCreated{Thing: ref(name)}}}
}

func group(name, parent string) *v1.Event {
	return &v1.Event{Event: &v1.Event_GroupCreated{GroupCreated: &v1.GroupCreated{Group: name, Number: 9, Parent: parent, Description: "about " + name}}}
}

func joined(group, thing string) *v1.Event {
	return &v1.Event{Event: &v1.Event_ThingJoined{ThingJoined: &v1.ThingJoined{Group: group, Thing: ref(thing)}}}
}

func members(t *testing.T, r kv.Reader, group string) string {
	t.Helper()
	reply, err := ListThingsInGroup(r, &v1.ListThingsInGroup{Group: group})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(reply.Things, " ")
}

func refused(t *testing.T, err error, code v1.RefusalCode, field string) {
	t.Helper()
	var r *v1.Refusal
	if !errors.As(err, &r) || r.Code != code || r.Field != field {
		t.Errorf("want %s of %s, got %v", code, field, err)
	}
}
