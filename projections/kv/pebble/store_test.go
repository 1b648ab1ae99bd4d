package pebble

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/kv/kvtest"
)

func TestAStoreHoldsTheContract(t *testing.T) {
	kvtest.Store(t, func(t testing.TB) kv.Store { return openOn(t, vfs.NewMem(), "state") })
}

func TestAStoreOnDiskHoldsTheContract(t *testing.T) {
	kvtest.Store(t, func(t testing.TB) kv.Store { return openOn(t, vfs.Default, t.TempDir()) })
}

func TestAClosedStoreOpensAsItWas(t *testing.T) {
	dir, cache := t.TempDir(), NewCache(1<<20)
	defer cache.Close()
	for i := range 3 {
		s, err := Open(dir, Options{Cache: cache, Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		if n := count(s); n != i {
			t.Fatalf("opening %d found %d rows", i, n)
		}
		write(t, s, uint64(i))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFolderIsOpenedOnce(t *testing.T) {
	dir := t.TempDir()
	openOn(t, vfs.Default, dir)
	if _, err := Open(dir, Options{Logger: quiet()}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Fatalf("a second opening: %v", err)
	}
}

// Each batch of this test writes its number into every one of its rows and into the checkpoint, so that rows and
// checkpoint of two batches cannot be taken for one.
func TestAfterAnyCrashRowsAndCheckpointAreOfOneBatchPrefix(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	fs := vfs.NewCrashableMem()
	s := openOn(t, fs, "state")
	batches, flushed, recovered := uint64(0), uint64(0), 0
	for crash := range 60 {
		for range 1 + rng.IntN(5) {
			batches++
			writeBatch(t, s, batches)
		}
		if rng.IntN(3) == 0 {
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			flushed = batches
		} else if rng.IntN(2) == 0 {
			// The crash comes while a flush runs, or just before it.
			if _, err := s.db.AsyncFlush(); err != nil {
				t.Fatal(err)
			}
		}
		clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rand.New(rand.NewPCG(uint64(crash), 5))})
		after, err := Open("state", Options{Logger: quiet(), fs: clone})
		if err != nil {
			t.Fatalf("crash %d: %v", crash, err)
		}
		at := checkPrefix(t, after)
		if at < flushed || at > batches {
			t.Fatalf("crash %d: the store is as of batch %d; %d were flushed, %d written", crash, at, flushed, batches)
		}
		if at > 0 {
			recovered++
		}
		if err := after.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if recovered == 0 {
		t.Fatal("nothing was ever recovered: the test shows nothing")
	}
}

func TestAFullDiskFailsTheStoreInsteadOfStoppingIt(t *testing.T) {
	var attempts atomic.Int64
	full := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpCreate {
			attempts.Add(1)
			return errors.New("no space left on device")
		}
		return nil
	})}
	s, err := Open("state", Options{Logger: quiet(), fs: errorfs.Wrap(vfs.NewMem(), &full)})
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, 1)
	full.On()
	if err := s.Flush(); err == nil {
		t.Fatal("a flush to a full disk succeeded")
	}
	ended := make(chan error, 1)
	go func() {
		b := s.NewBatch()
		b.Set([]byte("a"), nil)
		ended <- b.Commit()
	}()
	select {
	case err := <-ended:
		if f := new(kv.Failure); !errors.As(err, &f) {
			t.Fatalf("a commit after it: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("a commit after it hangs")
	}
	before, began := attempts.Load(), time.Now()
	for tried := false; !tried || time.Since(began) < 5*calmAfter; time.Sleep(calmAfter / 10) {
		if tried = attempts.Load() > before; !tried && time.Since(began) > time.Minute {
			t.Fatal("it does not try to write any more")
		}
	}
	n, looked := attempts.Load()-before, time.Since(began)
	if n > 2*int64(looked/calmAfter) {
		t.Errorf("it tried %d times in %s to write to the full disk", n, looked)
	}
	full.Off()
	_ = s.Close()
}

func TestDamagePanicsWithAFailure(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(100) {
		write(t, s, i)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tables, _ := filepath.Glob(filepath.Join(dir, "*.sst"))
	if len(tables) == 0 {
		t.Fatal("there is no table to damage")
	}
	for _, name := range tables {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		data[10] ^= 1
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err = Open(dir, Options{Logger: quiet()})
	if err != nil {
		t.Skipf("found at opening, which is as good: %v", err)
	}
	defer s.Close()
	defer func() {
		if f, ok := recover().(*kv.Failure); !ok {
			t.Fatalf("the read of a damaged table did not panic with a failure, but %v", f)
		}
	}()
	count(s)
}

func openOn(t testing.TB, fs vfs.FS, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{Logger: quiet(), fs: fs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func write(t testing.TB, s kv.Store, n uint64) {
	t.Helper()
	b := s.NewBatch()
	b.Set(kv.NewKey('r').Uint(n), bytes.Repeat([]byte("value"), 20))
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
}

func count(s kv.Reader) (n int) {
	for range s.Scan(nil, nil) {
		n++
	}
	return n
}

// writeBatch sets 20 rows and the checkpoint to a batch's number; the last row is in one batch and not in the next.
func writeBatch(t testing.TB, s kv.Store, n uint64) {
	t.Helper()
	b := s.NewBatch()
	number := binary.BigEndian.AppendUint64(nil, n)
	b.Set([]byte("checkpoint"), number)
	for row := range 20 {
		b.Set(fmt.Appendf(nil, "row-%02d", row), bytes.Repeat(number, 50))
	}
	if n%2 == 0 {
		b.Delete([]byte("row-19"))
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
}

// checkPrefix returns the batch as of which the store is, all of it.
func checkPrefix(t testing.TB, s kv.Reader) uint64 {
	t.Helper()
	checkpoint, ok := s.Get([]byte("checkpoint"))
	rows := 0
	for key, value := range s.Scan([]byte("row-"), kv.PrefixEnd([]byte("row-"))) {
		rows++
		if !bytes.Equal(value, bytes.Repeat(checkpoint, 50)) {
			t.Fatalf("%s is of batch %x, the checkpoint of %x", key, value[:8], checkpoint)
		}
	}
	if !ok {
		if rows != 0 {
			t.Fatalf("%d rows without a checkpoint", rows)
		}
		return 0
	}
	n := binary.BigEndian.Uint64(checkpoint)
	if want := 20 - int(1-n%2); rows != want {
		t.Fatalf("as of batch %d there are %d rows, want %d", n, rows, want)
	}
	return n
}
