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

// model is a naive fold of a home's log: every attempt there ever was.
type model map[[2]string]pastAttempt // by thing, job id

type pastAttempt struct {
	status   v1.ExecutionStatus
	version  uint64
	queuedAt int64
	started  bool
	job      uint64
	number   uint64
}

func (m model) fold(t testing.TB, p core.Placed) {
	switch e := p.Entry.GetEvent().GetEvent().(type) {
	case *v1.Event_ExecutionQueued:
		q := e.ExecutionQueued
		key := [2]string{q.Thing.Name, jobID(q.Job)}
		if before, ok := m[key]; ok && !tally.Ended(before.status) {
			t.Fatalf("%v is queued twice", key)
		}
		m[key] = pastAttempt{status: statusQueued, version: 1, queuedAt: p.AtMs, job: q.Job, number: q.ExecutionNumber}
	case *v1.Event_ExecutionChanged:
		c := e.ExecutionChanged
		key := [2]string{c.Thing, jobID(c.Job)}
		a := m[key]
		step := c.From == c.To && c.VersionNumber == a.version && p.Entry.Reason.GetCode() == v1.ReasonCode_REASON_CODE_START_NEXT
		if a.status != c.From || tally.Ended(c.From) || c.VersionNumber != a.version+1 && !step || c.QueuedAtMs != a.queuedAt {
			t.Fatalf("%v is %+v, and then %v", key, a, c)
		}
		a.status, a.version = c.To, c.VersionNumber
		a.started = a.started || c.To == statusInProgress
		if a.started != (c.StartedAtMs != 0) {
			t.Fatalf("%v: started %v, and then %v", key, a.started, c)
		}
		m[key] = a
	}
}

// list is what is pending for a thing, in order: "job.number".
func (m model) list(thing string) []string {
	var pending []pastAttempt
	for key, a := range m {
		if key[0] == thing && !tally.Ended(a.status) {
			pending = append(pending, a)
		}
	}
	slices.SortFunc(pending, func(a, b pastAttempt) int {
		return cmp.Or(cmp.Compare(b.status, a.status), cmp.Compare(a.queuedAt, b.queuedAt), cmp.Compare(a.job, b.job))
	})
	var names []string
	for _, a := range pending {
		names = append(names, fmt.Sprint(a.job, ".", a.number))
	}
	return names
}

func (m model) counts(job uint64) (c tally.Counts) {
	for _, a := range m {
		if a.job != job {
			continue
		}
		c.Attempts[a.status]++
		switch {
		case !tally.Ended(a.status):
			c.Open++
		case a.status == statusSucceeded:
			c.Good++
		case !a.started && (a.status == statusCanceled || a.status == statusRemoved || a.status == statusRejected):
			c.Void++
		default:
			c.Harmed++
		}
	}
	return c
}

var (
	someThings = []string{"a", "b", "c"}
	someJobs   = []uint64{1, 2, 3, 4}
)

// Shows, over random histories: transitions are legal and versions have no gaps; what a device is told over any span of
// commits is exactly what differs between its ends; lists are in order; tallies add up to a recount; the indexes hold
// what the rows say. coretest adds that the state is the fold of the events.
func TestRandomHistories(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		t := drawn{t, rt}
		r := newRun(t)
		now := model{}
		past := []model{{}} // after each commit
		commits := []int{0} // how many entries there were then
		sums := map[uint64]tally.Counts{}
		absorb := func() {
			for _, p := range r.History[commits[len(commits)-1]:] {
				now.fold(t, p)
			}
			for _, x := range tally.Of(r.Fresh) {
				c := sums[x.Job]
				c.Add(x)
				sums[x.Job] = c
			}
			past = append(past, maps.Clone(now))
			commits = append(commits, len(r.History))
		}
		for _, job := range someJobs {
			r.open(job, rapid.SampledFrom([]uint32{0, 1, 3}).Draw(rt, "timeout"))
			absorb()
		}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			r.Now += rapid.Int64Range(0, 40_000).Draw(rt, "later")
			randomStep(rt, r)
			absorb()
			if len(readStops(r.State)) == 0 {
				span := rapid.IntRange(0, len(commits)-1).Draw(rt, "span")
				checkTold(t, past[span], now, r.Core.Notify(r.State, r.Now, r.History[commits[span]:]))
			}
			checkIndexes(t, r.State)
		}
		for _, job := range someJobs {
			refused := sums[job].Refused
			want := now.counts(job)
			want.Refused = refused
			if sums[job] != want {
				t.Fatalf("job %d: the tallies say %+v, a recount %+v", job, sums[job], want)
			}
		}
	})
}

func randomStep(rt *rapid.T, r run) {
	thing := rapid.SampledFrom(someThings).Draw(rt, "thing")
	job := rapid.SampledFrom(someJobs).Draw(rt, "job")
	switch rapid.IntRange(0, 10).Draw(rt, "kind") {
	case 0, 1, 2:
		r.release(job, rapid.Permutation(someThings).Draw(rt, "things")[:rapid.IntRange(1, 3).Draw(rt, "n")]...)
	case 3:
		r.Decide(&v1.StartNext{Thing: thing, StepTimeoutMinutes: rapid.Int32Range(-1, 2).Draw(rt, "step")})
	case 4, 5, 6:
		cmd := &v1.UpdateExecution{
			Thing: thing, JobId: jobID(job), Status: v1.ExecutionStatus(rapid.Int32Range(1, 5).Draw(rt, "status")),
			ExpectedVersion: rapid.Uint64Range(0, 3).Draw(rt, "version"), StepTimeoutMinutes: rapid.Int32Range(-1, 2).Draw(rt, "step"),
			ClientToken: rapid.SampledFrom([]string{"", "x"}).Draw(rt, "token"), ReplaceDetails: rapid.Bool().Draw(rt, "replace"),
		}
		if _, err := r.Decide(cmd); err == nil && tally.Ended(cmd.Status) && cmd.ClientToken != "" && len(r.Fresh) > 0 {
			fresh, next := r.Fresh, r.Next
			if _, err := r.Decide(cmd); err != nil || len(r.Fresh) != 0 {
				rt.Fatalf("the repeat of %v: %v, %v", cmd, err, r.Fresh)
			}
			r.Fresh, r.Next = fresh, next
		}
	case 7:
		r.Decide(&v1.CancelExecution{Thing: thing, JobId: jobID(job), Force: rapid.Bool().Draw(rt, "force")})
	case 8:
		if rapid.IntRange(0, 4).Draw(rt, "stop?") == 0 {
			r.stop(job, rapid.Bool().Draw(rt, "force"))
		} else {
			r.Fresh = nil
		}
	case 9:
		r.Due()
	case 10:
		if rapid.IntRange(0, 9).Draw(rt, "forget?") == 0 {
			r.forget(thing)
		} else {
			r.Fresh = nil
		}
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
		was, is := before.list(thing), now.list(thing)
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
	}
	for _, table := range []byte{tablePending, tableDeadline} {
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
