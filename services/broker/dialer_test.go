package broker

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/droverhq/drover/eventstore/eventstoretest"
)

// stall is a way to a hub that can be made to hang: it takes what it is sent, and hands nothing on.
type stall struct {
	net.Listener
	hangs atomic.Bool
}

func startStall(t *testing.T, to string) *stall {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stall{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", strings.TrimPrefix(to, "nats://"))
			if err != nil {
				in.Close()
				continue
			}
			t.Cleanup(func() { in.Close(); out.Close() })
			go s.pass(in, out)
			go s.pass(out, in)
		}
	}()
	return s
}

func (s *stall) pass(from io.Reader, to io.Writer) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if s.hangs.Load() {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func TestANodeThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	h := startTestHub(t, nil)
	way := startStall(t, h.ClientURL())
	d := h.Dialer()
	d.URLs = []string{"nats://" + way.Addr().String(), h.ClientURL()}
	nc, err := d.Connect("test", nats.DontRandomize())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if nc.ConnectedAddr() != way.Addr().String() {
		t.Fatalf("it is connected to %s", nc.ConnectedAddr())
	}
	way.hangs.Store(true)
	began := time.Now()
	await(t, clusterPatience, "the connection", func() string {
		if nc.ConnectedUrl() == h.ClientURL() {
			return ""
		}
		return "another node"
	})
	t.Logf("another node after %.1f s", time.Since(began).Seconds())
}

// A connection that cannot be made now is made later, also if it is turned away for a while; and meanwhile a publish fails.
func TestAConnectionIsNeverGivenUpAndKeepsNothingBack(t *testing.T) {
	c := HubConfig{Dir: t.TempDir(), Homes: 1, NATSPort: eventstoretest.FreePort(t)}
	h, err := StartHub(c)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := h.Dialer().Connect("test")
	if err != nil {
		h.Close()
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	h.Close()
	waitFor(t, func() bool { return nc.Status() == nats.RECONNECTING })
	if err := nc.Publish("log.job.1", nil); err == nil {
		t.Error("a publish was kept back")
	}
	// Another's hub on that port turns it away, more than once.
	seen := &said{}
	other := startTestHub(t, func(o *HubConfig) { o.NATSPort = c.NATSPort; o.Logger = newLogger(seen) })
	waitFor(t, func() bool {
		n := 0
		for _, s := range seen.all() {
			if strings.Contains(s, "authentication error") {
				n++
			}
		}
		return n > 3
	})
	other.Close()
	if h, err = StartHub(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	waitFor(t, nc.IsConnected)
}

func TestWhoseFileLacksAPasswordIsToldWhose(t *testing.T) {
	h := startTestHub(t, nil)
	d := h.Dialer()
	d.Auth = d.Auth.only(ServiceUsers)
	d.Auth.Inbox = ""
	if nc, err := d.ConnectInbox("test"); err == nil {
		nc.Close()
		t.Error("it is connected")
	} else if !strings.Contains(err.Error(), "user inbox") {
		t.Error(err)
	}
}
