package aws

import (
	"net/http"
	"strconv"
	"time"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

const (
	jobID           = "jobId"
	executionNumber = "executionNumber"
)

// Executions. (specification §2.3 and §2.7)
func executionOperations() []*operation {
	const ofThing, path = "/things/{thingName}/jobs", "/things/{thingName}/jobs/{jobId}"
	return []*operation{
		op("ListJobExecutionsForJob", http.MethodGet, "/jobs/{jobId}/things", listExecutionsForJob, status, maxResults, nextToken).fails(resourceNotFound),
		op("ListJobExecutionsForThing", http.MethodGet, ofThing, listExecutionsForThing, status, namespaceID, jobID, maxResults, nextToken).fails(resourceNotFound),
		op("DescribeJobExecution", http.MethodGet, path, describeExecution, executionNumber).fails(resourceNotFound),
		op("CancelJobExecution", http.MethodPut, path+"/cancel", cancelExecution, force).fails(resourceNotFound, badTransition, versionConflict),
		op("DeleteJobExecution", http.MethodDelete, path+"/executionNumber/{executionNumber}", deleteExecution, force, namespaceID).fails(resourceNotFound, badTransition),
	}
}

// executionRow is a row of a list: of a job it names the thing, of a thing the job.
type executionRow struct {
	ThingARN string           `json:"thingArn,omitempty"`
	JobID    string           `json:"jobId,omitempty"`
	Summary  executionSummary `json:"jobExecutionSummary"`
}

type executionSummary struct {
	Status          string `json:"status"`
	QueuedAt        moment `json:"queuedAt,omitzero"`
	StartedAt       moment `json:"startedAt,omitzero"`
	LastUpdatedAt   moment `json:"lastUpdatedAt,omitzero"`
	ExecutionNumber uint64 `json:"executionNumber"`
	RetryAttempt    uint32 `json:"retryAttempt"`
}

type executionList struct {
	Rows []executionRow `json:"executionSummaries"`
	Next string         `json:"nextToken,omitempty"`
}

func showSummary(x *v1.ExecutionRow) executionSummary {
	return executionSummary{
		Status: v1.EnumName(x.GetStatus()), QueuedAt: moment(x.GetQueuedAtMs()), StartedAt: moment(x.GetStartedAtMs()),
		LastUpdatedAt: moment(x.GetLastUpdatedAtMs()), ExecutionNumber: x.GetExecutionNumber(), RetryAttempt: x.GetRetryAttempt(),
	}
}

func listExecutionsForJob(c *call) (any, error) {
	job, err := c.job()
	if err != nil {
		return nil, err
	}
	q := &v1.ListExecutionsForJob{Freshness: fresh, JobId: job}
	if err := word(c, status, &q.Status); err != nil {
		return nil, err
	}
	if q.Page, err = c.page(); err != nil {
		return nil, err
	}
	reply, err := ask(c, bus.ListExecutionsForJob, q)
	if err != nil {
		return nil, err
	}
	row := func(x *v1.ExecutionRow) executionRow {
		return executionRow{ThingARN: c.arn("thing", x.GetThing()), Summary: showSummary(x)}
	}
	return executionList{rows(reply.GetExecutions(), row), reply.GetNextToken()}, nil
}

func listExecutionsForThing(c *call) (any, error) {
	thing, err := c.thing()
	if err != nil {
		return nil, err
	}
	q := &v1.ListExecutionsForThing{Freshness: fresh, Thing: thing, JobId: c.query.Get(jobID), NamespaceId: c.query.Get(namespaceID)}
	if err := word(c, status, &q.Status); err != nil {
		return nil, err
	}
	if q.Page, err = c.page(); err != nil {
		return nil, err
	}
	reply, err := ask(c, bus.ListExecutionsForThing, q)
	if err != nil {
		return nil, err
	}
	if len(reply.GetExecutions()) == 0 && q.Page.Token == "" { // of a thing that never had one, or of none
		if _, err := ask(c, bus.DescribeThing, &v1.DescribeThing{Freshness: fresh, Name: thing}); err != nil {
			return nil, err
		}
	}
	row := func(x *v1.ExecutionRow) executionRow {
		return executionRow{JobID: x.GetJobId(), Summary: showSummary(x)}
	}
	return executionList{rows(reply.GetExecutions(), row), reply.GetNextToken()}, nil
}

// execution is what DescribeJobExecution tells on this plane, where details stand one level deeper than on the devices'.
type execution struct {
	JobID           string           `json:"jobId"`
	Status          string           `json:"status"`
	ForceCanceled   bool             `json:"forceCanceled,omitempty"`
	Details         executionDetails `json:"statusDetails"`
	ThingARN        string           `json:"thingArn"`
	QueuedAt        moment           `json:"queuedAt,omitzero"`
	StartedAt       moment           `json:"startedAt,omitzero"`
	LastUpdatedAt   moment           `json:"lastUpdatedAt,omitzero"`
	ExecutionNumber uint64           `json:"executionNumber"`
	VersionNumber   uint64           `json:"versionNumber"`
	// Seconds until the earlier of its timers runs out.
	TimesOutIn *int64 `json:"approximateSecondsBeforeTimedOut,omitempty"`
}

type executionDetails struct {
	Map map[string]string `json:"detailsMap"`
}

func describeExecution(c *call) (any, error) {
	thing, job, err := c.execution()
	if err != nil {
		return nil, err
	}
	number, err := c.number(executionNumber)
	if err != nil {
		return nil, err
	}
	reply, err := ask(c, bus.GetExecution, &v1.GetExecution{Freshness: fresh, JobId: job, Thing: thing, ExecutionNumber: number})
	if err != nil {
		return nil, err
	}
	return struct {
		Execution execution `json:"execution"`
	}{c.showExecution(reply.GetExecution(), time.Now())}, nil
}

func (c *call) showExecution(x *v1.ExecutionRow, now time.Time) execution {
	shown := execution{
		JobID: x.GetJobId(), Status: v1.EnumName(x.GetStatus()), ForceCanceled: x.GetForceCanceled(), Details: executionDetails{map[string]string{}},
		ThingARN: c.arn("thing", x.GetThing()), QueuedAt: moment(x.GetQueuedAtMs()), StartedAt: moment(x.GetStartedAtMs()),
		LastUpdatedAt: moment(x.GetLastUpdatedAtMs()), ExecutionNumber: x.GetExecutionNumber(), VersionNumber: x.GetVersionNumber(),
	}
	for _, d := range x.GetStatusDetails() {
		shown.Details.Map[d.GetName()] = d.GetValue()
	}
	if x.GetStatus() == v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS && x.GetDeadlineMs() != 0 {
		left := max(0, (x.GetDeadlineMs()-now.UnixMilli())/1000)
		shown.TimesOutIn = &left
	}
	return shown
}

func cancelExecution(c *call) (any, error) {
	thing, job, err := c.execution()
	if err != nil {
		return nil, err
	}
	q, err := body.CancelExecution(c.body)
	if err != nil {
		return nil, err
	}
	if q.Force, err = c.flag(force); err != nil {
		return nil, err
	}
	q.Thing, q.JobId = thing, job
	_, err = tell(c, bus.CancelExecution, q)
	return nil, err
}

func deleteExecution(c *call) (any, error) {
	thing, err := c.thing()
	if err != nil {
		return nil, err
	}
	job, err := c.namespacedJob()
	if err != nil {
		return nil, err
	}
	q := &v1.DeleteExecution{Thing: thing, JobId: job}
	if q.ExecutionNumber, err = strconv.ParseUint(c.vars[executionNumber], 10, 63); err != nil || q.ExecutionNumber == 0 {
		return nil, invalid("executionNumber: a whole number above 0 is expected, not %.40q", c.vars[executionNumber])
	}
	if q.Force, err = c.flag(force); err != nil {
		return nil, err
	}
	_, err = tell(c, bus.DeleteExecution, q)
	return nil, err
}

// execution names the thing and the job of the path.
func (c *call) execution() (thing, job string, err error) {
	if thing, err = c.thing(); err == nil {
		job, err = c.job()
	}
	return thing, job, err
}
