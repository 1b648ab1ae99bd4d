package job_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core/coretest"
	"github.com/droverhq/drover/services/job"
)

const (
	failed   = v1.FailureType_FAILURE_TYPE_FAILED
	rejected = v1.FailureType_FAILURE_TYPE_REJECTED
	timedOut = v1.FailureType_FAILURE_TYPE_TIMED_OUT
	all      = v1.FailureType_FAILURE_TYPE_ALL
)

func runAWS(t testing.TB) *coretest.Run { return coretest.New(t, job.New(job.AWSLimits()), id.JobLog) }

func exponential(base, factor uint32, notified, succeeded uint64) *v1.RolloutConfig {
	return &v1.RolloutConfig{MaximumPerMinute: 1000, Exponential: &v1.ExponentialRate{BasePerMinute: base, IncrementFactorTenths: factor, NotifiedThings: notified, SucceededThings: succeeded}}
}

func abort(criteria ...*v1.AbortCriterion) *v1.AbortConfig {
	return &v1.AbortConfig{Criteria: criteria}
}

func retry(pairs ...any) *v1.RetryConfig {
	c := &v1.RetryConfig{}
	for i := 0; i < len(pairs); i += 2 {
		c.Criteria = append(c.Criteria, &v1.RetryCriterion{Failure: pairs[i].(v1.FailureType), Retries: uint32(pairs[i+1].(int))})
	}
	return c
}

func TestEveryFieldOfAJobIsRecordedAndDescribed(t *testing.T) {
	r := run(t)
	cmd := creation(func(c *v1.CreateJob) {
		c.TargetSelection = v1.TargetSelection_TARGET_SELECTION_CONTINUOUS
		c.Rollout = exponential(50, 20, 1000, 0)
		c.Abort = abort(&v1.AbortCriterion{Failure: failed, ThresholdHundredths: 2000, MinExecuted: 100}, &v1.AbortCriterion{Failure: timedOut, ThresholdHundredths: 5000, MinExecuted: 200})
		c.Timeout = &v1.TimeoutConfig{InProgressTimeoutMinutes: 1}
		c.Retry = retry(failed, 3, timedOut, 7)
		c.PresignedUrl = &v1.PresignedUrlConfig{RoleArn: "arn:aws:iam::1:role/presign", ExpiresInSeconds: 60}
		c.NamespaceId = "gg_1"
		c.DestinationPackageVersions = []string{"arn:aws:iot:eu-west-1:1:package/fw/version/2"}
	})
	if _, err := r.Decide(cmd); err != nil {
		t.Fatal(err)
	}
	want := &v1.JobCreated{
		Job: first, JobId: "reboot", Targets: cmd.Targets, TargetSelection: cmd.TargetSelection, Document: cmd.Document, TargetsKnownAt: 41,
		Rollout: cmd.Rollout, Abort: cmd.Abort, Timeout: cmd.Timeout, Retry: cmd.Retry, PresignedUrl: cmd.PresignedUrl,
		NamespaceId: "gg_1", DestinationPackageVersions: cmd.DestinationPackageVersions,
	}
	if got := r.Fresh[0].Event.GetJobCreated(); !proto.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	row := &v1.JobRow{
		Job: first, JobId: "reboot", Status: v1.JobStatus_JOB_STATUS_IN_PROGRESS, Targets: cmd.Targets, TargetSelection: cmd.TargetSelection,
		Rollout: cmd.Rollout, Abort: cmd.Abort, Timeout: cmd.Timeout, Retry: cmd.Retry, PresignedUrl: cmd.PresignedUrl,
		NamespaceId: "gg_1", DestinationPackageVersions: cmd.DestinationPackageVersions, IsConcurrent: true,
		CreatedAtMs: r.Now, LastUpdatedAtMs: r.Now,
	}
	if got := describe(t, r, "reboot"); !proto.Equal(got, row) {
		t.Errorf("got %v\nwant %v", got, row)
	}
}

func TestABadConfigurationIsRefusedByField(t *testing.T) {
	const rollout = "jobExecutionsRolloutConfig."
	tests := []struct {
		name   string
		change func(*v1.CreateJob)
		field  string
		says   string
	}{
		{"a pace beyond the limit", func(c *v1.CreateJob) { c.Rollout = &v1.RolloutConfig{MaximumPerMinute: 10_000_001} }, rollout + "maximumPerMinute", "1 to 10000000"},
		{"a rate that begins at 0", func(c *v1.CreateJob) { c.Rollout = exponential(0, 20, 1, 0) }, rollout + "exponentialRate.baseRatePerMinute", "1 to 1000,"},
		{"a rate that begins above its cap", func(c *v1.CreateJob) { c.Rollout = exponential(1001, 20, 1, 0) }, rollout + "exponentialRate.baseRatePerMinute", "1 to 1000,"},
		{"a factor of 1.0", func(c *v1.CreateJob) { c.Rollout = exponential(1, 10, 1, 0) }, rollout + "exponentialRate.incrementFactor", "1.0; 1.1 to 5.0"},
		{"a factor of 5.1", func(c *v1.CreateJob) { c.Rollout = exponential(1, 51, 1, 0) }, rollout + "exponentialRate.incrementFactor", "5.1; 1.1 to 5.0"},
		{"a rate that is never raised", func(c *v1.CreateJob) { c.Rollout = exponential(1, 20, 0, 0) }, rollout + "exponentialRate.rateIncreaseCriteria", "numberOfNotifiedThings"},
		{"no abort criterion", func(c *v1.CreateJob) { c.Abort = abort() }, "abortConfig.criteriaList", "1 to 100"},
		{"101 abort criteria", func(c *v1.CreateJob) {
			c.Abort = abort()
			for range 101 {
				c.Abort.Criteria = append(c.Abort.Criteria, &v1.AbortCriterion{Failure: all, ThresholdHundredths: 1, MinExecuted: 1})
			}
		}, "abortConfig.criteriaList", "101 criteria"},
		{"an abort criterion of no type", func(c *v1.CreateJob) { c.Abort = abort(&v1.AbortCriterion{ThresholdHundredths: 1, MinExecuted: 1}) }, "abortConfig.criteriaList[0].failureType", "FAILED, REJECTED, TIMED_OUT or ALL"},
		{"an abort threshold of 0", func(c *v1.CreateJob) { c.Abort = abort(&v1.AbortCriterion{Failure: all, MinExecuted: 1}) }, "abortConfig.criteriaList[0].thresholdPercentage", "0.00; 0.01 to 100"},
		{"an abort threshold of 100.01", func(c *v1.CreateJob) {
			c.Abort = abort(&v1.AbortCriterion{Failure: all, ThresholdHundredths: 10_000, MinExecuted: 1}, &v1.AbortCriterion{Failure: all, ThresholdHundredths: 10_001, MinExecuted: 1})
		}, "abortConfig.criteriaList[1].thresholdPercentage", "100.01"},
		{"an abort after 0", func(c *v1.CreateJob) {
			c.Abort = abort(&v1.AbortCriterion{Failure: rejected, ThresholdHundredths: 1})
		}, "abortConfig.criteriaList[0].minNumberOfExecutedThings", "at least 1"},
		{"a timeout of more than a week", func(c *v1.CreateJob) { c.Timeout = &v1.TimeoutConfig{InProgressTimeoutMinutes: 10_081} }, "timeoutConfig.inProgressTimeoutInMinutes", "1 to 10080"},
		{"no retry criterion", func(c *v1.CreateJob) { c.Retry = retry() }, "jobExecutionsRetryConfig.criteriaList", "1 or 2"},
		{"three retry criteria", func(c *v1.CreateJob) { c.Retry = retry(failed, 1, timedOut, 1, failed, 1) }, "jobExecutionsRetryConfig.criteriaList", "3 criteria"},
		{"ALL beside FAILED", func(c *v1.CreateJob) { c.Retry = retry(failed, 1, all, 1) }, "jobExecutionsRetryConfig.criteriaList[1].failureType", "ALL"},
		{"FAILED twice", func(c *v1.CreateJob) { c.Retry = retry(failed, 1, failed, 1) }, "jobExecutionsRetryConfig.criteriaList[1].failureType", "twice"},
		{"a retry of REJECTED", func(c *v1.CreateJob) { c.Retry = retry(rejected, 1) }, "jobExecutionsRetryConfig.criteriaList[0].failureType", "not retried"},
		{"11 retries", func(c *v1.CreateJob) { c.Retry = retry(all, 11) }, "jobExecutionsRetryConfig.criteriaList[0].numberOfRetries", "0 to 10"},
		{"11 retries of both types", func(c *v1.CreateJob) { c.Retry = retry(failed, 5, timedOut, 6) }, "jobExecutionsRetryConfig.criteriaList", "11 retries in all"},
		{"a URL of 59 s", func(c *v1.CreateJob) { c.PresignedUrl = &v1.PresignedUrlConfig{ExpiresInSeconds: 59} }, "presignedUrlConfig.expiresInSec", "60 to 3600"},
		{"a URL of 3601 s", func(c *v1.CreateJob) { c.PresignedUrl = &v1.PresignedUrlConfig{ExpiresInSeconds: 3601} }, "presignedUrlConfig.expiresInSec", "60 to 3600"},
		{"a role of 19 characters", func(c *v1.CreateJob) { c.PresignedUrl = &v1.PresignedUrlConfig{RoleArn: strings.Repeat("a", 19)} }, "presignedUrlConfig.roleArn", "20 to 2048"},
		{"a namespace with a dot", func(c *v1.CreateJob) { c.NamespaceId = "a.b" }, "namespaceId", "'.'"},
		{"a namespace of 65 characters", func(c *v1.CreateJob) { c.NamespaceId = strings.Repeat("a", 65) }, "namespaceId", "at most 64"},
		{"26 package versions", func(c *v1.CreateJob) { c.DestinationPackageVersions = make([]string, 26) }, "destinationPackageVersions", "at most 25"},
		{"a package version that is no ARN", func(c *v1.CreateJob) { c.DestinationPackageVersions = []string{"arn:a", "fw"} }, "destinationPackageVersions[1]", "arn:"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := run(t)
			_, err := r.Decide(creation(test.change))
			wantRefusal(t, r, err, invalid, test.field, test.says)
		})
	}
}

// The boundaries of specification §1.3 and §7.1 in AWS's mode: the last that is accepted, the first that is refused.
func TestAWSLimitsAtTheirBoundaries(t *testing.T) {
	tests := []struct {
		name           string
		last, oneMore  func(*v1.CreateJob)
		code           v1.RefusalCode
		field          string
		defaultAccepts bool
	}{
		{name: "64 and 65 characters of a job id", last: func(c *v1.CreateJob) { c.JobId = strings.Repeat("a", 64) }, oneMore: func(c *v1.CreateJob) { c.JobId = strings.Repeat("a", 65) }, code: invalid, field: "jobId"},
		{name: "32,768 and 32,769 bytes of a document", last: documentOf(32768), oneMore: documentOf(32769), code: invalid, field: "document"},
		{name: "100 and 101 targets", last: targetsOf(100), oneMore: targetsOf(101), code: exceeded, field: "targets", defaultAccepts: true},
		{name: "1,000 and 1,001 a minute", last: func(c *v1.CreateJob) { c.Rollout = &v1.RolloutConfig{MaximumPerMinute: 1000} }, oneMore: func(c *v1.CreateJob) { c.Rollout = &v1.RolloutConfig{MaximumPerMinute: 1001} }, code: invalid, field: "jobExecutionsRolloutConfig.maximumPerMinute", defaultAccepts: true},
		{name: "10 and 11 retries", last: func(c *v1.CreateJob) { c.Retry = retry(all, 10) }, oneMore: func(c *v1.CreateJob) { c.Retry = retry(all, 11) }, code: invalid, field: "jobExecutionsRetryConfig.criteriaList[0].numberOfRetries"},
		{name: "10,080 and 10,081 minutes", last: func(c *v1.CreateJob) { c.Timeout = &v1.TimeoutConfig{InProgressTimeoutMinutes: 10_080} }, oneMore: func(c *v1.CreateJob) { c.Timeout = &v1.TimeoutConfig{InProgressTimeoutMinutes: 10_081} }, code: invalid, field: "timeoutConfig.inProgressTimeoutInMinutes"},
		{name: "2,028 and 2,029 characters of a description", last: func(c *v1.CreateJob) { c.Description = strings.Repeat("é", 2028) }, oneMore: func(c *v1.CreateJob) { c.Description = strings.Repeat("é", 2029) }, code: invalid, field: "description"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := runAWS(t)
			_, err := r.Decide(creation(test.oneMore))
			wantRefusal(t, r, err, test.code, test.field, "")
			if _, err := r.Decide(creation(test.last)); err != nil {
				t.Errorf("the last that is allowed: %v", err)
			}
			if _, err := run(t).Decide(creation(test.oneMore)); (err == nil) != test.defaultAccepts {
				t.Errorf("without AWS's limits: %v", err)
			}
		})
	}
}

func TestAPaceThatIsLeftOutIsTheDefault(t *testing.T) {
	uncapped := func() *v1.RolloutConfig {
		c := exponential(50, 20, 1000, 0)
		c.MaximumPerMinute = 0
		return c
	}
	for _, test := range []struct {
		name string
		run  *coretest.Run
		cap  uint32
		none *v1.RolloutConfig
	}{
		{"no pace without AWS's limits", run(t), 10_000_000, nil},
		{"1,000 a minute with them", runAWS(t), 1000, &v1.RolloutConfig{MaximumPerMinute: 1000}},
	} {
		if _, err := test.run.Decide(creation(nil)); err != nil {
			t.Fatal(err)
		}
		if got := test.run.Fresh[0].Event.GetJobCreated().Rollout; !proto.Equal(got, test.none) {
			t.Errorf("%s: got %v", test.name, got)
		}
		if _, err := test.run.Decide(creation(func(c *v1.CreateJob) { c.JobId, c.Rollout = "b", uncapped() })); err != nil {
			t.Fatal(err)
		}
		if got := test.run.Fresh[0].Event.GetJobCreated().Rollout.MaximumPerMinute; got != test.cap {
			t.Errorf("%s: a rate without a cap is capped at %d, want %d", test.name, got, test.cap)
		}
	}
}

func TestMoreActiveJobsThanTheLimitAreRefused(t *testing.T) {
	limits := job.AWSLimits()
	limits.ActiveMax = 2
	r := coretest.New(t, job.New(limits), id.JobLog)
	create := func(name string) error {
		_, err := r.Decide(creation(func(c *v1.CreateJob) { c.JobId = name }))
		return err
	}
	for _, name := range []string{"a", "b"} {
		if err := create(name); err != nil {
			t.Fatal(err)
		}
	}
	wantRefusal(t, r, create("c"), exceeded, "jobId", "at most 2")
	if _, err := r.Decide(&v1.CancelJob{JobId: "a"}); err != nil {
		t.Fatal(err)
	}
	if err := create("c"); err != nil {
		t.Errorf("after one was canceled: %v", err)
	}
}

func documentOf(bytes int) func(*v1.CreateJob) {
	return func(c *v1.CreateJob) { c.Document = []byte(`"` + strings.Repeat("a", bytes-2) + `"`) }
}

func targetsOf(n int) func(*v1.CreateJob) {
	return func(c *v1.CreateJob) {
		c.Targets = nil
		for i := range n {
			c.Targets = append(c.Targets, thing(fmt.Sprint("thing-", i)))
		}
	}
}

func describe(t *testing.T, r *coretest.Run, name string) *v1.JobRow {
	t.Helper()
	reply, err := r.Answer(&v1.DescribeJob{JobId: name})
	if err != nil {
		t.Fatal(err)
	}
	return reply.(*v1.DescribeJobReply).Job
}
