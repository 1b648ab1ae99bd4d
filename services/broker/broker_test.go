package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/proto/id"
)

const patience = 60 * time.Second

func startTestHub(t *testing.T, change func(*HubConfig)) *Hub {
	t.Helper()
	c := HubConfig{Dir: t.TempDir(), Homes: 7, change: addRoots}
	if change != nil {
		change(&c)
	}
	h, err := StartHub(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// addRoots adds a user to each account who may do everything there: the tests' own eyes and hands.
func addRoots(o *server.Options) {
	for _, account := range o.Accounts {
		o.Users = append(o.Users, &server.User{Username: "root-" + account.Name, Password: "root", Account: account})
	}
}

// root connects to a test hub as the one who may do everything in an account.
func root(t *testing.T, h *Hub, account string) *nats.Conn {
	t.Helper()
	return anonymous(t, h.ClientURL(), nats.UserInfo("root-"+account, "root"), nats.CustomInboxPrefix("_INBOX_FRONT.root"))
}

func startTestLeaf(t *testing.T, h *Hub) *Leaf {
	t.Helper()
	l, err := StartLeaf(LeafConfig{Dir: t.TempDir(), HubURLs: []string{h.LeafURL()}, HubPassword: h.LeafPassword()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func connectAs(t *testing.T, connect func(string, ...nats.Option) (*nats.Conn, error)) *nats.Conn {
	t.Helper()
	nc, err := connect("test", nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// anonymous connects without a name, as devices and operators do.
func anonymous(t *testing.T, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	nc, err := nats.Connect(url, append([]nats.Option{quiet, nats.Timeout(patience)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestAFolderHasOneHubAtATime(t *testing.T) {
	h := startTestHub(t, nil)
	dir := filepath.Dir(h.opts.StoreDir)
	for what, start := range map[string]func() (*Hub, error){
		"a second hub": func() (*Hub, error) { return StartHub(HubConfig{Dir: dir, Homes: 7}) },
		"offline":      func() (*Hub, error) { return StartOffline(dir, nil, nil) },
	} {
		second, err := start()
		if err == nil {
			second.Close()
			t.Fatalf("%s started on a folder in use", what)
		}
		if pid := fmt.Sprintf("process %d", os.Getpid()); !strings.Contains(err.Error(), pid) {
			t.Errorf("%s: %q does not name %s", what, err, pid)
		}
	}
}

func TestAPortInUseIsAnErrorThatNamesIt(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port
	h := startTestHub(t, nil)
	for what, start := range map[string]func() error{
		"hub, nats":  func() error { _, err := StartHub(HubConfig{Dir: t.TempDir(), Homes: 1, NATSPort: taken}); return err },
		"hub, leafs": func() error { _, err := StartHub(HubConfig{Dir: t.TempDir(), Homes: 1, LeafPort: taken}); return err },
		"leaf, mqtt": func() error {
			_, err := StartLeaf(LeafConfig{Dir: t.TempDir(), HubURLs: []string{h.LeafURL()}, HubPassword: h.LeafPassword(), MQTTPort: taken})
			return err
		},
	} {
		err := start()
		if err == nil || !strings.Contains(err.Error(), "address already in use") || !strings.Contains(err.Error(), fmt.Sprint(taken)) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestNobodyListensBeyondThisMachineByAccident(t *testing.T) {
	for _, listen := range []string{"0.0.0.0", "::", "192.0.2.1", "example.org"} {
		if _, err := StartHub(HubConfig{Dir: t.TempDir(), Homes: 1, Listen: listen}); err == nil || !strings.Contains(err.Error(), "--insecure") {
			t.Errorf("hub on %s: %v", listen, err)
		}
		if _, err := StartLeaf(LeafConfig{Dir: t.TempDir(), Listen: listen}); err == nil || !strings.Contains(err.Error(), "--insecure") {
			t.Errorf("leaf on %s: %v", listen, err)
		}
	}
	h := startTestHub(t, func(c *HubConfig) { c.Listen = "0.0.0.0"; c.Insecure = true })
	anonymous(t, h.ClientURL())
}

func TestPasswordsAreDrawnOnceAndKeptFromOthers(t *testing.T) {
	dir := t.TempDir()
	h, err := StartHub(HubConfig{Dir: dir, Homes: 1})
	if err != nil {
		t.Fatal(err)
	}
	first := h.auth
	h.Close()
	info, err := os.Stat(filepath.Join(dir, "auth"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("auth: %v, %v", info.Mode(), err)
	}
	seen := map[string]bool{}
	for _, p := range []string{first.Service, first.Front, first.Inbox, first.Leaf, first.Client, first.System, first.Cluster} {
		if len(p) < 20 || seen[p] {
			t.Errorf("password %q", p)
		}
		seen[p] = true
	}
	if h, err = StartHub(HubConfig{Dir: dir, Homes: 1}); err != nil {
		t.Fatal(err)
	}
	h.Close()
	if h.auth != first {
		t.Error("other passwords at the second start")
	}
	if err := os.Chmod(filepath.Join(dir, "auth"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := StartHub(HubConfig{Dir: dir, Homes: 1}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others may read: %v", err)
	}
}

func TestALeafWithAWrongPasswordHasNoLink(t *testing.T) {
	h := startTestHub(t, nil)
	began := time.Now()
	for _, password := range []string{"wrong", ""} {
		l, err := startLeafWithin(LeafConfig{Dir: t.TempDir(), HubURLs: []string{h.LeafURL()}, HubPassword: password}, time.Second)
		if err == nil {
			l.Close()
			t.Fatalf("password %q let a leaf in", password)
		}
		if !strings.Contains(err.Error(), "no link to the hub") {
			t.Error(err)
		}
	}
	if took := time.Since(began); took > patience {
		t.Errorf("took %v", took)
	}
}

func TestTheHubFlushesAndTheSystemUserCanSeeThat(t *testing.T) {
	h := startTestHub(t, nil)
	sys := connectAs(t, h.Dialer().ConnectSystem)
	m, err := sys.Request("$SYS.REQ.SERVER.PING.JSZ", []byte("{}"), patience)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Data struct {
			Config struct {
				SyncAlways bool `json:"sync_always"`
			} `json:"config"`
		} `json:"data"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil || !answer.Data.Config.SyncAlways {
		t.Errorf("%v: %s", err, m.Data)
	}
}

func TestWhatWasStoredIsThereAfterARestartAndOffline(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dir := t.TempDir()
	if _, err := StartOffline(dir, nil, nil); err == nil || !strings.Contains(err.Error(), "holds no logs") {
		t.Errorf("offline on an empty folder: %v", err)
	}
	h, err := StartHub(HubConfig{Dir: dir, Homes: 1})
	if err != nil {
		t.Fatal(err)
	}
	js, _ := jetstream.New(connectAs(t, h.Dialer().Connect))
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "log-job-0001", Subjects: []string{"log.job.1"}})
	if err == nil {
		_, err = js.Publish(ctx, "log.job.1", []byte("one"))
	}
	h.Close()
	if err != nil {
		t.Fatal(err)
	}
	if h, err = StartOffline(dir, nil, nil); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	js, _ = jetstream.New(connectAs(t, h.Dialer().Connect))
	s, err := js.Stream(ctx, "log-job-0001")
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.GetMsg(ctx, 1)
	if err != nil || string(m.Data) != "one" {
		t.Errorf("%v, %v", m, err)
	}
	if nc, err := net.Dial("tcp", net.JoinHostPort(h.opts.Host, fmt.Sprint(h.opts.Port))); err == nil {
		nc.Close()
		t.Error("it listens while it is offline")
	}
}

func TestRequestsReachTheHomeOfTheirThingInOneHop(t *testing.T) {
	h := startTestHub(t, nil)
	l := startTestLeaf(t, h)
	front := connectAs(t, h.Dialer().ConnectFront)
	got, err := front.SubscribeSync("drover.home.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := front.Flush(); err != nil {
		t.Fatal(err)
	}
	device, client := anonymous(t, l.ClientURL()), anonymous(t, h.ClientURL())
	things := []string{"t1", "press-07", "a:b_c-D", strings.Repeat("x", 128), "jobs", "get"}
	for i := range 20 {
		things = append(things, fmt.Sprintf("thing-%d", i))
	}
	for _, thing := range things {
		home := id.HomeOf(thing, 7)
		for _, c := range []struct {
			from       *nats.Conn
			sent, want string
		}{
			{device, "$aws.things." + thing + ".jobs.get", ".device." + thing + ".get"},
			{device, "$aws.things." + thing + ".jobs.start-next", ".device." + thing + ".start-next"},
			{device, "$aws.things." + thing + ".jobs.$next.get", ".device." + thing + ".$next.get"},
			{device, "$aws.things." + thing + ".jobs.j-1.get", ".device." + thing + ".j-1.get"},
			{device, "$aws.things." + thing + ".jobs.update.update", ".device." + thing + ".update.update"},
			{client, "drover.cmd.execution.cancel." + thing, ".cmd.cancel." + thing},
		} {
			if err := c.from.Publish(c.sent, []byte(thing)); err != nil {
				t.Fatal(err)
			}
			m, err := got.NextMsg(patience)
			if err != nil {
				t.Fatalf("%s: %v", c.sent, err)
			}
			if want := fmt.Sprintf("drover.home.%d%s", home, c.want); m.Subject != want || string(m.Data) != thing {
				t.Errorf("%s came as %s, want %s", c.sent, m.Subject, want)
			}
		}
	}
	if n, _, _ := got.Pending(); n != 0 {
		t.Errorf("%d messages came twice", n)
	}
}
