package progress

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

const (
	queued     = v1.ExecutionStatus_EXECUTION_STATUS_QUEUED
	inProgress = v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS
	succeeded  = v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED
	failed     = v1.ExecutionStatus_EXECUTION_STATUS_FAILED
)

func TestCountsAreTheSumOfAllHomes(t *testing.T) {
	m := kv.NewOverlay(kv.NewMemory())
	Apply(m, id.ExecutionLog(0), tallies(2000, &v1.Tally{Job: 7, Attempts: counts(queued, 3), Open: 3}))
	Apply(m, id.ExecutionLog(1), tallies(1000, &v1.Tally{Job: 7, Attempts: counts(queued, 2), Open: 2, Refused: 1}, &v1.Tally{Job: 8, Attempts: counts(queued, 1), Open: 1}))
	Apply(m, id.ExecutionLog(0), tallies(3000, &v1.Tally{Job: 7, Attempts: counts(queued, -2, inProgress, 2)}))
	Apply(m, id.ExecutionLog(0), tallies(4000, &v1.Tally{Job: 7, Attempts: counts(inProgress, -2, succeeded, 1), Open: -2, Good: 1, Harmed: 1, Void: 0}))
	want := &v1.JobCounts{
		Attempts: counts(queued, 3, succeeded, 1), Open: 3, Good: 1, Harmed: 1, Refused: 1,
		FirstChangeMs: 1000, LastChangeMs: 4000,
	}
	if got := Counts(m, 7); !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestTheFirstChangeOfAHomeIsItsFirst(t *testing.T) {
	m := kv.NewOverlay(kv.NewMemory())
	Apply(m, id.ExecutionLog(0), tallies(1000, &v1.Tally{Job: 7, Attempts: counts(queued, 1)}))
	Apply(m, id.ExecutionLog(0), tallies(2000, &v1.Tally{Job: 7, Attempts: counts(queued, 1)}))
	if got := Counts(m, 7); got.FirstChangeMs != 1000 || got.LastChangeMs != 2000 {
		t.Errorf("got %v", got)
	}
}

func TestASettledPhaseAloneIsNoChangeOfAnExecution(t *testing.T) {
	m := kv.NewOverlay(kv.NewMemory())
	Apply(m, id.ExecutionLog(0), tallies(2000, &v1.Tally{Job: 7, Settled: v1.JobPhase_JOB_PHASE_CLOSED}))
	if got := Counts(m, 7); got.FirstChangeMs != 0 || got.LastChangeMs != 0 {
		t.Errorf("got %v", got)
	}
}

func TestSelectionAndRolloutAreCountedFromTheirLogs(t *testing.T) {
	m := kv.NewOverlay(kv.NewMemory())
	things := []*v1.ThingRef{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}}
	Apply(m, id.TargetingLog, entries(
		&v1.Event{Event: &v1.Event_ThingsSelected{ThingsSelected: &v1.ThingsSelected{Job: 7, Things: things}}},
		&v1.Event{Event: &v1.Event_ThingsSelected{ThingsSelected: &v1.ThingsSelected{Job: 7, Things: things[:1]}}},
	))
	if got := Counts(m, 7); got.Selected != 5 || got.SelectionFinished {
		t.Errorf("while it selects: %v", got)
	}
	Apply(m, id.TargetingLog, entries(&v1.Event{Event: &v1.Event_SelectionFinished{SelectionFinished: &v1.SelectionFinished{Job: 7, Things: 5}}}))
	Apply(m, id.RolloutLog, entries(
		&v1.Event{Event: &v1.Event_ThingsWaiting{ThingsWaiting: &v1.ThingsWaiting{Job: 7, Things: things}}},
		&v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{Job: 7, Things: things[:1]}}},
		&v1.Event{Event: &v1.Event_ThingsDropped{ThingsDropped: &v1.ThingsDropped{Job: 7, Things: 2}}},
	))
	want := &v1.JobCounts{Selected: 5, SelectionFinished: true, Waiting: 1, Released: 1, Dropped: 2}
	if got := Counts(m, 7); !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// Shows: joined things count among those that waited, what was deleted counts as deleted, and another selection is one
// that has not finished.
func TestWhatJoinsLaterAndWhatIsDeletedCounts(t *testing.T) {
	m := kv.NewOverlay(kv.NewMemory())
	things := []*v1.ThingRef{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	Apply(m, id.TargetingLog, entries(
		&v1.Event{Event: &v1.Event_SelectionStarted{SelectionStarted: &v1.SelectionStarted{Job: 7}}},
		&v1.Event{Event: &v1.Event_ThingsSelected{ThingsSelected: &v1.ThingsSelected{Job: 7, Things: things}}},
		&v1.Event{Event: &v1.Event_SelectionFinished{SelectionFinished: &v1.SelectionFinished{Job: 7, Things: 3}}},
		&v1.Event{Event: &v1.Event_ThingsSelected{ThingsSelected: &v1.ThingsSelected{Job: 7, Things: things[:2], Joined: true}}},
	))
	Apply(m, id.RolloutLog, entries(
		&v1.Event{Event: &v1.Event_ThingsWaiting{ThingsWaiting: &v1.ThingsWaiting{Job: 7, Things: things}}},
		&v1.Event{Event: &v1.Event_ThingsJoined{ThingsJoined: &v1.ThingsJoined{Job: 7, Things: things[:2]}}},
		&v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{Job: 7, Things: things[:2], Joined: true}}},
		&v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{Job: 7, Things: things[:1]}}},
		&v1.Event{Event: &v1.Event_ThingsDropped{ThingsDropped: &v1.ThingsDropped{Job: 7, Things: 1}}},
	))
	// Of three released things one has retried and succeeded, one joined again after that, one was deleted while a retry
	// of it was due.
	Apply(m, id.ExecutionLog(0), tallies(1000, &v1.Tally{Job: 7, Attempts: counts(queued, 1, succeeded, 1, failed, 1), Open: 1, Good: 1, Deleted: 1}))
	want := &v1.JobCounts{
		Attempts: counts(queued, 1, succeeded, 1, failed, 1), Open: 1, Good: 1, Deleted: 1,
		Selected: 5, SelectionFinished: true, Waiting: 1, Released: 3, Dropped: 1, Joined: 2, FirstChangeMs: 1000, LastChangeMs: 1000,
	}
	got := Counts(m, 7)
	if !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if ended := got.Good + got.Harmed + got.Void + int64(got.Refused) + int64(got.Deleted); uint64(ended+got.Open) != got.Released {
		t.Errorf("%d open and %d ended of %d released", got.Open, ended, got.Released)
	}

	Apply(m, id.TargetingLog, entries(&v1.Event{Event: &v1.Event_SelectionStarted{SelectionStarted: &v1.SelectionStarted{Job: 7}}}))
	if got := Counts(m, 7); got.SelectionFinished || got.Selected != 5 {
		t.Errorf("while another target is selected: %v", got)
	}
}

func TestADeletedJobKeepsOnlyWhatItSelected(t *testing.T) {
	m := kv.NewOverlay(kv.NewMemory())
	Apply(m, id.ExecutionLog(0), tallies(1000, &v1.Tally{Job: 7, Attempts: counts(queued, 3), Open: 3}))
	Apply(m, id.RolloutLog, entries(&v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{Job: 7, Things: []*v1.ThingRef{{Name: "a"}}}}}))
	Apply(m, id.ExecutionLog(0), tallies(2000, &v1.Tally{Job: 7, Attempts: counts(queued, -3), Open: -3, Deleted: 3, Settled: v1.JobPhase_JOB_PHASE_DELETED}))
	Apply(m, id.RolloutLog, entries(&v1.Event{Event: &v1.Event_JobDrained{JobDrained: &v1.JobDrained{Job: 7, Phase: v1.JobPhase_JOB_PHASE_DELETED}}}))
	if got := Counts(m, 7); !proto.Equal(got, &v1.JobCounts{}) {
		t.Errorf("got %v", got)
	}
	for k := range m.Scan(nil, nil) {
		t.Errorf("left behind: %q", k)
	}
}

func TestAJobThatIsNotKnownHasNoCounts(t *testing.T) {
	if got := Counts(kv.NewMemory(), 7); !proto.Equal(got, &v1.JobCounts{}) {
		t.Errorf("got %v", got)
	}
}

// A row is read as it was written, or it is a damaged store.
func FuzzSums(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte(homeSum{first: 5, last: 6}.row()))
	f.Add([]byte(rolloutSum{came: 5, joined: 4, released: 6}.row()))
	f.Fuzz(func(t *testing.T, value []byte) {
		attempt := func(parse func() kv.Row, again func(kv.Row) kv.Row) {
			defer func() {
				if p := recover(); p != nil {
					if _, ok := p.(*kv.Failure); !ok {
						panic(p)
					}
				}
			}()
			row := parse()
			if got := again(row); string(got) != string(row) {
				t.Fatalf("%x became %x", row, got)
			}
		}
		attempt(func() kv.Row { return parseHome(value).row() }, func(r kv.Row) kv.Row { return parseHome(r).row() })
		attempt(func() kv.Row { return parseSelection(value).row() }, func(r kv.Row) kv.Row { return parseSelection(r).row() })
		attempt(func() kv.Row { return parseRollout(value).row() }, func(r kv.Row) kv.Row { return parseRollout(r).row() })
	})
}

func tallies(at int64, t ...*v1.Tally) *v1.Commit { return &v1.Commit{AtMs: at, Tallies: t} }

func entries(events ...*v1.Event) *v1.Commit {
	c := &v1.Commit{}
	for _, e := range events {
		c.Entries = append(c.Entries, &v1.Entry{Event: e})
	}
	return c
}

// counts makes counts of pairs of status and number.
func counts(pairs ...any) (list []*v1.StatusCount) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, &v1.StatusCount{Status: pairs[i].(v1.ExecutionStatus), Count: int64(pairs[i+1].(int))})
	}
	return list
}
