package eventstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// Head is the end of a log as its owner last saw it.
type Head struct {
	Mark
	// EffectsDone is the last commit whose notifications were handed to the broker, flushed.
	EffectsDone uint64
}

// HeadFile remembers the head of one log outside the log, so that a log which has lost its end can be told from a
// young one. It is one record of fixed size, overwritten in place.
//
// Set writes without flushing; Sync flushes. A crash of the process loses nothing that was set. A crash of the
// machine leaves the head of the last Sync or a later one, or, if it tears the record, a file that does not open: it is then
// for the operator to say that the log's end is as it should be, by removing the file. A file that is missing is no
// error: there is no head yet. It is not safe for concurrent use.
type HeadFile struct {
	f    *os.File
	head Head
	set  bool
}

// The record: magic, number, hash, effects done, CRC-32C of all before; integers big endian. Number 0 is no head yet.
const (
	headMagic = "drvhead1"
	headSize  = 8 + 8 + 32 + 8 + 4
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errNoHead  = errors.New("it is not a head record")
)

// OpenHead opens the head file at path, and makes it if it is missing. A file that holds no whole record is an
// error that names it.
func OpenHead(path string) (*HeadFile, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := createHead(path); err != nil {
			return nil, fmt.Errorf("create head file: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open head file: %w", err)
	}
	data := make([]byte, headSize+1)
	n, _ := f.ReadAt(data, 0)
	head, err := decodeHead(data[:n])
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("head file %s is damaged (%w): verify the log (drover audit log verify), then remove the file to go on from the log's own end", path, err)
	}
	return &HeadFile{f: f, head: head, set: head.Number > 0}, nil
}

// createHead makes a file that says that there is no head. It is flushed under another name first, so that a crash leaves
// either no file or a whole record.
func createHead(path string) error {
	fresh := path + ".new"
	f, err := os.Create(fresh)
	if err != nil {
		return err
	}
	_, err = f.Write(encodeHead(Head{}))
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Head is what was set last; false if nothing ever was.
func (h *HeadFile) Head() (Head, bool) { return h.head, h.set }

// Set overwrites the record, unflushed. A crash of the process just after it leaves it written.
func (h *HeadFile) Set(head Head) error {
	if _, err := h.f.WriteAt(encodeHead(head), 0); err != nil {
		return fmt.Errorf("write head file: %w", err)
	}
	h.head, h.set = head, head.Number > 0
	return nil
}

// Sync flushes what was set.
func (h *HeadFile) Sync() error {
	if err := h.f.Sync(); err != nil {
		return fmt.Errorf("flush head file: %w", err)
	}
	return nil
}

// Close flushes and closes.
func (h *HeadFile) Close() error { return errors.Join(h.Sync(), h.f.Close()) }

func encodeHead(h Head) []byte {
	b := make([]byte, 0, headSize)
	b = append(b, headMagic...)
	b = binary.BigEndian.AppendUint64(b, h.Number)
	b = append(b, h.Hash[:]...)
	b = binary.BigEndian.AppendUint64(b, h.EffectsDone)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeHead(b []byte) (Head, error) {
	switch {
	case len(b) != headSize:
		return Head{}, fmt.Errorf("%w: %d bytes or more, not %d", errNoHead, len(b), headSize)
	case !bytes.HasPrefix(b, []byte(headMagic)):
		return Head{}, errNoHead
	case crc32.Checksum(b[:headSize-4], castagnoli) != binary.BigEndian.Uint32(b[headSize-4:]):
		return Head{}, fmt.Errorf("%w: its checksum is another", errNoHead)
	}
	return Head{
		Mark:        Mark{Number: binary.BigEndian.Uint64(b[8:]), Hash: Hash(b[16:48])},
		EffectsDone: binary.BigEndian.Uint64(b[48:]),
	}, nil
}
