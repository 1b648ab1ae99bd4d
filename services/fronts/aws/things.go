package aws

import (
	"net/http"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

// Things. (specification §2.10)
func thingOperations() []*operation {
	return []*operation{
		op("CreateThing", http.MethodPost, "/things/{thingName}", createThing).fails(resourceNotFound, resourceExists),
		op("DescribeThing", http.MethodGet, "/things/{thingName}", describeThing).fails(resourceNotFound),
		op("UpdateThing", http.MethodPatch, "/things/{thingName}", updateThing).fails(resourceNotFound, versionConflict),
		op("DeleteThing", http.MethodDelete, "/things/{thingName}", deleteThing, expectedVersion).fails(resourceNotFound, versionConflict),
		op("ListThings", http.MethodGet, "/things", listThings,
			"attributeName", "attributeValue", "usePrefixAttributeValue", "thingTypeName", maxResults, nextToken).fails(),
	}
}

const expectedVersion = "expectedVersion"

// attributes are a thing's or a group's; none are {}.
func attributes(list []*v1.Attribute) map[string]string {
	m := make(map[string]string, len(list))
	for _, a := range list {
		m[a.GetName()] = a.GetValue()
	}
	return m
}

func createThing(c *call) (any, error) {
	name, err := c.thing()
	if err != nil {
		return nil, err
	}
	thing, err := body.CreateThing(c.body)
	if err != nil {
		return nil, err
	}
	thing.Name = name
	arn := c.arn("thing", name)
	reply, err := tell(c, bus.CreateThings, &v1.CreateThings{Things: []*v1.NewThing{thing}})
	if err != nil {
		return nil, c.exists(err, name, arn)
	}
	return struct {
		Name string `json:"thingName"`
		ARN  string `json:"thingArn"`
		ID   string `json:"thingId"`
	}{name, arn, id.ThingID(name, reply.GetNumber())}, nil
}

// thingRow is a thing as ListThings tells it.
type thingRow struct {
	Name       string            `json:"thingName"`
	ARN        string            `json:"thingArn"`
	Type       string            `json:"thingTypeName,omitempty"`
	Attributes map[string]string `json:"attributes"`
	Version    uint64            `json:"version"`
}

func (c *call) thingRow(t *v1.ThingRow) thingRow {
	return thingRow{t.GetName(), c.arn("thing", t.GetName()), t.GetThingType(), attributes(t.GetAttributes()), t.GetVersion()}
}

func describeThing(c *call) (any, error) {
	name, err := c.thing()
	if err != nil {
		return nil, err
	}
	reply, err := ask(c, bus.DescribeThing, &v1.DescribeThing{Freshness: fresh, Name: name})
	if err != nil {
		return nil, err
	}
	t := reply.GetThing()
	return struct {
		thingRow
		ID string `json:"thingId"`
		// DefaultClientID is the name under which AWS's clients connect unless they are told another.
		DefaultClientID string `json:"defaultClientId"`
	}{c.thingRow(t), id.ThingID(t.GetName(), t.GetNumber()), t.GetName()}, nil
}

func updateThing(c *call) (any, error) {
	name, err := c.thing()
	if err != nil {
		return nil, err
	}
	q, err := body.UpdateThing(c.body)
	if err != nil {
		return nil, err
	}
	q.Name = name
	_, err = tell(c, bus.UpdateThing, q)
	return nil, err
}

func deleteThing(c *call) (any, error) {
	name, err := c.thing()
	if err != nil {
		return nil, err
	}
	version, err := c.number(expectedVersion)
	if err != nil {
		return nil, err
	}
	_, err = tell(c, bus.DeleteThing, &v1.DeleteThing{Name: name, ExpectedVersion: version})
	return nil, err
}

func listThings(c *call) (any, error) {
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	prefix, err := c.flag("usePrefixAttributeValue")
	if err != nil {
		return nil, err
	}
	reply, err := ask(c, bus.ListThings, &v1.ListThings{
		Freshness: fresh, Page: page, ThingType: c.query.Get("thingTypeName"),
		AttributeName: c.query.Get("attributeName"), AttributeValue: c.query.Get("attributeValue"), AttributeValuePrefix: prefix,
	})
	if err != nil {
		return nil, err
	}
	return struct {
		Things []thingRow `json:"things"`
		Next   string     `json:"nextToken,omitempty"`
	}{rows(reply.GetThings(), c.thingRow), reply.GetNextToken()}, nil
}
