package pebble

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// The files of a folder that this file knows by name: versionFile holds the version of the rows as text, and lockFile is
// Pebble's.
const (
	versionFile = "VERSION"
	lockFile    = "LOCK"
)

// OpenVersion opens the store in a folder for whoever writes and reads rows of that version. What the folder holds of
// another version, or of none, is removed: the store is empty then, and its owner folds it from the beginning of the logs.
//
// The version is made durable when nothing of another version is left, and before there is a row: so after a crash
// anywhere no row is taken for one of a version that it is not of.
func OpenVersion(dir, version string, o Options) (*Store, error) {
	if err := clearOther(dir, version, o); err != nil {
		return nil, fmt.Errorf("open state store %s as version %s: %w", dir, version, err)
	}
	return Open(dir, o)
}

// Version is that of the rows in a folder; empty if it holds none, or does not say.
func Version(dir string) (string, error) { return readVersion(vfs.Default, dir) }

func clearOther(dir, version string, o Options) (err error) {
	fs := o.fs
	if fs == nil {
		fs = vfs.Default
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// Nobody may have the folder open whose contents are removed.
	lock, err := pebble.LockDirectory(dir, fs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	found, err := readVersion(fs, dir)
	if err != nil || found == version {
		return err
	}
	held, err := empty(fs, dir)
	if err != nil {
		return err
	}
	if held {
		logger := o.Logger
		if logger == nil {
			logger = slog.Default()
		}
		if found == "" {
			found = "none"
		}
		logger.Info("the state store is of another version and is folded anew from the logs; nothing is lost", "store", dir, "from", found, "to", version)
	}
	return writeVersion(fs, dir, version)
}

func readVersion(fs vfs.FS, dir string) (string, error) {
	f, err := fs.Open(fs.PathJoin(dir, versionFile))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(f)
	return string(text), errors.Join(err, f.Close())
}

// empty removes for good what lies in the folder, but for the lock. Held says that there was anything.
func empty(fs vfs.FS, dir string) (held bool, err error) {
	names, err := fs.List(dir)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		if name == lockFile {
			continue
		}
		held = true
		if err := fs.RemoveAll(fs.PathJoin(dir, name)); err != nil {
			return held, err
		}
	}
	return held, syncFolder(fs, dir)
}

func writeVersion(fs vfs.FS, dir, version string) error {
	f, err := fs.Create(fs.PathJoin(dir, versionFile), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, version)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncFolder(fs, dir)
}

func syncFolder(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
