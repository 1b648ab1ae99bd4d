package body

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/job/document"
)

// TimeoutMinutesMax is a week. (specification §4.9)
const TimeoutMinutesMax = 10080

// NotYet are the fields of AWS's CreateJob that are understood and not done. (specification §2.4)
var NotYet = []string{"documentSource"}

// CreateJob reads the body of CreateJob. The job's id may stand in it, as drover job create --from allows; in AWS's request
// it stands in the path. (specification §2.4)
func CreateJob(text []byte) (*v1.CreateJob, error) {
	q := new(v1.CreateJob)
	err := Decode(text, map[string]func(Field) error{
		"jobId":                      into(&q.JobId, Field.job),
		"targets":                    into(&q.Targets, Field.targets),
		"document":                   into(&q.Document, Field.document),
		"description":                into(&q.Description, Field.Text),
		"targetSelection":            intoEnum(&q.TargetSelection),
		"jobExecutionsRolloutConfig": into(&q.Rollout, Field.Rollout),
		"timeoutConfig":              into(&q.Timeout, Field.Timeout),
		"abortConfig":                into(&q.Abort, Field.Abort),
		"jobExecutionsRetryConfig":   into(&q.Retry, Field.Retry),
		"schedulingConfig":           into(&q.Scheduling, Field.Scheduling),
		"presignedUrlConfig":         into(&q.PresignedUrl, Field.PresignedURL),
		"tags":                       into(&q.Tags, Field.Tags),
		"namespaceId":                into(&q.NamespaceId, Field.Text),
		"jobTemplateArn":             into(&q.JobTemplate, Field.Text),
		"documentParameters":         into(&q.DocumentParameters, Field.Parameters),
		"destinationPackageVersions": into(&q.DestinationPackageVersions, Field.Texts),
	})
	if err == nil {
		err = someTargets(q.Targets)
	}
	if err == nil && q.Document == nil && q.JobTemplate == "" {
		err = invalid("document", "is missing")
	}
	if err != nil {
		return nil, err
	}
	return q, nil
}

// CheckDocument refuses what the job's owner would refuse, before it is sent.
func CheckDocument(text []byte) error {
	if err := document.Check(text); err != nil {
		return invalid("document", "%v", err)
	}
	return nil
}

// job reads a job's id, or takes it from its ARN.
func (f Field) job() (string, error) {
	s, err := f.Text()
	if err != nil {
		return "", err
	}
	j, err := id.ParseJob(s)
	if err != nil {
		return "", invalid(f.Path, "%v", err)
	}
	return string(j), nil
}

func (f Field) document() ([]byte, error) {
	s, err := f.Text()
	return []byte(s), err
}

func (f Field) targets() ([]*v1.Target, error) {
	list, err := f.Texts()
	if err != nil {
		return nil, err
	}
	return Targets(f.Path, list)
}

func someTargets(targets []*v1.Target) error {
	if len(targets) == 0 {
		return invalid("targets", "is missing; 1 to 100 things or groups are needed")
	}
	return nil
}

// Targets reads targets: ARNs, or thing/NAME, or group/NAME.
func Targets(field string, list []string) ([]*v1.Target, error) {
	targets := make([]*v1.Target, 0, len(list))
	for _, s := range list {
		t, err := id.ParseTarget(s)
		if err != nil {
			return nil, invalid(field, "%v", err)
		}
		targets = append(targets, t)
	}
	return targets, nil
}
