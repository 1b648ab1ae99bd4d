package eventstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/droverhq/drover/proto/id"
)

// Log is one log: what everyone but a backend uses. It is safe for concurrent use if its backend is.
type Log struct {
	name    id.Log
	backend Backend
}

// New reads and writes the log of that name in b.
func New(name id.Log, b Backend) *Log { return &Log{name: name, backend: b} }

// Name is the log's name.
func (l *Log) Name() id.Log { return l.name }

// Append stores a sealed commit at its number: Backend.Append's contract.
//
// A crash just after it leaves a log that is ahead of every state; whoever folds next reads on from where he was.
// A crash before the answer leaves the same or nothing; the owner reads the number when it is back.
func (l *Log) Append(ctx context.Context, s Sealed) error {
	if err := l.backend.Append(ctx, s.Number, s.Data); err != nil {
		return fmt.Errorf("append %s@%d: %w", l.name, s.Number, err)
	}
	return nil
}

// Bounds are the first and the last number; in an empty log last is first-1.
func (l *Log) Bounds(ctx context.Context) (first, last uint64, err error) {
	first, last, err = l.backend.Bounds(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("bounds of log %s: %w", l.name, err)
	}
	return first, last, nil
}

// Read reads one commit and decodes it, without looking at what stands before it. ErrNotFound if there is none at
// that number, *ForeignError if the message there is no commit.
func (l *Log) Read(ctx context.Context, number uint64) (*Commit, error) {
	rec, err := l.backend.Get(ctx, number)
	if err != nil {
		return nil, fmt.Errorf("read %s@%d: %w", l.name, number, err)
	}
	return l.decode(rec, decodeWhole)
}

// Raw reads one message as it is stored, whatever it is. ErrNotFound if there is none at that number.
func (l *Log) Raw(ctx context.Context, number uint64) (Record, error) {
	rec, err := l.backend.Get(ctx, number)
	if err != nil {
		return Record{}, fmt.Errorf("read %s@%d: %w", l.name, number, err)
	}
	return rec, nil
}

// Holds checks that the log still holds what somebody saw in it: a head, a checkpoint. *DamageError if it does not.
// Mark{} is held by every log.
func (l *Log) Holds(ctx context.Context, m Mark) error {
	if m.Number == 0 {
		return nil
	}
	_, err := l.at(ctx, m.Number, func(h Hash) bool { return h == m.Hash })
	return err
}

// HoldsPrefix is Holds for a cursor, which keeps the first 8 bytes of the hash (Hash.Prefix).
func (l *Log) HoldsPrefix(ctx context.Context, number, prefix uint64) error {
	if number == 0 {
		return nil
	}
	_, err := l.at(ctx, number, func(h Hash) bool { return h.Prefix() == prefix })
	return err
}

// at reads the message at a number that was seen before.
func (l *Log) at(ctx context.Context, number uint64, same func(Hash) bool) (Record, error) {
	rec, err := l.backend.Get(ctx, number)
	if errors.Is(err, ErrNotFound) {
		return Record{}, l.missing(ctx, number, number)
	}
	if err != nil {
		return Record{}, fmt.Errorf("read %s@%d: %w", l.name, number, err)
	}
	if h := Hash(sha256.Sum256(rec.Data)); !same(h) {
		return Record{}, l.damaged(number, number, fmt.Sprintf("it holds other bytes (sha256 %s…) than when it was read", h))
	}
	return rec, nil
}

// missing says why there is nothing from one number to another, at which commits were seen.
func (l *Log) missing(ctx context.Context, from, to uint64) error {
	first, last, err := l.Bounds(ctx)
	switch {
	case err != nil:
		return err
	case to > last:
		return l.damaged(min(from, last+1), to, fmt.Sprintf("the log ends at %d, but %d was seen in it: its end was cut off", last, to))
	case from < first:
		return l.damaged(from, min(to, first-1), fmt.Sprintf("the log begins at %d", first))
	}
	return l.damaged(from, to, "nothing stands there any more")
}

func (l *Log) damaged(first, last uint64, why string) error {
	return &DamageError{Log: l.name, First: first, Last: last, Why: why}
}
