package kv

import (
	"iter"
	"sync"

	"github.com/tidwall/btree"
)

// Memory is a Store in memory. Snapshots are copies on write.
type Memory struct {
	mu   sync.RWMutex // guards tree; held for one operation, a scan works on a copy
	tree btree.Map[string, []byte]
}

// NewMemory makes an empty store.
func NewMemory() *Memory { return &Memory{} }

// Get implements Reader.
func (m *Memory) Get(key []byte) ([]byte, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.tree.Get(string(key))
}

// Scan implements Reader.
func (m *Memory) Scan(from, to []byte) iter.Seq2[[]byte, []byte] {
	return m.copy().Scan(from, to)
}

// NewBatch implements Store.
func (m *Memory) NewBatch() Batch { return &memoryBatch{store: m} }

// Snapshot implements Store.
func (m *Memory) Snapshot() Snapshot { return m.copy() }

// Flush implements Store: there is nothing to flush to.
func (m *Memory) Flush() error { return nil }

// Close implements Store.
func (m *Memory) Close() error { return nil }

func (m *Memory) copy() *memorySnapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memorySnapshot{tree: m.tree.Copy()}
}

type memorySnapshot struct{ tree *btree.Map[string, []byte] }

func (s *memorySnapshot) Get(key []byte) ([]byte, bool) { return s.tree.Get(string(key)) }
func (s *memorySnapshot) Close() error                  { return nil }

func (s *memorySnapshot) Scan(from, to []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		s.tree.Ascend(string(from), func(k string, v []byte) bool {
			return (to == nil || k < string(to)) && yield([]byte(k), v)
		})
	}
}

type memoryBatch struct {
	store  *Memory
	writes []write
}

type write struct {
	key     string
	value   []byte
	deleted bool
}

func (b *memoryBatch) Set(key, value []byte) {
	b.writes = append(b.writes, write{key: string(key), value: value})
}

func (b *memoryBatch) Delete(key []byte) {
	b.writes = append(b.writes, write{key: string(key), deleted: true})
}

func (b *memoryBatch) Commit() error {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	for _, w := range b.writes {
		if w.deleted {
			b.store.tree.Delete(w.key)
		} else {
			b.store.tree.Set(w.key, w.value)
		}
	}
	return nil
}
