package rollout

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// ledger is what a reader makes of log.rollout, for one job, without the core's help.
type ledger struct {
	t        testing.TB
	came     map[string]int // of a thing: how often it came, and how often it went away again
	gone     map[string]int
	total    int
	dropped  int
	released int
	inCommit map[uint64]int
	stopped  bool
	closed   bool
	opens    bool // its window; true without one
}

func (l *ledger) read(number uint64, e *v1.Event) {
	switch x := e.GetEvent().(type) {
	case *v1.Event_ThingsWaiting:
		l.wait(x.ThingsWaiting.Things)
	case *v1.Event_ThingsJoined:
		l.wait(x.ThingsJoined.Things)
	case *v1.Event_JobStopped:
		l.stopped = true
	case *v1.Event_JobClosed:
		l.closed = true
	case *v1.Event_WindowOpened:
		l.opens = true
	case *v1.Event_WindowClosed:
		l.opens = false
	case *v1.Event_ExecutionsReleased:
		if l.stopped || l.closed || !l.opens {
			l.t.Fatalf("commit %d releases: stopped %v, closed %v, window open %v", number, l.stopped, l.closed, l.opens)
		}
		for _, ref := range x.ExecutionsReleased.Things {
			if l.gone[ref.Name]++; l.gone[ref.Name] > l.came[ref.Name] {
				l.t.Fatalf("commit %d releases %s once more than it came", number, ref.Name)
			}
		}
		l.released += len(x.ExecutionsReleased.Things)
		l.inCommit[number] += len(x.ExecutionsReleased.Things)
	case *v1.Event_ThingsDropped:
		l.dropped += int(x.ThingsDropped.Things)
	}
}

func (l *ledger) wait(things []*v1.ThingRef) {
	for _, ref := range things {
		l.came[ref.Name]++
		l.total++
	}
}

// Shows, over random histories of one job: nothing is released in or after the commit that stops it nor while its window
// is closed; a thing is released or dropped once for each time that it came; what a commit of a careful job holds is
// bounded; the counts add up; deciding again changes nothing; a stopped job comes to its end.
func TestHistoriesOfAJobKeepTheirPromises(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		t := drawn{t, rt}
		r := newRun(t)
		r.Seldom = true
		l := &ledger{t: t, came: map[string]int{}, gone: map[string]int{}, inCommit: map[uint64]int{}, opens: true}
		created := &v1.JobCreated{TargetSelection: continuous, Rollout: drawRollout(rt)}
		if rapid.Bool().Draw(rt, "careful") {
			created.Abort = abortOn(on(byAny, rapid.Uint32Range(1, 10_000).Draw(rt, "threshold"), rapid.Uint32Range(1, 40).Draw(rt, "least")))
		}
		if rapid.Bool().Draw(rt, "windowed") {
			created.Scheduling = &v1.SchedulingConfig{Windows: []*v1.MaintenanceWindow{{}}, FirstWindowMs: r.Now}
			l.opens = false
		}
		r.createWith(created)
		read, things, out := 0, 0, 0 // history read; things named; released and not ended
		catchUp := func() {
			for ; read < len(r.History); read++ {
				l.read(r.History[read].Number, r.History[read].Entry.Event)
			}
		}
		most := 0 // the largest bound there was
		bound := func() { j := readJob(r.State, 7); most = max(most, int(j.bound())) }
		bound()
		steps := map[string]func(){
			"selects": func() {
				n := rapid.IntRange(1, 60).Draw(rt, "n")
				r.selects(7, things, n)
				things += n
			},
			"joins": func() { // new ones, or such as were there
				from := rapid.IntRange(0, things).Draw(rt, "from")
				n := rapid.IntRange(1, 20).Draw(rt, "n")
				r.joins(7, from, n)
				things = max(things, from+n)
			},
			"leaves": func() {
				if things > 0 {
					from := rapid.IntRange(0, things-1).Draw(rt, "from")
					r.leaves(7, from, rapid.IntRange(1, 30).Draw(rt, "n"))
				}
			},
			"time":   func() { r.Now += rapid.Int64Range(0, 20_000).Draw(rt, "ms") },
			"due":    func() { r.Due() },
			"wake":   func() { r.Now = max(r.Now, min(r.Next, r.Now+minute)); r.Due() },
			"blind":  func() { r.Blind = !r.Blind },
			"opens":  func() { r.windowOpens(r.Now + 1) },
			"closes": func() { r.windowCloses(r.Now + 1) },
			"update": func() { r.update(&v1.JobUpdated{Rollout: drawRollout(rt)}); bound() },
			"tally": func() {
				catchUp()
				n := rapid.IntRange(0, l.released-out).Draw(rt, "n")
				out += n
				good := rapid.IntRange(0, n).Draw(rt, "good")
				r.Observe(&v1.HomeTally{Home: uint32(n % 2), UpTo: r.History[len(r.History)-1].Number, Tallies: []*v1.ObservedTally{
					{Job: 7, Attempts: ended(int64(good), int64(n-good)), Good: int64(good), Harmed: int64(n - good)}}})
				bound()
			},
		}
		for range rapid.IntRange(1, 50).Draw(rt, "steps") {
			steps[rapid.SampledFrom([]string{"selects", "selects", "joins", "leaves", "time", "due", "due", "wake", "wake", "blind", "opens", "closes", "update", "tally"}).Draw(rt, "step")]()
			catchUp()
			j := readJob(r.State, 7)
			if got, want := int(j.waiting()), l.total-l.released-l.dropped; got != want {
				t.Fatalf("%d wait, want %d", got, want)
			}
		}
		if created.Abort != nil {
			for number, n := range l.inCommit {
				if n > most {
					t.Fatalf("commit %d releases %d, bound %d", number, n, most)
				}
			}
		}
		// What is due and cannot be done now is not done by asking again.
		r.Blind = true
		r.Due()
		if r.Due(); len(r.Fresh) != 0 {
			t.Fatalf("decided again: %s", kinds(r.Fresh))
		}
		stop := rapid.SampledFrom([]string{"cancel", "force", "end"}).Draw(rt, "stop")
		switch stop {
		case "end":
			r.ends(7, v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT)
		default:
			r.cancel(7, stop == "force")
		}
		r.joins(7, 0, 5) // targeting has not heard of it yet
		r.Due()
		catchUp()
		if l.released+l.dropped != l.total {
			t.Fatalf("%d came, %d were released, %d dropped", l.total, l.released, l.dropped)
		}
		j := readJob(r.State, 7)
		r.settleAll(7, j.stop)
		if left := int64(l.released - out); left > 0 {
			r.Observe(&v1.HomeTally{Home: 0, UpTo: 1, Tallies: []*v1.ObservedTally{{Job: 7, Void: left}}})
		}
		r.settleAll(7, closed)
		if j = readJob(r.State, 7); j.drained == 0 || (j.drained == closed) != j.completes {
			t.Fatalf("%s: drained %v", stop, j.drained)
		}
		r.deletes(7)
		r.settleAll(7, deleted)
		for r.Due(); r.Next == r.Now+1; r.Due() {
			r.Now++
		}
		if readJob(r.State, 7).opened {
			t.Fatal("it is not forgotten")
		}
	})
}

func drawRollout(rt *rapid.T) *v1.RolloutConfig {
	c := &v1.RolloutConfig{}
	if rapid.Bool().Draw(rt, "paced") {
		c.MaximumPerMinute = rapid.Uint32Range(1, 2000).Draw(rt, "most")
	}
	if rapid.Bool().Draw(rt, "exponential") {
		c.Exponential = &v1.ExponentialRate{
			BasePerMinute: rapid.Uint32Range(1, 300).Draw(rt, "base"), IncrementFactorTenths: rapid.Uint32Range(11, 50).Draw(rt, "tenths"),
			NotifiedThings: rapid.Uint64Range(0, 20).Draw(rt, "notified"), SucceededThings: rapid.Uint64Range(0, 20).Draw(rt, "succeeded"),
		}
	}
	return c
}

// Shows: whatever an exponential or updated rate does and whenever it is woken, in any 60 s no more go than the highest
// rate that held in them, and it is woken for something.
func TestRatesThatChangeKeepTheirWindows(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		t := drawn{t, rt}
		r := newRun(t)
		r.Seldom = true
		first := drawRollout(rt)
		first.MaximumPerMinute = max(first.MaximumPerMinute, 1)
		r.createWith(&v1.JobCreated{Rollout: first})
		r.selects(7, 0, 1000)
		type gone struct{ at, rate int64 }
		var all []gone
		for range rapid.IntRange(1, 80).Draw(rt, "steps") {
			if rapid.IntRange(0, 15).Draw(rt, "update") == 0 {
				c := drawRollout(rt)
				c.MaximumPerMinute = max(c.MaximumPerMinute, 1)
				r.update(&v1.JobUpdated{Rollout: c})
			}
			j := readJob(r.State, 7)
			if j.waiting() == 0 {
				return
			}
			r.Now = max(r.Now, r.Next) + rapid.Int64Range(0, 1500).Draw(rt, "late")
			r.Due()
			for _, e := range r.Fresh {
				if x := e.GetEvent().GetExecutionsReleased(); x != nil {
					rate := e.GetReason().GetNumbers()[0]
					for range x.Things {
						all = append(all, gone{r.Now, rate})
						i := len(all) - 1
						if k := i - int(rate); k >= 0 && all[i].at-all[k].at < minute {
							t.Fatalf("%d within %d ms at %d a minute", rate+1, all[i].at-all[k].at, rate)
						}
						if k := i - int((rate+59)/60); k >= 0 && all[i].at-all[k].at < second {
							t.Fatalf("%d within %d ms at %d a minute", (rate+59)/60+1, all[i].at-all[k].at, rate)
						}
					}
				}
			}
			if r.Next <= r.Now {
				t.Fatal(fmt.Sprint("look again at ", r.Next-r.Now))
			}
		}
	})
}
