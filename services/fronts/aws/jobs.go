package aws

import (
	"net/http"

	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

// Jobs. (specification §2.3 to §2.7)
func jobOperations() []*operation {
	return []*operation{
		op("CreateJob", http.MethodPut, "/jobs/{jobId}", createJob),
	}
}

// jobAnswer is what operations that change a job answer with.
type jobAnswer struct {
	ARN         string `json:"jobArn"`
	ID          string `json:"jobId"`
	Description string `json:"description,omitempty"`
}

func createJob(c *call) (any, error) {
	job, err := c.job()
	if err != nil {
		return nil, err
	}
	q, err := body.CreateJob(c.body)
	if err != nil {
		return nil, err
	}
	if q.JobId != "" && q.JobId != job {
		return nil, invalid("jobId: the path names %s, the body another job", job)
	}
	q.JobId = job
	arn := c.arn("job", job)
	if _, err := tell(c, bus.CreateJob, q); err != nil {
		return nil, c.exists(err, job, arn)
	}
	return jobAnswer{arn, job, q.GetDescription()}, nil
}
