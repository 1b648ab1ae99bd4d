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
	if evolveRegistry(tx, at, event) {
		return
	}
	switch e := event.GetEvent().(type) {
	case *v1.Event_GroupDeleted:
		groupDeleted(tx, at, e.GroupDeleted)
	case *v1.Event_ThingJoined:
		thingJoined(tx, at, e.ThingJoined.Group, e.ThingJoined.Thing)
	case *v1.Event_ThingLeft:
		thingLeft(tx, at, e.ThingLeft)
	case *v1.Event_SelectionStarted:
		selectionStarted(tx, at, e.SelectionStarted)
	case *v1.Event_ThingsSelected:
		thingsSelected(tx, e.ThingsSelected)
	case *v1.Event_SelectionFinished:
		selectionFinished(tx, e.SelectionFinished.Job)
	case *v1.Event_SelectionClosed:
		selectionClosed(tx, e.SelectionClosed.Job)
	case *v1.Event_ChangesMatched:
		changesMatched(tx, e.ChangesMatched.Resume)
	case *v1.Event_ThingsDeselected: // the members of a job are never kept: they follow from the memberships
	default:
		panic(core.Unreadable(at, event))
	}
}

// groupDeleted frees the name, and dooms the members that are left.
func groupDeleted(tx kv.Tx, at core.Place, e *v1.GroupDeleted) {
	number, ok := findGroup(tx, id.Group(e.Group))
	if !ok || number != e.Number {
		return
	}
	g := loadGroup(tx, number)
	w := loadRunning(tx)
	if w.follows > 0 { // also of a group that nobody follows: one change per thing and commit (match.go)
		w.put(tx, change{at.Number, kindGroup, number}, g.name)
	}
	doomed := count(tx, countKey(number)) > 0
	if doomed {
		tx.Set(doomedKey(number), nil)
		w.doomed++
	}
	g.deleted = at.Number
	tx.Set(treeKey(number), encodeGroup(g))
	tx.Delete(groupKey(e.Group))
	tx.Delete(settingsKey(number))
	deleteAll(tx, tagsKey(groupResource(e.Group)))
	if g.parent != 0 {
		p := loadGroup(tx, g.parent)
		p.children--
		tx.Set(treeKey(g.parent), encodeGroup(p))
	}
	if !doomed {
		w.bury(tx, at.Number, number)
	}
	w.forget(tx, forgetPerEvent)
	storeRunning(tx, w)
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
	addCount(tx, countKey(number), 1)
	w := loadRunning(tx)
	if w.change(tx, change{at.Number, kindThing, thing.GetNumber()}, thing.GetName(), number) || w.echoes > 0 {
		w.forget(tx, forgetPerEvent)
		storeRunning(tx, w)
	}
}

// thingLeft ends a membership: in this commit, or, of a deleted group, in the one that deleted it.
func thingLeft(tx kv.Tx, at core.Place, e *v1.ThingLeft) {
	thing := e.Thing
	list := loadMemberships(tx, thing.GetNumber())
	i := slices.IndexFunc(list, func(m membership) bool { return m.group == e.GroupNumber })
	if i < 0 || list[i].since == 0 {
		return
	}
	w := loadRunning(tx)
	began, ended := list[i].since, at.Number
	g := loadGroup(tx, e.GroupNumber)
	asked := false
	if g.deleted != 0 {
		ended = g.deleted
		asked = w.asks(tx, ended)
	} else {
		asked = w.change(tx, change{at.Number, kindThing, thing.GetNumber()}, thing.GetName(), e.GroupNumber)
	}
	list[i].since = 0
	if began < ended && (asked || w.wanted(began, ended)) {
		list[i].past = append(list[i].past, span{began: began, ended: ended})
		w.echo(tx, ended, thing.GetNumber(), e.GroupNumber, thing.GetName())
	}
	storeMembership(tx, thing.GetName(), thing.GetNumber(), list, i)
	switch left := addCount(tx, countKey(e.GroupNumber), -1); {
	case g.deleted != 0 && left == 0:
		tx.Delete(doomedKey(e.GroupNumber))
		w.doomed--
		w.bury(tx, at.Number, e.GroupNumber)
	case g.deleted != 0:
		member := memberKey(e.GroupNumber, thing.GetName(), thing.GetNumber())
		tx.Set(doomedKey(e.GroupNumber), append([]byte(nil), member[1+8:]...))
	}
	w.forget(tx, forgetPerEvent)
	storeRunning(tx, w)
}

// deleteAll deletes every key that begins with prefix. Only a job's targets, at most 10,000, and the tags of one
// resource are deleted so.
func deleteAll(tx kv.Tx, prefix kv.Key) {
	var keys [][]byte
	for k := range tx.Scan(prefix, kv.PrefixEnd(prefix)) {
		keys = append(keys, append([]byte(nil), k...))
	}
	for _, k := range keys {
		tx.Delete(k)
	}
}
