package memory

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/droverhq/drover/eventstore"
)

// Registers is eventstore.Registers in memory: the contract's example, and the registers of tests and of the
// simulation. It is safe for concurrent use. Given the same calls in the same order it does the same, and none of them
// waits.
type Registers struct {
	mu       sync.Mutex // guards all below; held while fault runs
	now      func() time.Time
	revision uint64 // the last one given out
	held     map[string]held
	fault    func(Call) Fault
	late     []lateSet
}

type held struct {
	value    []byte
	revision uint64
	at       time.Time
}

type lateSet struct {
	name     string
	value    []byte
	revision uint64
	after    int
}

// Call is one call of Registers' methods.
type Call struct {
	By   string // who calls: By's argument, else empty
	Op   Op
	Name string // of the register; List: the prefix
}

// Op is what is asked of registers.
type Op string

const (
	Get    Op = "get"
	Set    Op = "set"
	Delete Op = "delete"
	List   Op = "list"
)

// ErrUnreachable is the answer to a call of registers that met the fault Unreachable.
var ErrUnreachable = errors.New("the registers cannot be reached")

// NewRegisters makes empty registers. Now is the clock that ages are told by; nil is time.Now.
func NewRegisters(now func() time.Time) *Registers {
	if now == nil {
		now = time.Now
	}
	return &Registers{now: now, held: map[string]held{}}
}

// SetFault asks f, under the registers' lock, what shall happen to each call; f must not call them. Nil is never a fault.
//
//	Refused      a Set or Delete answers ErrRevision and does nothing, as a broker does while another one is in flight;
//	             others answer ErrUnanswered
//	Lost         it is done, and the answer, ErrUnanswered, does not say so
//	Late         a Set is done after Fault.After further calls, if the revision is still the given one by then; the
//	             answer is ErrUnanswered. On others it is Refused.
//	Unreachable  nothing is done, and the answer is ErrUnreachable
func (r *Registers) SetFault(f func(Call) Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
}

// Clear loses all registers, and begins again at revision 1: so do brokers that were all restarted.
func (r *Registers) Clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.held)
	r.late, r.revision = nil, 0
}

// By is these registers as seen by one of several callers: its name is Call.By of the fault.
func (r *Registers) By(who string) eventstore.Registers { return by{r, who} }

type by struct {
	r   *Registers
	who string
}

// Get implements eventstore.Registers.
func (r *Registers) Get(ctx context.Context, name string) (eventstore.Register, error) {
	return by{r, ""}.Get(ctx, name)
}

// Set implements eventstore.Registers.
func (r *Registers) Set(ctx context.Context, name string, value []byte, revision uint64) (uint64, error) {
	return by{r, ""}.Set(ctx, name, value, revision)
}

// Delete implements eventstore.Registers.
func (r *Registers) Delete(ctx context.Context, name string, revision uint64) error {
	return by{r, ""}.Delete(ctx, name, revision)
}

// List implements eventstore.Registers.
func (r *Registers) List(ctx context.Context, prefix string) (map[string]eventstore.Register, error) {
	return by{r, ""}.List(ctx, prefix)
}

func (b by) Get(ctx context.Context, name string) (reg eventstore.Register, err error) {
	err = b.r.call(ctx, Call{b.who, Get, name}, func() error {
		h, ok := b.r.held[name]
		if !ok {
			return eventstore.ErrNoRegister
		}
		reg = b.r.register(h)
		return nil
	}, nil)
	if err != nil {
		return eventstore.Register{}, err
	}
	return reg, nil
}

func (b by) Set(ctx context.Context, name string, value []byte, revision uint64) (set uint64, err error) {
	late := lateSet{name: name, value: bytes.Clone(value), revision: revision}
	err = b.r.call(ctx, Call{b.who, Set, name}, func() error {
		set, err = b.r.set(late)
		return err
	}, &late)
	if err != nil {
		return 0, err
	}
	return set, nil
}

func (b by) Delete(ctx context.Context, name string, revision uint64) error {
	return b.r.call(ctx, Call{b.who, Delete, name}, func() error {
		h, ok := b.r.held[name]
		if ok && h.revision != revision {
			return eventstore.ErrRevision
		}
		delete(b.r.held, name)
		return nil
	}, nil)
}

func (b by) List(ctx context.Context, prefix string) (all map[string]eventstore.Register, err error) {
	err = b.r.call(ctx, Call{b.who, List, prefix}, func() error {
		all = map[string]eventstore.Register{}
		for name, h := range b.r.held {
			if strings.HasPrefix(name, prefix+".") {
				all[name] = b.r.register(h)
			}
		}
		return nil
	}, nil)
	if err != nil {
		return nil, err
	}
	return all, nil
}

// call does one call as its fault lets it. Late is what to do later, of calls that can be late.
func (r *Registers) call(ctx context.Context, c Call, do func() error, late *lateSet) error {
	if err := eventstore.CheckRegister(c.Name); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tick()
	if err := ctx.Err(); err != nil {
		return err
	}
	var f Fault
	if r.fault != nil {
		f = r.fault(c)
	}
	switch f.Kind {
	case Unreachable:
		return ErrUnreachable
	case Late:
		if late != nil {
			late.after = f.After
			r.late = append(r.late, *late)
		}
		return ErrUnanswered
	case Refused:
		if c.Op == Set || c.Op == Delete {
			return eventstore.ErrRevision
		}
		return ErrUnanswered
	case Lost:
		_ = do()
		return ErrUnanswered
	}
	return do()
}

// tick lets late Sets arrive, those that were sent first first.
func (r *Registers) tick() {
	waiting := r.late[:0]
	for _, l := range r.late {
		if l.after > 0 {
			l.after--
			waiting = append(waiting, l)
			continue
		}
		_, _ = r.set(l) // refused if the revision has changed, and nobody listens
	}
	r.late = waiting
}

func (r *Registers) set(s lateSet) (uint64, error) {
	if r.held[s.name].revision != s.revision {
		return 0, eventstore.ErrRevision
	}
	r.revision++
	r.held[s.name] = held{s.value, r.revision, r.now()}
	return r.revision, nil
}

func (r *Registers) register(h held) eventstore.Register {
	return eventstore.Register{Value: bytes.Clone(h.value), Revision: h.revision, Age: r.now().Sub(h.at)}
}
