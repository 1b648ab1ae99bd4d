package cli_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/node"
)

// What TestInbox publishes while no service runs.
const (
	durable       = 1000
	durableTwice  = 100
	durableBad    = 3
	durableThings = 250 // each is created, joins a group, and leaves it
	durableBack   = 50  // of them join again, under another id
	durableJobs   = durable - durableBad - 3*durableThings - durableBack
)

// TestInboxKill9 shows that a durable command takes effect once, whatever dies.
//
// A hub runs alone. 1,000 commands are published to it, 100 of them twice and 3 of them malformed; then the services are
// started, in one process, which is killed with -9 and started again while it carries them out, and once the hub too. What a
// repeat would do a second time can be seen: a thing joins a group, leaves it, and is then told to join under the id of the
// first time. Afterwards the events are counted, and the outcomes and the poison queue read.
func TestInboxKill9(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	t.Parallel() // it waits most of the time, and for what it sees
	s := newDurableSystem(t)
	s.startServices()
	s.soon("thing", "create", "press")
	s.soon("group", "create", "line")
	s.stopServices()

	ids := s.publishAll()
	if _, out, _ := s.ask("inbox", "outcome", ids[0]); out != "" {
		t.Fatalf("there is an outcome while no service runs: %s", out)
	}
	began := time.Now()
	s.startServices()
	for i, answered := range []int{durable / 10, durable / 3, durable / 2} {
		s.awaitOutcomes(answered)
		if i == 1 {
			s.hub.kill()
			s.startHub()
		}
		s.services.kill()
		s.startServices()
	}
	// Of some the news is lost with a connection; the outcome is kept.
	for _, cid := range ids {
		s.eventually(2*patience, cid+" has an outcome", func() bool { return s.outcome(cid) != nil })
	}
	t.Logf("carried out in %v, with three kills", time.Since(began).Round(time.Millisecond))
	for _, cid := range ids {
		o, bad := s.outcome(cid), strings.HasPrefix(cid, "bad-")
		if (o.GetRefusal() != nil) != bad || bad && o.GetRefusal().GetCode() != v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST {
			t.Errorf("%s: %v", cid, o)
		}
	}
	s.countEvents(map[string]int{
		"ThingCreated": 1 + durableThings, "GroupCreated": 1, "ThingJoined": durableThings + durableBack, "ThingLeft": durableThings, "JobCreated": durableJobs,
	})
	s.checkPoison()
	s.stopServices()
}

// outcome is what came of a command; nil if nobody can say yet.
func (s *durableSystem) outcome(cid string) *v1.Outcome {
	o, err := bus.GetOutcome.Call(s.t.Context(), s.bus, &v1.GetOutcome{CommandId: cid})
	if err != nil {
		return nil
	}
	return o
}

func (s *durableSystem) checkPoison() {
	s.t.Helper()
	var list struct {
		Messages []struct{ CommandID, Reason, Subject string }
	}
	if err := json.Unmarshal([]byte(s.soon("inbox", "list", "--output", "json")), &list); err != nil {
		s.t.Fatal(err)
	}
	reasons := map[string]string{
		"drover.inbox.targeting.add-things": `unknown field "thing"`, "drover.inbox.job.create": "not the JSON of a CreateJob", "drover.inbox.job.begin": "job.begin is no durable command",
	}
	if len(list.Messages) != durableBad {
		s.t.Errorf("the poison queue holds %+v", list.Messages)
	}
	for _, m := range list.Messages {
		if reason := reasons[m.Subject]; reason == "" || !strings.Contains(m.Reason, reason) || !strings.HasPrefix(m.CommandID, "bad-") {
			s.t.Errorf("%+v", m)
		}
		delete(reasons, m.Subject)
	}
	if out := s.soon("inbox", "drop", "--all"); out != "dropped 3 commands\n" {
		s.t.Error(out)
	}
}

// durableSystem is a hub in a process of its own, and the services in another.
type durableSystem struct {
	*drover
	url      string
	hubArgs  []string
	hubData  string
	hub      *process
	services *process
	nc       *nats.Conn
	bus      *bus.Client
	outcomes chan *nats.Msg
	told     map[string]bool
}

func newDurableSystem(t *testing.T) *durableSystem {
	t.Helper()
	s := &durableSystem{drover: newDrover(t), hubData: filepath.Join(t.TempDir(), "hub"), told: map[string]bool{}}
	port := freePort(t)
	s.hubArgs = []string{"broker", "hub", "--data", s.hubData, "--homes", "2", "--nats-port", port, "--leaf-port", freePort(t), "--monitor-port", "0"}
	s.url = "nats://127.0.0.1:" + port
	s.startHub()
	s.run("init", "--homes", "2", "--replicas", "1", "--log-bytes", "100MiB", "--nats", s.url, "--creds", filepath.Join(s.hubData, "auth"))
	var err error
	s.nc, err = nats.Connect(s.url, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.RetryOnFailedConnect(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.nc.Close)
	s.bus = bus.NewClient(s.nc)
	s.outcomes = make(chan *nats.Msg, 4*durable)
	if _, err := s.nc.ChanSubscribe(bus.OutcomeSubjects, s.outcomes); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *durableSystem) startHub() {
	s.t.Helper()
	s.hub = s.start(s.hubArgs...)
	s.eventually(patience, "the hub is ready", func() bool {
		e, err := node.ReadEndpoints(s.hubData)
		return err == nil && e.PID == s.hub.cmd.Process.Pid
	})
}

// startServices starts all services in one process, without waiting for them.
func (s *durableSystem) startServices() {
	s.t.Helper()
	s.services = s.start("serve", "all", "--nats", s.url, "--creds", filepath.Join(s.hubData, "auth"), "--data", s.data, "--monitor-port", "0", "--http-port", "0")
}

// stopServices is a graceful stop.
func (s *durableSystem) stopServices() {
	s.t.Helper()
	if err := s.services.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.services.exited:
	case <-time.After(patience):
		s.t.Fatalf("the services do not stop\n%s", s.services.output)
	}
	if s.services.err != nil {
		s.t.Fatalf("the services ended with %v\n%s", s.services.err, s.services.output)
	}
}

// ask runs a command on the hub.
func (s *durableSystem) ask(args ...string) (status int, stdout, stderr string) {
	s.t.Helper()
	return s.try(append(args, "--server", s.url)...)
}

// soon runs a command until it succeeds, and returns its stdout.
func (s *durableSystem) soon(args ...string) (out string) {
	s.t.Helper()
	s.eventually(patience, strings.Join(args, " "), func() bool {
		var status int
		status, out, _ = s.ask(args...)
		return status == 0
	})
	return out
}

// publishAll publishes the commands of this test, and returns their ids.
func (s *durableSystem) publishAll() (ids []string) {
	s.t.Helper()
	send := func(op, cid string, m proto.Message) {
		service, name, _ := strings.Cut(op, ".")
		marshal, json := proto.Marshal, len(ids)%2 == 0
		if json {
			marshal = protojson.Marshal
		}
		data, err := marshal(m)
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := bus.PublishDurable(s.t.Context(), s.bus, service, name, data, json, cid); err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, cid)
	}
	malformed := func(op, body string) {
		service, name, _ := strings.Cut(op, ".")
		cid := fmt.Sprintf("bad-%d", len(ids))
		if _, err := bus.PublishDurable(s.t.Context(), s.bus, service, name, []byte(body), true, cid); err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, cid)
	}
	thing := func(n int) string { return fmt.Sprintf("t-%03d", n) }
	joins := func(cid string, n int) {
		send("targeting.add-things", fmt.Sprintf("%s-%d", cid, n), &v1.AddThings{Group: "line", Things: []string{thing(n)}})
	}
	creates := func(n int) {
		send("job.create", fmt.Sprintf("job-%d", n), &v1.CreateJob{JobId: fmt.Sprintf("j-%03d", n), Document: []byte("{}"),
			Targets: []*v1.Target{{Target: &v1.Target_Thing{Thing: "press"}}}})
	}
	for n := range durableThings {
		send("targeting.create-things", fmt.Sprintf("create-%d", n), &v1.CreateThings{Things: []*v1.NewThing{{Name: thing(n)}}})
		if n < durableJobs {
			creates(n)
		}
	}
	malformed("targeting.add-things", `{"group":"line","thing":"t-001"}`)
	for n := range durableThings {
		joins("join", n)
	}
	malformed("job.create", `{"jobId":`)
	for n := range durableThings {
		send("targeting.remove-things", fmt.Sprintf("leave-%d", n), &v1.RemoveThings{Group: "line", Things: []string{thing(n)}})
	}
	malformed("job.begin", `{}`)
	for n := range durableBack {
		joins("again", n)
	}
	if len(ids) != durable {
		s.t.Fatalf("%d commands, want %d", len(ids), durable)
	}
	for n := range durableTwice {
		if n%2 == 0 {
			creates(n)
		} else {
			joins("join", durableBack+n)
		}
	}
	return ids[:durable]
}

// awaitOutcomes waits until so many commands have been answered, since the outcomes were first listened to.
func (s *durableSystem) awaitOutcomes(n int) {
	s.t.Helper()
	late := time.After(2 * patience)
	for len(s.told) < n {
		select {
		case m := <-s.outcomes:
			s.told[m.Subject] = true
		case <-s.services.exited:
			s.t.Fatalf("the services have ended: %v\n%s", s.services.err, s.services.output)
		case <-late:
			s.t.Fatalf("%d of %d outcomes\n%s", len(s.told), n, s.services.output)
		}
	}
}

// countEvents counts the events of some types in the logs.
func (s *durableSystem) countEvents(want map[string]int) {
	s.t.Helper()
	got := map[string]int{}
	for line := range strings.Lines(s.soon("events", "--output", "json")) {
		var e struct{ Type string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			s.t.Fatalf("%v: %s", err, line)
		}
		got[e.Type]++
	}
	for name, n := range want {
		if got[name] != n {
			s.t.Errorf("%d %s in the logs, want %d", got[name], name, n)
		}
	}
}
