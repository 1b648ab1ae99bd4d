package targeting

import (
	"math"
	"slices"

	"github.com/droverhq/drover/projections/kv"
)

// wanted says whether a running selection may ask for what held from commit began on, and ended in commit ended. A
// selection that starts in that same commit is as of the end of it, and does not.
func (w *runningRow) wanted(began, ended uint64) bool {
	for i := len(w.asOfs) - 1; i >= 0; i-- {
		if w.asOfs[i] < ended {
			return w.asOfs[i] >= began
		}
	}
	return false
}

// asks says whether a change that waits to be matched asks for what ended in a commit: one of that commit or before
// asks how things stood before it.
func (w *runningRow) asks(r kv.Reader, ended uint64) bool {
	return w.changes > 0 && firstChange(r).commit <= ended
}

// echo remembers that something ended in a commit: the membership of a thing in a group, or the thing (group 0).
func (w *runningRow) echo(tx kv.Tx, ended, thing, group uint64, name string) {
	tx.Set(echoKey(ended, thing, group), []byte(name))
	w.echoes++
}

// noThing stands in the key of a deleted group's echo. It comes behind those of its members.
const noThing = uint64(math.MaxUint64)

// bury forgets a deleted group without members, or leaves it an echo while anything is under way.
func (w *runningRow) bury(tx kv.Tx, at, group uint64) {
	if len(w.asOfs) > 0 || w.changes > 0 {
		w.echo(tx, at, noThing, group, "")
		return
	}
	forgetGroup(tx, group)
}

func forgetGroup(tx kv.Tx, group uint64) {
	if parent := loadGroup(tx, group).parent; parent != 0 {
		tx.Delete(childKey(parent, group))
	}
	tx.Delete(treeKey(group))
}

// forget drops up to so many echoes that nobody asks for any more, oldest first.
func (w *runningRow) forget(tx kv.Tx, limit int) {
	if w.echoes == 0 {
		return
	}
	asked := uint64(math.MaxUint64) // what ended in this commit or later may be asked for
	if len(w.asOfs) > 0 {
		asked = w.asOfs[0] + 1
	}
	if w.changes > 0 {
		asked = min(asked, firstChange(tx).commit)
	}
	type echo struct {
		ended, thing, group uint64
		name                string
	}
	var past []echo // collected first: the state must not be written during a scan
	from := kv.NewKey(tableEcho)
	for k, v := range tx.Scan(from, kv.PrefixEnd(from)) {
		var e echo
		rest := k[1:]
		e.ended, rest = kv.CutUint(rest)
		e.thing, rest = kv.CutUint(rest)
		e.group, _ = kv.CutUint(rest)
		if len(past) == limit || e.ended >= asked {
			break
		}
		e.name = string(v)
		past = append(past, e)
	}
	for _, e := range past {
		tx.Delete(echoKey(e.ended, e.thing, e.group))
		w.echoes--
		switch {
		case e.thing == noThing:
			forgetGroup(tx, e.group)
		case e.group == 0:
			tx.Delete(deletedKey(e.name, e.thing))
		default:
			forgetStay(tx, e.name, e.thing, e.group, e.ended)
		}
	}
}

// forgetStay drops the span of a membership that ended in a commit.
func forgetStay(tx kv.Tx, name string, thing, group, ended uint64) {
	list := loadMemberships(tx, thing)
	i := slices.IndexFunc(list, func(m membership) bool { return m.group == group })
	if i < 0 {
		return
	}
	list[i].past = slices.DeleteFunc(list[i].past, func(p span) bool { return p.ended == ended })
	storeMembership(tx, name, thing, list, i)
}

// storeMembership writes both rows of list[i], or deletes what has become empty.
func storeMembership(tx kv.Tx, name string, thing uint64, list []membership, i int) {
	m := list[i]
	if m.empty() {
		tx.Delete(memberKey(m.group, name, thing))
		list = slices.Delete(list, i, i+1)
	} else {
		tx.Set(memberKey(m.group, name, thing), encodeStay(nil, m.stay))
	}
	if len(list) == 0 {
		tx.Delete(groupsKey(thing))
	} else {
		tx.Set(groupsKey(thing), encodeMemberships(list))
	}
}

// forgetPerEvent is how many echoes a small event drops. It adds at most two, so that what is left over never grows
// and no event has to drop many.
const forgetPerEvent = 4

// forgetSome is for the fold of an event that adds no echo.
func forgetSome(tx kv.Tx) {
	if w := loadRunning(tx); w.echoes > 0 {
		w.forget(tx, forgetPerEvent)
		storeRunning(tx, w)
	}
}

func storeRunning(tx kv.Tx, w runningRow) { tx.Set(runningKey(), encodeRunning(w)) }
