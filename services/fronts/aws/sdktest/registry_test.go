package sdktest

import (
	"strings"
	"testing"
)

func TestThings(t *testing.T) {
	eachSDK(t, plain, func(s *system, c *client) {
		thing := c.name("press")
		attributes := doc{"attributes": doc{"site": "b2", "line": "7"}}
		made := c.want("CreateThing", doc{"thingName": thing, "attributePayload": attributes}, doc{"thingName": thing, "thingArn": arn("thing", thing)})
		if len(made.text("thingId")) != 36 {
			c.t.Errorf("thingId %q is no UUID", made.text("thingId"))
		}
		// The same again is granted; with other settings it is not.
		c.want("CreateThing", doc{"thingName": thing, "attributePayload": attributes}, doc{"thingId": made.text("thingId")})
		c.refused(exists, "CreateThing", doc{"thingName": thing, "attributePayload": doc{"attributes": doc{"site": "b3"}}}, thing)
		c.want("DescribeThing", doc{"thingName": thing}, doc{"thingName": thing, "defaultClientId": thing, "thingArn": arn("thing", thing), "thingId": made.text("thingId"),
			"attributes": doc{"site": "b2", "line": "7"}, "version": 1, "thingTypeName": nil})

		c.must("UpdateThing", doc{"thingName": thing, "attributePayload": doc{"attributes": doc{"site": "b4", "line": ""}, "merge": true}, "expectedVersion": 1})
		c.want("DescribeThing", doc{"thingName": thing}, doc{"attributes": doc{"site": "b4"}, "version": 2})
		c.refused(badVersion, "UpdateThing", doc{"thingName": thing, "attributePayload": attributes, "expectedVersion": 1}, "")
		c.want("ListThings", doc{"attributeName": "site", "attributeValue": "b4"}, doc{"things.0.attributes.site": "b4"})
		c.refused(badVersion, "DeleteThing", doc{"thingName": thing, "expectedVersion": 1}, "")
		c.must("DeleteThing", doc{"thingName": thing, "expectedVersion": 2})
		c.refused(notFound, "DescribeThing", doc{"thingName": thing}, thing)

		c.refused(invalid, "CreateThing", doc{"thingName": "a.b"}, "thingName")
		c.refused(invalid, "CreateThing", doc{"thingName": strings.Repeat("t", 129)}, "thingName")
		c.refused(invalid, "CreateThing", doc{"thingName": thing, "attributePayload": doc{"attributes": doc{"a b": "c"}}}, "")
		c.refused(notFound, "CreateThing", doc{"thingName": thing, "thingTypeName": c.name("nobody")}, c.name("nobody"))
		c.refused(invalid, "DescribeThing", doc{"thingName": "a.b"}, "thingName")
		c.refused(invalid, "UpdateThing", doc{"thingName": "a.b"}, "thingName")
		c.refused(notFound, "UpdateThing", doc{"thingName": c.name("nobody"), "attributePayload": attributes}, "")
		c.refused(invalid, "DeleteThing", doc{"thingName": "a.b"}, "thingName")
		c.must("DeleteThing", doc{"thingName": c.name("nobody")}) // as AWS grants it
		c.refused(invalid, "ListThings", doc{"maxResults": 251}, "maxResults")
	})
}

func TestThingTypes(t *testing.T) {
	eachSDK(t, plain, func(s *system, c *client) {
		kind, thing := c.name("pump"), c.name("typed")
		properties := doc{"thingTypeDescription": "moves water", "searchableAttributes": []string{"site"}}
		c.want("CreateThingType", doc{"thingTypeName": kind, "thingTypeProperties": properties}, doc{"thingTypeName": kind, "thingTypeArn": arn("thingtype", kind)})
		c.refused(exists, "CreateThingType", doc{"thingTypeName": kind, "thingTypeProperties": doc{"thingTypeDescription": "other"}}, kind)
		c.want("DescribeThingType", doc{"thingTypeName": kind}, doc{"thingTypeName": kind, "thingTypeProperties.thingTypeDescription": "moves water",
			"thingTypeProperties.searchableAttributes.0": "site", "thingTypeMetadata.deprecated": false})
		c.want("ListThingTypes", doc{"thingTypeName": kind}, doc{"thingTypes.length": 1, "thingTypes.0.thingTypeName": kind})
		c.must("CreateThing", doc{"thingName": thing, "thingTypeName": kind})
		c.want("DescribeThing", doc{"thingName": thing}, doc{"thingTypeName": kind})
		c.want("ListThings", doc{"thingTypeName": kind}, doc{"things.length": 1, "things.0.thingName": thing, "things.0.thingTypeName": kind})
		c.refused(invalid, "DeleteThingType", doc{"thingTypeName": kind}, "")
		c.must("DeprecateThingType", doc{"thingTypeName": kind})
		c.want("DescribeThingType", doc{"thingTypeName": kind}, doc{"thingTypeMetadata.deprecated": true})
		c.must("DeprecateThingType", doc{"thingTypeName": kind, "undoDeprecate": true})
		c.must("UpdateThing", doc{"thingName": thing, "removeThingType": true})
		c.must("DeprecateThingType", doc{"thingTypeName": kind}) // signed as before, in the same second, and another call
		c.must("DeleteThingType", doc{"thingTypeName": kind})
		c.refused(notFound, "DescribeThingType", doc{"thingTypeName": kind}, "")

		c.refused(invalid, "ListThingTypes", doc{"maxResults": 251}, "maxResults")
		c.refused(invalid, "CreateThingType", doc{"thingTypeName": kind, "thingTypeProperties": doc{"searchableAttributes": []string{"a", "b", "c", "d"}}}, "")
		for _, operation := range []string{"DescribeThingType", "DeprecateThingType", "DeleteThingType"} {
			c.refused(invalid, operation, doc{"thingTypeName": "a.b"}, "thingTypeName")
			c.refused(notFound, operation, doc{"thingTypeName": c.name("nobody")}, "")
		}
	})
}

func TestGroups(t *testing.T) {
	eachSDK(t, plain, func(s *system, c *client) {
		root, leaf, other, thing := c.name("plant"), c.name("hall"), c.name("yard"), c.name("member")
		c.fleet(thing)
		made := c.must("CreateThingGroup", doc{"thingGroupName": root, "thingGroupProperties": doc{"thingGroupDescription": "all of it", "attributePayload": doc{"attributes": doc{"city": "Ulm"}}}})
		c.want("CreateThingGroup", doc{"thingGroupName": leaf, "parentGroupName": root}, doc{"thingGroupArn": arn("thinggroup", leaf)})
		c.must("CreateThingGroup", doc{"thingGroupName": other})
		c.refused(exists, "CreateThingGroup", doc{"thingGroupName": leaf}, leaf)
		c.want("DescribeThingGroup", doc{"thingGroupName": root}, doc{"thingGroupName": root, "thingGroupArn": arn("thinggroup", root), "thingGroupId": made.text("thingGroupId"),
			"version": 1, "thingGroupProperties.thingGroupDescription": "all of it", "thingGroupProperties.attributePayload.attributes.city": "Ulm"})
		d := c.want("DescribeThingGroup", doc{"thingGroupName": leaf}, doc{"thingGroupMetadata.parentGroupName": root,
			"thingGroupMetadata.rootToParentThingGroups.0.groupName": root, "thingGroupMetadata.rootToParentThingGroups.0.groupArn": arn("thinggroup", root)})
		if d.text("thingGroupMetadata.creationDate") == "" {
			c.t.Errorf("DescribeThingGroup: no creationDate in %v", d)
		}
		c.want("UpdateThingGroup", doc{"thingGroupName": root, "thingGroupProperties": doc{"thingGroupDescription": "most of it"}, "expectedVersion": 1}, doc{"version": 2})
		c.refused(badVersion, "UpdateThingGroup", doc{"thingGroupName": root, "thingGroupProperties": doc{"thingGroupDescription": "none"}, "expectedVersion": 1}, "")

		c.must("AddThingToThingGroup", doc{"thingGroupArn": arn("thinggroup", leaf), "thingArn": arn("thing", thing)})
		c.want("ListThingsInThingGroup", doc{"thingGroupName": leaf}, doc{"things.length": 1, "things.0": thing})
		c.want("ListThingsInThingGroup", doc{"thingGroupName": root}, doc{"things.length": 0})
		c.want("ListThingsInThingGroup", doc{"thingGroupName": root, "recursive": true}, doc{"things.length": 1})
		c.want("ListThingGroupsForThing", doc{"thingName": thing}, doc{"thingGroups.length": 1, "thingGroups.0.groupName": leaf, "thingGroups.0.groupArn": arn("thinggroup", leaf)})
		c.must("UpdateThingGroupsForThing", doc{"thingName": thing, "thingGroupsToAdd": []string{other}, "thingGroupsToRemove": []string{leaf}})
		c.want("ListThingGroupsForThing", doc{"thingName": thing}, doc{"thingGroups.length": 1, "thingGroups.0.groupName": other})
		c.must("RemoveThingFromThingGroup", doc{"thingGroupName": other, "thingName": thing})
		c.want("ListThingGroupsForThing", doc{"thingName": thing}, doc{"thingGroups.length": 0})

		c.want("ListThingGroups", doc{"namePrefixFilter": root}, doc{"thingGroups.length": 1, "thingGroups.0.groupName": root})
		c.want("ListThingGroups", doc{"parentGroup": root}, doc{"thingGroups.length": 1, "thingGroups.0.groupName": leaf})
		c.refused(invalid, "DeleteThingGroup", doc{"thingGroupName": root}, "") // it has a child
		c.refused(badVersion, "DeleteThingGroup", doc{"thingGroupName": leaf, "expectedVersion": 7}, "")
		c.must("DeleteThingGroup", doc{"thingGroupName": leaf, "expectedVersion": 1})
		c.must("DeleteThingGroup", doc{"thingGroupName": root})
		c.refused(notFound, "DescribeThingGroup", doc{"thingGroupName": root}, root)

		nobody := c.name("nobody")
		c.refused(invalid, "CreateThingGroup", doc{"thingGroupName": "a.b"}, "thingGroupName")
		c.refused(invalid, "DescribeThingGroup", doc{"thingGroupName": "a.b"}, "thingGroupName")
		c.refused(invalid, "UpdateThingGroup", doc{"thingGroupName": "a.b", "thingGroupProperties": doc{}}, "thingGroupName")
		c.refused(notFound, "UpdateThingGroup", doc{"thingGroupName": nobody, "thingGroupProperties": doc{"thingGroupDescription": "x"}}, "")
		c.refused(invalid, "ListThingGroups", doc{"maxResults": 251}, "maxResults")
		c.refused(notFound, "ListThingGroups", doc{"parentGroup": nobody}, "")
		c.refused(invalid, "ListThingsInThingGroup", doc{"thingGroupName": other, "maxResults": 251}, "maxResults")
		c.refused(notFound, "ListThingsInThingGroup", doc{"thingGroupName": nobody}, "")
		c.refused(invalid, "ListThingGroupsForThing", doc{"thingName": "a.b"}, "thingName")
		c.refused(notFound, "ListThingGroupsForThing", doc{"thingName": nobody}, "")
		for _, operation := range []string{"AddThingToThingGroup", "RemoveThingFromThingGroup"} {
			c.refused(invalid, operation, doc{"thingName": thing}, "")
			c.refused(notFound, operation, doc{"thingGroupName": nobody, "thingName": thing}, "")
			c.refused(notFound, operation, doc{"thingGroupName": other, "thingName": nobody}, "")
		}
		c.refused(invalid, "UpdateThingGroupsForThing", doc{"thingName": "a.b", "thingGroupsToAdd": []string{other}}, "")
		c.refused(notFound, "UpdateThingGroupsForThing", doc{"thingName": nobody, "thingGroupsToAdd": []string{other}}, "")
	})
}

func TestTags(t *testing.T) {
	eachSDK(t, plain, func(s *system, c *client) {
		group := c.name("tagged")
		c.must("CreateThingGroup", doc{"thingGroupName": group, "tags": []doc{{"Key": "team", "Value": "a"}}})
		resource := arn("thinggroup", group)
		c.must("TagResource", doc{"resourceArn": resource, "tags": []doc{{"Key": "cost/centre", "Value": "4 711"}, {"Key": "team", "Value": "b"}}})
		c.want("ListTagsForResource", doc{"resourceArn": resource}, doc{"tags": []doc{{"Key": "cost/centre", "Value": "4 711"}, {"Key": "team", "Value": "b"}}})
		c.must("UntagResource", doc{"resourceArn": resource, "tagKeys": []string{"team"}})
		c.want("ListTagsForResource", doc{"resourceArn": resource}, doc{"tags.length": 1, "tags.0.Key": "cost/centre"})
		many := make([]doc, 51)
		for i := range many {
			many[i] = doc{"Key": strings.Repeat("k", i+1), "Value": "v"}
		}
		c.refused(limit, "TagResource", doc{"resourceArn": resource, "tags": many}, "")
		c.refused(invalid, "TagResource", doc{"resourceArn": "nonsense", "tags": []doc{{"Key": "a", "Value": "b"}}}, "")
		c.refused(invalid, "UntagResource", doc{"resourceArn": "nonsense", "tagKeys": []string{"a"}}, "")
		c.refused(invalid, "ListTagsForResource", doc{"resourceArn": "nonsense"}, "")
		missing := arn("job", c.name("nobody"))
		c.refused(notFound, "TagResource", doc{"resourceArn": missing, "tags": []doc{{"Key": "a", "Value": "b"}}}, "")
		c.refused(notFound, "UntagResource", doc{"resourceArn": missing, "tagKeys": []string{"a"}}, "")
		c.refused(notFound, "ListTagsForResource", doc{"resourceArn": missing}, "")
	})
}

// What is not offered is refused by its name, with what would do instead.
func TestWhatIsNotOffered(t *testing.T) {
	eachSDK(t, plain, func(s *system, c *client) {
		c.want("GetIndexingConfiguration", doc{}, doc{"thingIndexingConfiguration.thingIndexingMode": "OFF"})
		for operation, in := range map[string]doc{
			"SearchIndex":                 {"queryString": "*"},
			"CreateDynamicThingGroup":     {"thingGroupName": "moving", "queryString": "*"},
			"CreateKeysAndCertificate":    {},
			"CreateBillingGroup":          {"billingGroupName": "payers"},
			"UpdateIndexingConfiguration": {},
		} {
			c.refused(invalid, operation, in, operation)
		}
	})
}

func TestWhatIsSetForTheAccount(t *testing.T) {
	eachSDK(t, plain, func(s *system, c *client) {
		c.want("DescribeEventConfigurations", doc{}, doc{"eventConfigurations.THING_GROUP.Enabled": false})
		c.must("UpdateEventConfigurations", doc{"eventConfigurations": doc{"JOB": doc{"Enabled": true}, "JOB_EXECUTION": doc{"Enabled": true}}})
		c.want("DescribeEventConfigurations", doc{}, doc{"eventConfigurations.JOB.Enabled": true, "eventConfigurations.JOB_EXECUTION.Enabled": true})
		c.must("UpdateEventConfigurations", doc{"eventConfigurations": doc{"JOB": doc{"Enabled": false}}})
		c.want("DescribeEventConfigurations", doc{}, doc{"eventConfigurations.JOB.Enabled": false, "eventConfigurations.JOB_EXECUTION.Enabled": true})
		c.must("UpdateEventConfigurations", doc{"eventConfigurations": doc{"JOB_EXECUTION": doc{"Enabled": false}}})
		c.refused(invalid, "UpdateEventConfigurations", doc{"eventConfigurations": doc{"WEATHER": doc{"Enabled": true}}}, "WEATHER")

		jobs := c.must("DescribeEndpoint", doc{"endpointType": "iot:Jobs"}).text("endpointAddress")
		if !strings.Contains(s.url, strings.Split(jobs, ":")[0]) || jobs == "" {
			c.t.Errorf("the endpoint iot:Jobs is %q, want the host of %s", jobs, s.url)
		}
		c.refused(invalid, "DescribeEndpoint", doc{"endpointType": "iot:Weather"}, "endpointType")
	})
}
