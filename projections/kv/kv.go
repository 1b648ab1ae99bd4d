// Package kv is an ordered key-value state: what cores and read models are folded into.
//
// It promises transactions that become visible as a whole, scans in key order, and nothing about durability: the
// log is the durable thing, and state that is lost is folded again. A store that cannot read or write panics with
// *Failure, so that folds stay total functions; whoever runs a fold recovers, and stops that partition.
//
// kv holds the contract, Overlay (a transaction over any Reader) and Memory. kv/pebble is the same on disk.
package kv

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// Reader reads one state.
type Reader interface {
	// Get returns the value under key, and whether there is one. The value must not be changed and is good
	// until the next write to the same state.
	Get(key []byte) ([]byte, bool)
	// Scan yields the pairs with from <= key < to in key order; a nil to is the end. Keys and values must not
	// be changed and are good for one turn of the loop. The state must not be written during a scan.
	Scan(from, to []byte) iter.Seq2[[]byte, []byte]
}

// Writer writes. It copies neither key nor value: the caller gives them away.
type Writer interface {
	Set(key, value []byte)
	Delete(key []byte)
}

// Tx is a state that can be changed.
type Tx interface {
	Reader
	Writer
}

// Store keeps a state between processes, or until the process ends.
type Store interface {
	Reader
	// NewBatch collects writes. Commit makes them visible together, and as one: after a crash all of a batch is
	// there or none of it, and no batch is there without those committed before it.
	NewBatch() Batch
	// Snapshot is the state as it is now, whatever is committed later.
	Snapshot() Snapshot
	// Flush makes what was committed survive the loss of the machine's power.
	Flush() error
	Close() error
}

// Batch is a set of writes. It is used once.
type Batch interface {
	Writer
	Commit() error
}

// Snapshot is a state that stays as it is until it is closed.
type Snapshot interface {
	Reader
	Close() error
}

// Failure is what a store panics with when its medium fails or its contents are damaged.
type Failure struct {
	Op  string
	Err error
}

func (f *Failure) Error() string { return fmt.Sprintf("state store: %s: %v", f.Op, f.Err) }
func (f *Failure) Unwrap() error { return f.Err }

// PrefixEnd is the first key after all keys that begin with prefix, or nil if there is none: the `to` of a Scan.
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}

// Key builds a key: strings as they are, each ended by a zero byte; numbers as 8 bytes, big endian, so that keys
// order as numbers do. Strings must hold no zero byte; checked names (proto/id) never do.
type Key []byte

// NewKey starts a key in a table; tables are told apart by their first byte.
func NewKey(table byte) Key { return append(make(Key, 0, 48), table) }

// String adds a string.
func (k Key) String(s string) Key { return append(append(k, s...), 0) }

// Uint adds a number.
func (k Key) Uint(n uint64) Key { return binary.BigEndian.AppendUint64(k, n) }

// CutString is the twin of String: it splits the string off a key's rest.
func CutString(key []byte) (s string, rest []byte) {
	for i, c := range key {
		if c == 0 {
			return string(key[:i]), key[i+1:]
		}
	}
	return string(key), nil
}

// CutUint is the twin of Uint.
func CutUint(key []byte) (n uint64, rest []byte) {
	if len(key) < 8 {
		return 0, nil
	}
	return binary.BigEndian.Uint64(key), key[8:]
}
