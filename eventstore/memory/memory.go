// Package memory is a log in memory, and registers: the contracts of eventstore.Backend and eventstore.Registers in their
// plainest form, to be read as their examples, and the log of tests and of the simulation.
//
// It keeps the whole contract: one message at a number, fenced by it, durable for as long as the value lives. It
// can also be told to fail as real ones fail (SetFault), and to be damaged as real ones are (damage.go). Given the
// same calls in the same order it does the same, and Append, Get and Bounds never wait.
package memory

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/droverhq/drover/eventstore"
)

// Backend is one log in memory. It is safe for concurrent use.
type Backend struct {
	mu      sync.Mutex // guards all below; never held while a caller's function runs
	stored  [][]byte   // message n is stored[n-1]; nil is lost
	size    int        // bytes stored
	limit   int        // of size; 0 is none
	fault   func(number uint64) Fault
	late    []late
	changed chan struct{} // closed, and made anew, when stored changes
}

// New makes an empty log.
func New() *Backend { return &Backend{changed: make(chan struct{})} }

// ErrUnanswered is the answer to an append that met a fault. As with any error that the contract does not name, the
// outcome is unknown to the caller.
var ErrUnanswered = errors.New("no answer")

// Append implements eventstore.Backend.
func (b *Backend) Append(ctx context.Context, number uint64, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tick()
	if err := ctx.Err(); err != nil {
		return err
	}
	f := Fault{}
	if b.fault != nil {
		f = b.fault(number)
	}
	switch f.Kind {
	case Refused:
		return ErrUnanswered
	case Late:
		b.late = append(b.late, late{number, bytes.Clone(data), f.After})
		return ErrUnanswered
	}
	// The fence: what is not the next number does not get in.
	if number != uint64(len(b.stored))+1 {
		return eventstore.ErrConflict
	}
	if b.limit > 0 && b.size+len(data) > b.limit {
		return eventstore.ErrFull
	}
	b.store(data)
	if f.Kind == Lost {
		return ErrUnanswered
	}
	return nil
}

// Get implements eventstore.Backend.
func (b *Backend) Get(ctx context.Context, number uint64) (eventstore.Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tick()
	if err := ctx.Err(); err != nil {
		return eventstore.Record{}, err
	}
	if number == 0 || number > uint64(len(b.stored)) || b.stored[number-1] == nil {
		return eventstore.Record{}, eventstore.ErrNotFound
	}
	return eventstore.Record{Number: number, Data: b.stored[number-1]}, nil
}

// Bounds implements eventstore.Backend.
func (b *Backend) Bounds(ctx context.Context) (first, last uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tick()
	return 1, uint64(len(b.stored)), ctx.Err()
}

// Follow implements eventstore.Backend. It waits only when it has handed out all there is.
func (b *Backend) Follow(ctx context.Context, from uint64, deliver func(eventstore.Record) error) error {
	for from = max(from, 1); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		b.mu.Lock()
		var news [][]byte
		if from <= uint64(len(b.stored)) {
			news = slices.Clone(b.stored[from-1:])
		}
		changed := b.changed
		b.mu.Unlock()
		for _, data := range news {
			if err := ctx.Err(); err != nil {
				return err
			}
			if data != nil {
				if err := deliver(eventstore.Record{Number: from, Data: data}); err != nil {
					return err
				}
			}
			from++
		}
		if len(news) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// store keeps a copy, as a medium does: the caller may use his bytes again.
func (b *Backend) store(data []byte) {
	b.stored = append(b.stored, append([]byte{}, data...))
	b.size += len(data)
	b.wake()
}

func (b *Backend) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}
