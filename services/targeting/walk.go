package targeting

import (
	"math"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// The bounds of one slice (design §4). One that has looked at so many rows ends, with few things or none.
const (
	sliceThingsMax = 1000
	sliceNamesMax  = 32 << 10 // bytes
	nameBytesMax   = 128
	sliceLooksMax  = 20_000
	sliceJobsMax   = 256
)

// bounds are those that tests draw closer: things selected or deselected, rows looked at, and followers of a name that
// are looked at together.
type bounds struct{ things, looks, jobs int }

// walk goes over the targets of one selection, from where the last slice stopped to where this one does.
//
// It keeps no list of what it has selected. A thing is taken at the first place that reaches it, and whether an
// earlier one did can be told from its name and its memberships: things named as targets come first; then the
// groups of each target's subtree, but for those that an earlier target has reached. Within one target no thing is
// met twice, since it is in at most one group of a hierarchy.
type walk struct {
	state   kv.Reader
	job     uint64
	follows bool // of a continuous job: what was deleted since is passed over, for it has left by that
	selectionRow
	at  cursor
	max bounds // of this slice

	things []*v1.ThingRef
	// head and last are the indices of the targets that reached things[0] and the last one.
	head, last uint64
	names      int // bytes of names
	looks      int

	reached map[uint64]uint64 // a memo of reach
}

func newWalk(state kv.Reader, job uint64, row selectionRow, limit bounds) *walk {
	at, ok := decodeCursor(row.resume)
	if !ok {
		panic(damaged(selectionKey(job, row.first)))
	}
	if len(row.resume) == 0 {
		at.index = row.first
	}
	return &walk{state: state, job: job, follows: has(state, followKey(job)), selectionRow: row, at: at, max: limit, reached: make(map[uint64]uint64)}
}

// run takes things until the slice is full, or until none is left: then it is done.
func (w *walk) run() (done bool) {
	if !w.at.inGroups {
		if !w.named() {
			return false
		}
		w.at = cursor{inGroups: true, index: w.first}
	}
	for {
		if w.at.group == 0 && !w.enter() {
			return true
		}
		if !w.members() || w.full() {
			return false
		}
		w.ascend()
	}
}

func (w *walk) full() bool {
	return len(w.things) >= w.max.things || w.names > sliceNamesMax-nameBytesMax || w.looks >= w.max.looks
}

func (w *walk) take(name string, thing, target uint64) {
	if w.follows {
		if alive, _, ok := findThing(w.state, id.Thing(name)); !ok || alive != thing {
			return
		}
	}
	if len(w.things) == 0 {
		w.head = target
		w.things = make([]*v1.ThingRef, 0, w.max.things)
	}
	w.last = target
	w.names += len(name)
	w.things = append(w.things, &v1.ThingRef{Name: name, Number: thing})
}

// named takes the things that are targets themselves. False: the slice is full.
func (w *walk) named() bool {
	for k, v := range w.state.Scan(thingTargetKey(w.job, w.at.index), thingTargetKey(w.job, w.targets.all)) {
		index, _ := kv.CutUint(k[1+8:])
		w.at.index = index
		if w.full() {
			return false
		}
		w.looks++
		name := string(v)
		if thing, ok := w.thingThen(name); ok && !w.earlier(thing, w.first) {
			w.take(name, thing, index)
		}
	}
	return true
}

// thingThen is the number of the thing that had a name when the selection started.
func (w *walk) thingThen(name string) (uint64, bool) {
	if number, _, ok := findThing(w.state, id.Thing(name)); ok && commitOf(number) <= w.asOf {
		return number, true
	}
	table := kv.NewKey(tableDeleted).String(name)
	for k := range w.state.Scan(table, kv.PrefixEnd(table)) {
		number, _ := kv.CutUint(k[len(table):])
		deleted, _, _ := getUint(w.state, k)
		if commitOf(number) <= w.asOf && w.asOf < deleted {
			return number, true
		}
	}
	return 0, false
}

// enter goes to the group of the target at the cursor, or of the next one that no earlier target reaches. False:
// there is none.
func (w *walk) enter() bool {
	for k := range w.state.Scan(groupTargetKey(w.job, w.at.index), groupTargetKey(w.job, w.targets.all)) {
		index, _ := kv.CutUint(k[1+8:])
		group, _, _ := getUint(w.state, k)
		if w.reach(group) == index {
			w.at = cursor{inGroups: true, index: index, group: group}
			return true
		}
	}
	return false
}

// members takes the members of the group at the cursor that were in it when the selection started. False: the slice
// is full.
func (w *walk) members() bool {
	table := kv.NewKey(tableMember).Uint(w.at.group)
	from := table
	if w.at.name != "" {
		from = append(memberKey(w.at.group, w.at.name, w.at.thing), 0) // just behind it
	}
	for k, v := range w.state.Scan(from, kv.PrefixEnd(table)) {
		if w.full() {
			return false
		}
		w.looks++
		name, rest := kv.CutString(k[len(table):])
		thing, _ := kv.CutUint(rest)
		w.at.name, w.at.thing = name, thing
		s, ok := decodeStay(v)
		if !ok {
			panic(damaged(kv.Key(k)))
		}
		if s.at(w.asOf) && !w.taken(name, thing) {
			w.take(name, thing, w.at.index)
		}
	}
	return true
}

// taken says whether a member of the group at the cursor was reached before: by its own name, or through another
// group.
func (w *walk) taken(name string, thing uint64) bool {
	if w.targets.things > 0 {
		if index, _, ok := getUint(w.state, targetedThingKey(w.job, name)); ok && index < w.targets.all {
			return true
		}
	}
	return w.targets.groups > 1 && w.earlier(thing, w.at.index)
}

// earlier says whether a group that a target before this one reaches held the thing.
func (w *walk) earlier(thing, index uint64) bool {
	if index == 0 {
		return false
	}
	for _, m := range loadMemberships(w.state, thing) {
		if m.group != w.at.group && m.at(w.asOf) && w.reach(m.group) < index {
			return true
		}
	}
	return false
}

// ascend goes on to the group that follows in the subtree of the target: the first child, else the next sibling,
// else that of the nearest group above which has one. Behind the last it leaves the target.
func (w *walk) ascend() {
	root, _, _ := getUint(w.state, groupTargetKey(w.job, w.at.index))
	group, after := w.at.group, uint64(0)
	for {
		if child, ok := w.child(group, after); ok {
			w.at = cursor{inGroups: true, index: w.at.index, group: child}
			return
		}
		if group == root {
			w.at = cursor{inGroups: true, index: w.at.index + 1}
			return
		}
		group, after = loadGroup(w.state, group).parent, group
	}
}

// child is the first child of a group behind another that is not left to an earlier target. One that is younger than
// the selection holds nothing for it.
func (w *walk) child(parent, after uint64) (uint64, bool) {
	end := kv.PrefixEnd(kv.NewKey(tableChild).Uint(parent))
	for k := range w.state.Scan(childKey(parent, after+1), end) {
		w.looks++
		child, _ := kv.CutUint(k[1+8:])
		if commitOf(child) <= w.asOf && w.reach(child) == w.at.index {
			return child, true
		}
	}
	return 0, false
}

// nowhere is the reach of a group that no target reaches.
const nowhere = uint64(math.MaxUint64)

// reach is the index of the first target that is the group or one above it. A group that was deleted by then is
// reached by none.
func (w *walk) reach(group uint64) uint64 {
	if index, ok := w.reached[group]; ok {
		return index
	}
	g := loadGroup(w.state, group)
	index, _, ok := getUint(w.state, targetedGroupKey(w.job, g.name))
	if !ok || index >= w.targets.all {
		index = nowhere
	}
	if g.parent != 0 {
		index = min(index, w.reach(g.parent))
	}
	if !g.there(w.asOf) {
		index = nowhere
	}
	w.reached[group] = index
	return index
}
