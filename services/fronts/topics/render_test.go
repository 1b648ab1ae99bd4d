package topics

import (
	"encoding/json"
	"reflect"
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
		counts: &v1.JobCounts{Attempts: []*v1.StatusCount{
			{Status: v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED, Count: 4}, {Status: v1.ExecutionStatus_EXECUTION_STATUS_TIMED_OUT, Count: 1},
		}},
	}
}

// The topics and payloads of specification §6.2 to §6.4, and nothing for what AWS does not tell.
// Broken once by telling IN_PROGRESS too, and once by seconds in place of milliseconds in createdAt.
func TestEachEventHasItsTopicAndItsPayload(t *testing.T) {
	thing := &v1.ThingRef{Name: "lamp-1", Number: 9}
	const targets = `"targets":["arn:aws:iot:eu-central-1:111122223333:thing/lamp-1","arn:aws:iot:eu-central-1:111122223333:thinggroup/hall"]`
	for name, c := range map[string]struct {
		event            *v1.Event
		subject, payload string
	}{
		"completed": {
			&v1.Event{Event: &v1.Event_JobCompleted{JobCompleted: &v1.JobCompleted{Job: 5}}}, "$aws.events.job.fw.completed",
			`{"eventType":"JOB","timestamp":1795000160,"operation":"completed","jobId":"fw","status":"COMPLETED","targetSelection":"SNAPSHOT",` + targets + `,
			"description":"d","createdAt":1000,"lastUpdatedAt":1795000160417,"completedAt":1795000160417,"jobProcessDetails":{"numberOfCanceledThings":0,
			"numberOfRejectedThings":0,"numberOfFailedThings":0,"numberOfRemovedThings":0,"numberOfSucceededThings":4,"numberOfTimedOutThings":1}}`,
		},
		"being canceled": {
			&v1.Event{Event: &v1.Event_JobCancelStarted{JobCancelStarted: &v1.JobCancelStarted{Job: 5, Comment: "stop"}}}, "$aws.events.job.fw.cancellation_in_progress",
			`{"eventType":"JOB","timestamp":1795000160,"operation":"cancellation_in_progress","jobId":"fw","status":"CANCELLATION_IN_PROGRESS",
			"targetSelection":"SNAPSHOT",` + targets + `,"description":"d","comment":"stop","createdAt":1000,"lastUpdatedAt":1795000160417}`,
		},
		"deleted": {
			&v1.Event{Event: &v1.Event_JobDeleted{JobDeleted: &v1.JobDeleted{Job: 5}}}, "$aws.events.job.fw.deleted",
			`{"eventType":"JOB","timestamp":1795000160,"operation":"deleted","jobId":"fw","status":"DELETED","targetSelection":"SNAPSHOT",` + targets + `,
			"description":"d","comment":"why","createdAt":1000,"lastUpdatedAt":1795000160417}`,
		},
		"timed out": {
			&v1.Event{Event: &v1.Event_ExecutionChanged{ExecutionChanged: &v1.ExecutionChanged{
				Job: 5, Thing: "lamp-1", ExecutionNumber: 2, From: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS, To: v1.ExecutionStatus_EXECUTION_STATUS_TIMED_OUT,
				VersionNumber: 3, StatusDetails: []*v1.Detail{{Name: "phase", Value: "flash"}},
			}}}, "$aws.events.jobExecution.fw.timed_out",
			`{"eventType":"JOB_EXECUTION","timestamp":1795000160,"operation":"timed_out","jobId":"fw","thingArn":"arn:aws:iot:eu-central-1:111122223333:thing/lamp-1",
			"status":"TIMED_OUT","statusDetails":{"phase":"flash"},"executionNumber":2,"versionNumber":3}`,
		},
		"an execution is deleted": {
			&v1.Event{Event: &v1.Event_ExecutionDeleted{ExecutionDeleted: &v1.ExecutionDeleted{Job: 5, Thing: thing, ExecutionNumber: 1}}}, "$aws.events.jobExecution.fw.deleted",
			`{"eventType":"JOB_EXECUTION","timestamp":1795000160,"operation":"deleted","jobId":"fw","thingArn":"arn:aws:iot:eu-central-1:111122223333:thing/lamp-1",
			"status":"DELETED","executionNumber":1}`,
		},
		"in progress": {&v1.Event{Event: &v1.Event_ExecutionChanged{ExecutionChanged: &v1.ExecutionChanged{
			From: v1.ExecutionStatus_EXECUTION_STATUS_QUEUED, To: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS,
		}}}, "", ""},
		"created": {&v1.Event{Event: &v1.Event_JobCreated{JobCreated: &v1.JobCreated{}}}, "", ""},
		"a thing": {
			&v1.Event{Event: &v1.Event_ThingCreated{ThingCreated: &v1.ThingCreated{Thing: thing, Attributes: []*v1.Attribute{{Name: "hall", Value: "2"}}}}},
			"$aws.events.thing.lamp-1.created",
			`{"eventType":"THING_EVENT","timestamp":1795000160417,"operation":"CREATED","accountId":"111122223333","thingId":"` + id.ThingID(thing.GetName(), thing.GetNumber()) + `",
			"thingName":"lamp-1","versionNumber":1,"thingTypeName":null,"attributes":{"hall":"2"}}`,
		},
		"a member": {
			&v1.Event{Event: &v1.Event_ThingJoined{ThingJoined: &v1.ThingJoined{Group: "hall", Thing: thing}}}, "$aws.events.thingGroupMembership.thingGroup.hall.thing.lamp-1.added",
			`{"eventType":"THING_GROUP_MEMBERSHIP_EVENT","timestamp":1795000160417,"operation":"ADDED","accountId":"111122223333",
			"groupArn":"arn:aws:iot:eu-central-1:111122223333:thinggroup/hall","thingArn":"arn:aws:iot:eu-central-1:111122223333:thing/lamp-1","thingId":"` + id.ThingID(thing.GetName(), thing.GetNumber()) + `"}`,
		},
	} {
		m, told := names.render(recorded(c.event), row())
		if told != (c.subject != "") || m.subject != c.subject {
			t.Errorf("%s: %v on %q", name, told, m.subject)
			continue
		}
		if !told {
			continue
		}
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

func TestARepeatHasTheSameIDAndAnotherEventAnother(t *testing.T) {
	a, b := recorded(nil), recorded(nil)
	b.Position.Entry++
	if eventID(a) != eventID(recorded(nil)) || eventID(a) == eventID(b) {
		t.Errorf("%s, %s", eventID(a), eventID(b))
	}
}

// Every category is one of AWS's; those without topics in the specification tell nothing.
func TestCategories(t *testing.T) {
	told := 0
	for c := range v1.EventCategory_name {
		told += len(filters(v1.EventCategory(c)))
	}
	if told != 12 {
		t.Errorf("%d kinds of events are told", told)
	}
}
