package projections

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/proto/id"
)

const (
	// After so many events, or so long, what is folded is flushed: a restart folds no more than that again.
	flushEvents = 250_000
	flushEvery  = 30 * time.Second
	// A gulp that took less than lingerBytes is followed by the next one no sooner than linger later, unless a query
	// waits: many small batches cost more than one.
	linger      = 10 * time.Millisecond
	lingerBytes = 256 << 10
	// A log that cannot be reached is tried again after that, doubling from the one to the other.
	retryMin = 100 * time.Millisecond
	retryMax = 5 * time.Second
	// How often it is looked whether commits wait for what lies beyond the end of a log.
	lookEvery = time.Second
)

// Config is what a Runner needs.
type Config struct {
	// Logs are all logs of the system, each once.
	Logs []*eventstore.Log
	// Store holds the rows. It belongs to the runner alone until Run has returned; closing it is the caller's.
	Store kv.Store
	// Homes is the number of execution logs.
	Homes uint32
	// Logger gets what an operator should see; nil is slog.Default.
	Logger *slog.Logger
}

// Runner folds logs into the read models, and hands out views of them. It is safe for concurrent use.
type Runner struct {
	logs   []*eventstore.Log // in the order of id.Log.Compare
	store  kv.Store
	logger *slog.Logger
	ready  chan struct{}
	wanted chan struct{} // holds one: somebody waits for the next commit

	mu     sync.Mutex    // guards all below; held for moments
	at     Vector        // what is visible
	moved  chan struct{} // closed, and made anew, when at or failed changes
	failed error         // why Run has stopped
	ended  bool          // Run has ended, for whatever reason: the store may be closed

	asked sync.WaitGroup // calls of Ask under way; grows only under mu, while not ended
}

// New makes a runner. It refuses a store that it cannot go on with (*FormatError).
func New(c Config) (*Runner, error) {
	r := &Runner{
		logs: slices.Clone(c.Logs), store: c.Store, logger: c.Logger,
		ready: make(chan struct{}), wanted: make(chan struct{}, 1), moved: make(chan struct{}), at: Vector{},
	}
	if r.logger == nil {
		r.logger = slog.Default()
	}
	slices.SortFunc(r.logs, func(a, b *eventstore.Log) int { return a.Name().Compare(b.Name()) })
	if names := names(r.logs); !slices.Equal(names, id.Logs(c.Homes)) {
		return nil, fmt.Errorf("read models of %d homes need the logs %v, not %v", c.Homes, id.Logs(c.Homes), names)
	}
	at, err := marks(r.store, r.logs)
	if err != nil {
		return nil, err
	}
	for log, m := range at {
		r.at[log] = m.Number
	}
	return r, nil
}

func names(logs []*eventstore.Log) []id.Log {
	list := make([]id.Log, len(logs))
	for i, l := range logs {
		list[i] = l.Name()
	}
	return list
}

// Run folds until ctx ends, and returns nil then. It returns an error when it must not go on: a log is damaged, holds
// a foreign message or what this version does not know, or no longer holds a checkpoint; or the store has failed.
// A log that cannot be reached is waited for. Once it ends nothing more is answered; it returns when what is being
// answered is, so that the store can be closed. Run may be called again when it has returned.
func (r *Runner) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	at, err := marks(r.store, r.logs)
	if err != nil {
		return r.stop(err)
	}
	r.mu.Lock()
	r.ended = false
	r.mu.Unlock()
	r.publish(at, nil)
	in, causal := newInbox(r.logs), eventstore.NewCausal(names(r.logs))
	failures := make(chan error, len(r.logs))
	var beside sync.WaitGroup
	for i, log := range r.logs {
		after := at[log.Name()]
		causal.Seen(log.Name(), after.Number)
		beside.Go(func() {
			if err := r.follow(ctx, in, i, after); err != nil {
				failures <- err
				cancel()
			}
		})
	}
	beside.Go(func() { r.awaitReady(ctx) })
	err = r.run(ctx, in, causal, newFold(r.store, at))
	cancel()
	beside.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
		select {
		case err = <-failures:
		default:
		}
	}
	return r.stop(err)
}

// stop remembers why nothing more is folded, and lets those who ask finish. The end of ctx is no failure.
func (r *Runner) stop(err error) error {
	if err != nil {
		r.logger.Error("the read models have stopped", "err", err)
	}
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.publish(nil, err)
	r.asked.Wait()
	return err
}

// follow reads one log into the inbox until ctx ends, or until it must not go on.
func (r *Runner) follow(ctx context.Context, in *inbox, i int, after eventstore.Mark) error {
	log, wait := r.logs[i], retryMin
	for {
		err := log.Follow(ctx, after, func(c *eventstore.Commit) error {
			wait = retryMin
			if err := in.put(ctx, i, c); err != nil {
				return err
			}
			after = c.Mark()
			return nil
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case final(err):
			return err
		}
		r.logger.Warn("a log cannot be read; trying again", "log", log.Name(), "err", err, "after", wait)
		if !sleep(ctx, wait) {
			return nil
		}
		wait = min(2*wait, retryMax)
	}
}

// final says that reading on would pass something over.
func final(err error) bool {
	var damage *eventstore.DamageError
	var foreign *eventstore.ForeignError
	var version *eventstore.VersionError
	return errors.As(err, &damage) || errors.As(err, &foreign) || errors.As(err, &version)
}

// run folds what arrives. It returns context.Canceled when ctx ends.
func (r *Runner) run(ctx context.Context, in *inbox, causal *eventstore.Causal, f *fold) error {
	flush := newFlusher(r.store)
	defer flush.wait()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	stuck := false // nothing was folded since the last look
	for ctx.Err() == nil {
		for _, c := range in.take() {
			causal.Add(c)
		}
		began := time.Now()
		bytes, err := r.gulp(in, causal, f, flush)
		if err != nil {
			return err
		}
		if bytes > 0 {
			stuck = false
			if bytes < lingerBytes {
				r.linger(ctx, time.Until(began.Add(linger)))
			}
			continue
		}
		select {
		case <-in.arrived:
		case <-ctx.Done():
		case err := <-flush.done:
			if err := flush.ended(err); err != nil {
				return err
			}
		case <-look.C:
			if err := flush.due(); err != nil {
				return err
			}
			if stuck {
				if err := r.cut(ctx, causal.Blocked()); err != nil {
					return err
				}
			}
			stuck = true
		}
	}
	return context.Canceled
}

// gulp folds one batch of what can be folded, and makes it visible.
func (r *Runner) gulp(in *inbox, causal *eventstore.Causal, f *fold, flush *flusher) (bytes int, err error) {
	for !f.full() {
		c := causal.Next()
		if c == nil {
			break
		}
		in.release(c)
		if err := f.apply(c); err != nil {
			return 0, err
		}
	}
	if f.bytes == 0 {
		return 0, nil
	}
	bytes, events := f.bytes, f.events
	if err := f.commit(); err != nil {
		return 0, err
	}
	r.publish(f.marks, nil)
	return bytes, flush.folded(events)
}

func (r *Runner) linger(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.wanted:
	case <-ctx.Done():
	}
}

// cut stops if a commit waits for what lies beyond the end of a log: what was acknowledged there is gone.
func (r *Runner) cut(ctx context.Context, waits []eventstore.Wait) error {
	for _, w := range waits {
		i := slices.IndexFunc(r.logs, func(l *eventstore.Log) bool { return l.Name() == w.On })
		_, last, err := r.logs[i].Bounds(ctx)
		if err == nil && last < w.OnNumber {
			return &eventstore.DamageError{
				Log: w.On, First: last + 1, Last: w.OnNumber,
				Why: fmt.Sprintf("the log ends at %d, but %s@%d was decided after reading %d: its end was cut off", last, w.Log, w.Number, w.OnNumber),
			}
		}
	}
	return nil
}

// publish says what is visible now, or why nothing is any more.
func (r *Runner) publish(at map[id.Log]eventstore.Mark, failed error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for log, m := range at {
		r.at[log] = m.Number
	}
	r.failed = failed
	close(r.moved)
	r.moved = make(chan struct{})
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
