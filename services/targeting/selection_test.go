package targeting

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
	"github.com/droverhq/drover/services/core/coretest"
)

// village: a tree and a group apart.
//
//	north(a b) ── east(c d) ── deep(e)        south(a c f)
//	           └─ west(g)
func village(t testing.TB) *fixture {
	f := newFixture(t).things("a", "b", "c", "d", "e", "f", "g", "h")
	f.group("north", "", "a", "b").group("east", "north", "c", "d").group("deep", "east", "e").group("west", "north", "g")
	return f.group("south", "", "a", "c", "f")
}

func TestASelectionHoldsEachThingOnce(t *testing.T) {
	tests := []struct {
		name    string
		targets []*v1.Target
		want    string
	}{
		{"things, in the order given", []*v1.Target{thing("h"), thing("a"), thing("e")}, "h a e"},
		{"a thing twice", []*v1.Target{thing("h"), thing("a"), thing("h")}, "h a"},
		{"a group with all below it, depth first", []*v1.Target{group("north")}, "a b c d e g"},
		{"a group in the middle", []*v1.Target{group("east")}, "c d e"},
		{"a group twice", []*v1.Target{group("west"), group("west")}, "g"},
		{"two groups that share things", []*v1.Target{group("south"), group("north")}, "a c f b d e g"},
		{"the same in the other order", []*v1.Target{group("north"), group("south")}, "a b c d e g f"},
		{"a group below an earlier target", []*v1.Target{group("north"), group("deep"), group("south")}, "a b c d e g f"},
		{"a group above an earlier target", []*v1.Target{group("east"), group("north")}, "c d e a b g"},
		{"things before groups", []*v1.Target{group("east"), thing("d"), group("south"), thing("h")}, "d h c e a f"},
		{"an empty group", []*v1.Target{group("nobody")}, ""},
		{"what is gone since it was checked", []*v1.Target{thing("unknown"), group("unknown"), thing("a")}, "a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := village(t).group("nobody", "")
			f.start(1, test.targets...)
			f.Due()
			if got := strings.Join(f.selected(1), " "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			wantReason := v1.ReasonCode_REASON_CODE_UNSPECIFIED
			if test.want == "" {
				wantReason = v1.ReasonCode_REASON_CODE_NOTHING_SELECTED
			}
			if reason, n := f.finishedWith(1); reason != wantReason || n != uint64(len(f.selected(1))) {
				t.Errorf("finished with %s and %d things", reason, n)
			}
			if f.Next != core.Never {
				t.Errorf("after the last selection Due looks again at %d", f.Next)
			}
			wantNoTraces(t, f)
		})
	}
}

// wantNoTraces: without a running selection the state holds nothing of any, after so many small events as it has
// to forget by.
func wantNoTraces(t *testing.T, f *fixture) {
	t.Helper()
	for i := 0; loadRunning(f.State).echoes > 0; i++ {
		before := loadRunning(f.State).echoes
		f.things(fmt.Sprintf("spare-%d", i))
		if after := loadRunning(f.State).echoes; after+forgetPerEvent > before && after != 0 {
			t.Fatalf("an event forgot %d of %d echoes", before-after, before)
		}
	}
	for _, table := range []byte{tableDeleted, tableEcho, tableSelection, tableThingTarget, tableGroupTarget, tableTargetedThing, tableTargetedGroup} {
		for k := range f.State.Scan([]byte{table}, []byte{table + 1}) {
			t.Errorf("the state still holds %q", k)
		}
	}
	for k, v := range f.State.Scan([]byte{tableMember}, []byte{tableMember + 1}) {
		if s, ok := decodeStay(v); !ok || s.since == 0 || len(s.past) != 0 {
			t.Errorf("%q is %+v", k, s)
		}
	}
	for k, v := range f.State.Scan([]byte{tableGroups}, []byte{tableGroups + 1}) {
		list, ok := decodeMemberships(v)
		if !ok || len(list) == 0 || slices.ContainsFunc(list, func(m membership) bool { return m.since == 0 || len(m.past) != 0 }) {
			t.Errorf("%q is %+v", k, list)
		}
	}
}

func TestASelectionIsAsOfTheEndOfItsCommit(t *testing.T) {
	f := village(t)
	number := func(name string) uint64 { n, _, _ := findThing(f.State, id.Thing(name)); return n }
	ref := func(name string) *v1.ThingRef { return &v1.ThingRef{Name: name, Number: number(name)} }
	groupOf := func(name string) uint64 { n, _ := findGroup(f.State, id.Group(name)); return n }
	f.Given(
		&v1.Event{Event: &v1.Event_ThingJoined{ThingJoined: &v1.ThingJoined{Group: "west", Thing: ref("h")}}},
		&v1.Event{Event: &v1.Event_SelectionStarted{SelectionStarted: &v1.SelectionStarted{Job: 1, Targets: []*v1.Target{group("west"), group("south"), thing("b")}}}},
		&v1.Event{Event: &v1.Event_ThingJoined{ThingJoined: &v1.ThingJoined{Group: "west", Thing: ref("f")}}},
		&v1.Event{Event: &v1.Event_ThingLeft{ThingLeft: &v1.ThingLeft{Group: "west", GroupNumber: groupOf("west"), Thing: ref("g")}}},
		&v1.Event{Event: &v1.Event_ThingLeft{ThingLeft: &v1.ThingLeft{Group: "south", GroupNumber: groupOf("south"), Thing: ref("a")}}},
		&v1.Event{Event: &v1.Event_ThingJoined{ThingJoined: &v1.ThingJoined{Group: "south", Thing: ref("a")}}},
		&v1.Event{Event: &v1.Event_ThingDeleted{ThingDeleted: &v1.ThingDeleted{Thing: ref("b")}}},
	)
	if n := loadRunning(f.State).echoes; n != 0 {
		t.Errorf("%d echoes are kept for a selection that does not ask for them", n)
	}
	f.must(&v1.RemoveThings{Group: "west", Things: []string{"h"}})
	f.Due()
	if got := strings.Join(f.selected(1), " "); got != "f h a c" {
		t.Errorf("got %q", got)
	}
}

func TestNoSliceStandsInTheCommitThatStartsItsSelection(t *testing.T) {
	f := village(t)
	tx := kv.NewOverlay(f.State)
	call := func(entries int) *core.Step { return core.NewStep(f.Core, tx, id.TargetingLog, 100, entries, f.Now) }
	f.Core.React(call(0), id.JobLog.Position(1, 1), f.Now, &v1.Entry{Event: &v1.Event{Event: &v1.Event_JobStarted{
		JobStarted: &v1.JobStarted{Job: 1, Targets: []*v1.Target{group("north")}},
	}}})
	s := call(1)
	if next := f.Core.Due(s); next <= f.Now || next == core.Never || len(s.Entries()) != 0 {
		t.Errorf("Due wrote %s and looks again at %d; it is %d", coretest.Text(s.Entries()), next, f.Now)
	}
	s = core.NewStep(f.Core, tx, id.TargetingLog, 101, 0, f.Now)
	if f.Core.Due(s); len(s.Entries()) == 0 {
		t.Error("Due wrote nothing in the next commit")
	}
}

func TestASelectionDoesNotSeeWhatFollowsItsCommit(t *testing.T) {
	f := village(t)
	f.start(1, group("north"), thing("f"), thing("h"))
	f.must(&v1.RemoveThings{Group: "north", Things: []string{"a"}})
	f.must(&v1.AddThings{Group: "north", Things: []string{"h"}})
	f.must(&v1.DeleteThing{Name: "c"})
	f.must(&v1.DeleteThing{Name: "f"})
	f.things("f", "new")
	f.must(&v1.AddThings{Group: "north", Things: []string{"f"}})
	f.group("young", "east", "new")
	f.must(&v1.RemoveThings{Group: "deep", Things: []string{"e"}})
	f.must(&v1.AddThings{Group: "deep", Things: []string{"e"}})
	f.start(2, group("north"), thing("f"))
	f.Due()
	if got := strings.Join(f.selected(1), " "); got != "f h a b c d e g" {
		t.Errorf("the first selection got %q", got)
	}
	if got := strings.Join(f.selected(2), " "); got != "f b h d e new g" {
		t.Errorf("the second selection got %q", got)
	}
	for _, p := range f.History {
		for _, ref := range p.Entry.Event.GetThingsSelected().GetThings() {
			if old := commitOf(ref.Number) == 1; ref.Name == "f" && old != (p.Entry.Event.GetThingsSelected().Job == 1) {
				t.Errorf("job %d got thing f by number %d", p.Entry.Event.GetThingsSelected().Job, ref.Number)
			}
		}
	}
	wantNoTraces(t, f)
}

func TestSelectionsTakeTurns(t *testing.T) {
	f := newFixture(t)
	f.Core, f.Seldom = New(DefaultLimits()), true // a call has room for one full slice
	f.things(numbered(1000)...).group("g", "", numbered(1000)...)
	more := make([]string, 500)
	for i := range more {
		more[i] = fmt.Sprintf("other-thing-%05d", i)
	}
	f.things(more...)
	f.must(&v1.AddThings{Group: "g", Things: more})
	for job := range uint64(3) {
		f.start(job+1, group("g"))
	}
	var turns []uint64
	for _, e := range f.Due() {
		if selected := e.Event.GetThingsSelected(); selected != nil {
			turns = append(turns, selected.Job)
		}
	}
	if want := []uint64{1, 2, 3, 1, 2, 3}; !slices.Equal(turns, want) {
		t.Errorf("got %v, want %v", turns, want)
	}
}

func TestASliceEndsWhenItHasLookedEnough(t *testing.T) {
	f := newFixture(t).things(numbered(30)...)
	f.group("first", "", numbered(30)...).group("again", "", numbered(30)...)
	f.start(1, group("first"), group("again"))
	f.Due()
	if got := f.selected(1); !slices.Equal(got, numbered(30)) {
		t.Errorf("got %v", got)
	}
	empty := 0
	for _, e := range f.Fresh {
		if selected := e.Event.GetThingsSelected(); selected != nil && len(selected.Things) == 0 {
			empty++
		}
	}
	if empty < 3 {
		t.Errorf("30 rows without a thing to select made %d empty slices of 7 rows", empty)
	}
}

func TestACancelEndsARunningSelection(t *testing.T) {
	f := newFixture(t).things(numbered(9)...).group("g", "", numbered(9)...)
	f.start(1, group("g"))
	f.slice()
	f.cancel(1)
	if reason, n := f.finishedWith(1); reason != v1.ReasonCode_REASON_CODE_JOB_CANCELED || n != 3 {
		t.Errorf("finished with %s and %d things", reason, n)
	}
	f.cancel(1)
	if len(f.Fresh) != 0 {
		t.Errorf("a second cancel wrote %s", coretest.Text(f.Fresh))
	}
	f.Due()
	if got := len(f.selected(1)); got != 3 {
		t.Errorf("%d things were selected", got)
	}
	wantNoTraces(t, f)
}

func TestAStartReadAgainChangesNothing(t *testing.T) {
	f := village(t)
	f.start(1, group("north"))
	f.start(1, group("south"))
	if len(f.Fresh) != 0 {
		t.Errorf("wrote %s", coretest.Text(f.Fresh))
	}
	f.React(id.JobLog.Position(9, 0), &v1.Event{Event: &v1.Event_JobCompleted{JobCompleted: &v1.JobCompleted{Job: 1}}})
	if len(f.Fresh) != 0 {
		t.Errorf("wrote %s", coretest.Text(f.Fresh))
	}
}

func TestASliceIsBounded(t *testing.T) {
	f := newFixture(t)
	f.Core = New(DefaultLimits())
	long := func(i int) string { return strings.Repeat("x", 120) + fmt.Sprintf("%05d", i) }
	f.group("g", "")
	for from := 0; from < 2500; from += 250 {
		var list []string
		for i := range 250 {
			list = append(list, long(from+i))
		}
		f.things(list...)
		f.must(&v1.AddThings{Group: "g", Things: list})
	}
	f.start(1, group("g"))
	f.Due()
	if n := len(f.selected(1)); n != 2500 {
		t.Errorf("%d things were selected", n)
	}
	slices := 0
	for _, p := range f.History {
		if e := p.Entry.Event.GetThingsSelected(); e != nil {
			slices++
			if names := len(e.Things) * 125; names > 32<<10 {
				t.Errorf("a slice holds %d bytes of names", names)
			}
		}
	}
	if slices < 10 {
		t.Errorf("%d slices", slices)
	}
}

// model is the naive reading of log.targeting: sets, and whole copies of them.
type model struct {
	things  map[string]uint64            // by name
	members map[uint64]map[string]uint64 // by group: names and numbers
	groups  map[string]uint64
	parents map[uint64]uint64
}

func (m *model) apply(at core.Place, e *v1.Event) {
	switch e := e.Event.(type) {
	case *v1.Event_ThingCreated:
		m.things[e.ThingCreated.Thing.Name] = e.ThingCreated.Thing.Number
	case *v1.Event_ThingDeleted:
		delete(m.things, e.ThingDeleted.Thing.Name)
	case *v1.Event_GroupCreated:
		m.groups[e.GroupCreated.Group] = e.GroupCreated.Number
		m.parents[e.GroupCreated.Number] = m.groups[e.GroupCreated.Parent]
		m.members[e.GroupCreated.Number] = make(map[string]uint64)
	case *v1.Event_ThingJoined:
		m.members[m.groups[e.ThingJoined.Group]][e.ThingJoined.Thing.Name] = e.ThingJoined.Thing.Number
	case *v1.Event_ThingLeft:
		delete(m.members[m.groups[e.ThingLeft.Group]], e.ThingLeft.Thing.Name)
	}
}

// selects lists what targets hold now, in the order in which a selection takes it.
func (m *model) selects(targets []*v1.Target) (list []string) {
	seen := make(map[string]bool)
	take := func(name string, number uint64) {
		if !seen[name] {
			list = append(list, fmt.Sprintf("%s#%d", name, number))
		}
		seen[name] = true
	}
	for _, target := range targets {
		if number, ok := m.things[target.GetThing()]; ok {
			take(target.GetThing(), number)
		}
	}
	var visit func(group uint64)
	visit = func(group uint64) {
		var names []string
		for name := range m.members[group] {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			take(name, m.members[group][name])
		}
		var children []uint64
		for child, parent := range m.parents {
			if parent == group {
				children = append(children, child)
			}
		}
		slices.Sort(children)
		for _, child := range children {
			visit(child)
		}
	}
	for _, target := range targets {
		if group, ok := m.groups[target.GetGroup()]; ok {
			visit(group)
		}
	}
	return list
}

// TestSelectionsAgreeWithANaiveModel interleaves slices of several selections with joins, leaves, deletions, new
// things and new groups, and holds each selection against what the sets were when it started.
func TestSelectionsAgreeWithANaiveModel(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { story(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func story(t *testing.T, r *rand.Rand) {
	f := newFixture(t)
	m := &model{things: map[string]uint64{}, members: map[uint64]map[string]uint64{}, groups: map[string]uint64{}, parents: map[uint64]uint64{}}
	thingName := func() string { return fmt.Sprintf("t%d", r.IntN(25)) }
	groupName := func() string { return fmt.Sprintf("g%d", r.IntN(9)) }
	list := func() (names []string) {
		for range 1 + r.IntN(8) {
			names = append(names, thingName())
		}
		return names
	}
	want := make(map[uint64][]string)
	canceled := make(map[uint64]bool)
	folded := 0
	for range 160 {
		switch r.IntN(10) {
		case 0, 1:
			names := list()
			slices.Sort(names)
			_, _ = f.Decide(things(slices.Compact(names)...))
		case 2:
			_, _ = f.Decide(&v1.DeleteThing{Name: thingName()})
		case 3:
			cmd := &v1.CreateGroup{Group: groupName()}
			if r.IntN(3) > 0 {
				cmd.Parent = groupName()
			}
			_, _ = f.Decide(cmd)
		case 4, 5:
			group := groupName()
			for _, name := range list() { // one at a time: one refusal does not refuse all
				_, _ = f.Decide(&v1.AddThings{Group: group, Things: []string{name}})
				fold(f, m, &folded)
			}
		case 6:
			_, _ = f.Decide(&v1.RemoveThings{Group: groupName(), Things: list()})
		case 7:
			if len(want) < 8 {
				var targets []*v1.Target
				for range 1 + r.IntN(4) {
					if r.IntN(4) == 0 {
						targets = append(targets, thing(thingName()))
					} else {
						targets = append(targets, group(groupName()))
					}
				}
				job := uint64(len(want) + 1)
				want[job] = m.selects(targets)
				f.start(job, targets...)
			}
		case 8:
			f.slice()
		case 9:
			if job := uint64(r.IntN(40)); job > 0 && job <= uint64(len(want)) {
				f.cancel(job)
				canceled[job] = canceled[job] || len(f.Fresh) > 0
			}
		}
		fold(f, m, &folded)
	}
	f.Due()
	for job := uint64(1); job <= uint64(len(want)); job++ {
		got := numbers(f, job)
		if _, n := f.finishedWith(job); n != uint64(len(got)) {
			t.Errorf("job %d: %d things were selected, and it finished with %d", job, len(got), n)
		}
		if canceled[job] {
			if len(got) > len(want[job]) || !slices.Equal(got, want[job][:len(got)]) {
				t.Errorf("canceled job %d: got %v\nwant a beginning of %v", job, got, want[job])
			}
		} else if !slices.Equal(got, want[job]) {
			t.Errorf("job %d: got %v\nwant %v", job, got, want[job])
		}
	}
	wantNoTraces(t, f)
}

// fold brings the model up to the log.
func fold(f *fixture, m *model, folded *int) {
	for ; *folded < len(f.History); *folded++ {
		m.apply(f.History[*folded].Place, f.History[*folded].Entry.Event)
	}
}

func numbers(f *fixture, job uint64) (list []string) {
	for _, p := range f.History {
		if e := p.Entry.Event.GetThingsSelected(); e.GetJob() == job {
			for _, ref := range e.Things {
				list = append(list, fmt.Sprintf("%s#%d", ref.Name, ref.Number))
			}
		}
	}
	return list
}
