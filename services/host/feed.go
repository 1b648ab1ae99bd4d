package host

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/proto/id"
)

const (
	// feedBytes bounds what is read ahead of one upstream log.
	feedBytes = 4 << 20
	// aheadMax bounds the commits of one log that wait for their causes, behindMax those that wait for the core.
	aheadMax  = 64
	behindMax = 64
	// retryFeed is between two tries to read a log that cannot be read now.
	retryFeed = 200 * time.Millisecond
)

// feed reads one upstream log ahead of the machine, in a goroutine of its own.
type feed struct {
	log     *eventstore.Log
	tallied bool
	after   eventstore.Mark // what was read; the goroutine's own
	nudge   func()

	mu      sync.Mutex // guards what follows; held for a few assignments
	commits []*eventstore.Commit
	bytes   int
	room    chan struct{} // holds one: bytes shrank
	err     error         // the log cannot be read on
}

// run reads until ctx ends, or the log is damaged.
func (f *feed) run(ctx context.Context) {
	follow := f.log.Follow
	if f.tallied {
		follow = f.log.FollowTallies
	}
	for ctx.Err() == nil {
		err := follow(ctx, f.after, func(c *eventstore.Commit) error { return f.push(ctx, c) })
		if ctx.Err() != nil {
			return
		}
		if err != nil && broken(err) {
			f.mu.Lock()
			f.err = err
			f.mu.Unlock()
			f.nudge()
			return
		}
		select { // the broker is away: read on from the same place
		case <-ctx.Done():
		case <-time.After(retryFeed):
		}
	}
}

// broken tells a log that holds something wrong from one that cannot be reached.
func broken(err error) bool {
	var damage *eventstore.DamageError
	var foreign *eventstore.ForeignError
	var version *eventstore.VersionError
	return errors.As(err, &damage) || errors.As(err, &foreign) || errors.As(err, &version)
}

// push waits until there is room for a commit.
func (f *feed) push(ctx context.Context, c *eventstore.Commit) error {
	for {
		f.mu.Lock()
		if f.bytes == 0 || f.bytes+c.Size <= feedBytes {
			f.commits = append(f.commits, c)
			f.bytes += c.Size
			f.mu.Unlock()
			f.after = c.Mark()
			f.nudge()
			return nil
		}
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.room:
		}
	}
}

// take takes at most n commits.
func (f *feed) take(n int) ([]*eventstore.Commit, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n = min(n, len(f.commits))
	taken := f.commits[:n:n]
	if f.commits = f.commits[n:]; len(f.commits) == 0 {
		f.commits = nil
	}
	for _, c := range taken {
		f.bytes -= c.Size
	}
	if n > 0 {
		select {
		case f.room <- struct{}{}:
		default:
		}
	}
	return taken, f.err
}

func (f *feed) waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.commits)
}

// feeds are those of all upstream logs, put into causal order.
type feeds struct {
	feeds  []*feed
	causal *eventstore.Causal
	own    id.Log
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// startFeeds begins to read where the machine has read to.
func startFeeds(ctx context.Context, m *Machine, nudge func()) (*feeds, error) {
	follow := []id.Log{m.log}
	for _, u := range m.upstream {
		follow = append(follow, u.log)
	}
	ctx, cancel := context.WithCancel(ctx)
	fs := &feeds{causal: eventstore.NewCausal(follow), own: m.log, cancel: cancel}
	for i, u := range m.upstream {
		mark, err := m.ResumeMark(ctx, i)
		if err != nil {
			cancel()
			return nil, err
		}
		fs.causal.Seen(u.log, mark.Number)
		fs.feeds = append(fs.feeds, &feed{log: m.cfg.Upstream[i], tallied: u.tallied, after: mark, nudge: nudge, room: make(chan struct{}, 1)})
	}
	for _, f := range fs.feeds {
		fs.done.Go(func() { f.run(ctx) })
	}
	return fs, nil
}

// stop ends all goroutines and waits for them.
func (fs *feeds) stop() {
	fs.cancel()
	fs.done.Wait()
}

// deliver hands the machine what it can take now. more says that it left some.
func (fs *feeds) deliver(m *Machine, nowMs int64) (more bool, err error) {
	fs.causal.Seen(fs.own, m.end.Number)
	for {
		moved := false
		for _, f := range fs.feeds {
			commits, err := f.take(aheadMax - fs.causal.Buffered(f.log.Name()))
			for _, c := range commits {
				fs.causal.Add(c)
				moved = true
			}
			if err != nil && f.waiting() == 0 {
				return false, m.stop(err)
			}
		}
		for m.Behind() < behindMax {
			c := fs.causal.Next()
			if c == nil {
				break
			}
			moved = true
			if err := m.Deliver(nowMs, c); err != nil {
				return false, err
			}
		}
		if m.Behind() >= behindMax {
			return true, nil
		}
		if !moved {
			return false, nil
		}
	}
}

// waiting is how many commits were read and not delivered.
func (fs *feeds) waiting() int {
	n := 0
	for _, f := range fs.feeds {
		n += f.waiting() + fs.causal.Buffered(f.log.Name())
	}
	return n
}

// checkBlocked looks for a commit that waits for one beyond the end of its log: that log was cut, or it is the
// machine's own, and another owner has written on.
func (fs *feeds) checkBlocked(ctx context.Context, m *Machine) error {
	for _, w := range fs.causal.Blocked() {
		log := m.cfg.Log
		for _, f := range fs.feeds {
			if f.log.Name() == w.On {
				log = f.log
			}
		}
		_, last, err := log.Bounds(ctx)
		switch {
		case err != nil:
			return nil // asked again in a second
		case last < w.OnNumber:
			return m.stop(&eventstore.DamageError{Log: w.On, First: last + 1, Last: w.OnNumber, Why: position(w.Log, w.Number) + " has read them; its end was cut off"})
		case w.On == fs.own:
			return m.stop(ErrDeposed)
		}
	}
	return nil
}
