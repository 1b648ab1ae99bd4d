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
	name        string
	parent      uint64 // 0 at the root
	root        uint64 // its own number at the root
	depth       uint64 // 1 at the root
	children    uint64
	description string
}

func encodeGroup(g groupRow) []byte {
	b := appendText(nil, g.name)
	b = binary.AppendUvarint(b, g.parent)
	b = binary.AppendUvarint(b, g.root)
	b = binary.AppendUvarint(b, g.depth)
	b = binary.AppendUvarint(b, g.children)
	return appendText(b, g.description)
}

func decodeGroup(value []byte) (groupRow, bool) {
	r := row{rest: value}
	g := groupRow{name: r.text(), parent: r.uint(), root: r.uint(), depth: r.uint(), children: r.uint(), description: r.text()}
	return g, r.done()
}

// selectionRow is a running selection.
type selectionRow struct {
	asOf         uint64 // the commit that holds its SelectionStarted
	thingTargets uint64 // targets that are things
	groupTargets uint64 // targets that are groups
	selected     uint64 // things selected so far
	resume       []byte // a cursor: where the next slice goes on; empty at the beginning
}

func encodeSelection(s selectionRow) []byte {
	b := binary.AppendUvarint(nil, s.asOf)
	b = binary.AppendUvarint(b, s.thingTargets)
	b = binary.AppendUvarint(b, s.groupTargets)
	b = binary.AppendUvarint(b, s.selected)
	return append(b, s.resume...)
}

func decodeSelection(value []byte) (selectionRow, bool) {
	r := row{rest: value}
	s := selectionRow{asOf: r.uint(), thingTargets: r.uint(), groupTargets: r.uint(), selected: r.uint()}
	s.resume, r.rest = r.rest, nil
	return s, r.done()
}

// runningRow is what all running selections have in common. Without one, it is the zero row.
type runningRow struct {
	last   uint64   // the job whose turn it was last
	echoes uint64   // rows in tableEcho
	asOfs  []uint64 // of every running selection, ascending
}

func encodeRunning(w runningRow) []byte {
	b := binary.AppendUvarint(nil, w.last)
	b = binary.AppendUvarint(b, w.echoes)
	for _, n := range w.asOfs {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func decodeRunning(value []byte) (runningRow, bool) {
	r := row{rest: value}
	w := runningRow{last: r.uint(), echoes: r.uint()}
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
