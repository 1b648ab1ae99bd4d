package aws

import (
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func TestGroups(t *testing.T) {
	description := "all presses"
	page := &v1.Page{Limit: 250}
	site := []*v1.Attribute{{Name: "site", Value: "oslo"}}
	group := &v1.GroupRow{
		Group: "line", Number: 9, Parent: "plant", Description: "all presses", CreatedAtMs: 1789900123417, Attributes: site, Version: 2, Ancestors: []string{"firm", "plant"},
	}
	named := func(name string) string {
		return `{"groupName":"` + name + `","groupArn":"` + arnOf + `thinggroup/` + name + `"}`
	}
	newSystem(t).meets(t, []exchange{
		{
			request: "POST /thing-groups/line",
			body:    `{"parentGroupName":"plant","thingGroupProperties":{"thingGroupDescription":"all presses","attributePayload":{"attributes":{"site":"oslo"}}},"tags":[{"Key":"b","Value":"1"},{"Key":"a"}]}`,
			serve:   replies(bus.CreateGroup, &v1.CreateGroupReply{Number: 9}),
			asks: &v1.CreateGroup{Group: "line", Parent: "plant", Description: "all presses", Attributes: site,
				Tags: []*v1.Tag{{Key: "a"}, {Key: "b", Value: "1"}}},
			want: `200 {"thingGroupName":"line","thingGroupArn":"` + arnOf + `thinggroup/line","thingGroupId":"` + id.GroupID("line", 9) + `"}`,
		},
		{ // it is there already
			request: "POST /thing-groups/line", serve: replies(bus.CreateGroup, &v1.CreateGroupReply{Existed: true, Number: 9}), asks: &v1.CreateGroup{Group: "line"},
			want: `200 {"thingGroupName":"line","thingGroupArn":"` + arnOf + `thinggroup/line","thingGroupId":"` + id.GroupID("line", 9) + `"}`,
		},
		{
			request: "POST /thing-groups/line", serve: refuses(bus.CreateGroup, isThere), asks: &v1.CreateGroup{Group: "line"},
			want: `409 ResourceAlreadyExistsException {"message":"so it is","resourceId":"line","resourceArn":"` + arnOf + `thinggroup/line"}`,
		},
		{ // AWS's model gives this operation no ResourceNotFoundException
			request: "POST /thing-groups/line", body: `{"parentGroupName":"plant"}`, serve: refuses(bus.CreateGroup, isNotFound), asks: &v1.CreateGroup{Group: "line", Parent: "plant"},
			want: `400 InvalidRequestException {"message":"so it is"}`,
		},
		{request: "POST /thing-groups/line", body: `{"parentGroupName":"a b"}`, want: `400 InvalidRequestException {"message":"parentGroupName: `},
		{request: "POST /thing-groups/line", body: `{"queryString":"*"}`, want: `400 InvalidRequestException {"message":"queryString: unknown field"}`},
		{
			request: "GET /thing-groups/line", serve: replies(bus.DescribeGroup, &v1.DescribeGroupReply{Group: group}), asks: &v1.DescribeGroup{Freshness: fresh, Group: "line"},
			want: `200 {"thingGroupName":"line","thingGroupId":"` + id.GroupID("line", 9) + `","thingGroupArn":"` + arnOf + `thinggroup/line","version":2,` +
				`"thingGroupProperties":{"thingGroupDescription":"all presses","attributePayload":{"attributes":{"site":"oslo"}}},` +
				`"thingGroupMetadata":{"parentGroupName":"plant","rootToParentThingGroups":[` + named("firm") + `,` + named("plant") + `],"creationDate":1789900123.417}}`,
		},
		{
			request: "GET /thing-groups/a", serve: replies(bus.DescribeGroup, &v1.DescribeGroupReply{Group: &v1.GroupRow{Group: "a", Number: 1, Version: 1, CreatedAtMs: 2000}}),
			asks: &v1.DescribeGroup{Freshness: fresh, Group: "a"},
			want: `200 {"thingGroupName":"a","thingGroupId":"` + id.GroupID("a", 1) + `","thingGroupArn":"` + arnOf + `thinggroup/a","version":1,` +
				`"thingGroupProperties":{},"thingGroupMetadata":{"creationDate":2}}`,
		},
		{
			request: "GET /thing-groups/a", serve: refuses(bus.DescribeGroup, isNotFound), asks: &v1.DescribeGroup{Freshness: fresh, Group: "a"},
			want: `404 ResourceNotFoundException `,
		},
		{
			request: "PATCH /thing-groups/line", body: `{"thingGroupProperties":{"thingGroupDescription":"all presses","attributePayload":{"attributes":{"site":""},"merge":true}},"expectedVersion":2}`,
			serve: replies(bus.UpdateGroup, &v1.UpdateGroupReply{Version: 3}),
			asks:  &v1.UpdateGroup{Group: "line", Description: &description, ChangeAttributes: true, Merge: true, Attributes: []*v1.Attribute{{Name: "site"}}, ExpectedVersion: 2},
			want:  `200 {"version":3}`,
		},
		{
			request: "PATCH /thing-groups/line", body: `{"thingGroupProperties":{}}`, serve: refuses(bus.UpdateGroup, isOtherVersion), asks: &v1.UpdateGroup{Group: "line"},
			want: `409 VersionConflictException `,
		},
		{request: "PATCH /thing-groups/line", body: `{}`, want: `400 InvalidRequestException {"message":"thingGroupProperties: is missing"}`},
		{
			request: "DELETE /thing-groups/line?expectedVersion=2", serve: replies(bus.DeleteGroup, &v1.DeleteGroupReply{}), asks: &v1.DeleteGroup{Group: "line", ExpectedVersion: 2},
			want: `200`,
		},
		{
			request: "DELETE /thing-groups/line", serve: refuses(bus.DeleteGroup, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST), asks: &v1.DeleteGroup{Group: "line"},
			want: `400 InvalidRequestException `,
		},
		{
			request: "GET /thing-groups?parentGroup=plant&namePrefixFilter=l&recursive=true&maxResults=2",
			serve:   replies(bus.ListGroups, &v1.ListGroupsReply{Groups: []*v1.GroupRow{group}, NextToken: "n"}),
			asks:    &v1.ListGroups{Freshness: fresh, Page: &v1.Page{Limit: 2}, Parent: "plant", Prefix: "l", Recursive: true},
			want:    `200 {"thingGroups":[` + named("line") + `],"nextToken":"n"}`,
		},
		{request: "GET /thing-groups", serve: replies(bus.ListGroups, &v1.ListGroupsReply{}), asks: &v1.ListGroups{Freshness: fresh, Page: page}, want: `200 {"thingGroups":[]}`},
		{
			request: "GET /thing-groups/line/things?recursive=true", serve: replies(bus.ListThingsInGroup, &v1.ListThingsInGroupReply{Things: []string{"a", "b"}, NextToken: "n"}),
			asks: &v1.ListThingsInGroup{Freshness: fresh, Page: page, Group: "line", Recursive: true}, want: `200 {"things":["a","b"],"nextToken":"n"}`,
		},
		{
			request: "GET /thing-groups/line/things", serve: replies(bus.ListThingsInGroup, &v1.ListThingsInGroupReply{}),
			asks: &v1.ListThingsInGroup{Freshness: fresh, Page: page, Group: "line"}, want: `200 {"things":[]}`,
		},
	})
}

func TestMembers(t *testing.T) {
	const add, remove, change = "PUT /thing-groups/addThingToThingGroup", "PUT /thing-groups/removeThingFromThingGroup", "PUT /thing-groups/updateThingGroupsForThing"
	named := func(name string) string {
		return `{"groupName":"` + name + `","groupArn":"` + arnOf + `thinggroup/` + name + `"}`
	}
	describe := replies(bus.DescribeThing, &v1.DescribeThingReply{Thing: &v1.ThingRow{Name: "t", Groups: []string{"a", "b", "c"}}})
	asked := &v1.DescribeThing{Freshness: fresh, Name: "t"}
	newSystem(t).meets(t, []exchange{
		{
			request: add, body: `{"thingName":"t","thingGroupName":"g","overrideDynamicGroups":true}`, serve: replies(bus.AddThings, &v1.AddThingsReply{}),
			asks: &v1.AddThings{Group: "g", Things: []string{"t"}}, want: `200`,
		},
		{
			request: add, body: `{"thingArn":"` + arnOf + `thing/t","thingGroupArn":"` + arnOf + `thinggroup/g","thingName":"t"}`, serve: replies(bus.AddThings, &v1.AddThingsReply{}),
			asks: &v1.AddThings{Group: "g", Things: []string{"t"}}, want: `200`,
		},
		{
			request: add, body: `{"thingName":"t","thingGroupName":"g"}`, serve: refuses(bus.AddThings, isNotFound), asks: &v1.AddThings{Group: "g", Things: []string{"t"}},
			want: `404 ResourceNotFoundException `,
		},
		{ // AWS's model gives this operation no LimitExceededException
			request: add, body: `{"thingName":"t","thingGroupName":"g"}`, serve: refuses(bus.AddThings, v1.RefusalCode_REFUSAL_CODE_LIMIT_EXCEEDED),
			asks: &v1.AddThings{Group: "g", Things: []string{"t"}}, want: `400 InvalidRequestException {"message":"so it is"}`,
		},
		{request: add, body: `{"thingName":"t"}`, want: `400 InvalidRequestException {"message":"thingGroupName: is missing`},
		{request: add, body: `{"thingGroupName":"g"}`, want: `400 InvalidRequestException {"message":"thingName: is missing`},
		{request: add, body: `{"thingName":"t","thingArn":"` + arnOf + `thing/u","thingGroupName":"g"}`, want: `400 InvalidRequestException {"message":"thingArn: names u, `},
		{request: add, body: `{"thingArn":"` + arnOf + `thinggroup/t","thingGroupName":"g"}`, want: `400 InvalidRequestException {"message":"thingArn: `},
		{request: add, body: `{"thingName":"t","thingGroupArn":"g"}`, want: `400 InvalidRequestException {"message":"thingGroupArn: \"g\" is no ARN"}`},
		{
			request: remove, body: `{"thingName":"t","thingGroupName":"g"}`, serve: replies(bus.RemoveThings, &v1.RemoveThingsReply{}),
			asks: &v1.RemoveThings{Group: "g", Things: []string{"t"}}, want: `200`,
		},
		{request: remove, body: `{"thingName":"t","thingGroupName":"g","overrideDynamicGroups":true}`, want: `400 InvalidRequestException {"message":"overrideDynamicGroups: unknown field"}`},
		{
			request: change, body: `{"thingName":"t","thingGroupsToAdd":["a","b"],"thingGroupsToRemove":["c"],"overrideDynamicGroups":false}`,
			serve: replies(bus.ChangeGroupsOfThing, &v1.ChangeGroupsOfThingReply{}), asks: &v1.ChangeGroupsOfThing{Thing: "t", Add: []string{"a", "b"}, Remove: []string{"c"}}, want: `200`,
		},
		{request: change, body: `{"thingGroupsToAdd":["a"]}`, want: `400 InvalidRequestException {"message":"thingName: is missing"}`},
		{request: "GET /things/t/thing-groups", serve: describe, asks: asked, want: `200 {"thingGroups":[` + named("a") + `,` + named("b") + `,` + named("c") + `]}`},
		{request: "GET /things/t/thing-groups?maxResults=2", serve: describe, asks: asked, want: `200 {"thingGroups":[` + named("a") + `,` + named("b") + `],"nextToken":"b"}`},
		{request: "GET /things/t/thing-groups?maxResults=2&nextToken=b", serve: describe, asks: asked, want: `200 {"thingGroups":[` + named("c") + `]}`},
		{request: "GET /things/t/thing-groups?nextToken=c", serve: describe, asks: asked, want: `200 {"thingGroups":[]}`},
		{request: "GET /things/t/thing-groups", serve: refuses(bus.DescribeThing, isNotFound), asks: asked, want: `404 ResourceNotFoundException `},
	})
}
