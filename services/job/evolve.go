package job

import (
	"encoding/binary"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// Evolve implements core.Core.
func (jobs) Evolve(tx kv.Tx, at core.Place, event *v1.Event) {
	switch e := event.GetEvent().(type) {
	case *v1.Event_JobCreated:
		created(tx, at, e.JobCreated)
	case *v1.Event_JobStarted:
		change(tx, at, e.JobStarted.Job, func(row *v1.JobRow) {
			row.Status = v1.JobStatus_JOB_STATUS_IN_PROGRESS
			row.IsConcurrent = true
		})
	case *v1.Event_JobCancelStarted:
		// The status changes at once; IsConcurrent says that the homes are still at it (specification §4.13).
		change(tx, at, e.JobCancelStarted.Job, func(row *v1.JobRow) {
			row.Status = v1.JobStatus_JOB_STATUS_CANCELED
			row.IsConcurrent = true
			row.ForceCanceled = e.JobCancelStarted.Force
			row.ReasonCode = e.JobCancelStarted.ReasonCode
			row.Comment = e.JobCancelStarted.Comment
			row.CompletedAtMs = 0
		})
	case *v1.Event_JobCanceled:
		change(tx, at, e.JobCanceled.Job, func(row *v1.JobRow) {
			row.IsConcurrent = false
			row.CompletedAtMs = at.AtMs
		})
	case *v1.Event_JobCompleted:
		change(tx, at, e.JobCompleted.Job, func(row *v1.JobRow) {
			row.Status = v1.JobStatus_JOB_STATUS_COMPLETED
			row.IsConcurrent = false
			row.CompletedAtMs = at.AtMs
		})
	default:
		panic(core.Unreadable(at, event))
	}
}

func created(tx kv.Tx, at core.Place, e *v1.JobCreated) {
	tx.Set(idKey(id.Job(e.JobId)), binary.BigEndian.AppendUint64(nil, e.Job))
	store(tx, jobKey(e.Job), &v1.JobRow{
		Job:             e.Job,
		JobId:           e.JobId,
		TargetSelection: e.TargetSelection,
		Description:     e.Description,
		Rollout:         e.Rollout,
		Timeout:         e.Timeout,
		CreatedAtMs:     at.AtMs,
		LastUpdatedAtMs: at.AtMs,
	})
	store(tx, definitionKey(e.Job), &v1.JobRow{Targets: e.Targets, Document: e.Document})
}

// change rewrites a job's row; a job number that was never created changes nothing.
func change(tx kv.Tx, at core.Place, number uint64, apply func(*v1.JobRow)) {
	row := load(tx, number)
	if row == nil {
		return
	}
	apply(row)
	row.LastUpdatedAtMs = at.AtMs
	store(tx, jobKey(number), row)
}
