package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/eventstore"
)

const (
	// standbyMax is how many commits are folded between two looks at all else.
	standbyMax = 64
	// endEvery is between two looks at the log's end while standing by.
	endEvery = time.Second
)

// acquisition is a wait for the lease. err is set when done is closed; nil is gained.
type acquisition struct {
	done chan struct{}
	err  error
}

// standBy folds the log as it grows until the lease is this host's: then the state is as warm as the owner's, and what is
// left to fold is little. cancel ends the wait for the lease, where something else ends the standby.
func (d *driver) standBy(ctx context.Context, waiting context.Context, cancel func()) error {
	a := &acquisition{done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.err = d.cfg.Lease.Acquire(waiting)
	}()
	err := d.follow(ctx, a)
	for damage := (*eventstore.DamageError)(nil); errors.As(err, &damage); {
		// A broker that elects its leader may for a moment not have what it had: only what stays away is lost.
		if err = d.reach(ctx, d.m.FoldNew); err != nil {
			break
		}
		err = d.follow(ctx, a)
	}
	if err != nil {
		cancel()
	}
	<-a.done
	if a.err == nil {
		d.gained() // also if it came in this very moment: then it is to be released
	}
	if err != nil {
		return d.m.stop(err)
	}
	return nil
}

// follow folds what comes, until the lease is gained: then it returns nil.
func (d *driver) follow(ctx context.Context, a *acquisition) error {
	following, stop := context.WithCancel(ctx)
	own := &feed{log: d.cfg.Log, after: d.m.End(), nudge: d.nudge, room: make(chan struct{}, 1)}
	end := new(atomic.Uint64)
	var readers sync.WaitGroup
	readers.Go(func() { own.run(following) })
	readers.Go(func() { watchEnd(following, d.cfg.Log, end) })
	defer readers.Wait()
	defer stop()
	return d.foldOn(ctx, own, end, a)
}

// foldOn returns nil when the lease is gained.
func (d *driver) foldOn(ctx context.Context, own *feed, end *atomic.Uint64, a *acquisition) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	d.cfg.Logger.Info("stands by", "commit", d.m.end.Number)
	for {
		commits, err := own.take(standbyMax)
		for _, c := range commits {
			if err := d.m.Fold(c); err != nil {
				return err
			}
		}
		if err != nil && own.waiting() == 0 {
			return err // the log holds something wrong
		}
		if own.waiting() > 0 {
			d.nudge()
		}
		if len(commits) > 0 {
			if err := d.m.setHead(); err != nil {
				return err
			}
		}
		d.logEnd = end.Load()
		d.publish()
		if err := d.flush(false); err != nil {
			return err
		}
		select {
		case <-a.done:
			if a.err != nil {
				return fmt.Errorf("%s: the lease: %w", d.m.log, a.err)
			}
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-second.C:
			if err := d.syncHead(); err != nil {
				return err
			}
		case <-d.wake:
		}
	}
}

// watchEnd looks now and then where the log ends, so that one can say how far behind this host is.
func watchEnd(ctx context.Context, log *eventstore.Log, end *atomic.Uint64) {
	tick := time.NewTicker(endEvery)
	defer tick.Stop()
	for {
		if _, last, err := log.Bounds(ctx); err == nil {
			end.Store(last)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// gained begins the term of this host's lease.
func (d *driver) gained() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leased = time.Now()
	d.lookAtLease()
}

// term ends with ctx, or, for the reason ErrDeposed, with the lease.
func (d *driver) term(ctx context.Context) (context.Context, context.CancelFunc) {
	term, cancel := context.WithCancelCause(ctx)
	if d.cfg.Lease != nil {
		lost := d.cfg.Lease.Lost()
		go func() {
			select {
			case <-lost:
				cancel(fmt.Errorf("%s: the lease is lost: %w", d.cfg.Log.Name(), ErrDeposed))
			case <-term.Done():
			}
		}()
	}
	return term, func() { cancel(nil) }
}

// reach tries again what cannot be read now: where hosts stand by for each other, a broker that elects its leader ends no
// takeover. What is wrong in the log ends it, though a log that ends before what was folded of it is given a while.
func (d *driver) reach(ctx context.Context, read func(context.Context) error) error {
	var since time.Time // of the first damage
	for said := false; ; {
		err := read(ctx)
		var damage *eventstore.DamageError
		var passing unreached
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case d.cfg.Lease == nil, d.m != nil && d.m.phase == over:
			return err
		case errors.As(err, &damage) && damage.Log == d.cfg.Log.Name():
			if since.IsZero() {
				since = time.Now()
			}
			if time.Since(since) > shorterMax {
				return err
			}
		case !errors.As(err, &passing):
			return err
		}
		if !said {
			said = true
			d.cfg.Logger.Warn("the log cannot be read now; trying on", "error", err)
		}
		d.waitsFor(err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(retryFeed):
		}
	}
}

// waitsFor says what a host waits for that has nothing else to say.
func (d *driver) waitsFor(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.WaitsFor = fmt.Sprintf("%s: %v", d.cfg.Log.Name(), err)
}
