package jobs

import (
	"encoding/binary"
	"fmt"

	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/page"
	"github.com/droverhq/drover/projections/progress"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// List lists jobs, newest first: those of one status, of one selection, in a namespace, or that name a group, if the query
// says so. Rows have neither targets nor document.
func List(r kv.Reader, q *v1.ListJobs) (*v1.ListJobsReply, error) {
	wanted := func(row *v1.JobRow) bool {
		return (q.GetStatus() == 0 || row.Status == q.GetStatus()) && (q.GetTargetSelection() == 0 || row.TargetSelection == q.GetTargetSelection()) &&
			(q.GetNamespaceId() == "" || row.NamespaceId == q.GetNamespaceId())
	}
	prefix, read := kv.NewKey(tableRow), func(_, value []byte) (*v1.JobRow, bool) {
		row := page.Row[v1.JobRow](value)
		return row, wanted(row)
	}
	if q.GetGroup() != "" {
		group, err := id.ParseGroup(q.GetGroup())
		if err != nil {
			return nil, page.Invalid("thingGroupName", err)
		}
		prefix, read = kv.NewKey(tableGroup).String(string(group)), func(key, _ []byte) (*v1.JobRow, bool) {
			value, ok := r.Get(append(kv.NewKey(tableRow), key[len(key)-8:]...))
			if !ok {
				panic(&kv.Failure{Op: "read row", Err: fmt.Errorf("a job of group %s has no row (projections rebuild makes it anew)", group)})
			}
			row := page.Row[v1.JobRow](value)
			return row, wanted(row)
		}
	}
	rows, next, err := page.List(r, prefix, q.GetPage(), read)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		row.IsConcurrent = concurrent(r, row, progress.Counts(r, row.Job))
	}
	return &v1.ListJobsReply{Jobs: rows, NextToken: next}, nil
}

// Describe tells one job with its targets and counters, and its document if asked for. The starts of its next windows are
// left to who knows the time.
func Describe(r kv.Reader, q *v1.DescribeJob) (*v1.DescribeJobReply, error) {
	number, err := Number(r, q.GetJobId())
	if err != nil {
		return nil, err
	}
	row := read(r, number)
	if value, ok := r.Get(detailKey(number)); ok {
		detail := page.Row[v1.JobRow](value)
		row.Targets, row.DocumentParameters, row.DestinationPackageVersions = detail.Targets, detail.DocumentParameters, detail.DestinationPackageVersions
		if q.GetIncludeDocument() {
			row.Document = detail.Document
		}
	}
	counts := progress.Counts(r, number)
	row.IsConcurrent = concurrent(r, row, counts)
	return &v1.DescribeJobReply{Job: row, Counts: counts}, nil
}

// Number is the number of the job that has an id, or an ARN, now.
func Number(r kv.Reader, jobID string) (uint64, error) {
	name, err := id.ParseJob(jobID)
	if err != nil {
		return 0, page.Invalid("jobId", err)
	}
	value, ok := r.Get(idKey(string(name)))
	if !ok {
		return 0, page.NotFound("jobId", "job", string(name))
	}
	return binary.BigEndian.Uint64(value), nil
}

// ID is the id that a job has, or had before it was deleted; empty if there never was such a job.
func ID(r kv.Reader, job uint64) string {
	if row := read(r, job); row != nil {
		return row.JobId
	}
	name, _ := r.Get(goneKey(job))
	return string(name)
}

// Namespace is the namespace that a job is in; empty is none, or no such job.
func Namespace(r kv.Reader, job uint64) string {
	return read(r, job).GetNamespaceId()
}

// concurrent is AWS's isConcurrent: executions are being rolled out, or canceled. A job for which there is no place among
// those is not. (specification §2.5, §4.13)
func concurrent(r kv.Reader, row *v1.JobRow, c *v1.JobCounts) bool {
	switch row.Status {
	case v1.JobStatus_JOB_STATUS_IN_PROGRESS:
		if row.EndReached {
			return canceledByEnd(row.Scheduling.GetEndBehavior(), c) > 0
		}
		return (!c.SelectionFinished || c.Selected > c.Released+c.Dropped) && !progress.Held(r, row.Job)
	case v1.JobStatus_JOB_STATUS_CANCELED:
		return row.CompletedAtMs == 0
	}
	return false
}

// canceledByEnd is how many executions the end of a job is still going to cancel.
func canceledByEnd(b v1.EndBehavior, c *v1.JobCounts) (n int64) {
	for _, a := range c.Attempts {
		if a.Status == v1.ExecutionStatus_EXECUTION_STATUS_QUEUED && b != v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT ||
			a.Status == v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS && b == v1.EndBehavior_END_BEHAVIOR_FORCE_CANCEL {
			n += a.Count
		}
	}
	return n
}
