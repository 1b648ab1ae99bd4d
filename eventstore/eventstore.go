// Package eventstore is the log: append, read, verify; and who should append.
//
// A log is a row of commits (proto, Commit) of one writer, numbered from 1 without gaps, each naming the hash of the
// bytes before it. The package promises that an append is atomic, fenced by its number and durable when it is
// acknowledged; that a reader gets every commit, in order, exactly as it was stored, or stops and says at which
// number and why; and that nobody passes what he could not read. It leaves what commits mean to the cores.
//
// Who should append is said by a Lease, and who could by Members; both live in Registers, whose loss costs time and
// never a commit: the number alone decides who may. (design §4)
//
// Backend is what a technology must offer: eventstore/memory and eventstore/jetstream do, and
// eventstore/eventstoretest is the contract as a test suite; so with Registers. Log is what everyone else uses. (design §3)
package eventstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// Record is one stored message. Data belongs to the reader and must not be changed.
type Record struct {
	Number uint64
	Data   []byte
	// Stored is the medium's own time of storing it; zero if it has none.
	Stored time.Time
}

// Backend keeps the messages of one log.
type Backend interface {
	// Append stores data as message number, if the last one is number-1.
	//
	// On nil it is durable. On ErrConflict something else stands at number, or number is not next, and nothing was
	// stored. On ErrFull there is no room, and nothing was stored. On any other error the outcome is unknown, and
	// it may still come to be stored until another message stands at number: read number before deciding again.
	Append(ctx context.Context, number uint64, data []byte) error
	// Get reads one message; ErrNotFound if there is none at that number, which is damage if number is between
	// the bounds.
	Get(ctx context.Context, number uint64) (Record, error)
	// Bounds are the first and the last number. In an empty log last is first-1.
	Bounds(ctx context.Context) (first, last uint64, err error)
	// Follow hands every message from a number on to deliver, in ascending order, and waits for more until ctx
	// ends or deliver fails; it returns that error. From is at most one behind the end. It may skip numbers that
	// the medium has lost: the caller looks.
	Follow(ctx context.Context, from uint64, deliver func(Record) error) error
}

var (
	ErrConflict = errors.New("another commit stands at that number")
	ErrFull     = errors.New("the log is full")
	ErrNotFound = errors.New("no such commit")
)

// DamageError says that a log does not hold what it held: commits First to Last are lost, changed or cut off.
type DamageError struct {
	Log         id.Log
	First, Last uint64
	Why         string
}

func (e *DamageError) Error() string {
	if e.First == e.Last {
		return fmt.Sprintf("log %s is damaged at commit %d: %s", e.Log, e.First, e.Why)
	}
	return fmt.Sprintf("log %s is damaged at commits %d to %d: %s", e.Log, e.First, e.Last, e.Why)
}

// ForeignError says that the message at a number is no commit of this log. `drover log repair` names it in a
// commit; readers pass it then and only then.
type ForeignError struct {
	Log    id.Log
	Number uint64
	Why    string
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("log %s holds a foreign message at %d: %s (drover log repair %s gets past it)", e.Log, e.Number, e.Why, e.Log)
}

// Hash is the SHA-256 of a stored message.
type Hash [32]byte

// Mark is a place in a log that somebody has seen: a number and the hash of what stood there.
type Mark struct {
	Number uint64
	Hash   Hash
}

// Commit is a commit as it was read and verified.
type Commit struct {
	*v1.Commit
	Log  id.Log
	Hash Hash
	Size int // of its stored bytes
	// EntryCount is how many entries it has, also where they were not decoded (FollowTallies).
	EntryCount int
}

// Mark is where the commit stands.
func (c *Commit) Mark() Mark { return Mark{c.Number, c.Hash} }
