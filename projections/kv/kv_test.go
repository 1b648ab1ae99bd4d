package kv_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/kv/kvtest"
)

func TestMemoryHoldsTheContract(t *testing.T) {
	kvtest.Store(t, func(testing.TB) kv.Store { return kv.NewMemory() })
}

func TestAnOverlayOverAnOverlayIsATransaction(t *testing.T) {
	kvtest.Tx(t, func(_ testing.TB, base map[string]string) kv.Tx {
		below := kv.NewOverlay(kv.NewMemory())
		for k, v := range base {
			below.Set([]byte(k), []byte(v))
		}
		return kv.NewOverlay(below)
	})
}

func TestAnOverlayHandsItsWritesOnInKeyOrder(t *testing.T) {
	base := memory(t, "a", "b", "c")
	o := kv.NewOverlay(base)
	o.Set([]byte("d"), []byte("d"))
	o.Delete([]byte("a"))
	o.Set([]byte("b"), []byte("B"))
	if o.Len() != 3 {
		t.Errorf("Len is %d after writes of 3 keys", o.Len())
	}
	if got := dump(base); got != "a=a b=b c=c " {
		t.Fatalf("the base was touched: %s", got)
	}
	batch := base.NewBatch()
	o.WriteTo(batch)
	if err := batch.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := dump(base); got != "b=B c=c d=d " {
		t.Fatalf("after WriteTo: %s", got)
	}
}

func TestRollbackTakesBackWhatWasWrittenSinceTheSavepoint(t *testing.T) {
	o := kv.NewOverlay(memory(t, "a", "b"))
	o.Set([]byte("a"), []byte("1"))
	o.Savepoint()
	o.Set([]byte("a"), []byte("2"))
	o.Set([]byte("a"), []byte("3"))
	o.Delete([]byte("b"))
	o.Set([]byte("c"), []byte("4"))
	o.Rollback()
	if got := dump(o); got != "a=1 b=b " {
		t.Fatalf("after a rollback: %s", got)
	}
	if o.Len() != 1 {
		t.Errorf("Len is %d, want the one key that is still written", o.Len())
	}
	o.Rollback()
	if got := dump(o); got != "a=1 b=b " {
		t.Fatalf("a second rollback went past the savepoint: %s", got)
	}
}

func TestPrefixEndIsTheFirstKeyAfterThePrefix(t *testing.T) {
	for _, c := range []struct{ prefix, end string }{{"a", "b"}, {"ab", "ac"}, {"a\xff", "b"}, {"a\xff\xff", "b"}, {"\x00", "\x01"}} {
		if got := kv.PrefixEnd([]byte(c.prefix)); string(got) != c.end {
			t.Errorf("PrefixEnd(%q) = %q, want %q", c.prefix, got, c.end)
		}
	}
	if got := kv.PrefixEnd([]byte("\xff\xff")); got != nil {
		t.Errorf("PrefixEnd of the last prefix = %q, want none", got)
	}
}

func TestKeysOrderAsTheirPartsDo(t *testing.T) {
	// In the order wanted: strings first, then numbers.
	keys := [][]byte{
		kv.NewKey('a').String("").Uint(1),
		kv.NewKey('a').String("x").Uint(0),
		kv.NewKey('a').String("x").Uint(255),
		kv.NewKey('a').String("x").Uint(256),
		kv.NewKey('a').String("x-").Uint(0),
		kv.NewKey('a').String("xa").Uint(0),
		kv.NewKey('b'),
	}
	if !slices.IsSortedFunc(keys, bytes.Compare) {
		t.Errorf("not in order: %q", keys)
	}
}

func FuzzKeyPartsAreReadBackAsWritten(f *testing.F) {
	f.Add("thing-1", uint64(7), []byte("rest"))
	f.Fuzz(func(t *testing.T, s string, n uint64, junk []byte) {
		s = string(bytes.ReplaceAll([]byte(s), []byte{0}, nil))
		gotS, rest := kv.CutString(kv.NewKey('a').String(s).Uint(n)[1:])
		gotN, rest := kv.CutUint(rest)
		if gotS != s || gotN != n || len(rest) != 0 {
			t.Fatalf("%q %d came back as %q %d, %d bytes left", s, n, gotS, gotN, len(rest))
		}
		kv.CutString(junk) // whatever the bytes: no panic
		kv.CutUint(junk)
	})
}

func memory(t *testing.T, keys ...string) *kv.Memory {
	m := kv.NewMemory()
	b := m.NewBatch()
	for _, k := range keys {
		b.Set([]byte(k), []byte(k))
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	return m
}

func dump(r kv.Reader) string {
	out := ""
	for k, v := range r.Scan(nil, nil) {
		out += string(k) + "=" + string(v) + " "
	}
	return out
}
