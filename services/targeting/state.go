package targeting

import (
	"encoding/binary"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// stateVersion is raised when the rows below come to be others (core.Core).
const stateVersion = 1

// The tables. Things and groups are told apart by their numbers, which are never used again; names lead to numbers.
//
// What has ended and may still be asked for, by a running selection or by a change that waits to be matched, is
// called an echo: a deleted thing, a span of a membership, or a deleted group. Every echo stands in tableEcho too, in
// the order in which they ended, and is forgotten from there once nobody asks any more (echo.go).
const (
	tableThing     = 't' // name → thing number, version, 8 bytes each, then its settings: v1.NewThing without name
	tableDeleted   = 'd' // echo: name, thing number → number of the commit that deleted it, 8 bytes
	tableGroups    = 'b' // thing number → its memberships
	tableMember    = 'm' // group number, thing's name, thing number → stay
	tableGroup     = 'g' // name → group number, 8 bytes
	tableTree      = 'h' // group number → groupRow
	tableChild     = 'c' // parent's number, child's number → nothing
	tableSettings  = 'e' // group number → v1.GroupUpdated without name and number
	tableCount     = 'k' // group number → how many direct members it has, 8 bytes
	tableDoomed    = 'z' // number of a deleted group that still has members → the end of the last slice's last key
	tableType      = 'y' // thing type → v1.ThingTypeRow without name
	tableTypeCount = 'v' // thing type → how many things have it, 8 bytes
	tableTag       = 'l' // group or thing type, tag's key → its value
	tableEcho      = 'x' // number of the commit that ended it, thing number or none, group number or 0 → the thing's name
	tableRunning   = 'r' // → runningRow; one row
	tableSelection = 's' // job number, index of its first target → selectionRow; until the selection has finished
)

// The targets of a job, in the order given and by what they name; one named twice stands at its first place. Those of
// a snapshot job stay until its selection has finished, those of a continuous job until that is closed.
const (
	tableThingTarget   = 'o' // job number, index of the target → thing's name
	tableGroupTarget   = 'p' // job number, index of the target → number of the group that had the name, 8 bytes
	tableTargetedThing = 'n' // job number, thing's name → index of the target, 8 bytes
	tableTargetedGroup = 'q' // job number, group's name → index of the target, 8 bytes
)

// Of continuous jobs (follow.go), and the changes that wait to be held against them, in order (match.go).
const (
	tableFollow        = 'f' // job number → followRow
	tableFollowedThing = 'i' // thing's name, job number → nothing
	tableFollowedGroup = 'u' // group's name, job number → nothing
	tableChange        = 'j' // number of the commit, kind, number of the group or the thing → its name
	tableMatched       = 'w' // → matchCursor: where the first change is resumed; none is at its beginning
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
func settingsKey(group uint64) kv.Key      { return kv.NewKey(tableSettings).Uint(group) }
func countKey(group uint64) kv.Key         { return kv.NewKey(tableCount).Uint(group) }
func doomedKey(group uint64) kv.Key        { return kv.NewKey(tableDoomed).Uint(group) }
func typeKey(name string) kv.Key           { return kv.NewKey(tableType).String(name) }
func typeThingsKey(name string) kv.Key     { return kv.NewKey(tableTypeCount).String(name) }
func runningKey() kv.Key                   { return kv.NewKey(tableRunning) }
func selectionKey(job, from uint64) kv.Key { return kv.NewKey(tableSelection).Uint(job).Uint(from) }
func thingTargetKey(job, index uint64) kv.Key {
	return kv.NewKey(tableThingTarget).Uint(job).Uint(index)
}
func groupTargetKey(job, index uint64) kv.Key {
	return kv.NewKey(tableGroupTarget).Uint(job).Uint(index)
}
func targetedThingKey(job uint64, name string) kv.Key {
	return kv.NewKey(tableTargetedThing).Uint(job).String(name)
}
func targetedGroupKey(job uint64, name string) kv.Key {
	return kv.NewKey(tableTargetedGroup).Uint(job).String(name)
}
func followKey(job uint64) kv.Key { return kv.NewKey(tableFollow).Uint(job) }
func followedKey(table byte, name string, job uint64) kv.Key {
	return kv.NewKey(table).String(name).Uint(job)
}
func changeKey(commit, kind, number uint64) kv.Key {
	return kv.NewKey(tableChange).Uint(commit).Uint(kind).Uint(number)
}
func matchedKey() kv.Key { return kv.NewKey(tableMatched) }
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

// count is a counter; without a row it is 0.
func count(r kv.Reader, key kv.Key) uint64 {
	n, _, _ := getUint(r, key)
	return n
}

// addCount changes a counter, and returns what it is then.
func addCount(tx kv.Tx, key kv.Key, change int64) uint64 {
	n := count(tx, key) + uint64(change)
	if n == 0 {
		tx.Delete(key)
	} else {
		tx.Set(key, putUint(n))
	}
	return n
}

func has(r kv.Reader, key kv.Key) bool {
	_, ok := r.Get(key)
	return ok
}

// holds says whether a table holds a key that begins so.
func holds(r kv.Reader, prefix kv.Key) bool {
	for range r.Scan(prefix, kv.PrefixEnd(prefix)) {
		return true
	}
	return false
}

// findThing is the number of the thing that has a name now, and its settings.
func findThing(r kv.Reader, name id.Thing) (number uint64, settings []byte, ok bool) {
	key := thingKey(string(name))
	number, rest, ok := getUint(r, key)
	if ok && len(rest) < 8 {
		panic(damaged(key))
	}
	if ok {
		settings = rest[8:]
	}
	return number, settings, ok
}

// thingRow is a thing as it is now.
type thingRow struct {
	number, version uint64
	thingType       string
	attributes      []*v1.Attribute
}

func loadThing(r kv.Reader, name string) (thingRow, bool) {
	number, settings, ok := findThing(r, id.Thing(name))
	if !ok {
		return thingRow{}, false
	}
	value, _ := r.Get(thingKey(name))
	row := decoded(thingKey(name), settings, new(v1.NewThing))
	return thingRow{number: number, version: binary.BigEndian.Uint64(value[8:]), thingType: row.ThingType, attributes: row.Attributes}, true
}

// findGroup is the number of the group that has a name now.
func findGroup(r kv.Reader, name id.Group) (number uint64, ok bool) {
	number, _, ok = getUint(r, groupKey(string(name)))
	return number, ok
}

// loadGroup is the row of a group's number; there is one for every number that state holds.
func loadGroup(r kv.Reader, number uint64) groupRow { return load(r, treeKey(number), decodeGroup) }

// loadGroupSettings are the description, the attributes and the version of a group.
func loadGroupSettings(r kv.Reader, number uint64) *v1.GroupUpdated {
	value, _ := r.Get(settingsKey(number))
	return decoded(settingsKey(number), value, new(v1.GroupUpdated))
}

func loadType(r kv.Reader, name string) (*v1.ThingTypeRow, bool) {
	value, ok := r.Get(typeKey(name))
	if !ok {
		return nil, false
	}
	return decoded(typeKey(name), value, new(v1.ThingTypeRow)), true
}

// loadMemberships are those of a thing, also the ones that have ended and may be asked for, in order of joining.
func loadMemberships(r kv.Reader, thing uint64) []membership {
	return load(r, groupsKey(thing), decodeMemberships)
}

func loadRunning(r kv.Reader) runningRow { return load(r, runningKey(), decodeRunning) }

// loadSelection is the first row of a job's selections, if there is one: the one that is carried out.
func loadSelection(r kv.Reader, job uint64) (row selectionRow, ok bool) {
	table := kv.NewKey(tableSelection).Uint(job)
	for k, v := range r.Scan(table, kv.PrefixEnd(table)) {
		row, ok = decodeSelection(v)
		if !ok {
			panic(damaged(kv.Key(k)))
		}
		row.resume = append([]byte(nil), row.resume...)
		return row, true
	}
	return selectionRow{}, false
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

// decoded reads a row that is a message; encoded is its twin.
func decoded[M interface{ UnmarshalVT([]byte) error }](key kv.Key, value []byte, m M) M {
	if err := m.UnmarshalVT(value); err != nil {
		panic(damaged(key))
	}
	return m
}

func encoded(m interface{ MarshalVT() ([]byte, error) }) []byte {
	value, err := m.MarshalVT()
	if err != nil {
		panic(&kv.Failure{Op: "encode a row of targeting", Err: err})
	}
	return value
}
