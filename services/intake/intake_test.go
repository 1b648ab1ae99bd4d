package intake_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/intake"
)

// connect connects to a broker of the test's own.
func connect(t *testing.T) *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("the broker does not start")
	}
	nc, err := nats.Connect(s.ClientURL(), nats.Timeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// owner answers as targeting's owner would, each question as of an earlier commit than the one before; it does not
// know things whose names begin with x. It returns how many targets each question named.
func owner(t *testing.T, nc *nats.Conn) func() []int {
	t.Helper()
	s, err := bus.NewServer(nc, "targeting", "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	var mu sync.Mutex
	var asked []int
	err = bus.Serve(s, bus.CheckTargets, func(_ context.Context, _ bus.Request, q *v1.CheckTargets) (*v1.CheckTargetsReply, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, len(q.Targets))
		reply := &v1.CheckTargetsReply{AsOf: uint64(100 - len(asked))}
		for _, target := range q.Targets {
			if target.GetThing()[0] == 'x' {
				reply.Unknown = append(reply.Unknown, target)
			}
		}
		return reply, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() []int {
		mu.Lock()
		defer mu.Unlock()
		return asked
	}
}

func things(names ...string) (targets []*v1.Target) {
	for _, name := range names {
		targets = append(targets, &v1.Target{Target: &v1.Target_Thing{Thing: name}})
	}
	return targets
}

func TestManyTargetsAreAskedForInPartsAndTheEarliestCommitCounts(t *testing.T) {
	nc := connect(t)
	asked := owner(t, nc)
	var names []string
	for i := range 1200 {
		names = append(names, fmt.Sprint("t-", i))
	}
	names[3], names[1100] = "x-3", "x-1100"
	c := &v1.CreateJob{Targets: things(names...), Checked: &v1.TargetsChecked{AsOf: 1_000_000}}
	if err := intake.New(bus.NewClient(nc)).CreateJob(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(asked()); got != "[500 500 200]" {
		t.Fatalf("questions of %s targets", got)
	}
	unknown := c.Checked.Unknown
	if c.Checked.AsOf != 97 || len(unknown) != 2 || unknown[0].GetThing() != "x-3" || unknown[1].GetThing() != "x-1100" {
		t.Fatalf("got as of %d, unknown %v", c.Checked.AsOf, unknown)
	}
}

func TestAMalformedTargetIsLeftToTheCore(t *testing.T) {
	nc := connect(t)
	asked := owner(t, nc)
	for _, targets := range [][]*v1.Target{nil, {{}}, things("a", "b.c")} {
		c := &v1.CreateJob{Targets: targets, Checked: &v1.TargetsChecked{AsOf: 7}}
		if err := intake.New(bus.NewClient(nc)).CreateJob(t.Context(), c); err != nil || c.Checked != nil || len(asked()) != 0 {
			t.Fatalf("%v: %v, checked %v, asked %v", targets, err, c.Checked, asked())
		}
	}
}

func TestNothingIsCheckedWhileTargetingHasNoOwner(t *testing.T) {
	c := &v1.CreateJob{Targets: things("a")}
	err := intake.New(bus.NewClient(connect(t))).CreateJob(t.Context(), c)
	if r := new(v1.Refusal); !errors.As(err, &r) || r.Code != v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE || c.Checked != nil {
		t.Fatalf("got %v, checked %v", err, c.Checked)
	}
}
