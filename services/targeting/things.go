package targeting

import (
	"bytes"
	"slices"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// createThings decides CreateThings: all or none. A thing that exists with the same settings is left as it is; with
// other settings it refuses all (specification §2.10).
func createThings(s *core.Step, cmd *v1.CreateThings) (*v1.CreateThingsReply, error) {
	size := 0
	for _, t := range cmd.Things {
		size += len(t.GetName()) + len(t.GetThingType()) + attributeBytes(t.GetAttributes())
	}
	if len(cmd.Things) == 1 {
		size = 0 // one thing is held to its own limits
	}
	if err := checkSize(len(cmd.Things), size); err != nil {
		return nil, err
	}
	seen := make(map[id.Thing]bool, len(cmd.Things))
	var fresh []*v1.ThingCreated
	for _, t := range cmd.Things {
		thing, err := newThing(t)
		if err != nil {
			return nil, err
		}
		name := id.Thing(thing.Thing.Name)
		if seen[name] {
			return nil, invalid(fieldThing, "thing %s is named twice", name)
		}
		seen[name] = true
		fresh = append(fresh, thing)
	}
	var different []string
	fresh = slices.DeleteFunc(fresh, func(t *v1.ThingCreated) bool {
		_, settings, ok := findThing(s, id.Thing(t.Thing.Name))
		if ok && !bytes.Equal(settings, encodeSettings(t.ThingType, t.Attributes)) {
			different = append(different, t.Thing.Name)
		}
		return ok
	})
	if len(different) > 0 {
		return nil, alreadyExists(fieldThing, "with another type or other attributes: %s", names(different))
	}
	for i, t := range fresh {
		if i > 0 && t.ThingType == fresh[i-1].ThingType {
			continue
		}
		if err := checkTypeOffered(s, t.ThingType); err != nil {
			return nil, err
		}
	}
	for _, t := range fresh {
		t.Thing.Number = s.Place().ID()
		s.Emit(&v1.Event{Event: &v1.Event_ThingCreated{ThingCreated: t}}, nil)
	}
	reply := &v1.CreateThingsReply{
		Position: s.Position(),
		Created:  uint32(len(fresh)),
		Existing: uint32(len(cmd.Things) - len(fresh)),
	}
	if len(cmd.Things) == 1 {
		name, _ := parseThing(cmd.Things[0].GetName())
		reply.Number, _, _ = findThing(s, name)
	}
	return reply, nil
}

// newThing checks a new thing without any state.
func newThing(t *v1.NewThing) (*v1.ThingCreated, error) {
	name, err := parseThing(t.GetName())
	if err != nil {
		return nil, err
	}
	var thingType id.ThingType
	if t.ThingType != "" {
		if thingType, err = parseType(t.ThingType); err != nil {
			return nil, err
		}
	}
	attributes, err := newAttributes(fieldAttributes, "thing "+string(name), t.Attributes)
	if err != nil {
		return nil, err
	}
	if err := checkThingAttributes(string(name), t.ThingType, attributes); err != nil {
		return nil, err
	}
	return &v1.ThingCreated{Thing: &v1.ThingRef{Name: string(name)}, ThingType: string(thingType), Attributes: attributes}, nil
}

// updateThing decides UpdateThing. A change raises the version by one; what changes nothing writes nothing
// (specification §2.10).
func updateThing(s *core.Step, cmd *v1.UpdateThing) (*v1.UpdateThingReply, error) {
	name, err := parseThing(cmd.Name)
	if err != nil {
		return nil, err
	}
	if err := checkUpdate(cmd); err != nil {
		return nil, err
	}
	change, err := newAttributes(fieldAttributes, "thing "+string(name), cmd.Attributes)
	if err != nil {
		return nil, err
	}
	old, ok := loadThing(s, string(name))
	if !ok {
		return nil, notFound(fieldThing, "there is no thing %s", name)
	}
	if err := checkVersion("thing "+string(name), cmd.ExpectedVersion, old.version); err != nil {
		return nil, err
	}
	e := &v1.ThingUpdated{
		Thing: &v1.ThingRef{Name: string(name), Number: old.number}, Version: old.version + 1,
		ThingType: old.thingType, Attributes: changed(old.attributes, change, cmd.ChangeAttributes, cmd.Merge),
	}
	if cmd.RemoveThingType {
		e.ThingType = ""
	}
	if cmd.ThingType != nil {
		thingType, err := parseType(cmd.GetThingType())
		if err != nil {
			return nil, err
		}
		e.ThingType = string(thingType)
	}
	if e.ThingType == old.thingType && sameAttributes(e.Attributes, old.attributes) {
		return &v1.UpdateThingReply{Position: s.Position(), Version: old.version}, nil
	}
	if e.ThingType != old.thingType {
		if err := checkTypeOffered(s, e.ThingType); err != nil {
			return nil, err
		}
		e.TypeChanged, e.TypeBefore = true, old.thingType
	}
	if err := checkThingAttributes(string(name), e.ThingType, e.Attributes); err != nil {
		return nil, err
	}
	s.Emit(&v1.Event{Event: &v1.Event_ThingUpdated{ThingUpdated: e}}, nil)
	return &v1.UpdateThingReply{Position: s.Position(), Version: e.Version}, nil
}

// checkUpdate refuses what contradicts itself.
func checkUpdate(cmd *v1.UpdateThing) error {
	switch {
	case cmd.ThingType != nil && cmd.GetThingType() == "":
		return invalid(fieldType, "an empty type is none; to take the type away set removeThingType")
	case cmd.ThingType != nil && cmd.RemoveThingType:
		return invalid(fieldType, "a type is given and removeThingType is set; give one of the two")
	case !cmd.ChangeAttributes && len(cmd.Attributes) > 0:
		return invalid(fieldAttributes, "attributes are given, and are not to be changed")
	}
	return nil
}

// changed are attributes after an update.
func changed(old, change []*v1.Attribute, any, merge bool) []*v1.Attribute {
	switch {
	case !any:
		return old
	case merge:
		return mergeAttributes(old, change)
	}
	return change
}

// checkVersion refuses if another version is there than was expected; 0 expects none.
func checkVersion(what string, expected, version uint64) error {
	if expected != 0 && expected != version {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_VERSION_MISMATCH, fieldVersion, "expected version %d of %s but found version %d", expected, what, version)
	}
	return nil
}

// deleteThing decides DeleteThing. It leaves its groups first, each an event of its own, in the same commit: a crash
// leaves it in all of them, or gone. What a deleted group still holds of it is that deletion's to end.
func deleteThing(s *core.Step, cmd *v1.DeleteThing) (*v1.DeleteThingReply, error) {
	name, err := parseThing(cmd.Name)
	if err != nil {
		return nil, err
	}
	thing, ok := loadThing(s, string(name))
	if !ok {
		return &v1.DeleteThingReply{Position: s.Position()}, nil
	}
	if err := checkVersion("thing "+string(name), cmd.ExpectedVersion, thing.version); err != nil {
		return nil, err
	}
	for _, m := range openMemberships(s, thing.number) {
		s.Emit(left(m.row.name, m.group, string(name), thing.number), nil)
	}
	s.Emit(&v1.Event{Event: &v1.Event_ThingDeleted{ThingDeleted: &v1.ThingDeleted{
		Thing: &v1.ThingRef{Name: string(name), Number: thing.number},
	}}}, nil)
	return &v1.DeleteThingReply{Position: s.Position(), Existed: true}, nil
}
