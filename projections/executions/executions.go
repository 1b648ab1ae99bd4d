// Package executions is the read model of executions: a row for each attempt of a job on a thing, retries and those of things
// that joined again included, until the attempt or its job is deleted.
//
// It promises to answer as the execution logs stood at the snapshot that it is asked on. A row is written blind, from
// the event and the time of its commit alone: no row is read to write it (design §6). A job's id and number are
// joined when asked (jobs).
//
//	e job thing attempt            ExecutionRow without what the key says
//	t thing ^queuedAt job attempt  nothing: it points at the row; newest first
package executions

import (
	"encoding/binary"

	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/page"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// The tables. A byte belongs to one model of the store that all of them share.
const (
	tableRow   = 'e'
	tableThing = 't'
)

// Tables are the first bytes of this model's keys.
const Tables = string(tableRow) + string(tableThing)

// Apply folds one commit of an execution log; commits of other logs are nothing to it.
func Apply(w kv.Writer, log id.Log, c *v1.Commit) {
	if log.Service != v1.Service_SERVICE_EXECUTION {
		return
	}
	for _, e := range c.Entries {
		switch event := e.GetEvent().GetEvent().(type) {
		case *v1.Event_ExecutionQueued:
			queue(w, event.ExecutionQueued, c.AtMs)
		case *v1.Event_ExecutionChanged:
			change(w, event.ExecutionChanged, c.AtMs)
		case *v1.Event_ExecutionDeleted:
			e := event.ExecutionDeleted
			w.Delete(rowKey(e.Job, e.Thing.GetName(), e.ExecutionNumber))
			w.Delete(thingKey(e.Thing.GetName(), e.QueuedAtMs, e.Job, e.ExecutionNumber))
		}
	}
}

func queue(w kv.Writer, e *v1.ExecutionQueued, at int64) {
	row := v1.ExecutionRow{
		Status: v1.ExecutionStatus_EXECUTION_STATUS_QUEUED, VersionNumber: 1,
		QueuedAtMs: at, LastUpdatedAtMs: at, RetryAttempt: e.RetryAttempt,
	}
	w.Set(rowKey(e.Job, e.Thing.GetName(), e.ExecutionNumber), page.Value(&row))
	w.Set(thingKey(e.Thing.GetName(), at, e.Job, e.ExecutionNumber), nil)
}

func change(w kv.Writer, e *v1.ExecutionChanged, at int64) {
	row := v1.ExecutionRow{
		Status: e.To, StatusDetails: e.StatusDetails, VersionNumber: e.VersionNumber,
		QueuedAtMs: e.QueuedAtMs, StartedAtMs: e.StartedAtMs, LastUpdatedAtMs: at,
		RetryAttempt: e.RetryAttempt, ForceCanceled: e.ForceCanceled,
		DeadlineMs: earlier(e.InProgressDeadlineMs, e.StepDeadlineMs),
	}
	w.Set(rowKey(e.Job, e.Thing, e.ExecutionNumber), page.Value(&row))
}

// earlier is the earlier of two times of which 0 is none.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func rowKey(job uint64, thing string, attempt uint64) kv.Key {
	k := make(kv.Key, 0, 1+8+len(thing)+1+8)
	return append(k, tableRow).Uint(job).String(thing).Uint(attempt)
}

func thingKey(thing string, queuedAt int64, job, attempt uint64) kv.Key {
	k := make(kv.Key, 0, 1+len(thing)+1+8+8+8)
	return append(k, tableThing).String(thing).Uint(^uint64(queuedAt)).Uint(job).Uint(attempt)
}

// parseRowKey is the twin of rowKey. A key that it did not make is damage.
func parseRowKey(key []byte) (job uint64, thing string, attempt uint64) {
	job, rest := kv.CutUint(key[1:])
	thing, rest = kv.CutString(rest)
	if len(rest) != 8 {
		panic(damaged(key))
	}
	return job, thing, binary.BigEndian.Uint64(rest)
}

// parseThingKey is the twin of thingKey, but for the time, which the row has too.
func parseThingKey(key []byte) (thing string, job, attempt uint64) {
	thing, rest := kv.CutString(key[1:])
	if len(rest) != 24 {
		panic(damaged(key))
	}
	return thing, binary.BigEndian.Uint64(rest[8:]), binary.BigEndian.Uint64(rest[16:])
}
