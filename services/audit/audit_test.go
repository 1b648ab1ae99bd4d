package audit_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/memory"
	"github.com/droverhq/drover/projections/tally"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
	"github.com/droverhq/drover/services/audit/invariants"
)

// writer appends commits to one log in memory.
type writer struct {
	t       *testing.T
	log     *eventstore.Log
	backend *memory.Backend
	number  uint64
	hash    eventstore.Hash
}

const (
	homes = 2
	start = 1_000_000
)

func newWriter(t *testing.T, name id.Log) *writer {
	b := memory.New()
	w := &writer{t: t, log: eventstore.New(name, b), backend: b}
	w.commit(start, nil, &v1.Event{Event: &v1.Event_LogOpened{LogOpened: &v1.LogOpened{
		Service: name.Service, Home: uint32(name.Home), Format: 1, Homes: homes, HomeHash: "fnv1a32"}}})
	return w
}

// commit writes events that were decided together; tallies as a home writes them.
func (w *writer) commit(atMs int64, cursors []*v1.Cursor, events ...*v1.Event) {
	w.t.Helper()
	entries := make([]*v1.Entry, len(events))
	for i, e := range events {
		entries[i] = &v1.Entry{Event: e}
	}
	c := &v1.Commit{LogId: make([]byte, 16), Number: w.number + 1, Owner: "test", Epoch: 1, AtMs: atMs, Cursors: cursors, ReaderVersion: 1, Entries: entries}
	copy(c.LogId, w.log.Name().String())
	if w.number > 0 {
		c.PreviousHash = w.hash[:]
	}
	if w.log.Name().Service == v1.Service_SERVICE_EXECUTION {
		c.Tallies = tally.Of(entries)
	}
	w.append(c)
}

func (w *writer) append(c *v1.Commit) {
	w.t.Helper()
	s, err := eventstore.Seal(c)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.log.Append(w.t.Context(), s); err != nil {
		w.t.Fatal(err)
	}
	w.number, w.hash = s.Number, s.Hash
}

// cursor says that all of this log was read.
func (w *writer) cursor() *v1.Cursor {
	return &v1.Cursor{Service: w.log.Name().Service, Home: uint32(w.log.Name().Home), Number: w.number, Hash: w.hash.Prefix()}
}

// logs of a small system that has run one job on four things: two succeeded, one failed after progress, one was REJECTED at once.
type logs struct {
	job, targeting, rollout *writer
	execution               [homes]*writer
}

func (l *logs) all() []*eventstore.Log {
	return []*eventstore.Log{l.execution[1].log, l.rollout.log, l.job.log, l.targeting.log, l.execution[0].log}
}

const theJob = uint64(2 << 16)

func things(names ...string) []*v1.ThingRef {
	var refs []*v1.ThingRef
	for i, name := range names {
		refs = append(refs, &v1.ThingRef{Name: name, Number: uint64(i + 100)})
	}
	return refs
}

func runOneJob(t *testing.T) *logs {
	t.Helper()
	l := &logs{job: newWriter(t, id.JobLog), targeting: newWriter(t, id.TargetingLog), rollout: newWriter(t, id.RolloutLog)}
	for h := range homes {
		l.execution[h] = newWriter(t, id.ExecutionLog(id.Home(h)))
	}
	all := things("t0", "t1", "t2", "t3")
	l.job.commit(start+1, nil,
		&v1.Event{Event: &v1.Event_JobCreated{JobCreated: &v1.JobCreated{Job: theJob, JobId: "fw", Rollout: &v1.RolloutConfig{MaximumPerMinute: 4}}}},
		&v1.Event{Event: &v1.Event_JobStarted{JobStarted: &v1.JobStarted{Job: theJob}}})
	l.targeting.commit(start+2, []*v1.Cursor{l.job.cursor()},
		&v1.Event{Event: &v1.Event_SelectionStarted{SelectionStarted: &v1.SelectionStarted{Job: theJob}}},
		&v1.Event{Event: &v1.Event_ThingsSelected{ThingsSelected: &v1.ThingsSelected{Job: theJob, Things: all}}},
		&v1.Event{Event: &v1.Event_SelectionFinished{SelectionFinished: &v1.SelectionFinished{Job: theJob, Things: 4}}})
	l.rollout.commit(start+3, []*v1.Cursor{l.job.cursor(), l.targeting.cursor()},
		&v1.Event{Event: &v1.Event_JobOpened{JobOpened: &v1.JobOpened{Job: theJob, JobId: "fw"}}},
		&v1.Event{Event: &v1.Event_ThingsWaiting{ThingsWaiting: &v1.ThingsWaiting{Job: theJob, Things: all}}},
		&v1.Event{Event: &v1.Event_WaitingComplete{WaitingComplete: &v1.WaitingComplete{Job: theJob, Things: 4}}})
	var released []*v1.Event
	for h := range uint32(homes) {
		mine := slices.DeleteFunc(slices.Clone(all), func(r *v1.ThingRef) bool { return id.HomeOf(r.Name, homes) != id.Home(h) })
		released = append(released, &v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{Job: theJob, Home: h, Things: mine}}})
	}
	l.rollout.commit(start+4, nil, released...)
	for h, w := range l.execution {
		var queued []*v1.Event
		for _, r := range released[h].GetExecutionsReleased().GetThings() {
			queued = append(queued, &v1.Event{Event: &v1.Event_ExecutionQueued{ExecutionQueued: &v1.ExecutionQueued{Job: theJob, Thing: r, ExecutionNumber: 1}}})
		}
		w.commit(start+5, []*v1.Cursor{l.rollout.cursor()}, queued...)
	}
	l.report(t, "t0", start+10, inProgress, succeeded)
	l.report(t, "t1", start+20, inProgress, inProgress, failed)
	l.report(t, "t2", start+30, succeeded)
	l.report(t, "t3", start+40, rejected)
	var observed []*v1.HomeTally
	var cursors []*v1.Cursor
	for h, w := range l.execution {
		observed = append(observed, l.tallyOf(t, uint32(h)))
		cursors = append(cursors, w.cursor())
	}
	l.rollout.commit(start+1000, cursors,
		&v1.Event{Event: &v1.Event_Observed{Observed: &v1.Observed{Homes: observed}}},
		&v1.Event{Event: &v1.Event_JobClosed{JobClosed: &v1.JobClosed{Job: theJob}}})
	for _, w := range l.execution {
		w.commit(start+1001, []*v1.Cursor{l.rollout.cursor()},
			&v1.Event{Event: &v1.Event_HomeSettled{HomeSettled: &v1.HomeSettled{Job: theJob, Phase: v1.JobPhase_JOB_PHASE_CLOSED}}})
	}
	l.rollout.commit(start+1002, []*v1.Cursor{l.execution[0].cursor(), l.execution[1].cursor()},
		&v1.Event{Event: &v1.Event_JobDrained{JobDrained: &v1.JobDrained{Job: theJob, Phase: v1.JobPhase_JOB_PHASE_CLOSED}}})
	l.job.commit(start+1003, []*v1.Cursor{l.rollout.cursor()},
		&v1.Event{Event: &v1.Event_JobCompleted{JobCompleted: &v1.JobCompleted{Job: theJob}}})
	return l
}

const (
	queued     = v1.ExecutionStatus_EXECUTION_STATUS_QUEUED
	inProgress = v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS
	succeeded  = v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED
	failed     = v1.ExecutionStatus_EXECUTION_STATUS_FAILED
	rejected   = v1.ExecutionStatus_EXECUTION_STATUS_REJECTED
)

// report lets a thing go from QUEUED through the statuses, a commit each, 100 ms apart.
func (l *logs) report(t *testing.T, thing string, atMs int64, through ...v1.ExecutionStatus) {
	t.Helper()
	from, started := queued, int64(0)
	for i, to := range through {
		if to == inProgress && started == 0 {
			started = atMs
		}
		l.execution[id.HomeOf(thing, homes)].commit(atMs+int64(i)*100, nil, &v1.Event{Event: &v1.Event_ExecutionChanged{ExecutionChanged: &v1.ExecutionChanged{
			Job: theJob, Thing: thing, ExecutionNumber: 1, From: from, To: to, VersionNumber: uint64(i) + 2, StartedAtMs: started}}})
		from = to
	}
}

// tallyOf merges the tallies of a home as rollout does.
func (l *logs) tallyOf(t *testing.T, home uint32) *v1.HomeTally {
	t.Helper()
	w := l.execution[home]
	o := &v1.HomeTally{Home: home, UpTo: w.number}
	err := w.log.ReadTo(t.Context(), eventstore.Mark{}, w.number, func(c *eventstore.Commit) error {
		o.Tallies = tally.Merge(o.Tallies, tally.Observed(c.Tallies))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAJobIsRecountedFromItsEvents(t *testing.T) {
	h, err := audit.Read(t.Context(), runOneJob(t).all(), nil)
	if err != nil {
		t.Fatal(err)
	}
	j := h.JobByID("fw")
	if j == nil || j.Number != theJob || j.Status != v1.JobStatus_JOB_STATUS_COMPLETED {
		t.Fatalf("job %+v", j)
	}
	r := j.Report()
	// 4 queued, t0 2, t1 2 and one report that stays in progress, t2 1, t3 1
	if r.Transitions != 10 || r.Reports != 1 || r.Executions() != 4 || r.Ends != 4 || r.Doubled != 0 || r.Gaps != 0 || r.Selected != 4 || r.Released != 4 {
		t.Errorf("report %+v", r)
	}
	if r.Status(succeeded) != 2 || r.Status(failed) != 1 || r.Status(rejected) != 1 || r.Status(queued) != 0 {
		t.Errorf("counts %v", r.Counts)
	}
	if r.Counts.Open != 0 || r.Counts.Good != 2 || r.Counts.Harmed != 1 || r.Counts.Void != 1 {
		t.Errorf("things %v", r.Counts)
	}
	if first, last := r.First.UnixMilli(), r.Last.UnixMilli(); first != start+5 || last != start+220 || r.PerSecond() < 46 || r.PerSecond() > 47 {
		t.Errorf("from %d to %d, %v a second", first, last, r.PerSecond())
	}
	if found := invariants.Check(h); len(found) > 0 {
		t.Errorf("a history without fault breaks %v", found)
	}
}

func TestTheRecountAgreesWithTheTallies(t *testing.T) {
	l := runOneJob(t)
	h, err := audit.Read(t.Context(), l.all(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Miscounts) > 0 {
		t.Errorf("miscounts %v", h.Miscounts)
	}
	// One that is wrong by one is named.
	w := l.execution[0]
	w.append(&v1.Commit{
		LogId: append([]byte("execution.0"), make([]byte, 5)...), Number: w.number + 1, PreviousHash: w.hash[:], AtMs: start + 2000, ReaderVersion: 1,
		Tallies: []*v1.Tally{{Job: theJob, Attempts: []*v1.StatusCount{{Status: succeeded, Count: 1}}}},
	})
	if h, err = audit.Read(t.Context(), l.all(), nil); err != nil {
		t.Fatal(err)
	}
	if len(h.Miscounts) != 1 || h.Miscounts[0].At.Number != w.number || !strings.Contains(h.Miscounts[0].What, "SUCCEEDED 1") {
		t.Errorf("miscounts %v", h.Miscounts)
	}
}

// A home may settle several phases of a job in one commit. Tallies of before that could be said name the last alone.
func TestATallyNamesThePhasesOfItsCommit(t *testing.T) {
	const stopped, closed = v1.JobPhase_JOB_PHASE_STOPPED, v1.JobPhase_JOB_PHASE_CLOSED
	for _, c := range []struct {
		name   string
		tally  *v1.Tally
		faulty bool
	}{
		{"all of them", &v1.Tally{SettledBefore: []v1.JobPhase{stopped}, Settled: closed}, false},
		{"the last, in an older log", &v1.Tally{Settled: closed}, false},
		{"the first", &v1.Tally{Settled: stopped}, true},
		{"in another order", &v1.Tally{SettledBefore: []v1.JobPhase{closed}, Settled: stopped}, true},
		{"one more", &v1.Tally{SettledBefore: []v1.JobPhase{stopped, stopped}, Settled: closed}, true},
	} {
		l := runOneJob(t)
		w := l.execution[0]
		c.tally.Job = theJob
		commit := &v1.Commit{
			LogId: append([]byte("execution.0"), make([]byte, 5)...), Number: w.number + 1, PreviousHash: w.hash[:], AtMs: start + 2000, ReaderVersion: 1,
			Tallies: []*v1.Tally{c.tally},
		}
		for _, phase := range []v1.JobPhase{stopped, closed} {
			commit.Entries = append(commit.Entries, &v1.Entry{
				Cause: &v1.Entry_Timer{Timer: &v1.TimerCause{}}, Event: &v1.Event{Event: &v1.Event_HomeSettled{HomeSettled: &v1.HomeSettled{Job: theJob, Phase: phase}}},
			})
		}
		w.append(commit)
		h, err := audit.Read(t.Context(), l.all(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(h.Miscounts) > 0 != c.faulty {
			t.Errorf("%s: miscounts %v", c.name, h.Miscounts)
		}
	}
}

func TestADamagedLogIsNotAudited(t *testing.T) {
	l := runOneJob(t)
	l.execution[1].backend.Change(3, func(data []byte) []byte { data[len(data)/2] ^= 1; return data })
	_, err := audit.Read(t.Context(), l.all(), nil)
	if err == nil || !strings.Contains(err.Error(), "execution.1") {
		t.Errorf("error %v", err)
	}
}

func TestWhatContradictsItselfIsKeptAsStrange(t *testing.T) {
	for what, event := range map[string]*v1.Event{
		"never queued": {Event: &v1.Event_ExecutionChanged{ExecutionChanged: &v1.ExecutionChanged{Job: theJob, Thing: "t9", ExecutionNumber: 1, To: succeeded}}},
		"a second time": {Event: &v1.Event_ExecutionQueued{ExecutionQueued: &v1.ExecutionQueued{
			Job: theJob, Thing: things("t0")[0], ExecutionNumber: 1}}},
		"as number": {Event: &v1.Event_ReleaseRefused{ReleaseRefused: &v1.ReleaseRefused{Job: theJob, Thing: &v1.ThingRef{Name: "t0", Number: 7}}}},
	} {
		l := runOneJob(t)
		l.execution[id.HomeOf("t0", homes)].commit(start+2000, nil, event)
		h, err := audit.Read(t.Context(), l.all(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(h.Strange) != 1 || !strings.Contains(h.Strange[0].What, what) {
			t.Errorf("%s: %v", what, h.Strange)
		}
	}
}
