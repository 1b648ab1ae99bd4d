package host_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/eventstoretest"
	"github.com/droverhq/drover/eventstore/jetstream"
	"github.com/droverhq/drover/projections/kv/pebble"
	"github.com/droverhq/drover/projections/tally"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/execution"
	"github.com/droverhq/drover/services/host"
)

const takeoverThings = 100_000

// member is a process that could own the home: its host of now, its lease and its store.
type member struct {
	b     *testing.B
	cfg   host.Config
	h     *host.Host
	ended chan error
}

// standBy makes a host on the member's store, and waits until it has folded all.
func (m *member) standBy() {
	var err error
	if m.h, err = host.New(m.cfg); err != nil {
		m.b.Fatal(err)
	}
	m.ended = make(chan error, 1)
	go func() { m.ended <- m.h.Run(context.Background()) }()
	for m.h.Stats().State == "starting" {
		time.Sleep(time.Millisecond)
	}
}

func (m *member) isReady() {
	select {
	case <-m.h.Ready():
	case err := <-m.ended:
		m.b.Fatal(err)
	}
}

// silence tells nobody, at once.
type silence struct{}

func (silence) Notify(_ uint64, _ []*v1.Notification, done func()) { done() }

// BenchmarkTakeover is the time from the lease to taking requests, of a standby of a home with 100,000 queued executions:
// on an embedded broker that flushes every write, with the lease in its registers and the state in Pebble, while the
// owner before steps down after having written. A crash costs eventstore.LeaseTTL more.
func BenchmarkTakeover(b *testing.B) {
	ctx := context.Background()
	hub, err := broker.StartHub(broker.HubConfig{Dir: b.TempDir(), Homes: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(hub.Close)
	connect := func(name string) *nats.Conn {
		nc, err := hub.Dialer().Connect(name)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(nc.Close)
		return nc
	}
	open := func(name id.Log, create bool) *eventstore.Log {
		backend, err := jetstream.Open(ctx, connect(name.String()), name, jetstream.Options{Create: create})
		if err != nil {
			b.Fatal(err)
		}
		return eventstore.New(name, backend)
	}
	releaseThings(b, open(id.RolloutLog, true))
	open(id.ExecutionLog(0), true)
	if _, err := jetstream.CreateRegisters(ctx, connect("registers"), jetstream.Leases, 1); err != nil {
		b.Fatal(err)
	}
	var members [2]*member
	for i := range members {
		name := fmt.Sprint("member-", i)
		registers, err := jetstream.OpenRegisters(ctx, connect(name), jetstream.Leases)
		if err != nil {
			b.Fatal(err)
		}
		lease, err := eventstore.NewLease(eventstore.LeaseConfig{Registers: registers, Log: id.ExecutionLog(0), Member: name, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		state, err := pebble.Open(b.TempDir(), pebble.Options{})
		if err != nil {
			b.Fatal(err)
		}
		m := &member{b: b, cfg: host.Config{
			Log: open(id.ExecutionLog(0), false), Core: execution.New(0, 1), State: state, Upstream: []*eventstore.Log{open(id.RolloutLog, false)},
			Tally: tally.Of, Notifier: silence{}, Homes: 1, Owner: name, Lease: lease, Logger: slog.New(slog.DiscardHandler),
			IsQuery: func(m proto.Message) bool { _, ok := m.(*v1.GetPending); return ok },
		}}
		members[i] = m
		m.standBy()
		b.Cleanup(func() {
			m.h.StepDown()
			<-m.ended
			state.Close()
		})
		if i == 0 {
			m.isReady()
			for m.h.Stats().Entries < takeoverThings {
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
	var sum, longest, gap time.Duration
	n := 0
	for b.Loop() {
		owner, next := members[n%2], members[1-n%2]
		if _, err := owner.h.Do(ctx, host.Request{Command: &v1.StartNext{Thing: thing(n)}}); err != nil {
			b.Fatal(err)
		}
		owner.h.StepDown()
		if err := <-owner.ended; !errors.Is(err, host.ErrSteppedDown) {
			b.Fatal(err)
		}
		released := time.Now()
		next.isReady()
		gap += time.Since(released)
		took := next.h.Stats().TookOver
		sum, longest = sum+took, max(longest, took)
		owner.standBy()
		n++
	}
	b.ReportMetric(float64(sum.Microseconds())/1000/float64(n), "ms/takeover")
	b.ReportMetric(float64(longest.Microseconds())/1000, "ms/longest")
	b.ReportMetric(float64(gap.Microseconds())/1000/float64(n), "ms/since-release")
}

func thing(n int) string { return fmt.Sprintf("thing-%06d", n) }

// releaseThings writes what rollout would: one job, released to all things.
func releaseThings(b *testing.B, log *eventstore.Log) {
	w := eventstoretest.NewWriter(b, log)
	const job = 7 << 16
	w.Event(&v1.Event{Event: &v1.Event_JobOpened{JobOpened: &v1.JobOpened{Job: job, JobId: "firmware", Document: make([]byte, 500)}}})
	for from := 0; from < takeoverThings; from += 1000 {
		e := &v1.ExecutionsReleased{Job: job}
		for i := range 1000 {
			e.Things = append(e.Things, &v1.ThingRef{Name: thing(from + i), Number: uint64(from+i+1) << 16})
		}
		w.Event(&v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: e}})
	}
}
