package eventstore

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// ReaderVersion is the version of the schema that this reader knows. A commit that asks for a later one stops it.
const ReaderVersion = 1

// Sealed is a commit as it will be stored. It is sent again byte for byte while its outcome is unknown, so that it
// can be told from anybody else's message at its number.
type Sealed struct {
	Number uint64
	Data   []byte
	Hash   Hash // of Data
}

// Seal encodes a commit once and for all. Nothing is ever encoded again to be hashed.
func Seal(c *v1.Commit) (Sealed, error) {
	data, err := c.MarshalVT()
	if err != nil {
		return Sealed{}, fmt.Errorf("seal commit %d: %w", c.Number, err)
	}
	return Sealed{Number: c.Number, Data: data, Hash: sha256.Sum256(data)}, nil
}

// Mark is where the commit will stand.
func (s Sealed) Mark() Mark { return Mark{s.Number, s.Hash} }

// Prefix is the first 8 bytes, big endian: what a cursor keeps of a hash.
func (h Hash) Prefix() uint64 { return binary.BigEndian.Uint64(h[:]) }

// String is the first 8 bytes in hexadecimal, enough to compare by eye.
func (h Hash) String() string { return hex.EncodeToString(h[:8]) }
