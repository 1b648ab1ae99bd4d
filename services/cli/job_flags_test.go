package cli

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

const (
	failed   = v1.FailureType_FAILURE_TYPE_FAILED
	timedOut = v1.FailureType_FAILURE_TYPE_TIMED_OUT
	ofAll    = v1.FailureType_FAILURE_TYPE_ALL
)

func exponential(base, tenths uint32, notified, succeeded uint64, most uint32) *v1.RolloutConfig {
	return &v1.RolloutConfig{MaximumPerMinute: most, Exponential: &v1.ExponentialRate{
		BasePerMinute: base, IncrementFactorTenths: tenths, NotifiedThings: notified, SucceededThings: succeeded}}
}

// Every flag of a job's configuration, as the command that it becomes.
func TestEveryFlagOfAJobIsSent(t *testing.T) {
	for _, c := range []struct {
		flags []string
		want  *v1.CreateJob
	}{
		{[]string{"--rate", "50x2/1000succeeded,max=1000"}, &v1.CreateJob{Rollout: exponential(50, 20, 0, 1000, 1000)}},
		{[]string{"--rate", "5x1.1/7notified"}, &v1.CreateJob{Rollout: exponential(5, 11, 7, 0, 0)}},
		{[]string{"--rate", "5x5.0/7notified,9succeeded,max=60"}, &v1.CreateJob{Rollout: exponential(5, 50, 7, 9, 60)}},
		{[]string{"--abort", "FAILED:5%:200", "--abort", "ALL:2.5%:10", "--abort", "REJECTED:100:1"}, &v1.CreateJob{Abort: &v1.AbortConfig{Criteria: []*v1.AbortCriterion{
			{Failure: failed, ThresholdHundredths: 500, MinExecuted: 200}, {Failure: ofAll, ThresholdHundredths: 250, MinExecuted: 10},
			{Failure: v1.FailureType_FAILURE_TYPE_REJECTED, ThresholdHundredths: 10000, MinExecuted: 1}}}}},
		{[]string{"--retry", "FAILED=3", "--retry", "TIMED_OUT=0"}, &v1.CreateJob{Retry: &v1.RetryConfig{Criteria: []*v1.RetryCriterion{
			{Failure: failed, Retries: 3}, {Failure: timedOut}}}}},
		{[]string{"--retry", "ALL=2"}, &v1.CreateJob{Retry: &v1.RetryConfig{Criteria: []*v1.RetryCriterion{{Failure: ofAll, Retries: 2}}}}},
		{[]string{"--timeout", "20m"}, &v1.CreateJob{Timeout: &v1.TimeoutConfig{InProgressTimeoutMinutes: 20}}},
		{[]string{"--start", "2026-11-29 02:30", "--end", "2026-12-01T06:00:00+01:00", "--end-behavior", "force-cancel"}, &v1.CreateJob{Scheduling: &v1.SchedulingConfig{
			StartTime: "2026-11-29 02:30", EndTime: "2026-12-01T05:00:00Z", EndBehavior: v1.EndBehavior_END_BEHAVIOR_FORCE_CANCEL}}},
		{[]string{"--continuous", "--window", "cron(30 2 ? * SUN *)/90m", "--window", "cron(0/10 * ? * * *)/1m"}, &v1.CreateJob{
			TargetSelection: v1.TargetSelection_TARGET_SELECTION_CONTINUOUS, Scheduling: &v1.SchedulingConfig{Windows: []*v1.MaintenanceWindow{
				{StartTime: "cron(30 2 ? * SUN *)", DurationMinutes: 90}, {StartTime: "cron(0/10 * ? * * *)", DurationMinutes: 1}}}}},
		{[]string{"--tag", "line=2", "--tag", "a=b=c", "--tag", "empty="}, &v1.CreateJob{Tags: []*v1.Tag{{Key: "a", Value: "b=c"}, {Key: "empty"}, {Key: "line", Value: "2"}}}},
		{[]string{"--presign-role", "arn:aws:iam::1:role/jobs", "--presign-expires", "15m"}, &v1.CreateJob{
			PresignedUrl: &v1.PresignedUrlConfig{RoleArn: "arn:aws:iam::1:role/jobs", ExpiresInSeconds: 900}}},
	} {
		s := newSystem(t)
		reply(s, bus.CreateJob, &v1.CreateJobReply{Position: at(id.JobLog, 7), Job: 458752})
		c.want.JobId, c.want.Document, c.want.Targets = "j", []byte("{}"), []*v1.Target{thingTarget("t")}
		s.want(s.run(append([]string{"job", "create", "j", "--document", "{}", "--target", "thing/t"}, c.flags...)...), exitDone, "created job j")
		s.wantRequest(c.want) // what cannot be read back afterwards is a word on stderr
	}
}

func TestAJobFromATemplateNeedsNoDocument(t *testing.T) {
	s := newSystem(t)
	reply(s, bus.CreateJob, &v1.CreateJobReply{Position: at(id.JobLog, 7), Job: 458752})
	row := aJob()
	row.Abort, row.Rollout = &v1.AbortConfig{Criteria: []*v1.AbortCriterion{{Failure: failed, ThresholdHundredths: 500, MinExecuted: 1}}}, &v1.RolloutConfig{MaximumPerMinute: 600}
	reply(s, bus.DescribeJob, &v1.DescribeJobReply{Job: row})
	r := s.run("job", "create", "j", "--template", "AWS-Run-Command", "--param", "command=ls,-l", "--target", "thing/t", "-o", "json")
	s.want(r, exitDone, `"abortBound": 10`)
	if got := s.requests()[0]; !proto.Equal(got, &v1.CreateJob{JobId: "j", JobTemplate: "AWS-Run-Command", Targets: []*v1.Target{thingTarget("t")},
		DocumentParameters: []*v1.Parameter{{Key: "command", Value: "ls,-l"}}}) {
		t.Errorf("sent %v", got)
	}
}

func TestTheBoundOfAnAbortIsPrintedAtCreation(t *testing.T) {
	for args, want := range map[string]string{
		"--abort FAILED:5%:200":                                    "at most 100 things can be released after the report that crosses an abort criterion",
		"--abort FAILED:5%:200 --per-minute 30000":                 "at most 500 things can",
		"--abort FAILED:5%:200 --per-minute 1":                     "at most 1 thing can",
		"--abort FAILED:5%:200 --per-minute 61":                    "at most 2 things can",
		"--abort FAILED:5%:200 --rate 50x2/1000succeeded,max=1000": "at most 17 things can",
		"--per-minute 60":                                          "follow it with: drover job watch j\n",
	} {
		s := newSystem(t)
		reply(s, bus.CreateJob, &v1.CreateJobReply{Position: at(id.JobLog, 7)})
		reply(s, bus.DescribeJob, &v1.DescribeJobReply{Job: &v1.JobRow{Abort: &v1.AbortConfig{Criteria: []*v1.AbortCriterion{{}}}}}) // without a pace
		r := s.run(append([]string{"job", "create", "j", "--document", "{}", "--target", "thing/t"}, strings.Fields(args)...)...)
		s.want(r, exitDone, want)
		if strings.Contains(r.out, "abort criterion") != strings.Contains(args, "--abort") {
			t.Errorf("%s: %s", args, r.out)
		}
	}
}

func TestFlagsOfAJobThatSayNothingAreRefused(t *testing.T) {
	s := newSystem(t) // it serves nothing: what is sent is UNAVAILABLE
	for flag, bad := range map[string]map[string][]string{
		"--rate": {fieldExponential: {"", "50", "50x2", "50x2/", "50x2/1000", "50x2/1000failed", "0x2/5notified", "50x0/5notified", "50x2.55/5notified",
			"50x2/5notified,5notified", "50x2/5notified,max=1,max=2", "50x2/0notified", "50x2/max=9", "-1x2/5notified", "50x2/5notified,max=0", "x/", "50x./5notified"}},
		"--abort": {
			fieldAbort: {"", "FAILED", "FAILED:5%", "FAILED:5%:1:1"}, fieldAbort + ".failureType": {"BAD:5%:1", ":5%:1", "failed:5%:1"},
			fieldAbort + ".thresholdPercentage":       {"FAILED::1", "FAILED:0%:1", "FAILED:101%:1", "FAILED:1.234%:1", "FAILED:-5%:1", "FAILED:x:1"},
			fieldAbort + ".minNumberOfExecutedThings": {"FAILED:5%:0", "FAILED:5%:", "FAILED:5%:x"},
		},
		"--retry": {
			fieldRetry: {"", "FAILED", "3"}, fieldRetry + ".failureType": {"REJECTED=1", "=1", "BAD=1"},
			fieldRetry + ".numberOfRetries": {"FAILED=11", "FAILED=-1", "FAILED=", "FAILED=x"},
		},
		"--start":        {"schedulingConfig.startTime": {"tomorrow", "2026-11-29", "2026-13-29 02:30", "1795608000", "2026-11-29T02:30:00.5Z"}},
		"--end":          {"schedulingConfig.endTime": {"02:30"}},
		"--end-behavior": {"schedulingConfig.endBehavior": {"explode", "cancel"}}, // without an end
		"--window": {
			fieldWindows:                        {"", "cron(30 2 ? * SUN *)", "30 2 ? * SUN */90m", "rate(5 minutes)/90m", "cron(0/10 * ? * * *)", "cron(30 2 ? * SUN *)/90m"}, // without --continuous
			fieldWindows + ".durationInMinutes": {"cron(30 2 ? * SUN *)/", "cron(30 2 ? * SUN *)/90", "cron(30 2 ? * SUN *)/24h", "cron(30 2 ? * SUN *)/90s"},
		},
		"--tag":             {"tags": {"", "x", "=x"}},
		"--param":           {"documentParameters": {"", "x", "=x"}},
		"--presign-expires": {fieldExpires: {"59s", "61m", "90.5s"}},
	} {
		for field, values := range bad {
			for _, value := range values {
				r := s.run("job", "create", "j", "--document", "{}", "--target", "thing/t", flag+"="+value)
				if r.status != exitRefused || !strings.Contains(r.err, "drover: "+field+": ") || !strings.Contains(r.err, "(INVALID_REQUEST)") {
					t.Errorf("%s %q: status %d, stderr %s, want %s", flag, value, r.status, r.err, field)
				}
			}
		}
	}
	s.want(s.run("job", "create", "j", "--document", "{}", "--target", "thing/t", "--tag", "a=1", "--tag", "a=2"), exitRefused, "twice")
	s.want(s.run("job", "create", "j", "--document", "{}", "--target", "thing/t", "--rate", "5x2/5notified", "--per-minute", "5"), exitUsage, "exclude")
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

// everyField is a body of CreateJob with every field of the specification §2.4 that is done.
const everyField = `{"jobId":"j","targets":["arn:aws:iot:eu-central-1:1:thinggroup/g"],"document":"{}","description":"d","targetSelection":"CONTINUOUS",
	"presignedUrlConfig":{"roleArn":"arn:aws:iam::1:role/jobs","expiresInSec":600},
	"jobExecutionsRolloutConfig":{"maximumPerMinute":1000,"exponentialRate":{"baseRatePerMinute":50,"incrementFactor":2.5,
		"rateIncreaseCriteria":{"numberOfNotifiedThings":1000,"numberOfSucceededThings":500}}},
	"abortConfig":{"criteriaList":[{"failureType":"FAILED","action":"CANCEL","thresholdPercentage":5.25,"minNumberOfExecutedThings":200}]},
	"timeoutConfig":{"inProgressTimeoutInMinutes":20},
	"jobExecutionsRetryConfig":{"criteriaList":[{"failureType":"FAILED","numberOfRetries":3},{"failureType":"TIMED_OUT","numberOfRetries":0}]},
	"schedulingConfig":{"startTime":"2026-11-29 02:30","endTime":"2026-12-29 02:30","endBehavior":"CANCEL",
		"maintenanceWindows":[{"startTime":"cron(30 2 ? * SUN *)","durationInMinutes":90}]},
	"tags":[{"Key":"line","Value":"2"},{"Key":"a"}],"namespaceId":"ns","jobTemplateArn":"arn:aws:iot:eu-central-1:1:jobtemplate/nightly",
	"documentParameters":{"p":"v"},"destinationPackageVersions":["arn:aws:iot:eu-central-1:1:package/p/version/1"]}`

func everyFieldRead() *v1.CreateJob {
	return &v1.CreateJob{
		JobId: "j", Targets: []*v1.Target{groupTarget("g")}, Document: []byte("{}"), Description: "d", TargetSelection: v1.TargetSelection_TARGET_SELECTION_CONTINUOUS,
		PresignedUrl: &v1.PresignedUrlConfig{RoleArn: "arn:aws:iam::1:role/jobs", ExpiresInSeconds: 600},
		Rollout:      exponential(50, 25, 1000, 500, 1000),
		Abort:        &v1.AbortConfig{Criteria: []*v1.AbortCriterion{{Failure: failed, ThresholdHundredths: 525, MinExecuted: 200}}},
		Timeout:      &v1.TimeoutConfig{InProgressTimeoutMinutes: 20},
		Retry:        &v1.RetryConfig{Criteria: []*v1.RetryCriterion{{Failure: failed, Retries: 3}, {Failure: timedOut}}},
		Scheduling: &v1.SchedulingConfig{StartTime: "2026-11-29 02:30", EndTime: "2026-12-29 02:30", EndBehavior: v1.EndBehavior_END_BEHAVIOR_CANCEL,
			Windows: []*v1.MaintenanceWindow{{StartTime: "cron(30 2 ? * SUN *)", DurationMinutes: 90}}},
		Tags: []*v1.Tag{{Key: "a"}, {Key: "line", Value: "2"}}, NamespaceId: "ns", JobTemplate: "arn:aws:iot:eu-central-1:1:jobtemplate/nightly",
		DocumentParameters: []*v1.Parameter{{Key: "p", Value: "v"}}, DestinationPackageVersions: []string{"arn:aws:iot:eu-central-1:1:package/p/version/1"},
	}
}

func TestEveryFieldOfAWSsBodyIsRead(t *testing.T) {
	q, err := body.CreateJob([]byte(everyField))
	if err != nil || !proto.Equal(q, everyFieldRead()) {
		t.Fatalf("%v\n got %v\nwant %v", err, q, everyFieldRead())
	}
	// None of the command's fields is left out by the body, but what intake fills in.
	q.ProtoReflect().Descriptor()
	for i := range q.ProtoReflect().Descriptor().Fields().Len() {
		if f := q.ProtoReflect().Descriptor().Fields().Get(i); !q.ProtoReflect().Has(f) && f.Name() != "checked" {
			t.Errorf("no field of the body becomes %s", f.Name())
		}
	}
}

// A wrong or unknown part of the configuration is named by its path.
func TestAPartOfAWSsBodyThatIsWrongIsNamed(t *testing.T) {
	for part, want := range map[string]string{
		`"abortConfig":{}`:                  "abortConfig.criteriaList",
		`"abortConfig":{"criteriaList":[]}`: "abortConfig.criteriaList",
		`"abortConfig":{"criteriaList":{}}`: "abortConfig.criteriaList",
		`"abortConfig":{"list":[]}`:         "abortConfig.list: unknown field",
		`"abortConfig":{"criteriaList":[{"failureType":"FAILED","action":"CANCEL","thresholdPercentage":5}]}`:                                                 "abortConfig.criteriaList[0].minNumberOfExecutedThings: is missing",
		`"abortConfig":{"criteriaList":[{"failureType":"FAILED","action":"PAUSE","thresholdPercentage":5,"minNumberOfExecutedThings":1}]}`:                    "abortConfig.criteriaList[0].action",
		`"abortConfig":{"criteriaList":[{"failureType":"FAILED","action":"CANCEL","thresholdPercentage":100.01,"minNumberOfExecutedThings":1}]}`:              "abortConfig.criteriaList[0].thresholdPercentage: a number from 0.01 to 100",
		`"abortConfig":{"criteriaList":[{"failureType":"FAILED","action":"CANCEL","thresholdPercentage":"5","minNumberOfExecutedThings":1}]}`:                 "abortConfig.criteriaList[0].thresholdPercentage",
		`"jobExecutionsRetryConfig":{"criteriaList":[{"failureType":"REJECTED","numberOfRetries":1}]}`:                                                        "jobExecutionsRetryConfig.criteriaList[0].failureType",
		`"jobExecutionsRetryConfig":{"criteriaList":[{"failureType":"FAILED"}]}`:                                                                              "jobExecutionsRetryConfig.criteriaList[0].numberOfRetries: is missing",
		`"jobExecutionsRetryConfig":{"criteriaList":[{"failureType":"FAILED","numberOfRetries":11}]}`:                                                         "jobExecutionsRetryConfig.criteriaList[0].numberOfRetries",
		`"jobExecutionsRolloutConfig":{"exponentialRate":{}}`:                                                                                                 "jobExecutionsRolloutConfig.exponentialRate.baseRatePerMinute: is missing",
		`"jobExecutionsRolloutConfig":{"exponentialRate":{"baseRatePerMinute":5,"incrementFactor":1,"rateIncreaseCriteria":{"numberOfNotifiedThings":1}}}`:    "incrementFactor: a number from 1.1 to 5",
		`"jobExecutionsRolloutConfig":{"exponentialRate":{"baseRatePerMinute":5,"incrementFactor":1.25,"rateIncreaseCriteria":{"numberOfNotifiedThings":1}}}`: "incrementFactor",
		`"jobExecutionsRolloutConfig":{"exponentialRate":{"baseRatePerMinute":5,"incrementFactor":2e99,"rateIncreaseCriteria":{"numberOfNotifiedThings":1}}}`: "incrementFactor",
		`"jobExecutionsRolloutConfig":{"exponentialRate":{"baseRatePerMinute":5,"incrementFactor":2,"rateIncreaseCriteria":{}}}`:                              "rateIncreaseCriteria",
		`"jobExecutionsRolloutConfig":{"exponentialRate":{"baseRatePerMinute":5,"incrementFactor":2,"maximumPerMinute":5}}`:                                   "jobExecutionsRolloutConfig.exponentialRate.maximumPerMinute: unknown field",
		`"schedulingConfig":{"startTime":"soon"}`:                                          "schedulingConfig.startTime",
		`"schedulingConfig":{"startTime":""}`:                                              "schedulingConfig.startTime",
		`"schedulingConfig":{"endBehavior":"CANCEL"}`:                                      "schedulingConfig.endBehavior",
		`"schedulingConfig":{"endTime":"2026-11-29 02:30","endBehavior":"cancel"}`:         "schedulingConfig.endBehavior",
		`"schedulingConfig":{"maintenanceWindows":[{"startTime":"cron(30 2 ? * SUN *)"}]}`: "schedulingConfig.maintenanceWindows[0].durationInMinutes: is missing",
		`"schedulingConfig":{"maintenanceWindows":[{"durationInMinutes":1431}]}`:           "schedulingConfig.maintenanceWindows[0].durationInMinutes",
		`"presignedUrlConfig":{"expiresInSec":59}`:                                         "presignedUrlConfig.expiresInSec",
		`"tags":[{"Key":"a","Value":"1"},{"Key":"a"}]`:                                     "tags: \"a\" stands there twice",
		`"tags":[{"key":"a"}]`:                                                             "tags[0].key: unknown field",
		`"tags":{"a":"1"}`:                                                                 "tags: a list is expected",
		`"documentParameters":{"a":1}`:                                                     "documentParameters.a",
		`"documentSource":"s3://x"`:                                                        "documentSource: not supported",
	} {
		_, err := body.CreateJob([]byte(`{"targets":["thing/t"],"document":"{}",` + part + `}`))
		if err == nil || !strings.Contains(err.Error(), want) || exitStatus(err) != exitRefused {
			t.Errorf("%s: %v, want %s", part, err, want)
		}
	}
}
