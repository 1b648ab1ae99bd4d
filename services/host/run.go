package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

const (
	// appendTimeout ends one try to append or to read; the outcome is then unknown. What is sent while the leader of a
	// log changes is lost without a word, and for so long the log stands still then.
	appendTimeout = time.Second
	// lookEvery is between two tries to learn the outcome of an append.
	lookEvery = 50 * time.Millisecond
	// stopAppend is how long a graceful stop pursues an append, stopTell how long it waits for notifications.
	stopAppend = 3 * time.Second
	stopTell   = 500 * time.Millisecond
	// shorterMax is how long a log may end before what was folded of it: a broker that has become its leader may need a
	// moment to apply what was acknowledged.
	shorterMax = 10 * time.Second
	// releaseTimeout bounds the release of a lease, which runs out by itself.
	releaseTimeout = 2 * time.Second
)

// Run folds the log; stands by, folding on, until the lease is this host's; takes the log over, catches up, and serves
// until ctx ends. Then it finishes what is under way, answers everything, flushes, releases the lease and returns nil,
// or ErrSteppedDown if it was StepDown that ended it. Otherwise it returns why it could not go on: ErrDeposed,
// ErrUnresolved, a *eventstore.DamageError, *eventstore.ForeignError or *eventstore.VersionError, a *kv.Failure, or, where
// there is no lease, a log that could not be reached at start.
//
// It is called once. To stand by again another Host is made, on the same state store.
func (h *Host) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.asked, func() { cancel(ErrSteppedDown) })()
	err := h.run(ctx)
	if err == nil && errors.Is(context.Cause(ctx), ErrSteppedDown) {
		err = ErrSteppedDown
	}
	h.end(err)
	h.release(ctx)
	if err != nil && !errors.Is(err, ErrSteppedDown) {
		h.cfg.Logger.Error("the host has stopped", "error", err)
	}
	return err
}

// end answers what has come too late to be handed to the machine.
func (h *Host) end(err error) {
	h.ended.Store(true)
	h.mu.Lock()
	h.stopped = true
	left, until := h.arrived, h.until
	h.arrived, h.waiting = nil, 0
	h.stats.State = "stopped"
	h.stats.WaitsFor = fmt.Sprintf("%s: stopped", h.cfg.Log.Name())
	if err != nil {
		h.stats.WaitsFor = err.Error()
	}
	h.mu.Unlock()
	for _, r := range left {
		if h.cfg.Lease != nil && !r.Arrived.Before(until) {
			r.Done(nil, ErrDropped)
			continue
		}
		r.Done(nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "%s has stopped; ask again", h.cfg.Log.Name()))
	}
}

// driver is one Run.
type driver struct {
	*Host
	m     *Machine
	feeds *feeds
	ends  *endReader

	logEnd    uint64    // where the log was seen to end while this host stood by
	flushed   uint64    // m.counters.Folded at the last flush
	flushedAt time.Time //
	flushing  chan error
}

func (h *Host) run(ctx context.Context) error {
	d := &driver{Host: h, flushedAt: time.Now()}
	if err := d.boot(ctx); err != nil {
		return graceful(ctx, err)
	}
	err := graceful(ctx, d.own(ctx))
	return errors.Join(err, d.close(err == nil))
}

// graceful makes nothing of an error that says only that Run was told to end.
func graceful(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		return nil
	}
	return err
}

// boot folds the log to its end.
func (d *driver) boot(ctx context.Context) error {
	return d.reach(ctx, func(ctx context.Context) error {
		m, err := Boot(ctx, d.cfg)
		if err != nil {
			return err
		}
		m.onTold = d.tellDone
		d.m, d.flushed = m, m.counters.Folded
		d.publish()
		return nil
	})
}

// own takes the log over, and serves.
func (d *driver) own(ctx context.Context) error {
	if d.cfg.Lease != nil {
		waiting, cancel := context.WithCancel(ctx)
		defer cancel()
		if err := d.standBy(ctx, waiting, cancel); err != nil {
			return err
		}
	}
	ctx, cancel := d.term(ctx)
	defer cancel()
	d.ends = &endReader{logs: d.cfg.Upstream, nudge: d.nudge, said: func(err error) {
		d.cfg.Logger.Warn("the end of a log cannot be read: what must know all logs to their ends waits", "error", err)
	}}
	if err := d.takeOver(ctx); err != nil {
		return d.m.stop(err)
	}
	err := d.serve(ctx)
	d.feeds.stop()
	return err
}

// isReady ends a takeover.
func (d *driver) isReady() {
	close(d.ready)
	if d.cfg.Lease == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.TookOver = time.Since(d.leased)
	d.cfg.Logger.Info("serves", "epoch", d.m.end.Epoch, "since the lease", d.stats.TookOver.Round(time.Millisecond))
}

// takeOver claims the log, and begins to read upstream.
//
// A crash in it leaves an owner that never served: the next one claims behind it.
func (d *driver) takeOver(ctx context.Context) error {
	began := time.Now()
	d.m.Claim()
	d.publish()
	if d.cfg.Lease != nil {
		if err := d.reach(ctx, d.m.FoldNew); err != nil {
			return err
		}
	}
	d.catchUpClock()
	if err := d.claim(ctx); err != nil {
		return err
	}
	if err := d.reach(ctx, d.m.Goals); err != nil {
		return err
	}
	err := d.reach(ctx, func(ctx context.Context) (err error) {
		d.feeds, err = startFeeds(ctx, d.m, d.nudge)
		return err
	})
	if err != nil {
		return err
	}
	d.cfg.Logger.Info("owns the log", "epoch", d.m.end.Epoch, "commit", d.m.end.Number, "folded", d.m.counters.Folded, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// catchUpClock lets the clock run from the time of the last commit if it is behind that: set back since, or behind the
// clock of the owner before. Else time would stand still until it is there, and no timer would run. (design §4)
func (d *driver) catchUpClock() {
	if behind := d.m.end.AtMs - d.now(); behind > 0 {
		d.epoch += behind
		d.cfg.Logger.Warn("the clock is behind the log; it runs from the log's last commit", "ms", behind)
	}
}

// claim appends Owned, folding what others append meanwhile.
func (d *driver) claim(ctx context.Context) error {
	for !d.m.Owns() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if wait := d.m.Next() - d.now(); d.m.Next() > 0 && wait > 0 {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Duration(wait) * time.Millisecond):
			}
		}
		sealed, err := d.m.Step(d.now())
		if err == nil && sealed == nil {
			continue // the lease ran out; it is lost, or renewed
		}
		if err == nil {
			err = d.append(ctx, sealed)
		}
		if err == nil && !d.m.Owns() {
			err = d.reach(ctx, d.m.FoldNew)
			d.catchUpClock()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// serve goes round until ctx ends or the machine does.
func (d *driver) serve(ctx context.Context) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select { // also where there is always more to do
		case <-second.C:
			if err := d.everySecond(ctx); err != nil {
				return err
			}
		default:
		}
		more, err := d.takeIn()
		if err != nil {
			return err
		}
		if errors.Is(context.Cause(ctx), ErrDeposed) {
			return d.m.Depose()
		}
		sealed, err := d.m.Step(d.now())
		if err == nil && sealed != nil {
			err = d.append(ctx, sealed)
		}
		if err == nil && d.m.CaughtUp() {
			if err = d.reach(ctx, d.m.Retell); err == nil {
				d.isReady()
				more = true
			}
		}
		if err != nil {
			return d.m.stop(err)
		}
		if d.m.WantsEnds() {
			d.ends.start(ctx)
		}
		d.publish()
		if err := d.flush(false); err != nil {
			return d.m.stop(err)
		}
		if ctx.Err() != nil {
			return d.leave(ctx)
		}
		wait := time.Duration(0)
		if next := d.m.Next(); next == core.Never {
			wait = time.Hour
		} else if now := d.now(); next > now {
			wait = min(time.Duration(next-now)*time.Millisecond, time.Hour)
		}
		if wait == 0 || more && d.m.full.reason == "" {
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-d.wake:
		case <-timer.C:
		case <-second.C:
			if err := d.everySecond(ctx); err != nil {
				return err
			}
		}
	}
}

// takeIn hands the machine what has arrived.
func (d *driver) takeIn() (more bool, err error) {
	d.mu.Lock()
	arrived, told, until := d.arrived, d.told, d.lookAtLease()
	d.arrived, d.told = nil, nil
	d.mu.Unlock()
	d.m.Held(until)
	for _, r := range arrived {
		d.m.Submit(r)
	}
	for _, number := range told {
		d.m.effects.told(number)
	}
	if len(told) > 0 {
		if err := d.m.setHead(); err != nil {
			return false, err
		}
	}
	if ends := d.ends.take(); ends != nil {
		d.m.Ends(ends)
	}
	return d.feeds.deliver(d.m, d.now())
}

// tellDone is what the notifier calls, from any goroutine.
func (h *Host) tellDone(number uint64) {
	h.mu.Lock()
	h.told = append(h.told, number)
	h.mu.Unlock()
	h.nudge()
}

// append appends the pending commit and pursues its outcome. What arrives meanwhile gathers.
func (d *driver) append(ctx context.Context, sealed *eventstore.Sealed) error {
	began := time.Now()
	next := Append
	var ended, shorter time.Time // since when ctx has ended; since when the log ends before what was folded
	for round := 0; ; round++ {
		// A stop must not cut off an append: its outcome would be unknown.
		try, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTimeout)
		var err error
		if next == Append {
			err = d.cfg.Log.Append(try, *sealed)
			next, err = d.m.Appended(d.now(), err)
		} else {
			var found *eventstore.Commit
			found, err = d.cfg.Log.Read(try, sealed.Number)
			if errors.Is(err, eventstore.ErrNotFound) {
				err = d.stillHolds(try, err, &shorter)
			}
			next, err = d.m.Found(d.now(), found, err)
		}
		cancel()
		if next == Go {
			d.measureAppend(time.Since(began))
			return err
		}
		if d.m.pending.unknown {
			d.publish()
			if ctx.Err() != nil && ended.IsZero() {
				ended = time.Now()
			}
			if !ended.IsZero() && time.Since(ended) > stopAppend {
				return d.m.stop(fmt.Errorf("%s: commit %d: stopped before its outcome was known: %w", d.m.log, sealed.Number, ErrUnresolved))
			}
		}
		if round > 0 && next == Look {
			time.Sleep(lookEvery)
		}
	}
}

// stillHolds tells a number that is not taken yet from a log that was cut, or was replaced by another: notFound, or the
// damage. So the end is compared with what it was whenever the connection to the log was lost during an append.
func (d *driver) stillHolds(ctx context.Context, notFound error, shorter *time.Time) error {
	_, last, err := d.cfg.Log.Bounds(ctx)
	end := d.m.end.Mark
	switch {
	case err != nil:
		return notFound
	case last >= end.Number:
		*shorter = time.Time{}
		if err := d.cfg.Log.Holds(ctx, end); broken(err) {
			return err
		}
	case shorter.IsZero():
		*shorter = time.Now()
	case time.Since(*shorter) > shorterMax:
		return &eventstore.DamageError{Log: d.m.log, First: last + 1, Last: end.Number, Why: "they were written and folded; the log's end was cut off"}
	}
	return notFound
}

// everySecond flushes the head and looks for logs that were cut.
func (d *driver) everySecond(ctx context.Context) error {
	if err := d.syncHead(); err != nil {
		return d.m.stop(err)
	}
	return d.feeds.checkBlocked(ctx, d.m)
}

func (d *driver) syncHead() error {
	if d.cfg.Head == nil {
		return nil
	}
	return d.cfg.Head.Sync()
}

// flush makes the state survive a loss of power, now and then and in the background: until then the log has it.
func (d *driver) flush(last bool) error {
	if d.flushing != nil {
		if last {
			if err := <-d.flushing; err != nil {
				return err
			}
			d.flushing = nil
		} else {
			select {
			case err := <-d.flushing:
				d.flushing = nil
				return err
			default:
				return nil
			}
		}
	}
	folded := d.m.counters.Folded - d.flushed
	if folded == 0 || !last && folded < flushEntries && time.Since(d.flushedAt) < flushEvery {
		return nil
	}
	d.flushed, d.flushedAt = d.m.counters.Folded, time.Now()
	if last {
		return d.cfg.State.Flush()
	}
	d.flushing = make(chan error, 1)
	go func(done chan<- error) { done <- d.cfg.State.Flush() }(d.flushing)
	return nil
}

// leave ends a term: gracefully, unless the lease is another's.
func (d *driver) leave(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), ErrDeposed) {
		return d.m.Depose()
	}
	return d.stopGracefully(ctx)
}

// stopGracefully writes how far was read and told, so that the next owner does neither again.
func (d *driver) stopGracefully(ctx context.Context) error {
	d.mu.Lock()
	d.stopped = true
	d.mu.Unlock()
	for deadline := time.Now().Add(stopTell); d.m.Untold() > 0 && time.Now().Before(deadline); {
		select {
		case <-d.wake:
		case <-time.After(time.Until(deadline)):
		}
		if _, err := d.takeIn(); err != nil {
			return err
		}
	}
	if _, err := d.takeIn(); err != nil {
		return err
	}
	sealed, err := d.m.Stop(d.now())
	if err == nil && sealed != nil {
		err = d.append(ctx, sealed)
	}
	return err
}

// close flushes what can be.
func (d *driver) close(graceful bool) error {
	d.m.stop(fmt.Errorf("%s: stopped", d.m.log))
	err := d.flush(true)
	if d.cfg.Head != nil {
		err = errors.Join(err, d.cfg.Head.Sync())
	}
	if graceful {
		d.cfg.Logger.Info("stopped", "commit", d.m.end.Number)
	}
	return err
}

// publish makes the machine's figures readable to others.
func (d *driver) publish() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Host.waiting = d.m.Waiting() + len(d.arrived)
	d.oldest = d.m.Oldest()
	if d.oldest.IsZero() && len(d.arrived) > 0 {
		d.oldest = d.arrived[0].Arrived
	}
	s := &d.stats
	s.State, s.WaitsFor = d.m.State(), d.m.Waits()
	s.Counters, s.End, s.Untold = d.m.counters, d.m.end.Number, d.m.Untold()
	s.Epoch = d.m.end.Epoch
	if s.Behind = d.m.Behind(); d.m.phase == standby && d.logEnd > s.End {
		s.Behind = int(d.logEnd - s.End)
		s.WaitsFor += fmt.Sprintf(", %d commits behind", s.Behind)
	}
	if d.feeds != nil {
		s.Behind += d.feeds.waiting()
	}
}
