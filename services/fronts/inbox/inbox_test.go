package inbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/inbox"
)

const patience = 60 * time.Second

// system is a hub with the streams of durable commands, a publisher, and services that remember by command id, as hosts do.
type system struct {
	t      testing.TB
	hub    *broker.Hub
	client *nats.Conn // an integrator
	asks   *bus.Client
}

func start(t testing.TB, l inbox.Limits) *system {
	t.Helper()
	hub, err := broker.StartHub(broker.HubConfig{Dir: t.TempDir(), Homes: 2})
	must(t, err)
	t.Cleanup(hub.Close)
	s := &system{t: t, hub: hub}
	must(t, inbox.CreateStreams(context.Background(), s.connect(hub.Dialer().ConnectInbox), s.connect(hub.Dialer().Connect), l))
	s.client, err = nats.Connect(hub.ClientURL(), nats.Timeout(patience))
	must(t, err)
	t.Cleanup(s.client.Close)
	s.asks = bus.NewClient(s.client)
	return s
}

func (s *system) connect(as func(string, ...nats.Option) (*nats.Conn, error)) *nats.Conn {
	s.t.Helper()
	nc, err := as("test", nats.Timeout(patience))
	must(s.t, err)
	s.t.Cleanup(nc.Close)
	return nc
}

// process is one inbox process.
type process struct {
	*inbox.Inbox
	conns []*nats.Conn
	ended chan error
}

// inbox starts one.
func (s *system) inbox() *process {
	s.t.Helper()
	own, logs, front := s.connect(s.hub.Dialer().ConnectInbox), s.connect(s.hub.Dialer().Connect), s.connect(s.hub.Dialer().ConnectFront)
	i, err := inbox.New(context.Background(), inbox.Config{Inbox: own, Service: logs, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	must(s.t, err)
	i.Hasten()
	server, err := bus.NewServer(front, "inbox", "1.0.0")
	must(s.t, err)
	must(s.t, i.Serve(server))
	p := &process{Inbox: i, conns: []*nats.Conn{own, logs, front}, ended: make(chan error, 1)}
	go func() { p.ended <- i.Run(context.Background()) }()
	s.t.Cleanup(p.stop)
	return p
}

func (p *process) stop() { _ = p.Close() }

// die takes the connections away, as a dead process does: what is in hand is never acknowledged.
func (p *process) die() {
	for _, nc := range p.conns {
		nc.Close()
	}
}

// publish publishes a durable command, and says which place in the stream was acknowledged.
func (s *system) publish(subject string, data []byte, header nats.Header) (seq uint64, err error) {
	s.t.Helper()
	m, err := s.client.RequestMsg(&nats.Msg{Subject: subject, Data: data, Header: header}, patience)
	if err != nil {
		return 0, err
	}
	var ack struct {
		Seq   uint64
		Error *js.APIError
	}
	must(s.t, json.Unmarshal(m.Data, &ack))
	if ack.Error != nil {
		return 0, ack.Error
	}
	return ack.Seq, nil
}

func (s *system) send(op string, m proto.Message, cid string) {
	s.t.Helper()
	data, err := proto.Marshal(m)
	must(s.t, err)
	h := nats.Header{}
	if cid != "" {
		h.Set("Drover-Command-Id", cid)
	}
	_, err = s.publish("drover.inbox."+op, data, h)
	must(s.t, err)
}

func (s *system) outcome(cid string) (*v1.Outcome, error) {
	return bus.GetOutcome.Call(context.Background(), s.asks, &v1.GetOutcome{CommandId: cid})
}

func (s *system) awaitOutcome(cid string) (o *v1.Outcome) {
	s.t.Helper()
	eventually(s.t, "the outcome of "+cid, func() bool {
		var err error
		o, err = s.outcome(cid)
		return err == nil
	})
	return o
}

func (s *system) poison() []*v1.PoisonMessage {
	s.t.Helper()
	var all []*v1.PoisonMessage
	for token := ""; ; {
		r, err := bus.ListPoison.Call(context.Background(), s.asks, &v1.ListPoison{Page: &v1.Page{Token: token, Limit: 2}})
		must(s.t, err)
		all = append(all, r.GetMessages()...)
		if token = r.GetNextToken(); token == "" {
			return all
		}
	}
}

// awaitPoison waits until there are n poisoned commands and nothing waits.
func (s *system) awaitPoison(i *process, n int) []*v1.PoisonMessage {
	s.t.Helper()
	s.awaitEmpty(i)
	list := s.poison()
	if len(list) != n {
		s.t.Fatalf("%d in the poison queue, want %d: %v", len(list), n, list)
	}
	return list
}

func (s *system) awaitEmpty(i *process) {
	s.t.Helper()
	eventually(s.t, "the inbox is empty", func() bool {
		stats, err := i.Stats(context.Background())
		return err == nil && stats.Waiting == 0
	})
}

// decider stands for the services: it decides a command once by its id, as a host does, and keeps the order.
type decider struct {
	t       testing.TB
	front   *nats.Conn
	server  *bus.Server
	refuses func(op string, q proto.Message) error // nil: everything is accepted

	mu     sync.Mutex // guards what follows
	byID   map[string]bool
	took   []string // what took effect, in order
	called int
}

func (s *system) decider() *decider {
	s.t.Helper()
	d := &decider{t: s.t, byID: map[string]bool{}}
	d.serve(s)
	return d
}

// serve starts to answer; stop ends it. What was decided is remembered.
func (d *decider) serve(s *system) {
	s.t.Helper()
	d.front = s.connect(s.hub.Dialer().ConnectFront)
	var err error
	d.server, err = bus.NewServer(d.front, "test", "1.0.0")
	must(s.t, err)
	must(s.t, errors.Join(
		bus.Serve(d.server, bus.CreateThings, func(_ context.Context, r bus.Request, q *v1.CreateThings) (*v1.CreateThingsReply, error) {
			return &v1.CreateThingsReply{Position: id.TargetingLog.Position(7, 0)}, d.decide("targeting", r, q, q.GetThings()[0].GetName())
		}),
		bus.Serve(d.server, bus.CancelJob, func(_ context.Context, r bus.Request, q *v1.CancelJob) (*v1.CancelJobReply, error) {
			return &v1.CancelJobReply{Position: id.JobLog.Position(7, 2)}, d.decide("job", r, q, q.GetJobId())
		}),
		bus.ServeHome(d.server, bus.CancelExecution, 1, func(_ context.Context, r bus.Request, q *v1.CancelExecution) (*v1.CancelExecutionReply, error) {
			return &v1.CancelExecutionReply{}, d.decide("execution", r, q, q.GetThing())
		}),
	))
}

func (d *decider) decide(service string, r bus.Request, q proto.Message, what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.called++
	if d.byID[r.CommandID] {
		return nil
	}
	if d.refuses != nil {
		if err := d.refuses(service, q); err != nil {
			return err
		}
	}
	d.byID[r.CommandID] = true
	d.took = append(d.took, service+" "+what)
	return nil
}

func (d *decider) effects() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.took)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come about in %v: %s", patience, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func code(err error) v1.RefusalCode {
	var r *v1.Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return 0
}

func cancel(n int) *v1.CancelJob { return &v1.CancelJob{JobId: fmt.Sprintf("j%04d", n)} }

func things(name string) *v1.CreateThings {
	return &v1.CreateThings{Things: []*v1.NewThing{{Name: name}}}
}

// 1,000 durable commands, with services that only remember: the one with the real ones is in services/cli.
func TestWhatWasPublishedWhileTheServicesWereDownTakesEffectOnceEach(t *testing.T) {
	t.Parallel()
	s := start(t, inbox.Limits{})
	const commands = 400
	var want []string
	for n := range commands {
		switch {
		case n%150 == 7: // three of them
			_, err := s.publish("drover.inbox.job.cancel", []byte("not protobuf"), nats.Header{"Drover-Command-Id": {fmt.Sprint("bad-", n)}})
			must(t, err)
		default:
			s.send("job.cancel", cancel(n), fmt.Sprint("c-", n))
			want = append(want, fmt.Sprintf("job j%04d", n))
		}
		if n%10 == 0 {
			s.send("job.cancel", cancel(n), fmt.Sprint("c-", n))
		}
	}
	d := s.decider()
	// Three at once, and one that dies and comes back.
	last, other := s.inbox(), s.inbox()
	dying := s.inbox()
	for _, at := range []int{50, 100, 250} {
		eventually(t, fmt.Sprintf("%d have taken effect", at), func() bool { return len(d.effects()) >= at })
		dying.die()
		dying = s.inbox()
	}
	poison := s.awaitPoison(last, 3)
	for _, m := range poison {
		if m.GetSubject() != "drover.inbox.job.cancel" || !strings.HasPrefix(m.GetCommandId(), "bad-") || !strings.Contains(m.GetReason(), "not the protobuf of a CancelJob") || string(m.GetData()) != "not protobuf" || m.GetAtMs() == 0 {
			t.Errorf("%v", m)
		}
	}
	if got := d.effects(); !slices.Equal(got, want) {
		t.Errorf("%d took effect, want %d, in order; first difference at %d", len(got), len(want), firstDifference(got, want))
	}
	other.stop()
	if err := <-other.ended; err != nil {
		t.Error(err)
	}
	o := s.awaitOutcome("c-10")
	if o.GetRefusal() != nil || o.GetOperation() != "job cancel" || !strings.Contains(o.GetReplyJson(), `"position"`) {
		t.Errorf("%v", o)
	}
	if o := s.awaitOutcome("bad-157"); o.GetRefusal().GetCode() != v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST || !strings.Contains(o.GetRefusal().GetMessage(), "poison queue as number 2") {
		t.Errorf("%v", o)
	}
}

func firstDifference(a, b []string) int {
	for n := range min(len(a), len(b)) {
		if a[n] != b[n] {
			return n
		}
	}
	return min(len(a), len(b))
}

// Over NATS the case of a header counts; a command id in another case is one all the same.
func TestACommandIDIsFoundInAnyCase(t *testing.T) {
	s := start(t, inbox.Limits{})
	d := s.decider()
	data, err := proto.Marshal(cancel(1))
	must(t, err)
	for _, name := range []string{"drover-command-id", "Drover-Command-ID"} {
		_, err = s.publish("drover.inbox.job.cancel", data, nats.Header{name: {"c-1"}})
		must(t, err)
	}
	s.awaitEmpty(s.inbox())
	if got := d.effects(); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

func TestARefusalIsAnOutcome(t *testing.T) {
	s := start(t, inbox.Limits{})
	d := s.decider()
	refusal := v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "jobId", "no such job")
	d.refuses = func(string, proto.Message) error { return refusal }
	i := s.inbox()
	heard, err := s.client.SubscribeSync("drover.outcome.no%2Eone")
	must(t, err)
	text, err := protojson.Marshal(cancel(1))
	must(t, err)
	_, err = s.publish("drover.inbox.job.cancel", text, nats.Header{"Drover-Command-Id": {"no.one"}, "Content-Type": {"application/json"}})
	must(t, err)
	o := s.awaitOutcome("no.one")
	if !proto.Equal(o.GetRefusal(), refusal) || o.GetCommandId() != "no.one" || o.GetReplyJson() != "" || o.GetAtMs() == 0 {
		t.Errorf("%v", o)
	}
	m, err := heard.NextMsg(patience)
	must(t, err)
	told := new(v1.Outcome)
	if err := protojson.Unmarshal(m.Data, told); err != nil || !proto.Equal(told, o) {
		t.Errorf("a JSON command's outcome is told as %s (%v), want %v", m.Data, err, o)
	}
	if len(s.poison()) != 0 {
		t.Error("a refusal went to the poison queue")
	}
	eventually(t, "one is counted as refused", func() bool {
		stats, err := i.Stats(context.Background())
		return err == nil && stats.Refused == 1 && stats.Accepted == 0
	})
	if _, err := s.outcome("nothing"); code(err) != v1.RefusalCode_REFUSAL_CODE_NOT_FOUND {
		t.Errorf("%v", err)
	}
}

// An outage of one service holds its line, in order, and no other's; then everything goes on by itself.
func TestAnOutageHoldsItsLineAndNoOther(t *testing.T) {
	t.Parallel()
	s := start(t, inbox.Limits{})
	d := s.decider()
	var down sync.Map
	down.Store("job", v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE)
	d.refuses = func(service string, _ proto.Message) error {
		if c, is := down.Load(service); is {
			return v1.Refuse(c.(v1.RefusalCode), "", "away")
		}
		return nil
	}
	i := s.inbox()
	var want []string
	for n := range 20 {
		s.send("job.cancel", cancel(n), "")
		want = append(want, fmt.Sprintf("job j%04d", n))
	}
	s.send("targeting.create-things", things("press-1"), "t1")
	s.awaitOutcome("t1")
	if got := d.effects(); !slices.Equal(got, []string{"targeting press-1"}) {
		t.Fatalf("%v", got)
	}
	down.Store("job", v1.RefusalCode_REFUSAL_CODE_THROTTLED)
	eventually(t, "it is tried again", func() bool {
		stats, err := i.Stats(context.Background())
		return err == nil && stats.Retried >= 3
	})
	down.Delete("job")
	s.awaitEmpty(i)
	if got := d.effects()[1:]; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	eventually(t, "all are counted as accepted", func() bool {
		stats, err := i.Stats(context.Background())
		return err == nil && stats.SetAside == 0 && stats.Poison == 0 && stats.Accepted == 21
	})
}

// Two homes, of which only home 1 answers: what is for home 0 steps aside at once, and is carried out when home 0 is there.
func TestACommandForAHomeThatIsAwayStepsAside(t *testing.T) {
	t.Parallel()
	s := start(t, inbox.Limits{})
	d := s.decider()
	away, there := "", ""
	for n := 0; away == "" || there == ""; n++ {
		name := fmt.Sprint("press-", n)
		if id.HomeOf(name, 2) == 0 {
			away = name
		} else {
			there = name
		}
	}
	i := s.inbox()
	s.send("execution.cancel", &v1.CancelExecution{Thing: away}, "away")
	s.send("execution.cancel", &v1.CancelExecution{Thing: there}, "there")
	s.awaitOutcome("there")
	streams, err := js.New(s.connect(s.hub.Dialer().ConnectInbox))
	must(t, err)
	stream, err := streams.Stream(context.Background(), "inbox")
	must(t, err)
	if m, err := stream.GetLastMsgForSubject(context.Background(), "drover.inbox.aside.execution.cancel"); err != nil || m.Header.Get("Drover-Attempts") != "1" {
		t.Errorf("set aside as %v (%v), want after one attempt", m, err)
	}
	eventually(t, "one waits, aside", func() bool {
		stats, err := i.Stats(context.Background())
		return err == nil && stats.SetAside == 1 && stats.Waiting == 1
	})
	must(t, bus.ServeHome(d.server, bus.CancelExecution, 0, func(_ context.Context, r bus.Request, q *v1.CancelExecution) (*v1.CancelExecutionReply, error) {
		return &v1.CancelExecutionReply{}, d.decide("execution", r, q, q.GetThing())
	}))
	s.awaitOutcome("away")
	s.awaitEmpty(i)
	if got := d.effects(); !slices.Equal(got, []string{"execution " + there, "execution " + away}) {
		t.Errorf("%v", got)
	}
}

// A command whose outcome stays unknown does not hold up its line for ever, and a fault of ours ends in the poison queue.
func TestWhatIsWrongWithOneCommandHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	s := start(t, inbox.Limits{})
	d := s.decider()
	var mended sync.Map
	d.refuses = func(_ string, q proto.Message) error {
		if _, is := mended.Load("all"); is {
			return nil
		}
		switch q.(*v1.CancelJob).GetJobId() {
		case "j0001":
			return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN, "", "who knows")
		case "j0002":
			return errors.New("a bug")
		}
		return nil
	}
	i := s.inbox()
	for n := range 4 {
		s.send("job.cancel", cancel(n), fmt.Sprint("c-", n))
	}
	s.awaitOutcome("c-3")
	list := s.poison()
	if len(list) != 1 || list[0].GetCommandId() != "c-2" || !strings.Contains(list[0].GetReason(), "a fault of Drover's own, met 3 times") {
		t.Fatalf("%v", list)
	}
	if o := s.awaitOutcome("c-2"); o.GetRefusal().GetCode() != v1.RefusalCode_REFUSAL_CODE_INTERNAL {
		t.Errorf("%v", o)
	}
	mended.Store("all", true)
	if r, err := bus.RetryPoison.Call(context.Background(), s.asks, &v1.RetryPoison{All: true}); err != nil || r.GetRetried() != 1 {
		t.Errorf("%v %v", r, err)
	}
	s.awaitOutcome("c-1")
	s.awaitPoison(i, 0)
	got := d.effects()
	slices.Sort(got)
	if !slices.Equal(got, []string{"job j0000", "job j0001", "job j0002", "job j0003"}) {
		t.Errorf("%v", got)
	}
	if o := s.awaitOutcome("c-2"); o.GetRefusal() != nil {
		t.Errorf("%v", o)
	}
}

func TestWhatCannotBeReadIsPoisonWithItsReason(t *testing.T) {
	s := start(t, inbox.Limits{})
	d := s.decider()
	good, err := proto.Marshal(cancel(1))
	must(t, err)
	group, err := proto.Marshal(&v1.CreateGroup{Group: "g", Parent: "p", Description: "d"})
	must(t, err)
	cases := []struct {
		op     string
		data   string
		header nats.Header
		reason string
	}{
		{"job.cancel", "", nil, "the body of a job cancel is empty"},
		{"job.cancel", "", nats.Header{"Content-Type": {"application/json"}}, "not the JSON of a CancelJob"},
		{"job.cancel", `{"jobId":"j1","forse":true}`, nats.Header{"Content-Type": {"application/json"}}, `unknown field "forse"`},
		{"job.cancel", strings.Repeat("[", 100_000), nats.Header{"Content-Type": {"application/json"}}, "not the JSON of a CancelJob"},
		{"job.cancel", string(group), nil, "CancelJob"},
		{"job.create", string(group), nil, "CreateJob"},
		{"job.nothing", string(good), nil, "job.nothing is no durable command"},
		{"nothing.create", string(good), nil, "nothing.create is no durable command"},
		{"execution.update", string(good), nil, "execution.update is no durable command"},
		{"targeting.check-targets", string(good), nil, "is no durable command"},
		{"inbox.retry", string(good), nil, "is no durable command"},
		{"jobs.list", string(good), nil, "is no durable command"},
		{"aside.job", string(good), nil, "aside.job is no durable command"},
		{"job.cancel", string(good), nats.Header{"Drover-Command-Id": {"a", "b"}}, "stands there 2 times"},
		{"job.cancel", string(good), nats.Header{"Content-Type": {"application/json", "application/x-protobuf"}}, "stands there 2 times"},
		{"job.cancel", string(good), nats.Header{"Drover-Command-Id": {"a"}, "drover-command-id": {"b"}}, "stands there 2 times"},
		{"job.cancel", string(good), nats.Header{"Drover-Command-Id": {""}}, "it has 0 characters"},
		{"job.cancel", string(good), nats.Header{"Drover-Command-Id": {strings.Repeat("x", 65)}}, "it has 65 characters"},
		{"job.cancel", string(good), nats.Header{"Drover-Command-Id": {"é"}}, "it holds the byte"},
		{"job.cancel", strings.Repeat("x", bus.CommandMax+1), nil, "at most 131072 are allowed"},
	}
	for _, c := range cases {
		_, err := s.publish("drover.inbox."+c.op, []byte(c.data), c.header)
		must(t, err)
	}
	i := s.inbox()
	s.awaitEmpty(i)
	list := s.awaitPoison(i, len(cases))
	for n, c := range cases {
		// Lanes go side by side: what one service got keeps its order.
		at := slices.IndexFunc(list, func(m *v1.PoisonMessage) bool {
			return m.GetSubject() == "drover.inbox."+c.op && strings.Contains(m.GetReason(), c.reason) && string(m.GetData()) == c.data
		})
		if at < 0 {
			t.Errorf("case %d, %s: no poison with %q\n%v", n, c.op, c.reason, reasons(list))
			continue
		}
		list = slices.Delete(list, at, at+1)
	}
	if got := d.effects(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func reasons(list []*v1.PoisonMessage) string {
	var out strings.Builder
	for _, m := range list {
		fmt.Fprintf(&out, "%s: %s\n", m.GetSubject(), m.GetReason())
	}
	return out.String()
}

// What the stream does not take is refused while the publisher looks.
func TestWhatTheStreamDoesNotTakeIsRefusedAtOnce(t *testing.T) {
	s := start(t, inbox.Limits{Inbox: 1 << 20})
	for subject, size := range map[string]int{"drover.inbox.job.cancel": 900_000, "drover.inbox.job.create": bus.CommandMax + 17<<10} {
		if _, err := s.publish(subject, make([]byte, size), nil); err == nil || !strings.Contains(err.Error(), "message size exceeds maximum") {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	for _, subject := range []string{"drover.inbox.job", "drover.inbox.job.create.now", "drover.inbox.a.b.c.d"} {
		if _, err := s.publish(subject, []byte("x"), nil); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s: %v", subject, err)
		}
	}
	var full error
	for n := 0; n < 100 && full == nil; n++ {
		_, full = s.publish("drover.inbox.job.cancel", make([]byte, 100_000), nil)
	}
	if full == nil || !strings.Contains(full.Error(), "maximum bytes exceeded") {
		t.Errorf("a full inbox: %v", full)
	}
}

// Whatever can be published to a subject of the inbox, also with characters that mean something in subjects, comes out.
func TestOddSubjectsAndHeadersHoldUpNothing(t *testing.T) {
	s := start(t, inbox.Limits{})
	d := s.decider()
	i := s.inbox()
	good, err := proto.Marshal(cancel(1))
	must(t, err)
	kept := 0
	for _, subject := range []string{"drover.inbox.job.*", "drover.inbox.*.*", "drover.inbox.*.create", "drover.inbox.job.>", "drover.inbox.é.%", "drover.inbox.$JS.API", "drover.inbox.aside.x"} {
		if seq, err := s.publish(subject, good, nil); err == nil && seq > 0 {
			kept++
			t.Logf("%s was kept", subject)
		}
	}
	list := s.awaitPoison(i, kept)
	for _, m := range list {
		if !strings.Contains(m.GetReason(), "is no durable command") {
			t.Errorf("%v", m)
		}
	}
	// Two values of a header that is not ours, and headers that instruct streams, are nothing to us.
	_, err = s.publish("drover.inbox.job.cancel", good, nats.Header{
		"Drover-Command-Id": {"fine"}, "X": {"1", "2"}, "Nats-Expected-Stream": {"inbox"}, "Drover-Origin": {"a", "b"}, "Drover-Attempts": {"77"}, "correlation_id": {"z"},
	})
	must(t, err)
	if o := s.awaitOutcome("fine"); o.GetRefusal() != nil {
		t.Errorf("%v", o)
	}
	_, err = s.publish("drover.inbox.job.nothing", good, nats.Header{"Nats-Expected-Stream": {"inbox"}, "X": {"1", "2"}, "Drover-Reason": {"because"}})
	must(t, err)
	list = s.awaitPoison(i, kept+1)
	if m := list[kept]; !strings.Contains(m.GetReason(), "job.nothing is no durable command") {
		t.Errorf("%v", m)
	}
	if got := d.effects(); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

// A plain publish is kept too; it has no id, so its outcome is found under the one that it got.
func TestWithoutAnIDTheStreamGivesOne(t *testing.T) {
	s := start(t, inbox.Limits{})
	d := s.decider()
	heard, err := s.client.SubscribeSync("drover.outcome.*")
	must(t, err)
	data, err := proto.Marshal(cancel(1))
	must(t, err)
	must(t, s.client.Publish("drover.inbox.job.cancel", data))
	must(t, s.client.Publish("drover.inbox.job.cancel", data))
	i := s.inbox()
	var ids []string
	for range 2 {
		m, err := heard.NextMsg(patience)
		must(t, err)
		o, err := bus.ParseOutcome(m.Header, m.Data)
		must(t, err)
		ids = append(ids, o.GetCommandId())
		if m.Subject != "drover.outcome."+o.GetCommandId() || !strings.HasPrefix(o.GetCommandId(), "inbox-") || bus.CheckCommandID(o.GetCommandId()) != nil {
			t.Errorf("%s: %v", m.Subject, o)
		}
	}
	s.awaitEmpty(i)
	if ids[0] == ids[1] || len(d.effects()) != 2 {
		t.Errorf("two commands, %v, took effect as %v", ids, d.effects())
	}
}

// A refusal that was told is not decided again when the process died before the acknowledgement.
func TestARefusalThatWasToldStays(t *testing.T) {
	s := start(t, inbox.Limits{})
	d := s.decider()
	refuse := true
	d.refuses = func(string, proto.Message) error {
		if refuse {
			return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "jobId", "no such job")
		}
		return nil
	}
	own := s.connect(s.hub.Dialer().ConnectInbox)
	stream, err := js.New(own)
	must(t, err)
	ctx := context.Background()
	s.send("job.cancel", cancel(1), "c-1")
	first := s.inbox()
	s.awaitOutcome("c-1")
	s.awaitEmpty(first)
	first.stop()

	// Published again with the same id it would be decided again, and be accepted; but the process that takes it (this test)
	// refuses it, tells so, and dies.
	d.mu.Lock()
	refuse = false
	d.mu.Unlock()
	s.send("job.cancel", cancel(1), "c-1")
	c, err := stream.Consumer(ctx, "inbox", "lane-4")
	must(t, err)
	batch, err := c.Fetch(1)
	must(t, err)
	taken := <-batch.Messages()
	if taken == nil {
		t.Fatal("nothing was delivered")
	}
	meta, err := taken.Metadata()
	must(t, err)
	info, err := stream.Stream(ctx, "inbox")
	must(t, err)
	logs, err := js.New(s.connect(s.hub.Dialer().Connect))
	must(t, err)
	told, err := proto.Marshal(&v1.Outcome{CommandId: "c-1", Refusal: v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "", "told")})
	must(t, err)
	_, err = logs.PublishMsg(ctx, &nats.Msg{Subject: "drover.outcome.c-1", Data: told, Header: nats.Header{
		"Drover-Origin": {inbox.Origin(info.CachedInfo().Created, meta.Sequence.Stream)},
	}})
	must(t, err)
	must(t, taken.Nak())
	second := s.inbox()
	s.awaitEmpty(second)
	if o := s.awaitOutcome("c-1"); o.GetRefusal().GetMessage() != "told" {
		t.Errorf("%v", o)
	}
	if got := d.effects(); len(got) != 0 {
		t.Errorf("what was refused took effect: %v", got)
	}
}

// A process that dies behind the poison queue leaves the command to be delivered again, and to be put there again.
func TestACommandIsInThePoisonQueueOnce(t *testing.T) {
	s := start(t, inbox.Limits{})
	i := s.inbox()
	ctx := context.Background()
	for range 2 {
		must(t, i.PutPoison(ctx, "born-7", nats.Header{"Drover-Command-Id": {"c-1"}, "Nats-Expected-Last-Sequence": {"0"}}))
	}
	must(t, i.PutPoison(ctx, "born-8", nats.Header{"Nats-Msg-Id": {"born-7"}}))
	list := s.awaitPoison(i, 2)
	if list[0].GetCommandId() != "c-1" || list[1].GetCommandId() != "inbox-born-8" {
		t.Errorf("%v", list)
	}
	if o := s.awaitOutcome("c-1"); !strings.Contains(o.GetRefusal().GetMessage(), "as number 1") {
		t.Errorf("%v", o)
	}
}

func TestPoisonIsRetriedAndDropped(t *testing.T) {
	s := start(t, inbox.Limits{})
	i := s.inbox()
	for n := range 5 {
		_, err := s.publish("drover.inbox.job.nothing", fmt.Append(nil, n), nats.Header{"X": {"1", "2"}})
		must(t, err)
	}
	list := s.awaitPoison(i, 5)
	first := list[0].GetCommandId()
	ctx := context.Background()
	if r, err := bus.DropPoison.Call(ctx, s.asks, &v1.DropPoison{Numbers: []uint64{2, 4}}); err != nil || r.GetDropped() != 2 {
		t.Errorf("%v %v", r, err)
	}
	if _, err := bus.DropPoison.Call(ctx, s.asks, &v1.DropPoison{Numbers: []uint64{4}}); code(err) != v1.RefusalCode_REFUSAL_CODE_NOT_FOUND {
		t.Errorf("%v", err)
	}
	for _, q := range []*v1.RetryPoison{{}, {All: true, Numbers: []uint64{1}}, {Numbers: make([]uint64, 1001)}} {
		if _, err := bus.RetryPoison.Call(ctx, s.asks, q); code(err) != v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST {
			t.Errorf("%v", err)
		}
	}
	// Still no command: it comes back, under a new number and its own id.
	if r, err := bus.RetryPoison.Call(ctx, s.asks, &v1.RetryPoison{Numbers: []uint64{1}}); err != nil || r.GetRetried() != 1 {
		t.Errorf("%v %v", r, err)
	}
	list = s.awaitPoison(i, 3)
	if m := list[2]; m.GetNumber() != 6 || m.GetCommandId() != first || string(m.GetData()) != "0" {
		t.Errorf("%v, first %s", m, first)
	}
	if r, err := bus.RetryPoison.Call(ctx, s.asks, &v1.RetryPoison{All: true}); err != nil || r.GetRetried() != 3 {
		t.Errorf("%v %v", r, err)
	}
	s.awaitPoison(i, 3)
	if r, err := bus.DropPoison.Call(ctx, s.asks, &v1.DropPoison{All: true}); err != nil || r.GetDropped() != 3 {
		t.Errorf("%v %v", r, err)
	}
	s.awaitPoison(i, 0)
	if _, err := bus.ListPoison.Call(ctx, s.asks, &v1.ListPoison{Page: &v1.Page{Token: "x"}}); code(err) != v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST {
		t.Errorf("%v", err)
	}
}

// A full poison queue holds up what belongs there, and nothing else.
func TestAFullPoisonQueueHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	s := start(t, inbox.Limits{Poison: 1 << 10})
	d := s.decider()
	i := s.inbox()
	for n := range 2 {
		_, err := s.publish("drover.inbox.job.cancel", []byte(strings.Repeat("x", 700)), nats.Header{"Drover-Command-Id": {fmt.Sprint("bad-", n)}})
		must(t, err)
	}
	s.send("job.cancel", cancel(1), "c-1")
	s.awaitOutcome("c-1")
	if got := d.effects(); len(got) != 1 {
		t.Errorf("%v", got)
	}
	if list := s.poison(); len(list) != 1 {
		t.Errorf("%d in the poison queue, want 1", len(list))
	}
	for dropped := uint32(0); dropped < 2; {
		r, err := bus.DropPoison.Call(context.Background(), s.asks, &v1.DropPoison{All: true})
		must(t, err)
		dropped += r.GetDropped()
		if dropped < 2 {
			eventually(t, "the next is there", func() bool { return len(s.poison()) > 0 })
		}
	}
	s.awaitPoison(i, 0)
}

// The streams can be made again, and an inbox that finds none says which is missing.
func TestStreamsAreMadeOnce(t *testing.T) {
	hub, err := broker.StartHub(broker.HubConfig{Dir: t.TempDir(), Homes: 1})
	must(t, err)
	t.Cleanup(hub.Close)
	s := &system{t: t, hub: hub}
	own, logs := s.connect(hub.Dialer().ConnectInbox), s.connect(hub.Dialer().Connect)
	ctx := context.Background()
	if _, err := inbox.New(ctx, inbox.Config{Inbox: own, Service: logs}); err == nil || !strings.Contains(err.Error(), "stream inbox") {
		t.Errorf("%v", err)
	}
	for range 2 {
		must(t, inbox.CreateStreams(ctx, own, logs, inbox.Limits{}))
	}
	must(t, inbox.CreateStreams(ctx, own, logs, inbox.Limits{Inbox: 1 << 20}))
	_, err = inbox.New(ctx, inbox.Config{Inbox: own, Service: logs})
	must(t, err)
}

// However soon it is closed, it ends in good order and not by a timeout.
func TestAnInboxCanBeClosedAtAnyTime(t *testing.T) {
	s := start(t, inbox.Limits{})
	for n := range 20 {
		p := s.inbox()
		if n%2 == 0 {
			time.Sleep(time.Duration(n) * time.Millisecond) // the moment is the point
		}
		began := time.Now()
		must(t, p.Close())
		if err := <-p.ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > patience/2 {
			t.Errorf("closing took %v", took)
		}
		for _, nc := range p.conns {
			nc.Close()
		}
	}
}
