// Package jobs is the read model of jobs: one row each, and the id by which people call them.
//
// It promises to answer as log.job stood at the snapshot that it is asked on; the counters of a job are progress's,
// joined when asked. It leaves the freshness of the snapshot to the runner (projections).
//
//	j ^number            JobRow, newest job first; without targets and document
//	d number             JobRow with targets and document alone
//	i id                 number of the job that has this id now
package jobs

import (
	"encoding/binary"

	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/page"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// The tables. A byte belongs to one model of the store that all of them share.
const (
	tableRow    = 'j'
	tableDetail = 'd'
	tableID     = 'i'
)

// Tables are the first bytes of this model's keys.
const Tables = string(tableRow) + string(tableDetail) + string(tableID)

// Apply folds one commit of log.job; commits of other logs are nothing to it. A job changes a handful of times, so its
// row is read, changed and written.
func Apply(tx kv.Tx, log id.Log, c *v1.Commit) {
	if log != id.JobLog {
		return
	}
	for _, e := range c.Entries {
		switch event := e.GetEvent().GetEvent().(type) {
		case *v1.Event_JobCreated:
			create(tx, event.JobCreated, c.AtMs)
		case *v1.Event_JobCancelStarted:
			cancel := event.JobCancelStarted
			change(tx, cancel.Job, c.AtMs, func(r *v1.JobRow) {
				r.Status = v1.JobStatus_JOB_STATUS_CANCELED
				r.ForceCanceled = r.ForceCanceled || cancel.Force
				r.ReasonCode, r.Comment = cancel.ReasonCode, cancel.Comment
				r.CompletedAtMs = 0 // until every home has carried this cancel out
			})
		case *v1.Event_JobCanceled:
			change(tx, event.JobCanceled.Job, c.AtMs, func(r *v1.JobRow) { r.CompletedAtMs = c.AtMs })
		case *v1.Event_JobCompleted:
			change(tx, event.JobCompleted.Job, c.AtMs, func(r *v1.JobRow) {
				r.Status = v1.JobStatus_JOB_STATUS_COMPLETED
				r.CompletedAtMs = c.AtMs
			})
		}
	}
}

func create(tx kv.Writer, e *v1.JobCreated, at int64) {
	tx.Set(rowKey(e.Job), page.Value(&v1.JobRow{
		Job: e.Job, JobId: e.JobId, Status: v1.JobStatus_JOB_STATUS_IN_PROGRESS,
		TargetSelection: e.TargetSelection, Description: e.Description, Rollout: e.Rollout, Timeout: e.Timeout,
		CreatedAtMs: at, LastUpdatedAtMs: at,
	}))
	tx.Set(detailKey(e.Job), page.Value(&v1.JobRow{Targets: e.Targets, Document: e.Document}))
	tx.Set(idKey(e.JobId), binary.BigEndian.AppendUint64(nil, e.Job))
}

func change(tx kv.Tx, job uint64, at int64, f func(*v1.JobRow)) {
	row := read(tx, job)
	if row == nil {
		return // the log begins behind its JobCreated
	}
	f(row)
	row.LastUpdatedAtMs = at
	tx.Set(rowKey(job), page.Value(row))
}

func read(r kv.Reader, job uint64) *v1.JobRow {
	value, ok := r.Get(rowKey(job))
	if !ok {
		return nil
	}
	return page.Row[v1.JobRow](value)
}

func rowKey(job uint64) kv.Key    { return kv.NewKey(tableRow).Uint(^job) }
func detailKey(job uint64) kv.Key { return kv.NewKey(tableDetail).Uint(job) }
func idKey(id string) kv.Key      { return kv.NewKey(tableID).String(id) }
