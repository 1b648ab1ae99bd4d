package rollout

import (
	"fmt"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// createWith creates job 7 as it is given.
func (r run) createWith(e *v1.JobCreated) {
	e.Job, e.JobId = 7, "job-7"
	r.React(id.JobLog.Position(7, 0), &v1.Event{Event: &v1.Event_JobCreated{JobCreated: e}})
}

func (r run) update(e *v1.JobUpdated) {
	e.Job = 7
	r.React(id.JobLog.Position(8, 0), &v1.Event{Event: &v1.Event_JobUpdated{JobUpdated: e}})
}

// succeed lets so many attempts of a job succeed.
func (r run) succeed(n int64) {
	r.Observe(&v1.HomeTally{Home: 0, UpTo: 1, Tallies: []*v1.ObservedTally{{Job: 7, Attempts: ended(n, 0, 0, 0)}}})
}

// ended is a change of attempts: succeeded, failed, rejected, timed out.
func ended(counts ...int64) (list []*v1.ObservedCount) {
	for i, status := range []v1.ExecutionStatus{
		v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED, v1.ExecutionStatus_EXECUTION_STATUS_FAILED,
		v1.ExecutionStatus_EXECUTION_STATUS_REJECTED, v1.ExecutionStatus_EXECUTION_STATUS_TIMED_OUT,
	} {
		if i < len(counts) && counts[i] != 0 {
			list = append(list, &v1.ObservedCount{Status: status, Count: counts[i]})
		}
	}
	return list
}

// table is the example of the specification: 50 a minute, doubled after every 1,000, at most 1,000.
func table() *v1.RolloutConfig {
	return &v1.RolloutConfig{MaximumPerMinute: 1000, Exponential: &v1.ExponentialRate{BasePerMinute: 50, IncrementFactorTenths: 20, NotifiedThings: 1000}}
}

// went lets time pass until a moment and returns when each thing was released, in ms since a beginning.
func (r run) went(began, until int64) (at []int64) {
	for {
		for range count(r.Due(), 7) {
			at = append(at, r.Now-began)
		}
		if r.Now == until {
			return at
		}
		r.Now = min(r.Next, until)
	}
}

// Shows the table of specification §4.10: how many have gone at each full minute, and at the ends of the steps to the
// millisecond. Never more than the rate of the moment in any 60 s, nor than a sixtieth of it in any second.
func TestSpec11_13TheTableOfExponentialRatesComesOutExactly(t *testing.T) {
	r := newRun(t)
	r.Seldom = true
	r.createWith(&v1.JobCreated{Rollout: table()})
	for i := range 8 {
		r.selects(7, i*1000, 1000)
	}
	began := r.Now
	at := r.went(began, began+41*minute)

	steps := []struct{ rate, until int64 }{{50, 1000}, {100, 2000}, {200, 3000}, {400, 4000}, {800, 5000}, {1000, 1 << 30}}
	ends := []int64{20 * minute, 30 * minute, 35 * minute, 37*minute + 30*second, 38*minute + 45*second}
	for i, end := range ends {
		if got := at[steps[i].until-1]; got != end {
			t.Errorf("thing %d went at %d ms, want %d", steps[i].until, got, end)
		}
	}
	// The table anew, by half seconds: thing by thing would be the code again.
	want := func(minutes int64) int64 {
		n := int64(0)
		for halves := minutes * 120; halves > 0; halves-- {
			for _, s := range steps {
				if n < s.until*120 {
					n += s.rate
					break
				}
			}
		}
		return n / 120
	}
	for m := int64(1); m <= 41; m++ {
		got := int64(0)
		for _, x := range at {
			if x <= m*minute {
				got++
			}
		}
		if got != want(m) {
			t.Errorf("after %d min %d have gone, want %d", m, got, want(m))
		}
	}
	rate := func(thing int) int64 {
		for _, s := range steps {
			if int64(thing) < s.until {
				return s.rate
			}
		}
		return 0
	}
	for i := range at {
		for _, w := range []struct{ length, most int64 }{{minute, rate(i)}, {second, (rate(i) + 59) / 60}} {
			if k := int64(i) - w.most; k >= 0 && at[i]-at[k] < w.length {
				t.Fatalf("thing %d: %d within %d ms", i+1, w.most+1, at[i]-at[k])
			}
		}
	}
}

func TestRatesAreWholeAndRoundedDown(t *testing.T) {
	for _, c := range []struct{ base, tenths, most, k, want uint64 }{
		{50, 20, 1000, 0, 50}, {50, 20, 1000, 4, 800}, {50, 20, 1000, 5, 1000}, {50, 20, 1000, 1 << 40, 1000},
		{1, 11, 1000, 1, 1}, {1, 11, 1000, 7, 1}, {1, 11, 1000, 8, 2}, {1, 11, 1000, 25, 10}, // 1.1^8 = 2.14, 1.1^25 = 10.83
		{16, 15, 1000, 4, 81}, {1024, 15, 1 << 30, 10, 59049}, {3, 50, 0, 9, 1000}, {2000, 20, 1000, 0, 1000},
		{4_000_000_000, 50, 4_000_000_000, 3, 1_000_000_000},
	} {
		r := rate{base: c.base, tenths: c.tenths, maximum: c.most, increases: c.k}
		if got := r.perMinute(); got != c.want {
			t.Errorf("%d·%d/10^%d up to %d: %d, want %d", c.base, c.tenths, c.k, c.most, got, c.want)
		}
	}
}

func TestSuccessesIncreaseTheRateAndOfBothCriteriaTheLargerCounts(t *testing.T) {
	for _, c := range []struct {
		name                string
		notified, succeeded uint64
		want                string
	}{
		{"succeeded", 0, 10, "60 120 240"},
		{"both, succeeded is ahead", 1000, 10, "60 120 240"},
		{"both, notified is ahead", 5, 1000, "120 120 120"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(t)
			r.createWith(&v1.JobCreated{Rollout: &v1.RolloutConfig{MaximumPerMinute: 1000, Exponential: &v1.ExponentialRate{
				BasePerMinute: 60, IncrementFactorTenths: 20, NotifiedThings: c.notified, SucceededThings: c.succeeded}}})
			r.selects(7, 0, 500)
			r.went(0, r.Now+5*second)
			got := fmt.Sprint(readJob(r.State, 7).pace.perMinute)
			for range 2 {
				r.succeed(10)
				got += fmt.Sprint(" ", readJob(r.State, 7).pace.perMinute)
			}
			if got != c.want {
				t.Errorf("rates %s, want %s", got, c.want)
			}
			r.succeed(-10) // an execution was deleted: what was reached stays
			if now := fmt.Sprint(readJob(r.State, 7).pace.perMinute); c.want[len(c.want)-3:] != now {
				t.Errorf("then %s", now)
			}
		})
	}
}

func TestAReleaseSaysItsRateAndItsIncreases(t *testing.T) {
	r := newRun(t)
	r.createWith(&v1.JobCreated{Rollout: &v1.RolloutConfig{Exponential: &v1.ExponentialRate{BasePerMinute: 60, IncrementFactorTenths: 20, NotifiedThings: 2}}})
	r.selects(7, 0, 10)
	r.went(0, r.Now+2*second)
	r.Now += 500
	r.Due()
	reason := r.Fresh[0].GetReason()
	if reason.GetCode() != v1.ReasonCode_REASON_CODE_EXPONENTIAL_PACE || fmt.Sprint(reason.GetNumbers()) != "[120 2 1]" {
		t.Errorf("reason %v", reason)
	}
}

func TestAnUpdateHoldsFromThenOnAndIncreasesFollowFromTheCounts(t *testing.T) {
	r := newRun(t)
	r.createWith(&v1.JobCreated{Rollout: &v1.RolloutConfig{MaximumPerMinute: 600}})
	r.selects(7, 0, 1000)
	began := r.Now
	if n := len(r.went(began, began+3*second)); n != 30 {
		t.Fatalf("%d in 3 s", n)
	}
	faster := &v1.RolloutConfig{MaximumPerMinute: 6000, Exponential: &v1.ExponentialRate{BasePerMinute: 300, IncrementFactorTenths: 20, NotifiedThings: 15}}
	r.update(&v1.JobUpdated{Rollout: faster})
	wantKinds(t, r.Fresh, "JobChanged ")
	j := readJob(r.State, 7)
	if j.rate.increases != 2 || j.pace.perMinute != 1200 {
		t.Errorf("after 30 of 15 each: increased %d times, %d a minute", j.rate.increases, j.pace.perMinute)
	}
	// A lower pace holds at once: 30 have gone within a minute, so none goes before that.
	r.update(&v1.JobUpdated{Rollout: &v1.RolloutConfig{MaximumPerMinute: 30}})
	at := r.went(began, began+2*minute)
	if len(at) == 0 || at[0] < minute {
		t.Errorf("the first went at %d ms", at[0])
	}
	// No pace at all.
	r.update(&v1.JobUpdated{Rollout: &v1.RolloutConfig{}})
	if n := count(r.Due(), 7); n != 970-len(at) {
		t.Errorf("%d without a pace", n)
	}
	r.update(&v1.JobUpdated{Description: new(string)})
	wantKinds(t, r.Fresh, "")
}

// Woken for several slots at once, some of which belong to the next rate: what fills a count goes at the rate of that
// count, and the rest at the next.
func TestOneReleaseNeverCrossesAnIncrease(t *testing.T) {
	r := newRun(t)
	r.createWith(&v1.JobCreated{Rollout: &v1.RolloutConfig{MaximumPerMinute: 100_000, Exponential: &v1.ExponentialRate{
		BasePerMinute: 600, IncrementFactorTenths: 20, NotifiedThings: 5}}})
	r.selects(7, 0, 1000)
	total := int64(0)
	for range 4 {
		r.Now += 900
		for _, e := range r.Due() {
			n, things := e.GetReason().GetNumbers(), int64(len(e.GetEvent().GetExecutionsReleased().GetThings()))
			if n[1] != total || n[1]/5 != n[2] || n[1]+things > 5*(n[2]+1) {
				t.Fatalf("%d things after %d at %d a minute, increased %d times", things, n[1], n[0], n[2])
			}
			total += things
		}
	}
	if total < 20 {
		t.Errorf("the test is too small: %d", total)
	}
}
