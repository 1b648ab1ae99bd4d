package jobs

import (
	"encoding/binary"

	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/page"
	"github.com/droverhq/drover/projections/progress"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// List lists jobs, newest first, those of one status if the query names one. Rows have neither targets nor document.
func List(r kv.Reader, q *v1.ListJobs) (*v1.ListJobsReply, error) {
	rows, next, err := page.List(r, kv.NewKey(tableRow), q.GetPage(), func(_, value []byte) (*v1.JobRow, bool) {
		row := page.Row[v1.JobRow](value)
		return row, q.GetStatus() == 0 || row.Status == q.GetStatus()
	})
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		row.IsConcurrent = concurrent(row, progress.Counts(r, row.Job))
	}
	return &v1.ListJobsReply{Jobs: rows, NextToken: next}, nil
}

// Describe tells one job with its targets and counters, and its document if asked for.
func Describe(r kv.Reader, q *v1.DescribeJob) (*v1.DescribeJobReply, error) {
	number, err := Number(r, q.GetJobId())
	if err != nil {
		return nil, err
	}
	row := read(r, number)
	if value, ok := r.Get(detailKey(number)); ok {
		detail := page.Row[v1.JobRow](value)
		row.Targets = detail.Targets
		if q.GetIncludeDocument() {
			row.Document = detail.Document
		}
	}
	counts := progress.Counts(r, number)
	row.IsConcurrent = concurrent(row, counts)
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

// ID is the id that a job had or has; empty if there is no such job.
func ID(r kv.Reader, job uint64) string { return read(r, job).GetJobId() }

// concurrent is AWS's isConcurrent: executions are being rolled out, or canceled. (specification §4.13)
func concurrent(row *v1.JobRow, c *v1.JobCounts) bool {
	switch row.Status {
	case v1.JobStatus_JOB_STATUS_IN_PROGRESS:
		return !c.SelectionFinished || c.Selected > c.Released+c.Dropped
	case v1.JobStatus_JOB_STATUS_CANCELED:
		return row.CompletedAtMs == 0
	}
	return false
}
