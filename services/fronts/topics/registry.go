package topics

import (
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// registryEvent is what the messages of most registry events have in common. Times are milliseconds, unlike those of jobs.
type registryEvent struct {
	EventType string `json:"eventType"`
	EventID   string `json:"eventId"`
	Timestamp int64  `json:"timestamp"`
	Operation string `json:"operation"`
	AccountID string `json:"accountId,omitempty"`
}

func (n Names) registryEvent(e *v1.RecordedEvent, kind, word, which string) registryEvent {
	return registryEvent{EventType: kind, EventID: eventID(e, which), Timestamp: e.GetAtMs(), Operation: strings.ToUpper(word), AccountID: n.Account}
}

func texts(list []*v1.Attribute) map[string]string {
	m := map[string]string{}
	for _, a := range list {
		m[a.GetName()] = a.GetValue()
	}
	return m
}

// orNull is nil for no text.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

type thingEvent struct {
	registryEvent
	ThingID       string            `json:"thingId"`
	ThingName     string            `json:"thingName"`
	VersionNumber uint64            `json:"versionNumber,omitempty"`
	ThingTypeName *string           `json:"thingTypeName"`
	Attributes    map[string]string `json:"attributes"`
}

func (n Names) thing(e *v1.RecordedEvent) []message {
	told := func(word string, ref *v1.ThingRef, thingType string, list []*v1.Attribute, version uint64) []message {
		return []message{encode("thing."+ref.GetName()+"."+word, thingEvent{
			registryEvent: n.registryEvent(e, "THING_EVENT", word, ""),
			ThingID:       id.ThingID(ref.GetName(), ref.GetNumber()), ThingName: ref.GetName(), VersionNumber: version,
			ThingTypeName: orNull(thingType), Attributes: texts(list),
		})}
	}
	switch x := e.GetEntry().GetEvent().GetEvent().(type) {
	case *v1.Event_ThingCreated:
		return told("created", x.ThingCreated.GetThing(), x.ThingCreated.GetThingType(), x.ThingCreated.GetAttributes(), 1)
	case *v1.Event_ThingUpdated:
		return told("updated", x.ThingUpdated.GetThing(), x.ThingUpdated.GetThingType(), x.ThingUpdated.GetAttributes(), x.ThingUpdated.GetVersion())
	case *v1.Event_ThingDeleted:
		return told("deleted", x.ThingDeleted.GetThing(), "", nil, 0)
	}
	return nil
}

type membershipEvent struct {
	registryEvent
	GroupARN string `json:"groupArn"`
	ThingARN string `json:"thingArn"`
	ThingID  string `json:"thingId"`
}

func (n Names) membership(e *v1.RecordedEvent) []message {
	told := func(word, group string, ref *v1.ThingRef) []message {
		return []message{encode("thingGroupMembership.thingGroup."+group+".thing."+ref.GetName()+"."+word, membershipEvent{
			registryEvent: n.registryEvent(e, "THING_GROUP_MEMBERSHIP_EVENT", word, ""),
			GroupARN:      n.arn("thinggroup", group), ThingARN: n.arn("thing", ref.GetName()), ThingID: id.ThingID(ref.GetName(), ref.GetNumber()),
		})}
	}
	switch x := e.GetEntry().GetEvent().GetEvent().(type) {
	case *v1.Event_ThingJoined:
		return told("added", x.ThingJoined.GetGroup(), x.ThingJoined.GetThing())
	case *v1.Event_ThingLeft:
		return told("removed", x.ThingLeft.GetGroup(), x.ThingLeft.GetThing())
	}
	return nil
}

// dynamicGroupMappingId is always null: there are no dynamic groups.
type groupEvent struct {
	registryEvent
	GroupID       string            `json:"thingGroupId"`
	GroupName     string            `json:"thingGroupName"`
	VersionNumber uint64            `json:"versionNumber,omitempty"`
	ParentName    *string           `json:"parentGroupName"`
	ParentID      *string           `json:"parentGroupId"`
	Description   string            `json:"description"`
	RootToParent  []groupAbove      `json:"rootToParentThingGroups"`
	Attributes    map[string]string `json:"attributes"`
	Mapping       *string           `json:"dynamicGroupMappingId"`
}

type groupAbove struct {
	GroupARN string `json:"groupArn"`
	GroupID  string `json:"groupId"`
}

// group tells of a deleted one its place alone, as of a deleted thing its name: its settings went with it.
func (n Names) group(e *v1.RecordedEvent, a about) []message {
	told := func(word string, number, version uint64, description string, list []*v1.Attribute) []message {
		name := a.group.GetGroup()
		x := groupEvent{
			registryEvent: n.registryEvent(e, "THING_GROUP_EVENT", word, ""),
			GroupID:       id.GroupID(name, number), GroupName: name, VersionNumber: version, ParentName: orNull(a.group.GetParent()),
			ParentID: orNull(a.parentID()), Description: description, RootToParent: []groupAbove{}, Attributes: texts(list),
		}
		for _, g := range a.above {
			x.RootToParent = append(x.RootToParent, groupAbove{n.arn("thinggroup", g.GetGroup()), id.GroupID(g.GetGroup(), g.GetNumber())})
		}
		return []message{encode("thingGroup."+name+"."+word, x)}
	}
	switch x := e.GetEntry().GetEvent().GetEvent().(type) {
	case *v1.Event_GroupCreated:
		return told("created", x.GroupCreated.GetNumber(), 1, x.GroupCreated.GetDescription(), x.GroupCreated.GetAttributes())
	case *v1.Event_GroupUpdated:
		u := x.GroupUpdated
		return told("updated", u.GetNumber(), u.GetVersion(), u.GetDescription(), u.GetAttributes())
	case *v1.Event_GroupDeleted:
		return told("deleted", x.GroupDeleted.GetNumber(), 0, "", nil)
	}
	return nil
}

// parentID is empty if the group has no parent, or that was deleted since.
func (a about) parentID() string {
	if len(a.above) == 0 {
		return ""
	}
	parent := a.above[len(a.above)-1]
	return id.GroupID(parent.GetGroup(), parent.GetNumber())
}

type hierarchyEvent struct {
	registryEvent
	GroupID   string `json:"thingGroupId"`
	GroupName string `json:"thingGroupName"`
	ChildID   string `json:"childGroupId"`
	ChildName string `json:"childGroupName"`
}

// hierarchy: a group is put under its parent when it is created, and taken off when it is deleted.
func (n Names) hierarchy(e *v1.RecordedEvent, a about) []message {
	word, number := "added", a.group.GetNumber()
	if d := e.GetEntry().GetEvent().GetGroupDeleted(); d != nil {
		word = "removed"
	}
	parent, child := a.group.GetParent(), a.group.GetGroup()
	if parent == "" {
		return nil
	}
	return []message{encode("thingGroupHierarchy.thingGroup."+parent+".childThingGroup."+child+"."+word, hierarchyEvent{
		registryEvent: n.registryEvent(e, "THING_GROUP_HIERARCHY_EVENT", word, word),
		GroupID:       a.parentID(), GroupName: parent, ChildID: id.GroupID(child, number), ChildName: child,
	})}
}

type thingTypeEvent struct {
	registryEvent
	TypeID       string   `json:"thingTypeId"`
	TypeName     string   `json:"thingTypeName"`
	Deprecated   bool     `json:"isDeprecated"`
	DeprecatedAt *int64   `json:"deprecationDate"`
	Searchable   []string `json:"searchableAttributes"`
	Propagating  []string `json:"propagatingAttributes"` // there are none
	Description  string   `json:"description"`
}

// thingType tells of a deleted one its name alone.
func (n Names) thingType(e *v1.RecordedEvent, a about) []message {
	x := thingTypeEvent{Searchable: []string{}, Propagating: []string{}}
	word := ""
	switch t := e.GetEntry().GetEvent().GetEvent().(type) {
	case *v1.Event_ThingTypeCreated:
		word, x.TypeName, x.Description = "created", t.ThingTypeCreated.GetThingType(), t.ThingTypeCreated.GetDescription()
		x.Searchable = append(x.Searchable, t.ThingTypeCreated.GetSearchableAttributes()...)
	case *v1.Event_ThingTypeDeprecated:
		word, x.TypeName, x.Description = "updated", t.ThingTypeDeprecated.GetThingType(), a.thingType.GetDescription()
		x.Searchable = append(x.Searchable, a.thingType.GetSearchableAttributes()...)
		if x.Deprecated = !t.ThingTypeDeprecated.GetUndone(); x.Deprecated {
			at := e.GetAtMs()
			x.DeprecatedAt = &at
		}
	case *v1.Event_ThingTypeDeleted:
		word, x.TypeName, x.Deprecated = "deleted", t.ThingTypeDeleted.GetThingType(), true // only such a type is deleted
	default:
		return nil
	}
	x.registryEvent, x.TypeID = n.registryEvent(e, "THING_TYPE_EVENT", word, ""), id.ThingTypeID(x.TypeName)
	return []message{encode("thingType."+x.TypeName+"."+word, x)}
}

// AWS tells no account here.
type associationEvent struct {
	registryEvent
	ThingID   string `json:"thingId"`
	ThingName string `json:"thingName"`
	TypeName  string `json:"thingTypeName"`
}

// association: a thing is given a type, or has it no longer. A thing that is deleted with its type is told as that alone.
func (n Names) association(e *v1.RecordedEvent) (list []message) {
	tell := func(word string, ref *v1.ThingRef, thingType string) {
		if thingType == "" {
			return
		}
		x := associationEvent{
			registryEvent: n.registryEvent(e, "THING_TYPE_ASSOCIATION_EVENT", word, word),
			ThingID:       id.ThingID(ref.GetName(), ref.GetNumber()), ThingName: ref.GetName(), TypeName: thingType,
		}
		x.AccountID = ""
		list = append(list, encode("thingTypeAssociation.thing."+ref.GetName()+".thingType."+thingType+"."+word, x))
	}
	switch t := e.GetEntry().GetEvent().GetEvent().(type) {
	case *v1.Event_ThingCreated:
		tell("added", t.ThingCreated.GetThing(), t.ThingCreated.GetThingType())
	case *v1.Event_ThingUpdated:
		if t.ThingUpdated.GetTypeChanged() {
			tell("removed", t.ThingUpdated.GetThing(), t.ThingUpdated.GetTypeBefore())
			tell("added", t.ThingUpdated.GetThing(), t.ThingUpdated.GetThingType())
		}
	}
	return list
}
