package aws

import (
	"net/http"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

// Thing types. (specification §2.10)
func thingTypeOperations() []*operation {
	return []*operation{
		op("CreateThingType", http.MethodPost, "/thing-types/{thingTypeName}", createThingType).fails(resourceExists),
		op("DescribeThingType", http.MethodGet, "/thing-types/{thingTypeName}", describeThingType).fails(resourceNotFound),
		op("ListThingTypes", http.MethodGet, "/thing-types", listThingTypes, "thingTypeName", maxResults, nextToken).fails(),
		op("DeprecateThingType", http.MethodPost, "/thing-types/{thingTypeName}/deprecate", deprecateThingType).fails(resourceNotFound),
		op("DeleteThingType", http.MethodDelete, "/thing-types/{thingTypeName}", deleteThingType).fails(resourceNotFound),
	}
}

func (c *call) thingType() (string, error) {
	return checked("thingTypeName", c.vars["thingTypeName"], id.ParseThingType)
}

func createThingType(c *call) (any, error) {
	name, err := c.thingType()
	if err != nil {
		return nil, err
	}
	q, err := body.CreateThingType(c.body)
	if err != nil {
		return nil, err
	}
	q.ThingType = name
	arn := c.arn("thingtype", name)
	if _, err := tell(c, bus.CreateThingType, q); err != nil {
		return nil, c.exists(err, name, arn)
	}
	return struct {
		Name string `json:"thingTypeName"`
		ARN  string `json:"thingTypeArn"`
	}{name, arn}, nil
}

// thingType is one as AWS tells it.
type thingType struct {
	Name       string              `json:"thingTypeName"`
	ARN        string              `json:"thingTypeArn"`
	Properties thingTypeProperties `json:"thingTypeProperties"`
	Metadata   thingTypeMetadata   `json:"thingTypeMetadata"`
}

type thingTypeProperties struct {
	Description string   `json:"thingTypeDescription,omitempty"`
	Searchable  []string `json:"searchableAttributes"`
}

type thingTypeMetadata struct {
	Deprecated bool   `json:"deprecated"`
	At         moment `json:"deprecationDate,omitzero"`
	Created    moment `json:"creationDate,omitzero"`
}

func (c *call) thingTypeRow(t *v1.ThingTypeRow) thingType {
	return thingType{
		Name: t.GetThingType(), ARN: c.arn("thingtype", t.GetThingType()),
		Properties: thingTypeProperties{t.GetDescription(), append([]string{}, t.GetSearchableAttributes()...)},
		Metadata:   thingTypeMetadata{t.GetDeprecated(), moment(t.GetDeprecatedAtMs()), moment(t.GetCreatedAtMs())},
	}
}

func describeThingType(c *call) (any, error) {
	name, err := c.thingType()
	if err != nil {
		return nil, err
	}
	reply, err := ask(c, bus.DescribeThingType, &v1.DescribeThingType{Freshness: fresh, ThingType: name})
	if err != nil {
		return nil, err
	}
	return c.thingTypeRow(reply.GetThingType()), nil
}

func listThingTypes(c *call) (any, error) {
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	reply, err := ask(c, bus.ListThingTypes, &v1.ListThingTypes{Freshness: fresh, Page: page, ThingType: c.query.Get("thingTypeName")})
	if err != nil {
		return nil, err
	}
	return struct {
		Types []thingType `json:"thingTypes"`
		Next  string      `json:"nextToken,omitempty"`
	}{rows(reply.GetThingTypes(), c.thingTypeRow), reply.GetNextToken()}, nil
}

func deprecateThingType(c *call) (any, error) {
	name, err := c.thingType()
	if err != nil {
		return nil, err
	}
	q, err := body.DeprecateThingType(c.body)
	if err != nil {
		return nil, err
	}
	q.ThingType = name
	_, err = tell(c, bus.DeprecateThingType, q)
	return nil, err
}

func deleteThingType(c *call) (any, error) {
	name, err := c.thingType()
	if err != nil {
		return nil, err
	}
	_, err = tell(c, bus.DeleteThingType, &v1.DeleteThingType{ThingType: name})
	return nil, err
}
