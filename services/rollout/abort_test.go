package rollout

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

const (
	byFailed   = v1.FailureType_FAILURE_TYPE_FAILED
	byRejected = v1.FailureType_FAILURE_TYPE_REJECTED
	byTimedOut = v1.FailureType_FAILURE_TYPE_TIMED_OUT
	byAny      = v1.FailureType_FAILURE_TYPE_ALL
)

func abortOn(criteria ...*v1.AbortCriterion) *v1.AbortConfig {
	return &v1.AbortConfig{Criteria: criteria}
}

func on(kind v1.FailureType, hundredths, least uint32) *v1.AbortCriterion {
	return &v1.AbortCriterion{Failure: kind, ThresholdHundredths: hundredths, MinExecuted: least}
}

func (r run) tally(home uint32, upTo uint64, counts ...int64) {
	r.Observe(&v1.HomeTally{Home: home, UpTo: upTo, Tallies: []*v1.ObservedTally{{Job: 7, Attempts: ended(counts...)}}})
}

// Shows the example of specification §4.11 and what decides between criteria.
func TestSpec11_14TheFirstCriterionOfTheListThatIsMetAborts(t *testing.T) {
	example := abortOn(on(byFailed, 2000, 100), on(byTimedOut, 5000, 200))
	for _, c := range []struct {
		name     string
		criteria *v1.AbortConfig
		counts   []int64 // succeeded, failed, rejected, timed out
		want     int     // the criterion; -1 is none
	}{
		{"19.3 % of 150", example, []int64{121, 29}, -1},
		{"20 % of 150", example, []int64{120, 30}, 0},
		{"99 have ended", example, []int64{0, 99}, -1},
		{"100 have ended, 20 %", example, []int64{80, 20}, 0},
		{"half timed out of 199", example, []int64{99, 0, 0, 100}, -1},
		{"half timed out of 200", example, []int64{100, 0, 0, 100}, 1},
		{"both are met: the first", example, []int64{0, 100, 0, 100}, 0},
		{"both are met, the other way round", abortOn(on(byTimedOut, 5000, 200), on(byFailed, 2000, 100)), []int64{0, 100, 0, 100}, 0},
		{"rejected count as ended", abortOn(on(byFailed, 5000, 10)), []int64{0, 5, 6}, -1},
		{"rejected", abortOn(on(byRejected, 5000, 10)), []int64{0, 5, 6}, 0},
		{"all failures together", abortOn(on(byAny, 10_000, 3)), []int64{0, 1, 1, 1}, 0},
		{"all failures, one succeeded", abortOn(on(byAny, 10_000, 3)), []int64{1, 1, 1, 1}, -1},
		{"two decimals, below", abortOn(on(byFailed, 1, 1)), []int64{10_000, 1}, -1},
		{"two decimals, at it", abortOn(on(byFailed, 1, 1)), []int64{9999, 1}, 0},
		{"nothing has ended", abortOn(on(byFailed, 1, 0)), nil, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(t)
			r.createWith(&v1.JobCreated{Abort: c.criteria})
			r.tally(0, 3, c.counts...)
			if c.want < 0 {
				wantKinds(t, r.Fresh, "Observed ")
				return
			}
			wantKinds(t, r.Fresh, "Observed AbortTriggered JobStopped ")
			if got := r.Fresh[1].GetEvent().GetAbortTriggered(); int(got.Criterion) != c.want {
				t.Errorf("criterion %d, want %d", got.Criterion, c.want)
			}
		})
	}
}

func TestAnAbortCitesWhatMadeItTrueAndStopsWithoutForce(t *testing.T) {
	r := newRun(t)
	r.createWith(&v1.JobCreated{Rollout: &v1.RolloutConfig{MaximumPerMinute: 90}, Abort: abortOn(on(byRejected, 100, 1), on(byFailed, 2000, 100))})
	r.selects(7, 0, 100)
	r.went(0, r.Now+10*second)
	r.tally(0, 5, 75, 14)
	wantKinds(t, r.Fresh, "Observed ")
	r.Observe(
		&v1.HomeTally{Home: 0, UpTo: 6, Tallies: []*v1.ObservedTally{{Job: 7, Attempts: ended(0, 10)}}},
		&v1.HomeTally{Home: 1, UpTo: 9, Tallies: []*v1.ObservedTally{{Job: 6, Attempts: ended(0, 10)}, {Job: 7, Attempts: ended(1, 0)}}})
	want := &v1.AbortTriggered{
		Job: 7, Criterion: 1, Failure: byFailed, ThresholdHundredths: 2000, MinExecuted: 100, Failures: 24, Executed: 100,
		Crossing: id.ExecutionLog(1).Position(9, 0), Released: 15, Bound: 2,
		Counted: []*v1.Position{id.ExecutionLog(0).Position(6, 0), id.ExecutionLog(1).Position(9, 0)},
	}
	if got := r.Fresh[1].GetEvent().GetAbortTriggered(); !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if reason := r.Fresh[2].GetReason(); fmt.Sprint(reason.GetCode(), reason.GetNumbers()) != "REASON_CODE_ABORT_CRITERIA [1 24 100 2000]" {
		t.Errorf("reason %v", reason)
	}
	if got := r.Fresh[2].GetEvent().GetJobStopped(); got.Phase != stopped || got.Force || got.Completes {
		t.Errorf("stopped: %v", got)
	}
	r.tally(0, 7, 0, 50)
	wantKinds(t, r.Fresh, "Observed ") // once
	r.React(id.JobLog.Position(9, 0), &v1.Event{Event: &v1.Event_JobCancelStarted{JobCancelStarted: &v1.JobCancelStarted{Job: 7, Aborted: true}}})
	wantKinds(t, r.Fresh, "") // log.job has followed
}

// Commits are counted one after the other, and the first that meets a criterion is the crossing, whatever those behind it in
// the same call would make of the share.
func TestACrossingIsTheCommitThatMeetsACriterion(t *testing.T) {
	type commit struct {
		home   uint32
		number uint64
		counts []int64 // succeeded, failed
	}
	for _, c := range []struct {
		name    string
		commits []commit
		want    string // crossing; failures of executed; up to where homes were counted
	}{
		{"the last", []commit{{0, 6, []int64{1, 1}}, {0, 7, []int64{0, 2}}}, "0@7 3 of 4, 0@7 "},
		{"not the last of its home", []commit{{0, 6, []int64{1, 3}}, {0, 7, []int64{0, 1}}, {0, 8, []int64{0, 1}}}, "0@6 3 of 4, 0@6 "},
		{"not of the last home", []commit{{0, 6, []int64{1, 3}}, {1, 9, []int64{1, 0}}}, "0@6 3 of 4, 0@6 1@8 "},
		{"others have been counted before", []commit{{1, 9, []int64{0, 1}}, {0, 6, []int64{0, 3}}, {1, 12, []int64{1, 0}}}, "0@6 4 of 4, 0@6 1@9 "},
		{"it would not be met in the end", []commit{{0, 6, []int64{2, 2}}, {1, 9, []int64{9, 0}}}, "0@6 2 of 4, 0@6 1@8 "},
		{"only together", []commit{{0, 6, []int64{0, 1}}, {1, 9, []int64{0, 1}}, {0, 7, []int64{2, 0}}}, "0@7 2 of 4, 0@7 1@9 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(t)
			r.createWith(&v1.JobCreated{Abort: abortOn(on(byFailed, 5000, 4))})
			var told []*v1.HomeTally
			all := map[v1.ExecutionStatus]int64{}
			for _, x := range c.commits {
				told = append(told, &v1.HomeTally{Home: x.home, UpTo: x.number, Tallies: []*v1.ObservedTally{{Job: 7, Attempts: ended(x.counts...)}}})
				for _, n := range ended(x.counts...) {
					all[n.Status] += n.Count
				}
			}
			r.Observe(told...)
			wantKinds(t, r.Fresh, "Observed AbortTriggered JobStopped ")
			a := r.Fresh[1].GetEvent().GetAbortTriggered()
			got := fmt.Sprintf("%d@%d %d of %d, ", a.Crossing.Home, a.Crossing.Number, a.Failures, a.Executed)
			for _, p := range a.Counted {
				got += fmt.Sprintf("%d@%d ", p.Home, p.Number)
			}
			if got != c.want {
				t.Errorf("crossed by %s; want %s", got, c.want)
			}
			j := readJob(r.State, 7) // what is recorded are the sums
			for status, n := range all {
				if j.counts.Attempts[status] != n {
					t.Errorf("%v: %d are counted, want %d", status, j.counts.Attempts[status], n)
				}
			}
		})
	}
}

func TestNewCriteriaMayBeMetAlready(t *testing.T) {
	r := newRun(t)
	r.createWith(&v1.JobCreated{})
	r.tally(0, 3, 1, 1)
	wantKinds(t, r.Fresh, "Observed ")
	r.update(&v1.JobUpdated{Abort: abortOn(on(byFailed, 5000, 2))})
	wantKinds(t, r.Fresh, "JobChanged AbortTriggered JobStopped ")
	if at := r.Fresh[1].GetEvent().GetAbortTriggered().GetCrossing(); at != nil {
		t.Errorf("crossing %v", at)
	}
}

func TestCriteriaThatAreTakenAwayAbortNothing(t *testing.T) {
	r := newRun(t)
	r.createWith(&v1.JobCreated{Abort: abortOn(on(byFailed, 5000, 2))})
	r.update(&v1.JobUpdated{Abort: &v1.AbortConfig{}})
	r.tally(0, 3, 0, 10)
	wantKinds(t, r.Fresh, "Observed ")
	r.Blind = true
	r.selects(7, 0, 10)
	if n := count(r.Due(), 7); n != 10 {
		t.Errorf("%d of 10 went without a current state", n)
	}
}

// Shows: nothing of a job with criteria goes without a current state, and in one at most the bound; other jobs go on.
func TestACarefulJobIsReleasedInACurrentStateOnlyAndLittleByLittle(t *testing.T) {
	for _, c := range []struct {
		pace  uint32
		bound int
	}{{0, 100}, {30, 1}, {90, 2}, {60_000, 1000}} {
		t.Run(fmt.Sprint(c.pace, " a minute"), func(t *testing.T) {
			r := newRun(t)
			r.createWith(&v1.JobCreated{Rollout: &v1.RolloutConfig{MaximumPerMinute: c.pace}, Abort: abortOn(on(byFailed, 2000, 1))})
			r.selects(7, 0, 1000)
			r.joins(7, 1000, 500)
			r.create(8, 0)
			r.selects(8, 0, 10)
			r.Blind = true
			r.Now += 2 * second
			if n := count(r.Due(), 0); n != 10 || len(releases(r.Fresh, 7)) > 0 {
				t.Errorf("blind: %d went, of job 7 %d", n, count(r.Fresh, 7))
			}
			r.Blind = false
			if n := count(r.Due(), 7); n < c.bound {
				t.Errorf("%d went", n)
			}
			inCommit := map[uint64]int{}
			for _, p := range r.History {
				if e := p.Entry.GetEvent().GetExecutionsReleased(); e.GetJob() == 7 {
					inCommit[p.Number] += len(e.Things)
				}
			}
			for number, n := range inCommit {
				if n > c.bound {
					t.Errorf("commit %d holds %d, want at most %d", number, n, c.bound)
				}
			}
		})
	}
}

func TestAnAbortAfterTheEndTimeCancels(t *testing.T) {
	r := newRun(t)
	r.createWith(&v1.JobCreated{Abort: abortOn(on(byFailed, 5000, 2))})
	r.ends(7, v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT)
	r.tally(0, 3, 0, 2)
	wantKinds(t, r.Fresh, "Observed AbortTriggered JobStopped ")
	if got := r.Fresh[2].GetEvent().GetJobStopped(); got.Phase != stopped || got.Completes {
		t.Errorf("stopped: %v", got)
	}
	// What log.job said of the end before it knew of the abort makes it no completion.
	r.ends(7, v1.EndBehavior_END_BEHAVIOR_FORCE_CANCEL)
	if got := r.Fresh[0].GetEvent().GetJobStopped(); got.GetPhase() != forceStopped || got.GetCompletes() {
		t.Errorf("stopped: %v", got)
	}
}

// Shows: a careful job whose state is current only seconds after each slot was due is released all the same, at its pace.
func TestACarefulJobThatWaitsForEachCurrentStateIsReleased(t *testing.T) {
	r := newRun(t)
	r.createWith(&v1.JobCreated{Rollout: &v1.RolloutConfig{MaximumPerMinute: 2}, Abort: abortOn(on(byFailed, 2000, 1))})
	r.selects(7, 0, 10)
	var went []int64
	for range 20 {
		r.Blind = true
		r.Due()
		r.Now = max(r.Now, r.Next) + 7*second // so long the ends are read
		r.Blind = false
		for range count(r.Due(), 7) {
			if went = append(went, r.Now); len(went) > 2 && r.Now-went[len(went)-3] < minute {
				t.Errorf("more than 2 went in %d ms", r.Now-went[len(went)-3])
			}
		}
	}
	if len(went) != 10 {
		t.Errorf("%d of 10 went", len(went))
	}
}
