package sim

import (
	"fmt"
	"strings"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/projections/kv"
)

// store is a state store that can go back to what was flushed last, as one does when the power fails.
type store struct {
	*kv.Memory
	flushed kv.Snapshot
}

func newStore() *store {
	m := kv.NewMemory()
	return &store{Memory: m, flushed: m.Snapshot()}
}

// Flush implements kv.Store.
func (s *store) Flush() error {
	s.flushed = s.Snapshot()
	return nil
}

// revert loses what was not flushed.
func (s *store) revert() {
	m := kv.NewMemory()
	b := m.NewBatch()
	for k, v := range s.flushed.Scan(nil, nil) {
		b.Set(k, v)
	}
	if err := b.Commit(); err != nil {
		panic(err)
	}
	s.Memory = m
}

// head is a host.Head that can do the same.
type head struct{ now, synced eventstore.Head }

func (h *head) Head() (eventstore.Head, bool) { return h.now, h.now.Number > 0 }
func (h *head) Set(x eventstore.Head) error   { h.now = x; return nil }
func (h *head) Sync() error                   { h.synced = h.now; return nil }
func (h *head) revert()                       { h.now = h.synced }

// difference is the first line in which two states differ; empty if they do not.
func difference(a, b kv.Reader) string {
	x, y := strings.Split(dump(a), "\n"), strings.Split(dump(b), "\n")
	for n := range max(len(x), len(y)) {
		left, right := "nothing", "nothing"
		if n < len(x) {
			left = x[n]
		}
		if n < len(y) {
			right = y[n]
		}
		if left != right {
			return fmt.Sprintf("%s, not %s", left, right)
		}
	}
	return ""
}

func dump(r kv.Reader) string {
	var b strings.Builder
	for k, v := range r.Scan(nil, nil) {
		fmt.Fprintf(&b, "%q = %x\n", k, v)
	}
	return b.String()
}
