package targeting

import (
	"slices"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// Evolve implements core.Core. An event that does not fit the state changes nothing.
func (targeting) Evolve(tx kv.Tx, at core.Place, event *v1.Event) {
	switch e := event.GetEvent().(type) {
	case *v1.Event_ThingCreated:
		thingCreated(tx, e.ThingCreated)
	case *v1.Event_ThingDeleted:
		thingDeleted(tx, at, e.ThingDeleted.Thing)
	case *v1.Event_GroupCreated:
		groupCreated(tx, e.GroupCreated)
	case *v1.Event_ThingJoined:
		thingJoined(tx, at, e.ThingJoined.Group, e.ThingJoined.Thing)
	case *v1.Event_ThingLeft:
		thingLeft(tx, at, e.ThingLeft.Group, e.ThingLeft.Thing)
	case *v1.Event_SelectionStarted:
		selectionStarted(tx, at, e.SelectionStarted)
	case *v1.Event_ThingsSelected:
		thingsSelected(tx, e.ThingsSelected)
	case *v1.Event_SelectionFinished:
		selectionFinished(tx, e.SelectionFinished.Job)
	default:
		panic(core.Unreadable(at, event))
	}
}

func thingCreated(tx kv.Tx, e *v1.ThingCreated) {
	value := append(putUint(e.Thing.GetNumber()), encodeSettings(e.ThingType, e.Attributes)...)
	tx.Set(thingKey(e.Thing.GetName()), value)
	forgetSome(tx)
}

// encodeSettings is what makes two things of one name the same: equal bytes, equal settings.
func encodeSettings(thingType string, attributes []*v1.Attribute) []byte {
	value, err := (&v1.NewThing{ThingType: thingType, Attributes: attributes}).MarshalVT()
	if err != nil {
		panic(&kv.Failure{Op: "encode a thing's settings", Err: err})
	}
	return value
}

func thingDeleted(tx kv.Tx, at core.Place, thing *v1.ThingRef) {
	number, _, ok := findThing(tx, id.Thing(thing.GetName()))
	if !ok || number != thing.GetNumber() {
		return
	}
	tx.Delete(thingKey(thing.Name))
	w := loadRunning(tx)
	if w.wanted(commitOf(number), at.Number) {
		tx.Set(deletedKey(thing.Name, number), putUint(at.Number))
		w.echo(tx, at.Number, number, 0, thing.Name)
	}
	w.forget(tx, forgetPerEvent)
	storeRunning(tx, w)
}

func groupCreated(tx kv.Tx, e *v1.GroupCreated) {
	g := groupRow{name: e.Group, root: e.Number, depth: 1, description: e.Description}
	if parent, ok := findGroup(tx, id.Group(e.Parent)); ok {
		p := loadGroup(tx, parent)
		p.children++
		tx.Set(treeKey(parent), encodeGroup(p))
		tx.Set(childKey(parent, e.Number), nil)
		g.parent, g.root, g.depth = parent, p.root, p.depth+1
	}
	tx.Set(groupKey(e.Group), putUint(e.Number))
	tx.Set(treeKey(e.Number), encodeGroup(g))
	forgetSome(tx)
}

func thingJoined(tx kv.Tx, at core.Place, group string, thing *v1.ThingRef) {
	number, ok := findGroup(tx, id.Group(group))
	if !ok {
		return
	}
	list := loadMemberships(tx, thing.GetNumber())
	i := slices.IndexFunc(list, func(m membership) bool { return m.group == number })
	if i < 0 {
		i = len(list)
		list = append(list, membership{group: number})
	}
	if list[i].since != 0 {
		return
	}
	list[i].since = at.Number
	storeMembership(tx, thing.GetName(), thing.GetNumber(), list, i)
	forgetSome(tx)
}

func thingLeft(tx kv.Tx, at core.Place, group string, thing *v1.ThingRef) {
	number, ok := findGroup(tx, id.Group(group))
	if !ok {
		return
	}
	list := loadMemberships(tx, thing.GetNumber())
	i := slices.IndexFunc(list, func(m membership) bool { return m.group == number })
	if i < 0 || list[i].since == 0 {
		return
	}
	w := loadRunning(tx)
	began := list[i].since
	list[i].since = 0
	if w.wanted(began, at.Number) {
		list[i].past = append(list[i].past, span{began: began, ended: at.Number})
		w.echo(tx, at.Number, thing.GetNumber(), number, thing.GetName())
	}
	storeMembership(tx, thing.GetName(), thing.GetNumber(), list, i)
	w.forget(tx, forgetPerEvent)
	storeRunning(tx, w)
}

// selectionStarted lays the targets out. A group means the one that has the name now.
func selectionStarted(tx kv.Tx, at core.Place, e *v1.SelectionStarted) {
	if has(tx, selectionKey(e.Job)) {
		return
	}
	row := selectionRow{asOf: at.Number}
	for i, target := range e.Targets {
		index := uint64(i)
		if name := target.GetThing(); name != "" && !has(tx, targetedThingKey(e.Job, name)) {
			tx.Set(targetedThingKey(e.Job, name), nil)
			tx.Set(thingTargetKey(e.Job, index), []byte(name))
			row.thingTargets++
		}
		if group, ok := findGroup(tx, id.Group(target.GetGroup())); ok && !has(tx, targetedGroupKey(e.Job, group)) {
			tx.Set(targetedGroupKey(e.Job, group), putUint(index))
			tx.Set(groupTargetKey(e.Job, index), putUint(group))
			row.groupTargets++
		}
	}
	tx.Set(selectionKey(e.Job), encodeSelection(row))
	w := loadRunning(tx)
	w.asOfs = append(w.asOfs, at.Number)
	w.forget(tx, forgetPerEvent)
	storeRunning(tx, w)
}

func thingsSelected(tx kv.Tx, e *v1.ThingsSelected) {
	row, ok := loadSelection(tx, e.Job)
	if !ok {
		return
	}
	row.selected += uint64(len(e.Things))
	row.resume = e.Resume
	tx.Set(selectionKey(e.Job), encodeSelection(row))
	w := loadRunning(tx)
	w.last = e.Job
	w.forget(tx, forgetPerEvent)
	storeRunning(tx, w)
}

func selectionFinished(tx kv.Tx, job uint64) {
	row, ok := loadSelection(tx, job)
	if !ok {
		return
	}
	tx.Delete(selectionKey(job))
	for _, table := range []byte{tableThingTarget, tableGroupTarget, tableTargetedThing, tableTargetedGroup} {
		deleteAll(tx, kv.NewKey(table).Uint(job))
	}
	w := loadRunning(tx)
	w.last = job
	if i := slices.Index(w.asOfs, row.asOf); i >= 0 {
		w.asOfs = slices.Delete(w.asOfs, i, i+1)
	}
	w.forget(tx, core.EventsMax)
	storeRunning(tx, w)
}

// deleteAll deletes every key that begins with prefix. Only a job's targets are deleted so: at most 10,000.
func deleteAll(tx kv.Tx, prefix kv.Key) {
	var keys [][]byte
	for k := range tx.Scan(prefix, kv.PrefixEnd(prefix)) {
		keys = append(keys, append([]byte(nil), k...))
	}
	for _, k := range keys {
		tx.Delete(k)
	}
}
