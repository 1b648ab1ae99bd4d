package broker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Lock is a folder's lock.
type Lock = lock

// TakeLock takes a folder, which exists, for this process until Release; an *InUseError says who has it.
func TakeLock(dir string) (*Lock, error) { return takeLock(dir) }

// Release lets the folder go. Once is enough, and twice does no harm.
func (l *lock) Release() { l.release() }

// lock is a folder's lock: the operating system takes it from a process that dies.
type lock struct{ file *os.File }

// InUseError says that another process has the folder.
type InUseError struct{ Dir, Holder string }

func (e *InUseError) Error() string {
	return fmt.Sprintf("%s is in use by %s: stop it, or take another folder", e.Dir, e.Holder)
}

// takeLock takes <dir>/lock, or says which process has it.
func takeLock(dir string) (*lock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		holder := "another process"
		if pid, err := io.ReadAll(io.LimitReader(f, 20)); err == nil && len(pid) > 0 {
			holder = "process " + strings.TrimSpace(string(pid))
		}
		return nil, &InUseError{Dir: dir, Holder: holder}
	}
	// The number is for people; the lock holds without it.
	if err := f.Truncate(0); err == nil {
		fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	return &lock{f}, nil
}

// CheckFree says with an *InUseError which process has a folder, if one has. A folder that is not there is free.
func CheckFree(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "lock")); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	l, err := takeLock(dir)
	if err != nil {
		return err
	}
	l.release()
	return nil
}

// release lets the folder go. The file stays: removing it would let two processes lock two files of one name.
func (l *lock) release() {
	if l != nil {
		l.file.Close()
	}
}
