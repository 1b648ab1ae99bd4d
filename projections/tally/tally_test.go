package tally

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

const (
	queued     = v1.ExecutionStatus_EXECUTION_STATUS_QUEUED
	inProgress = v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS
	succeeded  = v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED
	failed     = v1.ExecutionStatus_EXECUTION_STATUS_FAILED
	rejected   = v1.ExecutionStatus_EXECUTION_STATUS_REJECTED
	timedOut   = v1.ExecutionStatus_EXECUTION_STATUS_TIMED_OUT
	canceled   = v1.ExecutionStatus_EXECUTION_STATUS_CANCELED
	removed    = v1.ExecutionStatus_EXECUTION_STATUS_REMOVED
)

func entryQueued(job uint64, retry uint32) *v1.Entry {
	return &v1.Entry{Event: &v1.Event{Event: &v1.Event_ExecutionQueued{ExecutionQueued: &v1.ExecutionQueued{Job: job, RetryAttempt: retry}}}}
}

func entryChanged(job uint64, from, to v1.ExecutionStatus, startedAt int64) *v1.Entry {
	return &v1.Entry{Event: &v1.Event{Event: &v1.Event_ExecutionChanged{ExecutionChanged: &v1.ExecutionChanged{Job: job, From: from, To: to, StartedAtMs: startedAt}}}}
}

func entryRefused(job uint64) *v1.Entry {
	return &v1.Entry{Event: &v1.Event{Event: &v1.Event_ReleaseRefused{ReleaseRefused: &v1.ReleaseRefused{Job: job}}}}
}

func entrySettled(job uint64, phase v1.JobPhase) *v1.Entry {
	return &v1.Entry{Event: &v1.Event{Event: &v1.Event_HomeSettled{HomeSettled: &v1.HomeSettled{Job: job, Phase: phase}}}}
}

func TestEachTransitionCountsTheThingAsItsPackageSays(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to v1.ExecutionStatus
		started  int64
		want     Counts // of the thing
	}{
		{"started", queued, inProgress, 5, Counts{}},
		{"succeeded", inProgress, succeeded, 5, Counts{Open: -1, Good: 1}},
		{"succeeded from queued", queued, succeeded, 0, Counts{Open: -1, Good: 1}},
		{"failed", inProgress, failed, 5, Counts{Open: -1, Harmed: 1}},
		{"failed from queued has run", queued, failed, 0, Counts{Open: -1, Harmed: 1}},
		{"rejected from queued", queued, rejected, 0, Counts{Open: -1, Void: 1}},
		{"rejected after it started", inProgress, rejected, 5, Counts{Open: -1, Harmed: 1}},
		{"canceled from queued", queued, canceled, 0, Counts{Open: -1, Void: 1}},
		{"canceled by force", inProgress, canceled, 5, Counts{Open: -1, Harmed: 1}},
		{"removed from queued", queued, removed, 0, Counts{Open: -1, Void: 1}},
		{"removed after it started", inProgress, removed, 5, Counts{Open: -1, Harmed: 1}},
		{"timed out", inProgress, timedOut, 5, Counts{Open: -1, Harmed: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.Attempts[c.from]--
			c.want.Attempts[c.to]++
			var got Counts
			for _, tally := range Of([]*v1.Entry{entryChanged(7, c.from, c.to, c.started)}) {
				got.Add(tally)
			}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestJobsStandInOrderAndWhatChangesNothingIsLeftOut(t *testing.T) {
	got := Of([]*v1.Entry{
		entryQueued(9, 0), entryRefused(3), entryChanged(4, inProgress, inProgress, 5),
		entrySettled(1, v1.JobPhase_JOB_PHASE_STOPPED), entryQueued(9, 0),
		entrySettled(2, v1.JobPhase_JOB_PHASE_STOPPED), entrySettled(2, v1.JobPhase_JOB_PHASE_CLOSED), entrySettled(2, v1.JobPhase_JOB_PHASE_DELETED),
	})
	want := []*v1.Tally{
		{Job: 1, Settled: v1.JobPhase_JOB_PHASE_STOPPED},
		{
			Job: 2, Settled: v1.JobPhase_JOB_PHASE_DELETED,
			SettledBefore: []v1.JobPhase{v1.JobPhase_JOB_PHASE_STOPPED, v1.JobPhase_JOB_PHASE_CLOSED},
		},
		{Job: 3, Refused: 1},
		{Job: 9, Attempts: []*v1.StatusCount{{Status: queued, Count: 2}}, Open: 2},
	}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if !proto.Equal(got[i], want[i]) {
			t.Errorf("tally %d: got %v, want %v", i, got[i], want[i])
		}
	}
}

// Between an attempt and its retry the thing stays open, however long the retry is due; dropped, it counts as its last
// attempt ended. What is deleted counts for nothing.
func TestARetryThatIsDueKeepsItsThingOpen(t *testing.T) {
	due := entryChanged(1, inProgress, failed, 5)
	due.Event.GetExecutionChanged().RetryDue = true
	dropped := &v1.Entry{Event: &v1.Event{Event: &v1.Event_RetryDropped{RetryDropped: &v1.RetryDropped{Job: 1, Status: failed, StartedAtMs: 5}}}}
	gone := func(d *v1.ExecutionDeleted) *v1.Entry {
		d.Job = 1
		return &v1.Entry{Event: &v1.Event{Event: &v1.Event_ExecutionDeleted{ExecutionDeleted: d}}}
	}
	first := []*v1.Entry{entryQueued(1, 0), entryChanged(1, queued, inProgress, 5), due}
	for name, c := range map[string]struct {
		then              []*v1.Entry
		open, harmed      int64
		failures, waiting int64
	}{
		"due":                        {nil, 1, 0, 1, 0},
		"made":                       {[]*v1.Entry{entryQueued(1, 1)}, 1, 0, 1, 1},
		"dropped":                    {[]*v1.Entry{dropped}, 0, 1, 1, 0},
		"dropped and deleted":        {[]*v1.Entry{dropped, gone(&v1.ExecutionDeleted{Status: failed, StartedAtMs: 5, Last: true})}, 0, 0, 0, 0},
		"deleted while due":          {[]*v1.Entry{gone(&v1.ExecutionDeleted{Status: failed, StartedAtMs: 5, Last: true, RetryDue: true})}, 0, 0, 0, 0},
		"made, the first is deleted": {[]*v1.Entry{entryQueued(1, 1), gone(&v1.ExecutionDeleted{Status: failed, StartedAtMs: 5})}, 1, 0, 0, 1},
		"made, both are deleted": {[]*v1.Entry{entryQueued(1, 1), gone(&v1.ExecutionDeleted{Status: failed, StartedAtMs: 5}),
			gone(&v1.ExecutionDeleted{Status: queued, Last: true})}, 0, 0, 0, 0},
	} {
		var got Counts
		for _, tally := range Of(append(append([]*v1.Entry(nil), first...), c.then...)) {
			got.Add(tally)
		}
		if got.Open != c.open || got.Harmed != c.harmed || got.Attempts[failed] != c.failures || got.Attempts[queued] != c.waiting {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestMergingInAnyGroupingEqualsTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := rapid.SliceOf(rapid.Custom(drawEntry)).Draw(t, "entries")
		whole := map[uint64]Counts{}
		settled := map[uint64]map[v1.JobPhase]bool{}
		for _, e := range entries {
			add(whole, Of([]*v1.Entry{e}))
			if s := e.GetEvent().GetHomeSettled(); s != nil {
				if settled[s.Job] == nil {
					settled[s.Job] = map[v1.JobPhase]bool{}
				}
				settled[s.Job][s.Phase] = true
			}
		}

		var merged []*v1.ObservedTally
		byCommit := map[uint64]Counts{}
		for rest := entries; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "commit")
			tallies := Of(rest[:n])
			add(byCommit, tallies)
			merged = Merge(merged, Observed(tallies))
			rest = rest[n:]
		}
		for i, o := range merged {
			if i > 0 && merged[i-1].Job >= o.Job {
				t.Fatalf("job %d stands behind %d", o.Job, merged[i-1].Job)
			}
			var c Counts
			c.AddObserved(o)
			if c != whole[o.Job] || c != byCommit[o.Job] {
				t.Fatalf("job %d: merged %+v, by commit %+v, whole %+v", o.Job, c, byCommit[o.Job], whole[o.Job])
			}
			for _, p := range o.Settled {
				if !settled[o.Job][p] {
					t.Fatalf("job %d: phase %v was never settled", o.Job, p)
				}
			}
			if len(o.Settled) != len(settled[o.Job]) {
				t.Fatalf("job %d: %v is told, %v was settled", o.Job, o.Settled, settled[o.Job])
			}
		}
		for job, c := range whole {
			if c != byCommit[job] {
				t.Fatalf("job %d: by commit %+v, whole %+v", job, byCommit[job], c)
			}
		}
	})
}

func add(to map[uint64]Counts, tallies []*v1.Tally) {
	for _, tally := range tallies {
		c := to[tally.Job]
		c.Add(tally)
		to[tally.Job] = c
	}
}

func drawEntry(t *rapid.T) *v1.Entry {
	job := rapid.Uint64Range(1, 4).Draw(t, "job")
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		return entryQueued(job, rapid.Uint32Range(0, 1).Draw(t, "retry"))
	case 1:
		return entryRefused(job)
	case 2:
		return entrySettled(job, v1.JobPhase(rapid.Int32Range(1, 3).Draw(t, "phase")))
	default:
		status := rapid.Int32Range(1, 8)
		return entryChanged(job, v1.ExecutionStatus(status.Draw(t, "from")), v1.ExecutionStatus(status.Draw(t, "to")), rapid.Int64Range(0, 1).Draw(t, "started"))
	}
}

func FuzzCountsRead(f *testing.F) {
	f.Add((&Counts{Open: 3, Refused: 1}).AppendTo(nil))
	f.Fuzz(func(t *testing.T, row []byte) {
		fields := kv.NewFields(row)
		var c Counts
		c.Read(&fields)
		if fields.Err() != nil {
			return
		}
		again, back := kv.NewFields(c.AppendTo(nil)), Counts{}
		if back.Read(&again); back != c || again.Err() != nil {
			t.Fatalf("%+v came back as %+v (%v)", c, back, again.Err())
		}
	})
}
