package cli

import (
	"slices"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/job/document"
)

const (
	// timeoutMinutesMax is a week. (specification §4.9)
	timeoutMinutesMax = 10080
	// bodyDepthMax is how deep the body of CreateJob is nested at most; the document is text in it.
	bodyDepthMax = 8
)

// notYet are the fields of AWS's CreateJob that are understood and not done. (specification §2.4)
var notYet = []string{"documentSource"}

// parseCreateJob reads the body of AWS's CreateJob, strictly: an unknown field, or one that is not done, is
// refused by name, since a job that runs without what was asked for cannot be taken back.
func parseCreateJob(text []byte) (*v1.CreateJob, error) {
	fields, err := readObject(text, bodyDepthMax)
	if err != nil {
		return nil, err
	}
	q := new(v1.CreateJob)
	for _, f := range fields {
		read, ok := createFields[f.name]
		if !ok {
			return nil, f.unknown()
		}
		if err := read(q, f); err != nil {
			return nil, err
		}
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
var createFields = map[string]func(*v1.CreateJob, jsonField) error{
	"jobId": func(q *v1.CreateJob, f jsonField) (err error) {
		if q.JobId, err = f.text(); err == nil {
			q.JobId, err = jobArg(q.JobId)
		}
		return err
	},
	"targets": func(q *v1.CreateJob, f jsonField) error {
		list, err := f.texts()
		if err == nil {
			q.Targets, err = targetArgs(list)
		}
		return err
	},
	"document": func(q *v1.CreateJob, f jsonField) error {
		s, err := f.text()
		q.Document = []byte(s)
		return err
	},
	"description": func(q *v1.CreateJob, f jsonField) (err error) { q.Description, err = f.text(); return err },
	"targetSelection": func(q *v1.CreateJob, f jsonField) error {
		n, err := enumField(f, v1.TargetSelection(0))
		q.TargetSelection = v1.TargetSelection(n)
		return err
	},
	"jobExecutionsRolloutConfig": func(q *v1.CreateJob, f jsonField) (err error) { q.Rollout, err = f.rollout(); return err },
	"timeoutConfig":              func(q *v1.CreateJob, f jsonField) (err error) { q.Timeout, err = f.timeout(); return err },
	"abortConfig":                func(q *v1.CreateJob, f jsonField) (err error) { q.Abort, err = f.abort(); return err },
	"jobExecutionsRetryConfig":   func(q *v1.CreateJob, f jsonField) (err error) { q.Retry, err = f.retry(); return err },
	"schedulingConfig":           func(q *v1.CreateJob, f jsonField) (err error) { q.Scheduling, err = f.scheduling(); return err },
	"presignedUrlConfig":         func(q *v1.CreateJob, f jsonField) (err error) { q.PresignedUrl, err = f.presigned(); return err },
	"tags":                       func(q *v1.CreateJob, f jsonField) (err error) { q.Tags, err = f.tags(); return err },
	"namespaceId":                func(q *v1.CreateJob, f jsonField) (err error) { q.NamespaceId, err = f.text(); return err },
	"jobTemplateArn":             func(q *v1.CreateJob, f jsonField) (err error) { q.JobTemplate, err = f.text(); return err },
	"documentParameters":         func(q *v1.CreateJob, f jsonField) (err error) { q.DocumentParameters, err = f.parameters(); return err },
	"destinationPackageVersions": func(q *v1.CreateJob, f jsonField) (err error) {
		q.DestinationPackageVersions, err = f.texts()
		return err
	},
}

// unknown refuses a field that has no meaning here, or none yet.
func (f jsonField) unknown() error {
	if slices.Contains(notYet, f.path) {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_SUPPORTED, f.path, "not supported; leave it out")
	}
	return invalid(f.path, "unknown field of CreateJob")
}

// checkDocument refuses what the job's owner would refuse, before it is sent.
func checkDocument(text []byte) error {
	if err := document.Check(text); err != nil {
		return invalidErr("document", err)
	}
	return nil
}
