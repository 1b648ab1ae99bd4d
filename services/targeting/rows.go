package targeting

import (
	"encoding/binary"
	"fmt"

	"github.com/droverhq/drover/projections/kv"
)

// Row values: unsigned varints, and texts behind their length. A decoder takes what its encoder wrote and nothing
// else, and never more memory than a small multiple of the value.

// span is a membership that has ended: it held from commit began on, and no more in commit ended.
type span struct{ began, ended uint64 }

// stay is when a thing was a direct member of a group: since a commit, 0 if it is none now, and before that in
// spans, oldest first, that a running selection may ask for.
type stay struct {
	since uint64
	past  []span
}

// at says whether the thing was a member when a commit had been written.
func (s stay) at(commit uint64) bool {
	if s.since != 0 && s.since <= commit {
		return true
	}
	for _, p := range s.past {
		if p.began <= commit && commit < p.ended {
			return true
		}
	}
	return false
}

// empty says that nothing of it is left to remember.
func (s stay) empty() bool { return s.since == 0 && len(s.past) == 0 }

func encodeStay(b []byte, s stay) []byte {
	b = binary.AppendUvarint(b, s.since)
	b = binary.AppendUvarint(b, uint64(len(s.past)))
	for _, p := range s.past {
		b = binary.AppendUvarint(b, p.began)
		b = binary.AppendUvarint(b, p.ended)
	}
	return b
}

func (r *row) stay() stay {
	s := stay{since: r.uint()}
	for range r.count(2) {
		s.past = append(s.past, span{began: r.uint(), ended: r.uint()})
	}
	return s
}

func decodeStay(value []byte) (stay, bool) {
	r := row{rest: value}
	s := r.stay()
	return s, r.done()
}

// membership is a thing's stay in one group.
type membership struct {
	group uint64
	stay
}

func encodeMemberships(list []membership) []byte {
	b := make([]byte, 0, 16*len(list))
	for _, m := range list {
		b = binary.AppendUvarint(b, m.group)
		b = encodeStay(b, m.stay)
	}
	return b
}

func decodeMemberships(value []byte) ([]membership, bool) {
	r := row{rest: value}
	var list []membership
	for len(r.rest) > 0 && !r.bad {
		list = append(list, membership{group: r.uint(), stay: r.stay()})
	}
	return list, r.done()
}

// groupRow is a group: its place in the tree never changes.
type groupRow struct {
	name     string
	parent   uint64 // 0 at the root
	root     uint64 // its own number at the root
	depth    uint64 // 1 at the root
	children uint64 // that are not deleted
	deleted  uint64 // the commit from which on nobody is a member; 0 while it is there
}

func encodeGroup(g groupRow) []byte {
	b := appendText(nil, g.name)
	for _, n := range []uint64{g.parent, g.root, g.depth, g.children, g.deleted} {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func decodeGroup(value []byte) (groupRow, bool) {
	r := row{rest: value}
	g := groupRow{name: r.text(), parent: r.uint(), root: r.uint(), depth: r.uint(), children: r.uint(), deleted: r.uint()}
	return g, r.done()
}

// there says whether the group was there when a commit had been written, of one that was created before.
func (g groupRow) there(commit uint64) bool { return g.deleted == 0 || commit < g.deleted }

// targetsRow counts a job's targets up to one.
type targetsRow struct {
	all    uint64 // the index of the next one
	things uint64 // that are things
	groups uint64 // that are groups
}

func (t targetsRow) encode(b []byte) []byte {
	for _, n := range []uint64{t.all, t.things, t.groups} {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func (r *row) targets() targetsRow {
	return targetsRow{all: r.uint(), things: r.uint(), groups: r.uint()}
}

// followRow is a continuous job.
type followRow struct {
	since   uint64 // the commit as of which its first selection is: changes up to there are nothing to it
	targets targetsRow
}

func encodeFollow(f followRow) []byte {
	return f.targets.encode(binary.AppendUvarint(nil, f.since))
}

func decodeFollow(value []byte) (followRow, bool) {
	r := row{rest: value}
	f := followRow{since: r.uint(), targets: r.targets()}
	return f, r.done()
}

// selectionRow is a selection that has not finished. It selects what the targets behind the first hold, and no target
// before them.
type selectionRow struct {
	asOf     uint64     // the commit that holds its SelectionStarted
	first    uint64     // the index of its first target: 0 but for targets that were associated
	targets  targetsRow // of the job, up to its last one
	selected uint64     // things selected so far
	resume   []byte     // a cursor: where the next slice goes on; empty at the beginning
}

func encodeSelection(s selectionRow) []byte {
	b := binary.AppendUvarint(nil, s.asOf)
	b = binary.AppendUvarint(b, s.first)
	b = s.targets.encode(b)
	b = binary.AppendUvarint(b, s.selected)
	return append(b, s.resume...)
}

func decodeSelection(value []byte) (selectionRow, bool) {
	r := row{rest: value}
	s := selectionRow{asOf: r.uint(), first: r.uint(), targets: r.targets(), selected: r.uint()}
	s.resume, r.rest = r.rest, nil
	return s, r.done()
}

// runningRow is what all that is under way has in common. Without any, it is the zero row.
type runningRow struct {
	last    uint64   // the job whose turn it was last
	echoes  uint64   // rows in tableEcho
	follows uint64   // rows in tableFollow
	changes uint64   // rows in tableChange
	doomed  uint64   // rows in tableDoomed
	asOfs   []uint64 // of every selection that has not finished, ascending
}

func encodeRunning(w runningRow) []byte {
	var b []byte
	for _, n := range []uint64{w.last, w.echoes, w.follows, w.changes, w.doomed} {
		b = binary.AppendUvarint(b, n)
	}
	for _, n := range w.asOfs {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func decodeRunning(value []byte) (runningRow, bool) {
	r := row{rest: value}
	w := runningRow{last: r.uint(), echoes: r.uint(), follows: r.uint(), changes: r.uint(), doomed: r.uint()}
	for len(r.rest) > 0 && !r.bad {
		w.asOfs = append(w.asOfs, r.uint())
	}
	return w, r.done()
}

// cursor is where a selection stands. First the things named as targets, by index; then, target by target, the
// groups of each target's subtree, depth first, and in each its members by name.
type cursor struct {
	inGroups bool
	index    uint64 // of the target
	group    uint64 // in which members are being taken; 0 if the target has not been entered
	name     string // the last member looked at; empty before the first
	thing    uint64
}

func encodeCursor(c cursor) []byte {
	stage := uint64(0)
	if c.inGroups {
		stage = 1
	}
	b := binary.AppendUvarint(nil, stage)
	b = binary.AppendUvarint(b, c.index)
	b = binary.AppendUvarint(b, c.group)
	b = appendText(b, c.name)
	return binary.AppendUvarint(b, c.thing)
}

func decodeCursor(value []byte) (cursor, bool) {
	if len(value) == 0 {
		return cursor{}, true
	}
	r := row{rest: value}
	stage := r.uint()
	c := cursor{inGroups: stage == 1, index: r.uint(), group: r.uint(), name: r.text(), thing: r.uint()}
	return c, r.done() && stage <= 1
}

// change is a place among the changes that wait to be matched: of one thing, or of all members of a group that was
// deleted, which come first in their commit.
type change struct{ commit, kind, number uint64 }

const (
	kindGroup = 0
	kindThing = 1
)

func (c change) key() kv.Key { return changeKey(c.commit, c.kind, c.number) }

// matchCursor is where matching stands: every change before this one is done, of a group's members all before this
// one, and of that member, or of the thing, all jobs up to this one.
type matchCursor struct {
	change
	name  string // the member, or empty
	thing uint64
	job   uint64
}

func encodeMatched(c matchCursor) []byte {
	var b []byte
	for _, n := range []uint64{c.commit, c.kind, c.number} {
		b = binary.AppendUvarint(b, n)
	}
	b = appendText(b, c.name)
	b = binary.AppendUvarint(b, c.thing)
	return binary.AppendUvarint(b, c.job)
}

func decodeMatched(value []byte) (matchCursor, bool) {
	r := row{rest: value}
	c := matchCursor{change: change{commit: r.uint(), kind: r.uint(), number: r.uint()}, name: r.text(), thing: r.uint(), job: r.uint()}
	return c, r.done()
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// row reads a value from the front. After a fault it reads zeros, and done says so.
type row struct {
	rest []byte
	bad  bool
}

func (r *row) uint() uint64 {
	n, size := binary.Uvarint(r.rest)
	// One spelling for each number: a longer one is not what an encoder writes.
	if size <= 0 || size > 1 && r.rest[size-1] == 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// count reads how many elements follow, each of at least so many bytes.
func (r *row) count(least uint64) uint64 {
	n := r.uint()
	if n > uint64(len(r.rest))/least {
		r.bad, r.rest = true, nil
		return 0
	}
	return n
}

func (r *row) text() string {
	n := r.count(1)
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

// done says that all was read and nothing was wrong.
func (r *row) done() bool { return !r.bad && len(r.rest) == 0 }

func damaged(key kv.Key) *kv.Failure {
	return &kv.Failure{Op: "decode a row of targeting", Err: fmt.Errorf("the value under %q is not what targeting writes there", []byte(key))}
}
