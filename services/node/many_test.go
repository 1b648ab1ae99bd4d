package node_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/droverhq/drover/eventstore/eventstoretest"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/node"
)

// patience is how long a test waits for what must happen; nothing is measured by it.
const patience = 60 * time.Second

// cluster is a hub and what its clients see of the nodes on it.
type cluster struct {
	t         *testing.T
	hub       *broker.Hub
	hubConfig broker.HubConfig
	client    *bus.Client
	lost      losses
}

// startCluster starts a hub with a system of two homes, and no node yet.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t}
	c.startHub(broker.HubConfig{Dir: t.TempDir(), Homes: 2, NATSPort: eventstoretest.FreePort(t)})
	c.init()
	return c
}

func (c *cluster) startHub(cfg broker.HubConfig) {
	c.t.Helper()
	hub, err := broker.StartHub(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	first := c.hub == nil
	c.hub, c.hubConfig = hub, cfg
	if first {
		c.t.Cleanup(func() { c.hub.Close() }) // after the nodes, also where it was started again
	}
	nc, err := nats.Connect(hub.ClientURL(), nats.Timeout(patience))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(nc.Close)
	c.client = newClient(nc)
}

func (c *cluster) init() node.Record {
	c.t.Helper()
	r, err := node.Init(c.t.Context(), c.hub.Dialer(), node.Birth{Homes: 2, Replicas: 1, LogBytes: 1 << 30})
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

func (c *cluster) config(name string, roles ...node.Role) node.Config {
	cfg := config(c.t.TempDir())
	cfg.Logger = slog.New(&c.lost)
	cfg.Hub, cfg.Homes, cfg.Name, cfg.Roles = c.hub.Dialer(), 0, name, roles
	return cfg
}

// start starts a node and waits until it is ready.
func (c *cluster) start(name string, roles ...node.Role) *member {
	c.t.Helper()
	return c.startWith(c.config(name, roles...))
}

func (c *cluster) startWith(cfg node.Config) *member {
	c.t.Helper()
	n, err := node.Start(c.t.Context(), cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	m := &member{Node: n, t: c.t}
	c.t.Cleanup(m.close)
	return m
}

// member is a node of a cluster.
type member struct {
	*node.Node
	t *testing.T
}

func (m *member) close() {
	if err := m.Close(); err != nil {
		m.t.Errorf("%s: %v", m.Name(), err)
	}
}

func (c *cluster) partitions() (r *v1.ListPartitionsReply) {
	c.t.Helper()
	eventually(c.t, "the partitions are listed", func() bool {
		var err error
		if r, err = bus.ListPartitions.Call(c.t.Context(), c.client, &v1.ListPartitions{}); err != nil && !unavailable(err) {
			c.t.Fatal(err)
		}
		return err == nil
	})
	return r
}

// epochs checks that each log has had so many owners, or more if leases were lost that nobody gave up.
func (c *cluster) epochs(want func(*v1.Partition) uint64) {
	c.t.Helper()
	for _, p := range c.partitions().GetPartitions() {
		if n := want(p); p.GetEpoch() < n || p.GetEpoch() > n && c.lost.n.Load() == 0 {
			c.t.Errorf("log %d/%d had %d owners, want %d", p.GetService(), p.GetHome(), p.GetEpoch(), n)
		}
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come about in %v that %s", patience, what)
		}
	}
}

// owners are the members that own the logs, by log.
func owners(r *v1.ListPartitionsReply) map[string]string {
	all := map[string]string{}
	for _, p := range r.GetPartitions() {
		all[fmt.Sprintf("%d/%d", p.GetService(), p.GetHome())] = p.GetOwner()
	}
	return all
}

func only(owners map[string]string, name string) bool {
	for _, o := range owners {
		if o != name {
			return false
		}
	}
	return len(owners) == 5
}

// A process may be there before the brokers, and before the system: it says what it waits for.
func TestANodeWaitsForTheBrokersAndForTheSystem(t *testing.T) {
	t.Parallel() // it waits
	port, monitor := eventstoretest.FreePort(t), eventstoretest.FreePort(t)
	auth := broker.Auth{Service: "s", Front: "f", Inbox: "i", HTTP: "h", Leaf: "l", Client: "c", System: "y", Cluster: "k", Seal: "e"}
	cfg := config(t.TempDir())
	cfg.Homes, cfg.Name, cfg.MonitorPort = 0, "early", monitor
	cfg.Hub = &broker.Dialer{URLs: []string{fmt.Sprintf("nats://127.0.0.1:%d", port)}, Auth: auth}

	type outcome struct {
		n   *node.Node
		err error
	}
	started := make(chan outcome, 1)
	go func() {
		n, err := node.Start(t.Context(), cfg)
		started <- outcome{n, err}
	}()
	waits := func(for_ string) func() bool {
		return func() bool {
			select {
			case o := <-started:
				t.Fatalf("it has started: %v, %v", o.n, o.err)
			default:
			}
			ready, waiting := readiness(t, fmt.Sprintf("http://127.0.0.1:%d", cfg.MonitorPort))
			return !ready && strings.Contains(strings.Join(waiting, "; "), for_)
		}
	}
	eventually(t, "it waits for the hub", waits("the hub"))
	c := &cluster{t: t}
	c.startHub(broker.HubConfig{Dir: t.TempDir(), Homes: 2, NATSPort: port, Auth: auth})
	eventually(t, "it waits for the system", waits("drover init"))
	c.init()
	select {
	case o := <-started:
		if o.err != nil {
			t.Fatal(o.err)
		}
		m := &member{Node: o.n, t: t}
		t.Cleanup(m.close)
	case <-time.After(patience):
		t.Fatal("it does not start")
	}
	eventually(t, "it has started and is ready", func() bool {
		ready, _ := readiness(t, fmt.Sprintf("http://127.0.0.1:%d", cfg.MonitorPort))
		return ready
	})
	eventually(t, "it owns everything", func() bool { return only(owners(c.partitions()), "early") })
}

// readiness asks /readyz; nobody there is not ready.
func readiness(t *testing.T, monitor string) (ready bool, waiting []string) {
	t.Helper()
	resp, err := http.Get(monitor + "/readyz")
	if err != nil {
		return false, nil
	}
	defer resp.Body.Close()
	var body struct {
		Ready      bool
		WaitingFor []string
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	if body.Ready != (resp.StatusCode == http.StatusOK) {
		t.Errorf("status %d with %+v", resp.StatusCode, body)
	}
	return body.Ready, body.WaitingFor
}

// Each role in a process of its own: a job goes through all of them, and each reads the logs that it needs.
func TestRolesInProcessesOfTheirOwn(t *testing.T) {
	t.Parallel() // it waits
	c := startCluster(t)
	for _, r := range node.Roles() {
		c.start(string(r), r)
	}
	s := &system{t: t, client: c.client}
	s.fleet(10)
	s.job("j")
	s.until("j", func(r *v1.DescribeJobReply) bool { return attempts(r, queued) == 10 })
	var r *v1.ListPartitionsReply
	eventually(t, "all members are seen", func() bool { r = c.partitions(); return len(r.GetMembers()) == len(node.Roles()) })
	want := map[string]string{"1/0": "job", "2/0": "targeting", "3/0": "rollout", "4/0": "execution", "4/1": "execution"}
	eventually(t, "everybody owns what he hosts", func() bool { return maps.Equal(owners(c.partitions()), want) })
	var names []string
	for _, m := range r.GetMembers() {
		names = append(names, m.GetName())
		if len(m.GetRoles()) != 1 || m.GetRoles()[0] != m.GetName() || m.GetVersion() != "test" {
			t.Errorf("member %v", m)
		}
	}
	if !slices.Equal(names, []string{"execution", "feed", "http", "inbox", "job", "projections", "rollout", "targeting"}) {
		t.Errorf("members: %v", names)
	}
	eventually(t, "each log is served by the one who hosts it", func() bool { // members say how they are twice a second
		return !slices.ContainsFunc(c.partitions().GetPartitions(), func(p *v1.Partition) bool {
			return len(p.GetMembers()) != 1 || p.GetMembers()[0].GetState() != "serving" || !p.GetMembers()[0].GetPreferred() || p.GetEnd() == 0
		})
	})
	c.epochs(func(*v1.Partition) uint64 { return 1 })
}

func TestTheBirthOfASystem(t *testing.T) {
	c := startCluster(t)
	if r := c.init(); !r.LogsCreated || r.Homes != 2 || r.Replicas != 1 {
		t.Errorf("the second time: %+v", r)
	}
	dialer := c.hub.Dialer()
	for want, b := range map[string]node.Birth{
		"born with 2":               {Homes: 3, Replicas: 1, LogBytes: 1 << 30},
		"--replicas 3: this system": {Homes: 2, Replicas: 3, LogBytes: 1 << 30},
	} {
		if _, err := node.Init(t.Context(), dialer, b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", b, err)
		}
	}
	cfg := c.config("other")
	cfg.Homes = 7
	if _, err := node.Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "born with 2") {
		t.Errorf("other homes: %v", err)
	}
	c.deleteStream("log-rollout-0001")
	for what, start := range map[string]func() error{
		"a node":       func() error { _, err := node.Start(t.Context(), c.config("lost")); return err },
		"another init": func() error { _, err := node.Init(t.Context(), dialer, node.Birth{Homes: 2, Replicas: 1}); return err },
	} {
		if err := start(); err == nil || !strings.Contains(err.Error(), "log rollout: there is no stream") {
			t.Errorf("%s on a system that lost a log: %v", what, err)
		}
	}
}

func (c *cluster) deleteStream(name string) {
	c.t.Helper()
	nc, err := c.hub.Dialer().Connect("test")
	if err != nil {
		c.t.Fatal(err)
	}
	defer nc.Close()
	m, err := nc.Request("$JS.API.STREAM.DELETE."+name, nil, patience)
	if err != nil || !strings.Contains(string(m.Data), `"success":true`) {
		c.t.Fatalf("%v %s", err, m.Data)
	}
}

// The broker goes and comes back, without the leases, which it keeps in memory: processes go on by themselves.
func TestProcessesOutliveTheirBroker(t *testing.T) {
	t.Parallel() // it waits
	c := startCluster(t)
	a, b := c.start("a"), c.start("b")
	s := &system{Node: a.Node, t: t, client: c.client}
	s.fleet(3)
	away := time.Now()
	c.hub.Close()
	for _, m := range []*member{a, b} {
		eventually(t, "it says that it waits for the hub", func() bool {
			ready, waiting := readiness(t, m.Endpoints().Monitor)
			return !ready && strings.Contains(strings.Join(waiting, "; "), "the hub")
		})
	}
	back := time.Now()
	c.startHub(c.hubConfig)
	s.client = c.client
	for _, m := range []*member{a, b} {
		eventually(t, "it is ready again", func() bool { ready, _ := readiness(t, m.Endpoints().Monitor); return ready })
	}
	began := time.Now()
	eventually(t, "the job is created", func() bool { // an owner may not be back yet
		err := s.createJob("j")
		if err != nil && !unavailable(err) {
			t.Fatal(err)
		}
		return err == nil
	})
	eventually(t, "the job is described", func() bool { // read models may be behind for a while
		r, err := bus.DescribeJob.Call(t.Context(), s.client, &v1.DescribeJob{JobId: "j", Freshness: &v1.Freshness{Fresh: true}})
		return err == nil && attempts(r, queued) == 3
	})
	t.Logf("away for %v, ready again after %v, a job goes through %v later", back.Sub(away).Round(time.Millisecond), began.Sub(back).Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	for _, m := range []*member{a, b} {
		select {
		case err := <-m.Failed():
			t.Errorf("%s: %v", m.Name(), err)
		default:
		}
	}
}

// Without a broker nothing can be handed over, and a process ends all the same.
func TestAProcessEndsWithoutItsBroker(t *testing.T) {
	t.Parallel() // it waits
	c := startCluster(t)
	a := c.start("a")
	s := &system{Node: a.Node, t: t, client: c.client}
	s.fleet(3)
	c.hub.Close()
	eventually(t, "it knows", func() bool { ready, _ := readiness(t, a.Endpoints().Monitor); return !ready })
	began := time.Now()
	err := a.Close()
	t.Logf("closed after %v: %v", time.Since(began).Round(time.Millisecond), err)
	if took := time.Since(began); took > patience {
		t.Errorf("it took %v", took)
	}
}

// Two processes of one name would take each other for themselves.
func TestANameIsOneProcess(t *testing.T) {
	t.Parallel() // it waits
	c := startCluster(t)
	c.start("a", node.RoleJob)
	n, err := node.Start(t.Context(), c.config("a", node.RoleTargeting))
	if err == nil {
		select {
		case err = <-n.Failed():
		case <-time.After(patience):
		}
		_ = n.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "--name") {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"a.b", strings.Repeat("x", 65), "a b"} {
		if _, err := node.Start(t.Context(), c.config(name)); err == nil || !strings.Contains(err.Error(), "the name") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// A folder of a system that runs belongs to one process, also where the brokers are elsewhere.
func TestAFolderServesOneProcess(t *testing.T) {
	c := startCluster(t)
	cfg := c.config("a", node.RoleJob)
	c.startWith(cfg)
	cfg.Name = "b"
	var inUse *broker.InUseError
	if _, err := node.Start(t.Context(), cfg); !errors.As(err, &inUse) {
		t.Errorf("got %v", err)
	}
}

// The number of homes stands in the brokers' configuration too.
func TestBrokersWithAnotherNumberOfHomesAreRefused(t *testing.T) {
	c := &cluster{t: t}
	c.startHub(broker.HubConfig{Dir: t.TempDir(), Homes: 3})
	c.init()
	if _, err := node.Start(t.Context(), c.config("a", node.RoleExecution)); err == nil || !strings.Contains(err.Error(), "--homes 2") {
		t.Errorf("got %v", err)
	}
	c.start("b", node.RoleJob)
}
