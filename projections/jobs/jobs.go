// Package jobs is the read model of jobs: one row each, and the id by which people call them; of job templates, tags, and
// which events are published.
//
// It promises to answer as log.job stood at the snapshot that it is asked on; the counters of a job are progress's,
// joined when asked. It leaves the freshness of the snapshot to the runner (projections).
//
//	j ^number            JobRow, newest job first; without what stands in its detail
//	d number             JobRow with targets, document, parameters and package versions alone
//	i id                 number of the job that has this id now
//	g group ^number      nothing: a job that names the group as a target
//	x number             id of a job that was deleted: its events are still told by it
//	p id                 TemplateRow
//	v category           1 byte, whether its events are published; category 0: when that was changed last, 8 bytes
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
	tableRow      = 'j'
	tableDetail   = 'd'
	tableID       = 'i'
	tableGroup    = 'g'
	tableGone     = 'x'
	tableTemplate = 'p'
	tableEvents   = 'v'
)

// Tables are the first bytes of this model's keys.
const Tables = "jdigxpv"

// Apply folds one commit of log.job; commits of other logs are nothing to it. A job changes a handful of times, so its
// row is read, changed and written.
func Apply(tx kv.Tx, log id.Log, c *v1.Commit) {
	if log != id.JobLog {
		return
	}
	for _, e := range c.Entries {
		if !applyStatus(tx, e.GetEvent(), c.AtMs) && !applySettings(tx, e.GetEvent(), c.AtMs) {
			applyRest(tx, e.GetEvent(), c.AtMs)
		}
	}
}

// applyStatus folds what changes how a job stands.
func applyStatus(tx kv.Tx, event *v1.Event, at int64) bool {
	switch e := event.GetEvent().(type) {
	case *v1.Event_JobCreated:
		create(tx, e.JobCreated, at)
	case *v1.Event_JobStarted:
		change(tx, e.JobStarted.Job, at, func(r *v1.JobRow) { r.Status = v1.JobStatus_JOB_STATUS_IN_PROGRESS })
	case *v1.Event_JobWindowOpened:
		change(tx, e.JobWindowOpened.Job, at, func(r *v1.JobRow) {
			r.Status = v1.JobStatus_JOB_STATUS_IN_PROGRESS
			r.WindowOpen, r.WindowChangesAtMs = true, e.JobWindowOpened.ClosesAtMs
		})
	case *v1.Event_JobWindowClosed:
		change(tx, e.JobWindowClosed.Job, at, func(r *v1.JobRow) {
			r.Status = v1.JobStatus_JOB_STATUS_SCHEDULED
			r.WindowOpen, r.WindowChangesAtMs = false, e.JobWindowClosed.OpensAtMs
		})
	case *v1.Event_JobEndReached:
		change(tx, e.JobEndReached.Job, at, func(r *v1.JobRow) {
			if r.EndReached = true; e.JobEndReached.EndBehavior != v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT {
				r.WindowChangesAtMs = 0
			}
		})
	case *v1.Event_JobCancelStarted:
		cancel := e.JobCancelStarted
		change(tx, cancel.Job, at, func(r *v1.JobRow) {
			r.Status = v1.JobStatus_JOB_STATUS_CANCELED
			r.ForceCanceled = r.ForceCanceled || cancel.Force
			r.ReasonCode, r.Comment = cancel.ReasonCode, cancel.Comment
			r.WindowOpen, r.WindowChangesAtMs = false, 0
			r.CompletedAtMs = 0 // until every home has carried this cancel out
		})
	case *v1.Event_JobCanceled:
		change(tx, e.JobCanceled.Job, at, func(r *v1.JobRow) { r.CompletedAtMs = at })
	case *v1.Event_JobCompleted:
		change(tx, e.JobCompleted.Job, at, func(r *v1.JobRow) {
			r.Status, r.CompletedAtMs = v1.JobStatus_JOB_STATUS_COMPLETED, at
			r.WindowOpen, r.WindowChangesAtMs = false, 0
		})
	case *v1.Event_JobDeletionStarted:
		change(tx, e.JobDeletionStarted.Job, at, func(r *v1.JobRow) {
			r.Status = v1.JobStatus_JOB_STATUS_DELETION_IN_PROGRESS
			r.WindowOpen, r.WindowChangesAtMs = false, 0
		})
	case *v1.Event_JobDeleted:
		remove(tx, e.JobDeleted.Job)
	default:
		return false
	}
	return true
}

// applySettings folds what changes what a job is.
func applySettings(tx kv.Tx, event *v1.Event, at int64) bool {
	switch e := event.GetEvent().(type) {
	case *v1.Event_JobUpdated:
		change(tx, e.JobUpdated.Job, at, func(r *v1.JobRow) { update(r, e.JobUpdated) })
	case *v1.Event_TargetsAssociated:
		associate(tx, e.TargetsAssociated, at)
	case *v1.Event_ResourceTagged:
		retag(tx, e.ResourceTagged.Resource, func(had []*v1.Tag) []*v1.Tag { return v1.WithTags(had, e.ResourceTagged.Tags) })
	case *v1.Event_ResourceUntagged:
		retag(tx, e.ResourceUntagged.Resource, func(had []*v1.Tag) []*v1.Tag { return v1.WithoutTags(had, e.ResourceUntagged.Keys) })
	default:
		return false
	}
	return true
}

// applyRest folds what is about no job.
func applyRest(tx kv.Tx, event *v1.Event, at int64) {
	switch e := event.GetEvent().(type) {
	case *v1.Event_JobTemplateCreated:
		t := e.JobTemplateCreated
		tx.Set(templateKey(t.GetTemplate().GetTemplateId()), page.Value(&v1.TemplateRow{Template: t.Template, CreatedAtMs: at, Tags: t.Tags}))
	case *v1.Event_JobTemplateDeleted:
		tx.Delete(templateKey(e.JobTemplateDeleted.TemplateId))
	case *v1.Event_EventsConfigured:
		for _, c := range e.EventsConfigured.Configurations {
			tx.Set(eventsKey(c.Category), kv.Row(nil).Bool(c.Enabled).Int(at))
		}
	}
}

func create(tx kv.Writer, e *v1.JobCreated, at int64) {
	tx.Set(rowKey(e.Job), page.Value(&v1.JobRow{
		Job: e.Job, JobId: e.JobId, Status: v1.JobStatus_JOB_STATUS_SCHEDULED,
		TargetSelection: e.TargetSelection, Description: e.Description, Rollout: e.Rollout, Timeout: e.Timeout,
		Abort: e.Abort, Retry: e.Retry, Scheduling: e.Scheduling, PresignedUrl: e.PresignedUrl, NamespaceId: e.NamespaceId,
		JobTemplateArn: e.JobTemplateArn, Tags: e.Tags, WindowChangesAtMs: e.Scheduling.GetFirstWindowMs(),
		CreatedAtMs: at, LastUpdatedAtMs: at,
	}))
	tx.Set(detailKey(e.Job), page.Value(&v1.JobRow{
		Targets: e.Targets, Document: e.Document, DocumentParameters: e.DocumentParameters, DestinationPackageVersions: e.DestinationPackageVersions,
	}))
	tx.Set(idKey(e.JobId), binary.BigEndian.AppendUint64(nil, e.Job))
	index(tx, e.Job, e.Targets)
}

// index finds a job by the groups that it names.
func index(tx kv.Writer, job uint64, targets []*v1.Target) {
	for _, t := range targets {
		if g := t.GetGroup(); g != "" {
			tx.Set(groupKey(g, job), nil)
		}
	}
}

func update(r *v1.JobRow, e *v1.JobUpdated) {
	if e.Description != nil {
		r.Description = *e.Description
	}
	replace(&r.PresignedUrl, e.PresignedUrl)
	replace(&r.Rollout, e.Rollout)
	replace(&r.Abort, e.Abort)
	replace(&r.Timeout, e.Timeout)
	replace(&r.Retry, e.Retry)
}

// replace puts a configuration that is present in the place of another; one that says nothing is none.
func replace[M any, P interface {
	*M
	SizeVT() int
}](was *P, now P) {
	switch {
	case now == nil:
	case now.SizeVT() == 0:
		*was = nil
	default:
		*was = now
	}
}

func associate(tx kv.Tx, e *v1.TargetsAssociated, at int64) {
	value, ok := tx.Get(detailKey(e.Job))
	if !ok {
		return // the log begins behind its JobCreated
	}
	detail := page.Row[v1.JobRow](value)
	detail.Targets = append(detail.Targets, e.Targets...)
	tx.Set(detailKey(e.Job), page.Value(detail))
	index(tx, e.Job, e.Targets)
	change(tx, e.Job, at, func(r *v1.JobRow) {
		if e.Comment != "" {
			r.Comment = e.Comment
		}
	})
}

// remove forgets a job but for its name.
func remove(tx kv.Tx, job uint64) {
	row := read(tx, job)
	if row == nil {
		return
	}
	if value, ok := tx.Get(detailKey(job)); ok {
		for _, t := range page.Row[v1.JobRow](value).Targets {
			if g := t.GetGroup(); g != "" {
				tx.Delete(groupKey(g, job))
			}
		}
	}
	tx.Delete(rowKey(job))
	tx.Delete(detailKey(job))
	tx.Delete(idKey(row.JobId))
	tx.Set(goneKey(job), []byte(row.JobId))
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

func rowKey(job uint64) kv.Key                 { return kv.NewKey(tableRow).Uint(^job) }
func detailKey(job uint64) kv.Key              { return kv.NewKey(tableDetail).Uint(job) }
func idKey(id string) kv.Key                   { return kv.NewKey(tableID).String(id) }
func goneKey(job uint64) kv.Key                { return kv.NewKey(tableGone).Uint(job) }
func groupKey(group string, job uint64) kv.Key { return kv.NewKey(tableGroup).String(group).Uint(^job) }
func templateKey(id string) kv.Key             { return kv.NewKey(tableTemplate).String(id) }
func eventsKey(c v1.EventCategory) kv.Key      { return append(kv.NewKey(tableEvents), byte(c)) }
