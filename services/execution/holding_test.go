package execution

import (
	"fmt"
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

func (r run) holding(q *v1.GetThingHolding) string {
	r.T.Helper()
	reply, err := r.Answer(q)
	if err != nil {
		r.T.Fatal(err)
	}
	var all []string
	for _, h := range reply.(*v1.GetThingHoldingReply).Executions {
		one := fmt.Sprint(strings.TrimPrefix(h.Execution.JobId, "job-"), " ", h.Execution.Status.Word())
		if h.Hidden {
			one += " hidden"
		}
		for _, x := range h.Holdings {
			one += fmt.Sprint(" ", x.Reason.Code.Word(), x.Reason.Numbers)
			if x.UntilMs != 0 {
				one += fmt.Sprint(" until ", x.UntilMs)
			}
		}
		all = append(all, one)
	}
	return strings.Join(all, "; ")
}

func TestWhatAThingsExecutionsWaitFor(t *testing.T) {
	r := windowed(t)
	if got, want := r.holding(&v1.GetThingHolding{Thing: "t"}), "1 QUEUED WAITS_FOR_DEVICES[1]; 2 QUEUED BEHIND_OTHERS[1]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := r.holding(&v1.GetThingHolding{Thing: "t", JobId: "job-2"}); got != "2 QUEUED BEHIND_OTHERS[1]" {
		t.Errorf("of job 2: %s", got)
	}
	r.must(&v1.StartNext{Thing: "u"})
	deadline := r.Now + 5*minute
	r.window(1, false)
	if got, want := r.holding(&v1.GetThingHolding{Thing: "t"}), "1 QUEUED hidden WINDOW_IS_CLOSED[9000000] until 9000000; 2 QUEUED WAITS_FOR_DEVICES[1]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := r.holding(&v1.GetThingHolding{Thing: "u"}), fmt.Sprintf("1 IN_PROGRESS WAITS_FOR_DEVICES[1] until %d; 2 QUEUED BEHIND_OTHERS[1]", deadline); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if err := r.update("u", 1, statusFailed); err != nil {
		t.Fatal(err)
	}
	if got, want := r.holding(&v1.GetThingHolding{Thing: "u"}), "2 QUEUED WAITS_FOR_DEVICES[1]; 1 FAILED RETRY_DEFERRED[1 3] until 9000000"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	r.stop(1, false)
	if got, want := r.holding(&v1.GetThingHolding{Thing: "u"}), "2 QUEUED WAITS_FOR_DEVICES[1]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := r.holding(&v1.GetThingHolding{Thing: "nobody"}); got != "" {
		t.Errorf("of nobody: %s", got)
	}
	for _, q := range []*v1.GetThingHolding{{Thing: "a.b"}, {Thing: "t", JobId: "a.b"}} {
		if _, err := r.Answer(q); code(err) != badRequest {
			t.Errorf("%v: %v", q, err)
		}
	}
}

// Specification §3.7: 10, or 15 where a job with a schedule is among them; the head is always found.
func TestAListIsCapped(t *testing.T) {
	for _, c := range []struct{ jobs, scheduled, want int }{{9, 0, 9}, {10, 0, 10}, {11, 0, 10}, {14, 14, 14}, {15, 3, 15}, {16, 16, 15}, {20, 1, 15}} {
		r := newRun(t)
		for job := 1; job <= c.jobs; job++ {
			r.openWith(uint64(job), func(o *v1.JobOpened) { o.Scheduled = job == c.scheduled })
			r.release(uint64(job), "t")
			r.Now++
		}
		reply, _ := r.Answer(&v1.GetPending{Thing: "t"})
		if got := len(reply.(*v1.GetPendingReply).Queued); got != c.want {
			t.Errorf("%d jobs, number %d with a schedule: %d are listed, want %d", c.jobs, c.scheduled, got, c.want)
		}
	}
}
