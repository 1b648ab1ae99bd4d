package body

import (
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// The bodies of the registry's operations. Names that stand in the path are the caller's to fill in. (specification §2.10)

// CreateThing reads the body of CreateThing.
func CreateThing(text []byte) (*v1.NewThing, error) {
	t := new(v1.NewThing)
	return t, Decode(text, map[string]func(Field) error{
		"thingTypeName":    intoName(&t.ThingType, id.ParseThingType),
		"attributePayload": func(f Field) error { p, err := f.attributes(); t.Attributes = p.list; return err },
		"billingGroupName": without("billing groups"),
	})
}

// UpdateThing reads the body of UpdateThing.
func UpdateThing(text []byte) (*v1.UpdateThing, error) {
	q := new(v1.UpdateThing)
	return q, Decode(text, map[string]func(Field) error{
		"thingTypeName": func(f Field) error {
			q.ThingType = new(string)
			return intoName(q.ThingType, id.ParseThingType)(f)
		},
		"attributePayload": func(f Field) error {
			p, err := f.attributes()
			q.ChangeAttributes, q.Merge, q.Attributes = p.given, p.merge, p.change()
			return err
		},
		"expectedVersion": into(&q.ExpectedVersion, Field.Version),
		"removeThingType": into(&q.RemoveThingType, Field.Bool),
	})
}

// CreateGroup reads the body of CreateThingGroup.
func CreateGroup(text []byte) (*v1.CreateGroup, error) {
	q := new(v1.CreateGroup)
	return q, Decode(text, map[string]func(Field) error{
		"parentGroupName": intoName(&q.Parent, id.ParseGroup),
		"thingGroupProperties": func(f Field) error {
			return f.Members(map[string]func(Field) error{
				"thingGroupDescription": intoText(&q.Description),
				"attributePayload":      func(f Field) error { p, err := f.attributes(); q.Attributes = p.list; return err },
			})
		},
		"tags": into(&q.Tags, Field.Tags),
	})
}

// UpdateGroup reads the body of UpdateThingGroup.
func UpdateGroup(text []byte) (*v1.UpdateGroup, error) {
	q, given := new(v1.UpdateGroup), false
	err := Decode(text, map[string]func(Field) error{
		"thingGroupProperties": func(f Field) error {
			given = true
			return f.Members(map[string]func(Field) error{
				"thingGroupDescription": func(f Field) error { q.Description = new(string); return intoText(q.Description)(f) },
				"attributePayload": func(f Field) error {
					p, err := f.attributes()
					q.ChangeAttributes, q.Merge, q.Attributes = p.given, p.merge, p.change()
					return err
				},
			})
		},
		"expectedVersion": into(&q.ExpectedVersion, Field.Version),
	})
	if err == nil && !given {
		err = invalid("thingGroupProperties", "is missing")
	}
	return q, err
}

// Member reads the body of AddThingToThingGroup, and of RemoveThingFromThingGroup, which cannot override: each is named by
// its name or its ARN.
func Member(text []byte, add bool) (thing, group string, err error) {
	known := map[string]func(Field) error{
		"thingName":      intoName(&thing, id.ParseThing),
		"thingArn":       intoSame(&thing, id.ParseThing),
		"thingGroupName": intoName(&group, id.ParseGroup),
		"thingGroupArn":  intoSame(&group, id.ParseGroup),
	}
	if add {
		known["overrideDynamicGroups"] = overridden
	}
	err = Decode(text, known)
	switch {
	case err != nil:
	case thing == "":
		err = invalid("thingName", "is missing; thingArn would do")
	case group == "":
		err = invalid("thingGroupName", "is missing; thingGroupArn would do")
	}
	return thing, group, err
}

// ChangeGroups reads the body of UpdateThingGroupsForThing.
func ChangeGroups(text []byte) (*v1.ChangeGroupsOfThing, error) {
	q := new(v1.ChangeGroupsOfThing)
	err := Decode(text, map[string]func(Field) error{
		"thingName":             intoName(&q.Thing, id.ParseThing),
		"thingGroupsToAdd":      into(&q.Add, Field.Texts),
		"thingGroupsToRemove":   into(&q.Remove, Field.Texts),
		"overrideDynamicGroups": overridden,
	})
	if err == nil && q.Thing == "" {
		err = invalid("thingName", "is missing")
	}
	return q, err
}

// CreateThingType reads the body of CreateThingType.
func CreateThingType(text []byte) (*v1.CreateThingType, error) {
	q := new(v1.CreateThingType)
	return q, Decode(text, map[string]func(Field) error{
		"thingTypeProperties": func(f Field) error {
			return f.Members(map[string]func(Field) error{
				"thingTypeDescription": intoText(&q.Description),
				"searchableAttributes": into(&q.SearchableAttributes, Field.Texts),
				"mqtt5Configuration":   without("MQTT 5 properties of things' messages"),
			})
		},
		"tags": into(&q.Tags, Field.Tags),
	})
}

// DeprecateThingType reads the body of DeprecateThingType.
func DeprecateThingType(text []byte) (*v1.DeprecateThingType, error) {
	q := new(v1.DeprecateThingType)
	return q, Decode(text, map[string]func(Field) error{"undoDeprecate": into(&q.Undo, Field.Bool)})
}

// attributePayload is AWS's: attributes, and whether they are added to those that are there.
type attributePayload struct {
	given bool // also if there are none
	merge bool
	list  []*v1.Attribute
}

func (f Field) attributes() (p attributePayload, err error) {
	err = f.Members(map[string]func(Field) error{
		"attributes": func(m Field) error { p.given = true; return into(&p.list, Field.Attributes)(m) },
		"merge":      into(&p.merge, Field.Bool),
	})
	return p, err
}

// change are the attributes of an update: one with an empty value is to be gone, so where all are replaced it is none.
func (p attributePayload) change() []*v1.Attribute {
	if p.merge {
		return p.list
	}
	var list []*v1.Attribute
	for _, a := range p.list {
		if a.GetValue() != "" {
			list = append(list, a)
		}
	}
	return list
}

// intoName reads a name, checked, into its place.
func intoName[N ~string](into *string, parse func(string) (N, error)) func(Field) error {
	return func(f Field) error {
		s, err := f.Text()
		if err != nil {
			return err
		}
		name, err := parse(s)
		if err != nil {
			return invalid(f.Path, "%v", err)
		}
		if *into != "" && *into != string(name) {
			return invalid(f.Path, "names %s, and the name beside it is %s", name, *into)
		}
		*into = string(name)
		return nil
	}
}

// intoSame reads an ARN into the place of its name, where either may stand, or both.
func intoSame[N ~string](into *string, parse func(string) (N, error)) func(Field) error {
	return func(f Field) error {
		s, err := f.Text()
		if err == nil && !strings.HasPrefix(s, "arn:") {
			err = invalid(f.Path, "%.40q is no ARN", s)
		}
		if err != nil {
			return err
		}
		return intoName(into, parse)(f)
	}
}

// overridden reads overrideDynamicGroups, which says what becomes of dynamic groups where a thing has too many groups. There
// are none, so that either value is kept.
func overridden(f Field) error { _, err := f.Bool(); return err }

// without refuses a member that asks for something which is not offered.
func without(what string) func(Field) error {
	return func(f Field) error {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_SUPPORTED, f.Path, "%s are not offered; leave it out", what)
	}
}
