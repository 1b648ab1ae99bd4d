package execution

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// timeOut ends the attempts whose deadline has come, the earliest first, and returns the next deadline: s.Now or less
// if the call is full, core.Never if there is none. It reads no row of what is not due.
func timeOut(s *core.Step) (next int64) {
	for {
		due, next := dueTimers(s, s.Now)
		for _, d := range due {
			if full(s) {
				return d.deadline
			}
			d.fire(s)
		}
		if len(due) < slice {
			return next
		}
	}
}

type timer struct {
	deadline int64
	thing    string
	job      uint64
}

// dueTimers lists the first timers that are due, at most a slice of them, and the deadline of the first that is not.
func dueTimers(r kv.Reader, now int64) (due []timer, next int64) {
	prefix := kv.NewKey(tableDeadline)
	for k := range r.Scan(prefix, kv.PrefixEnd(prefix)) {
		at, rest := kv.CutUint(k[1:])
		if int64(at) > now {
			return due, int64(at)
		}
		if len(due) == slice {
			return due, int64(at)
		}
		name, rest := kv.CutString(rest)
		job, _ := kv.CutUint(rest)
		due = append(due, timer{deadline: int64(at), thing: name, job: job})
	}
	return due, core.Never
}

// fire ends the attempt: TIMED_OUT, or as its job's stop or its thing's deletion would have it if that comes first. A retry
// may follow.
func (d timer) fire(s *core.Step) {
	t := readThing(s, d.thing)
	i := t.of(d.job)
	if i < 0 {
		panic("execution: thing " + d.thing + " has no execution that its timer names")
	}
	a := &t.pending[i]
	if under := readStops(s); under.end(&t, a) {
		endIntended(s, d.thing, &t, a, under)
		return
	}
	code := v1.ReasonCode_REASON_CODE_IN_PROGRESS_TIMEOUT
	if a.stepDeadline == d.deadline {
		code = v1.ReasonCode_REASON_CODE_STEP_TIMEOUT
	}
	next := a.end(statusTimedOut, s.Now)
	emitFailure(s, d.thing, a.status, &next, readDetails(a.details), "", core.Reason(code, d.deadline))
}
