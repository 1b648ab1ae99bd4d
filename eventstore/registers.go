package eventstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors of Registers. Any other leaves the outcome of a Set or Delete unknown: it may also come to be done later, for as
// long as the register has the revision that it was given.
var (
	ErrRevision   = errors.New("the register has another revision")
	ErrNoRegister = errors.New("no such register")
)

// LeaseTTL is how long a lease holds without being renewed; LeaseMargin is what must be left of it for its holder to
// answer what it did not write. (design §4)
const (
	LeaseTTL    = 1500 * time.Millisecond
	LeaseMargin = 500 * time.Millisecond
)

// Registers are small named values with revisions that processes share: who should own a log, who is alive. They are
// hints with a fence of their own: what was set may be lost when the brokers restart, and nobody may rely on a
// register where a log's number can decide.
//
// Implementations are memory.Registers and jetstream.Registers; eventstoretest.RegistersSuite is their contract. Names
// are one or more tokens of [A-Za-z0-9_-], with dots between them (CheckRegister).
type Registers interface {
	// Get reads a register from where it is written: never an older value than one that a Set before it returned.
	// ErrNoRegister if there is none.
	Get(ctx context.Context, name string) (Register, error)
	// Set replaces the value if the revision is still the given one; 0 is "there is none". It returns the new revision,
	// or ErrRevision.
	Set(ctx context.Context, name string, value []byte, revision uint64) (uint64, error)
	// Delete removes it if the revision is still the given one, else ErrRevision; one that is not there is no error.
	Delete(ctx context.Context, name string, revision uint64) error
	// List reads all registers whose names begin with prefix and a dot, by name.
	List(ctx context.Context, prefix string) (map[string]Register, error)
}

// Register is a value and its revision. Age is how long ago it was set, by the store's clock: good enough to show, and
// not to decide by.
type Register struct {
	Value    []byte
	Revision uint64
	Age      time.Duration
}

// CheckRegister says whether a name can name a register.
func CheckRegister(name string) error {
	if name == "" || len(name) > 200 {
		return fmt.Errorf("register name %.40q: it must have 1 to 200 characters", name)
	}
	for token := range strings.SplitSeq(name, ".") {
		if !isToken(token) {
			return fmt.Errorf("register name %.40q: between dots it must have one or more of A-Z a-z 0-9 _ -", name)
		}
	}
	return nil
}

func isToken(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return s != ""
}
