// Package kvtest is the contract of package kv as a test suite: what every Store, and every Tx, must do.
//
// A run of random operations goes to the state under test and to a plain map; they must agree at every step.
package kvtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/droverhq/drover/projections/kv"
)

// Store holds a store to the contract. Open makes an empty one, and cleans up after the test.
func Store(t *testing.T, open func(testing.TB) kv.Store) {
	t.Run("an empty store has nothing", func(t *testing.T) {
		s := open(t)
		if v, ok := s.Get([]byte("a")); ok {
			t.Fatalf("Get found %q", v)
		}
		agree(t, s, model{})
	})
	t.Run("a batch is not seen before its commit and wholly seen after it", func(t *testing.T) {
		s := open(t)
		b := s.NewBatch()
		b.Set([]byte("a"), []byte("1"))
		b.Set([]byte("b"), []byte("2"))
		agree(t, s, model{})
		commit(t, b)
		agree(t, s, model{"a": "1", "b": "2"})
	})
	t.Run("in a batch the last write of a key counts", func(t *testing.T) {
		s := open(t)
		b := s.NewBatch()
		b.Set([]byte("a"), []byte("1"))
		b.Delete([]byte("a"))
		b.Delete([]byte("b"))
		b.Set([]byte("b"), []byte("2"))
		b.Set([]byte("c"), []byte("3"))
		b.Set([]byte("c"), []byte("4"))
		commit(t, b)
		agree(t, s, model{"b": "2", "c": "4"})
	})
	t.Run("an empty value is a value", func(t *testing.T) {
		s := open(t)
		b := s.NewBatch()
		b.Set([]byte("a"), nil)
		b.Set([]byte("b"), []byte{})
		commit(t, b)
		agree(t, s, model{"a": "", "b": ""})
	})
	t.Run("deleting what is not there changes nothing", func(t *testing.T) {
		s := open(t)
		b := s.NewBatch()
		b.Delete([]byte("a"))
		commit(t, b)
		agree(t, s, model{})
	})
	t.Run("keys order as bytes do", func(t *testing.T) {
		s := open(t)
		b := s.NewBatch()
		want := model{}
		for _, k := range []string{"a", "a\x00", "a\x00\x00", "a\x00\xff", "a\xff", "b", "\x00", "\xff", "\xff\xff", "é"} {
			b.Set([]byte(k), []byte(k))
			want[k] = k
		}
		commit(t, b)
		agree(t, s, want)
	})
	t.Run("a scan begins at from, ends before to, and stops when told", func(t *testing.T) {
		s := open(t)
		b := s.NewBatch()
		for _, k := range []string{"a", "b", "c", "d"} {
			b.Set([]byte(k), nil)
		}
		commit(t, b)
		for _, c := range []struct{ from, to, want string }{
			{"b", "d", "b c"}, {"bb", "d", "c"}, {"b", "b", ""}, {"d", "b", ""}, {"b", "", "b c d"}, {"", "c", "a b"}, {"x", "", ""},
		} {
			var got []string
			for k := range s.Scan(ends(c.from), ends(c.to)) {
				got = append(got, string(k))
			}
			if g := strings.Join(got, " "); g != c.want {
				t.Errorf("Scan(%q, %q) = %q, want %q", c.from, c.to, g, c.want)
			}
		}
		n := 0
		for range s.Scan(nil, nil) {
			if n++; n == 2 {
				break
			}
		}
	})
	t.Run("a snapshot stays as it is", func(t *testing.T) {
		s := open(t)
		b := s.NewBatch()
		b.Set([]byte("a"), []byte("1"))
		b.Set([]byte("b"), []byte("2"))
		commit(t, b)
		before := s.Snapshot()
		b = s.NewBatch()
		b.Set([]byte("a"), []byte("9"))
		b.Delete([]byte("b"))
		b.Set([]byte("c"), []byte("3"))
		commit(t, b)
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		agree(t, before, model{"a": "1", "b": "2"})
		agree(t, s, model{"a": "9", "c": "3"})
		if err := before.Close(); err != nil {
			t.Fatal(err)
		}
		agree(t, s, model{"a": "9", "c": "3"})
	})
	t.Run("many batches and snapshots agree with a map", func(t *testing.T) {
		s := open(t)
		rng := rand.New(rand.NewPCG(1, 2))
		now := model{}
		for step := range 200 {
			b := s.NewBatch()
			for range rng.IntN(20) {
				now.random(rng, b)
			}
			commit(t, b)
			if step%17 == 0 {
				if err := s.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			if step%10 == 0 {
				then, want := s.Snapshot(), now.copy()
				defer func() {
					agree(t, then, want)
					if err := then.Close(); err != nil {
						t.Error(err)
					}
				}()
			}
			if step%5 == 0 {
				agree(t, s, now)
			}
		}
	})
	t.Run("readers see whole batches while one writes", func(t *testing.T) {
		s := open(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 200 {
				b := s.NewBatch()
				v := fmt.Appendf(nil, "%d", i)
				b.Set([]byte("a"), v)
				b.Set([]byte("z"), bytes.Clone(v))
				if err := b.Commit(); err != nil {
					t.Error(err)
				}
			}
		}()
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			at := s.Snapshot()
			a, _ := at.Get([]byte("a"))
			z, _ := at.Get([]byte("z"))
			if !bytes.Equal(a, z) {
				t.Errorf("a is %s and z is %s", a, z)
				running = false
			}
			if err := at.Close(); err != nil {
				t.Fatal(err)
			}
		}
		<-done
	})
	t.Run("an overlay over it is a transaction", func(t *testing.T) {
		Tx(t, func(t testing.TB, base map[string]string) kv.Tx {
			s := open(t)
			b := s.NewBatch()
			for k, v := range base {
				b.Set([]byte(k), []byte(v))
			}
			if err := b.Commit(); err != nil {
				t.Fatal(err)
			}
			return kv.NewOverlay(s)
		})
	})
}

// Tx holds a transaction to the contract. Begin makes one over a base state.
func Tx(t *testing.T, begin func(t testing.TB, base map[string]string) kv.Tx) {
	t.Run("it shows its base", func(t *testing.T) {
		base := model{"a": "1", "b": "2"}
		agree(t, begin(t, base), base)
	})
	t.Run("its own writes are seen at once", func(t *testing.T) {
		tx := begin(t, model{"a": "1", "b": "2", "c": "3"})
		tx.Set([]byte("b"), []byte("9"))
		tx.Delete([]byte("c"))
		tx.Set([]byte("d"), []byte("4"))
		agree(t, tx, model{"a": "1", "b": "9", "d": "4"})
		tx.Set([]byte("c"), []byte("5"))
		tx.Delete([]byte("d"))
		agree(t, tx, model{"a": "1", "b": "9", "c": "5"})
	})
	t.Run("random writes agree with a map", func(t *testing.T) {
		for seed := range uint64(10) {
			rng := rand.New(rand.NewPCG(seed, 0))
			now := model{}
			for range 20 {
				now.random(rng, discard{})
			}
			tx := begin(t, now.copy())
			for range 50 {
				now.random(rng, tx)
				agree(t, tx, now)
			}
		}
	})
}

// model is what a state should be.
type model map[string]string

func (m model) copy() model {
	c := model{}
	for k, v := range m {
		c[k] = v
	}
	return c
}

// random sets or deletes one of a few keys, in the model and in w.
func (m model) random(rng *rand.Rand, w kv.Writer) {
	key := strings.Repeat(string(rune('a'+rng.IntN(6))), 1+rng.IntN(3))
	if rng.IntN(3) == 0 {
		delete(m, key)
		w.Delete([]byte(key))
		return
	}
	m[key] = fmt.Sprint(rng.IntN(1000))
	w.Set([]byte(key), []byte(m[key]))
}

type discard struct{}

func (discard) Set([]byte, []byte) {}
func (discard) Delete([]byte)      {}

// agree compares a state with what it should be: whole scan, some ranges, and Get of every key and of some others.
func agree(t testing.TB, r kv.Reader, want model) {
	t.Helper()
	keys := make([]string, 0, len(want))
	for k := range want {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	ranges := [][2]string{{"", ""}, {"aa", "cc"}, {"b", ""}, {"", "b"}}
	for _, bounds := range ranges {
		from, to := ends(bounds[0]), ends(bounds[1])
		expect, got := "", ""
		for _, k := range keys {
			if k >= string(from) && (to == nil || k < string(to)) {
				expect += fmt.Sprintf("%q=%q ", k, want[k])
			}
		}
		for k, v := range r.Scan(from, to) {
			got += fmt.Sprintf("%q=%q ", k, v)
		}
		if got != expect {
			t.Fatalf("Scan(%q, %q)\n got %s\nwant %s", from, to, got, expect)
		}
	}
	for _, k := range keys {
		if v, ok := r.Get([]byte(k)); !ok || string(v) != want[k] {
			t.Fatalf("Get(%q) = %q, %v; want %q", k, v, ok, want[k])
		}
	}
	for _, k := range []string{"a", "bb", "ccc", "d\x00", "zz", "\xff\xff\xff"} {
		if v, ok := r.Get([]byte(k)); ok && want[k] != string(v) {
			t.Fatalf("Get(%q) = %q; want %q", k, v, want[k])
		} else if _, there := want[k]; ok != there {
			t.Fatalf("Get(%q) found is %v, want %v", k, ok, there)
		}
	}
}

func commit(t testing.TB, b kv.Batch) {
	t.Helper()
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
}

// ends makes a bound of a string; empty is none.
func ends(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}
