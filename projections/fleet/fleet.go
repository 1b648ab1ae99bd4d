// Package fleet is the read model of things and groups.
//
// It promises to answer as log.targeting stood at the snapshot that it is asked on. Membership is direct membership:
// what a target reaches through nested groups is for targeting to resolve.
//
//	T thing              ThingRow without its groups
//	G group              GroupRow without members and children
//	C parent group       nothing: group is a child of parent
//	M group thing        nothing: thing is a direct member of group
//	B thing group        nothing: the same, from the other side
//	N group              how many direct members group has
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
)

// Tables are the first bytes of this model's keys.
const Tables = string(tableThing) + string(tableGroup) + string(tableChild) + string(tableMember) + string(tableBelongs) + string(tableCount)

// Apply folds one commit of log.targeting; commits of other logs are nothing to it. Nothing is read but what a
// deleted thing belonged to, and one counter a group and commit.
func Apply(tx kv.Tx, log id.Log, c *v1.Commit) {
	if log != id.TargetingLog {
		return
	}
	var members counts
	for _, e := range c.Entries {
		switch event := e.GetEvent().GetEvent().(type) {
		case *v1.Event_ThingCreated:
			createThing(tx, event.ThingCreated, c.AtMs)
		case *v1.Event_ThingDeleted:
			deleteThing(tx, event.ThingDeleted.Thing.GetName(), &members)
		case *v1.Event_GroupCreated:
			createGroup(tx, event.GroupCreated, c.AtMs)
		case *v1.Event_ThingJoined:
			joined := event.ThingJoined
			tx.Set(memberKey(joined.Group, joined.Thing.GetName()), nil)
			tx.Set(belongsKey(joined.Thing.GetName(), joined.Group), nil)
			members.add(joined.Group, 1)
		case *v1.Event_ThingLeft:
			leave(tx, event.ThingLeft.Thing.GetName(), event.ThingLeft.Group, &members)
		}
	}
	members.write(tx)
}

func createThing(tx kv.Writer, e *v1.ThingCreated, at int64) {
	tx.Set(thingKey(e.Thing.GetName()), page.Value(&v1.ThingRow{
		Number: e.Thing.GetNumber(), ThingType: e.ThingType, Attributes: e.Attributes, Version: 1, CreatedAtMs: at,
	}))
}

// deleteThing forgets the thing, and what it had not left.
func deleteThing(tx kv.Tx, thing string, members *counts) {
	for _, group := range groupsOf(tx, thing) {
		leave(tx, thing, group, members)
	}
	tx.Delete(thingKey(thing))
}

func createGroup(tx kv.Writer, e *v1.GroupCreated, at int64) {
	tx.Set(groupKey(e.Group), page.Value(&v1.GroupRow{
		Number: e.Number, Parent: e.Parent, Description: e.Description, CreatedAtMs: at,
	}))
	if e.Parent != "" {
		tx.Set(childKey(e.Parent, e.Group), nil)
	}
}

func leave(tx kv.Writer, thing, group string, members *counts) {
	tx.Delete(memberKey(group, thing))
	tx.Delete(belongsKey(thing, group))
	members.add(group, -1)
}

// groupsOf lists the groups that a thing is a direct member of, sorted.
func groupsOf(r kv.Reader, thing string) (groups []string) {
	from := kv.NewKey(tableBelongs).String(thing)
	for key := range r.Scan(from, kv.PrefixEnd(from)) {
		groups = append(groups, tail(key, len(from)))
	}
	return groups
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

func (c counts) write(tx kv.Tx) {
	for _, change := range c {
		n := memberCount(tx, change.group) + uint64(change.n)
		tx.Set(countKey(change.group), binary.BigEndian.AppendUint64(nil, n))
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

func thingKey(thing string) kv.Key         { return kv.NewKey(tableThing).String(thing) }
func groupKey(group string) kv.Key         { return kv.NewKey(tableGroup).String(group) }
func childKey(parent, group string) kv.Key { return kv.NewKey(tableChild).String(parent).String(group) }
func memberKey(group, thing string) kv.Key { return kv.NewKey(tableMember).String(group).String(thing) }
func belongsKey(thing, group string) kv.Key {
	return kv.NewKey(tableBelongs).String(thing).String(group)
}
func countKey(group string) kv.Key { return kv.NewKey(tableCount).String(group) }

// tail is the last name of a key of which the first n bytes are known.
func tail(key []byte, n int) string {
	name, _ := kv.CutString(key[n:])
	return name
}
