package aws

import (
	"net/http"
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func TestThingTypes(t *testing.T) {
	const told = `{"thingTypeName":"pump","thingTypeArn":"` + arnOf + `thingtype/pump","thingTypeProperties":{"thingTypeDescription":"d","searchableAttributes":["site"]},` +
		`"thingTypeMetadata":{"deprecated":true,"deprecationDate":3.050,"creationDate":2.001}}`
	pump := &v1.ThingTypeRow{ThingType: "pump", Description: "d", SearchableAttributes: []string{"site"}, CreatedAtMs: 2001, Deprecated: true, DeprecatedAtMs: 3050}
	plain := &v1.ThingTypeRow{ThingType: "press", CreatedAtMs: 1000}
	newSystem(t).meets(t, []exchange{
		{
			request: "POST /thing-types/pump", body: `{"thingTypeProperties":{"thingTypeDescription":"d","searchableAttributes":["site"]},"tags":[{"Key":"a","Value":"1"}]}`,
			serve: replies(bus.CreateThingType, &v1.CreateThingTypeReply{}),
			asks:  &v1.CreateThingType{ThingType: "pump", Description: "d", SearchableAttributes: []string{"site"}, Tags: []*v1.Tag{{Key: "a", Value: "1"}}},
			want:  `200 {"thingTypeName":"pump","thingTypeArn":"` + arnOf + `thingtype/pump"}`,
		},
		{
			request: "POST /thing-types/pump", serve: refuses(bus.CreateThingType, isThere), asks: &v1.CreateThingType{ThingType: "pump"},
			want: `409 ResourceAlreadyExistsException {"message":"so it is","resourceId":"pump","resourceArn":"` + arnOf + `thingtype/pump"}`,
		},
		{request: "POST /thing-types/pump", body: `{"thingTypeProperties":{"mqtt5Configuration":{}}}`, want: `400 InvalidRequestException {"message":"thingTypeProperties.mqtt5Configuration: `},
		{
			request: "GET /thing-types/pump", serve: replies(bus.DescribeThingType, &v1.DescribeThingTypeReply{ThingType: pump}), asks: &v1.DescribeThingType{Freshness: fresh, ThingType: "pump"},
			want: "200 " + told,
		},
		{
			request: "GET /thing-types?thingTypeName=p&maxResults=2", serve: replies(bus.ListThingTypes, &v1.ListThingTypesReply{ThingTypes: []*v1.ThingTypeRow{pump, plain}, NextToken: "n"}),
			asks: &v1.ListThingTypes{Freshness: fresh, Page: &v1.Page{Limit: 2}, ThingType: "p"},
			want: `200 {"thingTypes":[` + told + `,{"thingTypeName":"press","thingTypeArn":"` + arnOf + `thingtype/press","thingTypeProperties":{"searchableAttributes":[]},` +
				`"thingTypeMetadata":{"deprecated":false,"creationDate":1}}],"nextToken":"n"}`,
		},
		{
			request: "POST /thing-types/pump/deprecate", body: `{"undoDeprecate":true}`, serve: replies(bus.DeprecateThingType, &v1.DeprecateThingTypeReply{}),
			asks: &v1.DeprecateThingType{ThingType: "pump", Undo: true}, want: `200`,
		},
		{request: "POST /thing-types/pump/deprecate", serve: replies(bus.DeprecateThingType, &v1.DeprecateThingTypeReply{}), asks: &v1.DeprecateThingType{ThingType: "pump"}, want: `200`},
		{request: "DELETE /thing-types/pump", serve: replies(bus.DeleteThingType, &v1.DeleteThingTypeReply{}), asks: &v1.DeleteThingType{ThingType: "pump"}, want: `200`},
		{request: "DELETE /thing-types/pump", serve: refuses(bus.DeleteThingType, isNotFound), asks: &v1.DeleteThingType{ThingType: "pump"}, want: `404 ResourceNotFoundException `},
	})
}

// The service that keeps a resource's tags is told by the kind of its ARN.
func TestTags(t *testing.T) {
	tags := []*v1.Tag{{Key: "a", Value: "1"}}
	var list []exchange
	for kind, registry := range map[string]bool{"job/j": false, "jobtemplate/j": false, "thinggroup/g:1": true, "thingtype/t": true} {
		arn := arnOf + kind
		tag, untag, listed := bus.TagJobs, bus.UntagJobs, bus.ListJobTags
		if registry {
			tag, untag, listed = bus.TagRegistry, bus.UntagRegistry, bus.ListRegistryTags
		}
		list = append(list,
			exchange{
				request: "POST /tags", body: `{"resourceArn":"` + arn + `","tags":[{"Key":"a","Value":"1"}]}`, serve: replies(tag, &v1.TagResourceReply{}),
				asks: &v1.TagResource{Resource: arn, Tags: tags}, want: `200`,
			},
			exchange{
				request: "POST /untag", body: `{"resourceArn":"` + arn + `","tagKeys":["a"]}`, serve: replies(untag, &v1.UntagResourceReply{}),
				asks: &v1.UntagResource{Resource: arn, Keys: []string{"a"}}, want: `200`,
			},
			exchange{
				request: "GET /tags?resourceArn=" + arn, serve: replies(listed, &v1.ListTagsReply{Tags: tags}), asks: &v1.ListTags{Freshness: fresh, Resource: arn},
				want: `200 {"tags":[{"Key":"a","Value":"1"}]}`,
			})
	}
	const job = arnOf + "job/j"
	newSystem(t).meets(t, append(list,
		exchange{request: "GET /tags?resourceArn=" + job, serve: replies(bus.ListJobTags, &v1.ListTagsReply{}), asks: &v1.ListTags{Freshness: fresh, Resource: job}, want: `200 {"tags":[]}`},
		exchange{request: "GET /tags?resourceArn=" + job, serve: refuses(bus.ListJobTags, isNotFound), asks: &v1.ListTags{Freshness: fresh, Resource: job}, want: `404 ResourceNotFoundException `},
		exchange{request: "GET /tags?resourceArn=" + job + "&nextToken=x", want: `400 InvalidRequestException {"message":"nextToken: `},
		exchange{request: "GET /tags", want: `400 InvalidRequestException {"message":"resourceArn: `},
		exchange{request: "GET /tags?resourceArn=" + arnOf + "thing/t", want: `400 InvalidRequestException {"message":"resourceArn: `},
		exchange{request: "POST /tags", body: `{"resourceArn":"` + job + `"}`, want: `400 InvalidRequestException {"message":"tags: is missing"}`},
		exchange{request: "POST /tags", body: `{"tags":[]}`, want: `400 InvalidRequestException {"message":"resourceArn: `},
		exchange{request: "POST /untag", body: `{"resourceArn":"` + job + `"}`, want: `400 InvalidRequestException {"message":"tagKeys: is missing"}`},
	))
}

func TestSettings(t *testing.T) {
	s := newSystem(t)
	s.front.Endpoint = func(_ *http.Request, kind string) string {
		if kind == "iot:CredentialProvider" {
			return ""
		}
		return strings.ToLower(kind[len("iot:"):]) + ".example:443"
	}
	job, thing := v1.EventCategory_EVENT_CATEGORY_JOB, v1.EventCategory_EVENT_CATEGORY_THING
	s.meets(t, []exchange{
		{
			request: "GET /event-configurations",
			serve: replies(bus.DescribeEventConfigurations, &v1.DescribeEventConfigurationsReply{
				Configurations: []*v1.EventConfiguration{{Category: thing}, {Category: job, Enabled: true}}, LastModifiedMs: 1500,
			}),
			asks: &v1.DescribeEventConfigurations{Freshness: fresh},
			want: `200 {"eventConfigurations":{"JOB":{"Enabled":true},"THING":{"Enabled":false}},"lastModifiedDate":1.500}`,
		},
		{
			request: "PATCH /event-configurations", body: `{"eventConfigurations":{"JOB":{"Enabled":true},"THING":{"Enabled":false}}}`,
			serve: replies(bus.ConfigureEvents, &v1.ConfigureEventsReply{}),
			asks:  &v1.ConfigureEvents{Configurations: []*v1.EventConfiguration{{Category: job, Enabled: true}, {Category: thing}}}, want: `200`,
		},
		{request: "PATCH /event-configurations", body: `{"eventConfigurations":{"JOBS":{"Enabled":true}}}`, want: `400 InvalidRequestException {"message":"eventConfigurations: \"JOBS\" is none of `},
		{ // as aws-sdk-go-v2 switches off: it leaves out what is false
			request: "PATCH /event-configurations", body: `{"eventConfigurations":{"JOB":{}}}`,
			serve: replies(bus.ConfigureEvents, &v1.ConfigureEventsReply{}),
			asks:  &v1.ConfigureEvents{Configurations: []*v1.EventConfiguration{{Category: job}}}, want: `200`,
		},
		{request: "GET /endpoint", want: `200 {"endpointAddress":"data.example:443"}`},
		{request: "GET /endpoint?endpointType=iot:Jobs", want: `200 {"endpointAddress":"jobs.example:443"}`},
		{request: "GET /endpoint?endpointType=iot%3AData-ATS", want: `200 {"endpointAddress":"data-ats.example:443"}`},
		{request: "GET /endpoint?endpointType=iot:CredentialProvider", want: `400 InvalidRequestException {"message":"endpointType: there is no endpoint iot:CredentialProvider here"}`},
		{request: "GET /endpoint?endpointType=iot:Other", want: `400 InvalidRequestException {"message":"endpointType: \"iot:Other\" is none of iot:Data, `},
		{request: "GET /indexing/config", want: `200 {"thingIndexingConfiguration":{"thingIndexingMode":"OFF"},"thingGroupIndexingConfiguration":{"thingGroupIndexingMode":"OFF"}}`},
		{request: "POST /indices/search", body: `{"queryString":"*"}`, want: `400 InvalidRequestException {"message":"SearchIndex is not offered here: `},
		{request: "POST /dynamic-thing-groups/g?x=y", want: `400 InvalidRequestException {"message":"CreateDynamicThingGroup is not offered here: `},
	})
}
