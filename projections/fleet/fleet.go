// Package fleet is the read model of things, thing types and groups.
//
// It promises to answer as log.targeting stood at the snapshot that it is asked on. Membership is direct membership; what
// a group reaches through those below it is read when it is asked for. A group that was deleted has no members from then
// on, though their rows go one by one: rows of members carry the group's number, which its name leads to only while it
// is there.
//
//	T thing                ThingRow without its groups
//	G group                GroupRow without members, children and ancestors
//	C parent group         nothing: group is a child of parent
//	M group number thing   nothing: thing is a direct member of group
//	B thing group number   nothing: the same, from the other side
//	N group                how many direct members group has
//	Y thing type           ThingTypeRow
//	A resource key         the tag's value
package fleet

import (
	"encoding/binary"
	"fmt"

	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/page"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// The tables. A byte belongs to one model of the store that all of them share.
const (
	tableThing   = 'T'
	tableGroup   = 'G'
	tableChild   = 'C'
	tableMember  = 'M'
	tableBelongs = 'B'
	tableCount   = 'N'
	tableType    = 'Y'
	tableTag     = 'A'
)

// Tables are the first bytes of this model's keys.
const Tables = string(tableThing) + string(tableGroup) + string(tableChild) + string(tableMember) + string(tableBelongs) + string(tableCount) +
	string(tableType) + string(tableTag)

// Apply folds one commit of log.targeting; commits of other logs are nothing to it. Read is what an update changes, what
// a deleted thing belonged to, and one number and one counter a group and commit.
func Apply(tx kv.Tx, log id.Log, c *v1.Commit) {
	if log != id.TargetingLog {
		return
	}
	f := folding{tx: tx, at: c.AtMs, numbers: make(map[string]uint64)}
	for _, e := range c.Entries {
		f.apply(e.GetEvent())
	}
	f.members.write(tx)
}

// folding is the fold of one commit.
type folding struct {
	tx      kv.Tx
	at      int64
	numbers map[string]uint64 // of groups, by name: a memo
	members counts
}

func (f *folding) apply(event *v1.Event) {
	switch e := event.GetEvent().(type) {
	case *v1.Event_ThingCreated:
		c := e.ThingCreated
		f.tx.Set(thingKey(c.Thing.GetName()), page.Value(&v1.ThingRow{
			Number: c.Thing.GetNumber(), ThingType: c.ThingType, Attributes: c.Attributes, Version: 1, CreatedAtMs: f.at,
		}))
	case *v1.Event_ThingUpdated:
		f.updateThing(e.ThingUpdated)
	case *v1.Event_ThingDeleted:
		f.deleteThing(e.ThingDeleted.Thing.GetName())
	case *v1.Event_GroupCreated:
		f.createGroup(e.GroupCreated)
	case *v1.Event_GroupUpdated:
		f.updateGroup(e.GroupUpdated)
	case *v1.Event_GroupDeleted:
		f.deleteGroup(e.GroupDeleted.Group)
	case *v1.Event_ThingJoined:
		thing, group := e.ThingJoined.Thing.GetName(), e.ThingJoined.Group
		number := f.number(group)
		f.tx.Set(memberKey(group, number, thing), nil)
		f.tx.Set(belongsKey(thing, group, number), nil)
		f.members.add(group, 1)
	case *v1.Event_ThingLeft:
		f.leave(e.ThingLeft.Thing.GetName(), e.ThingLeft.Group, e.ThingLeft.GroupNumber)
	default:
		f.applyTypes(event)
	}
}

// applyTypes folds what concerns thing types and tags.
func (f *folding) applyTypes(event *v1.Event) {
	switch e := event.GetEvent().(type) {
	case *v1.Event_ThingTypeCreated:
		c := e.ThingTypeCreated
		f.tx.Set(typeKey(c.ThingType), page.Value(&v1.ThingTypeRow{
			Description: c.Description, SearchableAttributes: c.SearchableAttributes, CreatedAtMs: f.at,
		}))
		f.tag(&v1.TaggedResource{Resource: &v1.TaggedResource_ThingType{ThingType: c.ThingType}}, c.Tags)
	case *v1.Event_ThingTypeDeprecated:
		d := e.ThingTypeDeprecated
		if value, ok := f.tx.Get(typeKey(d.ThingType)); ok {
			row := page.Row[v1.ThingTypeRow](value)
			row.Deprecated, row.DeprecatedAtMs = !d.Undone, f.at
			if d.Undone {
				row.DeprecatedAtMs = 0
			}
			f.tx.Set(typeKey(d.ThingType), page.Value(row))
		}
	case *v1.Event_ThingTypeDeleted:
		f.tx.Delete(typeKey(e.ThingTypeDeleted.ThingType))
		f.untag(&v1.TaggedResource{Resource: &v1.TaggedResource_ThingType{ThingType: e.ThingTypeDeleted.ThingType}})
	case *v1.Event_RegistryTagged:
		f.tag(e.RegistryTagged.Resource, e.RegistryTagged.Tags)
	case *v1.Event_RegistryUntagged:
		for _, key := range e.RegistryUntagged.Keys {
			f.tx.Delete(tagsKey(e.RegistryUntagged.Resource).String(key))
		}
	}
}

func (f *folding) updateThing(e *v1.ThingUpdated) {
	key := thingKey(e.Thing.GetName())
	value, ok := f.tx.Get(key)
	if !ok {
		return
	}
	row := page.Row[v1.ThingRow](value)
	row.ThingType, row.Attributes, row.Version = e.ThingType, e.Attributes, e.Version
	f.tx.Set(key, page.Value(row))
}

// deleteThing forgets the thing, and what it had not left.
func (f *folding) deleteThing(thing string) {
	type belongs struct {
		group  string
		number uint64
	}
	var left []belongs
	from := kv.NewKey(tableBelongs).String(thing)
	for key := range f.tx.Scan(from, kv.PrefixEnd(from)) {
		group, number := cutGroup(key[len(from):])
		left = append(left, belongs{group, number})
	}
	for _, b := range left {
		f.leave(thing, b.group, b.number)
	}
	f.tx.Delete(thingKey(thing))
}

func (f *folding) createGroup(e *v1.GroupCreated) {
	f.numbers[e.Group] = e.Number
	f.tx.Set(groupKey(e.Group), page.Value(&v1.GroupRow{
		Number: e.Number, Parent: e.Parent, Description: e.Description, Attributes: e.Attributes, Version: 1, CreatedAtMs: f.at,
	}))
	if e.Parent != "" {
		f.tx.Set(childKey(e.Parent, e.Group), nil)
	}
	f.tag(&v1.TaggedResource{Resource: &v1.TaggedResource_Group{Group: e.Group}}, e.Tags)
}

func (f *folding) updateGroup(e *v1.GroupUpdated) {
	value, ok := f.tx.Get(groupKey(e.Group))
	if !ok {
		return
	}
	row := page.Row[v1.GroupRow](value)
	row.Description, row.Attributes, row.Version = e.Description, e.Attributes, e.Version
	f.tx.Set(groupKey(e.Group), page.Value(row))
}

// deleteGroup forgets the group; its members' rows go with their ThingLeft.
func (f *folding) deleteGroup(group string) {
	if value, ok := f.tx.Get(groupKey(group)); ok {
		if parent := page.Row[v1.GroupRow](value).Parent; parent != "" {
			f.tx.Delete(childKey(parent, group))
		}
	}
	f.tx.Delete(groupKey(group))
	f.tx.Delete(countKey(group))
	f.members.drop(group)
	f.numbers[group] = 0
	f.untag(&v1.TaggedResource{Resource: &v1.TaggedResource_Group{Group: group}})
}

// leave ends a membership. Those of a deleted group are counted no more; without a number the group is that of the name.
func (f *folding) leave(thing, group string, number uint64) {
	now := f.number(group)
	if number == 0 {
		number = now
	}
	f.tx.Delete(memberKey(group, number, thing))
	f.tx.Delete(belongsKey(thing, group, number))
	if number == now {
		f.members.add(group, -1)
	}
}

// number is that of the group that has a name now; 0 if there is none.
func (f *folding) number(group string) uint64 {
	number, known := f.numbers[group]
	if !known {
		number = groupNumber(f.tx, group)
		f.numbers[group] = number
	}
	return number
}

func (f *folding) tag(resource *v1.TaggedResource, tags []*v1.Tag) {
	for _, t := range tags {
		f.tx.Set(tagsKey(resource).String(t.Key), []byte(t.Value))
	}
}

func (f *folding) untag(resource *v1.TaggedResource) {
	for _, t := range tagsOf(f.tx, resource) {
		f.tx.Delete(tagsKey(resource).String(t.Key))
	}
}

// counts are the changes of the groups' member counters in one commit, in order of their first change.
type counts []struct {
	group string
	n     int64
}

func (c *counts) add(group string, n int64) {
	for i := range *c {
		if (*c)[i].group == group {
			(*c)[i].n += n
			return
		}
	}
	*c = append(*c, struct {
		group string
		n     int64
	}{group, n})
}

// drop forgets the changes of a group.
func (c *counts) drop(group string) {
	for i := range *c {
		if (*c)[i].group == group {
			(*c)[i].n = 0
		}
	}
}

func (c counts) write(tx kv.Tx) {
	for _, change := range c {
		if change.n != 0 {
			n := memberCount(tx, change.group) + uint64(change.n)
			tx.Set(countKey(change.group), binary.BigEndian.AppendUint64(nil, n))
		}
	}
}

func memberCount(r kv.Reader, group string) uint64 {
	value, ok := r.Get(countKey(group))
	if !ok {
		return 0
	}
	if len(value) != 8 {
		panic(&kv.Failure{Op: "read row", Err: fmt.Errorf("the member count of group %q has %d bytes (projections rebuild makes it anew)", group, len(value))})
	}
	return binary.BigEndian.Uint64(value)
}
