package rollout

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
	"github.com/droverhq/drover/services/core/coretest"
)

const (
	stopped      = v1.JobPhase_JOB_PHASE_STOPPED
	forceStopped = v1.JobPhase_JOB_PHASE_FORCE_STOPPED
	closed       = v1.JobPhase_JOB_PHASE_CLOSED
)

// run is a rollout core of two homes and what its upstream logs say to it.
type run struct{ *coretest.Run }

func newRun(t testing.TB) run { return newRunOf(t, 100) }

// newRunOf lets so many jobs be at work.
func newRunOf(t testing.TB, most uint64) run {
	return run{coretest.New(t, New(2, Limits{ConcurrentMax: most}), id.RolloutLog)}
}

func (r run) create(job uint64, perMinute uint32) {
	r.React(id.JobLog.Position(job, 0), &v1.Event{Event: &v1.Event_JobCreated{JobCreated: &v1.JobCreated{
		Job: job, JobId: fmt.Sprint("job-", job), Document: []byte(`{}`), Rollout: &v1.RolloutConfig{MaximumPerMinute: perMinute},
	}}})
}

func (r run) selects(job uint64, from, n int) {
	r.React(id.TargetingLog.Position(1, 0), &v1.Event{Event: &v1.Event_ThingsSelected{ThingsSelected: &v1.ThingsSelected{Job: job, Things: things(from, n)}}})
}

func (r run) selected(job uint64) {
	r.React(id.TargetingLog.Position(1, 0), &v1.Event{Event: &v1.Event_SelectionFinished{SelectionFinished: &v1.SelectionFinished{Job: job}}})
}

func (r run) cancel(job uint64, force bool) {
	r.React(id.JobLog.Position(99, 0), &v1.Event{Event: &v1.Event_JobCancelStarted{JobCancelStarted: &v1.JobCancelStarted{Job: job, Force: force}}})
}

// settle lets a home settle a phase.
func (r run) settle(home uint32, job uint64, phase v1.JobPhase) {
	r.Observe(&v1.HomeTally{Home: home, UpTo: 1, Tallies: []*v1.ObservedTally{{Job: job, Settled: []v1.JobPhase{phase}}}})
}

func things(from, n int) []*v1.ThingRef {
	var list []*v1.ThingRef
	for i := from; i < from+n; i++ {
		list = append(list, &v1.ThingRef{Name: fmt.Sprintf("thing-%06d", i), Number: uint64(i) + 1})
	}
	return list
}

// releases are those among entries, of one job; 0 is any.
func releases(entries []*v1.Entry, job uint64) (all []*v1.ExecutionsReleased) {
	for _, e := range entries {
		if r := e.GetEvent().GetExecutionsReleased(); r != nil && (job == 0 || r.Job == job) {
			all = append(all, r)
		}
	}
	return all
}

func count(entries []*v1.Entry, job uint64) (n int) {
	for _, r := range releases(entries, job) {
		n += len(r.Things)
	}
	return n
}

// kinds are the types of the events, in order.
func kinds(entries []*v1.Entry) string {
	out := ""
	for _, e := range entries {
		out += strings.TrimPrefix(fmt.Sprintf("%T ", e.GetEvent().GetEvent()), "*droverv1.Event_")
	}
	return out
}

func wantKinds(t testing.TB, entries []*v1.Entry, want string) {
	t.Helper()
	if got := kinds(entries); got != want {
		t.Fatalf("got %q, want %q\n%s", got, want, coretest.Text(entries))
	}
}

func TestAJobOpensWithWhatHomesNeed(t *testing.T) {
	r := newRun(t)
	r.Now = 5000
	r.React(id.JobLog.Position(1, 0), &v1.Event{Event: &v1.Event_JobCreated{JobCreated: &v1.JobCreated{
		Job: 7, JobId: "fw", Document: []byte(`{"a":1}`), Rollout: &v1.RolloutConfig{MaximumPerMinute: 60},
		Timeout: &v1.TimeoutConfig{InProgressTimeoutMinutes: 9}, TargetSelection: v1.TargetSelection_TARGET_SELECTION_SNAPSHOT,
	}}})
	want := &v1.JobOpened{
		Job: 7, JobId: "fw", Document: []byte(`{"a":1}`), Rollout: &v1.RolloutConfig{MaximumPerMinute: 60},
		Timeout: &v1.TimeoutConfig{InProgressTimeoutMinutes: 9}, TargetSelection: v1.TargetSelection_TARGET_SELECTION_SNAPSHOT,
		CreatedAtMs: 5000,
	}
	if got := r.Fresh[0].GetEvent().GetJobOpened(); !proto.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWithoutAPaceEverythingGoesAtOnceToItsHome(t *testing.T) {
	r := newRun(t)
	r.create(7, 0)
	for i := range 4 {
		r.selects(7, i*1000, 1000)
	}
	r.selected(7)
	seen := map[string]bool{}
	for _, e := range releases(r.Due(), 7) {
		for _, ref := range e.Things {
			if uint32(id.HomeOf(ref.Name, 2)) != e.Home || seen[ref.Name] {
				t.Fatalf("%s was released to home %d (before: %v)", ref.Name, e.Home, seen[ref.Name])
			}
			seen[ref.Name] = true
		}
		if n := e.SizeVT(); len(e.Things) > 1000 || n > core.BytesMax {
			t.Fatalf("an event of %d things, %d bytes", len(e.Things), n)
		}
	}
	if len(seen) != 4000 || r.Next != core.Never {
		t.Errorf("%d of 4000 things were released; look again at %d", len(seen), r.Next)
	}
}

func TestOneCallStaysWithinAStep(t *testing.T) {
	r := newRun(t)
	r.create(7, 0)
	r.selects(7, 0, 1000)
	r.selects(7, 1000, 1000)
	r.selects(7, 2000, 1000)
	r.selects(7, 3000, 1000)
	size := 0
	for _, e := range r.Due() {
		size += e.SizeVT()
	}
	if size < core.BytesMax {
		t.Fatalf("the test is too small: %d bytes", size)
	}
	// coretest has checked every call; that there were several is what bounds each.
	commits := map[uint64]int{}
	for _, p := range r.History {
		if p.Entry.GetEvent().GetExecutionsReleased() != nil {
			commits[p.Number] += p.Entry.SizeVT()
		}
	}
	for number, n := range commits {
		if n > core.BytesMax {
			t.Errorf("commit %d holds %d bytes of releases", number, n)
		}
	}
}

func TestJobsTakeTurns(t *testing.T) {
	r := newRun(t)
	r.Seldom = true
	for job := range uint64(3) {
		r.create(job+1, 0)
		for i := range 5 {
			r.selects(job+1, i*1000, 1000)
		}
	}
	ahead := map[uint64]int{}
	for _, e := range releases(r.Due(), 0) {
		ahead[e.Job] += len(e.Things)
		for job := range uint64(3) {
			if d := ahead[e.Job] - ahead[job+1]; d > 2000 {
				t.Fatalf("job %d is %d things ahead of job %d", e.Job, d, job+1)
			}
		}
	}
	for job := range uint64(3) {
		if ahead[job+1] != 5000 {
			t.Errorf("job %d: %d of 5000 things", job+1, ahead[job+1])
		}
	}
}

func TestAJobClosesWhenEverythingHasEndedAndDrainsWhenEveryHomeHasSettled(t *testing.T) {
	r := newRun(t)
	r.create(7, 0)
	r.selects(7, 0, 10)
	r.selected(7)
	if n := count(r.Due(), 7); n != 10 {
		t.Fatalf("%d of 10 released", n)
	}
	r.Observe(&v1.HomeTally{Home: 0, UpTo: 3, Tallies: []*v1.ObservedTally{{Job: 7, Open: 4, Refused: 1}}})
	wantKinds(t, r.Fresh, "Observed ")
	r.Observe(
		&v1.HomeTally{Home: 0, UpTo: 4, Tallies: []*v1.ObservedTally{{Job: 7, Open: -4, Good: 3, Void: 1}}},
		&v1.HomeTally{Home: 1, UpTo: 9, Tallies: []*v1.ObservedTally{{Job: 7, Open: 1, Good: 3, Harmed: 1}}})
	wantKinds(t, r.Fresh, "Observed ")
	r.Observe(&v1.HomeTally{Home: 1, UpTo: 10, Tallies: []*v1.ObservedTally{{Job: 7, Open: -1, Harmed: 1}}})
	wantKinds(t, r.Fresh, "Observed JobClosed ")
	if reason := r.Fresh[1].GetReason(); reason.GetCode() != v1.ReasonCode_REASON_CODE_ALL_ENDED || reason.GetNumbers()[0] != 10 {
		t.Errorf("reason %v", reason)
	}
	r.settle(1, 7, closed)
	wantKinds(t, r.Fresh, "Observed ")
	r.settle(1, 7, closed)
	wantKinds(t, r.Fresh, "Observed ")
	r.settle(0, 7, closed)
	wantKinds(t, r.Fresh, "Observed JobDrained ")
	if p := r.Fresh[1].GetEvent().GetJobDrained().GetPhase(); p != closed {
		t.Errorf("drained phase %v", p)
	}
	if r.Due(); len(r.Fresh) != 0 || r.Next != core.Never {
		t.Errorf("something is left to do: %s", coretest.Text(r.Fresh))
	}
}

func TestAJobWithoutThingsClosesAtOnce(t *testing.T) {
	r := newRun(t)
	r.create(7, 60)
	r.selected(7)
	wantKinds(t, r.Fresh, "WaitingComplete JobClosed ")
	if code := r.Fresh[1].GetReason().GetCode(); code != v1.ReasonCode_REASON_CODE_NOTHING_SELECTED {
		t.Errorf("reason %v", code)
	}
}

func TestAStopDropsWhatWaitsAndNothingIsReleasedAfterIt(t *testing.T) {
	for _, pace := range []uint32{0, 600} {
		t.Run(fmt.Sprint("pace ", pace), func(t *testing.T) {
			r := newRun(t)
			r.create(7, pace)
			for i := range 100 {
				r.selects(7, i*10, 10)
			}
			if pace > 0 {
				r.Now += 1000
				if n := count(r.Due(), 7); n != 10 {
					t.Fatalf("%d released in the first second", n)
				}
			}
			r.cancel(7, false)
			wantKinds(t, r.Fresh, "JobStopped ")
			r.Now += 1000
			dropped := 0
			for _, e := range r.Due() {
				d := e.GetEvent().GetThingsDropped()
				if d == nil {
					t.Fatalf("after the stop: %s", prototext.Format(e))
				}
				dropped += int(d.Things)
			}
			want := 1000
			if pace > 0 {
				want = 990
			}
			if dropped != want {
				t.Errorf("%d dropped, want %d", dropped, want)
			}
			r.selects(7, 1000, 10) // targeting has not heard of it yet
			r.selected(7)
			if r.Due(); len(r.Fresh) != 1 || r.Fresh[0].GetEvent().GetThingsDropped().GetThings() != 10 {
				t.Errorf("a late selection: %s", coretest.Text(r.Fresh))
			}
			r.cancel(7, false)
			wantKinds(t, r.Fresh, "")
			r.settle(0, 7, stopped)
			r.settle(1, 7, stopped)
			wantKinds(t, r.Fresh, "Observed JobDrained ")
			if r.Due(); len(r.Fresh) != 0 {
				t.Errorf("a canceled job was not left alone: %s", coretest.Text(r.Fresh))
			}
		})
	}
}

func TestAForcedStopSupersedesTheStopBeforeIt(t *testing.T) {
	r := newRun(t)
	r.create(7, 0)
	r.selected(7) // closed: a cancel may still come before job has heard of it
	r.cancel(7, false)
	r.settle(0, 7, closed)
	r.settle(1, 7, closed)
	wantKinds(t, r.Fresh, "Observed ")
	r.settle(0, 7, stopped)
	r.cancel(7, true)
	wantKinds(t, r.Fresh, "JobStopped ")
	r.settle(1, 7, stopped)
	wantKinds(t, r.Fresh, "Observed ")
	r.settle(1, 7, forceStopped)
	r.settle(0, 7, forceStopped)
	wantKinds(t, r.Fresh, "Observed JobDrained ")
	if p := r.Fresh[1].GetEvent().GetJobDrained().GetPhase(); p != forceStopped {
		t.Errorf("drained phase %v", p)
	}
	r.cancel(7, false)
	wantKinds(t, r.Fresh, "")
}

func TestAStopThatHasDrainedMayBeFollowedByAForcedOne(t *testing.T) {
	r := newRun(t)
	r.create(7, 0)
	r.selects(7, 0, 2)
	r.Due()
	r.cancel(7, false)
	r.settle(0, 7, stopped)
	r.settle(1, 7, stopped)
	wantKinds(t, r.Fresh, "Observed JobDrained ")
	r.cancel(7, true)
	r.settle(0, 7, forceStopped)
	r.settle(1, 7, forceStopped)
	wantKinds(t, r.Fresh, "Observed JobDrained ")
}

func TestADeletedThingIsRemovedAtItsHome(t *testing.T) {
	r := newRun(t)
	ref := things(3, 1)[0]
	r.React(id.TargetingLog.Position(1, 0), &v1.Event{Event: &v1.Event_ThingDeleted{ThingDeleted: &v1.ThingDeleted{Thing: ref}}})
	got := r.Fresh[0].GetEvent().GetThingRemoved()
	if !proto.Equal(got.GetThing(), ref) || got.GetHome() != uint32(id.HomeOf(ref.Name, 2)) {
		t.Errorf("got %v", got)
	}
}

func TestRolloutAnswersNothing(t *testing.T) {
	r := newRun(t)
	var refusal *v1.Refusal
	_, err := r.Decide(&v1.CreateJob{})
	if refusal, _ = err.(*v1.Refusal); refusal.GetCode() != v1.RefusalCode_REFUSAL_CODE_NOT_SUPPORTED {
		t.Errorf("a command: %v", err)
	}
	_, err = r.Answer(&v1.GetPending{})
	if refusal, _ = err.(*v1.Refusal); refusal.GetCode() != v1.RefusalCode_REFUSAL_CODE_NOT_SUPPORTED {
		t.Errorf("a query: %v", err)
	}
}

func TestManyTalliesAreObservedInBoundedEvents(t *testing.T) {
	r := newRun(t)
	var tallies []*v1.ObservedTally
	for job := range uint64(450) {
		tallies = append(tallies, &v1.ObservedTally{Job: job + 1, Open: 1})
	}
	r.Observe(&v1.HomeTally{Home: 0, UpTo: 5, Tallies: tallies[:50]}, &v1.HomeTally{Home: 1, UpTo: 6, Tallies: tallies[50:]})
	n := 0
	for _, e := range r.Fresh {
		for _, h := range e.GetEvent().GetObserved().GetHomes() {
			n += len(h.Tallies)
			if want := uint64(5 + h.Home); h.UpTo != want {
				t.Errorf("home %d up to %d, want %d", h.Home, h.UpTo, want)
			}
		}
	}
	if n != 450 || len(r.Fresh) != 3 {
		t.Errorf("%d tallies in %d events", n, len(r.Fresh))
	}
}

func FuzzJobRow(f *testing.F) {
	f.Add([]byte((&job{opened: true, pace: pace{perMinute: 60}, queue: [queues]queue{{released: 7}}, drained: stopped, line: 9, due: 12}).row()))
	f.Fuzz(func(t *testing.T, row []byte) {
		j, fields := parseJob(row)
		if fields.Err() != nil {
			return
		}
		if again, fields := parseJob(j.row()); again != j || fields.Err() != nil {
			t.Fatalf("%+v came back as %+v (%v)", j, again, fields.Err())
		}
	})
}

func FuzzChunk(f *testing.F) {
	f.Add([]byte(chunkRow(5, things(0, 3))), uint64(1))
	f.Fuzz(func(t *testing.T, row []byte, offset uint64) {
		c := newChunkReader(row, offset)
		for n := 0; c.next() != nil; n++ {
			if n > len(row) {
				t.Fatal("more things than bytes")
			}
		}
	})
}
