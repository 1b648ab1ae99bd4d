package jetstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/proto/id"
)

// CheckFiles looks, before a server is started on a store folder, at the numbers that stand in its logs' files: a
// *eventstore.DamageError names the first that does not follow the one before. All else that can happen to the files is noticed by
// readers. This cannot be left to them: the server itself takes a changed number at its word, and fills the gap up to it, message
// by message, until its memory ends.
//
// It reads the head of each record, so it takes about a second for a million commits. A record that does not
// fit its file ends the check of that log: so a crash during a write leaves it, and the server mends that.
func CheckFiles(storeDir string) error {
	streams, err := filepath.Glob(filepath.Join(storeDir, "jetstream", "*", "streams", "log-*"))
	if err != nil {
		return err
	}
	for _, dir := range streams {
		log, row, err := ParseStreamName(filepath.Base(dir))
		if err != nil || row != 1 {
			continue // no log, or one that does not begin with 1
		}
		if err := checkStream(log, filepath.Join(dir, "msgs")); err != nil {
			return err
		}
	}
	return nil
}

func checkStream(log id.Log, dir string) error {
	files, err := blocks(dir)
	if err != nil {
		return fmt.Errorf("files of log %s: %w", log, err)
	}
	last := uint64(0)
	for _, file := range files {
		whole, err := checkBlock(log, file, &last)
		if err != nil || !whole {
			return err
		}
	}
	return nil
}

// blocks are a stream's files, 1.blk, 2.blk, …, in that order.
func blocks(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.blk"))
	number := func(file string) int {
		n, _ := strconv.Atoi(strings.TrimSuffix(filepath.Base(file), ".blk"))
		return n
	}
	slices.SortFunc(files, func(a, b string) int { return number(a) - number(b) })
	return files, err
}

// A record in a block, integers little endian: length of the whole (4, the top bit says that it has headers), sequence (8; the two
// top bits mark what was deleted), time (8), length of the subject (2), subject, headers, message, checksum (8).
const (
	recordHead   = 22
	recordMin    = recordHead + 8
	lengthMask   = 1<<31 - 1
	deletedMarks = uint64(3) << 62
)

// checkBlock checks one file's numbers behind the last one; whole is false if a record does not fit.
func checkBlock(log id.Log, file string, last *uint64) (whole bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	head := make([]byte, recordHead)
	for at, size := int64(0), info.Size(); at < size; {
		if _, err := f.ReadAt(head, at); errors.Is(err, io.EOF) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		length, number := int64(binary.LittleEndian.Uint32(head)&lengthMask), binary.LittleEndian.Uint64(head[4:])
		if length < recordMin || at+length > size {
			return false, nil
		}
		at += length
		if number&deletedMarks != 0 {
			continue // nothing is deleted from a log; if this should be a commit, the next number does not follow
		}
		if number != *last+1 {
			return false, &eventstore.DamageError{Log: log, First: *last + 1, Last: *last + 1, Why: fmt.Sprintf("in %s its record says that it is number %d", file, number)}
		}
		*last = number
	}
	return true, nil
}
