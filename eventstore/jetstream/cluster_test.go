package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/eventstoretest"
	"github.com/droverhq/drover/eventstore/jetstream"
	"github.com/droverhq/drover/proto/id"
)

// TestCluster runs on three servers: first the contract, then what only a cluster does: it loses its quorum under an
// append, and its leader. All on one cluster, because it takes seconds to start.
func TestCluster(t *testing.T) {
	c := startCluster(t)
	opts := jetstream.Options{Replicas: 3, Create: true}
	nc := connect(t, c.urls())
	t.Run("contract", func(t *testing.T) { eventstoretest.Suite(t, opener(nc, opts)) })
	t.Run("the contract of registers", func(t *testing.T) {
		eventstoretest.RegistersSuite(t, func(t *testing.T) eventstore.Registers { return registersOf(t, nc, jetstream.Leases, 3) })
	})
	t.Run("registers survive a change of leader", c.testRegistersLeader)
	t.Run("every server that holds a replica is asked whether it flushes", func(t *testing.T) { c.testSync(t, open(t, nc, id.RolloutLog, opts)) })
	t.Run("an append survives a change of leader", func(t *testing.T) { c.testLeader(t, nc, open(t, nc, id.JobLog, opts)) })
	t.Run("an append without a quorum is unknown and is resolved", func(t *testing.T) { c.testQuorum(t, open(t, nc, id.TargetingLog, opts)) })
	t.Run("leases survive a change of leader", c.testLeases) // the last: a server is stopped
}

func (c *cluster) testSync(t *testing.T, b *jetstream.Backend) {
	ctx := within(t)
	servers, err := b.Servers(ctx)
	if err != nil || len(servers) != 3 {
		t.Fatalf("the log is held by %v (%v), want three servers", servers, err)
	}
	var monitors []string
	for _, s := range c.servers {
		monitors = append(monitors, "http://"+s.MonitorAddr().String())
	}
	// A busy server may take longer to answer than is waited for.
	eventually(t, "all servers flush", func() bool {
		return jetstream.CheckSync(ctx, servers, jetstream.Settings{Monitors: monitors}) == nil
	})
	eventually(t, "n3 alone cannot be read", func() bool {
		err := jetstream.CheckSync(ctx, servers, jetstream.Settings{Monitors: monitors[:2]})
		var unsafe *jetstream.UnsafeSyncError
		return errors.As(err, &unsafe) && len(unsafe.Unread) == 1 && unsafe.Unread["n3"] != ""
	})
}

func (c *cluster) testLeader(t *testing.T, nc *nats.Conn, b *jetstream.Backend) {
	const messages, steps = 60, 3
	f := c.follow(t, b)
	leaders := map[int]bool{}
	n := uint64(0)
	for n < messages || len(leaders) < 2 && n < 5*messages { // the same may be elected again
		n++
		if n%(messages/steps) == 5 {
			leaders[c.leader(b)] = true
			if _, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+b.Stream(), nil, patience); err != nil {
				t.Fatal(err)
			}
		}
		resolve(t, b, n)
	}
	f.expect(n)
	if leaders[c.leader(b)] = true; len(leaders) < 2 {
		t.Fatalf("the leader was never another than n%d", c.leader(b)+1)
	}
}

func (c *cluster) testQuorum(t *testing.T, b *jetstream.Backend) {
	ctx := within(t)
	f := c.follow(t, b)
	for n := uint64(1); n <= 10; n++ {
		resolve(t, b, n)
	}
	leader := c.leader(b)
	for i := range c.servers {
		if i != leader {
			c.stop(i)
		}
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := b.Append(short, 11, content(11))
	if err == nil || errors.Is(err, eventstore.ErrConflict) || errors.Is(err, eventstore.ErrFull) {
		t.Fatalf("got %v, want an outcome that is unknown", err)
	}
	for i := range c.servers {
		if i != leader {
			c.restart(i)
		}
	}
	for n := uint64(11); n <= 20; n++ {
		resolve(t, b, n)
	}
	f.expect(20)
	if first, last, err := b.Bounds(ctx); err != nil || first != 1 || last != 20 {
		t.Fatalf("bounds are %d to %d (%v), want 1 to 20", first, last, err)
	}
}

func content(n uint64) []byte { return fmt.Appendf(nil, "commit %d", n) }

// resolve appends as an owner does whose outcome may be unknown: it reads the number, and sends the same bytes again
// while nothing stands there. Another's bytes fail the test: there is no other writer.
func resolve(t *testing.T, b *jetstream.Backend, n uint64) {
	t.Helper()
	eventually(t, fmt.Sprintf("commit %d is resolved", n), func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Append(ctx, n, content(n)); err == nil {
			return true
		}
		rec, err := b.Get(ctx, n)
		if err == nil && !bytes.Equal(rec.Data, content(n)) {
			t.Fatalf("%d holds %q", n, rec.Data)
		}
		return err == nil
	})
}

// followed is what a follower got.
type followed struct {
	t    *testing.T
	mu   sync.Mutex // guards last
	last uint64
	err  chan error
}

// follow reads a log from its beginning through whatever happens, each number once and in order.
func (c *cluster) follow(t *testing.T, b *jetstream.Backend) *followed {
	f := &followed{t: t, err: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.err <- b.Follow(ctx, 1, func(r eventstore.Record) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			if r.Number != f.last+1 || !bytes.Equal(r.Data, content(r.Number)) {
				return fmt.Errorf("got %d %q after %d", r.Number, r.Data, f.last)
			}
			f.last = r.Number
			return nil
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return f
}

func (f *followed) expect(last uint64) {
	f.t.Helper()
	eventually(f.t, fmt.Sprintf("the follower gets %d", last), func() bool {
		select {
		case err := <-f.err:
			f.t.Fatalf("the follower ended: %v", err)
		default:
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.last == last
	})
}
