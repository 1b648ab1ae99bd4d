package targeting

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core/coretest"
)

// follow starts a continuous job.
func (f *fixture) follow(job uint64, targets ...*v1.Target) {
	f.React(id.JobLog.Position(job, 1), &v1.Event{Event: &v1.Event_JobStarted{JobStarted: &v1.JobStarted{
		Job: job, Targets: targets, TargetSelection: v1.TargetSelection_TARGET_SELECTION_CONTINUOUS,
	}}})
}

func (f *fixture) associate(job uint64, targets ...*v1.Target) {
	f.React(id.JobLog.Position(job, 2), &v1.Event{Event: &v1.Event_TargetsAssociated{TargetsAssociated: &v1.TargetsAssociated{Job: job, Targets: targets}}})
}

// told is what a job was told since the history had a length: =a selected, +a@1 joined through the target at 1, -a left
// all targets, -a! so by a group's deletion.
func (f *fixture) told(job uint64, since int) string {
	f.t.Helper()
	var list []string
	for _, p := range f.History[since:] {
		selected, deselected := p.Entry.Event.GetThingsSelected(), p.Entry.Event.GetThingsDeselected()
		reason := p.Entry.GetReason()
		for _, thing := range selected.GetThings() {
			switch {
			case selected.Job != job:
			case !selected.Joined:
				list = append(list, "="+thing.Name)
			case reason.GetCode() != v1.ReasonCode_REASON_CODE_JOINED || len(reason.Numbers) != 1:
				f.t.Errorf("%s joined for %v", thing.Name, reason)
			default:
				list = append(list, fmt.Sprintf("+%s@%d", thing.Name, reason.Numbers[0]))
			}
		}
		for _, thing := range deselected.GetThings() {
			switch {
			case deselected.Job != job:
			case reason.GetCode() == v1.ReasonCode_REASON_CODE_GROUP_DELETED:
				list = append(list, "-"+thing.Name+"!")
			case reason.GetCode() == v1.ReasonCode_REASON_CODE_LEFT_TARGETS:
				list = append(list, "-"+thing.Name)
			default:
				f.t.Errorf("%s left for %v", thing.Name, reason)
			}
		}
	}
	return strings.Join(list, " ")
}

func add(group string, names ...string) proto.Message {
	return &v1.AddThings{Group: group, Things: names}
}
func remove(group string, names ...string) proto.Message {
	return &v1.RemoveThings{Group: group, Things: names}
}
func move(name, from, to string) proto.Message {
	return &v1.ChangeGroupsOfThing{Thing: name, Remove: []string{from}, Add: []string{to}}
}

// Each story is told twice: matched commit by commit, and all of it afterwards. later is what differs then.
func TestAContinuousJobIsToldOfEachThingOnce(t *testing.T) {
	const nothing = "nothing"
	drop := func(group string) proto.Message { return &v1.DeleteGroup{Group: group} }
	kill := func(thing string) proto.Message { return &v1.DeleteThing{Name: thing} }
	tests := []struct {
		name    string
		targets []*v1.Target
		when    []proto.Message
		then    string
		later   string
	}{
		{"a thing joins", []*v1.Target{group("south")}, []proto.Message{add("south", "h")}, "+h@0", ""},
		{"a thing joins a group below the second target", []*v1.Target{group("south"), group("north")}, []proto.Message{add("deep", "h")}, "+h@1", ""},
		{"things join through two targets", []*v1.Target{thing("x"), group("south"), group("east")}, []proto.Message{add("south", "g", "h"), add("deep", "f")}, "+g@1 +h@1", ""},
		{"a thing joins two targets at once", []*v1.Target{group("south"), group("north")}, []proto.Message{&v1.ChangeGroupsOfThing{Thing: "h", Add: []string{"south", "deep"}}}, "+h@0", ""},
		{"a thing joins them in the other order", []*v1.Target{group("south"), group("north")}, []proto.Message{&v1.ChangeGroupsOfThing{Thing: "h", Add: []string{"deep", "south"}}}, "+h@0", ""},
		{"a thing joins a new group below", []*v1.Target{group("north")}, []proto.Message{&v1.CreateGroup{Group: "young", Parent: "deep"}, add("young", "h")}, "+h@0", ""},
		{"a thing joins a group that is no target", []*v1.Target{group("east")}, []proto.Message{add("west", "h"), add("south", "g"), remove("north", "b")}, "", ""},
		{"a thing joins and leaves", []*v1.Target{group("south")}, []proto.Message{add("south", "h"), remove("south", "h")}, "+h@0 -h", ""},
		{"a thing joins two targets and leaves both", []*v1.Target{group("south"), group("north")}, []proto.Message{add("deep", "h"), add("south", "h"), remove("deep", "h"), remove("south", "h")}, "+h@1 -h", ""},
		{"a selected thing leaves one of two", []*v1.Target{group("south"), group("north")}, []proto.Message{remove("south", "a")}, "", ""},
		{"and the other", []*v1.Target{group("south"), group("north")}, []proto.Message{remove("south", "a"), remove("north", "a")}, "-a", ""},
		{"and comes back", []*v1.Target{group("north")}, []proto.Message{remove("north", "a"), add("west", "a")}, "-a +a@0", ""},
		{"a thing moves from target to target in one commit", []*v1.Target{group("east"), group("west")}, []proto.Message{move("c", "east", "west")}, "", ""},
		{"a thing moves out", []*v1.Target{group("east")}, []proto.Message{move("c", "east", "west")}, "-c", ""},
		{"a thing moves in", []*v1.Target{group("west")}, []proto.Message{move("c", "east", "west")}, "+c@0", ""},
		{"a thing that is a target too leaves its group", []*v1.Target{group("east"), thing("c")}, []proto.Message{remove("east", "c")}, "", ""},
		{"a deleted thing leaves by that alone", []*v1.Target{group("south"), thing("f")}, []proto.Message{kill("f")}, "", ""},
		{"a thing joins and is deleted", []*v1.Target{group("south")}, []proto.Message{add("south", "h"), kill("h")}, "+h@0", nothing},
		{"a named thing is created anew", []*v1.Target{group("south"), thing("h")}, []proto.Message{kill("h"), things("h")}, "+h@1", ""},
		{"a named thing comes to be", []*v1.Target{thing("young")}, []proto.Message{things("young"), add("south", "young")}, "+young@0", ""},
		{"a member is created anew, and is none", []*v1.Target{group("south")}, []proto.Message{kill("f"), things("f")}, "", ""},
		{"until it joins", []*v1.Target{group("south")}, []proto.Message{kill("f"), things("f"), add("south", "f")}, "+f@0", ""},
		{"a target is deleted", []*v1.Target{group("deep")}, []proto.Message{drop("deep")}, "-e!", ""},
		{"a group below a target is deleted", []*v1.Target{group("north")}, []proto.Message{drop("west")}, "-g!", ""},
		{"a target is deleted that shares things with another", []*v1.Target{group("south"), group("north")}, []proto.Message{drop("south")}, "-f!", ""},
		{"a target is deleted and created anew", []*v1.Target{thing("x"), group("deep")}, []proto.Message{drop("deep"), &v1.CreateGroup{Group: "deep"}, add("deep", "e", "h")}, "-e! +e@1 +h@1", ""},
		{"a target comes to be", []*v1.Target{group("young")}, []proto.Message{&v1.CreateGroup{Group: "young"}, add("young", "h")}, "+h@0", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, later := range []bool{false, true} {
				f := village(t)
				f.follow(1, test.targets...)
				f.start(2, test.targets...) // a snapshot job is told nothing more
				f.Due()
				since := len(f.History)
				for _, cmd := range test.when {
					f.must(cmd)
					if !later {
						f.Due()
					}
				}
				f.Due()
				want := test.then
				if later && test.later == nothing {
					want = ""
				}
				if got := f.told(1, since); got != want {
					t.Errorf("later %v: got %q, want %q", later, got, want)
				}
				if got := f.told(2, since); got != "" {
					t.Errorf("later %v: the snapshot job was told %q", later, got)
				}
			}
		})
	}
}

func TestEachOfManyContinuousJobsIsTold(t *testing.T) {
	f := village(t)
	for job := range uint64(5) { // more than are looked at together
		f.follow(job+1, group([]string{"north", "south"}[job%2]))
	}
	f.Due()
	since := len(f.History)
	f.must(add("deep", "h"))
	f.must(remove("south", "a"))
	f.Due()
	for job := range uint64(5) {
		if got, want := f.told(job+1, since), []string{"+h@0", "-a"}[job%2]; got != want {
			t.Errorf("job %d: got %q, want %q", job+1, got, want)
		}
	}
}

func TestWhatHappensDuringTheFirstSelectionIsToldBehindIt(t *testing.T) {
	f := village(t)
	f.follow(1, group("north"))
	f.slice()
	f.must(remove("west", "g"))
	f.must(add("west", "h"))
	f.must(remove("north", "a"))
	f.Due()
	if got, want := f.told(1, 0), "=a =b =c =d =e =g -g +h@0 -a"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAssociatedTargets(t *testing.T) {
	f := village(t)
	f.follow(1, group("south"), thing("d"))
	f.start(2, group("south"))
	f.Due()
	since := len(f.History)
	f.associate(1, group("north"), thing("h"))
	if e := f.Fresh[0]; len(f.Fresh) != 1 || e.Event.GetSelectionStarted() == nil || e.Reason.GetCode() != v1.ReasonCode_REASON_CODE_TARGETS_ASSOCIATED {
		t.Errorf("got %s", coretest.Text(f.Fresh))
	}
	f.Due()
	if got, want := f.told(1, since), "=h =b =e =g"; got != want {
		t.Errorf("selected %q, want %q: what it has is not selected again", got, want)
	}
	since = len(f.History)
	f.must(remove("south", "a", "f")) // a is in north
	f.must(move("d", "east", "west"))
	f.must(add("west", "f"))
	f.must(&v1.DeleteThing{Name: "h"})
	f.must(things("h"))
	f.Due()
	if got, want := f.told(1, since), "-f +f@2 +h@3"; got != want {
		t.Errorf("then %q, want %q", got, want)
	}
	f.associate(2, group("north"))
	f.associate(3, group("north"))
	if len(f.Fresh) != 0 {
		t.Errorf("a job that is not followed got targets: %s", coretest.Text(f.Fresh))
	}
}

func TestNothingFollowsTheEndOfAContinuousJob(t *testing.T) {
	tests := []struct {
		name string
		end  *v1.Event
		code v1.ReasonCode
	}{
		{"cancel", &v1.Event{Event: &v1.Event_JobCancelStarted{JobCancelStarted: &v1.JobCancelStarted{Job: 1}}}, v1.ReasonCode_REASON_CODE_JOB_CANCELED},
		{"end time", &v1.Event{Event: &v1.Event_JobEndReached{JobEndReached: &v1.JobEndReached{Job: 1}}}, v1.ReasonCode_REASON_CODE_END_TIME},
		{"deletion", &v1.Event{Event: &v1.Event_JobDeletionStarted{JobDeletionStarted: &v1.JobDeletionStarted{Job: 1}}}, v1.ReasonCode_REASON_CODE_JOB_DELETED},
		{"completion", &v1.Event{Event: &v1.Event_JobCompleted{JobCompleted: &v1.JobCompleted{Job: 1}}}, v1.ReasonCode_REASON_CODE_UNSPECIFIED},
	}
	for _, test := range tests {
		for _, selecting := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, selecting %v", test.name, selecting), func(t *testing.T) {
				f := village(t)
				f.follow(1, group("south"), thing("h"))
				want := []string{"SelectionClosed"}
				if selecting {
					f.slice()
					f.associate(1, group("north"))
					want = []string{"SelectionFinished", "SelectionFinished", "SelectionClosed"}
				} else {
					f.Due()
				}
				f.must(remove("south", "f")) // waits to be matched
				f.React(id.JobLog.Position(9, 0), test.end)
				var got []string
				for _, e := range f.Fresh {
					got = append(got, e.Event.Type())
					if e.Reason.GetCode() != test.code {
						t.Errorf("%s for %v", e.Event.Type(), e.Reason)
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
				since := len(f.History)
				f.Due()
				f.must(add("south", "g"))
				f.must(&v1.DeleteThing{Name: "h"})
				f.must(things("h"))
				f.must(&v1.DeleteGroup{Group: "south"})
				f.associate(1, group("west"))
				f.React(id.JobLog.Position(9, 1), test.end)
				f.Due()
				if got := f.told(1, since); got != "" {
					t.Errorf("then it was told %q", got)
				}
				wantNoTraces(t, f)
				for _, table := range []byte{tableFollow, tableFollowedThing, tableFollowedGroup, tableChange, tableMatched, tableDoomed} {
					if holds(f.State, []byte{table}) {
						t.Errorf("rows of table %c are left", table)
					}
				}
			})
		}
	}
}
