package device_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/device"
)

// plane is a Handler behind a listener, a hub, and what stands for the owners of the homes.
type plane struct {
	t       *testing.T
	address string
	client  *bus.Client
	// What an owner answers, and what it was asked last. A test asks one thing at a time.
	reply  proto.Message
	err    error
	asked  proto.Message
	asCmd  string // its command id
	atHome uint32
}

func startPlane(t *testing.T) *plane {
	t.Helper()
	hub, err := broker.StartHub(broker.HubConfig{Dir: t.TempDir(), Homes: homes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	p := &plane{t: t}
	for home := range uint32(homes) {
		nc, err := hub.Dialer().ConnectFront("execution", nats.Timeout(patience))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		server, err := bus.NewServer(nc, "execution", "1.0.0")
		if err == nil {
			err = errors.Join(
				bus.ServeHome(server, bus.GetPending, home, answer[*v1.GetPending, *v1.GetPendingReply](p, home)),
				bus.ServeHome(server, bus.StartNext, home, answer[*v1.StartNext, *v1.StartNextReply](p, home)),
				bus.ServeHome(server, bus.DescribeExecution, home, answer[*v1.DescribeExecution, *v1.DescribeExecutionReply](p, home)),
				bus.ServeHome(server, bus.UpdateExecution, home, answer[*v1.UpdateExecution, *v1.UpdateExecutionReply](p, home)),
			)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	nc, err := hub.Dialer().ConnectHTTP("http", nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	p.client = bus.NewClient(nc)
	p.client.Timeout = patience
	server := httptest.NewServer(device.NewHandler(device.HandlerConfig{Client: p.client}))
	t.Cleanup(server.Close)
	p.address = server.Listener.Addr().String()
	return p
}

func answer[Q, R proto.Message](p *plane, home uint32) func(context.Context, bus.Request, Q) (R, error) {
	return func(_ context.Context, r bus.Request, q Q) (R, error) {
		p.asked, p.asCmd, p.atHome = q, r.CommandID, home
		var none R
		if p.err != nil {
			return none, p.err
		}
		return p.reply.(R), nil
	}
}

// send sends a request line as it stands, and a body.
func (p *plane) send(line, body string, header ...string) (status int, errorType, answer string) {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	head := strings.Join(append([]string{line + " HTTP/1.1", "Host: x", "Connection: close", fmt.Sprint("Content-Length: ", len(body))}, header...), "\r\n")
	if _, err := io.WriteString(conn, head+"\r\n\r\n"+body); err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		p.t.Fatalf("%s: %v", line, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		p.t.Errorf("%s: content type %q", line, got)
	}
	return resp.StatusCode, resp.Header.Get("x-amzn-ErrorType"), string(data)
}

func (p *plane) expect(line, body string, status int, errorType, want string) {
	p.t.Helper()
	gotStatus, gotType, got := p.send(line, body)
	if gotStatus != status || gotType != errorType || got != want {
		p.t.Errorf("%s %s\n got %d %s %s\nwant %d %s %s", line, body, gotStatus, gotType, got, status, errorType, want)
	}
}

const httpDocument = `"{\"operation\":\"install\",\"v\":\"2.4.0\"}"`

// TestTheExampleExchangeOverHTTP is specification §10 as an AWS SDK sends it, with the answers of §3.4.
func TestTheExampleExchangeOverHTTP(t *testing.T) {
	const thing = "site:press-07"
	seconds := func(s int64) int64 { return s*1000 + 417 }
	queued := &v1.Execution{JobId: "fw-2026-11", Thing: thing, ExecutionNumber: 1, Status: v1.ExecutionStatus_EXECUTION_STATUS_QUEUED,
		VersionNumber: 1, QueuedAtMs: seconds(1795000001), LastUpdatedAtMs: seconds(1795000001)}
	started := &v1.Execution{JobId: "fw-2026-11", Thing: thing, ExecutionNumber: 1, Status: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS,
		StatusDetails: []*v1.Detail{{Name: "phase", Value: "accepted"}}, VersionNumber: 2, Document: []byte(document),
		QueuedAtMs: seconds(1795000001), StartedAtMs: seconds(1795000010), LastUpdatedAtMs: seconds(1795000010), DeadlineMs: seconds(1795000910)}
	state := &v1.ExecutionState{Status: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS, StatusDetails: []*v1.Detail{{Name: "phase", Value: "flash"}}, VersionNumber: 3}
	update := func(change func(*v1.UpdateExecution)) *v1.UpdateExecution {
		u := &v1.UpdateExecution{Thing: thing, JobId: "fw-2026-11", Status: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS}
		change(u)
		return u
	}
	const (
		path      = "/things/site%3Apress-07/jobs"
		summary   = `{"jobId":"fw-2026-11","queuedAt":1795000001,"lastUpdatedAt":1795000001,"executionNumber":1,"versionNumber":1}`
		execution = `{"execution":{"jobId":"fw-2026-11","thingName":"site:press-07","status":"IN_PROGRESS","statusDetails":{"phase":"accepted"},"queuedAt":1795000001,"startedAt":1795000010,"lastUpdatedAt":1795000010,"versionNumber":2,"executionNumber":1,"approximateSecondsBeforeTimedOut":900,"jobDocument":` + httpDocument + `}}`
	)
	p := startPlane(t)
	for _, c := range []struct {
		line, body string
		asked      proto.Message
		reply      proto.Message
		want       string
	}{
		{"GET " + path, ``, &v1.GetPending{Thing: thing}, &v1.GetPendingReply{AtMs: 1, Queued: []*v1.Execution{queued}}, `{"inProgressJobs":[],"queuedJobs":[` + summary + `]}`},
		{"GET " + path, ``, &v1.GetPending{Thing: thing}, &v1.GetPendingReply{}, `{"inProgressJobs":[],"queuedJobs":[]}`},
		{"PUT " + path + "/$next", `{"statusDetails":{"phase":"accepted"},"stepTimeoutInMinutes":15}`,
			&v1.StartNext{Thing: thing, StatusDetails: []*v1.Detail{{Name: "phase", Value: "accepted"}}, StepTimeoutMinutes: 15},
			&v1.StartNextReply{AtMs: seconds(1795000010), Execution: started}, execution},
		{"PUT " + path + "/%24next", ``, &v1.StartNext{Thing: thing}, &v1.StartNextReply{AtMs: 1}, `{}`},
		{"GET " + path + "/%24next", ``, &v1.DescribeExecution{Thing: thing, JobId: "$next", IncludeDocument: true},
			&v1.DescribeExecutionReply{AtMs: seconds(1795000010), Execution: started}, execution},
		{"GET " + path + "/$next", ``, &v1.DescribeExecution{Thing: thing, JobId: "$next", IncludeDocument: true}, &v1.DescribeExecutionReply{AtMs: 1}, `{}`},
		{"GET " + path + "/fw-2026-11?executionNumber=2&includeJobDocument=false&namespaceId=x", ``,
			&v1.DescribeExecution{Thing: thing, JobId: "fw-2026-11", ExecutionNumber: 2},
			&v1.DescribeExecutionReply{Execution: queued}, `{"execution":{"jobId":"fw-2026-11","thingName":"site:press-07","status":"QUEUED","queuedAt":1795000001,"lastUpdatedAt":1795000001,"versionNumber":1,"executionNumber":1}}`},
		{"GET " + path + "/fw-2026-11?includeJobDocument=true", ``, &v1.DescribeExecution{Thing: thing, JobId: "fw-2026-11", IncludeDocument: true},
			&v1.DescribeExecutionReply{AtMs: seconds(1795000010), Execution: started}, execution},
		{"POST " + path + "/fw-2026-11", `{"status":"IN_PROGRESS","expectedVersion":2,"statusDetails":{"phase":"flash"},"includeJobExecutionState":true}`,
			update(func(u *v1.UpdateExecution) {
				u.ExpectedVersion, u.ReplaceDetails, u.StatusDetails = 2, true, []*v1.Detail{{Name: "phase", Value: "flash"}}
			}),
			&v1.UpdateExecutionReply{State: state}, `{"executionState":{"status":"IN_PROGRESS","statusDetails":{"phase":"flash"},"versionNumber":3}}`},
		{"POST " + path + "/fw-2026-11", `{"status":"IN_PROGRESS","includeJobDocument":true}`, update(func(u *v1.UpdateExecution) { u.IncludeDocument = true }),
			&v1.UpdateExecutionReply{State: state, Document: []byte(document)}, `{"jobDocument":` + httpDocument + `}`},
		{"POST " + path + "/fw-2026-11", `{"status":"IN_PROGRESS","includeJobDocument":true,"includeJobExecutionState":true}`, update(func(u *v1.UpdateExecution) { u.IncludeDocument = true }),
			&v1.UpdateExecutionReply{State: &v1.ExecutionState{Status: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS, VersionNumber: 3}, Document: []byte(document)},
			`{"executionState":{"status":"IN_PROGRESS","versionNumber":3},"jobDocument":` + httpDocument + `}`},
		// As devices send it: no clientToken is known here, so that of whatever kind is passed over.
		{"POST " + path + "/fw-2026-11", `{"status":"IN_PROGRESS","expectedVersion":"3","statusDetails":{"rc":0,"ok":true},"clientToken":7,"x":[{}]}`,
			update(func(u *v1.UpdateExecution) {
				u.ExpectedVersion, u.ReplaceDetails, u.StatusDetails = 3, true, []*v1.Detail{{Name: "ok", Value: "true"}, {Name: "rc", Value: "0"}}
			}),
			&v1.UpdateExecutionReply{State: state}, `{}`},
	} {
		p.reply = c.reply
		p.expect(c.line, c.body, 200, "", c.want)
		if !proto.Equal(p.asked, c.asked) {
			t.Errorf("%s %s\n asks %v\n want %v", c.line, c.body, p.asked, c.asked)
		}
		if want := uint32(id.HomeOf(thing, homes)); p.atHome != want {
			t.Errorf("%s came to home %d, want %d", c.line, p.atHome, want)
		}
	}
}

// Names are what they are, whatever else they might mean in a path.
func TestPathsAreReadSegmentBySegment(t *testing.T) {
	p := startPlane(t)
	p.reply = &v1.DescribeExecutionReply{}
	for path, want := range map[string][2]string{
		"/things/jobs/jobs/jobs":         {"jobs", "jobs"},
		"/things/things/jobs/things":     {"things", "things"},
		"/things/a%3Ab/jobs/get":         {"a:b", "get"},
		"/things/a:b/jobs/x_%2D":         {"a:b", "x_-"},
		"/things/t/jobs/next":            {"t", "next"},
		"/things/%74/jobs/%24%6eext":     {"t", "$next"},
		"/things/jobs/jobs/%24next?x=/y": {"jobs", "$next"},
	} {
		p.expect("GET "+path, "", 200, "", `{}`)
		if d, ok := p.asked.(*v1.DescribeExecution); !ok || d.Thing != want[0] || d.JobId != want[1] {
			t.Errorf("%s asks %v", path, p.asked)
		}
	}
	p.reply = &v1.GetPendingReply{}
	p.expect("GET /things/jobs/jobs", "", 200, "", `{"inProgressJobs":[],"queuedJobs":[]}`)
}

func TestWhatCannotBeReadIsRefusedAndAsksNobody(t *testing.T) {
	const (
		offered = `this endpoint serves GET /things/{thing}/jobs, PUT /things/{thing}/jobs/$next and GET and POST /things/{thing}/jobs/{job}`
		job     = "POST /things/t/jobs/j"
	)
	p := startPlane(t)
	invalid := func(line, body, message string) {
		t.Helper()
		p.expect(line, body, 400, "InvalidRequestException", `{"message":"`+message+`"}`)
	}
	for _, line := range []string{"GET /", "GET /things", "GET /things/t", "GET /things/t/jobs/j/x", "PUT /things/t/jobs/j/cancel", "GET /thing/t/jobs", "GET /things/t/job",
		"POST /command-executions", "GET /jobs/j", "GET //things/t/jobs", "GET /iot/things/t/jobs"} {
		p.expect(line, "", 404, "UnknownOperationException", `{"message":"there is no operation here; `+offered+`"}`)
	}
	for _, line := range []string{"PUT /things/t/jobs", "POST /things/t/jobs", "DELETE /things/t/jobs/j", "PUT /things/t/jobs/j", "PATCH /things/t/jobs/$next"} {
		p.expect(line, `{}`, 405, "MethodNotAllowedException", `{"message":"this method is no operation of this path; `+offered+`"}`)
	}
	invalid("GET /things/t%2Fu/jobs", "", `thingName: \"t/u\" is no thing name: 1 to 128 of [a-zA-Z0-9:_-]`)
	invalid("GET /things//jobs", "", `thingName: \"\" is no thing name: 1 to 128 of [a-zA-Z0-9:_-]`)
	invalid("GET /things/arn:aws:iot:r:1:thing%2Fx/jobs", "", `thingName: \"arn:aws:iot:r:1:thing/x\" is no thing name: 1 to 128 of [a-zA-Z0-9:_-]`)
	invalid("GET /things/t/jobs/", "", `jobId: \"\" is no job id: 1 to 64 of [a-zA-Z0-9_-]`)
	invalid("GET /things/t/jobs/a:b", "", `jobId: \"a:b\" is no job id: 1 to 64 of [a-zA-Z0-9_-]`)
	invalid("POST /things/t/jobs/$next", `{"status":"FAILED"}`, `an update names its job; $next can only be asked for`)
	for _, v := range []string{"True", "1", "", "yes"} {
		invalid("GET /things/t/jobs/j?includeJobDocument="+v, "", `includeJobDocument: is neither true nor false`)
	}
	for _, v := range []string{"0", "-1", "1.5", "", "%22", "two", "99999999999999999999"} {
		invalid("GET /things/t/jobs/j?executionNumber="+v, "", `executionNumber: is not a whole number above 0`)
	}
	invalid("GET /things/t/jobs/j?executionNumber=%zz", "", `the query cannot be read: invalid URL escape \"%zz\"`)
	invalid(job, ``, `status: is missing: an update tells the execution's status`)
	invalid(job, `[]`, `the payload is not a JSON object`)
	invalid(job, `{"status":"FAILED"}}`, `byte 19 of the payload: something follows the object`)
	invalid(job, "{\"status\":\"\xff\"}", `the payload is not UTF-8`)
	invalid(job, `{"status":"DONE"}`, `status: is not one of IN_PROGRESS, SUCCEEDED, FAILED, REJECTED`)
	invalid(job, `{"status":"FAILED","statusDetails":{"a":null}}`, `statusDetails: \"a\" is null`)
	invalid(job, `{"status":"FAILED","includeJobExecutionState":"true"}`, `includeJobExecutionState: is neither true nor false`)
	invalid("PUT /things/t/jobs/$next", `{"stepTimeoutInMinutes":0}`, `stepTimeoutInMinutes: is neither a number of minutes (1 to 10080) nor -1`)
	if p.asked != nil {
		t.Errorf("asked: %v", p.asked)
	}
}

func TestRefusalsOverHTTP(t *testing.T) {
	p := startPlane(t)
	const line, body = "POST /things/t/jobs/j", `{"status":"FAILED"}`
	for code, want := range map[v1.RefusalCode]string{
		v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST:          `400 InvalidRequestException {"message":"status: why"}`,
		v1.RefusalCode_REFUSAL_CODE_NOT_FOUND:                `404 ResourceNotFoundException {"message":"why"}`,
		v1.RefusalCode_REFUSAL_CODE_VERSION_MISMATCH:         `409 InvalidStateTransitionException {"message":"why"}`,
		v1.RefusalCode_REFUSAL_CODE_INVALID_STATE_TRANSITION: `409 InvalidStateTransitionException {"message":"why"}`,
		v1.RefusalCode_REFUSAL_CODE_TERMINAL_STATE:           `410 TerminalStateException {"message":"why"}`,
		v1.RefusalCode_REFUSAL_CODE_THROTTLED:                `429 ThrottlingException {"message":"why","payload":"d2h5"}`,
		v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE:              `503 ServiceUnavailableException {"message":"why"}`,
		v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN:          `503 ServiceUnavailableException {"message":"why"}`,
		v1.RefusalCode_REFUSAL_CODE_INTERNAL:                 `500 InternalFailureException {"message":"why"}`,
	} {
		refusal := v1.Refuse(code, "status", "why")
		refusal.State = &v1.ExecutionState{Status: v1.ExecutionStatus_EXECUTION_STATUS_FAILED, VersionNumber: 3}
		p.err = refusal
		status, errorType, answer := p.send(line, body)
		if got := fmt.Sprint(status, " ", errorType, " ", answer); got != want {
			t.Errorf("%v: got %s, want %s", code, got, want)
		}
	}
	p.err = errors.New("the password is 1234")
	p.expect(line, body, 500, "InternalFailureException", `{"message":"internal error"}`)

	p.err = v1.ErrDropped
	p.client.Timeout = 100 * time.Millisecond
	if status, errorType, answer := p.send(line, body); status != 503 || errorType != "ServiceUnavailableException" || !strings.Contains(answer, "execution update got no answer") {
		t.Errorf("no answer: %d %s %s", status, errorType, answer)
	}
	p.client.Conn().Close()
	if status, errorType, answer := p.send(line, body); status != 503 || errorType != "ServiceUnavailableException" {
		t.Errorf("no connection: %d %s %s", status, errorType, answer)
	}
}

func TestAnUpdateIsTheCommandThatItsCallNames(t *testing.T) {
	p := startPlane(t)
	command := func(line, body, call string, reply proto.Message) string {
		p.reply = reply
		if status, _, answer := p.send(line, body, "amz-sdk-invocation-id: "+call); status != 200 {
			t.Fatalf("%s %s: %d %s", line, body, status, answer)
		}
		if p.asCmd != "" {
			if err := bus.CheckCommandID(p.asCmd); err != nil {
				t.Errorf("%s of %s: %v", line, call, err)
			}
		}
		return p.asCmd
	}
	const line, body = "POST /things/t/jobs/j", `{"status":"FAILED"}`
	reply := &v1.UpdateExecutionReply{}
	first := command(line, body, "c-1", reply)
	if again := command(line, body, "c-1", reply); first == "" || again != first {
		t.Errorf("tried again it is %q, and was %q", again, first)
	}
	for _, other := range [][3]string{
		{line, body, "c-2"}, {line, body, "é"}, {line, body, strings.Repeat("x", 65)},
		{line, `{"status":"SUCCEEDED"}`, "c-1"}, {"POST /things/t/jobs/k", body, "c-1"}, {"POST /things/u/jobs/j", body, "c-1"},
	} {
		if id := command(other[0], other[1], other[2], reply); id == first || id == "" {
			t.Errorf("%q is the command %q, as another", other, id)
		}
	}
	for _, nameless := range []struct {
		line, body, call string
		reply            proto.Message
	}{
		{line, body, "", reply},
		{"PUT /things/t/jobs/$next", "", "c-2", &v1.StartNextReply{}},
		{"GET /things/t/jobs/$next", "", "c-3", &v1.DescribeExecutionReply{}},
		{"GET /things/t/jobs", "", "c-4", &v1.GetPendingReply{}},
	} {
		if id := command(nameless.line, nameless.body, nameless.call, nameless.reply); id != "" {
			t.Errorf("%s is the command %q", nameless.line, id)
		}
	}
}
