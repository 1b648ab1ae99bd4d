package eventstoretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/droverhq/drover/eventstore"
)

// RegistersSuite checks the contract of eventstore.Registers. Open may return the same registers for each test: no
// two tests use the same names.
func RegistersSuite(t *testing.T, open func(t *testing.T) eventstore.Registers) {
	for i, tc := range []struct {
		name string
		test func(*testing.T, *registers)
	}{
		{"what is not there is not there", testNoRegister},
		{"what was set is read as it was", testSetGet},
		{"a set at another revision is refused and changes nothing", testRevision},
		{"of many who set at one revision one gets it", testSetRace},
		{"what was deleted is not there and can be set anew", testDelete},
		{"a list has what begins with its prefix and no other", testList},
		{"a list has every register while they change", testListMoves},
		{"a reader never sees an older value than one that was set before", testFresh},
		{"an answer that was lost is found by reading", testLostAnswers},
		{"a name that is none is refused", testNames},
		{"nothing is done for a context that has ended", testRegistersEnded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			tc.test(t, &registers{open(t), ctx, fmt.Sprintf("suite%d-%d", i, rand.Uint32())})
		})
	}
}

type registers struct {
	eventstore.Registers
	ctx  context.Context
	room string // the first token of the test's names
}

func (r *registers) name(s string) string { return r.room + "." + s }

// set must succeed.
func (r *registers) set(t *testing.T, name, value string, revision uint64) uint64 {
	t.Helper()
	set, err := r.Set(r.ctx, name, []byte(value), revision)
	if err != nil || set == 0 {
		t.Fatalf("set %s at %d: %d, %v", name, revision, set, err)
	}
	return set
}

func (r *registers) refused(t *testing.T, name string, revision uint64) {
	t.Helper()
	if _, err := r.Set(r.ctx, name, []byte("refused"), revision); !errors.Is(err, eventstore.ErrRevision) {
		t.Fatalf("set %s at %d: %v, want ErrRevision", name, revision, err)
	}
}

func (r *registers) holds(t *testing.T, name, value string, revision uint64) {
	t.Helper()
	got, err := r.Get(r.ctx, name)
	if err != nil || string(got.Value) != value || got.Revision != revision {
		t.Fatalf("get %s: %q at %d (%v), want %q at %d", name, got.Value, got.Revision, err, value, revision)
	}
	if got.Age < 0 || got.Age > patience {
		t.Fatalf("its age is %v", got.Age)
	}
}

func (r *registers) absent(t *testing.T, name string) {
	t.Helper()
	if got, err := r.Get(r.ctx, name); !errors.Is(err, eventstore.ErrNoRegister) {
		t.Fatalf("get %s: %q, %v, want ErrNoRegister", name, got.Value, err)
	}
}

func testNoRegister(t *testing.T, r *registers) {
	name := r.name("a")
	r.absent(t, name)
	r.refused(t, name, 1)
	r.absent(t, name)
	if err := r.Delete(r.ctx, name, 3); err != nil {
		t.Fatalf("delete: %v", err)
	}
	r.set(t, name, "x", 0)
}

func testSetGet(t *testing.T, r *registers) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	name := r.name("Owner_x.execution-0")
	revision := uint64(0)
	for _, value := range [][]byte{[]byte("x"), {}, all, bytes.Repeat(all, 64), []byte("h: v\r\n\r\n")} {
		sent := bytes.Clone(value)
		next, err := r.Set(r.ctx, name, sent, revision)
		if err != nil || next <= revision {
			t.Fatalf("set at %d: %d, %v", revision, next, err)
		}
		clear(sent) // the caller's bytes are his again
		revision = next
		r.holds(t, name, string(value), revision)
	}
}

func testRevision(t *testing.T, r *registers) {
	a, b := r.name("a"), r.name("b")
	first := r.set(t, a, "1", 0)
	other := r.set(t, b, "other", 0)
	second := r.set(t, a, "2", first) // another register's change is none of its
	for _, revision := range []uint64{0, first, other, second + 1, second + 1000} {
		r.refused(t, a, revision)
		if err := r.Delete(r.ctx, a, revision); !errors.Is(err, eventstore.ErrRevision) {
			t.Fatalf("delete at %d: %v, want ErrRevision", revision, err)
		}
	}
	r.holds(t, a, "2", second)
	r.holds(t, b, "other", other)
}

func testSetRace(t *testing.T, r *registers) {
	const racers, rounds = 20, 5
	name, revision := r.name("a"), uint64(0)
	for range rounds {
		var mu sync.Mutex
		won := map[string]uint64{}
		var wg sync.WaitGroup
		for i := range racers {
			wg.Go(func() {
				value := strconv.Itoa(i)
				set, err := r.Set(r.ctx, name, []byte(value), revision)
				if err == nil {
					mu.Lock()
					won[value] = set
					mu.Unlock()
				} else if !errors.Is(err, eventstore.ErrRevision) {
					t.Errorf("racer %d: %v, want ErrRevision", i, err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("winners at revision %d: %v, want one", revision, won)
		}
		for value, set := range won {
			r.holds(t, name, value, set)
			revision = set
		}
	}
}

func testDelete(t *testing.T, r *registers) {
	name := r.name("a")
	first := r.set(t, name, "1", 0)
	if err := r.Delete(r.ctx, name, first); err != nil {
		t.Fatal(err)
	}
	r.absent(t, name)
	if err := r.Delete(r.ctx, name, first); err != nil {
		t.Fatalf("delete again: %v", err)
	}
	r.refused(t, name, first)
	second := r.set(t, name, "2", 0)
	if second == first {
		t.Fatal("it has its old revision")
	}
	r.refused(t, name, 0)
	r.holds(t, name, "2", second)
}

func testList(t *testing.T, r *registers) {
	want := map[string]string{}
	list := func(prefix string) map[string]string {
		t.Helper()
		got, err := r.List(r.ctx, prefix)
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]string{}
		for name, reg := range got {
			values[name] = string(reg.Value)
			r.holds(t, name, string(reg.Value), reg.Revision)
		}
		return values
	}
	if got := list(r.name("member")); len(got) > 0 {
		t.Fatalf("got %v of nothing", got)
	}
	for _, s := range []string{"member.a", "member.b", "member.b.c"} {
		r.set(t, r.name(s), s, 0)
		want[r.name(s)] = s
	}
	for _, s := range []string{"member", "member2.a", "memberx", "owner.a"} {
		r.set(t, r.name(s), s, 0)
	}
	gone := r.set(t, r.name("member.gone"), "gone", 0)
	if err := r.Delete(r.ctx, r.name("member.gone"), gone); err != nil {
		t.Fatal(err)
	}
	if got := list(r.name("member")); !maps.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if got := list(r.room); len(got) != 7 {
		t.Fatalf("got %v, want all 7", got)
	}
}

func testListMoves(t *testing.T, r *registers) {
	var names []string
	revisions := map[string]uint64{}
	for i := range 5 {
		name := r.name(strconv.Itoa(i))
		names = append(names, name)
		revisions[name] = r.set(t, name, "0", 0)
	}
	var lists atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; lists.Load() < 20 && r.ctx.Err() == nil; i++ {
			name := names[i%len(names)]
			set, err := r.Set(r.ctx, name, strconv.AppendInt(nil, int64(i), 10), revisions[name])
			if err != nil {
				t.Error(err)
				return
			}
			revisions[name] = set
		}
	}()
	defer func() { lists.Store(100); <-done }()
	for ; lists.Load() < 20; lists.Add(1) {
		all, err := r.List(r.ctx, r.room)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, names) {
			t.Fatalf("got %v, want %v", got, names)
		}
	}
}

func testFresh(t *testing.T, r *registers) {
	const sets = 100
	name := r.name("a")
	var done atomic.Int64 // the last value of which the setter knows that it was set
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for done.Load() < sets && r.ctx.Err() == nil {
				least := done.Load()
				got, err := r.Get(r.ctx, name)
				if errors.Is(err, eventstore.ErrNoRegister) && least == 0 {
					continue
				}
				value, _ := strconv.ParseInt(string(got.Value), 10, 64)
				if err != nil || value < least {
					t.Errorf("got %q (%v) after %d was set", got.Value, err, least)
					return
				}
			}
		})
	}
	revision := uint64(0)
	for i := int64(1); i <= sets; i++ {
		revision = r.set(t, name, strconv.FormatInt(i, 10), revision)
		done.Store(i)
	}
	wg.Wait()
}

// Several count up one register, and each mostly gives up waiting for its answer after a random time. No number may be counted
// twice, and what a counter does not know it can read.
func testLostAnswers(t *testing.T, r *registers) {
	const enough = 40
	name := r.name("a")
	var mu sync.Mutex // guards what follows
	by := map[int]string{}
	lost := 0
	count := func(n int, who string) (more bool) {
		mu.Lock()
		defer mu.Unlock()
		if other, ok := by[n]; ok && other != who {
			t.Errorf("%s and %s both counted %d", other, who, n)
		}
		by[n] = who
		return len(by) < enough
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for more, try := true, 0; more && r.ctx.Err() == nil; try++ {
				have, err := r.Get(r.ctx, name)
				if err != nil && !errors.Is(err, eventstore.ErrNoRegister) {
					t.Error(err)
					return
				}
				n, who := 0, ""
				_, _ = fmt.Sscanf(string(have.Value), "%d by %s", &n, &who)
				if me := fmt.Sprintf("%d-%d", w, try-1); who == me {
					more = count(n, me)
				}
				me := fmt.Sprintf("%d-%d", w, try)
				ctx, cancel := context.WithCancel(r.ctx)
				if try%3 > 0 { // else it waits, for a slow machine has to get on too
					ctx, cancel = context.WithTimeout(r.ctx, time.Duration(random.IntN(2000))*time.Microsecond)
				}
				_, err = r.Set(ctx, name, fmt.Appendf(nil, "%d by %s", n+1, me), have.Revision)
				cancel()
				switch {
				case err == nil:
					more = count(n+1, me)
				case !errors.Is(err, eventstore.ErrRevision):
					mu.Lock()
					lost++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d answers lost, %d counted", lost, len(by))
}

func testNames(t *testing.T, r *registers) {
	for _, name := range []string{"", ".", "a.", ".a", "a..b", "a b", "a.*", ">", "a.>", "ä", "a/b", string(bytes.Repeat([]byte("a"), 300))} {
		if _, err := r.Get(r.ctx, name); err == nil || errors.Is(err, eventstore.ErrNoRegister) {
			t.Errorf("get %q: %v, want that it is no name", name, err)
		}
		if _, err := r.Set(r.ctx, name, nil, 0); err == nil || errors.Is(err, eventstore.ErrRevision) {
			t.Errorf("set %q: %v, want that it is no name", name, err)
		}
		if err := r.Delete(r.ctx, name, 0); err == nil || errors.Is(err, eventstore.ErrRevision) {
			t.Errorf("delete %q: %v, want that it is no name", name, err)
		}
		if _, err := r.List(r.ctx, name); err == nil {
			t.Errorf("list %q: want that it is no name", name)
		}
	}
}

func testRegistersEnded(t *testing.T, r *registers) {
	name := r.name("a")
	revision := r.set(t, name, "1", 0)
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	if _, err := r.Get(ctx, name); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v", err)
	}
	if _, err := r.Set(ctx, name, nil, revision); !errors.Is(err, context.Canceled) {
		t.Errorf("set: %v", err)
	}
	if err := r.Delete(ctx, name, revision); !errors.Is(err, context.Canceled) {
		t.Errorf("delete: %v", err)
	}
	if _, err := r.List(ctx, r.room); !errors.Is(err, context.Canceled) {
		t.Errorf("list: %v", err)
	}
	r.holds(t, name, "1", revision)
}
