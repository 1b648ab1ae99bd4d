package cli

import (
	"math"
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

// notYet are the fields of AWS's CreateJob that are understood and not done yet. (specification §2.4)
var notYet = []string{
	"abortConfig", "jobExecutionsRetryConfig", "schedulingConfig", "presignedUrlConfig", "documentSource", "jobTemplateArn", "tags",
	"namespaceId", "documentParameters", "destinationPackageVersions", "jobExecutionsRolloutConfig.exponentialRate",
}

// parseCreateJob reads the body of AWS's CreateJob, strictly: an unknown field, or one that is not done yet, is
// refused by name, since a job that runs without what was asked for cannot be taken back.
func parseCreateJob(text []byte) (*v1.CreateJob, error) {
	fields, err := readObject(text, bodyDepthMax)
	if err != nil {
		return nil, err
	}
	q := new(v1.CreateJob)
	for _, f := range fields {
		var s string
		switch f.name {
		case "jobId":
			if s, err = f.text(); err == nil {
				q.JobId, err = jobArg(s)
			}
		case "targets":
			var list []string
			if list, err = f.texts(); err == nil {
				q.Targets, err = targetArgs(list)
			}
		case "document":
			s, err = f.text()
			q.Document = []byte(s)
		case "description":
			q.Description, err = f.text()
		case "targetSelection":
			if s, err = f.text(); err == nil {
				var n v1.TargetSelection
				n, err = targetSelection(s)
				q.TargetSelection = n
			}
		case "jobExecutionsRolloutConfig":
			q.Rollout, err = f.rollout()
		case "timeoutConfig":
			q.Timeout, err = f.timeout()
		default:
			err = f.unknown()
		}
		if err != nil {
			return nil, err
		}
	}
	if len(q.Targets) == 0 {
		return nil, invalid("targets", "is missing; 1 to 100 things or groups are needed")
	}
	if q.Document == nil {
		return nil, invalid("document", "is missing")
	}
	return q, nil
}

func (f jsonField) rollout() (*v1.RolloutConfig, error) {
	members, err := f.object()
	if err != nil {
		return nil, err
	}
	c := new(v1.RolloutConfig)
	for _, m := range members {
		if m.name != "maximumPerMinute" {
			return nil, m.unknown()
		}
		if c.MaximumPerMinute, err = m.number(math.MaxInt32); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (f jsonField) timeout() (*v1.TimeoutConfig, error) {
	members, err := f.object()
	if err != nil {
		return nil, err
	}
	c := new(v1.TimeoutConfig)
	for _, m := range members {
		if m.name != "inProgressTimeoutInMinutes" {
			return nil, m.unknown()
		}
		if c.InProgressTimeoutMinutes, err = m.number(timeoutMinutesMax); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// unknown refuses a field that has no meaning here, or none yet.
func (f jsonField) unknown() error {
	if slices.Contains(notYet, f.path) {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_SUPPORTED, f.path, "not supported yet; leave it out")
	}
	return invalid(f.path, "unknown field of CreateJob")
}

func targetSelection(s string) (v1.TargetSelection, error) {
	n, err := parseEnum("targetSelection", s, v1.TargetSelection(0))
	return v1.TargetSelection(n), err
}

// checkDocument refuses what the job's owner would refuse, before it is sent.
func checkDocument(text []byte) error {
	if err := document.Check(text); err != nil {
		return invalidErr("document", err)
	}
	return nil
}
