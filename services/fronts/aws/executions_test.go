package aws

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

const (
	badState     = v1.RefusalCode_REFUSAL_CODE_INVALID_STATE_TRANSITION
	staleVersion = v1.RefusalCode_REFUSAL_CODE_VERSION_MISMATCH
	nothing      = v1.RefusalCode_REFUSAL_CODE_NOT_FOUND
)

func TestExecutions(t *testing.T) {
	page := &v1.Page{Limit: 250}
	list := &v1.ListExecutionsReply{NextToken: "b", Executions: []*v1.ExecutionRow{
		{JobId: "j", Thing: "t:1", ExecutionNumber: 1, Status: v1.ExecutionStatus_EXECUTION_STATUS_QUEUED, QueuedAtMs: 1010, LastUpdatedAtMs: 1010},
		{JobId: "k", Thing: "u", ExecutionNumber: 3, Status: v1.ExecutionStatus_EXECUTION_STATUS_FAILED, QueuedAtMs: 1000, StartedAtMs: 2000, LastUpdatedAtMs: 3000, RetryAttempt: 2},
	}}
	const first = `"jobExecutionSummary":{"status":"QUEUED","queuedAt":1.010,"lastUpdatedAt":1.010,"executionNumber":1,"retryAttempt":0}}`
	const second = `"jobExecutionSummary":{"status":"FAILED","queuedAt":1,"startedAt":2,"lastUpdatedAt":3,"executionNumber":3,"retryAttempt":2}}`
	get := &v1.GetExecution{Freshness: fresh, JobId: "j", Thing: "t:1"}
	cancel := &v1.CancelExecution{Thing: "t", JobId: "j"}
	remove := &v1.DeleteExecution{Thing: "t", JobId: "j", ExecutionNumber: 3}
	newSystem(t).meets(t, []exchange{
		{
			request: "GET /jobs/j/things?status=FAILED&maxResults=2&nextToken=a", serve: replies(bus.ListExecutionsForJob, list),
			asks: &v1.ListExecutionsForJob{Freshness: fresh, Page: &v1.Page{Limit: 2, Token: "a"}, JobId: "j", Status: v1.ExecutionStatus_EXECUTION_STATUS_FAILED},
			want: `200 {"executionSummaries":[{"thingArn":"` + arnOf + `thing/t:1",` + first + `,{"thingArn":"` + arnOf + `thing/u",` + second + `],"nextToken":"b"}`,
		},
		{request: "GET /jobs/j/things", serve: replies(bus.ListExecutionsForJob, &v1.ListExecutionsReply{}), asks: &v1.ListExecutionsForJob{Freshness: fresh, Page: page, JobId: "j"}, want: `200 {"executionSummaries":[]}`},
		{request: "GET /jobs/j/things", serve: refuses(bus.ListExecutionsForJob, nothing), asks: &v1.ListExecutionsForJob{Freshness: fresh, Page: page, JobId: "j"}, want: `404 ResourceNotFoundException `},
		{request: "GET /jobs/j/things?status=DONE", want: `400 InvalidRequestException {"message":"status: `},
		{
			request: "GET /things/t%3A1/jobs?status=QUEUED&namespaceId=n&jobId=j&maxResults=2&nextToken=a", serve: replies(bus.ListExecutionsForThing, list),
			asks: &v1.ListExecutionsForThing{Freshness: fresh, Page: &v1.Page{Limit: 2, Token: "a"}, Thing: "t:1", JobId: "j", NamespaceId: "n", Status: v1.ExecutionStatus_EXECUTION_STATUS_QUEUED},
			want: `200 {"executionSummaries":[{"jobId":"j",` + first + `,{"jobId":"k",` + second + `],"nextToken":"b"}`,
		},
		{ // a thing may be called so
			request: "GET /things/jobs/jobs", serve: replies(bus.ListExecutionsForThing, list), asks: &v1.ListExecutionsForThing{Freshness: fresh, Page: page, Thing: "jobs"},
			want: `200 {"executionSummaries":[{"jobId":"j",` + first + `,{"jobId":"k",` + second + `],"nextToken":"b"}`,
		},
		{
			request: "GET /things/t%3A1/jobs/j",
			serve: replies(bus.GetExecution, &v1.GetExecutionReply{Execution: &v1.ExecutionRow{
				JobId: "j", Thing: "t:1", ExecutionNumber: 1, VersionNumber: 1, Status: v1.ExecutionStatus_EXECUTION_STATUS_QUEUED, QueuedAtMs: 1010, LastUpdatedAtMs: 1010,
			}}), asks: get,
			want: `200 {"execution":{"jobId":"j","status":"QUEUED","statusDetails":{"detailsMap":{}},"thingArn":"` + arnOf + `thing/t:1","queuedAt":1.010,"lastUpdatedAt":1.010,"executionNumber":1,"versionNumber":1}}`,
		},
		{
			request: "GET /things/t/jobs/j?executionNumber=2",
			serve: replies(bus.GetExecution, &v1.GetExecutionReply{Execution: &v1.ExecutionRow{
				JobId: "j", Thing: "t", ExecutionNumber: 2, VersionNumber: 5, Status: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS, QueuedAtMs: 1010, StartedAtMs: 1020,
				LastUpdatedAtMs: 1030, StatusDetails: []*v1.Detail{{Name: "step", Value: "2\n"}}, DeadlineMs: 2000,
			}}), asks: &v1.GetExecution{Freshness: fresh, JobId: "j", Thing: "t", ExecutionNumber: 2},
			want: `200 {"execution":{"jobId":"j","status":"IN_PROGRESS","statusDetails":{"detailsMap":{"step":"2\n"}},"thingArn":"` + arnOf + `thing/t","queuedAt":1.010,"startedAt":1.020,"lastUpdatedAt":1.030,"executionNumber":2,"versionNumber":5,"approximateSecondsBeforeTimedOut":0}}`,
		},
		{request: "GET /things/t%3A1/jobs/j", serve: refuses(bus.GetExecution, nothing), asks: get, want: `404 ResourceNotFoundException `},
		{request: "GET /things/t/jobs/j?executionNumber=x", want: `400 InvalidRequestException {"message":"executionNumber: `},
		{request: "GET /things/t/jobs/$next", want: `400 InvalidRequestException {"message":"jobId: `},
		{
			request: "PUT /things/t/jobs/j/cancel?force=true", body: `{"expectedVersion":"4","statusDetails":{"b":"1","a":7.50,"c":true}}`,
			serve: replies(bus.CancelExecution, &v1.CancelExecutionReply{}),
			asks: &v1.CancelExecution{Thing: "t", JobId: "j", Force: true, ExpectedVersion: 4, ReplaceDetails: true,
				StatusDetails: []*v1.Detail{{Name: "a", Value: "7.50"}, {Name: "b", Value: "1"}, {Name: "c", Value: "true"}}},
			want: `200`,
		},
		{request: "PUT /things/t/jobs/j/cancel", serve: replies(bus.CancelExecution, &v1.CancelExecutionReply{}), asks: cancel, want: `200`},
		{request: "PUT /things/t/jobs/j/cancel", body: `{}`, serve: refuses(bus.CancelExecution, badState), asks: cancel, want: `409 InvalidStateTransitionException {"message":"so it is"}`},
		{request: "PUT /things/t/jobs/j/cancel", body: `{}`, serve: refuses(bus.CancelExecution, staleVersion), asks: cancel, want: `409 VersionConflictException {"message":"so it is"}`},
		{request: "PUT /things/t/jobs/j/cancel", body: `{"expectedVersion":0}`, want: `400 InvalidRequestException {"message":"expectedVersion: `},
		{request: "PUT /things/t/jobs/j/cancel", body: `{"statusDetails":{"a":{}}}`, want: `400 InvalidRequestException {"message":"statusDetails.a: `},
		{request: "DELETE /things/t/jobs/j/executionNumber/3", serve: replies(bus.DeleteExecution, &v1.DeleteExecutionReply{}), asks: remove, want: `200`},
		{
			request: "DELETE /things/t/jobs/j/executionNumber/3?force=true", serve: replies(bus.DeleteExecution, &v1.DeleteExecutionReply{}),
			asks: &v1.DeleteExecution{Thing: "t", JobId: "j", ExecutionNumber: 3, Force: true}, want: `200`,
		},
		{request: "DELETE /things/t/jobs/j/executionNumber/3", serve: refuses(bus.DeleteExecution, badState), asks: remove, want: `409 InvalidStateTransitionException `},
		{request: "DELETE /things/t/jobs/j/executionNumber/0", want: `400 InvalidRequestException {"message":"executionNumber: `},
		{request: "DELETE /things/t/jobs/j/executionNumber/x", want: `400 InvalidRequestException {"message":"executionNumber: `},
	})
}

// Only what is in progress times out.
func TestTimeUntilTheTimeout(t *testing.T) {
	c := &call{front: New(Config{})}
	for status, want := range map[v1.ExecutionStatus]int64{
		v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS: 59, v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED: -1,
	} {
		have := int64(-1)
		if left := c.showExecution(&v1.ExecutionRow{Status: status, DeadlineMs: 100_000}, time.UnixMilli(40_001)).TimesOutIn; left != nil {
			have = *left
		}
		if have != want {
			t.Errorf("%s: %d, want %d", v1.EnumName(status), have, want)
		}
	}
}

// A thing without executions is told from no thing by asking for the thing; a page behind the first asks no more.
func TestExecutionsOfNoThingAreNotFound(t *testing.T) {
	s := newSystem(t)
	none := replies(bus.ListExecutionsForThing, &v1.ListExecutionsReply{})
	for _, c := range []struct {
		request  string
		describe service
		asked    int
		want     string
	}{
		{"GET /things/t/jobs", replies(bus.DescribeThing, &v1.DescribeThingReply{Thing: &v1.ThingRow{Name: "t"}}), 2, `200 {"executionSummaries":[]}`},
		{"GET /things/t/jobs", refuses(bus.DescribeThing, nothing), 2, `404 ResourceNotFoundException {"message":"so it is"}`},
		{"GET /things/t/jobs?nextToken=a", refuses(bus.DescribeThing, nothing), 1, `200 {"executionSummaries":[]}`},
	} {
		var have string
		seen := s.run(t, func(t testing.TB, s *system, b *bus.Server) { none(t, s, b); c.describe(t, s, b) }, func() { have = s.do(t, c.request, "") })
		if have != c.want || len(seen) != c.asked || c.asked == 2 && !proto.Equal(seen[1], &v1.DescribeThing{Freshness: fresh, Name: "t"}) {
			t.Errorf("%s: %s after %v, want %s", c.request, have, seen, c.want)
		}
	}
}
