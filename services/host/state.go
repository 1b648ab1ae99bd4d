package host

import (
	"encoding/binary"
	"fmt"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// rowsVersion is that of the host's rows below. Like a core's (core.Core) it is raised when they come to be others.
const rowsVersion = 1

// StateVersion names the version of all rows in a core's state: the core's, and the host's beside them.
func StateVersion(c core.Core) string { return fmt.Sprintf("%d.%d", c.StateVersion(), rowsVersion) }

// The host's rows, in table 0x00 of the core's state. They too are a fold of the host's own commits.
const (
	table = 0x00

	rowCheckpoint = 'c' // one row: checkpoint
	rowCursor     = 'u' // by upstream log: cursor
	rowCommand    = 'i' // by command id: recorded
	rowExpiry     = 'x' // by time and command id: nothing
)

// checkpoint is the end of the host's own log as it was folded.
type checkpoint struct {
	eventstore.Mark
	AtMs        int64
	Epoch       uint64
	EffectsDone uint64
	Homes       uint32
	LogID       [16]byte
}

const checkpointSize = 8 + 32 + 8 + 8 + 8 + 4 + 16

func checkpointKey() []byte { return []byte{table, rowCheckpoint} }

func (c *checkpoint) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, c.Number)
	b = append(b, c.Hash[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.AtMs))
	b = binary.BigEndian.AppendUint64(b, c.Epoch)
	b = binary.BigEndian.AppendUint64(b, c.EffectsDone)
	b = binary.BigEndian.AppendUint32(b, c.Homes)
	return append(b, c.LogID[:]...)
}

func parseCheckpoint(b []byte) (checkpoint, error) {
	var c checkpoint
	if len(b) != checkpointSize {
		return c, fmt.Errorf("the state's checkpoint has %d bytes, not %d", len(b), checkpointSize)
	}
	c.Number = binary.BigEndian.Uint64(b)
	b = b[8+copy(c.Hash[:], b[8:]):]
	c.AtMs = int64(binary.BigEndian.Uint64(b))
	c.Epoch = binary.BigEndian.Uint64(b[8:])
	c.EffectsDone = binary.BigEndian.Uint64(b[16:])
	c.Homes = binary.BigEndian.Uint32(b[24:])
	copy(c.LogID[:], b[28:])
	return c, nil
}

// cursor is how far one upstream log was read: commit number, and of it entries if that is not zero, else all.
type cursor struct {
	number  uint64
	entries uint32
	hash    uint64 // the first 8 bytes of the commit's
}

const cursorSize = 8 + 4 + 8

func cursorKey(l id.Log) []byte {
	k := []byte{table, rowCursor, byte(l.Service)}
	return binary.BigEndian.AppendUint32(k, uint32(l.Home))
}

func (c cursor) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, c.number)
	b = binary.BigEndian.AppendUint32(b, c.entries)
	return binary.BigEndian.AppendUint64(b, c.hash)
}

func parseCursor(b []byte) (cursor, error) {
	if len(b) != cursorSize {
		return cursor{}, fmt.Errorf("a cursor of the state has %d bytes, not %d", len(b), cursorSize)
	}
	return cursor{binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint64(b[12:])}, nil
}

// foldCursors takes over the cursors of a commit.
func foldCursors(tx kv.Writer, cursors []*v1.Cursor) {
	for _, c := range cursors {
		log := id.Log{Service: c.Service, Home: id.Home(c.Home)}
		tx.Set(cursorKey(log), cursor{c.Number, c.EntriesDone, c.Hash}.append(nil))
	}
}
