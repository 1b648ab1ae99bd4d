package fleet

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

func TestUpdatesTakeThePlaceOfWhatWasThere(t *testing.T) {
	attributes := []*v1.Attribute{{Name: "model", Value: "x"}}
	m := fold(t, thing("dev"), group("a", ""))
	apply(m,
		&v1.Event{Event: &v1.Event_ThingUpdated{ThingUpdated: &v1.ThingUpdated{Thing: ref("dev"), ThingType: "pump", Attributes: attributes, Version: 2}}},
		&v1.Event{Event: &v1.Event_GroupUpdated{GroupUpdated: &v1.GroupUpdated{Group: "a", Number: 9, Description: "new", Attributes: attributes, Version: 2}}})
	wantThing := &v1.ThingRow{Name: "dev", Number: 7, ThingType: "pump", Attributes: attributes, Version: 2, CreatedAtMs: 1000}
	if reply, err := DescribeThing(m, &v1.DescribeThing{Name: "dev"}); err != nil || !proto.Equal(reply.Thing, wantThing) {
		t.Errorf("got  %v, %v\nwant %v", reply, err, wantThing)
	}
	wantGroup := &v1.GroupRow{Group: "a", Number: 9, Description: "new", Attributes: attributes, Version: 2, CreatedAtMs: 1000}
	if reply, err := DescribeGroup(m, &v1.DescribeGroup{Group: "a"}); err != nil || !proto.Equal(reply.Group, wantGroup) {
		t.Errorf("got  %v, %v\nwant %v", reply, err, wantGroup)
	}
}

// A deleted group has no members at once; another one of its name has its own, whenever the members of the first leave.
func TestADeletedGroupIsNotTakenForAnotherOfItsName(t *testing.T) {
	deleted := &v1.Event{Event: &v1.Event_GroupDeleted{GroupDeleted: &v1.GroupDeleted{Group: "a", Number: 9}}}
	again := &v1.Event{Event: &v1.Event_GroupCreated{GroupCreated: &v1.GroupCreated{Group: "a", Number: 10, Parent: "top"}}}
	slice := func(thing string) *v1.Event {
		return &v1.Event{Event: &v1.Event_ThingLeft{ThingLeft: &v1.ThingLeft{Group: "a", GroupNumber: 9, Thing: ref(thing)}}}
	}
	m := fold(t, group("top", ""), group("a", "top"), thing("x"), thing("y"), joined("a", "x"), joined("a", "y"))
	apply(m, deleted)
	_, err := DescribeGroup(m, &v1.DescribeGroup{Group: "a"})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "thingGroupName")
	if reply, err := DescribeThing(m, &v1.DescribeThing{Name: "x"}); err != nil || len(reply.Thing.Groups) != 0 {
		t.Errorf("x is %v, %v", reply, err)
	}
	if reply, err := DescribeGroup(m, &v1.DescribeGroup{Group: "top"}); err != nil || len(reply.Group.Children) != 0 {
		t.Errorf("top is %v, %v", reply, err)
	}
	apply(m, again, joined("a", "y"), slice("x"))
	apply(m, slice("y"))
	if got := members(t, m, "a"); got != "y" {
		t.Errorf("members: %s", got)
	}
	reply, err := DescribeGroup(m, &v1.DescribeGroup{Group: "a"})
	if err != nil || reply.Group.Members != 1 || strings.Join(reply.Group.Ancestors, " ") != "top" {
		t.Errorf("a is %v, %v", reply, err)
	}
	for k := range m.Scan([]byte{tableMember}, []byte{tableMember + 1}) {
		if _, number := cutGroup(k[1:]); number != 10 {
			t.Errorf("%q is left", k)
		}
	}
	apply(m, &v1.Event{Event: &v1.Event_ThingDeleted{ThingDeleted: &v1.ThingDeleted{Thing: ref("y")}}})
	if got := members(t, m, "a"); got != "" {
		t.Errorf("members: %s", got)
	}
}

func TestGroupsAndThingsAreListedBelowAGroup(t *testing.T) {
	m := fold(t, group("root", ""), group("b", "root"), group("a", "root"), group("c", "a"), group("other", ""), group("z", "other"),
		joined("root", "t5"), joined("b", "t1"), joined("a", "t9"), joined("a", "t2"), joined("c", "t4"), joined("other", "t0"), joined("z", "t3"))
	groups := func(q *v1.ListGroups) (got string) {
		for q.Page = (&v1.Page{Limit: 1}); ; {
			reply, err := ListGroups(m, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range reply.Groups {
				got += g.Group + " "
			}
			if q.Page.Token = reply.NextToken; reply.NextToken == "" {
				return strings.TrimSpace(got)
			}
		}
	}
	for _, test := range []struct {
		name string
		q    *v1.ListGroups
		want string
	}{
		{"all", &v1.ListGroups{}, "a b c other root z"},
		{"children", &v1.ListGroups{Parent: "root"}, "a b"},
		{"children by prefix", &v1.ListGroups{Parent: "root", Prefix: "b"}, "b"},
		{"descendants", &v1.ListGroups{Parent: "root", Recursive: true}, "a b c"},
		{"of a leaf", &v1.ListGroups{Parent: "c", Recursive: true}, ""},
	} {
		if got := groups(test.q); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	for limit := range uint32(6) {
		q := &v1.ListThingsInGroup{Group: "root", Recursive: true, Page: &v1.Page{Limit: limit}}
		var got []string
		for pages := 0; pages < 9; pages++ {
			reply, err := ListThingsInGroup(m, q)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, reply.Things...)
			if q.Page.Token = reply.NextToken; reply.NextToken == "" {
				break
			}
		}
		if strings.Join(got, " ") != "t2 t9 t1 t4 t5" {
			t.Errorf("pages of %d: %v", limit, got)
		}
	}
	_, err := ListGroups(m, &v1.ListGroups{Parent: "no"})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "parentGroup")
	_, err = ListThingsInGroup(m, &v1.ListThingsInGroup{Group: "root", Recursive: true, Page: &v1.Page{Token: "x"}})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "nextToken")
}

func TestThingsAreListedByTypeAndAttribute(t *testing.T) {
	created := func(name, thingType string, attributes ...*v1.Attribute) *v1.Event {
		return &v1.Event{Event: &v1.Event_ThingCreated{ThingCreated: &v1.ThingCreated{Thing: ref(name), ThingType: thingType, Attributes: attributes}}}
	}
	m := fold(t, created("a", "pump", &v1.Attribute{Name: "site", Value: "oslo"}), created("b", "press", &v1.Attribute{Name: "site", Value: "osaka"}),
		created("c", "pump"), created("d", ""))
	for _, test := range []struct {
		q    *v1.ListThings
		want string
	}{
		{&v1.ListThings{ThingType: "pump"}, "a c"},
		{&v1.ListThings{ThingType: "arn:aws:iot:eu-west-1:1:thingtype/press"}, "b"},
		{&v1.ListThings{AttributeName: "site"}, "a b"},
		{&v1.ListThings{AttributeName: "site", AttributeValue: "os"}, ""},
		{&v1.ListThings{AttributeName: "site", AttributeValue: "os", AttributeValuePrefix: true}, "a b"},
		{&v1.ListThings{AttributeName: "site", AttributeValue: "oslo", ThingType: "press"}, ""},
	} {
		var got []string
		reply, err := ListThings(m, test.q)
		for _, row := range reply.GetThings() {
			got = append(got, row.Name)
		}
		if err != nil || strings.Join(got, " ") != test.want {
			t.Errorf("%v: %v, %v; want %s", test.q, got, err, test.want)
		}
	}
	_, err := ListThings(m, &v1.ListThings{AttributeValue: "oslo"})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "attributeName")
	_, err = ListThings(m, &v1.ListThings{ThingType: "a b"})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "thingTypeName")
}

func TestThingTypesAndTagsAreTold(t *testing.T) {
	named := func(name string) *v1.TaggedResource {
		return &v1.TaggedResource{Resource: &v1.TaggedResource_ThingType{ThingType: name}}
	}
	m := fold(t, &v1.Event{Event: &v1.Event_ThingTypeCreated{ThingTypeCreated: &v1.ThingTypeCreated{ThingType: "pump", Description: "d", SearchableAttributes: []string{"site"}, Tags: []*v1.Tag{{Key: "b", Value: "1"}}}}},
		&v1.Event{Event: &v1.Event_ThingTypeCreated{ThingTypeCreated: &v1.ThingTypeCreated{ThingType: "press"}}},
		&v1.Event{Event: &v1.Event_ThingTypeDeprecated{ThingTypeDeprecated: &v1.ThingTypeDeprecated{ThingType: "pump"}}},
		&v1.Event{Event: &v1.Event_RegistryTagged{RegistryTagged: &v1.RegistryTagged{Resource: named("pump"), Tags: []*v1.Tag{{Key: "a", Value: "2"}, {Key: "b", Value: "3"}}}}})
	want := &v1.ThingTypeRow{ThingType: "pump", Description: "d", SearchableAttributes: []string{"site"}, CreatedAtMs: 1000, Deprecated: true, DeprecatedAtMs: 1000}
	if reply, err := DescribeThingType(m, &v1.DescribeThingType{ThingType: "pump"}); err != nil || !proto.Equal(reply.ThingType, want) {
		t.Errorf("got  %v, %v\nwant %v", reply, err, want)
	}
	if reply, err := ListThingTypes(m, &v1.ListThingTypes{}); err != nil || len(reply.ThingTypes) != 2 || reply.ThingTypes[0].ThingType != "press" {
		t.Errorf("types: %v, %v", reply, err)
	}
	if reply, err := ListThingTypes(m, &v1.ListThingTypes{ThingType: "pump"}); err != nil || len(reply.ThingTypes) != 1 {
		t.Errorf("types: %v, %v", reply, err)
	}
	tags := func() (got string) {
		reply, err := ListTags(m, &v1.ListTags{Resource: "thing-type/pump"})
		for _, tag := range reply.GetTags() {
			got += tag.Key + "=" + tag.Value + " "
		}
		if err != nil {
			got += err.Error()
		}
		return got
	}
	if got := tags(); got != "a=2 b=3 " {
		t.Errorf("tags: %s", got)
	}
	apply(m, &v1.Event{Event: &v1.Event_RegistryUntagged{RegistryUntagged: &v1.RegistryUntagged{Resource: named("pump"), Keys: []string{"b"}}}},
		&v1.Event{Event: &v1.Event_ThingTypeDeprecated{ThingTypeDeprecated: &v1.ThingTypeDeprecated{ThingType: "pump", Undone: true}}})
	if reply, err := DescribeThingType(m, &v1.DescribeThingType{ThingType: "pump"}); err != nil || reply.ThingType.Deprecated || reply.ThingType.DeprecatedAtMs != 0 {
		t.Errorf("got %v, %v", reply, err)
	}
	if got := tags(); got != "a=2 " {
		t.Errorf("tags: %s", got)
	}
	apply(m, &v1.Event{Event: &v1.Event_ThingTypeDeleted{ThingTypeDeleted: &v1.ThingTypeDeleted{ThingType: "pump"}}})
	_, err := ListTags(m, &v1.ListTags{Resource: "thing-type/pump"})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "resourceArn")
	_, err = ListTags(m, &v1.ListTags{Resource: "thing/pump"})
	refused(t, err, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "resourceArn")
	for range m.Scan(kv.NewKey(tableTag), kv.NewKey(tableTag+1)) {
		t.Error("a tag outlives its resource")
	}
}
