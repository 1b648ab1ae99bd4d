package topics

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

var names = Names{Region: "eu-central-1", Account: "111122223333"}

func recorded(e *v1.Event) *v1.RecordedEvent {
	return &v1.RecordedEvent{
		Position: &v1.Position{Service: v1.Service_SERVICE_EXECUTION, Home: 1, Number: 7, Entry: 2}, AtMs: 1_795_000_160_417, JobId: "fw",
		Entry: &v1.Entry{Event: e},
	}
}

func row() about {
	return about{
		job: &v1.JobRow{
			Job: 5, JobId: "fw", TargetSelection: v1.TargetSelection_TARGET_SELECTION_SNAPSHOT, Description: "d", Comment: "why", CreatedAtMs: 1000,
			Targets: []*v1.Target{{Target: &v1.Target_Thing{Thing: "lamp-1"}}, {Target: &v1.Target_Group{Group: "hall"}}},
		},
		above:     []*v1.GroupRow{{Group: "site", Number: 10}, {Group: "plant", Number: 11}},
		thingType: &v1.ThingTypeRow{ThingType: "lamp", Description: "as it stands", SearchableAttributes: []string{"site"}},
		counts: &v1.JobCounts{Attempts: []*v1.StatusCount{
			{Status: v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED, Count: 4}, {Status: v1.ExecutionStatus_EXECUTION_STATUS_TIMED_OUT, Count: 1},
		}},
	}
}

// The topics and payloads of specification §6.2 to §6.4, and nothing for what AWS does not tell.
// Broken once by telling IN_PROGRESS too, and once by seconds in place of milliseconds in createdAt.
func TestEachEventHasItsTopicAndItsPayload(t *testing.T) {
	thing := &v1.ThingRef{Name: "lamp-1", Number: 9}
	hall := &v1.GroupCreated{Group: "hall", Number: 12, Parent: "plant", Description: "north", Attributes: []*v1.Attribute{{Name: "line", Value: "2"}}}
	const (
		job, execution, things = v1.EventCategory_EVENT_CATEGORY_JOB, v1.EventCategory_EVENT_CATEGORY_JOB_EXECUTION, v1.EventCategory_EVENT_CATEGORY_THING
		groups, members        = v1.EventCategory_EVENT_CATEGORY_THING_GROUP, v1.EventCategory_EVENT_CATEGORY_THING_GROUP_MEMBERSHIP
		hierarchy, types       = v1.EventCategory_EVENT_CATEGORY_THING_GROUP_HIERARCHY, v1.EventCategory_EVENT_CATEGORY_THING_TYPE
		association            = v1.EventCategory_EVENT_CATEGORY_THING_TYPE_ASSOCIATION
	)
	hallsPlace := `"thingGroupId":"` + id.GroupID("hall", 12) + `","thingGroupName":"hall","parentGroupName":"plant","parentGroupId":"` + id.GroupID("plant", 11) + `",
		"rootToParentThingGroups":[{"groupArn":"arn:aws:iot:eu-central-1:111122223333:thinggroup/site","groupId":"` + id.GroupID("site", 10) + `"},
		{"groupArn":"arn:aws:iot:eu-central-1:111122223333:thinggroup/plant","groupId":"` + id.GroupID("plant", 11) + `"}]`
	const targets = `"targets":["arn:aws:iot:eu-central-1:111122223333:thing/lamp-1","arn:aws:iot:eu-central-1:111122223333:thinggroup/hall"]`
	for name, c := range map[string]struct {
		category         v1.EventCategory
		event            *v1.Event
		subject, payload string
	}{
		"completed": {
			job, &v1.Event{Event: &v1.Event_JobCompleted{JobCompleted: &v1.JobCompleted{Job: 5}}}, "$aws.events.job.fw.completed",
			`{"eventType":"JOB","timestamp":1795000160,"operation":"completed","jobId":"fw","status":"COMPLETED","targetSelection":"SNAPSHOT",` + targets + `,
			"description":"d","createdAt":1000,"lastUpdatedAt":1795000160417,"completedAt":1795000160417,"jobProcessDetails":{"numberOfCanceledThings":0,
			"numberOfRejectedThings":0,"numberOfFailedThings":0,"numberOfRemovedThings":0,"numberOfSucceededThings":4,"numberOfTimedOutThings":1}}`,
		},
		"being canceled": {
			job, &v1.Event{Event: &v1.Event_JobCancelStarted{JobCancelStarted: &v1.JobCancelStarted{Job: 5, Comment: "stop"}}}, "$aws.events.job.fw.cancellation_in_progress",
			`{"eventType":"JOB","timestamp":1795000160,"operation":"cancellation_in_progress","jobId":"fw","status":"CANCELLATION_IN_PROGRESS",
			"targetSelection":"SNAPSHOT",` + targets + `,"description":"d","comment":"stop","createdAt":1000,"lastUpdatedAt":1795000160417}`,
		},
		"deleted": {
			job, &v1.Event{Event: &v1.Event_JobDeleted{JobDeleted: &v1.JobDeleted{Job: 5}}}, "$aws.events.job.fw.deleted",
			`{"eventType":"JOB","timestamp":1795000160,"operation":"deleted","jobId":"fw","status":"DELETED","targetSelection":"SNAPSHOT",` + targets + `,
			"description":"d","comment":"why","createdAt":1000,"lastUpdatedAt":1795000160417}`,
		},
		"timed out": {
			execution, &v1.Event{Event: &v1.Event_ExecutionChanged{ExecutionChanged: &v1.ExecutionChanged{
				Job: 5, Thing: "lamp-1", ExecutionNumber: 2, From: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS, To: v1.ExecutionStatus_EXECUTION_STATUS_TIMED_OUT,
				VersionNumber: 3, StatusDetails: []*v1.Detail{{Name: "phase", Value: "flash"}},
			}}}, "$aws.events.jobExecution.fw.timed_out",
			`{"eventType":"JOB_EXECUTION","timestamp":1795000160,"operation":"timed_out","jobId":"fw","thingArn":"arn:aws:iot:eu-central-1:111122223333:thing/lamp-1",
			"status":"TIMED_OUT","statusDetails":{"phase":"flash"},"executionNumber":2,"versionNumber":3}`,
		},
		"an execution is deleted": {
			execution, &v1.Event{Event: &v1.Event_ExecutionDeleted{ExecutionDeleted: &v1.ExecutionDeleted{Job: 5, Thing: thing, ExecutionNumber: 1}}}, "$aws.events.jobExecution.fw.deleted",
			`{"eventType":"JOB_EXECUTION","timestamp":1795000160,"operation":"deleted","jobId":"fw","thingArn":"arn:aws:iot:eu-central-1:111122223333:thing/lamp-1",
			"status":"DELETED","executionNumber":1}`,
		},
		"in progress": {execution, &v1.Event{Event: &v1.Event_ExecutionChanged{ExecutionChanged: &v1.ExecutionChanged{
			From: v1.ExecutionStatus_EXECUTION_STATUS_QUEUED, To: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS,
		}}}, "", ""},
		"created": {job, &v1.Event{Event: &v1.Event_JobCreated{JobCreated: &v1.JobCreated{}}}, "", ""},
		"a thing": {
			things, &v1.Event{Event: &v1.Event_ThingCreated{ThingCreated: &v1.ThingCreated{Thing: thing, Attributes: []*v1.Attribute{{Name: "hall", Value: "2"}}}}},
			"$aws.events.thing.lamp-1.created",
			`{"eventType":"THING_EVENT","timestamp":1795000160417,"operation":"CREATED","accountId":"111122223333","thingId":"` + id.ThingID(thing.GetName(), thing.GetNumber()) + `",
			"thingName":"lamp-1","versionNumber":1,"thingTypeName":null,"attributes":{"hall":"2"}}`,
		},
		"a member": {
			members, &v1.Event{Event: &v1.Event_ThingJoined{ThingJoined: &v1.ThingJoined{Group: "hall", Thing: thing}}}, "$aws.events.thingGroupMembership.thingGroup.hall.thing.lamp-1.added",
			`{"eventType":"THING_GROUP_MEMBERSHIP_EVENT","timestamp":1795000160417,"operation":"ADDED","accountId":"111122223333",
			"groupArn":"arn:aws:iot:eu-central-1:111122223333:thinggroup/hall","thingArn":"arn:aws:iot:eu-central-1:111122223333:thing/lamp-1","thingId":"` + id.ThingID(thing.GetName(), thing.GetNumber()) + `"}`,
		},
		"a group": {
			groups, &v1.Event{Event: &v1.Event_GroupCreated{GroupCreated: hall}}, "$aws.events.thingGroup.hall.created",
			`{"eventType":"THING_GROUP_EVENT","timestamp":1795000160417,"operation":"CREATED","accountId":"111122223333",` + hallsPlace + `,
			"versionNumber":1,"description":"north","attributes":{"line":"2"},"dynamicGroupMappingId":null}`,
		},
		"a group is changed": {
			groups, &v1.Event{Event: &v1.Event_GroupUpdated{GroupUpdated: &v1.GroupUpdated{Group: "hall", Number: 12, Version: 3, Description: "south"}}}, "$aws.events.thingGroup.hall.updated",
			`{"eventType":"THING_GROUP_EVENT","timestamp":1795000160417,"operation":"UPDATED","accountId":"111122223333",` + hallsPlace + `,
			"versionNumber":3,"description":"south","attributes":{},"dynamicGroupMappingId":null}`,
		},
		"a group is deleted": {
			groups, &v1.Event{Event: &v1.Event_GroupDeleted{GroupDeleted: &v1.GroupDeleted{Group: "hall", Number: 12}}}, "$aws.events.thingGroup.hall.deleted",
			`{"eventType":"THING_GROUP_EVENT","timestamp":1795000160417,"operation":"DELETED","accountId":"111122223333",` + hallsPlace + `,
			"description":"","attributes":{},"dynamicGroupMappingId":null}`,
		},
		"below another": {
			hierarchy, &v1.Event{Event: &v1.Event_GroupCreated{GroupCreated: hall}}, "$aws.events.thingGroupHierarchy.thingGroup.plant.childThingGroup.hall.added",
			`{"eventType":"THING_GROUP_HIERARCHY_EVENT","timestamp":1795000160417,"operation":"ADDED","accountId":"111122223333",
			"thingGroupId":"` + id.GroupID("plant", 11) + `","thingGroupName":"plant","childGroupId":"` + id.GroupID("hall", 12) + `","childGroupName":"hall"}`,
		},
		"not below it any more": {
			hierarchy, &v1.Event{Event: &v1.Event_GroupDeleted{GroupDeleted: &v1.GroupDeleted{Group: "hall", Number: 12}}},
			"$aws.events.thingGroupHierarchy.thingGroup.plant.childThingGroup.hall.removed",
			`{"eventType":"THING_GROUP_HIERARCHY_EVENT","timestamp":1795000160417,"operation":"REMOVED","accountId":"111122223333",
			"thingGroupId":"` + id.GroupID("plant", 11) + `","thingGroupName":"plant","childGroupId":"` + id.GroupID("hall", 12) + `","childGroupName":"hall"}`,
		},
		"a type": {
			types, &v1.Event{Event: &v1.Event_ThingTypeCreated{ThingTypeCreated: &v1.ThingTypeCreated{ThingType: "lamp", Description: "d", SearchableAttributes: []string{"hall"}}}},
			"$aws.events.thingType.lamp.created",
			`{"eventType":"THING_TYPE_EVENT","timestamp":1795000160417,"operation":"CREATED","accountId":"111122223333","thingTypeId":"` + id.ThingTypeID("lamp") + `",
			"thingTypeName":"lamp","isDeprecated":false,"deprecationDate":null,"searchableAttributes":["hall"],"propagatingAttributes":[],"description":"d"}`,
		},
		"a type is deprecated": {
			types, &v1.Event{Event: &v1.Event_ThingTypeDeprecated{ThingTypeDeprecated: &v1.ThingTypeDeprecated{ThingType: "lamp"}}}, "$aws.events.thingType.lamp.updated",
			`{"eventType":"THING_TYPE_EVENT","timestamp":1795000160417,"operation":"UPDATED","accountId":"111122223333","thingTypeId":"` + id.ThingTypeID("lamp") + `",
			"thingTypeName":"lamp","isDeprecated":true,"deprecationDate":1795000160417,"searchableAttributes":["site"],"propagatingAttributes":[],"description":"as it stands"}`,
		},
		"a type is deleted": {
			types, &v1.Event{Event: &v1.Event_ThingTypeDeleted{ThingTypeDeleted: &v1.ThingTypeDeleted{ThingType: "lamp"}}}, "$aws.events.thingType.lamp.deleted",
			`{"eventType":"THING_TYPE_EVENT","timestamp":1795000160417,"operation":"DELETED","accountId":"111122223333","thingTypeId":"` + id.ThingTypeID("lamp") + `",
			"thingTypeName":"lamp","isDeprecated":true,"deprecationDate":null,"searchableAttributes":[],"propagatingAttributes":[],"description":""}`,
		},
		"a thing of a type": {
			association, &v1.Event{Event: &v1.Event_ThingCreated{ThingCreated: &v1.ThingCreated{Thing: thing, ThingType: "lamp"}}},
			"$aws.events.thingTypeAssociation.thing.lamp-1.thingType.lamp.added",
			`{"eventType":"THING_TYPE_ASSOCIATION_EVENT","timestamp":1795000160417,"operation":"ADDED","thingId":"` + id.ThingID(thing.GetName(), thing.GetNumber()) + `",
			"thingName":"lamp-1","thingTypeName":"lamp"}`,
		},
		"a thing of none":    {association, &v1.Event{Event: &v1.Event_ThingCreated{ThingCreated: &v1.ThingCreated{Thing: thing}}}, "", ""},
		"another attribute":  {association, &v1.Event{Event: &v1.Event_ThingUpdated{ThingUpdated: &v1.ThingUpdated{Thing: thing, ThingType: "lamp"}}}, "", ""},
		"a group at the top": {hierarchy, &v1.Event{Event: &v1.Event_GroupCreated{GroupCreated: &v1.GroupCreated{Group: "plant", Number: 11}}}, "", ""},
	} {
		a := row()
		if a.group = hall; c.subject == "" {
			a.group = c.event.GetGroupCreated()
		}
		list := names.render(c.category, recorded(c.event), a)
		if len(list) > 1 || (len(list) == 1) != (c.subject != "") || len(list) == 1 && list[0].subject != c.subject {
			t.Errorf("%s: %v", name, list)
			continue
		}
		if len(list) == 0 {
			continue
		}
		m := list[0]
		var got, want map[string]any
		if err := json.Unmarshal(m.payload, &got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := json.Unmarshal([]byte(c.payload), &want); err != nil {
			t.Fatal(err)
		}
		if got["eventId"] == "" {
			t.Errorf("%s: no id", name)
		}
		delete(got, "eventId")
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %v\nwant %v", name, got, want)
		}
	}
}

// One event may be two messages, each with an id of its own.
func TestAThingOfAnotherTypeIsToldTwice(t *testing.T) {
	e := recorded(&v1.Event{Event: &v1.Event_ThingUpdated{ThingUpdated: &v1.ThingUpdated{Thing: &v1.ThingRef{Name: "a", Number: 1}, ThingType: "new", TypeChanged: true, TypeBefore: "old"}}})
	list := names.render(v1.EventCategory_EVENT_CATEGORY_THING_TYPE_ASSOCIATION, e, about{})
	if len(list) != 2 || list[0].subject != "$aws.events.thingTypeAssociation.thing.a.thingType.old.removed" || list[1].subject != "$aws.events.thingTypeAssociation.thing.a.thingType.new.added" {
		t.Fatalf("%v", list)
	}
	if eventID(e, "removed") == eventID(e, "added") || !strings.Contains(string(list[1].payload), eventID(e, "added")) {
		t.Error("they have the same id")
	}
}

func TestARepeatHasTheSameIDAndAnotherEventAnother(t *testing.T) {
	a, b := recorded(nil), recorded(nil)
	b.Position.Entry++
	if eventID(a, "") != eventID(recorded(nil), "") || eventID(a, "") == eventID(b, "") {
		t.Errorf("%s, %s", eventID(a, ""), eventID(b, ""))
	}
}

// Every category is one of AWS's; those without topics in the specification tell nothing.
func TestCategories(t *testing.T) {
	told := 0
	for c := range v1.EventCategory_name {
		told += len(filters(v1.EventCategory(c)))
	}
	if told != 22 {
		t.Errorf("%d kinds of events are told", told)
	}
}
