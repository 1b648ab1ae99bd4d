package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/memory"
	"github.com/droverhq/drover/proto/id"
)

// process is a member with a lease on every log, as services/node runs them.
type process struct {
	*eventstore.Members
	leases map[id.Log]*eventstore.Lease

	mu     sync.Mutex
	state  map[string]eventstore.Hosted
	ctx    context.Context
	cancel context.CancelFunc
	ended  sync.WaitGroup
	failed chan error
}

func newProcess(t *testing.T, r eventstore.Registers, name string) *process {
	t.Helper()
	p := &process{leases: map[id.Log]*eventstore.Lease{}, state: map[string]eventstore.Hosted{}, failed: make(chan error, 1)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	var err error
	p.Members, err = eventstore.NewMembers(eventstore.MembersConfig{Registers: r, Name: name, Describe: p.describe, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	for _, log := range id.Logs(3) {
		p.set(log, eventstore.StateStandby)
		p.leases[log], err = eventstore.NewLease(eventstore.LeaseConfig{Registers: r, Log: log, Member: name, Members: p.Members, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *process) describe() eventstore.Description {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := eventstore.Description{Roles: []string{"job"}, Version: "1", Logs: map[string]eventstore.Hosted{}, WaitingFor: []string{"nothing"}}
	for log, h := range p.state {
		d.Logs[log] = h
	}
	return d
}

func (p *process) set(log id.Log, state string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state[log.String()] = eventstore.Hosted{State: state, Folded: 7}
}

// run runs the member and its leases, until stop.
func (p *process) run() {
	ctx, leave := context.WithCancel(context.Background())
	left := make(chan struct{})
	go func() {
		defer close(left)
		if err := p.Run(ctx); err != nil {
			p.failed <- err
		}
	}()
	var leases sync.WaitGroup
	for log, l := range p.leases {
		leases.Go(func() { p.own(log, l) })
	}
	p.ended.Go(func() {
		leases.Wait()
		leave()
		<-left
	})
}

// own takes a log, keeps it until it is lost, to be handed over, or the process stops, and waits for it again.
func (p *process) own(log id.Log, l *eventstore.Lease) {
	for l.Acquire(p.ctx) == nil {
		p.set(log, "serving")
		for lost, look := false, time.NewTicker(500*time.Millisecond); !lost; {
			select {
			case <-l.Lost():
				lost = true
			case <-p.ctx.Done():
				lost = true
			case <-look.C:
				lost = p.HandOver(log)
			}
		}
		_ = l.Release(context.Background())
		p.set(log, eventstore.StateStandby)
	}
}

func (p *process) stop() {
	p.cancel()
	p.ended.Wait()
}

func (p *process) live() string {
	var names []string
	for _, m := range p.Live() {
		names = append(names, m.Name)
	}
	return strings.Join(names, " ")
}

// owners are who holds each log by its own account.
func owners(processes ...*process) map[id.Log][]string {
	all := map[id.Log][]string{}
	for _, p := range processes {
		for log, l := range p.leases {
			if time.Now().Before(l.Until()) {
				all[log] = append(all[log], p.Name())
			}
		}
	}
	return all
}

func preferredOwn(t *testing.T, processes ...*process) {
	t.Helper()
	have := owners(processes...)
	for _, log := range id.Logs(3) {
		want := slices.MaxFunc(processes, func(a, b *process) int {
			if eventstore.Rank(a.Name(), log) < eventstore.Rank(b.Name(), log) {
				return -1
			}
			return 1
		}).Name()
		if got := have[log]; len(got) != 1 || got[0] != want {
			t.Fatalf("%s is %v's, want %s's", log, got, want)
		}
		for _, p := range processes {
			if got := p.Preferred(log); got != want {
				t.Fatalf("%s thinks that %s is %s's, want %s's", p.Name(), log, got, want)
			}
		}
	}
}

// Processes come, go and crash; each log ends with the member that ranks highest for it.
func TestProcessesShareTheLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := memory.NewRegisters(nil)
		a := newProcess(t, r.By("a"), "a")
		if a.Preferred(id.JobLog) != "" || a.live() != "a" || a.HandOver(id.JobLog) {
			t.Fatal("it knows who is preferred before it has joined")
		}
		a.run()
		<-a.Joined()
		time.Sleep(3 * time.Second)
		preferredOwn(t, a)
		b, c := newProcess(t, r.By("b"), "b"), newProcess(t, r.By("c"), "c")
		b.run()
		c.run()
		time.Sleep(9 * time.Second)
		if have := owners(a, b, c); len(have[id.JobLog]) != 1 || have[id.JobLog][0] != "a" {
			t.Fatalf("handed over before its time: %v", have)
		}
		time.Sleep(40 * time.Second) // one in 5 s
		preferredOwn(t, a, b, c)
		if a.live() != "a b c" || b.live() != "a b c" {
			t.Fatalf("alive are %s", a.live())
		}
		all, err := eventstore.Owners(t.Context(), r)
		if err != nil || len(all) != 6 {
			t.Fatalf("got %v, %v", all, err)
		}

		began := time.Now()
		b.stop() // all of its are another's at once
		for len(owners(a, c)) < 6 {
			time.Sleep(10 * time.Millisecond)
		}
		between(t, "after a stop", time.Since(began), 0, 300*time.Millisecond)
		time.Sleep(500 * time.Millisecond)
		preferredOwn(t, a, c)
		if a.live() != "a c" {
			t.Fatalf("alive are %s", a.live())
		}

		began = time.Now()
		r.SetFault(func(call memory.Call) memory.Fault { // c crashes
			if call.By == "c" {
				return memory.Fault{Kind: memory.Unreachable}
			}
			return memory.Fault{}
		})
		for len(owners(a)) < 6 {
			time.Sleep(10 * time.Millisecond)
		}
		between(t, "after a crash", time.Since(began), 1200*time.Millisecond, 1710*time.Millisecond)
		time.Sleep(time.Second)
		if a.live() != "a" {
			t.Fatalf("alive are %s", a.live())
		}
		r.SetFault(nil)
		c.stop()
		a.stop()
		left, err := r.List(t.Context(), "member")
		if err != nil || len(left) != 0 {
			t.Fatalf("left on the list: %v, %v", left, err)
		}
	})
}

func TestTwoOfOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := memory.NewRegisters(nil)
		first, second := newProcess(t, r, "same"), newProcess(t, r, "same")
		first.run()
		<-first.Joined()
		time.Sleep(3 * time.Second)
		second.run()
		var taken *eventstore.NameTakenError
		if err := <-second.failed; !errors.As(err, &taken) || taken.Name != "same" || taken.Other.Start != first.Live()[0].Start {
			t.Fatalf("got %v", err)
		}
		if !strings.Contains(taken.Error(), "--name") {
			t.Fatalf("it says %q", taken)
		}
		time.Sleep(5 * time.Second)
		for log, who := range owners(first, second) {
			if len(who) != 1 {
				t.Errorf("%s is held by %d", log, len(who))
			}
		}
		select {
		case err := <-first.failed:
			t.Fatalf("the first of the name: %v", err)
		default:
		}
		second.stop()
		if got := first.live(); got != "same" {
			t.Fatalf("alive are %s", got)
		}
		first.stop()
	})
	if _, err := eventstore.NewMembers(eventstore.MembersConfig{Name: "a/b"}); err == nil {
		t.Fatal("a name that is none")
	}
}

// A process that crashed and starts again under its name is a member again once the first is known to be gone.
func TestANameAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := memory.NewRegisters(nil)
		revision := uint64(0)
		for i := range 3 { // the first's last words
			var err error
			if revision, err = r.Set(t.Context(), "member.same", fmt.Appendf(nil, `{"start":"first","version":"%d"}`, i), revision); err != nil {
				t.Fatal(err)
			}
		}
		p := newProcess(t, r, "same")
		began := time.Now()
		p.run()
		<-p.Joined()
		between(t, "to join", time.Since(began), eventstore.LeaseTTL, eventstore.LeaseTTL+200*time.Millisecond)
		p.stop()
	})
}
