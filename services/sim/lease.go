package sim

import (
	"fmt"

	"github.com/droverhq/drover/eventstore"
)

const (
	leaseMs  = int64(eventstore.LeaseTTL) / 1e6
	marginMs = int64(eventstore.LeaseMargin) / 1e6
	renewMs  = 300
	lookMs   = 200
)

// register is where the lease of one log is kept: a value with a revision, as eventstore.Registers keep it.
type register struct {
	holder   string // one life of an instance; empty: nobody, or it was lost
	revision int
	released bool
	awayTill int64 // ms; nobody can read or set it until then
}

// lease is what one life of an instance knows of its log's lease. It keeps the promises of eventstore.Lease without its
// goroutines: its validity counts from before a renewal that was answered was sent; it is taken from another only by
// who has seen one revision of it for as long as a lease lasts.
type lease struct {
	i        *instance
	name     string
	patience int64 // how much longer this one waits before it takes another's

	held, lost bool
	until      int64
	revision   int   // that it has seen last
	seenAt     int64 // since when
	nextAt     int64 // when it looks or renews next
}

func newLease(i *instance) *lease {
	i.lives++
	return &lease{i: i, name: fmt.Sprint(i.owner, i.lives), patience: 2 * leaseMs * i.w.rng.Int64N(2), seenAt: i.w.now}
}

// runs says that what is held has not run out; speaks that a margin is left.
func (l *lease) runs() bool   { return l.held && l.i.w.now < l.until }
func (l *lease) speaks() bool { return l.held && l.i.w.now+marginMs <= l.until }

// act is what goes on behind the host's back, whatever that does or waits for.
func (l *lease) act() {
	w, r := l.i.w, &l.i.log.register
	if w.now < l.nextAt || l.lost {
		return
	}
	l.nextAt = w.now + lookMs
	if w.now < r.awayTill {
		return
	}
	if l.held {
		l.nextAt = w.now + renewMs
		l.renew(r)
		return
	}
	l.look(r)
}

// late lets it notice that the process goes on again some time after everything else of it.
func (l *lease) late(resumed int64) { l.nextAt = resumed + l.i.w.rng.Int64N(renewMs) }

func (l *lease) renew(r *register) {
	w := l.i.w
	if r.revision != l.revision && (r.holder != l.name || r.released) {
		l.held, l.lost = false, true
		w.met("lease lost")
		w.note("%s loses its lease", l.i)
		return
	}
	if !l.runs() {
		w.met("lease ran out and was renewed")
	}
	l.set(r)
}

// look takes the lease if it is free, or has not been renewed for as long as it lasts.
func (l *lease) look(r *register) {
	w := l.i.w
	if r.revision != l.revision {
		l.revision, l.seenAt = r.revision, w.now
	}
	switch {
	case r.holder == l.name && !r.released: // taken, and the answer was lost
	case r.released && l.patience == 0:
	case r.holder == "" && w.odds.lies: // it should wait: whoever held it may not know yet that it is gone
	case w.now-l.seenAt >= leaseMs+l.patience:
	default:
		return
	}
	l.set(r)
}

// set is a compare-and-set that finds the revision it expects; its answer may be lost.
func (l *lease) set(r *register) {
	w := l.i.w
	r.holder, r.released = l.name, false
	r.revision++
	if !w.calm && w.chance(w.odds.leaseUnanswered) {
		return
	}
	if !l.held {
		w.met("lease gained")
		w.note("%s gains the lease", l.i)
	}
	l.held, l.revision, l.until = true, r.revision, w.now+leaseMs-w.rng.Int64N(100)
}

// release gives it up, if the register can be reached.
func (l *lease) release() {
	w, r := l.i.w, &l.i.log.register
	if l.held && r.holder == l.name && w.now >= r.awayTill {
		r.released = true
		r.revision++
		w.met("lease released")
	}
	l.held, l.until = false, 0
}
