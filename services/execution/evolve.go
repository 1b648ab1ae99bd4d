package execution

import (
	"slices"

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
	case *v1.Event_JobLearned:
		learned(tx, e.JobLearned)
	case *v1.Event_StopLearned:
		stopLearned(tx, e.StopLearned)
	case *v1.Event_HomeSettled:
		homeSettled(tx, e.HomeSettled)
	case *v1.Event_ThingForgotten:
		forgotten(tx, e.ThingForgotten.GetThing())
	case *v1.Event_ReleaseRefused:
		// Nothing of it is asked again.
	default:
		panic(core.Unreadable(at, event))
	}
}

func learned(tx kv.Tx, e *v1.JobLearned) {
	j, _ := readJob(tx, e.GetJob())
	j.id, j.timeoutMinutes = e.GetJobId(), uint64(e.GetTimeout().GetInProgressTimeoutMinutes())
	writeJob(tx, e.GetJob(), j)
	tx.Set(documentKey(e.GetJob()), e.GetDocument())
	if n, ok := jobNumber(tx, j.id); !ok || n < e.GetJob() {
		tx.Set(jobIDKey(j.id), kv.Row(nil).Uint(e.GetJob()))
	}
}

func queued(tx kv.Tx, at core.Place, e *v1.ExecutionQueued) {
	name := e.GetThing().GetName()
	j, _ := readJob(tx, e.GetJob())
	t := readThing(tx, name)
	a := attempt{
		job: e.GetJob(), jobID: []byte(j.id), thing: e.GetThing().GetNumber(), number: e.GetExecutionNumber(),
		status: statusQueued, version: 1, retry: e.GetRetryAttempt(), queuedAt: at.AtMs, updatedAt: at.AtMs,
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
	a.retry, a.forced = e.GetRetryAttempt(), e.GetForceCanceled()
	a.details, a.token = encodeDetails(e.GetStatusDetails()), []byte(e.GetClientToken())

	if before.deadline() != a.deadline() {
		if before.deadline() != 0 {
			tx.Delete(deadlineKey(name, &before))
		}
		if a.deadline() != 0 {
			tx.Set(deadlineKey(name, &a), []byte{})
		}
	}
	if before.status != a.status {
		if before.status != v1.ExecutionStatus_EXECUTION_STATUS_UNSPECIFIED {
			tx.Delete(pendingKey(name, &before))
		}
		if !a.ended() {
			tx.Set(pendingKey(name, &a), []byte{})
		}
	}
	if a.ended() {
		gone := t.gone(&a)
		t.drop(a.job)
		if !gone {
			tx.Set(endedKey(name, a.job), a.appendTo(make(kv.Row, 0, a.size())))
		} else if t.first(t.gone) == nil {
			writeLeft(tx, slices.DeleteFunc(readLeft(tx), func(left string) bool { return left == name }))
		}
	} else {
		a.token = nil
		t.put(a)
	}
	writeThing(tx, name, &t)
}

func stopLearned(tx kv.Tx, e *v1.StopLearned) {
	j, _ := readJob(tx, e.GetJob())
	j.stop = stopPhase(e.GetForce())
	writeJob(tx, e.GetJob(), j)
	// A stop with force takes the place of one without that is still under way.
	s := readStops(tx).without(e.GetJob())
	writeStops(tx, append(s, stop{job: e.GetJob(), force: e.GetForce()}))
}

func homeSettled(tx kv.Tx, e *v1.HomeSettled) {
	if e.GetPhase() != v1.JobPhase_JOB_PHASE_CLOSED {
		writeStops(tx, readStops(tx).without(e.GetJob()))
	}
}

// forgotten drops what is remembered of a deleted thing, so that one created later under its name begins anew. What is
// pending stays until it is ended; nothing is remembered of that either.
func forgotten(tx kv.Tx, ref *v1.ThingRef) {
	t := readThing(tx, ref.GetName())
	t.forgotten = max(t.forgotten, ref.GetNumber())
	if left := readLeft(tx); t.first(t.gone) != nil && !slices.Contains(left, ref.GetName()) {
		writeLeft(tx, append(left, ref.GetName()))
	}
	writeThing(tx, ref.GetName(), &t)

	prefix := kv.NewKey(tableEnded).String(ref.GetName())
	var ended []kv.Key
	for k := range tx.Scan(prefix, kv.PrefixEnd(prefix)) {
		ended = append(ended, append(kv.Key(nil), k...))
	}
	for _, k := range ended {
		tx.Delete(k)
	}
}
