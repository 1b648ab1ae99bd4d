package aws

import (
	"net/http"
	"slices"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

// Groups and who is in them. (specification §2.10, §2.11)
func groupOperations() []*operation {
	const path = "/thing-groups/{thingGroupName}"
	return []*operation{
		op("CreateThingGroup", http.MethodPost, path, createGroup).fails(resourceExists),
		op("DescribeThingGroup", http.MethodGet, path, describeGroup).fails(resourceNotFound),
		op("UpdateThingGroup", http.MethodPatch, path, updateGroup).fails(resourceNotFound, versionConflict),
		op("DeleteThingGroup", http.MethodDelete, path, deleteGroup, expectedVersion).fails(versionConflict),
		op("ListThingGroups", http.MethodGet, "/thing-groups", listGroups, "parentGroup", "namePrefixFilter", "recursive", maxResults, nextToken).fails(resourceNotFound),
		op("AddThingToThingGroup", http.MethodPut, "/thing-groups/addThingToThingGroup", addThing).fails(resourceNotFound),
		op("RemoveThingFromThingGroup", http.MethodPut, "/thing-groups/removeThingFromThingGroup", removeThing).fails(resourceNotFound),
		op("UpdateThingGroupsForThing", http.MethodPut, "/thing-groups/updateThingGroupsForThing", changeGroups).fails(resourceNotFound),
		op("ListThingsInThingGroup", http.MethodGet, path+"/things", listThingsInGroup, "recursive", maxResults, nextToken).fails(resourceNotFound),
		op("ListThingGroupsForThing", http.MethodGet, "/things/{thingName}/thing-groups", listGroupsOfThing, maxResults, nextToken).fails(resourceNotFound),
	}
}

func createGroup(c *call) (any, error) {
	name, err := c.group()
	if err != nil {
		return nil, err
	}
	q, err := body.CreateGroup(c.body)
	if err != nil {
		return nil, err
	}
	q.Group = name
	arn := c.arn("thinggroup", name)
	reply, err := tell(c, bus.CreateGroup, q)
	if err != nil {
		return nil, c.exists(err, name, arn)
	}
	return struct {
		Name string `json:"thingGroupName"`
		ARN  string `json:"thingGroupArn"`
		ID   string `json:"thingGroupId"`
	}{name, arn, id.GroupID(name, reply.GetNumber())}, nil
}

// group is one as DescribeThingGroup tells it.
type group struct {
	Name       string          `json:"thingGroupName"`
	ID         string          `json:"thingGroupId"`
	ARN        string          `json:"thingGroupArn"`
	Version    uint64          `json:"version"`
	Properties groupProperties `json:"thingGroupProperties"`
	Metadata   groupMetadata   `json:"thingGroupMetadata"`
}

type groupProperties struct {
	Description string           `json:"thingGroupDescription,omitempty"`
	Payload     attributePayload `json:"attributePayload,omitzero"`
}

type attributePayload struct {
	Attributes map[string]string `json:"attributes"`
}

type groupMetadata struct {
	Parent  string       `json:"parentGroupName,omitempty"`
	Above   []groupNamed `json:"rootToParentThingGroups,omitempty"`
	Created moment       `json:"creationDate,omitzero"`
}

// groupNamed is a group as lists tell it.
type groupNamed struct {
	Name string `json:"groupName"`
	ARN  string `json:"groupArn"`
}

func (c *call) groupNamed(name string) groupNamed { return groupNamed{name, c.arn("thinggroup", name)} }

func describeGroup(c *call) (any, error) {
	name, err := c.group()
	if err != nil {
		return nil, err
	}
	reply, err := ask(c, bus.DescribeGroup, &v1.DescribeGroup{Freshness: fresh, Group: name})
	if err != nil {
		return nil, err
	}
	g := reply.GetGroup()
	told := group{
		Name: name, ID: id.GroupID(name, g.GetNumber()), ARN: c.arn("thinggroup", name), Version: g.GetVersion(),
		Properties: groupProperties{Description: g.GetDescription()},
		Metadata:   groupMetadata{g.GetParent(), rows(g.GetAncestors(), c.groupNamed), moment(g.GetCreatedAtMs())},
	}
	if len(g.GetAttributes()) > 0 {
		told.Properties.Payload.Attributes = attributes(g.GetAttributes())
	}
	return told, nil
}

func updateGroup(c *call) (any, error) {
	name, err := c.group()
	if err != nil {
		return nil, err
	}
	q, err := body.UpdateGroup(c.body)
	if err != nil {
		return nil, err
	}
	q.Group = name
	reply, err := tell(c, bus.UpdateGroup, q)
	if err != nil {
		return nil, err
	}
	return struct {
		Version uint64 `json:"version"`
	}{reply.GetVersion()}, nil
}

func deleteGroup(c *call) (any, error) {
	name, err := c.group()
	if err != nil {
		return nil, err
	}
	version, err := c.number(expectedVersion)
	if err != nil {
		return nil, err
	}
	_, err = tell(c, bus.DeleteGroup, &v1.DeleteGroup{Group: name, ExpectedVersion: version})
	return nil, err
}

// groupList is a page of groups.
type groupList struct {
	Groups []groupNamed `json:"thingGroups"`
	Next   string       `json:"nextToken,omitempty"`
}

func listGroups(c *call) (any, error) {
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	recursive, err := c.flag("recursive")
	if err != nil {
		return nil, err
	}
	reply, err := ask(c, bus.ListGroups, &v1.ListGroups{
		Freshness: fresh, Page: page, Parent: c.query.Get("parentGroup"), Prefix: c.query.Get("namePrefixFilter"), Recursive: recursive,
	})
	if err != nil {
		return nil, err
	}
	named := func(g *v1.GroupRow) groupNamed { return c.groupNamed(g.GetGroup()) }
	return groupList{rows(reply.GetGroups(), named), reply.GetNextToken()}, nil
}

func addThing(c *call) (any, error) {
	thing, group, err := body.Member(c.body, true)
	if err == nil {
		_, err = tell(c, bus.AddThings, &v1.AddThings{Group: group, Things: []string{thing}})
	}
	return nil, err
}

func removeThing(c *call) (any, error) {
	thing, group, err := body.Member(c.body, false)
	if err == nil {
		_, err = tell(c, bus.RemoveThings, &v1.RemoveThings{Group: group, Things: []string{thing}})
	}
	return nil, err
}

func changeGroups(c *call) (any, error) {
	q, err := body.ChangeGroups(c.body)
	if err == nil {
		_, err = tell(c, bus.ChangeGroupsOfThing, q)
	}
	return nil, err
}

func listThingsInGroup(c *call) (any, error) {
	name, err := c.group()
	if err != nil {
		return nil, err
	}
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	recursive, err := c.flag("recursive")
	if err != nil {
		return nil, err
	}
	reply, err := ask(c, bus.ListThingsInGroup, &v1.ListThingsInGroup{Freshness: fresh, Page: page, Group: name, Recursive: recursive})
	if err != nil {
		return nil, err
	}
	return struct {
		Things []string `json:"things"`
		Next   string   `json:"nextToken,omitempty"`
	}{append([]string{}, reply.GetThings()...), reply.GetNextToken()}, nil
}

// listGroupsOfThing pages through the at most 10 groups of a thing by name: the token is the last name of the page before.
func listGroupsOfThing(c *call) (any, error) {
	name, err := c.thing()
	if err != nil {
		return nil, err
	}
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	reply, err := ask(c, bus.DescribeThing, &v1.DescribeThing{Freshness: fresh, Name: name})
	if err != nil {
		return nil, err
	}
	groups := slices.DeleteFunc(reply.GetThing().GetGroups(), func(g string) bool { return g <= page.GetToken() })
	list := groupList{}
	if most := int(page.GetLimit()); len(groups) > most {
		groups, list.Next = groups[:most], groups[most-1]
	}
	list.Groups = rows(groups, c.groupNamed)
	return list, nil
}
