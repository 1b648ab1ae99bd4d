package kv

import (
	"iter"

	"github.com/tidwall/btree"
)

// Overlay is a transaction: writes over a base that they do not touch until WriteTo hands them to a batch.
// It is used by one goroutine.
type Overlay struct {
	base  Reader
	tree  btree.Map[string, change]
	undo  []undo // since the savepoint
	bytes int
}

type change struct {
	value   []byte
	deleted bool
}

type undo struct {
	key     string
	before  change
	existed bool
}

// NewOverlay begins a transaction over base.
func NewOverlay(base Reader) *Overlay { return &Overlay{base: base} }

// Get implements Reader.
func (o *Overlay) Get(key []byte) ([]byte, bool) {
	if c, ok := o.tree.Get(string(key)); ok {
		return c.value, !c.deleted
	}
	return o.base.Get(key)
}

// Scan implements Reader: base and writes merged.
func (o *Overlay) Scan(from, to []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		it := o.tree.Iter()
		over := it.Seek(string(from)) && (to == nil || it.Key() < string(to))
		next := func() { over = it.Next() && (to == nil || it.Key() < string(to)) }
		for k, v := range o.base.Scan(from, to) {
			for over && it.Key() < string(k) {
				if c := it.Value(); !c.deleted && !yield([]byte(it.Key()), c.value) {
					return
				}
				next()
			}
			if over && it.Key() == string(k) {
				c := it.Value()
				next()
				if c.deleted {
					continue
				}
				v = c.value
			}
			if !yield(k, v) {
				return
			}
		}
		for over {
			if c := it.Value(); !c.deleted && !yield([]byte(it.Key()), c.value) {
				return
			}
			next()
		}
	}
}

// Set implements Writer.
func (o *Overlay) Set(key, value []byte) { o.put(string(key), change{value: value}) }

// Delete implements Writer.
func (o *Overlay) Delete(key []byte) { o.put(string(key), change{deleted: true}) }

func (o *Overlay) put(key string, c change) {
	before, existed := o.tree.Set(key, c)
	o.undo = append(o.undo, undo{key, before, existed})
	o.bytes += len(key) + len(c.value)
}

// Savepoint is where Rollback goes back to, from now on.
func (o *Overlay) Savepoint() { o.undo = o.undo[:0] }

// Rollback takes back every write since the last Savepoint, or since the beginning.
func (o *Overlay) Rollback() {
	for i := len(o.undo) - 1; i >= 0; i-- {
		if u := o.undo[i]; u.existed {
			o.tree.Set(u.key, u.before)
		} else {
			o.tree.Delete(u.key)
		}
	}
	o.undo = o.undo[:0]
}

// Len is the number of keys written; Bytes about what they and their values take.
func (o *Overlay) Len() int   { return o.tree.Len() }
func (o *Overlay) Bytes() int { return o.bytes }

// WriteTo hands every write to w, in key order.
func (o *Overlay) WriteTo(w Writer) {
	o.tree.Scan(func(k string, c change) bool {
		if c.deleted {
			w.Delete([]byte(k))
		} else {
			w.Set([]byte(k), c.value)
		}
		return true
	})
}
