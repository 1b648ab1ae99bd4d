package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

const noon = 1_795_608_000_000 // 2026-11-25T12:00:00Z

func aJob() *v1.JobRow {
	return &v1.JobRow{
		Job: 65536, JobId: "fw-1", Status: v1.JobStatus_JOB_STATUS_IN_PROGRESS, TargetSelection: v1.TargetSelection_TARGET_SELECTION_SNAPSHOT,
		Targets:     []*v1.Target{{Target: &v1.Target_Group{Group: "press-line"}}},
		Description: "valves <fix>", Rollout: &v1.RolloutConfig{MaximumPerMinute: 600}, Timeout: &v1.TimeoutConfig{InProgressTimeoutMinutes: 30},
		CreatedAtMs: noon, LastUpdatedAtMs: noon + 1500, IsConcurrent: true, Document: []byte(`{"operation":"install"}`),
	}
}

func someCounts() *v1.JobCounts {
	return &v1.JobCounts{
		Attempts: []*v1.StatusCount{
			{Status: v1.ExecutionStatus_EXECUTION_STATUS_QUEUED, Count: 3}, {Status: v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED, Count: 7},
		},
		Selected: 10, SelectionFinished: true, Released: 10, Open: 3, Good: 7, FirstChangeMs: noon, LastChangeMs: noon + 1500,
	}
}

func anExecution() *v1.ExecutionRow {
	return &v1.ExecutionRow{
		Job: 65536, JobId: "fw-1", Thing: "press-07", ExecutionNumber: 1, Status: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS,
		StatusDetails: []*v1.Detail{{Name: "phase", Value: "flash"}}, VersionNumber: 3, QueuedAtMs: noon, StartedAtMs: noon + 500,
		LastUpdatedAtMs: noon + 1500, DeadlineMs: noon + 1_800_500,
	}
}

func aThing() *v1.ThingRow {
	return &v1.ThingRow{
		Name: "press-07", Number: 131072, ThingType: "press", Attributes: []*v1.Attribute{{Name: "site", Value: "north"}}, Version: 1,
		CreatedAtMs: noon, Groups: []string{"press-line"},
	}
}

func aGroup() *v1.GroupRow {
	return &v1.GroupRow{Group: "press-line", Number: 196608, Parent: "plant-2", Description: "hall 3", CreatedAtMs: noon, Members: 2}
}

func serveLists(s *system) {
	reply(s, bus.ListJobs, &v1.ListJobsReply{Jobs: []*v1.JobRow{aJob()}})
	reply(s, bus.DescribeJob, &v1.DescribeJobReply{Job: aJob(), Counts: someCounts()})
	reply(s, bus.ListExecutionsForJob, &v1.ListExecutionsReply{Executions: []*v1.ExecutionRow{anExecution()}})
	reply(s, bus.ListExecutionsForThing, &v1.ListExecutionsReply{Executions: []*v1.ExecutionRow{anExecution()}})
	reply(s, bus.GetExecution, &v1.GetExecutionReply{Execution: anExecution()})
	reply(s, bus.ListThings, &v1.ListThingsReply{Things: []*v1.ThingRow{aThing()}})
	reply(s, bus.DescribeThing, &v1.DescribeThingReply{Thing: aThing()})
	reply(s, bus.ListGroups, &v1.ListGroupsReply{Groups: []*v1.GroupRow{aGroup()}})
	reply(s, bus.DescribeGroup, &v1.DescribeGroupReply{Group: aGroup()})
	reply(s, bus.ListThingsInGroup, &v1.ListThingsInGroupReply{Things: []string{"press-07", "press-08"}})
}

// The JSON of --output json is a promise: this test holds it.
func TestJSONKeepsItsShape(t *testing.T) {
	s := newSystem(t)
	serveLists(s)
	const job = `{"jobId":"fw-1","job":65536,"status":"IN_PROGRESS","targetSelection":"SNAPSHOT","targets":["group/press-line"],` +
		`"description":"valves <fix>","jobExecutionsRolloutConfig":{"maximumPerMinute":600},"timeoutConfig":{"inProgressTimeoutInMinutes":30},` +
		`"forceCanceled":false,"createdAt":"2026-11-25T12:00:00.000Z","lastUpdatedAt":"2026-11-25T12:00:01.500Z","isConcurrent":true,` +
		`"document":"{\"operation\":\"install\"}"`
	const execution = `{"jobId":"fw-1","job":65536,"thingName":"press-07","executionNumber":1,"retryAttempt":0,"status":"IN_PROGRESS",` +
		`"statusDetails":{"phase":"flash"},"versionNumber":3,"forceCanceled":false,"queuedAt":"2026-11-25T12:00:00.000Z",` +
		`"startedAt":"2026-11-25T12:00:00.500Z","lastUpdatedAt":"2026-11-25T12:00:01.500Z","deadline":"2026-11-25T12:30:00.500Z"}`
	const thing = `{"thingName":"press-07","thing":131072,"thingTypeName":"press","attributes":{"site":"north"},"version":1,` +
		`"createdAt":"2026-11-25T12:00:00.000Z","groups":["press-line"]}`
	const group = `{"thingGroupName":"press-line","group":196608,"parentGroupName":"plant-2","thingGroupDescription":"hall 3",` +
		`"createdAt":"2026-11-25T12:00:00.000Z"`
	for _, c := range []struct{ args, want string }{
		{"job list", `{"jobs":[` + job + `}]}`},
		{"job describe fw-1", job + `,"jobProcessDetails":{"numberOfQueuedThings":3,"numberOfInProgressThings":0,"numberOfSucceededThings":7,` +
			`"numberOfFailedThings":0,"numberOfRejectedThings":0,"numberOfTimedOutThings":0,"numberOfCanceledThings":0,"numberOfRemovedThings":0,` +
			`"selected":10,"selectionFinished":true,"waiting":0,"released":10,"dropped":0,"refused":0,"open":3,"good":7,"harmed":0,"void":0,` +
			`"firstChangeAt":"2026-11-25T12:00:00.000Z","lastChangeAt":"2026-11-25T12:00:01.500Z"}}`},
		{"job executions fw-1", `{"executions":[` + execution + `]}`},
		{"thing executions press-07", `{"executions":[` + execution + `]}`},
		{"execution describe fw-1 press-07", execution},
		{"thing list", `{"things":[` + thing + `]}`},
		{"thing describe press-07", thing},
		{"group list", `{"groups":[` + group + `}]}`},
		{"group describe press-line", group + `,"members":2}`},
		{"group describe press-line --members", `{"things":["press-07","press-08"]}`},
	} {
		r := s.run(append(strings.Fields(c.args), "--output", "json")...)
		var got strings.Builder
		if err := compact(&got, r.out); err != nil {
			t.Errorf("%s: %v: %s%s", c.args, err, r.out, r.err)
			continue
		}
		if r.status != exitDone || got.String() != c.want {
			t.Errorf("%s: status %d\n got %s\nwant %s", c.args, r.status, got.String(), c.want)
		}
	}
}

// compact writes one JSON document without space; it fails if there is another one, or none.
func compact(into *strings.Builder, text string) error {
	var v json.RawMessage
	d := json.NewDecoder(strings.NewReader(text))
	if err := d.Decode(&v); err != nil {
		return err
	}
	if d.More() {
		return fmt.Errorf("two documents")
	}
	data, err := marshal(v)
	into.Write(data)
	return err
}

func TestTablesNameWhatTheyShow(t *testing.T) {
	s := newSystem(t)
	serveLists(s)
	for args, want := range map[string][]string{
		"job list":                            {"JOB ", "fw-1", "IN_PROGRESS", "2026-11-25 12:00:00Z", "valves <fix>"},
		"job describe fw-1":                   {"600 things a minute", "30 minutes after the start", "queued 3", "succeeded 7"},
		"job executions fw-1":                 {"press-07", "IN_PROGRESS", "phase=flash"},
		"thing executions press-07":           {"fw-1", "IN_PROGRESS"},
		"execution describe fw-1 press-07":    {"Version", "3", "phase=flash"},
		"thing list":                          {"press-07", "press", "site=north"},
		"thing describe press-07":             {"131072", "press-line"},
		"group list":                          {"press-line", "plant-2", "hall 3"},
		"group describe press-line":           {"plant-2", "Members"},
		"group describe press-line --members": {"press-07\npress-08\n"},
	} {
		s.want(s.run(strings.Fields(args)...), exitDone, want...)
	}
}

func TestWhatADevicePrintedStaysInItsCell(t *testing.T) {
	s := newSystem(t)
	x := anExecution()
	x.StatusDetails = []*v1.Detail{{Name: "reason", Value: ""}, {Name: "stdout", Value: "\x1b[2Jall well\n\tdone"}}
	reply(s, bus.ListExecutionsForJob, &v1.ListExecutionsReply{Executions: []*v1.ExecutionRow{x}})
	reply(s, bus.GetExecution, &v1.GetExecutionReply{Execution: x})
	for _, args := range [][]string{{"job", "executions", "fw-1"}, {"execution", "describe", "fw-1", "press-07"}} {
		s.want(s.run(args...), exitDone, `reason="" stdout="\x1b[2Jall well\n\tdone"`)
	}
}

func TestARNsAreTakenForNames(t *testing.T) {
	s := newSystem(t)
	serveLists(s)
	const arn = "arn:aws:iot:eu-central-1:123456789012:"
	s.want(s.run("job", "describe", arn+"job/fw-1"), exitDone)
	s.wantRequest(&v1.DescribeJob{Freshness: fresh, JobId: "fw-1"})
	s.want(s.run("thing", "describe", arn+"thing/press-07"), exitDone)
	s.wantRequest(&v1.DescribeThing{Freshness: fresh, Name: "press-07"})
	s.want(s.run("group", "describe", arn+"thinggroup/press-line"), exitDone)
	s.wantRequest(&v1.DescribeGroup{Freshness: fresh, Group: "press-line"})
	s.want(s.run("execution", "describe", arn+"job/fw-1", arn+"thing/press-07", "--number", "2"), exitDone)
	s.wantRequest(&v1.GetExecution{Freshness: fresh, JobId: "fw-1", Thing: "press-07", ExecutionNumber: 2})
}

func TestListsGoOnToTheLastPageOrTheLimit(t *testing.T) {
	s := newSystem(t)
	answer(s, bus.ListThings, func(q *v1.ListThings) (*v1.ListThingsReply, error) {
		var from int
		fmt.Sscan(q.GetPage().GetToken(), &from)
		r := &v1.ListThingsReply{}
		for i := from; i < min(from+int(q.GetPage().GetLimit()), 2500); i++ {
			r.Things = append(r.Things, &v1.ThingRow{Name: fmt.Sprintf("t%04d", i)})
		}
		if from+len(r.Things) < 2500 {
			r.NextToken = fmt.Sprint(from + len(r.Things))
		}
		return r, nil
	})
	for limit, want := range map[string]int{"0": 2500, "1500": 1500, "1": 1} {
		r := s.run("thing", "list", "--limit", limit, "-o", "json")
		var got struct{ Things []thingView }
		if err := json.Unmarshal([]byte(r.out), &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Things) != want || got.Things[want-1].ThingName != fmt.Sprintf("t%04d", want-1) {
			t.Errorf("--limit %s: %d things", limit, len(got.Things))
		}
		if r := s.run("thing", "list", "--limit", limit); strings.Count(r.out, "\n") != want+1 || strings.Count(r.out, "THING") != 1 {
			t.Errorf("--limit %s: %d lines", limit, strings.Count(r.out, "\n"))
		}
	}
}

func TestAnEmptyListIsAList(t *testing.T) {
	s := newSystem(t)
	reply(s, bus.ListJobs, &v1.ListJobsReply{})
	r := s.run("job", "list", "-o", "json")
	if strings.Join(strings.Fields(r.out), "") != `{"jobs":[]}` || r.status != exitDone {
		t.Errorf("%+v", r)
	}
	s.want(s.run("job", "list"), exitDone, "there are none")
}

func TestAnAnswerThatIsBehindSaysSo(t *testing.T) {
	s := newSystem(t)
	reply(s, bus.ListJobs, &v1.ListJobsReply{Stamp: &v1.Stamp{Behind: true, Positions: []*v1.Position{at(id.JobLog, 3)}}})
	s.want(s.run("job", "list"), exitDone, "older than the log")
}
