package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/eventstoretest"
	"github.com/droverhq/drover/eventstore/jetstream"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/node"
)

// takeovers is how often nodes are killed; more than once is for measuring.
var takeovers = flag.Int("takeovers", 1, "how often the test of three hub processes kills a node")

// hubProcess is one node of a hub, as a process of its own.
type hubProcess struct {
	*process
	name, data string
	args       []string
}

// hub is three of them.
type hub struct {
	d       *drover
	secrets string
	nodes   []*hubProcess
}

func freePort(t *testing.T) string { return strconv.Itoa(eventstoretest.FreePort(t)) }

// startHub makes secrets, starts three nodes with TLS on all listeners, and makes a system of two homes.
func startHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{d: newDrover(t), secrets: filepath.Join(t.TempDir(), "secrets")}
	h.d.run("secrets", "create", h.secrets)
	common := []string{"--homes", "2", "--creds", h.secret("hub.json"), "--tls-cert", h.secret("broker.crt"), "--tls-key", h.secret("broker.key"), "--tls-ca", h.secret("ca.crt")}
	for i := range 3 {
		port := freePort(t)
		common = append(common, "--route", "127.0.0.1:"+port)
		n := &hubProcess{name: fmt.Sprintf("hub-%d", i+1), data: filepath.Join(t.TempDir(), "node")}
		n.args = []string{"broker", "hub", "--data", n.data, "--name", n.name, "--cluster-port", port,
			"--nats-port", freePort(t), "--leaf-port", freePort(t), "--monitor-port", freePort(t)}
		h.nodes = append(h.nodes, n)
	}
	for _, n := range h.nodes {
		n.args = append(n.args, common...)
		n.process = h.d.start(n.args...)
	}
	for _, n := range h.nodes {
		h.awaitReady(n)
	}
	h.d.run("init", "--homes", "2", "--replicas", "3", "--log-bytes", "100MiB", "--nats", strings.Join(h.urls(), ","),
		"--creds", h.secret("service.json"), "--tls-ca", h.secret("ca.crt"))
	return h
}

func (h *hub) secret(name string) string { return filepath.Join(h.secrets, name) }

func (h *hub) awaitReady(n *hubProcess) node.Endpoints {
	h.d.t.Helper()
	var e node.Endpoints
	h.d.eventually(patience, n.name+" is ready", func() bool {
		select {
		case <-n.exited:
			h.d.t.Fatalf("%s has ended: %v\n%s", n.name, n.err, n.output)
		default:
		}
		var err error
		e, err = node.ReadEndpoints(n.data)
		return err == nil && e.PID == n.cmd.Process.Pid
	})
	return e
}

// killAndRevive kills a node with -9, runs what, and starts it again.
func (h *hub) killAndRevive(n *hubProcess, what func()) {
	h.d.t.Helper()
	n.kill()
	what()
	began := time.Now()
	n.process = h.d.start(n.args...)
	h.awaitReady(n)
	h.d.t.Logf("%s was started again and was ready after %.2f s", n.name, time.Since(began).Seconds())
}

func (h *hub) urls() []string {
	var urls []string
	for _, n := range h.nodes {
		urls = append(urls, "nats://127.0.0.1:"+n.args[slices.Index(n.args, "--nats-port")+1])
	}
	return urls
}

func (h *hub) leafs() string {
	var hosts []string
	for _, n := range h.nodes {
		hosts = append(hosts, "127.0.0.1:"+n.args[slices.Index(n.args, "--leaf-port")+1])
	}
	return strings.Join(hosts, ",")
}

func (h *hub) dialer() *broker.Dialer {
	h.d.t.Helper()
	auth, err := broker.ReadAuth(h.secret("service.json"), broker.ServiceUsers...)
	if err != nil {
		h.d.t.Fatal(err)
	}
	trust, err := broker.ReadCA(h.secret("ca.crt"))
	if err != nil {
		h.d.t.Fatal(err)
	}
	return &broker.Dialer{URLs: h.urls(), Auth: auth, TLS: trust}
}

func (h *hub) connect(as func(string, ...nats.Option) (*nats.Conn, error)) *nats.Conn {
	h.d.t.Helper()
	nc, err := as("test")
	if err != nil {
		h.d.t.Fatal(err)
	}
	h.d.t.Cleanup(nc.Close)
	return nc
}

// node is the one of a name.
func (h *hub) node(name string) *hubProcess {
	i := slices.IndexFunc(h.nodes, func(n *hubProcess) bool { return n.name == name })
	if i < 0 {
		h.d.t.Fatalf("no node is named %q", name)
	}
	return h.nodes[i]
}

// Three nodes as three processes, with secrets and TLS. The node that leads a log is killed: appends go on, and what was
// acknowledged is there. The node that a leaf is linked to is killed: its devices are answered again. The killed one comes
// back each time. A node that is told to stop does so in time, and another folder's process is not let near its own.
func TestAHubOfThreeProcessesOutlivesEachOfThem(t *testing.T) {
	t.Parallel() // it waits most of the time, and for what it sees
	h := startHub(t)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()

	log, err := jetstream.Open(ctx, h.connect(h.dialer().Connect), id.JobLog, jetstream.Options{Replicas: 3})
	if err != nil {
		t.Fatal(err)
	}
	number := uint64(0)
	for range *takeovers {
		for range 20 {
			number++
			appendUntilItStands(t, log, number)
		}
		var servers []string
		h.d.eventually(patience, "the log has a leader", func() bool {
			servers, err = log.Servers(ctx)
			return err == nil
		})
		h.killAndRevive(h.node(servers[0]), func() { // the first is the leader
			began := time.Now()
			number++
			appendUntilItStands(t, log, number)
			t.Logf("the leader of the log was killed: the next append was accepted after %.2f s", time.Since(began).Seconds())
		})
	}
	for n := uint64(1); n <= number; n++ {
		var r eventstore.Record
		h.d.eventually(patience, fmt.Sprintf("message %d of %d is read", n, number), func() bool { // who leads may be elected just now
			r, err = log.Get(ctx, n)
			return err == nil
		})
		if !bytes.Equal(r.Data, contents(n)) {
			t.Fatalf("message %d of %d: %q", n, number, r.Data)
		}
	}

	h.leafGoesOn(t)

	stopping := h.nodes[0]
	began := time.Now()
	if err := stopping.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	number++
	appendUntilItStands(t, log, number)
	t.Logf("a node was told to stop: the next append was accepted after %.2f s", time.Since(began).Seconds())
	select {
	case <-stopping.exited:
	case <-time.After(patience):
		t.Fatalf("it does not stop\n%s", stopping.output)
	}
	t.Logf("it stopped in %.2f s", time.Since(began).Seconds())
	if stopping.err != nil {
		t.Errorf("a node that was told to stop: %v\n%s", stopping.err, stopping.output)
	}
	if _, err := os.Stat(node.EndpointsFile(stopping.data)); err == nil {
		t.Error("endpoints.json is there after a stop")
	}
	// Alone it would write to its replica of the logs by itself.
	h.refused([]string{"broker", "hub", "--data", stopping.data, "--name", stopping.name, "--nats-port", "0", "--leaf-port", "0", "--monitor-port", "0"}, "cannot become that of a hub of one node")
	h.refused([]string{"audit", "log", "verify", "--data", stopping.data}, "cannot be opened alone")
}

func (h *hub) refused(args []string, want string) {
	h.d.t.Helper()
	p := h.d.start(args...)
	select {
	case <-p.exited:
	case <-time.After(patience):
		h.d.t.Fatalf("%q goes on", args)
	}
	if p.err == nil || !strings.Contains(p.output.String(), want) {
		h.d.t.Errorf("%q: %v, want %q\n%s", args, p.err, want, p.output)
	}
}

func contents(n uint64) []byte { return fmt.Appendf(nil, "message %d", n) }

// appendUntilItStands appends as a host does: what is not answered is looked for, and sent again if it is not there.
func appendUntilItStands(t *testing.T, log *jetstream.Backend, number uint64) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		err := log.Append(ctx, number, contents(number))
		cancel()
		if err == nil {
			return
		}
		if errors.Is(err, eventstore.ErrConflict) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			r, missing := log.Get(ctx, number)
			cancel()
			if missing == nil && bytes.Equal(r.Data, contents(number)) {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("append %d: %v", number, err)
		}
	}
}

// leafGoesOn starts a leaf and a home's owner, and kills the node that the leaf is linked to.
func (h *hub) leafGoesOn(t *testing.T) {
	data := filepath.Join(t.TempDir(), "leaf")
	leaf := &hubProcess{name: "leaf-1", data: data, process: h.d.start("broker", "leaf", "--data", data, "--name", "leaf-1", "--hub", h.leafs(),
		"--creds", h.secret("leaf.json"), "--tls-ca", h.secret("ca.crt"), "--mqtt-port", "0", "--nats-port", "0", "--monitor-port", "0")}
	e := h.awaitReady(leaf)
	owner := h.connect(h.dialer().ConnectFront)
	if _, err := owner.Subscribe("drover.home.>", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		t.Fatal(err)
	}
	device, err := nats.Connect(e.Devices, nats.CustomInboxPrefix("$aws.things.t1.jobs.$inbox"), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(device.Close)
	answered := func() {
		h.d.eventually(patience, "a device is answered", func() bool {
			m, err := device.Request("$aws.things.t1.jobs.get", []byte("hello"), 100*time.Millisecond)
			return err == nil && string(m.Data) == "hello"
		})
	}
	answered()
	for range *takeovers {
		var linked int
		h.d.eventually(patience, "the leaf is linked to a node", func() bool {
			linked = slices.IndexFunc(h.nodes, func(n *hubProcess) bool { return h.leafsOf(n) > 0 })
			return linked >= 0
		})
		h.killAndRevive(h.nodes[linked], func() {
			began := time.Now()
			answered()
			t.Logf("the node of the leaf was killed: a device was answered again after %.2f s", time.Since(began).Seconds())
		})
	}
}

// leafsOf is how many leafs a node says it has.
func (h *hub) leafsOf(n *hubProcess) int {
	h.d.t.Helper()
	resp, err := http.Get("http://127.0.0.1:" + n.args[slices.Index(n.args, "--monitor-port")+1] + "/leafz")
	if err != nil {
		h.d.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.d.t.Fatal(err)
	}
	var page struct {
		Leafs []struct{} `json:"leafs"`
	}
	if err := json.Unmarshal(text, &page); err != nil {
		h.d.t.Fatalf("%v: %s", err, text)
	}
	return len(page.Leafs)
}
