package execution

import (
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// Specification §3.6, row by row. Job 1 is queued before job 2, job 2 before job 3.
func TestWhenADeviceIsTold(t *testing.T) {
	for _, c := range []struct {
		name  string
		given func(r run)
		when  func(r run)
		list  string // "-": not told
		head  string // "-": not told; "": told that nothing is pending
	}{
		{"queued, nothing was pending", nil, func(r run) { r.release(1, "t") }, "|1", "1"},
		{"queued behind others", queuedJobs(1), func(r run) { r.release(2, "t") }, "|1 2", "-"},
		{"the head starts by start-next", queuedJobs(1, 2), func(r run) { r.must(&v1.StartNext{Thing: "t"}) }, "-", "-"},
		{"the head starts by update", queuedJobs(1, 2), func(r run) { r.report(1, statusInProgress) }, "-", "-"},
		{"another starts and becomes head", queuedJobs(1, 2), func(r run) { r.report(2, statusInProgress) }, "-", "2"},
		{"another starts behind an older one in progress", startedJobs(1, 2), func(r run) { r.report(2, statusInProgress) }, "-", "-"},
		{"another starts and is older than the one in progress", func(r run) { queuedJobs(1, 2)(r); r.report(2, statusInProgress) }, func(r run) { r.report(1, statusInProgress) }, "-", "1"},
		{"a report in progress", startedJobs(1, 2), func(r run) { r.report(1, statusInProgress) }, "-", "-"},
		{"a step timer by start-next", startedJobs(1, 2), func(r run) { r.must(&v1.StartNext{Thing: "t", StepTimeoutMinutes: 5}) }, "-", "-"},
		{"the head ends by report", startedJobs(1, 2), func(r run) { r.report(1, statusFailed) }, "|2", "2"},
		{"the last one ends", startedJobs(1), func(r run) { r.report(1, statusSucceeded) }, "|", ""},
		{"the head ends by timeout", startedJobs(1, 2), func(r run) { r.Now += 5 * minute; r.Due() }, "|2", "2"},
		{"the head ends by cancel", queuedJobs(1, 2), func(r run) { r.must(&v1.CancelExecution{Thing: "t", JobId: "job-1"}) }, "|2", "2"},
		{"the head ends by a stop", queuedJobs(1, 2), func(r run) { r.stop(1, false); r.Due() }, "|2", "2"},
		{"the head ends by removal", queuedJobs(1), func(r run) { r.forget("t") }, "|", ""},
		{"another ends by report", queuedJobs(1, 2), func(r run) { r.report(2, statusRejected) }, "|1", "-"},
		{"another ends by a stop", queuedJobs(1, 2), func(r run) { r.stop(2, true); r.Due() }, "|1", "-"},
		{"a refused update", queuedJobs(1), func(r run) { r.update("t", 1, statusQueued) }, "-", "-"},
		{"a refused release", queuedJobs(1), func(r run) { r.release(1, "t") }, "-", "-"},
		{"a stop is learned", queuedJobs(1), func(r run) { r.stop(1, false) }, "-", "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(t)
			for job := range uint64(3) {
				r.open(job+1, 5)
			}
			if c.given != nil {
				c.given(r)
			}
			r.Now++
			c.when(r)
			list, head := "-", "-"
			told := r.Notify()
			if len(told) > 1 {
				t.Fatalf("%d notifications of one thing", len(told))
			}
			for _, n := range told {
				if n.Thing != "t" || n.AtMs != r.Now {
					t.Errorf("got %v", n)
				}
				if n.List != nil {
					list = ids(n.List.InProgress) + "|" + ids(n.List.Queued)
				}
				if n.Head != nil {
					head = ""
					if e := n.Head.Execution; e != nil {
						head = ids([]*v1.Execution{e})
						if string(e.Document) != `{"job":`+head+`}` {
							t.Errorf("the head's document is %q", e.Document)
						}
					}
				}
			}
			if list != c.list || head != c.head {
				t.Errorf("list %q, head %q; want %q, %q", list, head, c.list, c.head)
			}
		})
	}
}

func queuedJobs(jobs ...uint64) func(r run) {
	return func(r run) {
		for _, job := range jobs {
			r.release(job, "t")
			r.Now++
		}
	}
}

// startedJobs queues the jobs and starts the first.
func startedJobs(jobs ...uint64) func(r run) {
	return func(r run) {
		queuedJobs(jobs...)(r)
		r.must(&v1.StartNext{Thing: "t"})
	}
}

func (r run) report(job uint64, to v1.ExecutionStatus) {
	r.T.Helper()
	if err := r.update("t", job, to); err != nil {
		r.T.Fatal(err)
	}
}

func TestManyCommitsAreToldAsOneAndOnlyWhatDiffers(t *testing.T) {
	r := newRun(t)
	r.open(1, 0)
	r.open(2, 0)
	r.release(1, "t", "u", "v")
	r.Now++
	from := len(r.History)
	r.release(2, "t", "u")
	r.report(1, statusSucceeded)
	r.report(2, statusSucceeded)
	if err := r.update("u", 1, statusFailed); err != nil {
		t.Fatal(err)
	}
	if err := r.update("v", 1, statusInProgress); err != nil {
		t.Fatal(err)
	}
	told := r.Core.Notify(r.State, r.Now, r.History[from:])
	if len(told) != 2 {
		t.Fatalf("got %v", told)
	}
	if n := told[0]; n.Thing != "t" || n.List == nil || len(n.List.Queued) != 0 || n.Head == nil || n.Head.Execution != nil {
		t.Errorf("t: %v", n)
	}
	if n := told[1]; n.Thing != "u" || ids(n.List.GetQueued()) != "2" || n.Head.GetExecution().GetJobId() != "job-2" {
		t.Errorf("u: %v", n)
	}
	// All that happened to t since its first release cancels out.
	if told := r.Core.Notify(r.State, r.Now, r.History[2:]); told[0].GetThing() != "u" {
		t.Errorf("t is told %v, and had and has nothing", told[0])
	}
}

// A stop that was learned in the same commit: nothing of the stopped job is offered, and nothing is told twice when
// the slice that ends it comes.
func TestNothingOfAStoppedJobIsOffered(t *testing.T) {
	r := newRun(t)
	r.open(1, 0)
	r.open(2, 0)
	r.release(1, "t")
	r.Now++
	from := len(r.History)
	r.release(2, "t")
	r.release(1, "u")
	r.stop(1, false)
	told := r.Core.Notify(r.State, r.Now, r.History[from:])
	if len(told) != 1 || told[0].Thing != "t" || told[0].Head != nil || ids(told[0].List.GetQueued()) != "2" {
		t.Fatalf("got %v", told)
	}
	r.Due()
	told = r.Notify()
	if len(told) != 2 || told[0].Head.GetExecution().GetJobId() != "job-2" {
		t.Errorf("then: %v", told)
	}
}

// The device starts job 2, and a stop with force takes it away in the same commit: the head is told when it is gone.
func TestAHeadThatAStopIsGoingToEndIsNotTold(t *testing.T) {
	r := newRun(t)
	r.open(1, 0)
	r.open(2, 0)
	queuedJobs(1, 2)(r)
	from := len(r.History)
	r.report(2, statusInProgress)
	r.stop(2, true)
	told := r.Core.Notify(r.State, r.Now, r.History[from:])
	if len(told) != 1 || told[0].Head != nil || ids(told[0].List.GetQueued()) != "1" {
		t.Errorf("got %v", told)
	}
	r.Due()
	if told := r.Notify(); len(told) != 1 || told[0].Head.GetExecution().GetJobId() != "job-1" {
		t.Errorf("then: %v", told)
	}
}
