package execution

import (
	"fmt"
	"strings"
	"testing"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
	"github.com/droverhq/drover/services/core/coretest"
)

func (r run) erase(job uint64) {
	r.react(&v1.Event{Event: &v1.Event_JobErased{JobErased: &v1.JobErased{Job: job}}})
}

// Specification §4.6: without force what has ended, with force what is pending too.
func TestAnOperatorDeletesWhatHasEndedAndByForceWhatIsPending(t *testing.T) {
	for _, from := range everyStatus {
		for _, force := range []bool{false, true} {
			t.Run(fmt.Sprint(statusName(from), " force ", force), func(t *testing.T) {
				r := put(t, from)
				before := r.describe("t", 1)
				_, err := r.Decide(&v1.DeleteExecution{Thing: "t", JobId: "job-1", ExecutionNumber: 1, Force: force})
				pending := from == statusQueued || from == statusInProgress
				if pending && !force {
					if code(err) != badTransition || len(r.Fresh) != 0 {
						t.Fatalf("got %v, %s", err, coretest.Text(r.Fresh))
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				d := r.Fresh[0].GetEvent().GetExecutionDeleted()
				if len(r.Fresh) != 1 || d.Status != from || !d.Last || d.RetryDue || d.QueuedAtMs != before.QueuedAtMs || d.StartedAtMs != before.StartedAtMs ||
					d.Thing.Number != number("t") || r.Fresh[0].Reason.Code != v1.ReasonCode_REASON_CODE_DELETED {
					t.Errorf("got %s", coretest.Text(r.Fresh))
				}
				if _, err := r.Answer(&v1.DescribeExecution{Thing: "t", JobId: "job-1", IncludeEnded: true}); code(err) != notFound {
					t.Errorf("it is there: %v", err)
				}
				if told := r.Notify(); (len(told) == 1) != pending {
					t.Errorf("told %v", told)
				}
				if _, err := r.Decide(&v1.DeleteExecution{Thing: "t", JobId: "job-1", ExecutionNumber: 1, Force: true}); code(err) != notFound {
					t.Errorf("again: %v", err)
				}
				r.release(1, "t")
				r.want("ALREADY_QUEUED") // it is not queued again
				r.Now += 10 * minute
				if r.Due(); len(r.Fresh) != 0 {
					t.Errorf("it goes on: %s", coretest.Text(r.Fresh))
				}
			})
		}
	}
}

func TestADeletionNamesItsExecution(t *testing.T) {
	r := newRun(t)
	r.openRetried(1, retries(onFailed, 2))
	r.release(1, "t")
	r.fail("t", statusFailed)
	r.fail("t", statusFailed)
	for _, c := range []struct {
		number uint64
		force  bool
		want   v1.RefusalCode
		last   bool
	}{
		{0, true, badRequest, false},
		{4, true, notFound, false},
		{3, false, badTransition, false},
		{1, false, ok, false},
		{1, false, notFound, false},
		{3, true, ok, true},
		{2, false, ok, false},
		{2, false, notFound, false},
	} {
		_, err := r.Decide(&v1.DeleteExecution{Thing: "t", JobId: "job-1", ExecutionNumber: c.number, Force: c.force})
		if code(err) != c.want {
			t.Fatalf("%d: got %v, want %v", c.number, err, c.want)
		}
		if err == nil && r.Fresh[0].GetEvent().GetExecutionDeleted().Last != c.last {
			t.Errorf("%d: %s", c.number, coretest.Text(r.Fresh))
		}
		if c.number == 3 && c.force {
			if e := r.describe("t", 1); e.ExecutionNumber != 2 || e.Status != statusFailed {
				t.Errorf("the latest that is left is %v", e)
			}
		}
	}
}

// Whatever a job has left at a home, nothing of it is there when the home has settled its deletion.
func TestAJobsDeletionLeavesNothing(t *testing.T) {
	r := newRun(t)
	r.openWith(1, func(o *v1.JobOpened) {
		o.Windowed, o.Scheduled = true, true
		o.Retry = &v1.RetryConfig{Criteria: []*v1.RetryCriterion{retries(onAll, 3)}}
	})
	r.open(2, 0)
	r.window(1, true)
	r.Due()
	things := []string{"queued", "running", "succeeded", "retried", "due", "deleted", "gone", "again", "t"}
	r.release(1, things...)
	r.release(2, "t")
	for _, name := range []string{"running", "due"} {
		r.must(&v1.StartNext{Thing: name})
	}
	r.fail("succeeded", statusSucceeded)
	r.fail("retried", statusFailed)
	r.must(&v1.DeleteExecution{Thing: "deleted", JobId: "job-1", ExecutionNumber: 1, Force: true})
	r.fail("again", statusSucceeded)
	r.join(1, "again")
	r.forget("gone")
	r.window(1, false)
	r.Due()
	if err := r.update("due", 1, statusFailed); err != nil {
		t.Fatal(err)
	}
	r.stopAs(1, phaseForceStopped)
	r.erase(1)
	r.erase(1)
	if len(r.Fresh) != 0 {
		t.Errorf("the second time: %s", coretest.Text(r.Fresh))
	}

	// Gone for whoever asks, before a slice has run.
	for _, name := range things {
		if _, err := r.Answer(&v1.DescribeExecution{Thing: name, JobId: "job-1", IncludeEnded: true}); code(err) != notFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.Decide(&v1.UpdateExecution{Thing: "running", JobId: "job-1", Status: statusSucceeded}); code(err) != notFound {
		t.Errorf("a report: %v", err)
	}
	entries := r.Due()
	if s := entries[len(entries)-1].GetEvent().GetHomeSettled(); s.GetPhase() != phaseDeleted {
		t.Errorf("it ends with %v", s)
	}
	if left := rowsOf(r.State, 1); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if r.pending("t") != "|2" {
		t.Errorf("t has %s", r.pending("t"))
	}
	r.release(1, "new")
	r.want("JOB_UNKNOWN")

	// The id is another job's.
	r.openWith(3, func(o *v1.JobOpened) { o.JobId = "job-1" })
	r.release(3, "t")
	if e := r.describe("t", 1); e.Job != 3 || e.ExecutionNumber != 1 {
		t.Errorf("got %v", e)
	}
}

// rowsOf lists the rows that a state has of a job.
func rowsOf(r kv.Reader, job uint64) (rows []string) {
	for _, prefix := range []kv.Key{
		kv.NewKey(tableEnded).Uint(job), kv.NewKey(tableEarlier).Uint(job), kv.NewKey(tableDeleted).Uint(job), kv.NewKey(tablePending).Uint(job),
		jobKey(job), documentKey(job),
	} {
		for k := range r.Scan(prefix, kv.PrefixEnd(prefix)) {
			rows = append(rows, string(k))
		}
	}
	for k, row := range scan(r, tableThing) {
		if t, _ := parseThing(row); t.of(job) >= 0 {
			rows = append(rows, string(k))
		}
	}
	for k := range scan(r, tableDeadline) {
		if n, _ := kv.CutUint(k[len(k)-8:]); n == job {
			rows = append(rows, string(k))
		}
	}
	for k, row := range scan(r, tableJobID) {
		if fields := kv.NewFields(row); fields.Uint() == job {
			rows = append(rows, string(k))
		}
	}
	for _, s := range readStops(r) {
		if s.job == job {
			rows = append(rows, "a stop")
		}
	}
	for _, w := range readWindows(r) {
		if w.job == job {
			rows = append(rows, "a window")
		}
	}
	return rows
}

func TestADeletionIsCarriedOutInSlicesAndOtherStopsGoBefore(t *testing.T) {
	r, names := fleet(t, 3000)
	r.open(2, 0)
	r.release(2, names[:10]...)
	for _, name := range names[500:1500] {
		if err := r.update(name, 1, statusSucceeded); err != nil {
			t.Fatal(err)
		}
	}
	r.erase(1)
	if len(r.Fresh) != 1 || r.Fresh[0].GetEvent().GetErasureLearned() == nil {
		t.Fatalf("got %s", coretest.Text(r.Fresh))
	}
	if _, err := r.Decide(&v1.UpdateExecution{Thing: names[0], JobId: "job-1", Status: statusSucceeded}); code(err) != notFound || r.Fresh[0].GetEvent().GetExecutionDeleted() == nil {
		t.Errorf("a report for a deleted job: %v, %s", err, coretest.Text(r.Fresh))
	}
	if d := readDeleted(r.State, names[0], 1); d.number != 0 {
		t.Error("a number is kept of what goes with its job")
	}
	if told := r.Notify(); len(told) != 1 || ids(told[0].List.GetQueued()) != "2" || told[0].Head.GetExecution().GetJobId() != "job-2" {
		t.Errorf("told %v", told)
	}
	r.stop(2, false)
	entries := r.Due()
	deleted, phases := 0, []v1.JobPhase(nil)
	for _, e := range entries {
		if e.GetEvent().GetExecutionDeleted() != nil {
			deleted++
		}
		if s := e.GetEvent().GetHomeSettled(); s != nil {
			phases = append(phases, s.Phase)
		}
	}
	if deleted != 2999 || fmt.Sprint(phases) != fmt.Sprint([]v1.JobPhase{phaseStopped, phaseDeleted}) || r.Next != core.Never {
		t.Errorf("%d deleted, settled %v", deleted, phases)
	}
	if left := rowsOf(r.State, 1); len(left) > 0 {
		t.Errorf("left: %.200q", left)
	}
}

// A job that this home never heard of, or has forgotten, is settled all the same: rollout waits for it.
func TestTheDeletionOfAnUnknownJobIsSettled(t *testing.T) {
	r := newRun(t)
	r.erase(7)
	if len(r.Fresh) != 1 || r.Fresh[0].GetEvent().GetHomeSettled().GetPhase() != phaseDeleted {
		t.Errorf("got %s", coretest.Text(r.Fresh))
	}
	if dump := strings.TrimSpace(coretest.Dump(r.State)); dump != "" {
		t.Errorf("left: %s", dump)
	}
}

// The numbers of executions that were deleted one by one are forgotten in slices, one a step, when their job is deleted.
func TestNumbersOfDeletedExecutionsAreForgottenInSlices(t *testing.T) {
	r := newRun(t)
	r.Seldom = true
	fresh := coretest.Dump(r.State)
	r.open(1, 0)
	for i := range 3500 {
		name := fmt.Sprintf("t%04d", i)
		r.release(1, name)
		r.must(&v1.DeleteExecution{Thing: name, JobId: "job-1", ExecutionNumber: 1, Force: true})
	}
	r.erase(1)
	slices := 0
	for r.Due(); r.Next == r.Now+1; r.Due() {
		slices++
		r.Now++
		if n := len(r.Fresh); n != 1 {
			t.Fatalf("a step of %d events", n)
		}
	}
	if got := r.Fresh[len(r.Fresh)-1].GetEvent().GetHomeSettled().GetPhase(); got != phaseDeleted || slices != 3 {
		t.Errorf("settled %v after %d slices", got, slices)
	}
	if left := coretest.Dump(r.State); left != fresh {
		t.Errorf("left: %s", left)
	}
}
