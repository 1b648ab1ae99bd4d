package execution

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

const (
	statusQueued     = v1.ExecutionStatus_EXECUTION_STATUS_QUEUED
	statusInProgress = v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS
	statusSucceeded  = v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED
	statusFailed     = v1.ExecutionStatus_EXECUTION_STATUS_FAILED
	statusRejected   = v1.ExecutionStatus_EXECUTION_STATUS_REJECTED
	statusTimedOut   = v1.ExecutionStatus_EXECUTION_STATUS_TIMED_OUT
	statusCanceled   = v1.ExecutionStatus_EXECUTION_STATUS_CANCELED
	statusRemoved    = v1.ExecutionStatus_EXECUTION_STATUS_REMOVED
)

const minute = 60_000 // ms

// ended says whether an execution in this status changes no more (specification §4.2).
func ended(s v1.ExecutionStatus) bool { return s >= statusSucceeded && s <= statusRemoved }

// attempt is one execution of a job on a thing, as a row holds it: pending, or with a retry due, in the thing's row, else in
// one of its own. jobID, details and token are parts of that row.
type attempt struct {
	job     uint64
	jobID   []byte
	thing   uint64 // the thing's number
	number  uint64 // AWS's executionNumber
	status  v1.ExecutionStatus
	version uint64
	// retry is how many attempts went before since the release, failed how many of them FAILED; the others timed out.
	retry, failed uint32
	// In ms since the epoch; 0 is none. startedAt is 0 if it never was IN_PROGRESS.
	queuedAt, startedAt, updatedAt   int64
	inProgressDeadline, stepDeadline int64
	flags
	details []byte // encoded
	token   []byte // of the report that ended it
}

// flags stand in a row as one number.
type flags struct {
	forced bool
	// scheduled: its job has a schedule; windowed: with maintenance windows.
	scheduled, windowed bool
	// hidden: it is queued, and the device has not been told of it since its job's window closed.
	hidden bool
	// withdrawn: its thing is in no target of the job any more.
	withdrawn bool
	// due: it has ended, and a retry follows when the window opens. retried: one followed.
	due, retried bool
}

func (f *flags) each() [7]*bool {
	return [...]*bool{&f.forced, &f.scheduled, &f.windowed, &f.hidden, &f.withdrawn, &f.due, &f.retried}
}

func (f *flags) bits() (n uint64) {
	for i, flag := range f.each() {
		if *flag {
			n |= 1 << i
		}
	}
	return n
}

func (f *flags) read(n uint64) {
	if n == 0 {
		return
	}
	for i, flag := range f.each() {
		*flag = n>>i&1 != 0
	}
}

func (a *attempt) queued() bool     { return a.status == statusQueued }
func (a *attempt) inProgress() bool { return a.status == statusInProgress }
func (a *attempt) ended() bool      { return ended(a.status) }

func (a *attempt) rank() rank {
	return rank{status: a.status, hidden: a.hidden, queuedAt: a.queuedAt, job: a.job, number: a.number}
}

// class is where the index of its job has it: queued and shown, queued and hidden, in progress (running), with a retry due;
// 0 is nowhere.
func (a *attempt) class() byte {
	switch {
	case a.queued() && a.hidden:
		return classHidden
	case a.queued():
		return classQueued
	case a.inProgress():
		return classRunning
	case a.due:
		return classDue
	}
	return 0
}

// deadline is the earlier of the two; 0 is none (specification §4.9).
func (a *attempt) deadline() int64 {
	if a.stepDeadline == 0 || a.inProgressDeadline != 0 && a.inProgressDeadline < a.stepDeadline {
		return a.inProgressDeadline
	}
	return a.stepDeadline
}

// end is the attempt once it has ended so.
func (a attempt) end(status v1.ExecutionStatus, now int64) attempt {
	a.status = status
	a.version++
	a.updatedAt = now
	a.inProgressDeadline, a.stepDeadline = 0, 0
	return a
}

// progress is the attempt once it is, or still is, in progress. The job's timeout counts from its start.
func (a attempt) progress(timeoutMinutes uint64, now int64) attempt {
	if a.status == statusQueued {
		a.startedAt = now
		if timeoutMinutes > 0 {
			a.inProgressDeadline = now + int64(timeoutMinutes)*minute
		}
	}
	a.status = statusInProgress
	a.version++
	a.updatedAt = now
	return a
}

// setStep applies a step timeout: a new one replaces the old, -1 cancels it, 0 leaves it (specification §3.3).
func (a *attempt) setStep(minutes int32, now int64) {
	switch {
	case minutes > 0:
		a.stepDeadline = now + int64(minutes)*minute
	case minutes < 0:
		a.stepDeadline = 0
	}
}

// appendTo adds the attempt to a row; readAttempt is its twin. Later times are written as distances from queuedAt.
func (a *attempt) appendTo(r kv.Row) kv.Row {
	r = r.Uint(a.job).Bytes(a.jobID).Uint(a.thing).Uint(a.number).Uint(uint64(a.status)).Uint(a.version)
	r = r.Uint(uint64(a.retry)).Uint(uint64(a.failed))
	r = r.Int(a.queuedAt)
	r = a.appendTime(r, a.startedAt)
	r = a.appendTime(r, a.updatedAt)
	r = a.appendTime(r, a.inProgressDeadline)
	r = a.appendTime(r, a.stepDeadline)
	return r.Uint(a.bits()).Bytes(a.details).Bytes(a.token)
}

// size is about what appendTo adds.
func (a *attempt) size() int { return 64 + len(a.jobID) + len(a.details) + len(a.token) }

func readAttempt(f *kv.Fields) attempt {
	var a attempt
	a.job, a.jobID, a.thing, a.number = f.Uint(), f.Bytes(), f.Uint(), f.Uint()
	a.status, a.version = v1.ExecutionStatus(f.Uint()), f.Uint()
	a.retry, a.failed = uint32(f.Uint()), uint32(f.Uint())
	a.queuedAt = f.Int()
	a.startedAt, a.updatedAt = a.readTime(f), a.readTime(f)
	a.inProgressDeadline, a.stepDeadline = a.readTime(f), a.readTime(f)
	a.flags.read(f.Uint())
	a.details, a.token = f.Bytes(), f.Bytes()
	return a
}

func (a *attempt) appendTime(r kv.Row, at int64) kv.Row {
	if at == 0 {
		return r.Uint(0)
	}
	return r.Uint(uint64(at-a.queuedAt) + 1)
}

func (a *attempt) readTime(f *kv.Fields) int64 {
	n := f.Uint()
	if n == 0 {
		return 0
	}
	return int64(n-1) + a.queuedAt
}

// encodeDetails writes details as a row of their own; readDetails is its twin.
func encodeDetails(details []*v1.Detail) []byte {
	size := 0
	for _, d := range details {
		size += len(d.GetName()) + len(d.GetValue()) + 3
	}
	if size == 0 {
		return nil
	}
	r := make(kv.Row, 0, size)
	for _, d := range details {
		r = r.String(d.GetName()).String(d.GetValue())
	}
	return r
}

// readDetails decodes a copy.
func readDetails(row []byte) []*v1.Detail {
	if len(row) == 0 {
		return nil
	}
	fields := kv.NewFields(row)
	var list []*v1.Detail
	for fields.More() {
		list = append(list, &v1.Detail{Name: fields.String(), Value: fields.String()})
	}
	fields.Must("status details")
	return list
}

// state is what a device may be told of a state that stands in its way.
func (a *attempt) state(details []*v1.Detail) *v1.ExecutionState {
	return &v1.ExecutionState{Status: a.status, StatusDetails: details, VersionNumber: a.version}
}

// execution is the attempt as its owner tells it; a copy, without details and document.
func (a *attempt) execution(thing string) *v1.Execution {
	return &v1.Execution{
		JobId: string(a.jobID), Job: a.job, Thing: thing, ExecutionNumber: a.number, Status: a.status,
		VersionNumber: a.version, QueuedAtMs: a.queuedAt, StartedAtMs: a.startedAt, LastUpdatedAtMs: a.updatedAt,
		RetryAttempt: a.retry, ForceCanceled: a.forced, DeadlineMs: a.deadline(),
	}
}

// changeEvent is an event in one piece of memory instead of three: a report makes one.
type changeEvent struct {
	event  v1.Event
	member v1.Event_ExecutionChanged
	change v1.ExecutionChanged
}

// emitChange makes the move of an attempt stand; to.hidden is as it was before. After it, nothing that was read may be used.
func emitChange(s *core.Step, thing string, from v1.ExecutionStatus, to *attempt, details []*v1.Detail, token string, reason *v1.Reason) {
	e := new(changeEvent)
	c := &e.change
	c.Job, c.Thing, c.ExecutionNumber, c.RetryAttempt = to.job, thing, to.number, to.retry
	c.From, c.To, c.VersionNumber, c.StatusDetails = from, to.status, to.version, details
	c.QueuedAtMs, c.StartedAtMs = to.queuedAt, to.startedAt
	c.InProgressDeadlineMs, c.StepDeadlineMs = to.inProgressDeadline, to.stepDeadline
	c.ForceCanceled, c.ClientToken, c.RetryDue, c.Hidden = to.forced, token, to.due, to.hidden
	e.member.ExecutionChanged, e.event.Event = c, &e.member
	s.Emit(&e.event, reason)
}
