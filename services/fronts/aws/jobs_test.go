package aws

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func things(names ...string) (list []*v1.Target) {
	for _, name := range names {
		list = append(list, &v1.Target{Target: &v1.Target_Thing{Thing: name}})
	}
	return list
}

func groups(names ...string) (list []*v1.Target) {
	for _, name := range names {
		list = append(list, &v1.Target{Target: &v1.Target_Group{Group: name}})
	}
	return list
}

// configured has every configuration, as JSON and as a job has it.
const configuredJSON = `"presignedUrlConfig":{"roleArn":"arn:aws:iam::123456789012:role/s3","expiresInSec":60},` +
	`"jobExecutionsRolloutConfig":{"maximumPerMinute":50,"exponentialRate":{"baseRatePerMinute":5,"incrementFactor":1.5,"rateIncreaseCriteria":{"numberOfNotifiedThings":10}}},` +
	`"abortConfig":{"criteriaList":[{"failureType":"FAILED","action":"CANCEL","thresholdPercentage":12.25,"minNumberOfExecutedThings":3}]},` +
	`"timeoutConfig":{"inProgressTimeoutInMinutes":7},"jobExecutionsRetryConfig":{"criteriaList":[{"failureType":"ALL","numberOfRetries":0}]}`

var (
	presigned = &v1.PresignedUrlConfig{RoleArn: "arn:aws:iam::123456789012:role/s3", ExpiresInSeconds: 60}
	rollout   = &v1.RolloutConfig{MaximumPerMinute: 50, Exponential: &v1.ExponentialRate{BasePerMinute: 5, IncrementFactorTenths: 15, NotifiedThings: 10}}
	abort     = &v1.AbortConfig{Criteria: []*v1.AbortCriterion{{Failure: v1.FailureType_FAILURE_TYPE_FAILED, ThresholdHundredths: 1225, MinExecuted: 3}}}
	timeout   = &v1.TimeoutConfig{InProgressTimeoutMinutes: 7}
	retry     = &v1.RetryConfig{Criteria: []*v1.RetryCriterion{{Failure: v1.FailureType_FAILURE_TYPE_ALL}}}
	windows   = []*v1.MaintenanceWindow{{StartTime: "cron(30 2 ? * SUN *)", DurationMinutes: 90}}
)

func TestCreateJob(t *testing.T) {
	plain := &v1.CreateJob{JobId: "j", Targets: things("t"), Document: []byte("{}")}
	newSystem(t).meets(t, []exchange{
		{
			request: "PUT /jobs/j", body: `{"targets":["` + arnOf + `thing/t"],"document":"{}"}`,
			serve: replies(bus.CreateJob, &v1.CreateJobReply{Job: 1}), asks: plain,
			want: `200 {"jobArn":"` + arnOf + `job/j","jobId":"j"}`,
		},
		{request: "PUT /jobs/j", body: `{"targets":["thing/t"],"document":"{}","comment":null}`, want: `400 InvalidRequestException {"message":"comment: unknown field"}`},
		{
			request: "PUT /iot/jobs/j", serve: replies(bus.CreateJob, &v1.CreateJobReply{Job: 1}),
			body: `{"targets":["` + arnOf + `thing/t:1","` + arnOf + `thinggroup/hall"],"document":" {\"a\" : 1}\n","description":"für alle","targetSelection":"CONTINUOUS",` + configuredJSON +
				`,"schedulingConfig":{"startTime":"2026-12-01 08:00","endTime":"2026-12-09 08:00","endBehavior":"FORCE_CANCEL","maintenanceWindows":[{"startTime":"cron(30 2 ? * SUN *)","durationInMinutes":90}]},` +
				`"tags":[{"Key":"b"},{"Key":"a","Value":"1"}],"namespaceId":"n","jobTemplateArn":"` + arnOf + `jobtemplate/w","documentParameters":{"k":"v"},"destinationPackageVersions":["p"]}`,
			asks: &v1.CreateJob{
				JobId: "j", Targets: append(things("t:1"), groups("hall")...), Document: []byte(" {\"a\" : 1}\n"), Description: "für alle",
				TargetSelection: v1.TargetSelection_TARGET_SELECTION_CONTINUOUS, PresignedUrl: presigned, Rollout: rollout, Abort: abort, Timeout: timeout, Retry: retry,
				Scheduling: &v1.SchedulingConfig{StartTime: "2026-12-01 08:00", EndTime: "2026-12-09 08:00", EndBehavior: v1.EndBehavior_END_BEHAVIOR_FORCE_CANCEL, Windows: windows},
				Tags:       []*v1.Tag{{Key: "a", Value: "1"}, {Key: "b"}}, NamespaceId: "n", JobTemplate: arnOf + "jobtemplate/w",
				DocumentParameters: []*v1.Parameter{{Key: "k", Value: "v"}}, DestinationPackageVersions: []string{"p"},
			},
			want: `200 {"jobArn":"` + arnOf + `job/j","jobId":"j","description":"für alle"}`,
		},
		{
			request: "PUT /jobs/j", body: `{"targets":["thing/t"],"document":"{}"}`, serve: refuses(bus.CreateJob, v1.RefusalCode_REFUSAL_CODE_ALREADY_EXISTS), asks: plain,
			want: `409 ResourceAlreadyExistsException {"message":"so it is","resourceId":"j","resourceArn":"` + arnOf + `job/j"}`,
		},
		{
			request: "PUT /jobs/j", body: `{"targets":["thing/t"],"document":"{}"}`, serve: refuses(bus.CreateJob, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND), asks: plain,
			want: `404 ResourceNotFoundException {"message":"so it is"}`,
		},
		{
			request: "PUT /jobs/j", body: `{"targets":["thing/t"],"document":"{}"}`, serve: refuses(bus.CreateJob, v1.RefusalCode_REFUSAL_CODE_LIMIT_EXCEEDED), asks: plain,
			want: `410 LimitExceededException {"message":"so it is"}`,
		},
		{request: "PUT /jobs/j", body: `{"targets":["thing/t"],"document":"{}"}`, want: `503 ServiceUnavailableException {"message":"nobody serves job create now"}`},
		{request: "PUT /jobs/j", body: `{"document":"{}"}`, want: `400 InvalidRequestException {"message":"targets: is missing`},
		{request: "PUT /jobs/j", body: `{"targets":["thing/t"]}`, want: `400 InvalidRequestException {"message":"document: is missing`},
		{request: "PUT /jobs/j", body: `{"targets":["thing/t"],"documentSource":"https://s3.amazonaws.com/b/k"}`, want: `400 InvalidRequestException {"message":"documentSource: not supported`},
		{request: "PUT /jobs/j", body: `{"targets":["role/t"],"document":"{}"}`, want: `400 InvalidRequestException {"message":"targets: `},
		{request: "PUT /jobs/j", body: `{"jobId":"k","targets":["thing/t"],"document":"{}"}`, want: `400 InvalidRequestException {"message":"jobId: the path names j`},
	})
}

// plain is a job of which nothing was set that need not be.
var plain = &v1.JobRow{
	JobId: "j", Status: v1.JobStatus_JOB_STATUS_COMPLETED, TargetSelection: v1.TargetSelection_TARGET_SELECTION_SNAPSHOT, Targets: things("t"),
	CreatedAtMs: 1_560_787_022_733, LastUpdatedAtMs: 1_560_787_026_000, CompletedAtMs: 1_560_787_026_007, Document: []byte(" {\"a\" : \"<&>\"}\n"),
}

func TestDescribeJob(t *testing.T) {
	full := &v1.DescribeJobReply{
		Job: &v1.JobRow{
			JobId: "j", Status: v1.JobStatus_JOB_STATUS_IN_PROGRESS, TargetSelection: v1.TargetSelection_TARGET_SELECTION_CONTINUOUS, Targets: append(things("t"), groups("g")...),
			Description: "d", ForceCanceled: true, ReasonCode: "R", Comment: "c", CreatedAtMs: 1_560_787_022_733, LastUpdatedAtMs: 1_560_787_026_000,
			IsConcurrent: true, Rollout: rollout, Timeout: timeout, Abort: abort, Retry: retry, PresignedUrl: presigned,
			Scheduling:  &v1.SchedulingConfig{EndTime: "2026-12-09 08:00", EndBehavior: v1.EndBehavior_END_BEHAVIOR_CANCEL, Windows: windows},
			NamespaceId: "n", JobTemplateArn: "w", DocumentParameters: []*v1.Parameter{{Key: "k", Value: "v"}}, DestinationPackageVersions: []string{"p"},
			Tags: []*v1.Tag{{Key: "a"}}, NextWindowsMs: []int64{1_795_919_400_000},
		},
		Counts: &v1.JobCounts{Selected: 9, Released: 8, SelectionFinished: true, Attempts: []*v1.StatusCount{
			{Status: v1.ExecutionStatus_EXECUTION_STATUS_QUEUED, Count: 1}, {Status: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS, Count: 2},
			{Status: v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED, Count: 3}, {Status: v1.ExecutionStatus_EXECUTION_STATUS_FAILED, Count: 4},
			{Status: v1.ExecutionStatus_EXECUTION_STATUS_REJECTED, Count: 5}, {Status: v1.ExecutionStatus_EXECUTION_STATUS_TIMED_OUT, Count: 6},
			{Status: v1.ExecutionStatus_EXECUTION_STATUS_CANCELED, Count: 7}, {Status: v1.ExecutionStatus_EXECUTION_STATUS_REMOVED, Count: 8},
		}},
	}
	asks := &v1.DescribeJob{Freshness: fresh, JobId: "j"}
	counters := func(n ...string) string {
		names := []string{"Canceled", "Succeeded", "Failed", "Rejected", "Queued", "InProgress", "Removed", "TimedOut"}
		for i, name := range names {
			names[i] = `"numberOf` + name + `Things":` + n[i%len(n)]
		}
		return strings.Join(names, ",")
	}
	newSystem(t).meets(t, []exchange{
		{
			request: "GET /jobs/j", serve: replies(bus.DescribeJob, &v1.DescribeJobReply{Job: plain, Counts: &v1.JobCounts{}}), asks: asks,
			want: `200 {"job":{"jobArn":"` + arnOf + `job/j","jobId":"j","targetSelection":"SNAPSHOT","status":"COMPLETED","targets":["` + arnOf + `thing/t"],` +
				`"presignedUrlConfig":{},"jobExecutionsRolloutConfig":{},"createdAt":1560787022.733,"lastUpdatedAt":1560787026,"completedAt":1560787026.007,` +
				`"jobProcessDetails":{` + counters("0") + `},"timeoutConfig":{},"isConcurrent":false}}`,
		},
		{
			request: "GET /jobs/j?beforeSubstitution=true", serve: replies(bus.DescribeJob, full), asks: asks,
			want: `200 {"job":{"jobArn":"` + arnOf + `job/j","jobId":"j","targetSelection":"CONTINUOUS","status":"IN_PROGRESS","forceCanceled":true,"reasonCode":"R","comment":"c",` +
				`"targets":["` + arnOf + `thing/t","` + arnOf + `thinggroup/g"],"description":"d",` +
				`"presignedUrlConfig":{"roleArn":"arn:aws:iam::123456789012:role/s3","expiresInSec":60},` +
				`"jobExecutionsRolloutConfig":{"maximumPerMinute":50,"exponentialRate":{"baseRatePerMinute":5,"incrementFactor":1.5,"rateIncreaseCriteria":{"numberOfNotifiedThings":10}}},` +
				`"abortConfig":{"criteriaList":[{"failureType":"FAILED","action":"CANCEL","thresholdPercentage":12.25,"minNumberOfExecutedThings":3}]},` +
				`"createdAt":1560787022.733,"lastUpdatedAt":1560787026,` +
				`"jobProcessDetails":{"processingTargets":["` + arnOf + `thing/t","` + arnOf + `thinggroup/g"],` + counters("7", "3", "4", "5", "1", "2", "8", "6") + `},` +
				`"timeoutConfig":{"inProgressTimeoutInMinutes":7},"namespaceId":"n","jobTemplateArn":"` + arnOf + `jobtemplate/w",` +
				`"jobExecutionsRetryConfig":{"criteriaList":[{"failureType":"ALL","numberOfRetries":0}]},"documentParameters":{"k":"v"},"isConcurrent":true,` +
				`"schedulingConfig":{"endTime":"2026-12-09 08:00","endBehavior":"CANCEL","maintenanceWindows":[{"startTime":"cron(30 2 ? * SUN *)","durationInMinutes":90}]},` +
				`"scheduledJobRollouts":[{"startTime":"2026-11-29 02:30"}],"destinationPackageVersions":["p"]}}`,
		},
		{request: "GET /jobs/j", serve: refuses(bus.DescribeJob, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND), asks: asks, want: `404 ResourceNotFoundException `},
		{request: "GET /jobs/j", serve: replies(bus.DescribeJob, &v1.DescribeJobReply{Job: plain, Stamp: &v1.Stamp{Behind: true}}), asks: asks, want: `503 ServiceUnavailableException `},
		{request: "GET /jobs/j?beforeSubstitution=1", want: `400 InvalidRequestException {"message":"beforeSubstitution: `},
		{request: "GET /jobs/a%2Eb", want: `400 InvalidRequestException {"message":"jobId: `},
		{
			request: "GET /jobs/j/job-document?beforeSubstitution=false", serve: replies(bus.DescribeJob, &v1.DescribeJobReply{Job: plain}),
			asks: &v1.DescribeJob{Freshness: fresh, JobId: "j", IncludeDocument: true},
			want: `200 {"document":" {\"a\" : \"\u003c\u0026\u003e\"}\n"}`, // JSON for the same bytes
		},
		{
			request: "GET /jobs/j/job-document", serve: refuses(bus.DescribeJob, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND),
			asks: &v1.DescribeJob{Freshness: fresh, JobId: "j", IncludeDocument: true}, want: `404 ResourceNotFoundException `,
		},
	})
}

func TestUpdateAndDeleteJob(t *testing.T) {
	d := ""
	update := &v1.UpdateJob{JobId: "j", Description: &d, PresignedUrl: presigned, Rollout: rollout, Abort: abort, Timeout: timeout, Retry: retry}
	newSystem(t).meets(t, []exchange{
		{request: "PATCH /jobs/j", body: `{"description":"",` + configuredJSON + `}`, serve: replies(bus.UpdateJob, &v1.UpdateJobReply{}), asks: update, want: `200`},
		{request: "PATCH /jobs/j", body: `{"targets":[]}`, want: `400 InvalidRequestException {"message":"targets: unknown field"}`},
		{request: "PATCH /jobs/j?force=true", want: `400 InvalidRequestException {"message":"force is no parameter of UpdateJob"}`},
		// What AWS's model does not give an operation is an invalid request.
		{request: "PATCH /jobs/j", body: `{}`, serve: refuses(bus.UpdateJob, v1.RefusalCode_REFUSAL_CODE_INVALID_STATE_TRANSITION), asks: &v1.UpdateJob{JobId: "j"}, want: `400 InvalidRequestException {"message":"so it is"}`},
		{request: "PATCH /jobs/j", body: `{}`, serve: refuses(bus.UpdateJob, v1.RefusalCode_REFUSAL_CODE_THROTTLED), asks: &v1.UpdateJob{JobId: "j"}, want: `400 ThrottlingException `},
		{request: "DELETE /jobs/j", serve: replies(bus.DeleteJob, &v1.DeleteJobReply{}), asks: &v1.DeleteJob{JobId: "j"}, want: `200`},
		{request: "DELETE /jobs/j?force=true", serve: replies(bus.DeleteJob, &v1.DeleteJobReply{}), asks: &v1.DeleteJob{JobId: "j", Force: true}, want: `200`},
		{request: "DELETE /jobs/j", serve: refuses(bus.DeleteJob, v1.RefusalCode_REFUSAL_CODE_INVALID_STATE_TRANSITION), asks: &v1.DeleteJob{JobId: "j"}, want: `409 InvalidStateTransitionException `},
		{request: "DELETE /jobs/j", serve: refuses(bus.DeleteJob, v1.RefusalCode_REFUSAL_CODE_LIMIT_EXCEEDED), asks: &v1.DeleteJob{JobId: "j"}, want: `410 LimitExceededException `},
		{request: "DELETE /jobs/j?force=yes", want: `400 InvalidRequestException {"message":"force: `},
		{request: "DELETE /jobs/j?namespaceId=m", serve: replies(bus.DescribeJob, &v1.DescribeJobReply{Job: plain}), asks: &v1.DescribeJob{Freshness: fresh, JobId: "j"}, want: `404 ResourceNotFoundException `},
		{request: "PUT /jobs/j/cancel", serve: refuses(bus.CancelJob, v1.RefusalCode_REFUSAL_CODE_INVALID_STATE_TRANSITION), asks: &v1.CancelJob{JobId: "j"}, want: `400 InvalidRequestException {"message":"so it is"}`},
		{request: "PUT /jobs/j/cancel", body: `{"reason":"x"}`, want: `400 InvalidRequestException {"message":"reason: unknown field"}`},
		{request: "POST /jobs/j/targets", body: `{"comment":"c"}`, want: `400 InvalidRequestException {"message":"targets: is missing`},
		{
			request: "POST /jobs/j/targets", body: `{"targets":["group/g"]}`, serve: refuses(bus.AssociateTargets, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND),
			asks: &v1.AssociateTargets{JobId: "j", Targets: groups("g")}, want: `404 ResourceNotFoundException `,
		},
	})
}

// What a change answers with is read of the job; a change stands that cannot be read.
func TestAChangeAnswersWithTheJob(t *testing.T) {
	s := newSystem(t)
	described := &v1.DescribeJob{Freshness: fresh, JobId: "j"}
	const named = `200 {"jobArn":"` + arnOf + `job/j","jobId":"j"`
	for _, c := range []struct {
		request, body string
		serve         service
		asks          proto.Message
	}{
		{
			"PUT /jobs/j/cancel?force=true", `{"reasonCode":"R","comment":"c"}`, replies(bus.CancelJob, &v1.CancelJobReply{}),
			&v1.CancelJob{JobId: "j", Force: true, ReasonCode: "R", Comment: "c"},
		},
		{
			"POST /jobs/j/targets", `{"targets":["` + arnOf + `thinggroup/g"],"comment":"c"}`, replies(bus.AssociateTargets, &v1.AssociateTargetsReply{}),
			&v1.AssociateTargets{JobId: "j", Targets: groups("g"), Comment: "c"},
		},
		{
			"PUT /jobs/j", `{"targets":["thing/t"],"jobTemplateArn":"w"}`, replies(bus.CreateJob, &v1.CreateJobReply{}),
			&v1.CreateJob{JobId: "j", Targets: things("t"), JobTemplate: "w"},
		},
	} {
		for want, describe := range map[string]service{
			named + `,"description":"d"}`: replies(bus.DescribeJob, &v1.DescribeJobReply{Job: &v1.JobRow{JobId: "j", Description: "d"}}),
			named + `}`:                   refuses(bus.DescribeJob, v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE),
		} {
			both := func(t testing.TB, s *system, b *bus.Server) { c.serve(t, s, b); describe(t, s, b) }
			var have string
			seen := s.run(t, both, func() { have = s.do(t, c.request, c.body) })
			if have != want {
				t.Errorf("%s\nhave %s\nwant %s", c.request, have, want)
			}
			if len(seen) != 2 || !proto.Equal(seen[0], c.asks) || !proto.Equal(seen[1], described) {
				t.Errorf("%s: it became %v", c.request, seen)
			}
		}
	}
}

func TestListJobs(t *testing.T) {
	page := &v1.Page{Limit: 250}
	s := newSystem(t)
	s.meets(t, []exchange{
		{
			request: "GET /jobs", serve: replies(bus.ListJobs, &v1.ListJobsReply{Jobs: []*v1.JobRow{plain, {JobId: "k", Status: 1, TargetSelection: 2, CreatedAtMs: 1000, IsConcurrent: true}}}),
			asks: &v1.ListJobs{Freshness: fresh, Page: page},
			want: `200 {"jobs":[{"jobArn":"` + arnOf + `job/j","jobId":"j","targetSelection":"SNAPSHOT","status":"COMPLETED","createdAt":1560787022.733,"lastUpdatedAt":1560787026,"completedAt":1560787026.007,"isConcurrent":false},` +
				`{"jobArn":"` + arnOf + `job/k","jobId":"k","targetSelection":"CONTINUOUS","status":"IN_PROGRESS","createdAt":1,"isConcurrent":true}]}`,
		},
		{
			request: "GET /jobs?status=DELETION_IN_PROGRESS&targetSelection=CONTINUOUS&namespaceId=n&maxResults=1&nextToken=a",
			serve:   replies(bus.ListJobs, &v1.ListJobsReply{NextToken: "b"}),
			asks: &v1.ListJobs{Freshness: fresh, Page: &v1.Page{Limit: 1, Token: "a"}, NamespaceId: "n",
				Status: v1.JobStatus_JOB_STATUS_DELETION_IN_PROGRESS, TargetSelection: v1.TargetSelection_TARGET_SELECTION_CONTINUOUS},
			want: `200 {"jobs":[],"nextToken":"b"}`,
		},
		{request: "GET /jobs?nextToken=bad", serve: refuses(bus.ListJobs, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST), asks: &v1.ListJobs{Freshness: fresh, Page: &v1.Page{Limit: 250, Token: "bad"}}, want: `400 InvalidRequestException `},
		{request: "GET /jobs?status=RUNNING", want: `400 InvalidRequestException {"message":"status: `},
		{request: "GET /jobs?targetSelection=snapshot", want: `400 InvalidRequestException {"message":"targetSelection: `},
		{request: "GET /jobs?maxResults=0", want: `400 InvalidRequestException {"message":"maxResults: `},
		{request: "GET /jobs?thingGroupName=g", serve: refuses(bus.DescribeGroup, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND), asks: &v1.DescribeGroup{Freshness: fresh, Group: "g"}, want: `404 ResourceNotFoundException `},
	})

	// Of a group: by its name, or by its id, which is on the second page of all groups.
	hall := id.GroupID("hall", 7)
	serve := func(t testing.TB, s *system, b *bus.Server) {
		replies(bus.ListJobs, &v1.ListJobsReply{Jobs: []*v1.JobRow{{JobId: "k", Status: 1, TargetSelection: 2, CreatedAtMs: 1000}}})(t, s, b)
		replies(bus.DescribeGroup, &v1.DescribeGroupReply{Group: &v1.GroupRow{Group: "hall", Number: 7}})(t, s, b)
		answers(bus.ListGroups, func(q *v1.ListGroups) (*v1.ListGroupsReply, error) {
			if q.GetPage().GetToken() == "" {
				return &v1.ListGroupsReply{Groups: []*v1.GroupRow{{Group: "hall", Number: 6}}, NextToken: "more"}, nil
			}
			return &v1.ListGroupsReply{Groups: []*v1.GroupRow{{Group: "hall", Number: 7}}}, nil
		})(t, s, b)
	}
	list := `200 {"jobs":[{"jobArn":"` + arnOf + `job/k","jobId":"k","thingGroupId":"` + hall + `","targetSelection":"CONTINUOUS","status":"IN_PROGRESS","createdAt":1,"isConcurrent":false}]}`
	for query, want := range map[string]string{
		"thingGroupName=hall":                      list,
		"thingGroupId=" + hall:                     list,
		"thingGroupName=hall&thingGroupId=" + hall: list,
		"thingGroupName=hall&thingGroupId=x":       `404 ResourceNotFoundException {"message":"thingGroupId: there is no group with the id x"}`,
		"thingGroupId=x":                           `404 ResourceNotFoundException {"message":"thingGroupId: there is no group with the id x"}`,
	} {
		var have string
		seen := s.run(t, serve, func() { have = s.do(t, "GET /jobs?"+query, "") })
		if have != want {
			t.Errorf("%s\nhave %s\nwant %s", query, have, want)
		}
		if want == list && !proto.Equal(seen[len(seen)-1], &v1.ListJobs{Freshness: fresh, Page: page, Group: "hall"}) {
			t.Errorf("%s: it became %v", query, seen)
		}
	}
}
