package pebble

import (
	"fmt"

	"github.com/droverhq/drover/projections/kv"
)

// quietLogger hands Pebble's errors to the store's logger and drops the rest, which is a line for every flush.
type quietLogger struct{ store *Store }

func (l quietLogger) Infof(string, ...any) {}

func (l quietLogger) Errorf(format string, args ...any) {
	l.store.logger.Error(fmt.Sprintf(format, args...))
}

// Fatalf is called where Pebble cannot go on, and must not return. The process ends; the store is folded again.
func (l quietLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	l.store.fail("fatal", err)
	panic(&kv.Failure{Op: "fatal", Err: err})
}
