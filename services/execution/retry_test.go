package execution

import (
	"fmt"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
	"github.com/droverhq/drover/services/core/coretest"
)

func retries(failure v1.FailureType, n uint32) *v1.RetryCriterion {
	return &v1.RetryCriterion{Failure: failure, Retries: n}
}

const (
	onFailed   = v1.FailureType_FAILURE_TYPE_FAILED
	onTimedOut = v1.FailureType_FAILURE_TYPE_TIMED_OUT
	onAll      = v1.FailureType_FAILURE_TYPE_ALL
)

// openWith opens a job with a timeout of 5 minutes as rollout would.
func (r run) openWith(job uint64, edit func(o *v1.JobOpened)) {
	o := &v1.JobOpened{
		Job: job, JobId: jobID(job), Document: []byte(fmt.Sprintf(`{"job":%d}`, job)),
		Timeout: &v1.TimeoutConfig{InProgressTimeoutMinutes: 5},
	}
	edit(o)
	r.react(&v1.Event{Event: &v1.Event_JobOpened{JobOpened: o}})
}

func (r run) openRetried(job uint64, criteria ...*v1.RetryCriterion) {
	r.openWith(job, func(o *v1.JobOpened) { o.Retry = &v1.RetryConfig{Criteria: criteria} })
}

// fail ends the thing's attempt of job 1 so, after it was started.
func (r run) fail(thing string, to v1.ExecutionStatus) {
	r.T.Helper()
	r.must(&v1.StartNext{Thing: thing})
	if to == statusTimedOut {
		r.Now += 5 * minute
		r.Due()
		return
	}
	r.Now++
	if err := r.update(thing, 1, to); err != nil {
		r.T.Fatal(err)
	}
}

// Specification §4.8: what is followed by another attempt, and how often.
func TestAFailureIsFollowedByARetryWhileTheBudgetOfItsTypeLasts(t *testing.T) {
	f, x := statusFailed, statusTimedOut
	for _, c := range []struct {
		name     string
		criteria []*v1.RetryCriterion
		ends     []v1.ExecutionStatus
		retried  []bool
	}{
		{"no configuration", nil, []v1.ExecutionStatus{f}, []bool{false}},
		{"of no retries", []*v1.RetryCriterion{retries(onFailed, 0)}, []v1.ExecutionStatus{f}, []bool{false}},
		{"two after FAILED", []*v1.RetryCriterion{retries(onFailed, 2)}, []v1.ExecutionStatus{f, f, f}, []bool{true, true, false}},
		{"FAILED does not allow TIMED_OUT", []*v1.RetryCriterion{retries(onFailed, 2)}, []v1.ExecutionStatus{f, x}, []bool{true, false}},
		{"TIMED_OUT does not allow FAILED", []*v1.RetryCriterion{retries(onTimedOut, 2)}, []v1.ExecutionStatus{x, f}, []bool{true, false}},
		{"each type has its own", []*v1.RetryCriterion{retries(onFailed, 1), retries(onTimedOut, 2)}, []v1.ExecutionStatus{x, f, x, x}, []bool{true, true, true, false}},
		{"ALL is shared", []*v1.RetryCriterion{retries(onAll, 2)}, []v1.ExecutionStatus{x, f, x}, []bool{true, true, false}},
		{"ten, and no more", []*v1.RetryCriterion{retries(onFailed, 10)}, []v1.ExecutionStatus{f, f, f, f, f, f, f, f, f, f, f}, []bool{true, true, true, true, true, true, true, true, true, true, false}},
		{"success ends it", []*v1.RetryCriterion{retries(onAll, 2)}, []v1.ExecutionStatus{f, statusSucceeded}, []bool{true, false}},
		{"REJECTED ends it", []*v1.RetryCriterion{retries(onAll, 2)}, []v1.ExecutionStatus{statusRejected}, []bool{false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(t)
			r.openRetried(1, c.criteria...)
			r.release(1, "t")
			for i, to := range c.ends {
				r.Now += 1000
				r.fail("t", to)
				change := r.Fresh[0].GetEvent().GetExecutionChanged()
				if change.GetTo() != to || change.GetRetryDue() != c.retried[i] {
					t.Fatalf("end %d: %v", i+1, change)
				}
				if !c.retried[i] {
					if len(r.Fresh) != 1 || r.pending("t") != "|" {
						t.Errorf("end %d: it goes on: %s", i+1, coretest.Text(r.Fresh))
					}
					continue
				}
				e := r.describe("t", 1)
				if e.Status != statusQueued || e.ExecutionNumber != uint64(i+2) || e.RetryAttempt != uint32(i+1) || e.VersionNumber != 1 || e.QueuedAtMs != r.Now || e.StartedAtMs != 0 {
					t.Errorf("after end %d: %v", i+1, e)
				}
				if reason := r.Fresh[1].GetReason(); reason.GetCode() != v1.ReasonCode_REASON_CODE_RETRY || reason.GetNumbers()[2] != int64(to) {
					t.Errorf("after end %d: reason %v", i+1, reason)
				}
			}
		})
	}
}

func TestARetryGoesToTheEndOfTheQueueAndIsToldOnce(t *testing.T) {
	r := newRun(t)
	r.openRetried(1, retries(onFailed, 3))
	r.open(2, 0)
	r.release(1, "t", "u")
	r.Now++
	r.release(2, "t")
	r.fail("t", statusFailed)
	told := r.Notify()
	if len(told) != 1 || ids(told[0].List.GetQueued()) != "2 1" || told[0].Head.GetExecution().GetJobId() != "job-2" {
		t.Errorf("got %v", told)
	}
	// With nothing else in the queue, the next attempt is another head (U12).
	r.fail("u", statusFailed)
	told = r.Notify()
	if len(told) != 1 || ids(told[0].List.GetQueued()) != "1" || told[0].Head.GetExecution().GetExecutionNumber() != 2 {
		t.Errorf("got %v", told)
	}
}

func TestEarlierAttemptsAreFoundByNumber(t *testing.T) {
	r := newRun(t)
	r.openRetried(1, retries(onAll, 2))
	r.release(1, "t")
	r.fail("t", statusFailed)
	r.fail("t", statusTimedOut)
	for number, want := range []v1.ExecutionStatus{statusQueued, statusFailed, statusTimedOut, statusQueued} {
		q := &v1.DescribeExecution{Thing: "t", JobId: "job-1", ExecutionNumber: uint64(number), IncludeEnded: true}
		reply, err := r.Answer(q)
		if err != nil {
			t.Fatal(err)
		}
		if e := reply.(*v1.DescribeExecutionReply).Execution; e.Status != want || number > 0 && e.ExecutionNumber != uint64(number) {
			t.Errorf("%d: %v", number, e)
		}
		q.IncludeEnded = false
		if _, err := r.Answer(q); code(err) != map[bool]v1.RefusalCode{true: terminal, false: ok}[want != statusQueued] {
			t.Errorf("%d, asked by the device: %v", number, err)
		}
	}
	if _, err := r.Decide(&v1.UpdateExecution{Thing: "t", JobId: "job-1", ExecutionNumber: 1, Status: statusSucceeded}); code(err) != badTransition {
		t.Errorf("a report for the first: %v", err)
	}
	if _, err := r.Decide(&v1.UpdateExecution{Thing: "t", JobId: "job-1", ExecutionNumber: 4, Status: statusSucceeded}); code(err) != notFound {
		t.Errorf("a report for the fourth: %v", err)
	}
}

// A device that had no answer to the report that ended its attempt sends it again, and must not end the retry with it.
func TestTheRepeatOfTheUpdateBeforeARetryIsAcceptedAndWritesNothing(t *testing.T) {
	r := newRun(t)
	r.openRetried(1, retries(onFailed, 2))
	r.release(1, "t")
	r.must(&v1.StartNext{Thing: "t"})
	report := &v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: statusFailed, ClientToken: "c"}
	r.must(report)
	for _, number := range []uint64{0, 1} {
		report.ExecutionNumber = number
		reply := r.must(report).(*v1.UpdateExecutionReply)
		if len(r.Fresh) != 0 || reply.State.Status != statusFailed || reply.State.VersionNumber != 3 {
			t.Errorf("number %d: %v, %s", number, reply, coretest.Text(r.Fresh))
		}
	}
	// Once the retry has started, the same report is about that.
	r.must(&v1.StartNext{Thing: "t"})
	report.ExecutionNumber = 0
	if r.must(report); len(r.Fresh) != 2 {
		t.Errorf("got %s", coretest.Text(r.Fresh))
	}
}

// Specification §4.8, "Stops", and §2.6.
func TestWhatHoldsRetriesBack(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(r run)
	}{
		{"the job is canceled", func(r run) { r.stop(1, false) }},
		{"and the stop is settled", func(r run) { r.stop(1, false); r.Due() }},
		{"the job has ended", func(r run) { r.stopAs(1, phaseEnded) }},
		{"retries are set to 0", func(r run) {
			r.change(&v1.JobChanged{Job: 1, Retry: &v1.RetryConfig{Criteria: []*v1.RetryCriterion{retries(onAll, 0)}}})
		}},
		{"the thing left the targets", func(r run) { r.withdraw(1, "t") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(t)
			r.openRetried(1, retries(onAll, 5))
			r.release(1, "t")
			r.must(&v1.StartNext{Thing: "t"})
			c.do(r)
			if err := r.update("t", 1, statusFailed); err != nil {
				t.Fatal(err)
			}
			if len(r.Fresh) != 1 || r.Fresh[0].GetEvent().GetExecutionChanged().GetRetryDue() {
				t.Errorf("got %s", coretest.Text(r.Fresh))
			}
		})
	}
}

func (r run) stopAs(job uint64, phase v1.JobPhase) {
	r.react(&v1.Event{Event: &v1.Event_JobStopped{JobStopped: &v1.JobStopped{Job: job, Phase: phase}}})
}

func (r run) change(c *v1.JobChanged) {
	r.react(&v1.Event{Event: &v1.Event_JobChanged{JobChanged: c}})
}

func (r run) withdraw(job uint64, things ...string) {
	e := &v1.ThingsWithdrawn{Job: job}
	for _, t := range things {
		e.Things = append(e.Things, &v1.ThingRef{Name: t, Number: number(t)})
	}
	r.react(&v1.Event{Event: &v1.Event_ThingsWithdrawn{ThingsWithdrawn: e}})
}

func TestAChangeOfTheTimeoutBindsLaterStartsOnly(t *testing.T) {
	r := newRun(t)
	r.open(1, 5)
	r.release(1, "t", "u")
	r.must(&v1.StartNext{Thing: "t"})
	r.change(&v1.JobChanged{Job: 1, Rollout: &v1.RolloutConfig{MaximumPerMinute: 1}})
	if len(r.Fresh) != 0 {
		t.Errorf("the pace is nothing to a home: %s", coretest.Text(r.Fresh))
	}
	r.change(&v1.JobChanged{Job: 1, Timeout: &v1.TimeoutConfig{InProgressTimeoutMinutes: 9}})
	r.must(&v1.StartNext{Thing: "u"})
	if a, b := r.describe("t", 1).DeadlineMs-r.Now, r.describe("u", 1).DeadlineMs-r.Now; a != 5*minute || b != 9*minute {
		t.Errorf("deadlines in %d and %d ms", a, b)
	}
	r.change(&v1.JobChanged{Job: 1, Timeout: &v1.TimeoutConfig{}, PresignedUrl: &v1.PresignedUrlConfig{RoleArn: "role", ExpiresInSeconds: 60}})
	if j, _ := readJob(r.State, 1); string(j.roleARN) != "role" || j.expiresInSeconds != 60 {
		t.Errorf("it keeps %+v", j)
	}
	r.release(1, "v")
	r.must(&v1.StartNext{Thing: "v"})
	if e := r.describe("v", 1); e.DeadlineMs != 0 {
		t.Errorf("got %v", e)
	}
}

// One call makes two events of each timer, and no more than a step holds.
func TestThousandsOfTimersWithRetriesGoOffInBoundedSteps(t *testing.T) {
	r := newRun(t)
	r.Seldom = true
	r.openRetried(1, retries(onTimedOut, 1))
	const n = 1200
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("thing-%04d", i))
	}
	r.release(1, names[:n/2]...)
	r.release(1, names[n/2:]...)
	for _, name := range names {
		r.must(&v1.StartNext{Thing: name})
	}
	r.Now += 5 * minute
	if got := len(r.Due()); got != 2*n || r.Next != core.Never {
		t.Errorf("%d of %d events; look again at %d", got, 2*n, r.Next)
	}
}

// Specification §4.7: who joins again gets another execution, with all its retries.
func TestWhoJoinsAgainGetsAnotherExecution(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(r run)
		want string
	}{
		{"after SUCCEEDED", func(r run) { r.fail("t", statusSucceeded) }, "JOINED 2"},
		{"after its retries", func(r run) { r.fail("t", statusFailed); r.fail("t", statusFailed) }, "JOINED 3"},
		{"after it was removed", func(r run) { r.withdraw(1, "t") }, "JOINED 2"},
		{"while it is queued", func(r run) {}, "ALREADY_QUEUED 1"},
		{"while it is in progress", func(r run) { r.must(&v1.StartNext{Thing: "t"}) }, "ALREADY_QUEUED 1"},
		{"after it was deleted", func(r run) { r.must(&v1.DeleteExecution{Thing: "t", JobId: "job-1", ExecutionNumber: 1, Force: true}) }, "JOINED 2"},
		{"after a retry was deleted", func(r run) {
			r.fail("t", statusFailed)
			r.must(&v1.DeleteExecution{Thing: "t", JobId: "job-1", ExecutionNumber: 2, Force: true})
		}, "JOINED 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(t)
			r.openRetried(1, retries(onFailed, 1))
			r.release(1, "t")
			c.do(r)
			r.join(1, "t")
			reason := r.Fresh[len(r.Fresh)-1].GetReason()
			e := r.describe("t", 1)
			if got := fmt.Sprint(reason.GetCode().Word(), " ", e.ExecutionNumber); got != c.want || e.RetryAttempt != 0 {
				t.Errorf("got %s (%v), want %s", got, e, c.want)
			}
			if reason.GetCode() == v1.ReasonCode_REASON_CODE_JOINED {
				r.fail("t", statusFailed)
				if e := r.describe("t", 1); e.RetryAttempt != 1 || e.Status != statusQueued {
					t.Errorf("its budget is not new: %v", e)
				}
			}
		})
	}
}

func (r run) join(job uint64, things ...string) {
	e := &v1.ExecutionsReleased{Job: job, Joined: true}
	for _, t := range things {
		e.Things = append(e.Things, &v1.ThingRef{Name: t, Number: number(t)})
	}
	r.react(&v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: e}})
}

// Who left in the middle of an execution and is back before it ends has all retries before it. (specification §4.7)
func TestAJoinTakesAWithdrawalBack(t *testing.T) {
	for _, c := range []struct {
		name     string
		criteria []*v1.RetryCriterion
		used     []v1.ExecutionStatus // before it leaves
		leaves   bool
		left     int // retries that follow
	}{
		{"nothing used", []*v1.RetryCriterion{retries(onFailed, 2)}, nil, true, 2},
		{"one used", []*v1.RetryCriterion{retries(onFailed, 2)}, []v1.ExecutionStatus{statusFailed}, true, 2},
		{"all used", []*v1.RetryCriterion{retries(onFailed, 2)}, []v1.ExecutionStatus{statusFailed, statusFailed}, true, 2},
		{"others used", []*v1.RetryCriterion{retries(onFailed, 1), retries(onTimedOut, 2)}, []v1.ExecutionStatus{statusTimedOut, statusTimedOut}, true, 1},
		{"shared with others", []*v1.RetryCriterion{retries(onAll, 3)}, []v1.ExecutionStatus{statusTimedOut, statusFailed}, true, 3},
		{"it never left", []*v1.RetryCriterion{retries(onFailed, 2)}, []v1.ExecutionStatus{statusFailed}, false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(t)
			r.openRetried(1, c.criteria...)
			r.release(1, "t")
			for _, status := range c.used {
				r.fail("t", status)
			}
			r.must(&v1.StartNext{Thing: "t"})
			if c.leaves {
				r.withdraw(1, "t")
			}
			r.join(1, "t")
			if e := r.Fresh[0].GetEvent().GetReleaseRefused(); e.GetRejoined() != c.leaves {
				t.Errorf("its release is refused with %v", e)
			}
			if e := r.describe("t", 1); e.ExecutionNumber != uint64(len(c.used)+1) || e.Status != statusInProgress {
				t.Errorf("it has %v", e)
			}
			n := -1
			for e := r.describe("t", 1); !ended(e.Status); e = r.describe("t", 1) {
				n++
				r.Now++
				if err := r.update("t", 1, statusFailed); err != nil {
					t.Fatal(err)
				}
			}
			if n != c.left {
				t.Errorf("%d retries follow, want %d", n, c.left)
			}
		})
	}
}
