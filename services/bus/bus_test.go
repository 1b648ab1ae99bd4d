package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/bus"
)

const (
	patience = 60 * time.Second // for what must happen; nothing is measured by it
	homes    = 5
)

// system is a hub, a server on it as the services run one, and an anonymous client.
type system struct {
	hub    *broker.Hub
	server *bus.Server
	nc     *nats.Conn
	client *bus.Client
}

func start(t *testing.T) *system {
	t.Helper()
	hub, err := broker.StartHub(broker.HubConfig{Dir: t.TempDir(), Homes: homes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	s := &system{hub: hub}
	if s.server, err = bus.NewServer(s.front(t), "test", "1.0.0"); err != nil {
		t.Fatal(err)
	}
	if s.nc, err = nats.Connect(hub.ClientURL(), nats.Timeout(patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.nc.Close)
	s.client = bus.NewClient(s.nc)
	s.client.Timeout = patience
	return s
}

func (s *system) front(t *testing.T) *nats.Conn {
	t.Helper()
	nc, err := s.hub.Dialer().ConnectFront("test", nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func code(err error) v1.RefusalCode {
	var r *v1.Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return 0
}

func TestACommandAndItsReplyInProtobufAndInJSON(t *testing.T) {
	s := start(t)
	want := &v1.CreateJob{JobId: "j1", Targets: []*v1.Target{{Target: &v1.Target_Thing{Thing: "t1"}}}, Document: []byte(`{"é":" "}`), Rollout: &v1.RolloutConfig{MaximumPerMinute: 7}}
	reply := &v1.CreateJobReply{Position: id.JobLog.Position(7, 2), Job: id.Number(7, 2)}
	var got bus.Request
	must(t, bus.Serve(s.server, bus.CreateJob, func(_ context.Context, r bus.Request, c *v1.CreateJob) (*v1.CreateJobReply, error) {
		got = r
		if !proto.Equal(c, want) {
			t.Errorf("got %v, want %v", c, want)
		}
		return reply, nil
	}))
	r, err := bus.CreateJob.Call(context.Background(), s.client, want, bus.WithCommandID("cmd-1"))
	if err != nil || !proto.Equal(r, reply) {
		t.Fatalf("%v, %v", r, err)
	}
	if got.CommandID != "cmd-1" || got.Subject != "drover.cmd.job.create" {
		t.Errorf("request %+v", got)
	}
	text, err := protojson.Marshal(want)
	must(t, err)
	m, err := s.nc.RequestMsg(&nats.Msg{Subject: "drover.cmd.job.create", Data: text, Header: nats.Header{"Content-Type": {"application/json"}}}, patience)
	must(t, err)
	r = &v1.CreateJobReply{}
	if err := protojson.Unmarshal(m.Data, r); err != nil || !proto.Equal(r, reply) {
		t.Errorf("%s: %v", m.Data, err)
	}
}

func TestEveryRefusalArrivesWithItsCodeFieldAndState(t *testing.T) {
	s := start(t)
	var refusal error
	must(t, bus.Serve(s.server, bus.CancelJob, func(context.Context, bus.Request, *v1.CancelJob) (*v1.CancelJobReply, error) { return nil, refusal }))
	for n := range v1.RefusalCode_name {
		if n == 0 {
			continue
		}
		want := v1.Refuse(v1.RefusalCode(n), "jobId", "no, for reason %d", n)
		want.State = &v1.ExecutionState{Status: v1.ExecutionStatus_EXECUTION_STATUS_FAILED, VersionNumber: 3}
		refusal = fmt.Errorf("wrapped: %w", want)
		_, err := bus.CancelJob.Call(context.Background(), s.client, &v1.CancelJob{JobId: "j"})
		var got *v1.Refusal
		if !errors.As(err, &got) || !proto.Equal(got, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		m, err := s.nc.RequestMsg(&nats.Msg{Subject: "drover.cmd.job.cancel", Data: []byte("{}"), Header: nats.Header{"Content-Type": {"application/json"}}}, patience)
		must(t, err)
		got = &v1.Refusal{}
		if err := protojson.Unmarshal(m.Data, got); err != nil || !proto.Equal(got, want) || m.Header.Get(micro.ErrorCodeHeader) != strings.TrimPrefix(want.Code.String(), "REFUSAL_CODE_") {
			t.Errorf("JSON: %s, %v, %v", m.Data, m.Header, err)
		}
	}
	refusal = errors.New("the password of the database is 1234")
	_, err := bus.CancelJob.Call(context.Background(), s.client, &v1.CancelJob{JobId: "j"})
	if code(err) != v1.RefusalCode_REFUSAL_CODE_INTERNAL || strings.Contains(err.Error(), "1234") {
		t.Errorf("an error that is no refusal: %v", err)
	}
}

func TestNobodyThereIsUnavailableAndNoAnswerIsUnknown(t *testing.T) {
	s := start(t)
	if _, err := bus.CreateJob.Call(context.Background(), s.client, &v1.CreateJob{}); code(err) != v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE {
		t.Errorf("nobody serves it: %v", err)
	}
	silent := make(chan struct{})
	defer close(silent)
	must(t, bus.Serve(s.server, bus.CreateJob, func(context.Context, bus.Request, *v1.CreateJob) (*v1.CreateJobReply, error) {
		<-silent
		return nil, errors.New("late")
	}))
	must(t, bus.Serve(s.server, bus.ListJobs, func(context.Context, bus.Request, *v1.ListJobs) (*v1.ListJobsReply, error) {
		<-silent
		return nil, errors.New("late")
	}))
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := bus.CreateJob.Call(ctx, s.client, &v1.CreateJob{}); code(err) != v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN {
		t.Errorf("a command without an answer: %v", err)
	}
	if _, err := bus.ListJobs.Call(ctx, s.client, &v1.ListJobs{}); code(err) != v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE {
		t.Errorf("a query without an answer: %v", err)
	}
	s.nc.Close()
	if _, err := bus.CreateJob.Call(context.Background(), s.client, &v1.CreateJob{}); code(err) != v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE {
		t.Errorf("a closed connection: %v", err)
	}
}

func TestWhatIsNoRequestIsRefusedBeforeTheHandler(t *testing.T) {
	s := start(t)
	must(t, bus.Serve(s.server, bus.CreateJob, func(_ context.Context, _ bus.Request, c *v1.CreateJob) (*v1.CreateJobReply, error) {
		t.Errorf("handled: %v", c)
		return nil, errors.New("handled")
	}))
	unknown := append([]byte(nil), 0xa2, 0x06, 1, 'x') // field 100
	deep := `{"targets":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}"
	deepUnknown := `{"x":` + strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000) + "}"
	for name, c := range map[string]struct {
		json bool
		data string
	}{
		"bytes that are no protobuf":        {false, "\xff\xff\xff"},
		"a field that is not known":         {false, string(unknown)},
		"such a field further in":           {false, "\x32" + string([]byte{byte(len(unknown))}) + string(unknown)},
		"over the limit":                    {false, "\x2a" + string([]byte{0x81, 0x80, 0x08}) + strings.Repeat("x", 128<<10+1)},
		"JSON over the limit":               {true, `{"description":"` + strings.Repeat("x", 128<<10) + `"}`},
		"no JSON":                           {true, `{`},
		"JSON of another kind":              {true, `[]`},
		"a JSON field that is not known":    {true, `{"nope":1}`},
		"a JSON field of another kind":      {true, `{"jobId":7}`},
		"an enum that is not known":         {true, `{"targetSelection":"SOMETIMES"}`},
		"JSON nested 10,000 deep":           {true, deep},
		"JSON nested deep, field not known": {true, deepUnknown},
		"a key twice":                       {true, `{"jobId":"a","jobId":"b"}`},
	} {
		m := &nats.Msg{Subject: "drover.cmd.job.create", Data: []byte(c.data), Header: nats.Header{}}
		if c.json {
			m.Header.Set("Content-Type", "application/json")
		}
		began := time.Now()
		resp, err := s.nc.RequestMsg(m, patience)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := resp.Header.Get(micro.ErrorCodeHeader); got != "INVALID_REQUEST" {
			t.Errorf("%s: %q: %s", name, got, resp.Header.Get(micro.ErrorHeader))
		}
		if took := time.Since(began); took > patience/2 {
			t.Errorf("%s: took %v", name, took)
		}
	}
	_, err := bus.CreateJob.Call(context.Background(), s.client, &v1.CreateJob{Document: make([]byte, 128<<10)})
	if code(err) != v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST {
		t.Errorf("over the limit, refused by the client: %v", err)
	}
}

func TestACommandForAThingReachesItsHome(t *testing.T) {
	s := start(t)
	var mu sync.Mutex
	home := map[string]uint32{}
	for h := range uint32(homes) {
		server, err := bus.NewServer(s.front(t), "execution", "1.0.0")
		must(t, err)
		must(t, bus.ServeHome(server, bus.CancelExecution, h, func(_ context.Context, _ bus.Request, c *v1.CancelExecution) (*v1.CancelExecutionReply, error) {
			mu.Lock()
			defer mu.Unlock()
			home[c.Thing] = h
			return &v1.CancelExecutionReply{Position: id.ExecutionLog(id.Home(h)).Position(1, 0)}, nil
		}))
	}
	for i := range 50 {
		thing := fmt.Sprintf("thing:%d", i)
		r, err := bus.CancelExecution.Call(context.Background(), s.client, &v1.CancelExecution{Thing: thing, JobId: "j"})
		if want := uint32(id.HomeOf(thing, homes)); err != nil || r.Position.GetHome() != want || home[thing] != want {
			t.Fatalf("%s: home %d, want %d: %v", thing, home[thing], want, err)
		}
		arn := "arn:aws:iot:eu-west-1:123456789012:thing/" + thing
		r, err = bus.CancelExecution.Call(context.Background(), s.client, &v1.CancelExecution{Thing: arn, JobId: "j"})
		if want := uint32(id.HomeOf(thing, homes)); err != nil || r.Position.GetHome() != want {
			t.Fatalf("%s: home %d, want %d: %v", arn, r.GetPosition().GetHome(), want, err)
		}
	}
	for _, thing := range []string{"", "a.b", "*", ">", "a b", "a\nb", "a*", "x>", strings.Repeat("x", 10)} {
		_, err := bus.CancelExecution.Call(context.Background(), s.client, &v1.CancelExecution{Thing: thing, JobId: "j"})
		var refusal *v1.Refusal
		if ok := thing == strings.Repeat("x", 10); ok != (err == nil) {
			t.Errorf("thing %q: %v", thing, err)
		} else if !ok && (!errors.As(err, &refusal) || refusal.Code != v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST || refusal.Field != "thingName" || !strings.Contains(refusal.Message, "allowed")) {
			t.Errorf("thing %q: %v", thing, err)
		}
	}
	// The subject chose the home; a request that names another thing is refused. By hand a client reaches no home.
	data, err := proto.Marshal(&v1.CancelExecution{Thing: "thing:1", JobId: "j"})
	must(t, err)
	m, err := s.nc.Request("drover.cmd.execution.cancel.thing:2", data, patience)
	must(t, err)
	if got := m.Header.Get(micro.ErrorCodeHeader); got != "INVALID_REQUEST" {
		t.Errorf("another thing inside: %q", got)
	}
	if _, err := s.nc.Request("drover.home.0.cmd.cancel.thing:1", data, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("a home by hand: %v", err)
	}
}

func TestTooManyRequestsAtOnceAreThrottled(t *testing.T) {
	s := start(t)
	go_ := make(chan struct{})
	must(t, bus.Serve(s.server, bus.ListJobs, func(context.Context, bus.Request, *v1.ListJobs) (*v1.ListJobsReply, error) {
		<-go_
		return &v1.ListJobsReply{}, nil
	}))
	const calls = 1100
	codes := make(chan v1.RefusalCode, calls)
	for range calls {
		go func() {
			_, err := bus.ListJobs.Call(context.Background(), s.client, &v1.ListJobs{})
			codes <- code(err)
		}()
	}
	for range calls - 1024 {
		if got := <-codes; got != v1.RefusalCode_REFUSAL_CODE_THROTTLED {
			t.Fatalf("got %v", got)
		}
	}
	close(go_)
	for range 1024 {
		if got := <-codes; got != 0 {
			t.Fatalf("got %v", got)
		}
	}
}
