package execution

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/tally"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// model is a naive fold of a home's log: every attempt that is left, and what homes know of jobs.
type model struct {
	attempts map[attemptID]pastAttempt
	// numbers are the highest that were given, by thing and job.
	numbers map[attemptID]uint64
	shut    map[uint64]bool
}

type attemptID struct {
	thing       string
	job, number uint64
}

type pastAttempt struct {
	status       v1.ExecutionStatus
	version      uint64
	retry        uint32
	queuedAt     int64
	started      bool
	hidden       bool
	due, retried bool
}

func newModel() model {
	return model{map[attemptID]pastAttempt{}, map[attemptID]uint64{}, map[uint64]bool{}}
}

func (m model) clone() model {
	return model{maps.Clone(m.attempts), maps.Clone(m.numbers), maps.Clone(m.shut)}
}

func (m model) fold(t testing.TB, p core.Placed) {
	switch e := p.Entry.GetEvent().GetEvent().(type) {
	case *v1.Event_JobLearned:
		m.shut[e.JobLearned.Job] = e.JobLearned.Windowed
	case *v1.Event_WindowLearned:
		m.shut[e.WindowLearned.Job] = !e.WindowLearned.Open
	case *v1.Event_ExecutionQueued:
		m.queued(t, p.AtMs, e.ExecutionQueued)
	case *v1.Event_ExecutionChanged:
		m.changed(t, p, e.ExecutionChanged)
	case *v1.Event_RetryDropped:
		d := e.RetryDropped
		key := attemptID{d.Thing.Name, d.Job, d.ExecutionNumber}
		a, ok := m.attempts[key]
		if !ok || !a.due || d.Status != a.status || a.started != (d.StartedAtMs != 0) {
			t.Fatalf("%v is %+v, and its retry is dropped: %v", key, a, d)
		}
		a.due = false
		m.attempts[key] = a
	case *v1.Event_ExecutionDeleted:
		d := e.ExecutionDeleted
		key := attemptID{d.Thing.Name, d.Job, d.ExecutionNumber}
		a, ok := m.attempts[key]
		if !ok || d.Status != a.status || d.Last == a.retried || d.RetryDue != a.due || d.Hidden != a.hidden || d.QueuedAtMs != a.queuedAt || a.started != (d.StartedAtMs != 0) {
			t.Fatalf("%v is %+v, and is deleted: %v", key, a, d)
		}
		delete(m.attempts, key)
	case *v1.Event_ExecutionsShown:
		for _, name := range e.ExecutionsShown.Things {
			key := attemptID{name, e.ExecutionsShown.Job, 0}
			key.number = m.numbers[key]
			a, ok := m.attempts[key]
			if !ok || a.status != statusQueued || a.hidden != e.ExecutionsShown.Shown {
				t.Fatalf("%v is %+v, and then %v", key, a, e.ExecutionsShown)
			}
			a.hidden = !e.ExecutionsShown.Shown
			m.attempts[key] = a
		}
	case *v1.Event_HomeSettled:
		if e.HomeSettled.Phase == phaseDeleted {
			for key := range m.attempts {
				if key.job == e.HomeSettled.Job {
					t.Fatalf("%v is left of a deleted job", key)
				}
			}
		}
	}
}

// queued checks that numbers ascend, and that an attempt follows a failure whose retry is due, or nothing that is open.
func (m model) queued(t testing.TB, at int64, q *v1.ExecutionQueued) {
	key := attemptID{q.Thing.Name, q.Job, q.ExecutionNumber}
	last := attemptID{q.Thing.Name, q.Job, 0}
	if q.ExecutionNumber != m.numbers[last]+1 {
		t.Fatalf("%v follows number %d", q, m.numbers[last])
	}
	m.numbers[last] = q.ExecutionNumber
	before := attemptID{q.Thing.Name, q.Job, q.ExecutionNumber - 1}
	a, ok := m.attempts[before]
	if q.RetryAttempt > 0 && (!ok || !a.due || q.RetryAttempt != a.retry+1 || m.shut[q.Job]) || q.RetryAttempt == 0 && ok && (a.due || !tally.Ended(a.status)) {
		t.Fatalf("%v follows %+v", q, a)
	}
	if ok && a.due {
		a.due, a.retried = false, true
		m.attempts[before] = a
	}
	m.attempts[key] = pastAttempt{status: statusQueued, version: 1, retry: q.RetryAttempt, queuedAt: at, hidden: q.Hidden}
}

func (m model) changed(t testing.TB, p core.Placed, c *v1.ExecutionChanged) {
	key := attemptID{c.Thing, c.Job, c.ExecutionNumber}
	a := m.attempts[key]
	step := c.From == c.To && c.VersionNumber == a.version && p.Entry.Reason.GetCode() == v1.ReasonCode_REASON_CODE_START_NEXT
	if a.status != c.From || tally.Ended(c.From) || c.VersionNumber != a.version+1 && !step || c.QueuedAtMs != a.queuedAt || c.Hidden != a.hidden || c.RetryAttempt != a.retry {
		t.Fatalf("%v is %+v, and then %v", key, a, c)
	}
	if c.From == statusQueued && c.To == statusInProgress && m.shut[c.Job] {
		t.Fatalf("%v starts while its window is closed", key)
	}
	if c.RetryDue && c.To != statusFailed && c.To != statusTimedOut {
		t.Fatalf("a retry of %v is due", c)
	}
	a.status, a.version, a.due, a.hidden = c.To, c.VersionNumber, c.RetryDue, false
	a.started = a.started || c.To == statusInProgress
	if a.started != (c.StartedAtMs != 0) {
		t.Fatalf("%v: started %v, and then %v", key, a.started, c)
	}
	m.attempts[key] = a
}

// list is what is pending for a thing, of that which is shown, in order: "job.number".
func (m model) list(thing string, shown func(attemptID, pastAttempt) bool) []string {
	var pending []attemptID
	for key, a := range m.attempts {
		if key.thing == thing && !tally.Ended(a.status) && shown(key, a) {
			pending = append(pending, key)
		}
	}
	slices.SortFunc(pending, func(x, y attemptID) int {
		a, b := m.attempts[x], m.attempts[y]
		return cmp.Or(cmp.Compare(b.status, a.status), cmp.Compare(a.queuedAt, b.queuedAt), cmp.Compare(x.job, y.job))
	})
	var names []string
	for _, a := range pending {
		names = append(names, fmt.Sprint(a.job, ".", a.number))
	}
	return names
}

// told is what a device was told of.
func (m model) told(thing string) []string {
	return m.list(thing, func(_ attemptID, a pastAttempt) bool { return !a.hidden })
}

// offered is what a device may have.
func (m model) offered(thing string) []string {
	return m.list(thing, func(key attemptID, a pastAttempt) bool { return a.status == statusInProgress || !m.shut[key.job] })
}

// recount counts what a state holds of a job.
func recount(r kv.Reader, job uint64) (c tally.Counts) {
	count := func(a *attempt) {
		c.Attempts[a.status]++
		switch {
		case a.retried:
		case a.due || !a.ended():
			c.Open++
		case a.status == statusSucceeded:
			c.Good++
		case a.startedAt == 0 && (a.status == statusCanceled || a.status == statusRemoved || a.status == statusRejected):
			c.Void++
		default:
			c.Harmed++
		}
	}
	for _, row := range scan(r, tableThing) {
		if t, _ := parseThing(row); t.of(job) >= 0 {
			count(&t.pending[t.of(job)])
		}
	}
	for _, table := range []byte{tableEnded, tableEarlier} {
		prefix := kv.NewKey(table).Uint(job)
		for _, row := range r.Scan(prefix, kv.PrefixEnd(prefix)) {
			fields := kv.NewFields(row)
			a := readAttempt(&fields)
			count(&a)
		}
	}
	return c
}

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

// checkTold compares what things are told with what differs.
func checkTold(t testing.TB, before, now model, told []*v1.Notification) {
	byThing := map[string]*v1.Notification{}
	for _, n := range told {
		if byThing[n.Thing] != nil {
			t.Fatalf("%s is told twice", n.Thing)
		}
		byThing[n.Thing] = n
	}
	for _, thing := range someThings {
		was, is := before.told(thing), now.told(thing)
		n := byThing[thing]
		sorted := func(s []string) []string { return slices.Sorted(slices.Values(s)) }
		if differs := !slices.Equal(sorted(was), sorted(is)); differs != (n.GetList() != nil) {
			t.Fatalf("%s had %v, has %v, and is told %v", thing, was, is, n)
		}
		if n.GetList() != nil {
			if got := names(append(slices.Clone(n.List.InProgress), n.List.Queued...)); !slices.Equal(got, is) {
				t.Fatalf("%s has %v and is told %v", thing, is, got)
			}
		}
		if differs := first(was) != first(is); differs != (n.GetHead() != nil) {
			t.Fatalf("%s had %v, has %v, and is told %v", thing, was, is, n)
		}
		if n.GetHead().GetExecution() != nil {
			if got := names([]*v1.Execution{n.Head.Execution}); got[0] != first(is) {
				t.Fatalf("%s has %v and is told the head %v", thing, is, got)
			}
		}
	}
}

func names(list []*v1.Execution) (names []string) {
	for _, e := range list {
		names = append(names, fmt.Sprint(e.Job, ".", e.ExecutionNumber))
	}
	return names
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// checkIndexes compares the indexes with the rows.
func checkIndexes(t testing.TB, r kv.Reader) {
	want := map[string]bool{}
	for k, row := range scan(r, tableThing) {
		name, _ := kv.CutString(k[1:])
		parsed, _ := parseThing(row)
		for i := range parsed.pending {
			a := &parsed.pending[i]
			if i > 0 && parsed.pending[i-1].rank().compare(a.rank()) >= 0 {
				t.Fatalf("the queue of %s is out of order", name)
			}
			want[string(pendingKey(name, a))] = true
			if a.deadline() != 0 {
				want[string(deadlineKey(name, a))] = true
			}
		}
		if parsed.first(parsed.left) != nil {
			want[string(leftKey(name))] = true
		}
	}
	for _, table := range []byte{tablePending, tableDeadline, tableLeft} {
		for k := range scan(r, table) {
			if !want[string(k)] {
				t.Fatalf("the index holds %q, no row does", k)
			}
			delete(want, string(k))
		}
	}
	if len(want) > 0 {
		t.Fatalf("the indexes lack %q", slices.Collect(maps.Keys(want)))
	}
}

func scan(r kv.Reader, table byte) func(func([]byte, []byte) bool) {
	return r.Scan([]byte{table}, []byte{table + 1})
}

// drawn is a testing.TB for coretest whose failures rapid hears of.
type drawn struct {
	testing.TB
	rapid *rapid.T
}

func (d drawn) Helper()                   {}
func (d drawn) Fatal(args ...any)         { d.rapid.Fatal(args...) }
func (d drawn) Fatalf(f string, a ...any) { d.rapid.Fatalf(f, a...) }

func FuzzThingRow(f *testing.F) {
	a := attempt{job: 7, jobID: []byte("fw"), thing: 3, number: 1, status: statusInProgress, version: 2, queuedAt: 1000, startedAt: 1000, updatedAt: 1005, stepDeadline: 61_005}
	f.Add([]byte(a.appendTo(kv.Row(nil).Uint(0))))
	f.Fuzz(func(t *testing.T, row []byte) {
		parsed, fields := parseThing(row)
		if fields.Err() != nil {
			return
		}
		again := kv.Row(nil).Uint(parsed.forgotten)
		for i := range parsed.pending {
			again = parsed.pending[i].appendTo(again)
		}
		back, fields := parseThing(again)
		if fields.Err() != nil || fmt.Sprint(back) != fmt.Sprint(parsed) {
			t.Fatalf("%+v came back as %+v (%v)", parsed, back, fields.Err())
		}
	})
}

func FuzzDetailsRow(f *testing.F) {
	f.Add(encodeDetails(detail("a", "1", "b", "2")))
	f.Fuzz(func(t *testing.T, row []byte) {
		defer func() {
			if r := recover(); r != nil {
				if _, damaged := r.(*kv.Failure); !damaged {
					t.Fatalf("panic: %v", r)
				}
			}
		}()
		list := readDetails(row)
		if back := readDetails(encodeDetails(list)); fmt.Sprint(back) != fmt.Sprint(list) {
			t.Fatalf("%v came back as %v", list, back)
		}
	})
}
