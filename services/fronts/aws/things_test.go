package aws

import (
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

const (
	isNotFound     = v1.RefusalCode_REFUSAL_CODE_NOT_FOUND
	isThere        = v1.RefusalCode_REFUSAL_CODE_ALREADY_EXISTS
	isOtherVersion = v1.RefusalCode_REFUSAL_CODE_VERSION_MISMATCH

	arnOf = "arn:aws:iot:eu-central-1:123456789012:"
)

func TestThings(t *testing.T) {
	attribute := func(name, value string) *v1.Attribute { return &v1.Attribute{Name: name, Value: value} }
	create := func(thing *v1.NewThing) *v1.CreateThings { return &v1.CreateThings{Things: []*v1.NewThing{thing}} }
	pump := "pump"
	press := &v1.ThingRow{Name: "press", Number: 7, ThingType: "pump", Attributes: []*v1.Attribute{attribute("site", "oslo"), attribute("line", "")}, Version: 3}
	page := &v1.Page{Limit: 250}
	newSystem(t).meets(t, []exchange{
		{
			request: "POST /things/press%3A1", body: `{"thingTypeName":"pump","attributePayload":{"attributes":{"site":"oslo","line":"3"},"merge":false}}`,
			serve: replies(bus.CreateThings, &v1.CreateThingsReply{Created: 1, Number: 7}),
			asks:  create(&v1.NewThing{Name: "press:1", ThingType: "pump", Attributes: []*v1.Attribute{attribute("line", "3"), attribute("site", "oslo")}}),
			want:  `200 {"thingName":"press:1","thingArn":"` + arnOf + `thing/press:1","thingId":"` + id.ThingID("press:1", 7) + `"}`,
		},
		{ // it is there already
			request: "POST /things/press", body: `{}`, serve: replies(bus.CreateThings, &v1.CreateThingsReply{Existing: 1, Number: 7}), asks: create(&v1.NewThing{Name: "press"}),
			want: `200 {"thingName":"press","thingArn":"` + arnOf + `thing/press","thingId":"` + id.ThingID("press", 7) + `"}`,
		},
		{
			request: "POST /things/press", serve: refuses(bus.CreateThings, isThere), asks: create(&v1.NewThing{Name: "press"}),
			want: `409 ResourceAlreadyExistsException {"message":"so it is","resourceId":"press","resourceArn":"` + arnOf + `thing/press"}`,
		},
		{request: "POST /things/a%20b", body: `{}`, want: `400 InvalidRequestException {"message":"thingName: `},
		{request: "POST /things/press", body: `{"colour":"red"}`, want: `400 InvalidRequestException {"message":"colour: unknown field"}`},
		{request: "POST /things/press", body: `{"billingGroupName":"b"}`, want: `400 InvalidRequestException {"message":"billingGroupName: billing groups are not offered`},
		{request: "POST /things/press", body: `{"thingTypeName":""}`, want: `400 InvalidRequestException {"message":"thingTypeName: `},
		{request: "POST /things/press", body: `{"attributePayload":{"attributes":{"a":1}}}`, want: `400 InvalidRequestException {"message":"attributePayload.attributes.a: a string is expected`},
		{
			request: "GET /things/press", serve: replies(bus.DescribeThing, &v1.DescribeThingReply{Thing: press}), asks: &v1.DescribeThing{Freshness: fresh, Name: "press"},
			want: `200 {"thingName":"press","thingArn":"` + arnOf + `thing/press","thingTypeName":"pump","attributes":{"line":"","site":"oslo"},"version":3,"thingId":"` + id.ThingID("press", 7) + `","defaultClientId":"press"}`,
		},
		{
			request: "GET /things/press", serve: refuses(bus.DescribeThing, isNotFound), asks: &v1.DescribeThing{Freshness: fresh, Name: "press"},
			want: `404 ResourceNotFoundException {"message":"so it is"}`,
		},
		{
			request: "GET /things/press", serve: replies(bus.DescribeThing, &v1.DescribeThingReply{Thing: press, Stamp: &v1.Stamp{Behind: true}}), asks: &v1.DescribeThing{Freshness: fresh, Name: "press"},
			want: `503 ServiceUnavailableException `,
		},
		{
			request: "PATCH /things/press", body: `{"thingTypeName":"pump","attributePayload":{"attributes":{"a":"","b":"2"},"merge":true},"expectedVersion":3}`,
			serve: replies(bus.UpdateThing, &v1.UpdateThingReply{Version: 4}),
			asks:  &v1.UpdateThing{Name: "press", ThingType: &pump, ChangeAttributes: true, Merge: true, Attributes: []*v1.Attribute{attribute("a", ""), attribute("b", "2")}, ExpectedVersion: 3},
			want:  `200`,
		},
		{ // all are replaced, so one that is to be gone is none
			request: "PATCH /things/press", body: `{"attributePayload":{"attributes":{"a":"","b":"2"}}}`, serve: replies(bus.UpdateThing, &v1.UpdateThingReply{}),
			asks: &v1.UpdateThing{Name: "press", ChangeAttributes: true, Attributes: []*v1.Attribute{attribute("b", "2")}}, want: `200`,
		},
		{
			request: "PATCH /things/press", body: `{"attributePayload":{"attributes":{}}}`, serve: replies(bus.UpdateThing, &v1.UpdateThingReply{}),
			asks: &v1.UpdateThing{Name: "press", ChangeAttributes: true}, want: `200`,
		},
		{ // nothing is said of attributes
			request: "PATCH /things/press", body: `{"removeThingType":true,"attributePayload":null}`, serve: replies(bus.UpdateThing, &v1.UpdateThingReply{}),
			asks: &v1.UpdateThing{Name: "press", RemoveThingType: true}, want: `200`,
		},
		{
			request: "PATCH /things/press", body: `{"expectedVersion":9}`, serve: refuses(bus.UpdateThing, isOtherVersion), asks: &v1.UpdateThing{Name: "press", ExpectedVersion: 9},
			want: `409 VersionConflictException {"message":"so it is"}`,
		},
		{request: "PATCH /things/press", body: `{"expectedVersion":0}`, want: `400 InvalidRequestException {"message":"expectedVersion: `},
		{
			request: "DELETE /things/press?expectedVersion=2", serve: replies(bus.DeleteThing, &v1.DeleteThingReply{}), asks: &v1.DeleteThing{Name: "press", ExpectedVersion: 2},
			want: `200`,
		},
		{request: "DELETE /things/press", serve: refuses(bus.DeleteThing, isOtherVersion), asks: &v1.DeleteThing{Name: "press"}, want: `409 VersionConflictException `},
		{request: "DELETE /things/press?expectedVersion=x", want: `400 InvalidRequestException {"message":"expectedVersion: `},
		{
			request: "GET /things?attributeName=site&attributeValue=os&usePrefixAttributeValue=true&thingTypeName=pump&maxResults=1&nextToken=n",
			serve:   replies(bus.ListThings, &v1.ListThingsReply{Things: []*v1.ThingRow{press}, NextToken: "m"}),
			asks:    &v1.ListThings{Freshness: fresh, Page: &v1.Page{Limit: 1, Token: "n"}, ThingType: "pump", AttributeName: "site", AttributeValue: "os", AttributeValuePrefix: true},
			want:    `200 {"things":[{"thingName":"press","thingArn":"` + arnOf + `thing/press","thingTypeName":"pump","attributes":{"line":"","site":"oslo"},"version":3}],"nextToken":"m"}`,
		},
		{
			request: "GET /things", serve: replies(bus.ListThings, &v1.ListThingsReply{Things: []*v1.ThingRow{{Name: "a", Version: 1}}}), asks: &v1.ListThings{Freshness: fresh, Page: page},
			want: `200 {"things":[{"thingName":"a","thingArn":"` + arnOf + `thing/a","attributes":{},"version":1}]}`,
		},
		{request: "GET /things?maxResults=250", serve: replies(bus.ListThings, &v1.ListThingsReply{}), asks: &v1.ListThings{Freshness: fresh, Page: page}, want: `200 {"things":[]}`},
		{request: "GET /things?maxResults=251", want: `400 InvalidRequestException {"message":"maxResults: `},
		{request: "GET /things?usePrefixAttributeValue=yes", want: `400 InvalidRequestException {"message":"usePrefixAttributeValue: `},
	})
}
