package targeting

import (
	"slices"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// A continuous job is followed from its first SelectionStarted to its SelectionClosed: it has a row in tableFollow, and
// its targets stay. A target is a name: a thing or a group that is created under it later is one too.

// followed says whether a group, or one above it, is a target of a continuous job.
func followed(r kv.Reader, w *runningRow, group uint64) bool {
	if w.follows == 0 {
		return false
	}
	for group != 0 {
		g := loadGroup(r, group)
		if holds(r, kv.NewKey(tableFollowedGroup).String(g.name)) {
			return true
		}
		group = g.parent
	}
	return false
}

// change puts a change of a group's members among those that wait to be matched, if it can concern a continuous job.
func (w *runningRow) change(tx kv.Tx, c change, name string, group uint64) bool {
	if !followed(tx, w, group) {
		return false
	}
	w.put(tx, c, name)
	return true
}

// put does so with one that can. A thing that changes twice in a commit changes once.
func (w *runningRow) put(tx kv.Tx, c change, name string) {
	if !has(tx, c.key()) {
		tx.Set(c.key(), []byte(name))
		w.changes++
	}
}

// firstChange is the change that is matched next. There is one.
func firstChange(r kv.Reader) change {
	table := kv.NewKey(tableChange)
	for k := range r.Scan(table, kv.PrefixEnd(table)) {
		return parseChange(k)
	}
	panic("targeting: changes are counted as waiting and there is none")
}

func parseChange(k []byte) (c change) {
	rest := k[1:]
	c.commit, rest = kv.CutUint(rest)
	c.kind, rest = kv.CutUint(rest)
	c.number, _ = kv.CutUint(rest)
	return c
}

// changesMatched forgets the changes before a cursor, and where in the next one to go on.
func changesMatched(tx kv.Tx, resume []byte) {
	c, ok := decodeMatched(resume)
	if !ok {
		return
	}
	var done []change
	table := kv.NewKey(tableChange)
	for k := range tx.Scan(table, c.key()) {
		done = append(done, parseChange(k))
	}
	for _, d := range done {
		tx.Delete(d.key())
	}
	if c.name == "" && c.job == 0 {
		tx.Delete(matchedKey())
	} else {
		tx.Set(matchedKey(), append([]byte(nil), resume...))
	}
	w := loadRunning(tx)
	w.changes -= uint64(len(done))
	w.forget(tx, core.EventsMax)
	storeRunning(tx, w)
}

// selectionStarted lays the targets out. A group means the one that has the name now.
func selectionStarted(tx kv.Tx, at core.Place, e *v1.SelectionStarted) {
	follows := e.TargetSelection == v1.TargetSelection_TARGET_SELECTION_CONTINUOUS
	follow, known := load(tx, followKey(e.Job), decodeFollow), has(tx, followKey(e.Job))
	if _, runs := loadSelection(tx, e.Job); runs && !known {
		return
	}
	w := loadRunning(tx)
	row := selectionRow{asOf: at.Number, first: follow.targets.all}
	for _, target := range e.Targets {
		layOut(tx, e.Job, target, follows, &follow.targets)
	}
	row.targets = follow.targets
	if follows && !known {
		follow.since = at.Number
		w.follows++
	}
	if follows {
		tx.Set(followKey(e.Job), encodeFollow(follow))
	}
	tx.Set(selectionKey(e.Job, row.first), encodeSelection(row))
	w.asOfs = append(w.asOfs, at.Number)
	w.forget(tx, forgetPerEvent)
	storeRunning(tx, w)
}

// layOut writes the next target of a job.
func layOut(tx kv.Tx, job uint64, target *v1.Target, follows bool, targets *targetsRow) {
	index := targets.all
	targets.all++
	if name := target.GetThing(); name != "" && !has(tx, targetedThingKey(job, name)) {
		tx.Set(targetedThingKey(job, name), putUint(index))
		tx.Set(thingTargetKey(job, index), []byte(name))
		targets.things++
		if follows {
			tx.Set(followedKey(tableFollowedThing, name, job), nil)
		}
	}
	if name := target.GetGroup(); name != "" && !has(tx, targetedGroupKey(job, name)) {
		tx.Set(targetedGroupKey(job, name), putUint(index))
		if group, ok := findGroup(tx, id.Group(name)); ok {
			tx.Set(groupTargetKey(job, index), putUint(group))
		}
		targets.groups++
		if follows {
			tx.Set(followedKey(tableFollowedGroup, name, job), nil)
		}
	}
}

func thingsSelected(tx kv.Tx, e *v1.ThingsSelected) {
	row, ok := loadSelection(tx, e.Job)
	if !ok || e.Joined {
		return
	}
	row.selected += uint64(len(e.Things))
	row.resume = e.Resume
	tx.Set(selectionKey(e.Job, row.first), encodeSelection(row))
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
	tx.Delete(selectionKey(job, row.first))
	if !has(tx, followKey(job)) {
		deleteTargets(tx, job)
	}
	w := loadRunning(tx)
	w.last = job
	if i := slices.Index(w.asOfs, row.asOf); i >= 0 {
		w.asOfs = slices.Delete(w.asOfs, i, i+1)
	}
	w.forget(tx, core.EventsMax)
	storeRunning(tx, w)
}

func selectionClosed(tx kv.Tx, job uint64) {
	if !has(tx, followKey(job)) {
		return
	}
	tx.Delete(followKey(job))
	deleteFollowed(tx, tableTargetedThing, tableFollowedThing, job)
	deleteFollowed(tx, tableTargetedGroup, tableFollowedGroup, job)
	deleteTargets(tx, job)
	w := loadRunning(tx)
	w.follows--
	w.forget(tx, forgetPerEvent)
	storeRunning(tx, w)
}

// deleteFollowed deletes the rows that lead from the names of a job's targets to the job.
func deleteFollowed(tx kv.Tx, targeted, table byte, job uint64) {
	var names []string
	from := kv.NewKey(targeted).Uint(job)
	for k := range tx.Scan(from, kv.PrefixEnd(from)) {
		name, _ := kv.CutString(k[len(from):])
		names = append(names, name)
	}
	for _, name := range names {
		tx.Delete(followedKey(table, name, job))
	}
}

func deleteTargets(tx kv.Tx, job uint64) {
	for _, table := range []byte{tableThingTarget, tableGroupTarget, tableTargetedThing, tableTargetedGroup} {
		deleteAll(tx, kv.NewKey(table).Uint(job))
	}
}
