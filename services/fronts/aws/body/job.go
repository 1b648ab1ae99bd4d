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
	known := map[string]func(Field) error{}
	for name, read := range createFields {
		known[name] = func(f Field) error { return read(q, f) }
	}
	if err := Decode(text, known); err != nil {
		return nil, err
	}
	if len(q.Targets) == 0 {
		return nil, invalid("targets", "is missing; 1 to 100 things or groups are needed")
	}
	if q.Document == nil && q.JobTemplate == "" {
		return nil, invalid("document", "is missing")
	}
	return q, nil
}

// createFields reads every member of the body.
var createFields = map[string]func(*v1.CreateJob, Field) error{
	"jobId": func(q *v1.CreateJob, f Field) (err error) {
		if q.JobId, err = f.Text(); err == nil {
			q.JobId, err = jobID(f.Path, q.JobId)
		}
		return err
	},
	"targets": func(q *v1.CreateJob, f Field) error {
		list, err := f.Texts()
		if err == nil {
			q.Targets, err = Targets(f.Path, list)
		}
		return err
	},
	"document": func(q *v1.CreateJob, f Field) error {
		s, err := f.Text()
		q.Document = []byte(s)
		return err
	},
	"description": func(q *v1.CreateJob, f Field) (err error) { q.Description, err = f.Text(); return err },
	"targetSelection": func(q *v1.CreateJob, f Field) error {
		n, err := enumIn(f, v1.TargetSelection(0))
		q.TargetSelection = v1.TargetSelection(n)
		return err
	},
	"jobExecutionsRolloutConfig": func(q *v1.CreateJob, f Field) (err error) { q.Rollout, err = f.Rollout(); return err },
	"timeoutConfig":              func(q *v1.CreateJob, f Field) (err error) { q.Timeout, err = f.Timeout(); return err },
	"abortConfig":                func(q *v1.CreateJob, f Field) (err error) { q.Abort, err = f.Abort(); return err },
	"jobExecutionsRetryConfig":   func(q *v1.CreateJob, f Field) (err error) { q.Retry, err = f.Retry(); return err },
	"schedulingConfig":           func(q *v1.CreateJob, f Field) (err error) { q.Scheduling, err = f.Scheduling(); return err },
	"presignedUrlConfig":         func(q *v1.CreateJob, f Field) (err error) { q.PresignedUrl, err = f.PresignedURL(); return err },
	"tags":                       func(q *v1.CreateJob, f Field) (err error) { q.Tags, err = f.Tags(); return err },
	"namespaceId":                func(q *v1.CreateJob, f Field) (err error) { q.NamespaceId, err = f.Text(); return err },
	"jobTemplateArn":             func(q *v1.CreateJob, f Field) (err error) { q.JobTemplate, err = f.Text(); return err },
	"documentParameters":         func(q *v1.CreateJob, f Field) (err error) { q.DocumentParameters, err = f.Parameters(); return err },
	"destinationPackageVersions": func(q *v1.CreateJob, f Field) (err error) {
		q.DestinationPackageVersions, err = f.Texts()
		return err
	},
}

// CheckDocument refuses what the job's owner would refuse, before it is sent.
func CheckDocument(text []byte) error {
	if err := document.Check(text); err != nil {
		return invalid("document", "%v", err)
	}
	return nil
}

func jobID(field, s string) (string, error) {
	j, err := id.ParseJob(s)
	if err != nil {
		return "", invalid(field, "%v", err)
	}
	return string(j), nil
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
