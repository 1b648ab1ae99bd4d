package jetstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/eventstoretest"
	"github.com/droverhq/drover/eventstore/jetstream"
	"github.com/droverhq/drover/proto/id"
)

// Three servers in processes of their own; both followers are stopped in the middle of what they do (SIGSTOP) while
// the owner appends, and go on later. What the owner is told is unknown, and is resolved to his own bytes.
func TestAnAppendWhileFollowersArePausedIsResolved(t *testing.T) {
	program := build(t)
	var routes []string
	for range 3 {
		routes = append(routes, fmt.Sprintf("127.0.0.1:%d", eventstoretest.FreePort(t)))
	}
	servers := map[string]process{}
	var urls []string
	for i, route := range routes {
		name := fmt.Sprint("n", i+1)
		servers[name] = startConfigured(t, program, fmt.Sprintf(`
			server_name: %s
			jetstream { store_dir: store, max_file: 1GB, max_mem: 64MB, sync_interval: always }
			cluster { name: c, listen: %q, routes: ["nats://%s"] }`, name, route, strings.Join(routes, `", "nats://`)))
		urls = append(urls, servers[name].client)
	}
	nc := connect(t, strings.Join(urls, ","))
	var b *jetstream.Backend
	eventually(t, "the cluster makes a stream", func() (ok bool) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var err error
		b, err = jetstream.Open(ctx, nc, id.JobLog, jetstream.Options{Replicas: 3, Create: true})
		return err == nil
	})
	for n := uint64(1); n <= 10; n++ {
		resolve(t, b, n)
	}

	leader := streamLeader(t, nc, b)
	signal := func(s syscall.Signal) {
		for name, p := range servers {
			if name != leader {
				if err := p.Signal(s); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	signal(syscall.SIGSTOP)
	defer signal(syscall.SIGCONT)
	// A client of a paused server has no answer either: what matters is that none is told that it is durable.
	short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err := b.Append(short, 11, content(11))
	if err == nil || errors.Is(err, eventstore.ErrConflict) || errors.Is(err, eventstore.ErrFull) {
		t.Fatalf("got %v, want an outcome that is unknown", err)
	}
	signal(syscall.SIGCONT)
	for n := uint64(11); n <= 20; n++ {
		resolve(t, b, n)
	}
	if first, last, err := b.Bounds(within(t)); err != nil || first != 1 || last != 20 {
		t.Fatalf("bounds are %d to %d (%v), want 1 to 20", first, last, err)
	}
}

// streamLeader is the name of the server that leads a log's stream.
func streamLeader(t *testing.T, nc *nats.Conn, b *jetstream.Backend) (name string) {
	t.Helper()
	eventually(t, "the stream has a leader", func() bool {
		m, err := nc.Request("$JS.API.STREAM.INFO."+b.Stream(), nil, 2*time.Second)
		var info struct{ Cluster struct{ Leader string } }
		if err == nil {
			err = json.Unmarshal(m.Data, &info)
		}
		name = info.Cluster.Leader
		return err == nil && name != ""
	})
	return name
}
