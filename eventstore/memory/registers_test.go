package memory_test

import (
	"errors"
	"testing"
	"time"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/eventstoretest"
	"github.com/droverhq/drover/eventstore/memory"
)

func TestRegisters(t *testing.T) {
	r := memory.NewRegisters(nil)
	eventstoretest.RegistersSuite(t, func(*testing.T) eventstore.Registers { return r })
}

func TestRegistersFail(t *testing.T) {
	ctx := t.Context()
	for _, tc := range []struct {
		name  string
		fault memory.Fault
		err   error
		after []string // what is held after each further call
	}{
		{"refused", memory.Fault{Kind: memory.Refused}, eventstore.ErrRevision, []string{"old", "old", "old"}},
		{"lost", memory.Fault{Kind: memory.Lost}, memory.ErrUnanswered, []string{"new", "new", "new"}},
		{"unreachable", memory.Fault{Kind: memory.Unreachable}, memory.ErrUnreachable, []string{"old", "old", "old"}},
		{"late", memory.Fault{Kind: memory.Late, After: 1}, memory.ErrUnanswered, []string{"old", "new", "new"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := memory.NewRegisters(nil)
			revision, err := r.Set(ctx, "a", []byte("old"), 0)
			if err != nil {
				t.Fatal(err)
			}
			r.SetFault(func(c memory.Call) memory.Fault {
				if c == (memory.Call{By: "me", Op: memory.Set, Name: "a"}) {
					return tc.fault
				}
				return memory.Fault{}
			})
			if _, err := r.By("me").Set(ctx, "a", []byte("new"), revision); !errors.Is(err, tc.err) {
				t.Fatalf("got %v, want %v", err, tc.err)
			}
			for i, want := range tc.after {
				if got, err := r.Get(ctx, "a"); err != nil || string(got.Value) != want {
					t.Fatalf("read %d: %q (%v), want %q", i+1, got.Value, err, want)
				}
			}
			if _, err := r.By("you").Set(ctx, "b", nil, 0); err != nil {
				t.Fatalf("another caller: %v", err)
			}
		})
	}
}

func TestALateSetFindsAnotherRevision(t *testing.T) {
	ctx, r := t.Context(), memory.NewRegisters(nil)
	r.SetFault(func(c memory.Call) memory.Fault {
		if c.By == "late" {
			return memory.Fault{Kind: memory.Late, After: 1}
		}
		return memory.Fault{}
	})
	if _, err := r.By("late").Set(ctx, "a", []byte("late"), 0); !errors.Is(err, memory.ErrUnanswered) {
		t.Fatal(err)
	}
	if _, err := r.Set(ctx, "a", []byte("first"), 0); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got, err := r.Get(ctx, "a"); err != nil || string(got.Value) != "first" {
			t.Fatalf("got %q, %v", got.Value, err)
		}
	}
}

func TestAgeAndClear(t *testing.T) {
	now := time.Unix(1000, 0)
	ctx, r := t.Context(), memory.NewRegisters(func() time.Time { return now })
	if _, err := r.Set(ctx, "a", nil, 0); err != nil {
		t.Fatal(err)
	}
	now = now.Add(3 * time.Second)
	if got, err := r.Get(ctx, "a"); err != nil || got.Age != 3*time.Second {
		t.Fatalf("its age is %v (%v), want 3s", got.Age, err)
	}
	r.Clear()
	if _, err := r.Get(ctx, "a"); !errors.Is(err, eventstore.ErrNoRegister) {
		t.Fatalf("after Clear: %v", err)
	}
	if revision, err := r.Set(ctx, "a", nil, 0); err != nil || revision != 1 {
		t.Fatalf("after Clear: revision %d (%v), want 1", revision, err)
	}
}
