package targeting

import (
	"bytes"
	"reflect"
	"testing"
)

// FuzzRows hands any bytes to every decoder: what one accepts is what its encoder writes, byte for byte, so that
// two states that mean the same are the same.
func FuzzRows(f *testing.F) {
	f.Add(encodeStay(nil, stay{since: 9, past: []span{{3, 5}, {6, 8}}}))
	f.Add(encodeMemberships([]membership{{group: 1 << 16, stay: stay{since: 2}}, {group: 2 << 16, stay: stay{past: []span{{3, 5}}}}}))
	f.Add(encodeGroup(groupRow{name: "presses", parent: 1 << 16, root: 1 << 16, depth: 2, children: 3, deleted: 9}))
	f.Add(encodeSelection(selectionRow{asOf: 7, first: 1, targets: targetsRow{4, 2, 2}, selected: 300, resume: encodeCursor(cursor{inGroups: true, index: 1, group: 1 << 16, name: "press-7", thing: 4 << 16})}))
	f.Add(encodeRunning(runningRow{last: 1 << 16, echoes: 2, follows: 1, changes: 3, doomed: 1, asOfs: []uint64{5, 5, 9}}))
	f.Add(encodeCursor(cursor{index: 3}))
	f.Add(encodeFollow(followRow{since: 7, targets: targetsRow{4, 2, 2}}))
	f.Add(encodeMatched(matchCursor{change: change{7, kindGroup, 1 << 16}, name: "press-7", thing: 4 << 16, job: 9}))
	f.Add([]byte{0x80, 0x00})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, value []byte) {
		again := func(what string, ok bool, encode func() []byte) {
			if ok && !bytes.Equal(encode(), value) {
				t.Errorf("%s: accepted %x, which it writes as %x", what, value, encode())
			}
		}
		s, ok := decodeStay(value)
		again("stay", ok, func() []byte { return encodeStay(nil, s) })
		m, ok := decodeMemberships(value)
		again("memberships", ok, func() []byte { return encodeMemberships(m) })
		g, ok := decodeGroup(value)
		again("group", ok, func() []byte { return encodeGroup(g) })
		sel, ok := decodeSelection(value)
		again("selection", ok, func() []byte { return encodeSelection(sel) })
		w, ok := decodeRunning(value)
		again("running", ok, func() []byte { return encodeRunning(w) })
		follow, ok := decodeFollow(value)
		again("follow", ok, func() []byte { return encodeFollow(follow) })
		matched, ok := decodeMatched(value)
		again("matched", ok, func() []byte { return encodeMatched(matched) })
		c, ok := decodeCursor(value)
		again("cursor", ok && len(value) > 0, func() []byte { return encodeCursor(c) })
	})
}

func TestRowsComeBackAsTheyWere(t *testing.T) {
	check := func(what string, got, want any, ok bool) {
		t.Helper()
		if !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", what, got, ok, want)
		}
	}
	s := stay{since: 9, past: []span{{3, 5}, {6, 1 << 60}}}
	gotStay, ok := decodeStay(encodeStay(nil, s))
	check("stay", gotStay, s, ok)
	list := []membership{{group: 1 << 40, stay: s}, {group: 2, stay: stay{since: 1}}}
	gotList, ok := decodeMemberships(encodeMemberships(list))
	check("memberships", gotList, list, ok)
	g := groupRow{name: "a", parent: 1, root: 2, depth: 3, children: 4, deleted: 5}
	gotGroup, ok := decodeGroup(encodeGroup(g))
	check("group", gotGroup, g, ok)
	c := cursor{inGroups: true, index: 1, group: 2, name: "a", thing: 3}
	gotCursor, ok := decodeCursor(encodeCursor(c))
	check("cursor", gotCursor, c, ok)
	sel := selectionRow{asOf: 1, first: 5, targets: targetsRow{9, 2, 3}, selected: 4, resume: encodeCursor(c)}
	gotSelection, ok := decodeSelection(encodeSelection(sel))
	check("selection", gotSelection, sel, ok)
	w := runningRow{last: 1, echoes: 2, follows: 3, changes: 4, doomed: 5, asOfs: []uint64{3, 3, 4}}
	gotRunning, ok := decodeRunning(encodeRunning(w))
	check("running", gotRunning, w, ok)
	follow := followRow{since: 1, targets: targetsRow{2, 3, 4}}
	gotFollow, ok := decodeFollow(encodeFollow(follow))
	check("follow", gotFollow, follow, ok)
	m := matchCursor{change: change{1, kindThing, 2}, name: "a", thing: 3, job: 4}
	gotMatched, ok := decodeMatched(encodeMatched(m))
	check("matched", gotMatched, m, ok)
}

func TestAStayHoldsFromItsFirstCommitToTheOneBeforeItEnds(t *testing.T) {
	s := stay{since: 9, past: []span{{3, 5}, {6, 8}}}
	want := map[uint64]bool{3: true, 4: true, 6: true, 7: true, 9: true, 10: true}
	for commit := range uint64(11) {
		if s.at(commit) != want[commit] {
			t.Errorf("at commit %d: %v", commit, s.at(commit))
		}
	}
}
