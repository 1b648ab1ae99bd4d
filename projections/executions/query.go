package executions

import (
	"fmt"

	"github.com/droverhq/drover/projections/jobs"
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/page"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// ListForJob lists a job's executions by thing and attempt, those of one status if the query names one.
func ListForJob(r kv.Reader, q *v1.ListExecutionsForJob) (*v1.ListExecutionsReply, error) {
	job, err := jobs.Number(r, q.GetJobId())
	if err != nil {
		return nil, err
	}
	jobID := jobs.ID(r, job)
	rows, next, err := page.List(r, kv.NewKey(tableRow).Uint(job), q.GetPage(), func(key, value []byte) (*v1.ExecutionRow, bool) {
		row := read(key, value)
		row.JobId = jobID
		return row, q.GetStatus() == 0 || row.Status == q.GetStatus()
	})
	return &v1.ListExecutionsReply{Executions: rows, NextToken: next}, err
}

// ListForThing lists a thing's executions, those queued last first, of one job or of jobs in one namespace if the query
// names one: each attempt is a row (specification §2.7). A thing that never had one has an empty list: whether it exists is fleet's to say.
func ListForThing(r kv.Reader, q *v1.ListExecutionsForThing) (*v1.ListExecutionsReply, error) {
	thing, err := id.ParseThing(q.GetThing())
	if err != nil {
		return nil, page.Invalid("thingName", err)
	}
	only := uint64(0)
	if q.GetJobId() != "" {
		if only, err = jobs.Number(r, q.GetJobId()); err != nil {
			return nil, err
		}
	}
	names := map[uint64]string{}
	rows, next, err := page.List(r, kv.NewKey(tableThing).String(string(thing)), q.GetPage(), func(key, _ []byte) (*v1.ExecutionRow, bool) {
		name, job, attempt := parseThingKey(key)
		if only != 0 && job != only || q.GetNamespaceId() != "" && jobs.Namespace(r, job) != q.GetNamespaceId() {
			return nil, false
		}
		at := rowKey(job, name, attempt)
		value, ok := r.Get(at)
		if !ok {
			panic(damaged(key))
		}
		row := read(at, value)
		if names[job] == "" {
			names[job] = jobs.ID(r, job)
		}
		row.JobId = names[job]
		return row, q.GetStatus() == 0 || row.Status == q.GetStatus()
	})
	return &v1.ListExecutionsReply{Executions: rows, NextToken: next}, err
}

// Get tells one execution: the attempt that the query names, else the latest.
func Get(r kv.Reader, q *v1.GetExecution) (*v1.GetExecutionReply, error) {
	thing, err := id.ParseThing(q.GetThing())
	if err != nil {
		return nil, page.Invalid("thingName", err)
	}
	job, err := jobs.Number(r, q.GetJobId())
	if err != nil {
		return nil, err
	}
	var row *v1.ExecutionRow
	if q.GetExecutionNumber() != 0 {
		key := rowKey(job, string(thing), q.GetExecutionNumber())
		if value, ok := r.Get(key); ok {
			row = read(key, value)
		}
	} else {
		all := kv.NewKey(tableRow).Uint(job).String(string(thing))
		for key, value := range r.Scan(all, kv.PrefixEnd(all)) {
			row = read(key, value)
		}
	}
	switch {
	case row != nil:
		row.JobId = jobs.ID(r, job)
		return &v1.GetExecutionReply{Execution: row}, nil
	case q.GetExecutionNumber() != 0:
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "executionNumber", "thing %s has no execution %d of job %s", thing, q.GetExecutionNumber(), q.GetJobId())
	}
	return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "thingName", "thing %s has no execution of job %s", thing, q.GetJobId())
}

// read puts a row together from its key and its value.
func read(key, value []byte) *v1.ExecutionRow {
	row := page.Row[v1.ExecutionRow](value)
	row.Job, row.Thing, row.ExecutionNumber = parseRowKey(key)
	return row
}

func damaged(key []byte) *kv.Failure {
	return &kv.Failure{Op: "read row", Err: fmt.Errorf("%q is no key of an execution, or its row is lost (projections rebuild makes it anew)", key)}
}
