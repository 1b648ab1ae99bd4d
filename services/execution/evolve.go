package execution

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

func evolve(tx kv.Tx, at core.Place, event *v1.Event) {
	switch e := event.GetEvent().(type) {
	case *v1.Event_ExecutionChanged:
		changed(tx, at, e.ExecutionChanged)
	case *v1.Event_ExecutionQueued:
		queued(tx, at, e.ExecutionQueued)
	case *v1.Event_RetryDropped:
		retryDropped(tx, e.RetryDropped)
	case *v1.Event_ExecutionDeleted:
		deleted(tx, e.ExecutionDeleted)
	case *v1.Event_ExecutionsShown:
		shown(tx, e.ExecutionsShown)
	case *v1.Event_WithdrawalLearned:
		withdrawn(tx, e.WithdrawalLearned)
	case *v1.Event_ReleaseRefused:
		refused(tx, e.ReleaseRefused)
	case *v1.Event_ThingForgotten:
		forgotten(tx, e.ThingForgotten.GetThing())
	case *v1.Event_JobLearned:
		learned(tx, e.JobLearned)
	case *v1.Event_JobChangeLearned:
		changeLearned(tx, e.JobChangeLearned)
	case *v1.Event_WindowLearned:
		windowLearned(tx, e.WindowLearned)
	case *v1.Event_StopLearned:
		stopLearned(tx, e.StopLearned.GetJob(), stopPhase(e.StopLearned.GetPhase(), e.StopLearned.GetForce()), e.StopLearned.GetCause())
	case *v1.Event_ErasureLearned:
		erasureLearned(tx, e.ErasureLearned.GetJob())
	case *v1.Event_DeletionsForgotten:
		forgetDeletions(tx, e.DeletionsForgotten.GetJob())
	case *v1.Event_HomeSettled:
		homeSettled(tx, e.HomeSettled)
	default:
		panic(core.Unreadable(at, event))
	}
}

// queued puts an attempt into the queue. What went before it on the thing is remembered beside.
func queued(tx kv.Tx, at core.Place, e *v1.ExecutionQueued) {
	name := e.GetThing().GetName()
	j, _ := readJob(tx, e.GetJob())
	t := readThing(tx, name)
	a := attempt{
		job: e.GetJob(), jobID: []byte(j.id), thing: e.GetThing().GetNumber(), number: e.GetExecutionNumber(),
		status: statusQueued, version: 1, retry: e.GetRetryAttempt(), queuedAt: at.AtMs, updatedAt: at.AtMs,
		flags: flags{scheduled: j.scheduled, windowed: j.windowed, hidden: e.GetHidden()},
	}
	if i := t.of(a.job); i >= 0 {
		before := t.pending[i]
		a.failed = before.failed
		if before.status == statusFailed {
			a.failed++
		}
		tx.Delete(pendingKey(name, &before))
		before.due, before.retried = false, true
		writeEarlier(tx, name, &before)
	} else if a.number > 1 {
		if before, ok := readEnded(tx, name, a.job); ok {
			writeEarlier(tx, name, &before)
			tx.Delete(endedKey(name, a.job))
		}
	}
	t.put(a)
	writeThing(tx, name, &t)
	tx.Set(pendingKey(name, &a), []byte{})
}

func changed(tx kv.Tx, at core.Place, e *v1.ExecutionChanged) {
	name := e.GetThing()
	t := readThing(tx, name)
	var before attempt
	if i := t.of(e.GetJob()); i >= 0 {
		before = t.pending[i]
	}
	a := before
	a.job, a.number, a.status, a.version = e.GetJob(), e.GetExecutionNumber(), e.GetTo(), e.GetVersionNumber()
	a.queuedAt, a.startedAt, a.updatedAt = e.GetQueuedAtMs(), e.GetStartedAtMs(), at.AtMs
	a.inProgressDeadline, a.stepDeadline = e.GetInProgressDeadlineMs(), e.GetStepDeadlineMs()
	a.retry, a.forced, a.due, a.hidden = e.GetRetryAttempt(), e.GetForceCanceled(), e.GetRetryDue(), false
	a.details, a.token = encodeDetails(e.GetStatusDetails()), []byte(e.GetClientToken())

	if before.deadline() != a.deadline() {
		if before.deadline() != 0 {
			tx.Delete(deadlineKey(name, &before))
		}
		if a.deadline() != 0 {
			tx.Set(deadlineKey(name, &a), []byte{})
		}
	}
	move(tx, name, &before, &a)
	if a.ended() && !a.due {
		t.drop(a.job)
		writeEnded(tx, name, &a)
		tidy(tx, name, &t, &before)
	} else {
		if !a.ended() {
			a.token = nil
		}
		t.put(a)
	}
	writeThing(tx, name, &t)
}

// move keeps the index of a job's attempts.
func move(tx kv.Tx, name string, before, after *attempt) {
	was, is := before.class(), after.class()
	if was == is {
		return
	}
	if was != 0 {
		tx.Delete(pendingKey(name, before))
	}
	if is != 0 {
		tx.Set(pendingKey(name, after), []byte{})
	}
}

// tidy takes a thing off the list of those of which something is to be ended, if that was the last of it.
func tidy(tx kv.Tx, name string, t *thing, gone *attempt) {
	if t.left(gone) && t.first(t.left) == nil {
		tx.Delete(leftKey(name))
	}
}

// retryDropped ends what was open for a retry only.
func retryDropped(tx kv.Tx, e *v1.RetryDropped) {
	name := e.GetThing().GetName()
	t := readThing(tx, name)
	i := t.of(e.GetJob())
	if i < 0 {
		return
	}
	before := t.pending[i]
	after := before
	after.due = false
	move(tx, name, &before, &after)
	t.drop(after.job)
	writeEnded(tx, name, &after)
	tidy(tx, name, &t, &before)
	writeThing(tx, name, &t)
}

// deleted takes an attempt away. Its number is not used again while the job lives.
func deleted(tx kv.Tx, e *v1.ExecutionDeleted) {
	name, number := e.GetThing().GetName(), e.GetExecutionNumber()
	j, _ := readJob(tx, e.GetJob())
	t := readThing(tx, name)
	if i := t.of(e.GetJob()); i >= 0 && t.pending[i].number == number {
		a := t.pending[i]
		if a.deadline() != 0 {
			tx.Delete(deadlineKey(name, &a))
		}
		move(tx, name, &a, &attempt{})
		t.drop(a.job)
		tidy(tx, name, &t, &a)
		writeThing(tx, name, &t)
	} else if a, ok := readEnded(tx, name, e.GetJob()); ok && a.number == number {
		tx.Delete(endedKey(name, a.job))
	} else {
		tx.Delete(earlierKey(name, e.GetJob()).Uint(number))
		return
	}
	if j.stop == phaseDeleted {
		return
	}
	tx.Set(deletedKey(name, e.GetJob()), kv.Row(nil).Uint(number).Uint(e.GetThing().GetNumber()))
	if !j.deletions {
		j.deletions = true
		writeJob(tx, e.GetJob(), j)
	}
}

// shown notes what devices have been told of a window.
func shown(tx kv.Tx, e *v1.ExecutionsShown) {
	if len(e.GetThings()) == 0 {
		setWindow(tx, e.GetJob())
		return
	}
	for _, name := range e.GetThings() {
		t := readThing(tx, name)
		i := t.of(e.GetJob())
		if i < 0 || !t.pending[i].queued() {
			continue
		}
		a := t.pending[i]
		a.hidden = !e.GetShown()
		move(tx, name, &t.pending[i], &a)
		t.put(a)
		writeThing(tx, name, &t)
	}
}

func withdrawn(tx kv.Tx, e *v1.WithdrawalLearned) {
	for _, ref := range e.GetThings() {
		setWithdrawn(tx, e.GetJob(), ref, true)
	}
}

// refused takes a withdrawal back: the thing is in a target again, and has the execution that it left with.
func refused(tx kv.Tx, e *v1.ReleaseRefused) {
	setWithdrawn(tx, e.GetJob(), e.GetThing(), false)
	if !e.GetRejoined() {
		return
	}
	name := e.GetThing().GetName()
	t := readThing(tx, name)
	if i := t.of(e.GetJob()); i >= 0 {
		t.pending[i].retry, t.pending[i].failed = 0, 0
		writeThing(tx, name, &t)
	}
}

func setWithdrawn(tx kv.Tx, job uint64, ref *v1.ThingRef, withdrawn bool) {
	t := readThing(tx, ref.GetName())
	i := t.of(job)
	if i < 0 || t.pending[i].thing != ref.GetNumber() || t.pending[i].withdrawn == withdrawn {
		return
	}
	before := t.pending[i]
	a := &t.pending[i]
	a.withdrawn = withdrawn
	if t.left(a) {
		tx.Set(leftKey(ref.GetName()), []byte{})
	} else {
		tidy(tx, ref.GetName(), &t, &before)
	}
	writeThing(tx, ref.GetName(), &t)
}

// forgotten makes all that is remembered of a deleted thing another thing's: one that is created later under its name begins
// anew. What is pending stays until it is ended.
func forgotten(tx kv.Tx, ref *v1.ThingRef) {
	t := readThing(tx, ref.GetName())
	t.forgotten = max(t.forgotten, ref.GetNumber())
	if t.first(t.gone) != nil {
		tx.Set(leftKey(ref.GetName()), []byte{})
	}
	writeThing(tx, ref.GetName(), &t)
}
