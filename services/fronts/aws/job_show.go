package aws

import (
	"strings"
	"time"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

// job is what DescribeJob tells, without the document. (specification §2.5)
type job struct {
	ARN             string                 `json:"jobArn"`
	ID              string                 `json:"jobId"`
	Selection       string                 `json:"targetSelection"`
	Status          string                 `json:"status"`
	ForceCanceled   bool                   `json:"forceCanceled,omitempty"`
	ReasonCode      string                 `json:"reasonCode,omitempty"`
	Comment         string                 `json:"comment,omitempty"`
	Targets         []string               `json:"targets"`
	Description     string                 `json:"description,omitempty"`
	Presigned       any                    `json:"presignedUrlConfig"`
	Rollout         any                    `json:"jobExecutionsRolloutConfig"`
	Abort           *body.AbortConfig      `json:"abortConfig,omitempty"`
	CreatedAt       moment                 `json:"createdAt"`
	LastUpdatedAt   moment                 `json:"lastUpdatedAt,omitzero"`
	CompletedAt     moment                 `json:"completedAt,omitzero"`
	Process         jobProcess             `json:"jobProcessDetails"`
	Timeout         any                    `json:"timeoutConfig"`
	Namespace       string                 `json:"namespaceId,omitempty"`
	TemplateARN     string                 `json:"jobTemplateArn,omitempty"`
	Retry           *body.RetryConfig      `json:"jobExecutionsRetryConfig,omitempty"`
	Parameters      map[string]string      `json:"documentParameters,omitempty"`
	IsConcurrent    bool                   `json:"isConcurrent"`
	Scheduling      *body.SchedulingConfig `json:"schedulingConfig,omitempty"`
	Rollouts        []scheduledRollout     `json:"scheduledJobRollouts,omitempty"`
	PackageVersions []string               `json:"destinationPackageVersions,omitempty"`
}

// jobProcess counts a job's executions: with retries there are more than things.
type jobProcess struct {
	// Targets are those whose things are still being released; none once all are.
	Targets    []string `json:"processingTargets,omitempty"`
	Canceled   int64    `json:"numberOfCanceledThings"`
	Succeeded  int64    `json:"numberOfSucceededThings"`
	Failed     int64    `json:"numberOfFailedThings"`
	Rejected   int64    `json:"numberOfRejectedThings"`
	Queued     int64    `json:"numberOfQueuedThings"`
	InProgress int64    `json:"numberOfInProgressThings"`
	Removed    int64    `json:"numberOfRemovedThings"`
	TimedOut   int64    `json:"numberOfTimedOutThings"`
}

type scheduledRollout struct {
	StartTime string `json:"startTime"`
}

// startLayout is how AWS writes the starts of windows, in UTC. (specification §1.3)
const startLayout = "2006-01-02 15:04"

func (c *call) showJob(reply *v1.DescribeJobReply) job {
	j := reply.GetJob()
	shown := job{
		ARN: c.arn("job", j.GetJobId()), ID: j.GetJobId(), Selection: v1.EnumName(j.GetTargetSelection()), Status: v1.EnumName(j.GetStatus()),
		ForceCanceled: j.GetForceCanceled(), ReasonCode: j.GetReasonCode(), Comment: j.GetComment(),
		Targets: rows(j.GetTargets(), c.targetARN), Description: j.GetDescription(),
		Presigned: orEmpty(body.ShowPresignedURL(j.GetPresignedUrl())), Rollout: orEmpty(body.ShowRollout(j.GetRollout())),
		Abort: body.ShowAbort(j.GetAbort()), Timeout: orEmpty(body.ShowTimeout(j.GetTimeout())),
		Retry: body.ShowRetry(j.GetRetry()), Scheduling: body.ShowScheduling(j.GetScheduling()),
		CreatedAt: moment(j.GetCreatedAtMs()), LastUpdatedAt: moment(j.GetLastUpdatedAtMs()), CompletedAt: moment(j.GetCompletedAtMs()),
		Process: showProcess(reply.GetCounts()), Namespace: j.GetNamespaceId(), TemplateARN: c.templateARN(j.GetJobTemplateArn()),
		IsConcurrent: j.GetIsConcurrent(), PackageVersions: j.GetDestinationPackageVersions(),
	}
	if n := reply.GetCounts(); j.GetStatus() == v1.JobStatus_JOB_STATUS_IN_PROGRESS && !j.GetEndReached() &&
		(!n.GetSelectionFinished() || n.GetSelected() > n.GetReleased()+n.GetDropped()) {
		shown.Process.Targets = shown.Targets
	}
	for _, p := range j.GetDocumentParameters() {
		if shown.Parameters == nil {
			shown.Parameters = map[string]string{}
		}
		shown.Parameters[p.GetKey()] = p.GetValue()
	}
	for _, ms := range j.GetNextWindowsMs() {
		shown.Rollouts = append(shown.Rollouts, scheduledRollout{time.UnixMilli(ms).UTC().Format(startLayout)})
	}
	return shown
}

func showProcess(counts *v1.JobCounts) jobProcess {
	n := map[v1.ExecutionStatus]int64{}
	for _, c := range counts.GetAttempts() {
		n[c.GetStatus()] += c.GetCount()
	}
	return jobProcess{
		Canceled: n[v1.ExecutionStatus_EXECUTION_STATUS_CANCELED], Succeeded: n[v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED],
		Failed: n[v1.ExecutionStatus_EXECUTION_STATUS_FAILED], Rejected: n[v1.ExecutionStatus_EXECUTION_STATUS_REJECTED],
		Queued: n[v1.ExecutionStatus_EXECUTION_STATUS_QUEUED], InProgress: n[v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS],
		Removed: n[v1.ExecutionStatus_EXECUTION_STATUS_REMOVED], TimedOut: n[v1.ExecutionStatus_EXECUTION_STATUS_TIMED_OUT],
	}
}

// templateARN is the ARN of the template that a job was made from: as it was given, or of the template that was given by
// its id.
func (c *call) templateARN(given string) string {
	if given == "" || strings.HasPrefix(given, "arn:") {
		return given
	}
	return c.arn("jobtemplate", given)
}

// orEmpty is a configuration, or {} in its place: DescribeJob always has some of them. (notes on the wire §2.3)
func orEmpty[T any](config *T) any {
	if config == nil {
		return struct{}{}
	}
	return config
}
