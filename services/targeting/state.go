package targeting

import (
	"encoding/binary"

	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/proto/id"
)

// The tables. Things and groups are told apart by their numbers, which are never used again; names lead to numbers.
//
// What has ended and may still be asked for by a running selection is called an echo: a deleted thing, or a span of
// a membership. Every echo stands in tableEcho too, in the order in which they ended, and is forgotten from there
// once every running selection started after it (echo.go).
const (
	tableThing     = 't' // name → thing number, 8 bytes, then its settings: v1.NewThing without name
	tableDeleted   = 'd' // echo: name, thing number → number of the commit that deleted it, 8 bytes
	tableGroups    = 'b' // thing number → its memberships
	tableMember    = 'm' // group number, thing's name, thing number → stay
	tableGroup     = 'g' // name → group number, 8 bytes
	tableTree      = 'h' // group number → groupRow
	tableChild     = 'c' // parent's number, child's number → nothing
	tableEcho      = 'x' // number of the commit that ended it, thing number, group number or 0 → the thing's name
	tableRunning   = 'r' // → runningRow; one row
	tableSelection = 's' // job number → selectionRow; while the selection runs
)

// The targets of a running selection, in the order given and by what they name; one named twice stands at its first
// place.
const (
	tableThingTarget   = 'o' // job number, index of the target → thing's name
	tableGroupTarget   = 'p' // job number, index of the target → group number, 8 bytes
	tableTargetedThing = 'n' // job number, thing's name → nothing
	tableTargetedGroup = 'q' // job number, group number → index of the target, 8 bytes
)

func thingKey(name string) kv.Key { return kv.NewKey(tableThing).String(name) }
func deletedKey(name string, number uint64) kv.Key {
	return kv.NewKey(tableDeleted).String(name).Uint(number)
}
func groupsKey(thing uint64) kv.Key { return kv.NewKey(tableGroups).Uint(thing) }
func memberKey(group uint64, name string, thing uint64) kv.Key {
	return kv.NewKey(tableMember).Uint(group).String(name).Uint(thing)
}
func groupKey(name string) kv.Key          { return kv.NewKey(tableGroup).String(name) }
func treeKey(group uint64) kv.Key          { return kv.NewKey(tableTree).Uint(group) }
func childKey(parent, child uint64) kv.Key { return kv.NewKey(tableChild).Uint(parent).Uint(child) }
func runningKey() kv.Key                   { return kv.NewKey(tableRunning) }
func selectionKey(job uint64) kv.Key       { return kv.NewKey(tableSelection).Uint(job) }
func thingTargetKey(job, index uint64) kv.Key {
	return kv.NewKey(tableThingTarget).Uint(job).Uint(index)
}
func groupTargetKey(job, index uint64) kv.Key {
	return kv.NewKey(tableGroupTarget).Uint(job).Uint(index)
}
func targetedThingKey(job uint64, name string) kv.Key {
	return kv.NewKey(tableTargetedThing).Uint(job).String(name)
}
func targetedGroupKey(job, group uint64) kv.Key {
	return kv.NewKey(tableTargetedGroup).Uint(job).Uint(group)
}
func echoKey(ended, thing, group uint64) kv.Key {
	return kv.NewKey(tableEcho).Uint(ended).Uint(thing).Uint(group)
}

// commitOf is the commit that created what a number names.
func commitOf(number uint64) uint64 {
	commit, _ := id.SplitNumber(number)
	return commit
}

func putUint(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// getUint reads the 8 bytes that a value begins with.
func getUint(r kv.Reader, key kv.Key) (n uint64, rest []byte, ok bool) {
	value, ok := r.Get(key)
	if !ok {
		return 0, nil, false
	}
	if len(value) < 8 {
		panic(damaged(key))
	}
	return binary.BigEndian.Uint64(value), value[8:], true
}

func has(r kv.Reader, key kv.Key) bool {
	_, ok := r.Get(key)
	return ok
}

// findThing is the number of the thing that has a name now, and its settings.
func findThing(r kv.Reader, name id.Thing) (number uint64, settings []byte, ok bool) {
	return getUint(r, thingKey(string(name)))
}

// findGroup is the number of the group that has a name now.
func findGroup(r kv.Reader, name id.Group) (number uint64, ok bool) {
	number, _, ok = getUint(r, groupKey(string(name)))
	return number, ok
}

// loadGroup is the row of a group's number; there is one for every number that state holds.
func loadGroup(r kv.Reader, number uint64) groupRow { return load(r, treeKey(number), decodeGroup) }

// loadMemberships are those of a thing, also the ones that have ended and may be asked for, in order of joining.
func loadMemberships(r kv.Reader, thing uint64) []membership {
	return load(r, groupsKey(thing), decodeMemberships)
}

func loadRunning(r kv.Reader) runningRow { return load(r, runningKey(), decodeRunning) }

// loadSelection is the row of a job's selection, if one runs.
func loadSelection(r kv.Reader, job uint64) (row selectionRow, ok bool) {
	key := selectionKey(job)
	return load(r, key, decodeSelection), has(r, key)
}

// load decodes a row; of none, what the zero row is.
func load[T any](r kv.Reader, key kv.Key, decode func([]byte) (T, bool)) T {
	value, ok := r.Get(key)
	if !ok {
		var none T
		return none
	}
	row, ok := decode(value)
	if !ok {
		panic(damaged(key))
	}
	return row
}
