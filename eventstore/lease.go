package eventstore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/droverhq/drover/proto/id"
)

// callTimeout bounds each call of the registers. What was not answered by then is looked up.
const callTimeout = 500 * time.Millisecond

// LeaseConfig says whose lease on what.
type LeaseConfig struct {
	Registers Registers
	Log       id.Log
	// Member is this process's name: register tokens (CheckRegister), unique among the processes that are alive.
	Member string
	// Members ranks this process among those that could own the log. Nil: it is preferred for every log, as where
	// there is no other.
	Members *Members
	// Alone says that no other process can have the lease, since this one has just started the brokers that it would
	// be kept in: a register that is not there is then taken at once, else only after it was missing for LeaseTTL.
	Alone  bool
	Logger *slog.Logger // default: slog.Default()
}

// Lease is the right to own one log, for a while, kept in the register owner.<log>. It implements host.Lease and is safe
// for concurrent use.
//
// It promises that no two that are kept in the same registers are held at once, by clocks that run equally fast
// (CLOCK_MONOTONIC: it goes on while a process is stopped, and not while a machine sleeps). Who it is taken by: the
// member that ranks highest for the log, once the lease was released, or was not renewed for LeaseTTL; any other two
// LeaseTTL later. The one who had it last does not count as the highest if there is another. (design §4)
//
// A crash leaves a register that runs out.
type Lease struct {
	cfg      LeaseConfig
	register string

	mu    sync.Mutex // guards what follows
	claim *claim
	term  *term // the last; nil before Acquire
}

// term is a lease's time from an Acquire to its loss, release, or to the end of waiting for it.
type term struct {
	wake   chan struct{} // something has changed
	gained chan struct{} // closed once it is held
	lost   chan struct{} // closed once it is known to be another's
	ended  chan struct{} // closed when nothing happens any more
	cancel context.CancelFunc
}

// NewLease makes a lease that is not held. It fails on a name that cannot name a register.
func NewLease(cfg LeaseConfig) (*Lease, error) {
	if err := CheckRegister(cfg.Member); err != nil {
		return nil, fmt.Errorf("lease on log %s: member: %w", cfg.Log, err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	start := rand.Text()
	if cfg.Members != nil {
		start = cfg.Members.start()
	}
	return &Lease{cfg: cfg, register: ownerRegister(cfg.Log), claim: newClaim(cfg.Member, start, rand.Text(), cfg.Alone)}, nil
}

// Acquire waits until the lease is this host's, or ctx ends. It may be called again after a loss or a release, and returns
// at once while it is held. The lease is renewed in the background from then on.
func (l *Lease) Acquire(ctx context.Context) error {
	for {
		t, err := l.begin(ctx)
		if err != nil {
			return fmt.Errorf("lease on log %s: %w", l.cfg.Log, err)
		}
		select {
		case <-t.gained:
			return nil
		case <-t.ended: // another caller has given it up
		case <-ctx.Done():
			if l.abandon(t) {
				return fmt.Errorf("lease on log %s: %w", l.cfg.Log, ctx.Err())
			}
			return nil
		}
	}
}

// begin begins a term, or finds the one that is under way.
func (l *Lease) begin(ctx context.Context) (*term, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		l.mu.Lock()
		last := l.term
		if last == nil || last.over() {
			background, cancel := context.WithCancel(context.Background())
			l.term = &term{make(chan struct{}, 1), make(chan struct{}), make(chan struct{}), make(chan struct{}), cancel}
			l.claim.begin()
			go l.run(background, l.term)
			last = l.term
		}
		leaving := l.claim.leave
		l.mu.Unlock()
		if !leaving {
			return last, nil
		}
		select {
		case <-last.ended:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (t *term) over() bool {
	select {
	case <-t.ended:
		return true
	default:
		return false
	}
}

// abandon ends the wait for a lease, and reports false if it is held after all. What may yet come of a Set that was not
// answered is given up in the background.
func (l *Lease) abandon(t *term) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case t.over():
		return true
	case l.claim.held:
		return false
	}
	l.claim.release()
	t.nudge()
	time.AfterFunc(LeaseTTL, t.cancel)
	return true
}

func (t *term) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Until is when the lease runs out if it is not renewed, by this process's monotonic clock; the zero time if it is not
// held. It never blocks.
func (l *Lease) Until() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.claim.held {
		return time.Time{}
	}
	return l.claim.until
}

// Lost is closed once the lease that Acquire last gained is known to be another's. A lease that ran out because nothing
// can be renewed is not lost yet: it may be renewed again, if nobody took it.
func (l *Lease) Lost() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.term == nil {
		return nil
	}
	return l.term.lost
}

// Release gives the lease up, so that another host takes it at once and not when it has run out. Until is zero from its
// beginning on, whatever it returns; an error says that the others must wait for it to run out.
//
// A crash in it leaves a register that runs out.
func (l *Lease) Release(ctx context.Context) error {
	l.mu.Lock()
	t := l.term
	if t == nil || t.over() {
		l.mu.Unlock()
		return nil
	}
	l.claim.release()
	t.nudge()
	l.mu.Unlock()
	select {
	case <-t.ended:
		return nil
	case <-ctx.Done():
		t.cancel()
		return fmt.Errorf("release the lease on log %s (it runs out in %v): %w", l.cfg.Log, LeaseTTL, ctx.Err())
	}
}

// run does what the claim says, until it says no more or ctx ends.
func (l *Lease) run(ctx context.Context, t *term) {
	defer t.cancel()
	defer l.end(t)
	for ctx.Err() == nil {
		switch s := l.next(); s.do {
		case doEnd:
			return
		case doWait:
			t.wait(ctx, time.Until(s.until))
		case doGet:
			call, cancel := context.WithTimeout(ctx, callTimeout)
			r, err := l.cfg.Registers.Get(call, l.register)
			cancel()
			l.came(t, func(c *claim, now time.Time) { c.looked(now, r, err) })
		case doSet:
			call, cancel := context.WithTimeout(ctx, callTimeout)
			revision, err := l.cfg.Registers.Set(call, l.register, s.value, s.revision)
			cancel()
			l.came(t, func(c *claim, now time.Time) { c.wasSet(now, revision, err) })
		}
	}
}

func (l *Lease) next() step {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.claim.next(time.Now(), l.preferred)
}

func (l *Lease) preferred(without string) bool {
	return l.cfg.Members == nil || l.cfg.Members.prefers(l.cfg.Log, without)
}

// came hands the claim what a call answered, and tells what changed by it.
func (l *Lease) came(t *term, take func(*claim, time.Time)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.claim.held
	take(l.claim, time.Now())
	switch {
	case !held && l.claim.held:
		l.gained()
		close(t.gained)
	case l.claim.lost:
		by := l.claim.seen.value
		l.cfg.Logger.Warn("the lease is another's", "log", l.cfg.Log.String(), "member", by.Owner, "released", by.Released)
	}
}

func (l *Lease) gained() {
	if l.cfg.Members != nil {
		l.cfg.Members.took(l.cfg.Log)
	}
	before := l.claim.before
	l.cfg.Logger.Info("took the lease", "log", l.cfg.Log.String(), "before", before.Owner, "released", before.Released)
}

// end leaves the lease as one that is not held.
func (l *Lease) end(t *term) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.claim.held, l.claim.ended = false, true
	close(t.ended)
	if l.claim.lost {
		close(t.lost) // now, so that who hears of it can wait for the lease again
	}
}

func (t *term) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.wake:
	case <-ctx.Done():
	}
}

// Owner is what the register of a log's lease says.
type Owner struct {
	Member   string
	Since    time.Time     // by its clock
	Released bool          // given up, and not yet taken
	Age      time.Duration // how long ago it was renewed, by the registers' clock
}

// Owners reads who owns what. It is to be shown, not to decide by. A log whose lease is not kept any more is missing: one
// that nobody has had for a minute.
func Owners(ctx context.Context, r Registers) (map[id.Log]Owner, error) {
	all, err := r.List(ctx, ownerPrefix)
	if err != nil {
		return nil, fmt.Errorf("read who owns what: %w", err)
	}
	owners := map[id.Log]Owner{}
	for name, reg := range all {
		log, err := parseOwnerRegister(name)
		var v leaseValue
		if err = errors.Join(err, json.Unmarshal(reg.Value, &v)); err != nil {
			continue // another's: it hinders nobody from taking the lease
		}
		owners[log] = Owner{Member: v.Owner, Since: time.UnixMilli(v.SinceMs), Released: v.Released, Age: reg.Age}
	}
	return owners, nil
}
