package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/droverhq/drover/eventstore"
)

// flushEntries and flushEvery bound what a restart folds again. (design §4 step 4)
const (
	flushEntries = 250_000
	flushEvery   = 30 * time.Second
)

// unreached is an error of reading a log in which nothing was read that is wrong: it may pass.
type unreached struct{ error }

func (u unreached) Unwrap() error { return u.error }

// reading tells errors that may pass from what is wrong in the log.
func reading(err error) error {
	if err == nil || broken(err) || errors.Is(err, eventstore.ErrNotFound) {
		return err
	}
	return unreached{err}
}

// Boot makes a machine from what is kept, which stands by: it checks that the log still holds the head, the state's
// checkpoint and what was read upstream, and folds the log from the checkpoint to its end. Nothing is written; the first
// commit is that of the first Step after Claim. A *eventstore.DamageError names what is missing.
func Boot(ctx context.Context, cfg Config) (*Machine, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	m := newMachine(cfg)
	if err := m.load(); err != nil {
		return nil, fmt.Errorf("%s: %w", m.log, err)
	}
	var head eventstore.Head
	if cfg.Head != nil {
		head, _ = cfg.Head.Head()
		if err := cfg.Log.Holds(ctx, head.Mark); err != nil {
			return nil, fmt.Errorf("the head that was remembered: %w", reading(err))
		}
	}
	if err := cfg.Log.Holds(ctx, m.end.Mark); err != nil {
		return nil, fmt.Errorf("the checkpoint of the state: %w", reading(err))
	}
	if err := m.FoldNew(ctx); err != nil {
		return nil, err
	}
	for i, u := range cfg.Upstream {
		if err := u.HoldsPrefix(ctx, m.stored[i].number, m.stored[i].hash); err != nil {
			return nil, fmt.Errorf("what %s has read of %s: %w", m.log, u.Name(), reading(err))
		}
	}
	m.effects.done = min(max(m.effects.done, head.EffectsDone), m.end.Number)
	return m, nil
}

// FoldNew folds what stands in the machine's own log beyond what it has folded: at start, while it stands by, and while
// it claims.
func (m *Machine) FoldNew(ctx context.Context) error {
	_, last, err := m.cfg.Log.Bounds(ctx)
	if err != nil {
		return reading(err)
	}
	entries := 0
	var failed error
	err = m.cfg.Log.ReadTo(ctx, m.end.Mark, last, func(c *eventstore.Commit) error {
		if failed = m.Fold(c); failed != nil {
			return failed
		}
		if entries += len(c.Entries); entries >= flushEntries {
			entries = 0
			failed = m.cfg.State.Flush()
		}
		return failed
	})
	if failed != nil {
		return failed
	}
	return reading(err)
}

// Goals asks for the ends of the upstream logs, up to which the machine reads before it serves. It is called when the
// machine owns its log.
func (m *Machine) Goals(ctx context.Context) error {
	for i, u := range m.cfg.Upstream {
		_, last, err := u.Bounds(ctx)
		if err != nil {
			return reading(err)
		}
		m.upstream[i].goal = last
	}
	return nil
}

// ResumeMark is after which commit of its i-th upstream log the machine is to be given more.
func (m *Machine) ResumeMark(ctx context.Context, i int) (eventstore.Mark, error) {
	at := m.seen[i]
	if at.number == 0 {
		return eventstore.Mark{}, nil
	}
	c, err := m.cfg.Upstream[i].Read(ctx, at.number)
	if err != nil {
		return eventstore.Mark{}, reading(err)
	}
	if at.entries == 0 {
		return c.Mark(), nil
	}
	// A part of it is done: it is given again.
	before := eventstore.Mark{Number: at.number - 1}
	copy(before.Hash[:], c.PreviousHash)
	return before, nil
}
