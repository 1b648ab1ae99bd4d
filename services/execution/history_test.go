package execution

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/droverhq/drover/projections/tally"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

var someThings = []string{"a", "b", "c"}

// history is a home, and what rollout knows of it: which job has an id now, and the numbers of things.
type history struct {
	run
	now     model
	past    []model // after each commit
	commits []int   // how many entries there were then
	sums    map[uint64]tally.Counts
	jobs    []uint64 // the jobs with the ids job-0, job-1, …
	next    uint64
	things  map[string]uint64
	erased  map[uint64]bool
}

// Shows, over random histories: transitions are legal and versions have no gaps; numbers ascend; every released thing is
// queued or refused once; what a device is told over any span of commits is exactly what differs between its ends, and
// what a window hides is offered to nobody; lists are in order; tallies add up to a recount of the state; the indexes hold
// what the rows say; nothing is left of a deleted job. coretest adds that the state is the fold of the events.
func TestRandomHistories(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		t := drawn{t, rt}
		h := &history{
			run: newRun(t), now: newModel(), past: []model{newModel()}, commits: []int{0}, sums: map[uint64]tally.Counts{},
			jobs: make([]uint64, 4), next: 1, things: map[string]uint64{}, erased: map[uint64]bool{},
		}
		for _, name := range someThings {
			h.things[name] = 1
		}
		for slot := range h.jobs {
			h.openSlot(rt, slot)
			h.absorb()
		}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			h.Now += rapid.Int64Range(0, 40_000).Draw(rt, "later")
			h.Fresh = nil
			h.randomStep(rt)
			h.absorb()
			h.check(rt)
		}
		for job, sum := range h.sums {
			want := recount(h.State, job)
			want.Refused, want.Deleted = sum.Refused, sum.Deleted
			if sum != want || sum.Deleted != int64(h.deletions(job)) {
				t.Fatalf("job %d: the tallies say %+v, a recount %+v", job, sum, want)
			}
		}
	})
}

func (h *history) openSlot(rt *rapid.T, slot int) {
	h.jobs[slot] = h.next
	h.next++
	windowed := rapid.Bool().Draw(rt, "windowed")
	h.react(&v1.Event{Event: &v1.Event_JobOpened{JobOpened: &v1.JobOpened{
		Job: h.jobs[slot], JobId: jobID(uint64(slot)), Document: []byte("{}"),
		Timeout:  &v1.TimeoutConfig{InProgressTimeoutMinutes: rapid.SampledFrom([]uint32{0, 1, 3}).Draw(rt, "timeout")},
		Windowed: windowed, Scheduled: windowed,
		Retry: rapid.SampledFrom([]*v1.RetryConfig{
			nil, {Criteria: []*v1.RetryCriterion{retries(onAll, 2)}}, {Criteria: []*v1.RetryCriterion{retries(onFailed, 3), retries(onTimedOut, 1)}},
		}).Draw(rt, "retries"),
	}}})
	if windowed && rapid.Bool().Draw(rt, "open") {
		h.absorb()
		h.window(h.jobs[slot], true)
	}
}

func (h *history) absorb() {
	for _, p := range h.History[h.commits[len(h.commits)-1]:] {
		h.now.fold(h.T, p)
		if s := p.Entry.GetEvent().GetHomeSettled(); s.GetPhase() == phaseDeleted {
			h.erased[s.Job] = true
		}
	}
	for _, x := range tally.Of(h.Fresh) {
		c := h.sums[x.Job]
		c.Add(x)
		h.sums[x.Job] = c
	}
	h.past = append(h.past, h.now.clone())
	h.commits = append(h.commits, len(h.History))
}

// deletions counts the things of a job of which the last attempt was deleted.
func (h *history) deletions(job uint64) (n int) {
	for _, p := range h.History {
		if d := p.Entry.GetEvent().GetExecutionDeleted(); d.GetJob() == job && d.GetLast() {
			n++
		}
	}
	return n
}

func (h *history) check(rt *rapid.T) {
	checkIndexes(h.T, h.State)
	for job := range h.erased {
		if left := rowsOf(h.State, job); len(left) > 0 {
			h.T.Fatalf("left of job %d: %q", job, left)
		}
	}
	if _, left := firstLeft(h.State); left || len(readStops(h.State)) > 0 {
		return
	}
	for _, name := range someThings {
		reply, _ := h.Answer(&v1.GetPending{Thing: name})
		p := reply.(*v1.GetPendingReply)
		if got, want := names(append(slices.Clone(p.InProgress), p.Queued...)), h.now.offered(name); !slices.Equal(got, want) {
			h.T.Fatalf("%s is offered %v, and should be %v", name, got, want)
		}
		for _, job := range h.jobs {
			h.checkLatest(name, job)
		}
	}
	if len(readWindows(h.State)) == 0 {
		span := rapid.IntRange(0, len(h.commits)-1).Draw(rt, "span")
		checkTold(h.T, h.past[span], h.now, h.Core.Notify(h.State, h.Now, h.History[h.commits[span]:]))
	}
}

// checkLatest compares what an operator is told of a thing's latest attempt.
func (h *history) checkLatest(thing string, job uint64) {
	if h.things[thing] > 1 || h.erased[job] {
		return // nothing is told of what a deleted thing had
	}
	var want pastAttempt
	number := uint64(0)
	for key, a := range h.now.attempts {
		if key.thing == thing && key.job == job && key.number > number {
			want, number = a, key.number
		}
	}
	j, _ := readJob(h.State, job)
	reply, err := h.Answer(&v1.DescribeExecution{Thing: thing, JobId: j.id, IncludeEnded: true})
	if code(err) == notFound && number == 0 {
		return
	}
	if err != nil {
		h.T.Fatalf("%s, job %d: %v", thing, job, err)
	}
	e := reply.(*v1.DescribeExecutionReply).Execution
	if e.ExecutionNumber != number || e.Status != want.status || e.VersionNumber != want.version || e.RetryAttempt != want.retry {
		h.T.Fatalf("%s, job %d: %v, and should be %d %+v", thing, job, e, number, want)
	}
}

func (h *history) refs(names []string) (refs []*v1.ThingRef) {
	for _, name := range names {
		refs = append(refs, &v1.ThingRef{Name: name, Number: h.things[name]})
	}
	return refs
}

func (h *history) randomStep(rt *rapid.T) {
	thing := rapid.SampledFrom(someThings).Draw(rt, "thing")
	slot := rapid.IntRange(0, len(h.jobs)-1).Draw(rt, "job")
	jobName := jobID(uint64(slot))
	some := func() []string {
		return rapid.Permutation(someThings).Draw(rt, "things")[:rapid.IntRange(1, 3).Draw(rt, "n")]
	}
	switch kind := rapid.IntRange(0, 17).Draw(rt, "kind"); kind {
	case 0, 1, 2:
		h.released(h.jobs[slot], some(), kind == 2)
	case 3, 4:
		h.Decide(&v1.StartNext{Thing: thing, StepTimeoutMinutes: rapid.Int32Range(-1, 2).Draw(rt, "step")})
	case 5, 6, 7:
		h.randomReport(rt, thing, h.offeredJob(rt, thing, jobName))
	case 8:
		h.Decide(&v1.CancelExecution{Thing: thing, JobId: jobName, Force: rapid.Bool().Draw(rt, "force")})
	case 9:
		h.Decide(&v1.DeleteExecution{
			Thing: thing, JobId: jobName, Force: rapid.Bool().Draw(rt, "force"),
			ExecutionNumber: rapid.Uint64Range(0, 4).Draw(rt, "number"),
		})
	case 10, 11, 16, 17:
		h.Due()
	case 12, 13:
		h.window(h.jobs[slot], h.now.shut[h.jobs[slot]])
	case 14:
		h.react(&v1.Event{Event: &v1.Event_ThingsWithdrawn{ThingsWithdrawn: &v1.ThingsWithdrawn{Job: h.jobs[slot], Things: h.refs(some())}}})
	case 15:
		h.seldom(rt, thing, slot)
	}
}

// seldom does what would leave little to be done, were it done often.
func (h *history) seldom(rt *rapid.T, thing string, slot int) {
	job := h.jobs[slot]
	switch rapid.IntRange(0, 5).Draw(rt, "seldom") {
	case 0:
		h.stopAs(job, rapid.SampledFrom([]v1.JobPhase{phaseEnded, phaseStopped, phaseForceStopped}).Draw(rt, "phase"))
	case 1:
		h.react(&v1.Event{Event: &v1.Event_ThingRemoved{ThingRemoved: &v1.ThingRemoved{Thing: h.refs([]string{thing})[0]}}})
		h.things[thing]++
	case 2:
		h.change(&v1.JobChanged{Job: job, Retry: &v1.RetryConfig{}})
	case 3, 4:
		if h.erased[job] {
			h.openSlot(rt, slot)
		} else {
			h.erase(job)
		}
	}
}

// released releases things, and checks that each is queued or refused once.
func (h *history) released(job uint64, things []string, joined bool) {
	h.react(&v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{Job: job, Things: h.refs(things), Joined: joined}}})
	facts := map[string]int{}
	for _, e := range h.Fresh {
		facts[e.GetEvent().GetExecutionQueued().GetThing().GetName()+e.GetEvent().GetReleaseRefused().GetThing().GetName()]++
	}
	for _, name := range things {
		if facts[name] != 1 {
			h.T.Fatalf("%s was released, and got %d facts", name, facts[name])
		}
	}
}

// reported is what a device reports; failures are what much follows from.
var reported = []v1.ExecutionStatus{statusQueued, statusInProgress, statusSucceeded, statusFailed, statusFailed, statusFailed, statusRejected}

// offeredJob is the id of a job that a thing's device may have, or else.
func (h *history) offeredJob(rt *rapid.T, thing, otherwise string) string {
	offered := readOffered(h.State, thing)
	if i := rapid.IntRange(-1, 3).Draw(rt, "offered"); i >= 0 && i < len(offered) {
		return string(offered[i].jobID)
	}
	return otherwise
}

func (h *history) randomReport(rt *rapid.T, thing, jobName string) {
	cmd := &v1.UpdateExecution{
		Thing: thing, JobId: jobName, Status: rapid.SampledFrom(reported).Draw(rt, "status"),
		ExpectedVersion: rapid.SampledFrom([]uint64{0, 0, 0, 1, 2, 3}).Draw(rt, "version"), StepTimeoutMinutes: rapid.Int32Range(-1, 2).Draw(rt, "step"),
		ClientToken: rapid.SampledFrom([]string{"", "x"}).Draw(rt, "token"), ReplaceDetails: rapid.Bool().Draw(rt, "replace"),
	}
	if _, err := h.Decide(cmd); err == nil && tally.Ended(cmd.Status) && cmd.ClientToken != "" && len(h.Fresh) > 0 {
		fresh, next := h.Fresh, h.Next
		if _, err := h.Decide(cmd); err != nil || len(h.Fresh) != 0 {
			rt.Fatalf("the repeat of %v: %v, %v", cmd, err, h.Fresh)
		}
		h.Fresh, h.Next = fresh, next
	}
}

// drawn is a testing.TB for coretest whose failures rapid hears of.
type drawn struct {
	testing.TB
	rapid *rapid.T
}

func (d drawn) Helper()                   {}
func (d drawn) Fatal(args ...any)         { d.rapid.Fatal(args...) }
func (d drawn) Fatalf(f string, a ...any) { d.rapid.Fatalf(f, a...) }
