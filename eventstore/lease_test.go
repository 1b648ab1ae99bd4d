package eventstore_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/memory"
	"github.com/droverhq/drover/proto/id"
)

// The tests here run the real thing, on registers in memory, in synctest's time: what waits takes no time, and times are exact.

var quiet = slog.New(slog.DiscardHandler)

func newLease(t *testing.T, r eventstore.Registers, member string, members *eventstore.Members) *eventstore.Lease {
	t.Helper()
	l, err := eventstore.NewLease(eventstore.LeaseConfig{Registers: r, Log: id.JobLog, Member: member, Members: members, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func acquire(t *testing.T, l *eventstore.Lease) (took time.Duration) {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := l.Acquire(ctx); err != nil {
		t.Fatal(err)
	}
	if !time.Now().Before(l.Until()) {
		t.Fatalf("acquired, and it holds until %v", l.Until())
	}
	return time.Since(began)
}

func isLost(l *eventstore.Lease) bool {
	synctest.Wait()
	select {
	case <-l.Lost():
		return true
	default:
		return false
	}
}

// release ends a lease's goroutine, which a test must not leave behind.
func release(t *testing.T, l *eventstore.Lease) {
	t.Helper()
	if err := l.Release(context.Background()); err != nil {
		t.Fatal(err)
	}
	if !l.Until().IsZero() {
		t.Fatal("released, and it holds")
	}
}

func between(t *testing.T, what string, got, least, most time.Duration) {
	t.Helper()
	if got < least || got > most {
		t.Fatalf("%s took %v, want %v to %v", what, got, least, most)
	}
}

func TestALeaseIsHeldByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := memory.NewRegisters(nil)
		a, b := newLease(t, r, "a", nil), newLease(t, r, "b", nil)
		if !a.Until().IsZero() || a.Lost() != nil {
			t.Fatal("it is held before it was acquired")
		}
		between(t, "the first", acquire(t, a), eventstore.LeaseTTL, eventstore.LeaseTTL)
		between(t, "again", acquire(t, a), 0, 0)
		short, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := b.Acquire(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("another: %v", err)
		}
		if isLost(a) || time.Until(a.Until()) < time.Second {
			t.Fatalf("it is not renewed: until %v", a.Until())
		}
		got := make(chan time.Duration)
		go func() { got <- acquire(t, b) }()
		time.Sleep(time.Second)
		release(t, a)
		between(t, "after a release", <-got, time.Second, time.Second+200*time.Millisecond)
		if isLost(a) {
			t.Fatal("what was released is not lost")
		}
		release(t, b)
	})
}

func TestALeaseRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := memory.NewRegisters(nil)
		a, b := newLease(t, r.By("a"), "a", nil), newLease(t, r.By("b"), "b", nil)
		acquire(t, a)
		got := make(chan time.Duration)
		go func() { got <- acquire(t, b) }()
		time.Sleep(time.Second)
		away := true
		r.SetFault(func(c memory.Call) memory.Fault {
			if c.By == "a" && away {
				return memory.Fault{Kind: memory.Unreachable}
			}
			return memory.Fault{}
		})
		until := a.Until()
		between(t, "after a crash", <-got-time.Second, eventstore.LeaseTTL-300*time.Millisecond, eventstore.LeaseTTL+200*time.Millisecond)
		if time.Now().Before(until) || a.Until() != until {
			t.Fatalf("taken at %v, while it was held until %v", time.Now(), until)
		}
		if isLost(a) {
			t.Fatal("it cannot know yet")
		}
		r.SetFault(nil)
		<-a.Lost()
		if !a.Until().IsZero() {
			t.Fatal("lost, and it holds")
		}
		release(t, b)
		between(t, "back again", acquire(t, a), 0, 200*time.Millisecond)
		release(t, a)
	})
}

// A holder that cannot renew, and whom nobody replaced, has the lease again.
func TestALeaseIsRegained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := memory.NewRegisters(nil)
		a := newLease(t, r, "a", nil)
		acquire(t, a)
		r.SetFault(func(memory.Call) memory.Fault { return memory.Fault{Kind: memory.Unreachable} })
		time.Sleep(20 * time.Second)
		if time.Now().Before(a.Until()) || isLost(a) {
			t.Fatal("it has run out, and is not lost")
		}
		r.SetFault(nil)
		time.Sleep(200 * time.Millisecond)
		if !time.Now().Before(a.Until()) || isLost(a) {
			t.Fatal("it should be held again")
		}
		r.Clear() // all brokers were restarted
		time.Sleep(2 * time.Second)
		if !time.Now().Before(a.Until()) || isLost(a) {
			t.Fatal("it should be held again, in a register made anew")
		}
		release(t, a)
	})
}

func TestAReleaseThatIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := memory.NewRegisters(nil)
		a, b := newLease(t, r.By("a"), "a", nil), newLease(t, r.By("b"), "b", nil)
		acquire(t, a)
		lost := 0
		r.SetFault(func(c memory.Call) memory.Fault {
			if c.By == "a" && c.Op == memory.Set && lost < 1 {
				lost++
				return memory.Fault{Kind: memory.Lost}
			}
			return memory.Fault{}
		})
		release(t, a)
		between(t, "after a release", acquire(t, b), 0, 0)
		r.SetFault(func(c memory.Call) memory.Fault { return memory.Fault{Kind: memory.Unreachable} })
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Release(short); !errors.Is(err, context.DeadlineExceeded) || !b.Until().IsZero() {
			t.Fatalf("got %v, until %v", err, b.Until())
		}
		r.SetFault(nil)
		between(t, "after one that failed", acquire(t, a), eventstore.LeaseTTL, eventstore.LeaseTTL)
		release(t, a)
	})
}

func TestAnEndedWaitLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := memory.NewRegisters(nil)
		a, b := newLease(t, r, "a", nil), newLease(t, r, "b", nil)
		acquire(t, a)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := b.Acquire(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		time.Sleep(time.Second)
		cancel()
		wg.Wait()
		release(t, a)
		time.Sleep(time.Minute)
		owners, err := eventstore.Owners(t.Context(), r)
		if o := owners[id.JobLog]; err != nil || o.Member != "a" || !o.Released {
			t.Fatalf("got %v, %v", owners, err)
		}
		acquire(t, b)
		owners, _ = eventstore.Owners(t.Context(), r)
		if o := owners[id.JobLog]; o.Member != "b" || o.Released || o.Age != 0 || time.Since(o.Since) != 0 {
			t.Fatalf("got %v", owners)
		}
		release(t, b)
	})
}

// The lease of a log is taken at once where nobody else can have it.
func TestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := memory.NewRegisters(nil)
		l, err := eventstore.NewLease(eventstore.LeaseConfig{Registers: r, Log: id.ExecutionLog(3), Member: "up", Alone: true, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		between(t, "alone", acquire(t, l), 0, 0)
		if _, err := r.Get(t.Context(), "owner.execution-3"); err != nil {
			t.Fatal(err)
		}
		r.Clear()
		time.Sleep(time.Second)
		if isLost(l) || time.Until(l.Until()) < time.Second {
			t.Fatal("it is not renewed")
		}
		release(t, l)
	})
	if _, err := eventstore.NewLease(eventstore.LeaseConfig{Member: "a b"}); err == nil {
		t.Fatal("a name that is none")
	}
}

// Acquire may be called the moment a loss is known, and by several at once.
func TestAcquireAtOnceAfterALoss(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			r := memory.NewRegisters(nil)
			l := newLease(t, r, "a", nil)
			acquire(t, l)
			reg, err := r.Get(t.Context(), "owner.job")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Set(t.Context(), "owner.job", []byte(`{"owner":"b","nonce":"b"}`), reg.Revision); err != nil {
				t.Fatal(err)
			}
			<-l.Lost()
			acquire(t, l) // from b, who does not renew
			release(t, l)
		})
	}
}

func TestSeveralAcquire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := memory.NewRegisters(nil)
		l := newLease(t, r, "a", nil)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := l.Acquire(short); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
		wg.Go(func() { acquire(t, l) })
		wg.Wait()
		release(t, l)
	})
}
