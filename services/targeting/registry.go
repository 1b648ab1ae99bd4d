package targeting

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// evolveRegistry folds what things, thing types and groups are, and says whether the event was about that.
func evolveRegistry(tx kv.Tx, at core.Place, event *v1.Event) bool {
	switch e := event.GetEvent().(type) {
	case *v1.Event_ThingCreated:
		thingCreated(tx, e.ThingCreated)
	case *v1.Event_ThingUpdated:
		thingUpdated(tx, e.ThingUpdated)
	case *v1.Event_ThingDeleted:
		thingDeleted(tx, at, e.ThingDeleted.Thing)
	case *v1.Event_GroupCreated:
		groupCreated(tx, e.GroupCreated)
	case *v1.Event_GroupUpdated:
		u := e.GroupUpdated
		if number, ok := findGroup(tx, id.Group(u.Group)); ok && number == u.Number {
			storeGroupSettings(tx, number, u.Description, u.Attributes, u.Version)
		}
	case *v1.Event_ThingTypeCreated:
		c := e.ThingTypeCreated
		tx.Set(typeKey(c.ThingType), encoded(&v1.ThingTypeRow{Description: c.Description, SearchableAttributes: c.SearchableAttributes, CreatedAtMs: at.AtMs}))
		storeTags(tx, typeResource(c.ThingType), c.Tags)
	case *v1.Event_ThingTypeDeprecated:
		thingTypeDeprecated(tx, at, e.ThingTypeDeprecated)
	case *v1.Event_ThingTypeDeleted:
		tx.Delete(typeKey(e.ThingTypeDeleted.ThingType))
		deleteAll(tx, tagsKey(typeResource(e.ThingTypeDeleted.ThingType)))
	case *v1.Event_RegistryTagged:
		storeTags(tx, e.RegistryTagged.Resource, e.RegistryTagged.Tags)
	case *v1.Event_RegistryUntagged:
		for _, key := range e.RegistryUntagged.Keys {
			tx.Delete(tagsKey(e.RegistryUntagged.Resource).String(key))
		}
	default:
		return false
	}
	return true
}

func thingCreated(tx kv.Tx, e *v1.ThingCreated) {
	name, number := e.Thing.GetName(), e.Thing.GetNumber()
	storeThing(tx, name, number, 1, e.ThingType, e.Attributes)
	if e.ThingType != "" {
		addCount(tx, typeThingsKey(e.ThingType), 1)
	}
	w := loadRunning(tx)
	followed := w.follows > 0 && holds(tx, kv.NewKey(tableFollowedThing).String(name))
	if followed {
		w.put(tx, change{commitOf(number), kindThing, number}, name)
	}
	if followed || w.echoes > 0 {
		w.forget(tx, forgetPerEvent)
		storeRunning(tx, w)
	}
}

func thingUpdated(tx kv.Tx, e *v1.ThingUpdated) {
	old, ok := loadThing(tx, e.Thing.GetName())
	if !ok || old.number != e.Thing.GetNumber() {
		return
	}
	storeThing(tx, e.Thing.GetName(), old.number, e.Version, e.ThingType, e.Attributes)
	if old.thingType == e.ThingType {
		return
	}
	if old.thingType != "" {
		addCount(tx, typeThingsKey(old.thingType), -1)
	}
	if e.ThingType != "" {
		addCount(tx, typeThingsKey(e.ThingType), 1)
	}
}

func storeThing(tx kv.Tx, name string, number, version uint64, thingType string, attributes []*v1.Attribute) {
	value := append(putUint(number), putUint(version)...)
	tx.Set(thingKey(name), append(value, encodeSettings(thingType, attributes)...))
}

// encodeSettings is what makes two things of one name the same: equal bytes, equal settings.
func encodeSettings(thingType string, attributes []*v1.Attribute) []byte {
	return encoded(&v1.NewThing{ThingType: thingType, Attributes: attributes})
}

func thingDeleted(tx kv.Tx, at core.Place, thing *v1.ThingRef) {
	old, ok := loadThing(tx, thing.GetName())
	if !ok || old.number != thing.GetNumber() {
		return
	}
	tx.Delete(thingKey(thing.Name))
	if old.thingType != "" {
		addCount(tx, typeThingsKey(old.thingType), -1)
	}
	w := loadRunning(tx)
	if w.wanted(commitOf(old.number), at.Number) {
		tx.Set(deletedKey(thing.Name, old.number), putUint(at.Number))
		w.echo(tx, at.Number, old.number, 0, thing.Name)
	}
	w.forget(tx, forgetPerEvent)
	storeRunning(tx, w)
}

func groupCreated(tx kv.Tx, e *v1.GroupCreated) {
	g := groupRow{name: e.Group, root: e.Number, depth: 1}
	if parent, ok := findGroup(tx, id.Group(e.Parent)); ok {
		p := loadGroup(tx, parent)
		p.children++
		tx.Set(treeKey(parent), encodeGroup(p))
		tx.Set(childKey(parent, e.Number), nil)
		g.parent, g.root, g.depth = parent, p.root, p.depth+1
	}
	tx.Set(groupKey(e.Group), putUint(e.Number))
	tx.Set(treeKey(e.Number), encodeGroup(g))
	storeGroupSettings(tx, e.Number, e.Description, e.Attributes, 1)
	storeTags(tx, groupResource(e.Group), e.Tags)
	forgetSome(tx)
}

func storeGroupSettings(tx kv.Tx, number uint64, description string, attributes []*v1.Attribute, version uint64) {
	tx.Set(settingsKey(number), encoded(&v1.GroupUpdated{Description: description, Attributes: attributes, Version: version}))
}

func thingTypeDeprecated(tx kv.Tx, at core.Place, e *v1.ThingTypeDeprecated) {
	row, ok := loadType(tx, e.ThingType)
	if !ok {
		return
	}
	row.Deprecated, row.DeprecatedAtMs = !e.Undone, at.AtMs
	if e.Undone {
		row.DeprecatedAtMs = 0
	}
	tx.Set(typeKey(e.ThingType), encoded(row))
}
