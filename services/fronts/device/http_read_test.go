package device

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

func TestOperationsAreNamed(t *testing.T) {
	for line, want := range map[string]string{
		"GET /things/t/jobs":             "GetPendingJobExecutions",
		"PUT /things/t/jobs/$next":       "StartNextPendingJobExecution",
		"PUT /things/t/jobs/%24next":     "StartNextPendingJobExecution",
		"GET /things/t/jobs/%24next":     "DescribeJobExecution",
		"GET /things/jobs/jobs/jobs":     "DescribeJobExecution",
		"POST /things/t/jobs/j":          "UpdateJobExecution",
		"POST /things/t/jobs/$next":      "UpdateJobExecution", // refused, as one
		"PUT /things/t/jobs/j":           "",
		"POST /things/t/jobs":            "",
		"PUT /things/t/jobs/j/cancel":    "",
		"GET things/t/jobs":              "",
		"GET /things/t/jobs/%zz":         "",
		"GET /things/%2/jobs":            "",
		"":                               "",
		"DELETE /things/t/jobs/j":        "",
		"get /things/t/jobs":             "",
		"GET /iot-jobs-data/things/jobs": "",
	} {
		method, path, _ := strings.Cut(line, " ")
		if got := Operation(method, path); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// The list of AWS's operations has those of this plane, each at the request that is one.
func TestReadmeListsTheOperationsOfThePlane(t *testing.T) {
	text, err := os.ReadFile("../aws/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## Data plane: iot-jobs-data\n")
	table, _, _ = strings.Cut(table, "\n## ")
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("\\| (\\w+) \\| `(\\w+) (\\S+)` \\|").FindAllStringSubmatch(table, -1) {
		path := strings.NewReplacer("{thingName}", "t", "{jobId}", "j").Replace(row[3])
		if got := Operation(row[2], path); got != row[1] {
			t.Errorf("%s %s is %q, and README.md says %s", row[2], row[3], got, row[1])
		}
		listed[row[1]] = true
	}
	for _, name := range operationNames {
		if !listed[name] {
			t.Errorf("README.md does not list %s", name)
		}
	}
}

func TestEveryRefusalHasAnErrorOverHTTP(t *testing.T) {
	known := map[string]int{"InvalidRequestException": 400, "UnauthorizedException": 401, "ResourceNotFoundException": 404, "InvalidStateTransitionException": 409,
		"TerminalStateException": 410, "ThrottlingException": 429, "InternalFailureException": 500, "ServiceUnavailableException": 503}
	for n := range v1.RefusalCode_name {
		if f := failures[v1.RefusalCode(n)]; f.name == "" || known[f.name] != f.status {
			t.Errorf("%v is %q with %d", v1.RefusalCode(n), f.name, f.status)
		}
	}
}

// FuzzHTTP: whatever comes is asked as it was understood, or refused with 4xx; the answer is JSON.
func FuzzHTTP(f *testing.F) {
	for _, c := range [][4]string{
		{"GET", "/things/t/jobs", "", ""},
		{"PUT", "/things/a%3Ab/jobs/$next", "", `{"statusDetails":{"a":1},"stepTimeoutInMinutes":"-1"}`},
		{"GET", "/things/jobs/jobs/%24next", "includeJobDocument=false&executionNumber=2", ""},
		{"POST", "/things/t/jobs/j", "x=%zz", `{"status":"FAILED","expectedVersion":"2","includeJobExecutionState":true,"includeJobDocument":true}`},
		{"DELETE", "/things/%2/jobs/j/", "executionNumber=;", "\xff"},
	} {
		f.Add(c[0], c[1], c[2], []byte(c[3]))
	}
	f.Fuzz(func(t *testing.T, method, path, query string, data []byte) {
		x := ReadHTTP(method, path, query, data)
		m := x.Message()
		if Operation(method, path) == "" && m != nil {
			t.Fatalf("no operation, and asks %v", m)
		}
		var a HTTPAnswer
		if m == nil {
			if a = x.Answer(nil, nil); a.Status < 400 || a.Status > 499 || a.ErrorType == "" {
				t.Fatalf("refused with %d %s %s", a.Status, a.ErrorType, a.Body)
			}
		} else if a = x.Answer(replyTo(t, m), nil); a.Status != 200 || a.ErrorType != "" {
			t.Fatalf("answered with %d %s %s", a.Status, a.ErrorType, a.Body)
		}
		var members map[string]any
		if err := json.Unmarshal(a.Body, &members); err != nil {
			t.Fatalf("%s: %v", a.Body, err)
		}
		if _, err := proto.Marshal(m); m != nil && err != nil {
			t.Fatalf("%v cannot be asked: %v", m, err)
		}
		if e, ok := members["execution"].(map[string]any); ok {
			if doc, ok := e["jobDocument"].(string); !ok || doc != odd || e["thingName"] != thingOf(m) {
				t.Fatalf("%s", a.Body)
			}
		}
	})
}

// odd is a document that holds whatever needs care in a string.
const odd = "{\"a\":\"\\\" \\u0000 \u2028 é 😀\",\n\t\"b\":[1e5]}"

func thingOf(m proto.Message) string { return m.(interface{ GetThing() string }).GetThing() }

// replyTo is a reply with everything in it.
func replyTo(t *testing.T, m proto.Message) proto.Message {
	e := &v1.Execution{JobId: "j", Thing: thingOf(m), ExecutionNumber: 1, VersionNumber: 2, Status: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS,
		StatusDetails: []*v1.Detail{{Name: "a", Value: "\n\"\\"}}, QueuedAtMs: 1, StartedAtMs: 2, LastUpdatedAtMs: 3, DeadlineMs: 4, Document: []byte(odd)}
	switch q := m.(type) {
	case *v1.GetPending:
		return &v1.GetPendingReply{InProgress: []*v1.Execution{e}, Queued: []*v1.Execution{e, e}}
	case *v1.StartNext:
		return &v1.StartNextReply{Execution: e}
	case *v1.DescribeExecution:
		return &v1.DescribeExecutionReply{Execution: e}
	case *v1.UpdateExecution:
		return &v1.UpdateExecutionReply{State: &v1.ExecutionState{Status: q.Status, StatusDetails: q.StatusDetails, VersionNumber: 3}, Document: e.Document}
	}
	t.Fatalf("asks %T", m)
	return nil
}

// BenchmarkHTTPUpdate is reading an update and writing its answer.
func BenchmarkHTTPUpdate(b *testing.B) {
	body := []byte(`{"status":"IN_PROGRESS","expectedVersion":2,"statusDetails":{"progress":"37","phase":"flash","note":"sixty bytes of details or so"},"includeJobExecutionState":true}`)
	reply := &v1.UpdateExecutionReply{State: &v1.ExecutionState{Status: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS, VersionNumber: 3,
		StatusDetails: []*v1.Detail{{Name: "note", Value: "sixty bytes of details or so"}, {Name: "phase", Value: "flash"}, {Name: "progress", Value: "37"}}}}
	b.ReportAllocs()
	for b.Loop() {
		x := ReadHTTP("POST", "/things/thing-000001/jobs/job-1", "", body)
		if a := x.Answer(reply, nil); x.Message() == nil || a.Status != 200 {
			b.Fatal(a)
		}
	}
}
