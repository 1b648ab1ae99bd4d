package jetstream_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/droverhq/drover/eventstore/eventstoretest"
	"github.com/droverhq/drover/eventstore/jetstream"
	"github.com/droverhq/drover/proto/id"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// within is a context that ends with the test or its patience.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until f holds.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for ctx := within(t); !f(); {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v", what, patience)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// start starts a server that flushes every write.
func start(t testing.TB, dir string, change ...func(*server.Options)) *server.Server {
	t.Helper()
	opts := &server.Options{
		ServerName: "n1", Host: "127.0.0.1", Port: eventstoretest.FreePort(t), StoreDir: dir, JetStream: true, SyncAlways: true,
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 30, NoSigs: true, NoLog: true,
	}
	for _, c := range change {
		c(opts)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	return s
}

func connect(t testing.TB, urls string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(urls, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.RetryOnFailedConnect(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func open(t testing.TB, nc *nats.Conn, name id.Log, opts jetstream.Options) *jetstream.Backend {
	t.Helper()
	b, err := jetstream.Open(within(t), nc, name, opts)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// cluster is three servers.
type cluster struct {
	t       testing.TB
	dirs    []string
	options []func(*server.Options)
	servers []*server.Server
}

func startCluster(t testing.TB) *cluster {
	c := &cluster{t: t}
	var routes []string
	var ports []int
	for range 3 {
		port := eventstoretest.FreePort(t)
		ports = append(ports, port)
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	for i := range 3 {
		dir, client := t.TempDir(), 0
		c.dirs = append(c.dirs, dir)
		c.options = append(c.options, func(o *server.Options) {
			o.ServerName = fmt.Sprintf("n%d", i+1)
			o.HTTPHost, o.HTTPPort = "127.0.0.1", -1
			o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[i]}
			for _, r := range routes {
				u, _ := url.Parse(r)
				o.Routes = append(o.Routes, u)
			}
			if client != 0 {
				o.Port = client // again where its clients look for it
			}
		})
		s := start(t, dir, c.options[i])
		client = s.Addr().(*net.TCPAddr).Port
		c.servers = append(c.servers, s)
	}
	eventually(t, "three servers have a leader", func() bool {
		n := 0
		for _, s := range c.servers {
			if s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == 3 {
				n++
			}
		}
		return n == 1
	})
	return c
}

func (c *cluster) urls() string {
	var urls []string
	for _, s := range c.servers {
		urls = append(urls, s.ClientURL())
	}
	return strings.Join(urls, ",")
}

// leader is the server that leads a log's stream.
func (c *cluster) leader(b *jetstream.Backend) int {
	c.t.Helper()
	return c.leaderOf(b.Stream())
}

func (c *cluster) leaderOf(stream string) (found int) {
	c.t.Helper()
	eventually(c.t, "the stream has a leader", func() bool {
		for i, s := range c.servers {
			if s.Running() && s.JetStreamIsStreamLeader("$G", stream) {
				found = i
				return true
			}
		}
		return false
	})
	return found
}

func (c *cluster) stop(i int) {
	c.servers[i].Shutdown()
	c.servers[i].WaitForShutdown()
}

func (c *cluster) restart(i int) { c.servers[i] = start(c.t, c.dirs[i], c.options[i]) }

// lazy lets a server flush when it likes.
func lazy(o *server.Options) { o.SyncAlways = false }

// onAddr makes a server listen where another one did.
func onAddr(addr string) func(*server.Options) {
	return func(o *server.Options) {
		_, port, _ := net.SplitHostPort(addr)
		o.Port, _ = strconv.Atoi(port)
	}
}
