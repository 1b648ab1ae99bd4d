package eventstore

import (
	"crypto/sha256"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// VersionError says that a commit was written by a newer Drover in a way that this one must not fold.
type VersionError struct {
	Log    id.Log
	Number uint64
	Needs  uint32
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("commit %d of log %s needs a reader of version %d, this one has %d: upgrade Drover", e.Number, e.Log, e.Needs, ReaderVersion)
}

// decoder decodes a commit, and says how many entries it has, decoded or not.
type decoder func([]byte) (c *v1.Commit, entries int, err error)

func decodeWhole(data []byte) (*v1.Commit, int, error) {
	c := new(v1.Commit)
	err := c.UnmarshalVT(data)
	return c, len(c.Entries), err
}

const (
	entriesField = 11 // Commit.entries
	entriesTag   = entriesField<<3 | byte(protowire.BytesType)
)

// decodeTallies decodes what stands in front of a commit's entries, and leaves those alone. Our encoder writes
// fields in the order of their numbers and entries has the highest; in bytes for which that does not hold, all is
// decoded.
func decodeTallies(data []byte) (*v1.Commit, int, error) {
	front, entries := split(data)
	if front < 0 {
		c, entries, err := decodeWhole(data)
		c.Entries = nil
		return c, entries, err
	}
	c, _, err := decodeWhole(data[:front])
	return c, entries, err
}

// split is how many bytes stand in front of the entries, and how many entries follow; -1 if anything else does.
func split(data []byte) (front, entries int) {
	for front < len(data) && data[front] != entriesTag {
		n := fieldLen(data[front:])
		if n < 0 {
			return -1, 0
		}
		front += n
	}
	for rest := data[front:]; len(rest) > 0; entries++ {
		n := fieldLen(rest)
		if n < 0 || rest[0] != entriesTag {
			return -1, 0
		}
		rest = rest[n:]
	}
	return front, entries
}

// fieldLen is the length of the field at the start of data, its tag included; negative if there is no whole one.
func fieldLen(data []byte) int {
	_, _, n := protowire.ConsumeField(data)
	return n
}

// decode makes a commit of a record. What is no commit with the record's number is foreign.
func (l *Log) decode(rec Record, decode decoder) (*Commit, error) {
	c, entries, err := decode(rec.Data)
	switch {
	case err != nil:
		return nil, l.foreign(rec, fmt.Sprintf("it is no commit (%v)", err))
	case c.Number != rec.Number:
		return nil, l.foreign(rec, fmt.Sprintf("it says that it is number %d", c.Number))
	case len(c.LogId) != 16:
		return nil, l.foreign(rec, "it names no log")
	case c.ReaderVersion > ReaderVersion:
		return nil, &VersionError{Log: l.name, Number: rec.Number, Needs: c.ReaderVersion}
	}
	return &Commit{Commit: c, Log: l.name, Hash: sha256.Sum256(rec.Data), Size: len(rec.Data), EntryCount: entries}, nil
}

func (l *Log) foreign(rec Record, why string) error {
	return &ForeignError{Log: l.name, Number: rec.Number, Why: why}
}
