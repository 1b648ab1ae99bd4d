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
		started(tx, at, e.JobStarted)
	case *v1.Event_JobWindowOpened:
		windowChanged(tx, at, e.JobWindowOpened.Job, true, e.JobWindowOpened.ClosesAtMs)
	case *v1.Event_JobWindowClosed:
		windowChanged(tx, at, e.JobWindowClosed.Job, false, e.JobWindowClosed.OpensAtMs)
	case *v1.Event_JobEndReached:
		endReached(tx, at, e.JobEndReached)
	case *v1.Event_JobUpdated:
		change(tx, at, e.JobUpdated.Job, func(row *v1.JobRow) { updated(row, e.JobUpdated) })
	case *v1.Event_TargetsAssociated:
		associated(tx, at, e.TargetsAssociated)
	case *v1.Event_JobCancelStarted:
		cancelStarted(tx, at, e.JobCancelStarted)
	case *v1.Event_JobCanceled:
		change(tx, at, e.JobCanceled.Job, func(row *v1.JobRow) {
			row.IsConcurrent = false
			row.CompletedAtMs = at.AtMs
		})
	case *v1.Event_JobCompleted:
		change(tx, at, e.JobCompleted.Job, func(row *v1.JobRow) {
			row.Status = v1.JobStatus_JOB_STATUS_COMPLETED
			row.IsConcurrent, row.WindowOpen, row.WindowChangesAtMs = false, false, 0
			row.CompletedAtMs = at.AtMs
		})
	case *v1.Event_JobDeletionStarted:
		change(tx, at, e.JobDeletionStarted.Job, func(row *v1.JobRow) {
			row.Status = v1.JobStatus_JOB_STATUS_DELETION_IN_PROGRESS
			row.IsConcurrent, row.WindowOpen, row.WindowChangesAtMs = false, false, 0
		})
	case *v1.Event_JobDeleted:
		deleted(tx, e.JobDeleted.Job)
	default:
		evolveRest(tx, at, event)
	}
}

// evolveRest folds what is about no job.
func evolveRest(tx kv.Tx, at core.Place, event *v1.Event) {
	switch e := event.GetEvent().(type) {
	case *v1.Event_JobTemplateCreated:
		add(tx, templates, 1)
		store(tx, templateKey(e.JobTemplateCreated.GetTemplate().GetTemplateId()), &v1.TemplateRow{
			Template: e.JobTemplateCreated.Template, CreatedAtMs: at.AtMs, Tags: e.JobTemplateCreated.Tags,
		})
	case *v1.Event_JobTemplateDeleted:
		key := templateKey(e.JobTemplateDeleted.TemplateId)
		if _, ok := tx.Get(key); ok {
			add(tx, templates, -1)
			tx.Delete(key)
		}
	case *v1.Event_ResourceTagged:
		retag(tx, e.ResourceTagged.Resource, func(had []*v1.Tag) []*v1.Tag { return v1.WithTags(had, e.ResourceTagged.Tags) })
	case *v1.Event_ResourceUntagged:
		retag(tx, e.ResourceUntagged.Resource, func(had []*v1.Tag) []*v1.Tag { return v1.WithoutTags(had, e.ResourceUntagged.Keys) })
	case *v1.Event_EventsConfigured:
		for _, c := range e.EventsConfigured.Configurations {
			if c.Enabled {
				tx.Set(eventsKey(c.Category), nil)
			} else {
				tx.Delete(eventsKey(c.Category))
			}
		}
	default:
		panic(core.Unreadable(at, event))
	}
}

// retag changes the tags of a job or a template, and nothing else of it: lastUpdatedAt is of the job itself.
func retag(tx kv.Tx, on *v1.TaggedResource, change func([]*v1.Tag) []*v1.Tag) {
	if number := on.GetJob(); number != 0 {
		if row := load(tx, number); row != nil {
			row.Tags = change(row.Tags)
			store(tx, jobKey(number), row)
		}
		return
	}
	if row := loadTemplate(tx, on.GetTemplateId()); row != nil {
		row.Tags = change(row.Tags)
		store(tx, templateKey(on.GetTemplateId()), row)
	}
}

func created(tx kv.Tx, at core.Place, e *v1.JobCreated) {
	tx.Set(idKey(id.Job(e.JobId)), binary.BigEndian.AppendUint64(nil, e.Job))
	row := &v1.JobRow{
		Job:             e.Job,
		JobId:           e.JobId,
		Status:          v1.JobStatus_JOB_STATUS_SCHEDULED,
		TargetSelection: e.TargetSelection,
		Description:     e.Description,
		Rollout:         e.Rollout,
		Timeout:         e.Timeout,
		Abort:           e.Abort,
		Retry:           e.Retry,
		Scheduling:      e.Scheduling,
		PresignedUrl:    e.PresignedUrl,
		NamespaceId:     e.NamespaceId,
		JobTemplateArn:  e.JobTemplateArn,
		Tags:            e.Tags,
		CreatedAtMs:     at.AtMs,
		LastUpdatedAtMs: at.AtMs,

		WindowChangesAtMs: e.Scheduling.GetFirstWindowMs(),
	}
	store(tx, jobKey(e.Job), row)
	store(tx, definitionKey(e.Job), &v1.JobRow{
		Targets:                    e.Targets,
		Document:                   e.Document,
		DocumentParameters:         e.DocumentParameters,
		DestinationPackageVersions: e.DestinationPackageVersions,
	})
	add(tx, activeJobs, 1)
	m := moments{change: e.Scheduling.GetStartAtMs(), end: e.Scheduling.GetEndAtMs()}
	if row.WindowChangesAtMs != 0 {
		m.change = row.WindowChangesAtMs
	}
	await(tx, e.Job, m)
}

func started(tx kv.Tx, at core.Place, e *v1.JobStarted) {
	change(tx, at, e.Job, func(row *v1.JobRow) {
		row.Status = v1.JobStatus_JOB_STATUS_IN_PROGRESS
		row.IsConcurrent = true
	})
	m := momentsOf(tx, e.Job)
	m.change = 0 // a window that opens with the start says when it closes
	m.started = len(load(tx, e.Job).GetScheduling().GetWindows()) > 0
	await(tx, e.Job, m)
}

// windowChanged: between two windows a job is SCHEDULED. Both events say when the next change is, 0 is never.
func windowChanged(tx kv.Tx, at core.Place, number uint64, open bool, next int64) {
	m := momentsOf(tx, number)
	m.change = next
	await(tx, number, m)
	change(tx, at, number, func(row *v1.JobRow) {
		row.Status = v1.JobStatus_JOB_STATUS_SCHEDULED
		if open {
			row.Status = v1.JobStatus_JOB_STATUS_IN_PROGRESS
		}
		row.IsConcurrent, row.WindowOpen, row.WindowChangesAtMs = open, open, next
	})
}

// endReached: nothing more is released. Where what is pending goes on, it does so in the job's windows.
func endReached(tx kv.Tx, at core.Place, e *v1.JobEndReached) {
	m := momentsOf(tx, e.Job)
	m.end = 0
	goesOn := m.started && e.EndBehavior == v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT
	if !goesOn {
		m.change = 0
	}
	await(tx, e.Job, m)
	change(tx, at, e.Job, func(row *v1.JobRow) {
		row.EndReached = true
		if !goesOn {
			row.WindowChangesAtMs = 0
		}
	})
}

func updated(row *v1.JobRow, e *v1.JobUpdated) {
	if e.Description != nil {
		row.Description = *e.Description
	}
	if e.PresignedUrl != nil {
		row.PresignedUrl = some(e.PresignedUrl)
	}
	if e.Rollout != nil {
		row.Rollout = some(e.Rollout)
	}
	if e.Abort != nil {
		row.Abort = e.Abort
	}
	if e.Timeout != nil {
		row.Timeout = some(e.Timeout)
	}
	if e.Retry != nil {
		row.Retry = e.Retry
	}
}

// some is nil for a configuration that says nothing, which is none.
func some[M interface{ SizeVT() int }](c M) M {
	if c.SizeVT() == 0 {
		var none M
		return none
	}
	return c
}

func associated(tx kv.Tx, at core.Place, e *v1.TargetsAssociated) {
	key := definitionKey(e.Job)
	def := loadKey(tx, key)
	if def == nil {
		return
	}
	def.Targets = append(def.Targets, e.Targets...)
	store(tx, key, def)
	change(tx, at, e.Job, func(row *v1.JobRow) {
		row.IsConcurrent = true
		if e.Comment != "" {
			row.Comment = e.Comment
		}
	})
}

func cancelStarted(tx kv.Tx, at core.Place, e *v1.JobCancelStarted) {
	// The status changes at once; IsConcurrent says that the homes are still at it (specification §4.13).
	change(tx, at, e.Job, func(row *v1.JobRow) {
		row.Status = v1.JobStatus_JOB_STATUS_CANCELED
		row.IsConcurrent = true
		row.WindowOpen, row.WindowChangesAtMs = false, 0
		row.ForceCanceled = e.Force
		row.ReasonCode = e.ReasonCode
		row.Comment = e.Comment
		row.CompletedAtMs = 0
	})
}

// change rewrites a job's row and what follows from it; a job number that was never created changes nothing.
func change(tx kv.Tx, at core.Place, number uint64, apply func(*v1.JobRow)) {
	row := load(tx, number)
	if row == nil {
		return
	}
	status, ended := row.Status, row.CompletedAtMs
	apply(row)
	row.LastUpdatedAtMs = at.AtMs
	store(tx, jobKey(number), row)
	add(tx, activeJobs, oneIf(active(row.Status))-oneIf(active(status)))
	add(tx, deletions, oneIf(deleting(row.Status))-oneIf(deleting(status)))
	if !active(row.Status) {
		await(tx, number, moments{})
	}
	age(tx, number, ended, kept(row))
}

// kept is since when a job is kept for its age alone, 0 if it is not.
func kept(row *v1.JobRow) int64 {
	if deleting(row.Status) {
		return 0
	}
	return row.CompletedAtMs
}

// age moves a job in the order of what is kept.
func age(tx kv.Tx, number uint64, from, to int64) {
	if from == to {
		return
	}
	if from != 0 {
		tx.Delete(endedKey(from, number))
	}
	if to != 0 {
		tx.Set(endedKey(to, number), nil)
	}
}

func deleted(tx kv.Tx, number uint64) {
	row := load(tx, number)
	if row == nil {
		return
	}
	tx.Delete(idKey(id.Job(row.JobId)))
	tx.Delete(jobKey(number))
	tx.Delete(definitionKey(number))
	add(tx, deletions, -oneIf(deleting(row.Status)))
}

func deleting(s v1.JobStatus) bool { return s == v1.JobStatus_JOB_STATUS_DELETION_IN_PROGRESS }

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}
