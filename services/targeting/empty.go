package targeting

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// sliceEventsMax is how many members leave a deleted group in one slice.
const sliceEventsMax = 400

// empty lets members leave the first group that was deleted and still has some, in the order of their keys. It takes
// what else the group's rows hold, memberships that have ended, for looks.
func (t targeting) empty(s *core.Step) {
	if loadRunning(s).doomed == 0 {
		return
	}
	group, from := firstDoomed(s)
	name := loadGroup(s, group).name
	table := kv.NewKey(tableMember).Uint(group)
	var leaving []*v1.ThingRef
	size := 0
	for k, v := range s.Scan(append(table, from...), kv.PrefixEnd(table)) {
		if len(leaving) == min(t.slices.things, sliceEventsMax) || size > sliceNamesMax/2 {
			break
		}
		thing, rest := kv.CutString(k[1+8:])
		number, _ := kv.CutUint(rest)
		stay, ok := decodeStay(v)
		if !ok {
			panic(damaged(kv.Key(k)))
		}
		if stay.since != 0 {
			leaving = append(leaving, &v1.ThingRef{Name: thing, Number: number})
			size += len(thing) + len(name) + 16
		}
	}
	for _, thing := range leaving {
		s.Emit(left(name, group, thing.Name, thing.Number), core.Reason(v1.ReasonCode_REASON_CODE_GROUP_DELETED))
	}
}

// firstDoomed is the deleted group that is emptied next, and where in it.
func firstDoomed(r kv.Reader) (group uint64, from []byte) {
	table := kv.NewKey(tableDoomed)
	for k, v := range r.Scan(table, kv.PrefixEnd(table)) {
		group, _ = kv.CutUint(k[1:])
		return group, append([]byte(nil), v...)
	}
	panic("targeting: groups are counted as to be emptied and there is none")
}
