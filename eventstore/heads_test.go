package eventstore

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func aHead(n uint64) Head {
	return Head{Mark: Mark{Number: n, Hash: Hash(bytes.Repeat([]byte{byte(n)}, 32))}, EffectsDone: n - 1}
}

func openHead(t *testing.T, path string) *HeadFile {
	t.Helper()
	h, err := OpenHead(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func TestAHeadIsThereAgainAfterEverySet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "job.head")
	h := openHead(t, path)
	if head, ok := h.Head(); ok {
		t.Fatalf("a new file holds %v", head)
	}
	if head, ok := openHead(t, path).Head(); ok {
		t.Fatalf("a file that was never set holds %v", head)
	}
	for n := uint64(1); n < 10; n++ {
		if err := h.Set(aHead(n)); err != nil {
			t.Fatal(err)
		}
		if n%3 == 0 {
			if err := h.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		// As after a crash of the process: nobody has closed or flushed it.
		if got, ok := openHead(t, path).Head(); !ok || got != aHead(n) {
			t.Fatalf("got %v, %v; want %v", got, ok, aHead(n))
		}
	}
}

func TestATornHeadFileIsNotTakenForAMissingOne(t *testing.T) {
	whole := encodeHead(aHead(7))
	for name, data := range map[string][]byte{
		"empty":                     {},
		"zeros":                     make([]byte, headSize),
		"cut":                       whole[:headSize-1],
		"too long":                  append(bytes.Clone(whole), 0),
		"half the old, half new":    append(bytes.Clone(encodeHead(aHead(8))[:30]), whole[30:]...),
		"one bit of the number":     flip(whole, 15),
		"one bit of the checksum":   flip(whole, headSize-1),
		"one bit of the first byte": flip(whole, 0),
	} {
		path := filepath.Join(t.TempDir(), "job.head")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if h, err := OpenHead(path); err == nil {
			head, ok := h.Head()
			t.Errorf("%s: opened as %v, %v", name, head, ok)
		}
	}
}

func flip(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 1
	return data
}

func FuzzHead(f *testing.F) {
	f.Add(encodeHead(Head{}))
	f.Add(encodeHead(aHead(7)))
	f.Add(flip(encodeHead(aHead(7)), 50))
	f.Fuzz(func(t *testing.T, data []byte) {
		if head, err := decodeHead(data); err == nil && !bytes.Equal(encodeHead(head), data) {
			t.Fatalf("%x decodes to %v", data, head)
		}
	})
}
