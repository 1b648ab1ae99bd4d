package fleet

import (
	"strings"

	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/page"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// The fields, as callers of AWS's registry spell them (specification §2.10).
const (
	fieldThing     = "thingName"
	fieldType      = "thingTypeName"
	fieldGroup     = "thingGroupName"
	fieldAttribute = "attributeName"
	fieldResource  = "resourceArn"
)

// ListThings lists things by name: those whose names begin with the prefix, of a type, with an attribute.
func ListThings(r kv.Reader, q *v1.ListThings) (*v1.ListThingsReply, error) {
	prefix, err := parsePrefix(q.GetPrefix(), id.ParseThing)
	if err != nil {
		return nil, err
	}
	var thingType id.ThingType
	if q.GetThingType() != "" {
		if thingType, err = id.ParseThingType(q.GetThingType()); err != nil {
			return nil, page.Invalid(fieldType, err)
		}
	}
	if q.GetAttributeName() == "" && (q.GetAttributeValue() != "" || q.GetAttributeValuePrefix()) {
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, fieldAttribute, "a value is given and no attribute; name the attribute")
	}
	rows, next, err := page.List(r, append(kv.NewKey(tableThing), prefix...), q.GetPage(), func(key, value []byte) (*v1.ThingRow, bool) {
		row := thingRow(key, value)
		return row, (thingType == "" || row.ThingType == string(thingType)) && (q.GetAttributeName() == "" || hasAttribute(row, q))
	})
	return &v1.ListThingsReply{Things: rows, NextToken: next}, err
}

// hasAttribute holds a thing against the attribute, and the value if one is given, that a query asks for.
func hasAttribute(row *v1.ThingRow, q *v1.ListThings) bool {
	for _, a := range row.Attributes {
		if a.Name != q.AttributeName {
			continue
		}
		return q.AttributeValue == "" || a.Value == q.AttributeValue || q.AttributeValuePrefix && strings.HasPrefix(a.Value, q.AttributeValue)
	}
	return false
}

// DescribeThing tells one thing and its groups.
func DescribeThing(r kv.Reader, q *v1.DescribeThing) (*v1.DescribeThingReply, error) {
	name, err := id.ParseThing(q.GetName())
	if err != nil {
		return nil, page.Invalid(fieldThing, err)
	}
	key := thingKey(string(name))
	value, ok := r.Get(key)
	if !ok {
		return nil, page.NotFound(fieldThing, "thing", string(name))
	}
	row := thingRow(key, value)
	row.Groups = groupsOf(r, string(name))
	return &v1.DescribeThingReply{Thing: row}, nil
}

// ListThingTypes lists thing types by name, or the one of that name.
func ListThingTypes(r kv.Reader, q *v1.ListThingTypes) (*v1.ListThingTypesReply, error) {
	from := kv.NewKey(tableType)
	if q.GetThingType() != "" {
		name, err := id.ParseThingType(q.GetThingType())
		if err != nil {
			return nil, page.Invalid(fieldType, err)
		}
		from = typeKey(string(name))
	}
	rows, next, err := page.List(r, from, q.GetPage(), func(key, value []byte) (*v1.ThingTypeRow, bool) {
		return typeRow(key, value), true
	})
	return &v1.ListThingTypesReply{ThingTypes: rows, NextToken: next}, err
}

// DescribeThingType tells one thing type.
func DescribeThingType(r kv.Reader, q *v1.DescribeThingType) (*v1.DescribeThingTypeReply, error) {
	name, err := id.ParseThingType(q.GetThingType())
	if err != nil {
		return nil, page.Invalid(fieldType, err)
	}
	key := typeKey(string(name))
	value, ok := r.Get(key)
	if !ok {
		return nil, page.NotFound(fieldType, "thing type", string(name))
	}
	return &v1.DescribeThingTypeReply{ThingType: typeRow(key, value)}, nil
}

// ListTags tells the tags of a group or a thing type, sorted by key. There are at most 50.
func ListTags(r kv.Reader, q *v1.ListTags) (*v1.ListTagsReply, error) {
	resource, err := id.ParseRegistryResource(q.GetResource())
	if err != nil {
		return nil, page.Invalid(fieldResource, err)
	}
	key := typeKey(resource.GetThingType())
	if resource.GetGroup() != "" {
		key = groupKey(resource.GetGroup())
	}
	if _, ok := r.Get(key); !ok {
		return nil, page.NotFound(fieldResource, "resource", id.FormatRegistryResource(resource))
	}
	return &v1.ListTagsReply{Tags: tagsOf(r, resource)}, nil
}

// parsePrefix reads what names begin with: nothing, or what could be a name, or the ARN of one.
func parsePrefix[N ~string](prefix string, parse func(string) (N, error)) (N, error) {
	if prefix == "" {
		return "", nil
	}
	name, err := parse(prefix)
	if err != nil {
		return "", page.Invalid("namePrefixFilter", err)
	}
	return name, nil
}

func thingRow(key, value []byte) *v1.ThingRow {
	row := page.Row[v1.ThingRow](value)
	row.Name = tail(key, 1)
	return row
}

func typeRow(key, value []byte) *v1.ThingTypeRow {
	row := page.Row[v1.ThingTypeRow](value)
	row.ThingType = tail(key, 1)
	return row
}
