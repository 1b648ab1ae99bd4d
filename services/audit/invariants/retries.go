package invariants

import (
	"slices"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/audit"
)

var retries = Rule{
	Name: "retries",
	Promise: "A retry follows a failure of which it was said that one is due, and is the next attempt; there are no more of them than the job allows for " +
		"that failure since the thing was released, and none of a thing that has left (specification §4.8).",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, j := range h.JobsInOrder() {
			for _, t := range j.ThingsInOrder() {
				checkRetries(j, t, broken)
			}
		}
	},
}

func checkRetries(j *audit.Job, t *audit.Thing, broken func(any, string, ...any)) {
	due := map[v1.ExecutionStatus]uint32{} // failures with a retry due, since the thing was released
	for i, x := range t.Executions {
		if x.Retry == 0 {
			clear(due)
		} else {
			checkRetry(j, t, i, broken)
		}
		last := x.Last()
		if rejoined(t, x) {
			clear(due)
		}
		if !last.RetryDue {
			continue
		}
		if last.To != failed && last.To != timedOut {
			broken(last.Place, "a retry of %s is due after %s", on(j, t), audit.StatusName(last.To))
		}
		for _, w := range t.Withdrawn {
			if x.Steps[0].Before(w) && w.Before(last.Place) {
				broken(last.Place, "a retry of %s is due; the home learned at %s that it is in no target any more", on(j, t), w)
			}
		}
		due[last.To]++
		if n, most := failures(j, last.To, due), allowed(j.Retry, last.To); n > most {
			broken(last.Place, "retry %d of %s is due after %s; %d are allowed", n, on(j, t), audit.StatusName(last.To), most)
		}
	}
}

// rejoined says that the thing left, and was back, while this attempt was in progress.
func rejoined(t *audit.Thing, x *audit.Execution) bool {
	return slices.ContainsFunc(t.Rejoined, func(p audit.Place) bool { return x.Steps[0].Before(p) && p.Before(x.Last().Place) })
}

func checkRetry(j *audit.Job, t *audit.Thing, i int, broken func(any, string, ...any)) {
	x := t.Executions[i]
	at := x.Steps[0].Place
	if i == 0 {
		broken(at, "%s begins with retry %d", on(j, t), x.Retry)
		return
	}
	before := t.Executions[i-1]
	went := before.Retry
	if rejoined(t, before) {
		went = 0
	}
	switch {
	case !before.Last().RetryDue || !before.Last().Before(at):
		broken(at, "retry %d of %s follows execution %d, of which none was due", x.Retry, on(j, t), before.Number)
	case before.Dropped != nil && before.Dropped.Before(at):
		broken(at, "retry %d of %s is made; it was given up at %s", x.Retry, on(j, t), *before.Dropped)
	case x.Retry != went+1:
		broken(at, "retry %d of %s follows retry %d", x.Retry, on(j, t), went)
	}
}

// allowed is how many retries a job gives a thing after that failure.
func allowed(c *v1.RetryConfig, status v1.ExecutionStatus) uint32 {
	for _, r := range c.GetCriteria() {
		switch f := r.GetFailure(); {
		case f == v1.FailureType_FAILURE_TYPE_ALL,
			f == v1.FailureType_FAILURE_TYPE_FAILED && status == failed,
			f == v1.FailureType_FAILURE_TYPE_TIMED_OUT && status == timedOut:
			return r.GetRetries()
		}
	}
	return 0
}

// failures is how many retries the failures so far have used of what is allowed after that one: ALL is shared.
func failures(j *audit.Job, status v1.ExecutionStatus, due map[v1.ExecutionStatus]uint32) (n uint32) {
	for _, r := range j.Retry.GetCriteria() {
		if r.GetFailure() == v1.FailureType_FAILURE_TYPE_ALL {
			return due[failed] + due[timedOut]
		}
	}
	return due[status]
}
