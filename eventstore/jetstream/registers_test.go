package jetstream_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/eventstoretest"
	"github.com/droverhq/drover/eventstore/jetstream"
)

func registersOf(t testing.TB, nc *nats.Conn, bucket jetstream.Bucket, replicas int) *jetstream.Registers {
	t.Helper()
	r, err := jetstream.CreateRegisters(within(t), nc, bucket, replicas)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRegisters(t *testing.T) {
	nc := connect(t, start(t, t.TempDir()).ClientURL())
	for _, bucket := range []jetstream.Bucket{jetstream.Leases, jetstream.System} {
		t.Run(string(bucket), func(t *testing.T) {
			if _, err := jetstream.OpenRegisters(within(t), nc, bucket); !errors.Is(err, jetstream.ErrNoBucket) {
				t.Fatalf("open before it is made: %v, want ErrNoBucket", err)
			}
			eventstoretest.RegistersSuite(t, func(t *testing.T) eventstore.Registers { return registersOf(t, nc, bucket, 1) })
			opened, err := jetstream.OpenRegisters(within(t), nc, bucket)
			if err != nil {
				t.Fatal(err)
			}
			eventstoretest.RegistersSuite(t, func(t *testing.T) eventstore.Registers { return opened })
		})
	}
}

// People look at the buckets with NATS' own tools.
func TestRegistersAreKeysOfABucket(t *testing.T) {
	nc := connect(t, start(t, t.TempDir()).ClientURL())
	r, ctx := registersOf(t, nc, jetstream.System, 1), within(t)
	if _, err := r.Set(ctx, "owner.execution-0", []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	api, err := js.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := api.KeyValue(ctx, string(jetstream.System))
	if err != nil {
		t.Fatal(err)
	}
	if e, err := kv.Get(ctx, "owner.execution-0"); err != nil || string(e.Value()) != "x" {
		t.Fatalf("got %v, %v", e, err)
	}
	if err := kv.Delete(ctx, "owner.execution-0"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get(ctx, "owner.execution-0"); !errors.Is(err, eventstore.ErrNoRegister) {
		t.Fatalf("after KV's delete: %v", err)
	}
	status, err := kv.Status(ctx)
	if err != nil || status.TTL() != 0 {
		t.Fatalf("its TTL is %v (%v), want none", status.TTL(), err)
	}
}

// Leases are kept in memory: a broker that restarts has lost the bucket, and the system's record it has not.
func TestRegistersAfterARestart(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	addr := s.Addr().String()
	nc, ctx := connect(t, s.ClientURL()), within(t)
	leases, system := registersOf(t, nc, jetstream.Leases, 1), registersOf(t, nc, jetstream.System, 1)
	for _, r := range []*jetstream.Registers{leases, system} {
		if _, err := r.Set(ctx, "a", []byte("x"), 0); err != nil {
			t.Fatal(err)
		}
	}
	s.Shutdown()
	s.WaitForShutdown()
	start(t, dir, onAddr(addr))
	eventually(t, "the bucket of leases is made anew by who misses it", func() bool {
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := leases.Get(short, "a")
		return errors.Is(err, eventstore.ErrNoRegister)
	})
	if _, err := leases.Set(ctx, "a", []byte("y"), 0); err != nil {
		t.Fatal(err)
	}
	if got, err := system.Get(ctx, "a"); err != nil || string(got.Value) != "x" {
		t.Fatalf("the system's record: %q, %v", got.Value, err)
	}
}

// A bucket that keeps or loses registers otherwise is refused, and left as it is.
func TestRegistersOfAnotherShape(t *testing.T) {
	nc := connect(t, start(t, t.TempDir()).ClientURL())
	ctx := within(t)
	api, err := js.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.CreateKeyValue(ctx, js.KeyValueConfig{Bucket: string(jetstream.Leases), Storage: js.FileStorage, History: 5}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := jetstream.CreateRegisters(ctx, nc, jetstream.Leases, 1)
		if err == nil || errors.Is(err, jetstream.ErrNoBucket) {
			t.Fatalf("got %v, want what differs", err)
		}
	}
}

// testRegistersLeader counts in a register while its leader changes: no count is lost, none is counted twice, and no
// read is older than what was set.
func (c *cluster) testRegistersLeader(t *testing.T) {
	var all []*jetstream.Registers
	for _, s := range c.servers { // each from another server
		all = append(all, registersOf(t, connect(t, s.ClientURL()), jetstream.Leases, 3))
	}
	const sets, steps = 60, 3
	leaders := map[int]bool{}
	revision := uint64(0)
	for n := 1; n <= sets || len(leaders) < 2 && n <= 5*sets; n++ { // the same may be elected again
		if n%(sets/steps) == 5 {
			leaders[c.leaderOf("KV_"+string(jetstream.Leases))] = true
			c.stepDown("KV_" + string(jetstream.Leases))
		}
		value := strconv.Itoa(n)
		eventually(t, "set "+value+" is resolved", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if set, err := all[n%3].Set(ctx, "count", []byte(value), revision); err == nil {
				revision = set
				return true
			}
			got, err := all[n%3].Get(ctx, "count")
			if err == nil && string(got.Value) == value {
				revision = got.Revision
				return true
			}
			return false
		})
		for _, r := range all {
			eventually(t, "it can be read", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				got, err := r.Get(ctx, "count")
				if err == nil && string(got.Value) != value {
					t.Fatalf("got %q after %s was set", got.Value, value)
				}
				return err == nil
			})
		}
	}
	if leaders[c.leaderOf("KV_"+string(jetstream.Leases))] = true; len(leaders) < 2 {
		t.Fatal("the leader was never another")
	}
}

func (c *cluster) stepDown(stream string) {
	c.t.Helper()
	nc := connect(c.t, c.urls())
	defer nc.Close()
	if _, err := nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil, patience); err != nil {
		c.t.Fatal(err)
	}
}
