package memory_test

import (
	"context"
	"errors"
	"testing"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/eventstoretest"
	"github.com/droverhq/drover/eventstore/memory"
)

var ctx = context.Background()

func TestContract(t *testing.T) {
	eventstoretest.Suite(t, func(*testing.T) eventstore.Backend { return memory.New() })
}

// once makes the next append meet a fault.
func once(b *memory.Backend, f memory.Fault) {
	b.SetFault(func(uint64) memory.Fault {
		now := f
		f = memory.Fault{}
		return now
	})
}

func isUnknown(t *testing.T, err error) {
	t.Helper()
	if err == nil || errors.Is(err, eventstore.ErrConflict) || errors.Is(err, eventstore.ErrFull) {
		t.Fatalf("got %v, want an outcome that is unknown", err)
	}
}

func TestARefusedAppendStoresNothing(t *testing.T) {
	b := memory.New()
	once(b, memory.Fault{Kind: memory.Refused})
	isUnknown(t, b.Append(ctx, 1, []byte("a")))
	if _, last, _ := b.Bounds(ctx); last != 0 {
		t.Fatalf("the log ends at %d", last)
	}
	if err := b.Append(ctx, 1, []byte("a")); err != nil {
		t.Fatal(err)
	}
}

func TestALostAnswerLeavesTheMessageStored(t *testing.T) {
	b := memory.New()
	once(b, memory.Fault{Kind: memory.Lost})
	isUnknown(t, b.Append(ctx, 1, []byte("a")))
	if rec, err := b.Get(ctx, 1); err != nil || string(rec.Data) != "a" {
		t.Fatalf("got %q, %v", rec.Data, err)
	}
	if err := b.Append(ctx, 1, []byte("a")); !errors.Is(err, eventstore.ErrConflict) {
		t.Fatalf("got %v, want ErrConflict", err)
	}
}

func TestALateAppendArrivesUnlessItsNumberIsTaken(t *testing.T) {
	b := memory.New()
	once(b, memory.Fault{Kind: memory.Late, After: 2})
	isUnknown(t, b.Append(ctx, 1, []byte("late")))
	for range 2 {
		if _, err := b.Get(ctx, 1); !errors.Is(err, eventstore.ErrNotFound) {
			t.Fatalf("got %v, want that it is not there yet", err)
		}
	}
	if rec, err := b.Get(ctx, 1); err != nil || string(rec.Data) != "late" {
		t.Fatalf("got %q, %v", rec.Data, err)
	}

	once(b, memory.Fault{Kind: memory.Late, After: 5})
	isUnknown(t, b.Append(ctx, 2, []byte("late")))
	if err := b.Append(ctx, 2, []byte("in time")); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, last, _ := b.Bounds(ctx); last != 2 {
			t.Fatalf("the log ends at %d, want 2", last)
		}
	}
	if rec, _ := b.Get(ctx, 2); string(rec.Data) != "in time" || b.Late() != 0 {
		t.Fatalf("got %q, %d still late", rec.Data, b.Late())
	}
}

func TestALateAppendSentTwiceIsStoredOnce(t *testing.T) {
	b := memory.New()
	b.SetFault(func(uint64) memory.Fault { return memory.Fault{Kind: memory.Late, After: 3} })
	isUnknown(t, b.Append(ctx, 1, []byte("a")))
	isUnknown(t, b.Append(ctx, 1, []byte("a")))
	for range 10 {
		b.Get(ctx, 1)
	}
	if _, last, _ := b.Bounds(ctx); last != 1 {
		t.Fatalf("the log ends at %d, want 1", last)
	}
}

func TestAFullLogRefusesAndStoresNothing(t *testing.T) {
	b := memory.New()
	b.SetLimit(3)
	if err := b.Append(ctx, 1, []byte("abc")); err != nil {
		t.Fatal(err)
	}
	if err := b.Append(ctx, 2, []byte("d")); !errors.Is(err, eventstore.ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	if _, last, _ := b.Bounds(ctx); last != 1 {
		t.Fatalf("the log ends at %d", last)
	}
}
