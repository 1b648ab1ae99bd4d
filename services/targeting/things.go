package targeting

import (
	"bytes"
	"slices"
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// createThings decides CreateThings: all or none. A thing that exists with the same settings is left as it is; with
// other settings it refuses all (specification §2.10).
func createThings(s *core.Step, cmd *v1.CreateThings) (*v1.CreateThingsReply, error) {
	size := 0
	for _, t := range cmd.Things {
		size += len(t.GetName()) + len(t.GetThingType())
		for _, a := range t.GetAttributes() {
			size += len(a.GetName()) + len(a.GetValue())
		}
	}
	if err := checkSize(len(cmd.Things), size); err != nil {
		return nil, err
	}
	seen := make(map[id.Thing]bool, len(cmd.Things))
	var fresh []*v1.ThingCreated
	for _, t := range cmd.Things {
		if err := checkThing(t); err != nil {
			return nil, err
		}
		name, err := parseThing(t.Name)
		if err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, invalid(fieldThing, "thing %s is named twice", name)
		}
		seen[name] = true
		var attributes []*v1.Attribute // what an event holds is built here, never passed through
		for _, a := range t.Attributes {
			attributes = append(attributes, &v1.Attribute{Name: a.Name, Value: a.Value})
		}
		slices.SortFunc(attributes, func(a, b *v1.Attribute) int { return strings.Compare(a.Name, b.Name) })
		fresh = append(fresh, &v1.ThingCreated{Thing: &v1.ThingRef{Name: string(name)}, ThingType: t.ThingType, Attributes: attributes})
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
	for _, t := range fresh {
		t.Thing.Number = s.Place().ID()
		s.Emit(&v1.Event{Event: &v1.Event_ThingCreated{ThingCreated: t}}, nil)
	}
	return &v1.CreateThingsReply{
		Position: s.Position(),
		Created:  uint32(len(fresh)),
		Existing: uint32(len(cmd.Things) - len(fresh)),
	}, nil
}

// deleteThing decides DeleteThing. It leaves its groups first, each an event of its own, in the same commit: a crash
// leaves it in all of them, or gone.
func deleteThing(s *core.Step, cmd *v1.DeleteThing) (*v1.DeleteThingReply, error) {
	name, err := parseThing(cmd.Name)
	if err != nil {
		return nil, err
	}
	number, _, ok := findThing(s, name)
	if !ok {
		return &v1.DeleteThingReply{Position: s.Position()}, nil
	}
	for _, m := range loadMemberships(s, number) {
		if m.since == 0 {
			continue
		}
		s.Emit(left(loadGroup(s, m.group).name, name, number), nil)
	}
	s.Emit(&v1.Event{Event: &v1.Event_ThingDeleted{ThingDeleted: &v1.ThingDeleted{
		Thing: &v1.ThingRef{Name: string(name), Number: number},
	}}}, nil)
	return &v1.DeleteThingReply{Position: s.Position(), Existed: true}, nil
}
