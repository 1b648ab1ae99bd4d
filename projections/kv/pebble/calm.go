package pebble

import (
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// calmAfter is how long each new file takes once the store has failed.
const calmAfter = 100 * time.Millisecond

// calmFS slows a store down that has failed: Pebble tries a failed flush again at once, for ever, and would take a
// core of a machine whose disk is full. It begins each attempt with a new file.
type calmFS struct {
	vfs.FS
	failed <-chan struct{}
}

func (c calmFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	select {
	case <-c.failed:
		time.Sleep(calmAfter)
	default:
	}
	return c.FS.Create(name, category)
}
