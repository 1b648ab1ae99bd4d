package execution

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"

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
