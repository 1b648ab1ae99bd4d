// Package feed publishes what was committed: every event of every log, one message each, as CloudEvents, for whoever
// wants to follow the system without reading its logs. It also holds the first bridge out of it, webhooks.
//
// It promises that every event that a feeder passes is in the feed exactly once by id, causes before effects, each log
// in its order; that a feeder may be killed anywhere, and several may run, without a gap or a repeat; and that a follower
// who goes on from a number misses nothing, or is told how much is no longer kept. It decides nothing, and is no part of
// any promise to devices: it may lag, and can be made anew from the logs. (design §5)
//
// How: one feeder at a time follows all logs in causal order and publishes batches, each at the number behind the last
// one (Nats-Expected-Last-Sequence), whole or not at all. The last message of a batch says in a header up to where all of
// every log is in the feed (vector); whoever feeds next reads it and goes on there. So nothing is remembered anywhere
// else, and two feeders do no harm: the slower one's batch is refused.
//
// If the stream was deleted, the feeder makes it anew and begins at the beginning of the logs: the same events have the
// same ids and new numbers, and whoever goes on from an old number is told that it is no longer kept. The same holds if
// all its messages were purged, except that numbers go on. What its limits drop is told as no longer kept.
package feed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// Lease says which of several feeders should publish: *eventstore.Lease is one. (services/host.Lease)
type Lease interface {
	Acquire(ctx context.Context) error
	Lost() <-chan struct{}
	Release(ctx context.Context) error
}

// Config is what a feeder needs.
type Config struct {
	// Conn is a connection of its own, as `service`.
	Conn *nats.Conn
	// Logs are all logs of the system, each once.
	Logs []*eventstore.Log
	// Limits of the stream, if it is missing and has to be made; those of age and bytes that are given are set in one that
	// is there, too.
	Limits Limits
	// Name says who feeds: the member's name.
	Name string
	// Lease is nil where the fence alone decides: then a feeder that finds another one at work stands by, and takes over
	// when the feed has not moved for some seconds although there are new commits.
	Lease Lease
	// FromNow starts a feed that holds nothing at the present ends of the logs, not at their beginning.
	FromNow bool
	// Logger gets what an operator should see; nil is slog.Default.
	Logger *slog.Logger
}

const (
	// A feeder that stands by looks so often, and takes over when there was news for so long and the feed did not move.
	lookEvery = time.Second
	takeOver  = 3 * time.Second

	retryMin = 50 * time.Millisecond
	retryMax = 5 * time.Second
)

// Feeder publishes the logs into the feed, while it is its turn.
type Feeder struct {
	cfg  Config
	api  js.JetStream
	name string // of this feeder, and of no other
	jobs *jobNames

	lookEvery, takeOver time.Duration // the constants, but in tests

	closing context.Context // ends with Close
	close   context.CancelFunc
	running sync.WaitGroup

	mu    sync.Mutex // guards stats, and that running grows only while closing has not ended; held for moments
	stats Stats
}

// Stats is how far a feeder is.
type Stats struct {
	// Feeding is true while it is this feeder's turn, false while it stands by.
	Feeding bool
	// Published counts the messages that this feeder has published.
	Published uint64
	// Last is the feed's last number, as this feeder knows it.
	Last uint64
	// Behind is how many commits of all logs are not in the feed, as of a few seconds ago.
	Behind uint64
	// Delay is the time from a commit to its message in the feed, for the last one that this feeder published; by the
	// clocks of the commit's writer and of this process.
	Delay time.Duration
}

// New makes a feeder.
func New(c Config) (*Feeder, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Logs = slices.SortedFunc(slices.Values(c.Logs), func(a, b *eventstore.Log) int { return a.Name().Compare(b.Name()) })
	i := slices.IndexFunc(c.Logs, func(l *eventstore.Log) bool { return l.Name() == id.JobLog })
	if i < 0 {
		return nil, errors.New("a feeder needs all logs, log.job among them")
	}
	api, err := js.New(c.Conn)
	if err != nil {
		return nil, err
	}
	f := &Feeder{cfg: c, api: api, name: c.Name + "/" + rand.Text()[:8], jobs: newJobNames(c.Logs[i]), lookEvery: lookEvery, takeOver: takeOver}
	f.closing, f.close = context.WithCancel(context.Background())
	return f, nil
}

// Run feeds until ctx ends, and returns nil then. It returns an error when it must not go on: a log is damaged, holds a
// foreign message or what this version does not know, or does not hold what was fed. What cannot be reached is waited
// for.
func (f *Feeder) Run(ctx context.Context) error {
	f.mu.Lock()
	if f.closing.Err() != nil {
		f.mu.Unlock()
		return nil
	}
	f.running.Add(1)
	f.mu.Unlock()
	defer f.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.closing, cancel)()
	yield := false // another feeder is at work
	// The last batch of a feeder that has just died may come to be stored while the next one begins. So what is found
	// to have moved before the first batch of a term is no sign of another one at work, once.
	fresh := true
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		before := f.Stats().Published
		err := f.term(ctx, yield)
		f.note(func(s *Stats) { s.Feeding = false })
		if yield {
			fresh = true // it has taken over
		}
		if f.Stats().Published > before {
			wait, fresh = retryMin, false
		}
		other := errors.Is(err, errOther)
		yield, fresh = other && !fresh, fresh && !other
		switch {
		case ctx.Err() != nil:
			return nil
		case final(err):
			f.cfg.Logger.Error("the feed has stopped", "err", err)
			return err
		case !other && !errors.Is(err, errMoved):
			f.cfg.Logger.Warn("the feed cannot go on; trying again", "err", err, "after", wait)
		}
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

// Close ends Run, if it runs, and waits for it; a Run that is called afterwards returns at once.
func (f *Feeder) Close() error {
	f.mu.Lock()
	f.close()
	f.mu.Unlock()
	f.running.Wait()
	return nil
}

// Stats may be called at any time.
func (f *Feeder) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats
}

func (f *Feeder) note(change func(*Stats)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.stats)
}

var (
	// errMoved says that the feed does not end where this feeder thought: its own earlier batch came after all, or
	// another's. What to do next follows from reading the feed.
	errMoved = errors.New("the feed does not end where it was read")
	// errOther is errMoved where another feeder wrote.
	errOther = errors.New("another feeder is at work")
)

// term is one turn of this feeder: it waits for it, and feeds until something ends it.
func (f *Feeder) term(ctx context.Context, yield bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	switch {
	case f.cfg.Lease != nil:
		if err := f.cfg.Lease.Acquire(ctx); err != nil {
			return err
		}
		defer f.release()
		lost := f.cfg.Lease.Lost()
		go func() {
			select {
			case <-lost:
				cancel()
			case <-ctx.Done():
			}
		}()
	case yield:
		if err := f.standBy(ctx); err != nil {
			return err
		}
	}
	e, err := f.open(ctx)
	if err != nil {
		return err
	}
	f.note(func(s *Stats) { s.Feeding, s.Last = true, e.last })
	err = f.feed(ctx, e)
	if !errors.Is(err, errMoved) {
		return err
	}
	if now, readErr := readEnds(ctx, f.api); readErr == nil && now.feeder != f.name {
		return errOther
	}
	return err
}

func (f *Feeder) release() {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	if err := f.cfg.Lease.Release(ctx); err != nil {
		f.cfg.Logger.Warn("the feed's lease is not released; it runs out", "err", err)
	}
}

// open reads where the feed ends, and makes it if it is not there.
func (f *Feeder) open(ctx context.Context) (ends, error) {
	e, err := readEnds(ctx, f.api)
	missing := errors.Is(err, js.ErrStreamNotFound)
	if missing {
		f.cfg.Logger.Warn("there is no feed yet, or it was deleted: it begins at the beginning of the logs")
	}
	if missing || err == nil && (f.cfg.Limits.MaxAge > 0 || f.cfg.Limits.MaxBytes > 0) {
		if err := CreateStream(ctx, f.cfg.Conn, f.jobs.log, f.cfg.Limits); err != nil {
			return e, err
		}
		e, err = readEnds(ctx, f.api)
	}
	if err != nil {
		return e, err
	}
	for _, p := range e.tail {
		if err := f.passed(ctx, e.vector, p); err != nil {
			return e, err
		}
	}
	if e.feeder != "" || len(e.tail) > 0 || !f.cfg.FromNow {
		return e, nil
	}
	for _, l := range f.cfg.Logs {
		_, last, err := l.Bounds(ctx)
		if err != nil {
			return e, err
		}
		if last == 0 {
			continue
		}
		c, err := l.Read(ctx, last)
		if err != nil {
			return e, err
		}
		e.vector.past(c)
	}
	return e, nil
}

// passed moves a vector on behind an event: with it, all that stands before it in its log is in the feed.
func (f *Feeder) passed(ctx context.Context, v vector, p *v1.Position) error {
	log := id.LogOf(p)
	i := slices.IndexFunc(f.cfg.Logs, func(l *eventstore.Log) bool { return l.Name() == log })
	if i < 0 {
		return fmt.Errorf("%w: it holds %s, and there is no such log", errDamaged, id.FormatPosition(p))
	}
	at := v[log]
	for n := p.GetNumber() - 1; n > at.number; n-- {
		c, err := f.cfg.Logs[i].Read(ctx, n)
		var foreign *eventstore.ForeignError
		if errors.As(err, &foreign) {
			continue // followers pass it over too
		}
		if err != nil {
			return err
		}
		v.past(c)
		break
	}
	v.within(log, int(p.GetEntry())+1)
	return nil
}

// standBy waits until it seems that nobody feeds.
func (f *Feeder) standBy(ctx context.Context) error {
	moved, last := time.Now(), uint64(0)
	for sleep(ctx, f.lookEvery) {
		e, err := readEnds(ctx, f.api)
		if errors.Is(err, js.ErrStreamNotFound) {
			return nil
		}
		behind := uint64(0)
		if err == nil {
			behind, err = f.behind(ctx, e.vector)
		}
		if err != nil || behind == 0 || e.last != last {
			moved, last = time.Now(), e.last
		}
		f.note(func(s *Stats) { s.Behind, s.Last = behind, max(s.Last, e.last) })
		if time.Since(moved) >= f.takeOver {
			return nil
		}
	}
	return ctx.Err()
}

// behind is how many commits of all logs are beyond a vector.
func (f *Feeder) behind(ctx context.Context, v vector) (n uint64, err error) {
	for _, l := range f.cfg.Logs {
		_, last, err := l.Bounds(ctx)
		if err != nil {
			return 0, err
		}
		if at := v[l.Name()].number; last > at {
			n += last - at
		}
	}
	return n, nil
}

// final says that going on would pass something over.
func final(err error) bool {
	var damage *eventstore.DamageError
	var foreign *eventstore.ForeignError
	var version *eventstore.VersionError
	return errors.As(err, &damage) || errors.As(err, &foreign) || errors.As(err, &version) || errors.Is(err, errDamaged)
}

// sleep waits; false if ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
