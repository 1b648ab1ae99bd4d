package host

import (
	"context"
	"time"

	"github.com/droverhq/drover/eventstore"
)

// Lease says who should own the log: that one host at a time tries, answers reads and tells devices. Fencing makes two
// owners harmless; the lease makes them rare. *eventstore.Lease is one; its methods are safe for concurrent use. (design §4)
type Lease interface {
	// Acquire waits until the lease is this host's, or ctx ends. It may be called again after a loss.
	Acquire(ctx context.Context) error
	// Until is when the lease runs out if it is not renewed, by this process's monotonic clock; the zero time if it is
	// not held. It never blocks. The lease is renewed in the background for as long as it is held.
	Until() time.Time
	// Lost is closed once the lease that Acquire last gained is known to be another's. A lease that ran out because
	// nothing can be renewed is not lost yet: it may be renewed again, if nobody took it.
	Lost() <-chan struct{}
	// Release gives the lease up, so that another host takes it at once and not when it has run out.
	Release(ctx context.Context) error
}

// lookAtLease remembers until when the lease holds. The caller holds the lock.
func (h *Host) lookAtLease() time.Time {
	if h.cfg.Lease != nil {
		if until := h.cfg.Lease.Until(); !until.IsZero() {
			h.until = until
		}
	}
	return h.until
}

// release gives the lease up, once everything is written and answered: held on by a process that does not serve, it would
// keep every other host from the log.
func (h *Host) release(ctx context.Context) {
	h.mu.Lock()
	leased := !h.leased.IsZero()
	h.mu.Unlock()
	if !leased {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := h.cfg.Lease.Release(ctx); err != nil {
		h.cfg.Logger.Warn("the lease is not released; it runs out", "error", err)
	}
}

// MaySpeak says whether this host may tell anybody now what it has not just written: its lease has a margin left, and
// its term has not ended. A device front asks right before it sends a notification. Without a lease it may always.
func (h *Host) MaySpeak() bool {
	if h.cfg.Lease == nil {
		return true
	}
	return !h.ended.Load() && left(h.cfg.Lease.Until(), time.Now()) >= eventstore.LeaseMargin
}

// left is what is left of a lease. The wall clock is looked at too: it has gone on where the monotonic clock stood still
// with the whole machine.
func left(until, now time.Time) time.Duration {
	return min(until.Sub(now), until.Round(0).Sub(now.Round(0)))
}

// StepDown asks for a hand-over: Run stops as at its context's end, releases the lease, and returns ErrSteppedDown. To
// stand by again, make another Host on the same state store. It does not wait, and may be called more than once.
func (h *Host) StepDown() { h.stepDown(ErrSteppedDown) }
