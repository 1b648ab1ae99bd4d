package device_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/fronts/device"
)

const (
	patience = 60 * time.Second // for what must happen; nothing is measured by it
	homes    = 3
)

// system is a hub with a device leaf and a front for each home. Requests go to submit, one after another.
type system struct {
	hub    *broker.Hub
	leaf   *broker.Leaf
	fronts []*device.Front
}

func start(t testing.TB, submit func(home uint32, request proto.Message, done func(proto.Message, error))) *system {
	t.Helper()
	hub, err := broker.StartHub(broker.HubConfig{Dir: t.TempDir(), Homes: homes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	s := &system{hub: hub}
	var mu sync.Mutex
	for home := range uint32(homes) {
		front, err := device.New(device.Config{
			Requests: s.connect(t, "requests"), Notify: s.connect(t, "notify"), Home: home,
			Submit: func(request proto.Message, done func(proto.Message, error)) {
				mu.Lock()
				defer mu.Unlock()
				submit(home, request, done)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = front.Close() })
		s.fronts = append(s.fronts, front)
	}
	unknown, err := device.NewUnknown(s.connect(t, "unknown"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unknown.Close() })
	s.leaf, err = broker.StartLeaf(broker.LeafConfig{Dir: t.TempDir(), HubURLs: []string{hub.LeafURL()}, HubPassword: hub.LeafPassword()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.leaf.Close)
	return s
}

func (s *system) connect(t testing.TB, name string) *nats.Conn {
	t.Helper()
	nc, err := s.hub.Dialer().ConnectFront(name, nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// client is a device on the leaf: it publishes to topics below $aws/things/<thing>/jobs/ and hears all that is there.
type client struct {
	t     testing.TB
	send  func(topic, payload string)
	heard chan string // "topic payload"
}

func (c *client) expect(topic, payload string) {
	c.t.Helper()
	want := topic + " " + payload
	select {
	case got := <-c.heard:
		if got != want {
			c.t.Errorf("\n got %s\nwant %s", got, want)
		}
	case <-time.After(patience):
		c.t.Fatalf("nothing came; want %s", want)
	}
}

// nothingElse: what was asked last is answered last.
func (c *client) nothingElse() {
	c.t.Helper()
	c.send("x/y/end", `{}`)
	select {
	case got := <-c.heard:
		if !strings.HasPrefix(got, "x/y/end/rejected ") {
			c.t.Errorf("beside what was expected came %s", got)
		}
	case <-time.After(patience):
		c.t.Fatal("no answer")
	}
}

func natsClient(t testing.TB, s *system, thing string) *client {
	t.Helper()
	nc, err := nats.Connect(s.leaf.ClientURL(), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	root := "$aws.things." + thing + ".jobs."
	t.Cleanup(nc.Close)
	c := &client{t: t, heard: make(chan string, 4096)}
	c.send = func(topic, payload string) {
		if err := nc.Publish(root+strings.ReplaceAll(topic, "/", "."), []byte(payload)); err != nil {
			t.Error(err)
		}
	}
	messages := make(chan *nats.Msg, 4096) // one, so that the order across subscriptions is kept
	go func() {
		for m := range messages {
			c.heard <- strings.ReplaceAll(strings.TrimPrefix(m.Subject, root), ".", "/") + " " + string(m.Data)
		}
	}()
	for _, filter := range []string{"notify", "notify-next", "get.*", "start-next.*", "*.get.*", "*.update.*", "*.*.*.rejected"} {
		if _, err := nc.ChanSubscribe(root+filter, messages); err != nil {
			t.Fatal(err)
		}
	}
	c.ready()
	return c
}

func mqttClient(t testing.TB, s *system, thing string, qos byte) *client {
	t.Helper()
	root := "$aws/things/" + thing + "/jobs/"
	c := &client{t: t, heard: make(chan string, 4096)}
	conn := dial(t, s, fmt.Sprintf("%s-%d", strings.ReplaceAll(thing, ":", "-"), qos))
	c.send = func(topic, payload string) {
		if token := conn.Publish(root+topic, qos, false, payload); !token.WaitTimeout(patience) || token.Error() != nil {
			t.Errorf("publish %s: %v", topic, token.Error())
		}
	}
	filters := map[string]byte{}
	for _, filter := range []string{"notify", "notify-next", "get/+", "start-next/+", "+/get/+", "+/update/+", "+/+/+/rejected"} {
		filters[root+filter] = qos
	}
	if token := conn.SubscribeMultiple(filters, func(_ mqtt.Client, m mqtt.Message) {
		c.heard <- strings.TrimPrefix(m.Topic(), root) + " " + string(m.Payload())
	}); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	c.ready()
	return c
}

func dial(t testing.TB, s *system, name string) mqtt.Client {
	t.Helper()
	conn := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(s.leaf.MQTTURL()).SetClientID(name).SetAutoReconnect(false).SetProtocolVersion(4))
	if token := conn.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("connect: %v", token.Error())
	}
	t.Cleanup(func() { conn.Disconnect(0) })
	return conn
}

// ready waits until the hub knows what the client subscribed: interest crosses the link in its own time. Of what was
// asked meanwhile nothing is under way any more: the last one is answered last.
func (c *client) ready() {
	c.t.Helper()
	late := time.After(patience)
	for n := 1; ; n++ {
		last := fmt.Sprintf("x/y/ready-%d", n)
		c.send(last, "")
		next := time.After(50 * time.Millisecond)
		for waits := true; waits; {
			select {
			case got := <-c.heard:
				if strings.HasPrefix(got, last+"/rejected ") {
					return
				}
				next = nil // answers come: this one's will, too
			case <-next:
				waits = false
			case <-late:
				c.t.Fatal("the client hears nothing")
			}
		}
	}
}

const document = `{"operation":"install","v":"2.4.0"}`

// script answers as an execution core would in the exchange of specification §10.
type script struct {
	t     *testing.T
	want  []proto.Message // the requests, in order
	reply []proto.Message
	err   []error
	next  int
}

func (s *script) submit(_ uint32, request proto.Message, done func(proto.Message, error)) {
	if s.next >= len(s.want) {
		s.t.Errorf("one more request: %v", request)
		return
	}
	i := s.next
	s.next++
	if !proto.Equal(request, s.want[i]) {
		s.t.Errorf("request %d:\n got %v\nwant %v", i, request, s.want[i])
	}
	done(s.reply[i], s.err[i])
}

// TestTheExampleExchange is specification §10, byte for byte but for the timestamps of rejections, which are the
// moment's.
func TestTheExampleExchange(t *testing.T) {
	const thing = "press-07"
	home := uint32(id.HomeOf(thing, homes))
	seconds := func(s int64) int64 { return s*1000 + 417 }
	execution := func(change func(*v1.Execution)) *v1.Execution {
		e := &v1.Execution{JobId: "fw-2026-11", Thing: thing, ExecutionNumber: 1, Status: v1.ExecutionStatus_EXECUTION_STATUS_QUEUED,
			VersionNumber: 1, QueuedAtMs: seconds(1795000001), LastUpdatedAtMs: seconds(1795000001)}
		change(e)
		return e
	}
	flash := &v1.ExecutionState{Status: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS, StatusDetails: []*v1.Detail{{Name: "phase", Value: "flash"}}, VersionNumber: 3}
	sc := &script{t: t}
	step := func(want, reply proto.Message, err error) {
		sc.want, sc.reply, sc.err = append(sc.want, want), append(sc.reply, reply), append(sc.err, err)
	}
	step(&v1.StartNext{Thing: thing, StatusDetails: []*v1.Detail{{Name: "phase", Value: "accepted"}}, StepTimeoutMinutes: 15},
		&v1.StartNextReply{AtMs: seconds(1795000010), Execution: execution(func(e *v1.Execution) {
			e.Status, e.VersionNumber, e.Document = v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS, 2, []byte(document)
			e.StatusDetails = []*v1.Detail{{Name: "phase", Value: "accepted"}}
			e.StartedAtMs, e.LastUpdatedAtMs, e.DeadlineMs = seconds(1795000010), seconds(1795000010), seconds(1795000910)
		})}, nil)
	step(&v1.UpdateExecution{Thing: thing, JobId: "fw-2026-11", Status: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS, ExpectedVersion: 2,
		StatusDetails: []*v1.Detail{{Name: "phase", Value: "flash"}}, ReplaceDetails: true, ClientToken: "c2"},
		&v1.UpdateExecutionReply{AtMs: seconds(1795000100), State: flash}, nil)
	refusal := v1.Refuse(v1.RefusalCode_REFUSAL_CODE_VERSION_MISMATCH, "expectedVersion", "Expected version 2 but found version 3")
	refusal.State = flash
	step(&v1.UpdateExecution{Thing: thing, JobId: "fw-2026-11", Status: v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED, ExpectedVersion: 2, ClientToken: "c3"}, nil, refusal)
	step(&v1.UpdateExecution{Thing: thing, JobId: "fw-2026-11", Status: v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED, ExpectedVersion: 3, ClientToken: "c4"},
		&v1.UpdateExecutionReply{AtMs: seconds(1795000160), State: flash}, nil)
	step(&v1.DescribeExecution{Thing: thing, JobId: "$next", IncludeDocument: true}, &v1.DescribeExecutionReply{AtMs: seconds(1795000170)}, nil)
	step(&v1.DescribeExecution{Thing: thing, JobId: "fw-2026-11", IncludeDocument: true}, nil,
		v1.Refuse(v1.RefusalCode_REFUSAL_CODE_TERMINAL_STATE, "", "has ended"))
	step(&v1.GetPending{Thing: thing}, &v1.GetPendingReply{AtMs: seconds(1795000180)}, nil)

	for name, dial := range map[string]func(testing.TB, *system, string) *client{
		"MQTT QoS 0": func(t testing.TB, s *system, thing string) *client { return mqttClient(t, s, thing, 0) },
		"MQTT QoS 1": func(t testing.TB, s *system, thing string) *client { return mqttClient(t, s, thing, 1) },
		"NATS":       natsClient,
	} {
		t.Run(name, func(t *testing.T) {
			sc.t, sc.next = t, 0
			s := start(t, sc.submit)
			c := dial(t, s, thing)
			told := make(chan struct{}, 2)
			queued := execution(func(*v1.Execution) {})
			s.fronts[home].Notify(7, []*v1.Notification{{Thing: thing, AtMs: seconds(1795000002),
				List: &v1.PendingList{Queued: []*v1.Execution{queued}},
				Head: &v1.Head{Execution: execution(func(e *v1.Execution) { e.Document = []byte(document) })}}}, func() { told <- struct{}{} })
			c.expect("notify", `{"timestamp":1795000002,"jobs":{"QUEUED":[{"jobId":"fw-2026-11","queuedAt":1795000001,"lastUpdatedAt":1795000001,"executionNumber":1,"versionNumber":1}]}}`)
			c.expect("notify-next", `{"timestamp":1795000002,"execution":{"jobId":"fw-2026-11","status":"QUEUED","queuedAt":1795000001,"lastUpdatedAt":1795000001,"versionNumber":1,"executionNumber":1,"jobDocument":`+document+`}}`)
			c.send("start-next", `{"statusDetails":{"phase":"accepted"},"stepTimeoutInMinutes":15,"clientToken":"c1"}`)
			c.expect("start-next/accepted", `{"clientToken":"c1","timestamp":1795000010,"execution":{"jobId":"fw-2026-11","status":"IN_PROGRESS","statusDetails":{"phase":"accepted"},"queuedAt":1795000001,"startedAt":1795000010,"lastUpdatedAt":1795000010,"versionNumber":2,"executionNumber":1,"approximateSecondsBeforeTimedOut":900,"jobDocument":`+document+`}}`)
			c.send("fw-2026-11/update", `{"status":"IN_PROGRESS","expectedVersion":2,"statusDetails":{"phase":"flash"},"includeJobExecutionState":true,"clientToken":"c2"}`)
			c.expect("fw-2026-11/update/accepted", `{"clientToken":"c2","timestamp":1795000100,"executionState":{"status":"IN_PROGRESS","statusDetails":{"phase":"flash"},"versionNumber":3}}`)
			c.send("fw-2026-11/update", `{"status":"SUCCEEDED","expectedVersion":2,"clientToken":"c3"}`)
			c.expectRejected("fw-2026-11/update/rejected", `{"code":"VersionMismatch","message":"Expected version 2 but found version 3","clientToken":"c3","timestamp":NOW,"executionState":{"status":"IN_PROGRESS","statusDetails":{"phase":"flash"},"versionNumber":3}}`)
			c.send("fw-2026-11/update", `{"status":"SUCCEEDED","expectedVersion":3,"clientToken":"c4"}`)
			c.expect("fw-2026-11/update/accepted", `{"clientToken":"c4","timestamp":1795000160}`)
			s.fronts[home].Notify(8, []*v1.Notification{{Thing: thing, AtMs: seconds(1795000160), List: &v1.PendingList{}, Head: &v1.Head{}}}, func() { told <- struct{}{} })
			c.expect("notify", `{"timestamp":1795000160,"jobs":{}}`)
			c.expect("notify-next", `{"timestamp":1795000160}`)
			c.send("$next/get", `{"clientToken":"c5"}`)
			c.expect("$next/get/accepted", `{"clientToken":"c5","timestamp":1795000170}`)
			c.send("fw-2026-11/get", `{"clientToken":"c6"}`)
			c.expectRejected("fw-2026-11/get/rejected", `{"code":"TerminalStateReached","message":"has ended","clientToken":"c6","timestamp":NOW}`)
			c.send("get", ``)
			c.expect("get/accepted", `{"timestamp":1795000180,"inProgressJobs":[],"queuedJobs":[]}`)
			c.nothingElse()
			for range 2 {
				select {
				case <-told:
				case <-time.After(patience):
					t.Fatal("done was not called")
				}
			}
			if sc.next != len(sc.want) {
				t.Errorf("%d of %d requests came", sc.next, len(sc.want))
			}
		})
	}
}

// expectRejected compares but for the timestamp, NOW in payload, which must be of this minute.
func (c *client) expectRejected(topic, payload string) {
	c.t.Helper()
	select {
	case got := <-c.heard:
		for now := time.Now().Unix(); now > time.Now().Unix()-60; now-- {
			if got == topic+" "+strings.Replace(payload, "NOW", fmt.Sprint(now), 1) {
				return
			}
		}
		c.t.Errorf("\n got %s\nwant %s %s", got, topic, payload)
	case <-time.After(patience):
		c.t.Fatalf("nothing came; want %s %s", topic, payload)
	}
}
