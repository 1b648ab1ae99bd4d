// Package pebble is kv.Store on disk, and the only place where Pebble is met.
//
// It promises what kv.Store asks: batches that become visible as a whole and survive, if at all, in the order in
// which they were committed; snapshots; scans in key order. It has no write-ahead log, because the log of commits is
// one: after a crash the store is as it was at some batch since the last Flush, and its owner folds the rest again
// from the checkpoint that the batch holds. (design §4)
//
// A read that fails, or finds damage, panics with *kv.Failure. A background failure (disk full, damage found by a
// compaction) makes every later Commit and Flush return it, for good: what is in memory can no longer be trusted to
// reach the disk. The process ends then, or goes on without this store; nothing is lost but the time to fold again.
package pebble

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/droverhq/drover/projections/kv"
)

// Sizes, in bytes. A store holds at most memTableCount memtables in memory before a Commit waits for the disk.
const (
	memTableSize     = 16 << 20
	memTableCount    = 3
	cacheSizePrivate = 8 << 20
)

// format is the newest file format that this version writes. Raising it is one way: older versions cannot read it.
const format = pebble.FormatTableFormatV6

// Options say how a store is opened. The zero value works.
type Options struct {
	// Cache is shared by all stores of the process. Nil gives the store 8 MiB of its own: enough for tests and tools.
	Cache *Cache
	// Logger gets what an operator should see; nil is slog.Default.
	Logger *slog.Logger

	fs vfs.FS // tests crash and fail it
}

// Store is a kv.Store in a folder. It is safe for concurrent use; batches are committed by one goroutine at a time.
type Store struct {
	db     *pebble.DB
	logger *slog.Logger

	failing sync.Once
	failed  chan struct{} // closed by fail, after failure is set
	failure *kv.Failure
	waiting atomic.Int32 // commits that Pebble has and that nobody waits for any more
}

var _ kv.Store = (*Store)(nil)

// Open opens the store in a folder, which it makes. An error names the folder; what it held is a fold of logs, so
// the way out is to remove the folder and fold again.
func Open(dir string, o Options) (*Store, error) {
	s := &Store{logger: o.Logger, failed: make(chan struct{})}
	if s.logger == nil {
		s.logger = slog.Default()
	}
	s.logger = s.logger.With("store", dir)
	cache := o.Cache
	if cache == nil {
		cache = NewCache(cacheSizePrivate)
		defer cache.Close()
	}
	db, err := pebble.Open(dir, s.options(cache, o.fs))
	if err != nil {
		return nil, fmt.Errorf("open state store %s: %w (it can be removed: it is folded again from the logs)", dir, err)
	}
	s.db = db
	return s, nil
}

func (s *Store) options(cache *Cache, fs vfs.FS) *pebble.Options {
	if fs == nil {
		fs = vfs.Default
	}
	o := &pebble.Options{
		FS:                          calmFS{fs, s.failed},
		FormatMajorVersion:          format,
		DisableWAL:                  true,
		Cache:                       cache.blocks,
		MemTableSize:                memTableSize,
		MemTableStopWritesThreshold: memTableCount,
		L0StopWritesThreshold:       24,
		CompactionConcurrencyRange:  func() (lower, upper int) { return 1, 2 },
		Logger:                      quietLogger{s},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { s.fail("background", err) },
			DataCorruption:  func(i pebble.DataCorruptionInfo) { s.fail("read "+i.Path, i.Details) },
		},
	}
	// Fast at the top, where every row passes; small at the bottom, where it stays.
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings {
		c := pebble.DBCompressionFastest
		for level := range len(c.Levels) - 2 {
			c.Levels[level] = pebble.DBCompressionNone.Levels[level]
		}
		return c
	})
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10) // bits a key: 1 in 100 absent keys is looked for in vain
	}
	return o
}

// fail makes the first failure the store's.
func (s *Store) fail(op string, err error) {
	s.failing.Do(func() {
		s.failure = &kv.Failure{Op: op, Err: err}
		close(s.failed)
		s.logger.Error("the state store has failed", "op", op, "err", err)
	})
}

// Err is why the store has failed, or nil.
func (s *Store) Err() error {
	select {
	case <-s.failed:
		return s.failure
	default:
		return nil
	}
}

// Get implements kv.Reader. The value is the caller's.
func (s *Store) Get(key []byte) ([]byte, bool) { return get(s.db, key) }

// Scan implements kv.Reader. It sees the state as it was when the loop began.
func (s *Store) Scan(from, to []byte) iter.Seq2[[]byte, []byte] { return scan(s.db, from, to) }

// NewBatch implements kv.Store.
func (s *Store) NewBatch() kv.Batch { return &batch{store: s, writes: s.db.NewBatch()} }

// Snapshot implements kv.Store. It keeps what it sees from being compacted away: close it soon.
func (s *Store) Snapshot() kv.Snapshot { return &snapshot{s.db.NewSnapshot()} }

// Flush implements kv.Store.
func (s *Store) Flush() error {
	if err := s.Err(); err != nil {
		return err
	}
	done, err := s.db.AsyncFlush()
	if err != nil {
		return &kv.Failure{Op: "flush", Err: err}
	}
	select {
	case <-done:
		return nil
	case <-s.failed:
		return s.failure
	}
}

// Close flushes and closes. A store that has failed with a commit under way is left open: it holds the folder's lock
// until the process ends.
func (s *Store) Close() error {
	err := s.Flush()
	if err != nil && s.waiting.Load() > 0 {
		return err
	}
	return errors.Join(err, s.db.Close())
}

type batch struct {
	store  *Store
	writes *pebble.Batch
}

func (b *batch) Set(key, value []byte) {
	if err := b.writes.Set(key, value, nil); err != nil {
		panic(&kv.Failure{Op: "set", Err: err})
	}
}

func (b *batch) Delete(key []byte) {
	if err := b.writes.Delete(key, nil); err != nil {
		panic(&kv.Failure{Op: "delete", Err: err})
	}
}

// Commit makes the batch visible. A crash just after it loses the batch and all since the last flush; the owner
// finds the earlier checkpoint and folds again.
func (b *batch) Commit() error {
	if err := b.store.Err(); err != nil {
		return err
	}
	// While memtables wait for a disk that fails, Pebble waits too, without end. So somebody else waits there.
	done := make(chan error, 1)
	b.store.waiting.Add(1)
	go func() {
		err := b.writes.Commit(pebble.NoSync)
		b.store.waiting.Add(-1)
		if err == nil {
			err = b.writes.Close()
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			b.store.fail("commit", err)
			return b.store.Err()
		}
		return nil
	case <-b.store.failed:
		return b.store.failure
	}
}

type snapshot struct{ at *pebble.Snapshot }

func (s *snapshot) Get(key []byte) ([]byte, bool)                  { return get(s.at, key) }
func (s *snapshot) Scan(from, to []byte) iter.Seq2[[]byte, []byte] { return scan(s.at, from, to) }
func (s *snapshot) Close() error                                   { return s.at.Close() }

func get(r pebble.Reader, key []byte) ([]byte, bool) {
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false
	}
	if err != nil {
		panic(&kv.Failure{Op: "get", Err: err})
	}
	// The value lies in a cached block that closer gives back.
	mine := append(make([]byte, 0, len(value)), value...)
	if err := closer.Close(); err != nil {
		panic(&kv.Failure{Op: "get", Err: err})
	}
	return mine, true
}

func scan(r pebble.Reader, from, to []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		it, err := r.NewIterWithContext(context.Background(), &pebble.IterOptions{LowerBound: from, UpperBound: to})
		if err != nil {
			panic(&kv.Failure{Op: "scan", Err: err})
		}
		defer func() {
			if err := it.Close(); err != nil {
				panic(&kv.Failure{Op: "scan", Err: err})
			}
		}()
		for ok := it.First(); ok; ok = it.Next() {
			value, err := it.ValueAndErr()
			if err != nil {
				panic(&kv.Failure{Op: "scan", Err: err})
			}
			if !yield(it.Key(), value) {
				return
			}
		}
	}
}
