package targeting

import (
	"slices"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// createThingType decides CreateThingType. An identical repeat changes nothing (specification §2.10).
func createThingType(s *core.Step, cmd *v1.CreateThingType) (*v1.CreateThingTypeReply, error) {
	name, err := parseType(cmd.ThingType)
	if err != nil {
		return nil, err
	}
	if err := core.CheckText(fieldTypeDescription, cmd.Description, descriptionMax); err != nil {
		return nil, err
	}
	if err := checkSearchable(cmd.SearchableAttributes); err != nil {
		return nil, err
	}
	tags, err := core.NewTags(fieldTags, cmd.Tags)
	if err != nil {
		return nil, err
	}
	if row, ok := loadType(s, string(name)); ok {
		if row.Description != cmd.Description || !slices.Equal(row.SearchableAttributes, cmd.SearchableAttributes) || !repeatsTags(s, typeResource(string(name)), tags) {
			return nil, alreadyExists(fieldType, "thing type %s exists with another description, other searchable attributes or other tags", name)
		}
		return &v1.CreateThingTypeReply{Position: s.Position(), Existed: true}, nil
	}
	s.Emit(&v1.Event{Event: &v1.Event_ThingTypeCreated{ThingTypeCreated: &v1.ThingTypeCreated{
		ThingType: string(name), Description: cmd.Description, SearchableAttributes: slices.Clone(cmd.SearchableAttributes), Tags: tags,
	}}}, nil)
	return &v1.CreateThingTypeReply{Position: s.Position()}, nil
}

func checkSearchable(list []string) error {
	if len(list) > searchableMax {
		return invalid(fieldSearchable, "%d searchable attributes; at most %d are allowed", len(list), searchableMax)
	}
	for i, name := range list {
		if name == "" {
			return invalid(fieldSearchable, "a searchable attribute has no name")
		}
		if err := checkSet(fieldSearchable, "a searchable attribute", name, attributeNameMax, attributeNameMore); err != nil {
			return err
		}
		if slices.Contains(list[:i], name) {
			return invalid(fieldSearchable, "attribute %s is named twice", name)
		}
	}
	return nil
}

// deprecateThingType decides DeprecateThingType, and its undoing.
func deprecateThingType(s *core.Step, cmd *v1.DeprecateThingType) (*v1.DeprecateThingTypeReply, error) {
	name, err := parseType(cmd.ThingType)
	if err != nil {
		return nil, err
	}
	row, ok := loadType(s, string(name))
	if !ok {
		return nil, notFound(fieldType, "there is no thing type %s", name)
	}
	if row.Deprecated == cmd.Undo {
		s.Emit(&v1.Event{Event: &v1.Event_ThingTypeDeprecated{ThingTypeDeprecated: &v1.ThingTypeDeprecated{ThingType: string(name), Undone: cmd.Undo}}}, nil)
	}
	return &v1.DeprecateThingTypeReply{Position: s.Position()}, nil
}

// deleteThingType decides DeleteThingType: of a type that is deprecated, for as long as the limits say, and that no
// thing has.
func (t targeting) deleteThingType(s *core.Step, cmd *v1.DeleteThingType) (*v1.DeleteThingTypeReply, error) {
	name, err := parseType(cmd.ThingType)
	if err != nil {
		return nil, err
	}
	row, ok := loadType(s, string(name))
	if !ok {
		return nil, notFound(fieldType, "there is no thing type %s", name)
	}
	if !row.Deprecated {
		return nil, invalid(fieldType, "thing type %s is not deprecated; deprecate it first", name)
	}
	if ready := row.DeprecatedAtMs + t.limits.TypeDeletionMinutes*60_000; s.Now < ready {
		return nil, invalid(fieldType, "thing type %s was deprecated less than %d minutes ago; delete it in %d s", name, t.limits.TypeDeletionMinutes, (ready-s.Now+999)/1000)
	}
	if n := count(s, typeThingsKey(string(name))); n > 0 {
		return nil, invalid(fieldType, "%d things have type %s; delete them or give them another one first", n, name)
	}
	s.Emit(&v1.Event{Event: &v1.Event_ThingTypeDeleted{ThingTypeDeleted: &v1.ThingTypeDeleted{ThingType: string(name)}}}, nil)
	return &v1.DeleteThingTypeReply{Position: s.Position()}, nil
}

// checkTypeOffered refuses a type that things may not be given; none is always allowed.
func checkTypeOffered(s *core.Step, name string) error {
	if name == "" {
		return nil
	}
	row, ok := loadType(s, name)
	switch {
	case !ok:
		return notFound(fieldType, "there is no thing type %s; create it first", name)
	case row.Deprecated:
		return invalid(fieldType, "thing type %s is deprecated: no thing may be given it; undo the deprecation first", name)
	}
	return nil
}

// parseType reads a thing type's name, or its ARN.
func parseType(s string) (id.ThingType, error) {
	name, err := id.ParseThingType(s)
	if err != nil {
		return "", invalid(fieldType, "%v", err)
	}
	return name, nil
}
