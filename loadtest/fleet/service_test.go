package fleet

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/droverhq/drover/eventstore/eventstoretest"
	"github.com/droverhq/drover/loadtest/agent"
)

// patience is how long a test waits for what must happen; nothing is measured by it.
const patience = 90 * time.Second

// broker is a real nats-server with MQTT, as a device leaf has it.
type broker struct {
	*server.Server
	mqttURL string
	// clientOptions are how the service connects to it.
	clientOptions []nats.Option
}

func startBroker(t *testing.T, change ...func(*server.Options)) *broker {
	t.Helper()
	mqttPort := eventstoretest.FreePort(t)
	o := &server.Options{Host: "127.0.0.1", Port: -1, ServerName: "leaf", JetStream: true, StoreDir: t.TempDir(),
		NoSigs: true, NoLog: true, MQTT: server.MQTTOpts{Host: "127.0.0.1", Port: mqttPort}}
	for _, c := range change {
		c(o)
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(patience) {
		t.Fatal("the broker does not start")
	}
	return &broker{Server: s, mqttURL: fmt.Sprintf("tcp://127.0.0.1:%d", mqttPort)}
}

// service answers devices from memory, with just enough of the protocol to hold a fleet against. It outlives brokers.
type service struct {
	mu     sync.Mutex
	queues map[string][]*attempt // by thing, the head first
	ended  map[string]int        // by status
	// drop loses an answer, if it says so.
	drop func(topic string) bool
	nc   *nats.Conn
}

type attempt struct {
	job     string
	number  uint64
	status  agent.Status
	version uint64
	queued  int64
	started int64
}

func newService() *service {
	return &service{queues: map[string][]*attempt{}, ended: map[string]int{}, drop: func(string) bool { return false }}
}

func (s *service) serve(t *testing.T, b *broker) {
	t.Helper()
	nc, err := nats.Connect(b.ClientURL(), append(b.clientOptions, nats.Timeout(patience))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	s.mu.Lock()
	s.nc = nc
	s.mu.Unlock()
	for _, subject := range []string{"$aws.things.*.jobs.start-next", "$aws.things.*.jobs.*.update"} {
		if _, err := nc.Subscribe(subject, s.handle); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// queue gives a job to things and tells them.
func (s *service) queue(job string, things []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, thing := range things {
		a := &attempt{job: job, number: 1, status: agent.Queued, version: 1, queued: time.Now().Unix()}
		s.queues[thing] = append(s.queues[thing], a)
		if len(s.queues[thing]) == 1 {
			s.publish("$aws.things."+thing+".jobs.notify-next", map[string]any{"execution": a.json()})
		}
	}
}

func (a *attempt) json() map[string]any {
	m := map[string]any{"jobId": a.job, "status": a.status, "queuedAt": a.queued, "lastUpdatedAt": a.queued,
		"versionNumber": a.version, "executionNumber": a.number, "jobDocument": map[string]any{"operation": "install"}}
	if a.started > 0 {
		m["startedAt"] = a.started
	}
	return m
}

func (s *service) publish(subject string, body map[string]any) {
	if s.drop(subject) {
		return
	}
	body["timestamp"] = time.Now().Unix()
	data, _ := json.Marshal(body)
	_ = s.nc.Publish(subject, data)
}

func (s *service) handle(m *nats.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var body struct {
		Status          agent.Status
		ExpectedVersion uint64
		ClientToken     string
	}
	if err := json.Unmarshal(m.Data, &body); err != nil {
		panic(err)
	}
	thing := strings.Split(m.Subject, ".")[2]
	queue := s.queues[thing]
	if strings.HasSuffix(m.Subject, "start-next") {
		answer := map[string]any{"clientToken": body.ClientToken}
		if len(queue) > 0 {
			if queue[0].status == agent.Queued {
				queue[0].status, queue[0].version, queue[0].started = agent.InProgress, 2, time.Now().Unix()
			}
			answer["execution"] = queue[0].json()
		}
		s.publish(m.Subject+".accepted", answer)
		return
	}
	job := strings.Split(m.Subject, ".")[4]
	answer := map[string]any{"clientToken": body.ClientToken}
	if len(queue) == 0 || queue[0].job != job || queue[0].version != body.ExpectedVersion {
		// Ended before: the same token is accepted again. Other refusals do not happen here.
		answer["executionState"] = map[string]any{"status": body.Status, "versionNumber": body.ExpectedVersion + 1}
		s.publish(m.Subject+".accepted", answer)
		return
	}
	queue[0].version++
	queue[0].status = body.Status
	answer["executionState"] = map[string]any{"status": body.Status, "versionNumber": queue[0].version}
	s.publish(m.Subject+".accepted", answer)
	if body.Status.Ended() {
		s.ended[string(body.Status)]++
		s.queues[thing] = queue[1:]
	}
}
