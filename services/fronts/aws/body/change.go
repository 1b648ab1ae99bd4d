package body

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// UpdateJob reads the body of UpdateJob. The job's id stands in the path. (specification §2.6)
func UpdateJob(text []byte) (*v1.UpdateJob, error) {
	q := new(v1.UpdateJob)
	return q, Decode(text, map[string]func(Field) error{
		"description": func(f Field) error {
			s, err := f.Text()
			q.Description = &s
			return err
		},
		"presignedUrlConfig":         into(&q.PresignedUrl, Field.PresignedURL),
		"jobExecutionsRolloutConfig": into(&q.Rollout, Field.Rollout),
		"abortConfig":                into(&q.Abort, Field.Abort),
		"timeoutConfig":              into(&q.Timeout, Field.Timeout),
		"jobExecutionsRetryConfig":   into(&q.Retry, Field.Retry),
	})
}

// CancelJob reads the body of CancelJob. The rest stands in the path and behind it. (specification §4.5)
func CancelJob(text []byte) (*v1.CancelJob, error) {
	q := new(v1.CancelJob)
	return q, Decode(text, map[string]func(Field) error{
		"reasonCode": into(&q.ReasonCode, Field.Text),
		"comment":    into(&q.Comment, Field.Text),
	})
}

// AssociateTargets reads the body of AssociateTargetsWithJob. The job's id stands in the path. (specification §2.3)
func AssociateTargets(text []byte) (*v1.AssociateTargets, error) {
	q := new(v1.AssociateTargets)
	err := Decode(text, map[string]func(Field) error{
		"targets": into(&q.Targets, Field.targets),
		"comment": into(&q.Comment, Field.Text),
	})
	if err == nil {
		err = someTargets(q.Targets)
	}
	return q, err
}

// CreateTemplate reads the body of CreateJobTemplate. The template's id stands in the path. (specification §2.8)
func CreateTemplate(text []byte) (*v1.CreateTemplate, error) {
	t := new(v1.JobTemplate)
	q := &v1.CreateTemplate{Template: t}
	err := Decode(text, map[string]func(Field) error{
		"jobArn":                     into(&q.JobId, Field.job),
		"document":                   into(&t.Document, Field.document),
		"description":                into(&t.Description, Field.Text),
		"presignedUrlConfig":         into(&t.PresignedUrl, Field.PresignedURL),
		"jobExecutionsRolloutConfig": into(&t.Rollout, Field.Rollout),
		"abortConfig":                into(&t.Abort, Field.Abort),
		"timeoutConfig":              into(&t.Timeout, Field.Timeout),
		"jobExecutionsRetryConfig":   into(&t.Retry, Field.Retry),
		"maintenanceWindows":         into(&t.Windows, Field.Windows),
		"destinationPackageVersions": into(&t.DestinationPackageVersions, Field.Texts),
		"tags":                       into(&q.Tags, Field.Tags),
	})
	switch {
	case err != nil:
		return nil, err
	case t.Description == "":
		return nil, invalid("description", "is missing")
	case q.JobId == "" && t.Document == nil:
		return nil, invalid("document", "is missing; a document or jobArn is needed")
	}
	return q, nil
}
