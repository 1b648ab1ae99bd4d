package jetstream_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/jetstream"
	"github.com/droverhq/drover/proto/id"
)

// member is a process with a lease on every log, over a connection of its own.
type member struct {
	name    string
	nc      *nats.Conn
	members *eventstore.Members
	leases  []*eventstore.Lease
	stop    func()

	mu    sync.Mutex
	takes []take
}

type take struct {
	log id.Log
	at  time.Time
}

var discard = slog.New(slog.DiscardHandler)

// startMember runs a member that takes what it can get, until stop.
func startMember(t testing.TB, nc *nats.Conn, replicas int, name string, logs []id.Log) *member {
	t.Helper()
	r := registersOf(t, nc, jetstream.Leases, replicas)
	m := &member{name: name, nc: nc}
	var err error
	if m.members, err = eventstore.NewMembers(eventstore.MembersConfig{Registers: r, Name: name, Describe: describer(logs), Logger: discard}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := m.members.Run(ctx); err != nil {
			t.Errorf("member %s: %v", name, err)
		}
	})
	for _, log := range logs {
		l, err := eventstore.NewLease(eventstore.LeaseConfig{Registers: r, Log: log, Member: name, Members: m.members, Logger: discard})
		if err != nil {
			t.Fatal(err)
		}
		m.leases = append(m.leases, l)
		running.Go(func() { m.own(ctx, log, l) })
	}
	m.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(m.stop)
	return m
}

func describer(logs []id.Log) func() eventstore.Description {
	d := eventstore.Description{Logs: map[string]eventstore.Hosted{}}
	for _, log := range logs {
		d.Logs[log.String()] = eventstore.Hosted{State: eventstore.StateStandby}
	}
	return func() eventstore.Description { return d }
}

func (m *member) own(ctx context.Context, log id.Log, l *eventstore.Lease) {
	for l.Acquire(ctx) == nil {
		m.mu.Lock()
		m.takes = append(m.takes, take{log, time.Now()})
		m.mu.Unlock()
		select {
		case <-l.Lost():
		case <-ctx.Done():
			short, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			_ = l.Release(short)
			cancel()
		}
	}
}

// crash cuts the member off for good: to the others it is gone.
func (m *member) crash() { m.nc.Close() }

func (m *member) taken() []take {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]take{}, m.takes...)
}

// watchHolders fails the test if it ever sees one lease held by two, until the test ends.
func watchHolders(t testing.TB, members ...*member) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(time.Millisecond); ctx.Err() == nil; <-tick.C {
			for i := range members[0].leases {
				if who := holders(i, members); len(who) > 1 {
					t.Errorf("%v all hold log %d", who, i)
					return
				}
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
}

// holders are who has a log's lease at one moment: each is looked at twice, since it can go over between two looks.
func holders(i int, members []*member) (who []string) {
	var until []time.Time
	for _, m := range members {
		until = append(until, m.leases[i].Until())
	}
	now := time.Now()
	for j, m := range members {
		if again := m.leases[i].Until(); now.Before(until[j]) && !again.Before(until[j]) {
			who = append(who, m.name)
		}
	}
	return who
}

// allHeld waits until each log has a holder among these that was made or renewed from now on.
func allHeld(t testing.TB, members ...*member) {
	t.Helper()
	renewed := time.Now().Add(eventstore.LeaseTTL)
	eventually(t, "each log has a holder", func() bool {
		for i := range members[0].leases {
			held := false
			for _, m := range members {
				held = held || m.leases[i].Until().After(renewed)
			}
			if !held {
				return false
			}
		}
		return true
	})
}

func TestLeases(t *testing.T) {
	s := start(t, t.TempDir())
	logs := id.Logs(3)
	var members []*member
	for i := range 3 {
		members = append(members, startMember(t, connect(t, s.ClientURL()), 1, fmt.Sprintf("m%d", i), logs))
	}
	watchHolders(t, members...)
	allHeld(t, members...)
	members[0].crash()
	allHeld(t, members[1:]...)
	members[1].stop()
	allHeld(t, members[2])
}

// testLeases: the leases of three members, each at another server, while the registers' leader changes and a server stops.
func (c *cluster) testLeases(t *testing.T) {
	const stream = "KV_" + string(jetstream.Leases)
	logs := id.Logs(3)
	var members []*member
	for i, s := range c.servers {
		nc := connect(t, s.ClientURL()+","+c.urls())
		members = append(members, startMember(t, nc, 3, fmt.Sprintf("m%d", i), logs))
	}
	watchHolders(t, members...)
	allHeld(t, members...)
	takes := func() (n int) {
		for _, m := range members {
			n += len(m.taken())
		}
		return n
	}
	before := takes()
	for range 2 {
		c.stepDown(stream)
		c.leaderOf(stream)
		allHeld(t, members...)
	}
	t.Logf("%d leases went over while the leader changed", takes()-before)
	// Without a quorum nothing is renewed, and what two servers kept in memory is lost.
	leader := c.leaderOf(stream)
	for i := range c.servers {
		if i != leader {
			c.stop(i)
		}
	}
	eventually(t, "all leases run out", func() bool { return len(holders(0, members)) == 0 })
	for i := range c.servers {
		if i != leader {
			c.restart(i)
		}
	}
	allHeld(t, members...)
	t.Logf("%d leases went over since", takes()-before)
	// Whoever crashes now is replaced as ever.
	for i, m := range members {
		if slices.Contains(holders(0, members), m.name) {
			m.crash()
			allHeld(t, slices.Concat(members[:i], members[i+1:])...)
			return
		}
	}
}

// BenchmarkTakeover measures how long after its holder's crash a lease is held elsewhere: run it with -benchtime 20x.
func BenchmarkTakeover(b *testing.B) {
	logs := []id.Log{id.JobLog}
	b.Run("R1", func(b *testing.B) { benchmarkTakeover(b, start(b, b.TempDir()).ClientURL(), 1, logs) })
	b.Run("R3", func(b *testing.B) { benchmarkTakeover(b, startCluster(b).urls(), 3, logs) })
}

func benchmarkTakeover(b *testing.B, urls string, replicas int, logs []id.Log) {
	serial := 0
	next := func() *member {
		serial++
		return startMember(b, connect(b, urls), replicas, fmt.Sprintf("m%d", serial), logs)
	}
	holder := next()
	allHeld(b, holder)
	var sum, most time.Duration
	for b.Loop() {
		standby := next()
		eventually(b, "the standby is known", func() bool { return len(holder.members.Live()) > 1 && len(standby.members.Live()) > 1 })
		pause := time.NewTimer(rand.N(300 * time.Millisecond)) // anywhere between two renewals
		<-pause.C
		began := time.Now()
		holder.crash()
		eventually(b, "it is taken over", func() bool { return len(standby.taken()) > 0 })
		took := standby.taken()[0].at.Sub(began)
		sum, most = sum+took, max(most, took)
		holder = standby
	}
	b.ReportMetric(float64(sum.Milliseconds())/float64(b.N), "mean-ms")
	b.ReportMetric(float64(most.Milliseconds()), "max-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkIdle measures what members cost that have nothing to do: one that owns 6 logs, and one that stands by for them.
// The broker's and the members' processor time come together. Run it with -benchtime 20s or so.
func BenchmarkIdle(b *testing.B) {
	s := start(b, b.TempDir())
	logs := id.Logs(3)
	owner := startMember(b, connect(b, s.ClientURL()), 1, "owner", logs)
	allHeld(b, owner)
	standby := startMember(b, connect(b, s.ClientURL()), 1, "standby", logs)
	eventually(b, "they know each other", func() bool { return len(owner.members.Live()) > 1 && len(standby.members.Live()) > 1 })
	began, used, asked, stood := time.Now(), processorTime(b), owner.nc.Stats().OutMsgs, standby.nc.Stats().OutMsgs
	for b.Loop() {
		time.Sleep(time.Second)
	}
	seconds := time.Since(began).Seconds()
	b.ReportMetric(float64(owner.nc.Stats().OutMsgs-asked)/seconds, "owner-requests/s")
	b.ReportMetric(float64(standby.nc.Stats().OutMsgs-stood)/seconds, "standby-requests/s")
	b.ReportMetric((processorTime(b)-used).Seconds()*1000/seconds, "cpu-ms/s")
	b.ReportMetric(0, "ns/op")
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
