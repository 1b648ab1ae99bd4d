package device_test

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/fronts/device"
)

// echo answers every request at once; what an update is answered tells its status details.
func echo(_ uint32, request proto.Message, done func(proto.Message, error)) {
	switch r := request.(type) {
	case *v1.UpdateExecution:
		done(&v1.UpdateExecutionReply{State: &v1.ExecutionState{Status: r.Status, StatusDetails: r.StatusDetails, VersionNumber: r.ExpectedVersion}}, nil)
	case *v1.GetPending:
		done(&v1.GetPendingReply{}, nil)
	case *v1.StartNext:
		done(&v1.StartNextReply{}, nil)
	case *v1.DescribeExecution:
		done(&v1.DescribeExecutionReply{}, nil)
	}
}

func TestABadRequestIsAnsweredOnItsTopic(t *testing.T) {
	s := start(t, func(_ uint32, r proto.Message, _ func(proto.Message, error)) { t.Errorf("submitted: %v", r) })
	for name, c := range map[string]*client{"NATS": natsClient(t, s, "t1"), "MQTT": mqttClient(t, s, "t2", 1)} {
		t.Run(name, func(t *testing.T) {
			c.t = t
			c.send("j1/update", `{`)
			c.expectRejected("j1/update/rejected", `{"code":"InvalidJson","message":"byte 1 of the payload: not JSON","timestamp":NOW}`)
			c.send("j1/update", `{"status":"DONE","clientToken":"c1"}`)
			c.expectRejected("j1/update/rejected", `{"code":"InvalidRequest","message":"status: is not one of IN_PROGRESS, SUCCEEDED, FAILED, REJECTED","clientToken":"c1","timestamp":NOW}`)
			c.send("$next/update", `{"status":"FAILED"}`)
			c.expectRejected("$next/update/rejected", `{"code":"InvalidTopic","message":"an update names its job; $next can only be asked for","timestamp":NOW}`)
			c.send("j:1/get", `{}`)
			c.expectRejected("j:1/get/rejected", `{"code":"InvalidRequest","message":"jobId: \"j:1\" is no job id: 1 to 64 of [a-zA-Z0-9_-]","timestamp":NOW}`)
			c.send("a/b/c", `{"clientToken":"c2"}`)
			c.expectRejected("a/b/c/rejected", `{"code":"InvalidTopic","message":"the topic names no operation","clientToken":"c2","timestamp":NOW}`)
			c.nothingElse()
		})
	}
}

func TestUnknownTopicsAreToldAndNothingLoops(t *testing.T) {
	s := start(t, echo)
	front := s.connect(t, "test")
	heard, err := front.SubscribeSync("$aws.things.*.jobs.>")
	if err != nil {
		t.Fatal(err)
	}
	for topic, told := range map[string]bool{
		"foo": true, "foo.bar": true, "foo.bar.baz": true, "j.namespace-aws-gg-deployment.get": true, "update": true, "$next": true,
		"notify": false, "notify-next": false, "get.accepted": false, "j.update.rejected": false, "a.b.c.rejected": false, "$inbox.x.1": false,
	} {
		if err := front.Publish("$aws.things.t1.jobs."+topic, nil); err != nil {
			t.Fatal(err)
		}
		// A request's answer comes behind it: all three connections of this test have one order only at its end.
		var got []string
		for deadline := time.Now().Add(patience); ; {
			if m, err := heard.NextMsg(20 * time.Millisecond); err == nil {
				got = append(got, strings.TrimPrefix(m.Subject, "$aws.things.t1.jobs."))
				continue
			}
			if len(got) == 2 || !told && len(got) == 1 || time.Now().After(deadline) {
				break
			}
		}
		want := []string{topic}
		if told {
			want = append(want, topic+".rejected")
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: heard %v, want %v", topic, got, want)
		}
	}
}

func TestARequestWithAnInboxIsAnsweredThere(t *testing.T) {
	s := start(t, echo)
	nc, err := nats.Connect(s.leaf.ClientURL(), nats.CustomInboxPrefix("$aws.things.t1.jobs.$inbox"), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	natsClient(t, s, "t1").ready() // the link knows of devices' topics
	var m *nats.Msg
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); { // interest in the inbox crosses the link in its own time
		if m, err = nc.Request("$aws.things.t1.jobs.get", []byte(`{"clientToken":"c1"}`), 200*time.Millisecond); err == nil {
			break
		}
	}
	if err != nil || !strings.HasPrefix(string(m.Data), `{"clientToken":"c1","timestamp":`) {
		t.Fatalf("%v, %v", m, err)
	}
	if m, err = nc.Request("$aws.things.t1.jobs.what.ever", nil, patience); err != nil || !strings.Contains(string(m.Data), "InvalidTopic") {
		t.Errorf("%v, %v", m, err)
	}
	// Not an inbox: answered on the topic, as if there were none.
	answers, err := nc.SubscribeSync("$aws.things.t1.jobs.get.accepted")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest("$aws.things.t1.jobs.get", "$aws.things.other.jobs.notify-next", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := answers.NextMsg(patience); err != nil {
		t.Error(err)
	}
}

// Specification §3.1: the names of operations, answers and notifications are legal job ids.
func TestAJobMayBeCalledAsATopicIs(t *testing.T) {
	s := start(t, echo)
	for name, c := range map[string]*client{"NATS": natsClient(t, s, "t1"), "MQTT": mqttClient(t, s, "t2", 1)} {
		t.Run(name, func(t *testing.T) {
			c.t = t
			for _, job := range []string{"get", "start-next", "update", "notify", "notify-next", "accepted", "rejected", "jobs", "inbox", "_INBOX"} {
				c.send(job+"/get", `{}`)
				c.await(job + "/get/accepted")
				c.send(job+"/update", `{"status":"FAILED"}`)
				c.await(job + "/update/accepted")
			}
		})
	}
}

// await passes over what comes before a topic: the filter get/+ hears the request get/update too.
func (c *client) await(topic string) {
	c.t.Helper()
	for deadline := time.After(patience); ; {
		select {
		case got := <-c.heard:
			if strings.HasPrefix(got, topic+" ") {
				return
			}
		case <-deadline:
			c.t.Fatalf("nothing came on %s", topic)
		}
	}
}

func TestRequestsOfAThingAreSubmittedAndAnsweredInOrder(t *testing.T) {
	const updates = 2000
	var mu sync.Mutex
	versions := map[string]uint64{}
	s := start(t, func(home uint32, request proto.Message, done func(proto.Message, error)) {
		u := request.(*v1.UpdateExecution)
		if want := uint32(id.HomeOf(u.Thing, homes)); home != want {
			t.Errorf("%s came to home %d, want %d", u.Thing, home, want)
		}
		mu.Lock()
		if versions[u.Thing]++; versions[u.Thing] != u.ExpectedVersion {
			t.Errorf("%s: update %d came as number %d", u.Thing, u.ExpectedVersion, versions[u.Thing])
		}
		mu.Unlock()
		echo(home, request, done)
	})
	clients := map[string]*client{}
	for i := range 4 {
		thing := fmt.Sprintf("t%d", i)
		clients[thing] = natsClient(t, s, thing)
	}
	clients["m0"], clients["m1"] = mqttClient(t, s, "m0", 0), mqttClient(t, s, "m1", 1)
	var wg sync.WaitGroup
	for thing, c := range clients {
		n := updates
		if thing[0] == 'm' {
			n = 200
		}
		wg.Go(func() {
			go func() {
				for v := range n {
					c.send("j1/update", fmt.Sprintf(`{"status":"IN_PROGRESS","expectedVersion":%d,"clientToken":"%d"}`, v+1, v+1))
				}
			}()
			for v := range n {
				select {
				case got := <-c.heard:
					if want := fmt.Sprintf(`j1/update/accepted {"clientToken":"%d","timestamp":0}`, v+1); got != want {
						t.Errorf("%s: got %s, want %s", thing, got, want)
						return
					}
				case <-time.After(patience):
					t.Errorf("%s: answer %d did not come", thing, v+1)
					return
				}
			}
		})
	}
	wg.Wait()
}

// The accepted of a report comes before the notifications of its commit, over connections of their own.
func TestAnswersGoBeforeTheNotificationsOfTheirCommit(t *testing.T) {
	var s *system
	s = start(t, func(home uint32, request proto.Message, done func(proto.Message, error)) {
		u := request.(*v1.UpdateExecution)
		done(&v1.UpdateExecutionReply{}, nil)
		s.fronts[home].Notify(1, []*v1.Notification{{Thing: u.Thing, List: &v1.PendingList{}, Head: &v1.Head{}}}, func() {})
	})
	c := natsClient(t, s, "t1")
	for range 300 {
		c.send("j1/update", `{"status":"SUCCEEDED"}`)
		c.expect("j1/update/accepted", `{"timestamp":0}`)
		c.expect("notify", `{"timestamp":0,"jobs":{}}`)
		c.expect("notify-next", `{"timestamp":0}`)
	}
}

// TestASlowBrokerHoldsUpNobodyAndIsToldTheNewest: the notifications' connection goes through a proxy that stops.
func TestASlowBrokerHoldsUpNobodyAndIsToldTheNewest(t *testing.T) {
	s := start(t, echo)
	p := startProxy(t, strings.TrimPrefix(s.hub.ClientURL(), "nats://"))
	through, err := s.hub.Dialer().ConnectFront("notify", nats.SetCustomDialer(p), nats.PingInterval(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(through.Close)
	front, err := device.New(device.Config{Requests: s.connect(t, "requests"), Notify: through, Home: 99, Submit: nil})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.go_(); _ = front.Close() })
	heard := s.connect(t, "ears")
	sub, err := heard.SubscribeSync("$aws.things.*.jobs.notify")
	if err != nil {
		t.Fatal(err)
	}
	if err := heard.Flush(); err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	tell := func(version uint64) {
		var list []*v1.Notification
		for thing := range 200 {
			list = append(list, &v1.Notification{Thing: fmt.Sprintf("t%d", thing), AtMs: int64(version) * 1000,
				List: &v1.PendingList{Queued: []*v1.Execution{{JobId: strings.Repeat("j", 60), VersionNumber: version}}}})
		}
		done.Add(1)
		front.Notify(version, list, done.Done)
	}
	p.stop()
	var gaveUp atomic.Bool // telling waited for the link after all
	defer time.AfterFunc(patience, func() { gaveUp.Store(true); p.go_() }).Stop()
	const last = 500
	for version := range uint64(last) {
		tell(version + 1)
	}
	if gaveUp.Load() {
		t.Errorf("telling took more than %v while the link stood still", patience)
	}
	p.go_()
	done.Wait()
	// All is with the broker: behind this, all of it is here.
	if err := heard.Flush(); err != nil {
		t.Fatal(err)
	}
	newest, messages := map[string]int64{}, 0
	for {
		m, err := sub.NextMsg(100 * time.Millisecond)
		if err != nil {
			break
		}
		messages++
		var n struct {
			Timestamp int64
			Jobs      struct {
				QUEUED []struct{ VersionNumber int64 }
			}
		}
		if err := json.Unmarshal(m.Data, &n); err != nil {
			t.Fatal(err)
		}
		version := n.Jobs.QUEUED[0].VersionNumber
		if version < newest[m.Subject] || version != n.Timestamp {
			t.Errorf("%s: %d of %d came behind %d", m.Subject, version, n.Timestamp, newest[m.Subject])
		}
		newest[m.Subject] = version
	}
	if len(newest) != 200 || messages > 200*last/2 {
		t.Errorf("%d things were told by %d messages", len(newest), messages)
	}
	for subject, at := range newest {
		if at != last {
			t.Errorf("%s: the newest told was %d", subject, at)
		}
	}
}

// proxy is a link that can stand still.
type proxy struct {
	to   string
	mu   sync.Mutex
	gate *sync.Cond
	shut bool
}

func startProxy(t *testing.T, to string) *proxy {
	p := &proxy{to: to}
	p.gate = sync.NewCond(&p.mu)
	return p
}

func (p *proxy) stop() { p.mu.Lock(); p.shut = true; p.mu.Unlock() }
func (p *proxy) go_()  { p.mu.Lock(); p.shut = false; p.mu.Unlock(); p.gate.Broadcast() }

func (p *proxy) Dial(network, _ string) (net.Conn, error) {
	c, err := net.Dial(network, p.to)
	return &gated{c, p}, err
}

// gated is a connection whose writes wait at the gate.
type gated struct {
	net.Conn
	p *proxy
}

func (g *gated) Write(b []byte) (int, error) {
	g.p.mu.Lock()
	for g.p.shut {
		g.p.gate.Wait()
	}
	g.p.mu.Unlock()
	return g.Conn.Write(b)
}

// TestWhatTheBrokerRefuses is the list in the package comment.
func TestWhatTheBrokerRefuses(t *testing.T) {
	s := start(t, echo)
	t.Run("MQTT 5", func(t *testing.T) {
		answer := raw(t, s, append([]byte{0x10, 16, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 60, 0, 0, 3}, "dev"...))
		if !slices.Equal(answer, []byte{0x20, 2, 0, 1}) {
			t.Errorf("answered % x", answer)
		}
	})
	for name, change := range map[string]func(*mqtt.ClientOptions){
		"a dot in the client id":   func(o *mqtt.ClientOptions) { o.SetClientID("a.b") },
		"a space in the client id": func(o *mqtt.ClientOptions) { o.SetClientID("a b") },
		"a star in the client id":  func(o *mqtt.ClientOptions) { o.SetClientID("*") },
		"a user name":              func(o *mqtt.ClientOptions) { o.SetClientID("a").SetUsername("?SDK=JavaScript") },
	} {
		o := mqtt.NewClientOptions().AddBroker(s.leaf.MQTTURL()).SetAutoReconnect(false).SetProtocolVersion(4)
		change(o)
		if token := mqtt.NewClient(o).Connect(); !token.WaitTimeout(patience) || token.Error() == nil {
			t.Errorf("%s: connected", name)
		}
	}
	for name, publish := range map[string]struct {
		topic string
		qos   byte
		data  []byte
	}{
		"QoS 2":      {"$aws/things/t1/jobs/get", 2, nil},
		"+":          {"$aws/things/+/jobs/get", 0, nil},
		"#":          {"$aws/things/t1/jobs/#", 0, nil},
		"a space":    {"$aws/things/t 1/jobs/get", 0, nil},
		"over limit": {"$aws/things/t1/jobs/get", 0, make([]byte, 128<<10+1)},
	} {
		t.Run("a publish with "+name+" ends the connection", func(t *testing.T) {
			lost := make(chan struct{})
			o := mqtt.NewClientOptions().AddBroker(s.leaf.MQTTURL()).SetClientID("breaker").SetAutoReconnect(false).SetProtocolVersion(4).
				SetConnectionLostHandler(func(mqtt.Client, error) { close(lost) })
			c := mqtt.NewClient(o)
			if token := c.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
				t.Fatal(token.Error())
			}
			defer c.Disconnect(0)
			c.Publish(publish.topic, publish.qos, false, publish.data)
			select {
			case <-lost:
			case <-time.After(patience):
				t.Error("still connected")
			}
		})
	}
	c := dial(t, s, "asker")
	for filter, want := range map[string]byte{
		"$aws/things/t1/jobs/#": 1, "$aws/things/t1/jobs/notify": 1, "#": 0x80, "$aws/#": 0x80, "$aws/things/t1/shadow/update": 0x80, "log/#": 0x80,
		"$aws/things/t 1/jobs/get": 0x80, "$SYS/#": 0x80,
	} {
		token := c.Subscribe(filter, 2, nil).(*mqtt.SubscribeToken) // asked for QoS 2, granted 1
		if !token.WaitTimeout(patience) || token.Result()[filter] != want {
			t.Errorf("filter %s: %#x, want %#x (%v)", filter, token.Result()[filter], want, token.Error())
		}
	}
	if token := c.Publish("log/job/1", 1, false, "x"); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Errorf("a publish to what is not a device's is PUBACKed all the same: %v", token.Error())
	}
}

// raw sends bytes to the MQTT listener and returns what comes until the end.
func raw(t *testing.T, s *system, packet []byte) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.leaf.MQTTURL(), "mqtt://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(packet); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 64)
	n, _ := conn.Read(answer)
	return answer[:n]
}
