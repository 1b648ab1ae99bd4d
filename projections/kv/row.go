package kv

import (
	"encoding/binary"
	"errors"
)

// Row builds a value field by field: numbers as varints, strings and bytes with their length in front. It carries no
// field numbers: reader and writer agree, and a state whose rows have another shape is folded again.
type Row []byte

// Uint adds a number; small ones take one byte.
func (r Row) Uint(n uint64) Row { return binary.AppendUvarint(r, n) }

// Int adds a number that may be negative.
func (r Row) Int(n int64) Row { return binary.AppendVarint(r, n) }

// Bool adds a flag.
func (r Row) Bool(b bool) Row {
	if b {
		return append(r, 1)
	}
	return append(r, 0)
}

// String adds a string, Bytes a slice of bytes.
func (r Row) String(s string) Row { return append(r.Uint(uint64(len(s))), s...) }
func (r Row) Bytes(b []byte) Row  { return append(r.Uint(uint64(len(b))), b...) }

// Fields reads what a Row holds, in the same order. Beyond a field that is not there or does not fit, every field is
// zero; Err tells.
type Fields struct {
	rest []byte
	bad  bool
}

// NewFields begins to read a row. Bytes that it returns are part of row.
func NewFields(row []byte) Fields { return Fields{rest: row} }

// Uint is the twin of Row.Uint.
func (f *Fields) Uint() uint64 {
	if len(f.rest) > 0 && f.rest[0] < 0x80 { // one byte, the usual case
		n := f.rest[0]
		f.rest = f.rest[1:]
		return uint64(n)
	}
	n, size := binary.Uvarint(f.rest)
	f.cut(size)
	return n
}

// Int is the twin of Row.Int.
func (f *Fields) Int() int64 {
	n, size := binary.Varint(f.rest)
	f.cut(size)
	return n
}

// Bool is the twin of Row.Bool.
func (f *Fields) Bool() bool {
	n := f.Uint()
	f.bad = f.bad || n > 1
	return n == 1
}

// String is the twin of Row.String.
func (f *Fields) String() string { return string(f.Bytes()) }

// Bytes is the twin of Row.Bytes: a part of the row, not a copy.
func (f *Fields) Bytes() []byte {
	n := f.Uint()
	if n > uint64(len(f.rest)) {
		f.fail()
		return nil
	}
	b := f.rest[:n:n]
	f.rest = f.rest[n:]
	return b
}

// More says whether fields are left to read.
func (f *Fields) More() bool { return len(f.rest) > 0 }

var errRow = errors.New("a row is cut off or has bytes left over")

// Err is nil if every field that was read was there and none is left.
func (f *Fields) Err() error {
	if f.bad || len(f.rest) > 0 {
		return errRow
	}
	return nil
}

// Must panics with *Failure if Err is not nil: a stored row that cannot be read is a damaged store.
func (f *Fields) Must(what string) {
	if err := f.Err(); err != nil {
		panic(&Failure{Op: "read " + what, Err: err})
	}
}

func (f *Fields) cut(size int) {
	if size <= 0 {
		f.fail()
		return
	}
	f.rest = f.rest[size:]
}

func (f *Fields) fail() { f.rest, f.bad = nil, true }
