// Package eventstoretest is the contracts of eventstore.Backend and eventstore.Registers as test suites, a writer of
// chained commits for tests of what reads logs, and ports for the servers of tests.
//
// Suite is run by every backend's own tests. It promises that what passes it can stand below eventstore.Log; what
// happens to a backend whose medium fails is for that backend's tests.
package eventstoretest

import (
	"context"
	"crypto/sha256"
	"testing"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// Writer appends well-formed commits to a log, as its owner would. Its first one opens the log.
type Writer struct {
	Log   *eventstore.Log
	LogID []byte // 16 bytes, from the log's name
	Head  eventstore.Mark
	AtMs  int64 // of the next commit; each one takes a millisecond

	t testing.TB
}

// NewWriter begins with commit 1 of an empty log.
func NewWriter(t testing.TB, log *eventstore.Log) *Writer {
	t.Helper()
	sum := sha256.Sum256([]byte(log.Name().String()))
	w := &Writer{Log: log, LogID: sum[:16], AtMs: 1_700_000_000_000, t: t}
	w.Append(&v1.Commit{Entries: []*v1.Entry{Entry(&v1.Event{Event: &v1.Event_LogOpened{LogOpened: &v1.LogOpened{
		Service: log.Name().Service, Home: uint32(log.Name().Home), Format: 1, Homes: 1, HomeHash: "fnv1a32",
	}}})}})
	return w
}

// Entry is an entry of a test's: by a command of nobody's.
func Entry(e *v1.Event) *v1.Entry {
	return &v1.Entry{Cause: &v1.Entry_Command{Command: &v1.CommandCause{By: "test"}}, Event: e}
}

// Event appends a commit of these events.
func (w *Writer) Event(events ...*v1.Event) eventstore.Sealed {
	w.t.Helper()
	c := &v1.Commit{}
	for _, e := range events {
		c.Entries = append(c.Entries, Entry(e))
	}
	return w.Append(c)
}

// Append completes c (number, hash, log id, owner, time) and appends it.
func (w *Writer) Append(c *v1.Commit) eventstore.Sealed {
	w.t.Helper()
	s := w.Seal(c)
	if err := w.Log.Append(context.Background(), s); err != nil {
		w.t.Fatal(err)
	}
	w.Head = s.Mark()
	return s
}

// Seal completes c as Append does, and does not append it.
func (w *Writer) Seal(c *v1.Commit) eventstore.Sealed {
	w.t.Helper()
	c.LogId, c.Number = w.LogID, w.Head.Number+1
	if w.Head.Number > 0 {
		c.PreviousHash = w.Head.Hash[:]
	}
	if c.Owner == "" {
		c.Owner, c.Epoch = "test", 1
	}
	c.AtMs = w.AtMs
	w.AtMs++
	s, err := eventstore.Seal(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}
