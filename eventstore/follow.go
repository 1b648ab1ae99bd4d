package eventstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// Follow hands every commit after a mark to deliver, in order, and waits for more until ctx ends or deliver fails;
// it returns that error. Mark{} is the beginning.
//
// What it hands out stands, unbroken, behind the commit at the mark: numbers have no gap, each commit names the hash of the
// bytes before it, all are of one log. Else it stops with a *DamageError, a *ForeignError or a *VersionError, and has
// handed out nothing from that number on. Of the commits that stood when it began, none is handed out before the
// next has confirmed its hash; only what arrives later is handed out at once.
//
// Foreign messages that a later commit names (ForeignNamed) are passed over, so numbers may jump there.
func (l *Log) Follow(ctx context.Context, after Mark, deliver func(*Commit) error) error {
	return l.follow(ctx, after, decodeWhole, deliver)
}

// FollowTallies is Follow without entries: Commit.Entries is nil. The chain is verified all the same.
func (l *Log) FollowTallies(ctx context.Context, after Mark, deliver func(*Commit) error) error {
	return l.follow(ctx, after, decodeTallies, deliver)
}

// ReadTo is Follow up to a number: it returns nil when it has handed out all commits after the mark up to last.
// If the log ends before that, it is a *DamageError: somebody has seen last in it.
func (l *Log) ReadTo(ctx context.Context, after Mark, last uint64, deliver func(*Commit) error) error {
	return l.readTo(ctx, after, last, decodeWhole, deliver)
}

// ReadTalliesTo is ReadTo without entries.
func (l *Log) ReadTalliesTo(ctx context.Context, after Mark, last uint64, deliver func(*Commit) error) error {
	return l.readTo(ctx, after, last, decodeTallies, deliver)
}

func (l *Log) follow(ctx context.Context, after Mark, d decoder, deliver func(*Commit) error) error {
	c, err := l.chainAfter(ctx, after, d)
	if err != nil {
		return err
	}
	_, last, err := l.Bounds(ctx)
	if err != nil {
		return err
	}
	if err := c.readTo(ctx, last, deliver); err != nil {
		return err
	}
	return l.backend.Follow(ctx, c.at.Number+1, func(rec Record) error {
		commit, err := c.next(ctx, rec)
		if err != nil || commit == nil {
			return err
		}
		return deliver(commit)
	})
}

func (l *Log) readTo(ctx context.Context, after Mark, last uint64, d decoder, deliver func(*Commit) error) error {
	c, err := l.chainAfter(ctx, after, d)
	if err != nil {
		return err
	}
	return c.readTo(ctx, last, deliver)
}

// chain verifies messages in their order.
type chain struct {
	log    *Log
	decode decoder
	at     Mark   // the last message that was verified
	id     []byte // of the log; nil before commit 1

	named  map[uint64]Hash // foreign messages ahead that a commit names
	looked Mark            // up to here commits were searched for such names

	// pass is told of foreign messages that are passed over. Where unnamed is set, those that nobody names are
	// handed to it and passed over too (Repair).
	pass    func(Mark)
	unnamed func(Mark)
}

// chainAfter begins at a mark, once the log has shown that it still holds it.
func (l *Log) chainAfter(ctx context.Context, after Mark, d decoder) (*chain, error) {
	c := &chain{log: l, decode: d, at: after}
	if after.Number == 0 {
		// A log of which older streams were archived begins later; until archives can be read, that is a loss.
		first, _, err := l.Bounds(ctx)
		if err == nil && first > 1 {
			err = l.damaged(1, first-1, fmt.Sprintf("the log begins at %d", first))
		}
		return c, err
	}
	rec, err := l.at(ctx, after.Number, func(h Hash) bool { return h == after.Hash })
	if err != nil {
		return nil, err
	}
	commit, err := l.decode(rec, decodeTallies)
	if err != nil {
		return nil, err
	}
	c.id = commit.LogId
	return c, nil
}

var errReached = errors.New("reached")

// readTo reads up to last. A commit is held back until the next one has confirmed its hash; the last one's is
// confirmed by whoever has seen it (Holds).
func (c *chain) readTo(ctx context.Context, last uint64, deliver func(*Commit) error) error {
	if last <= c.at.Number {
		return nil
	}
	end, err := c.present(ctx, last)
	if err != nil {
		return err
	}
	if end > c.at.Number {
		var held *Commit
		err = c.log.backend.Follow(ctx, c.at.Number+1, func(rec Record) error {
			commit, err := c.next(ctx, rec)
			if err != nil {
				return err
			}
			if held != nil {
				ready := held
				held = nil
				if err := deliver(ready); err != nil {
					return err
				}
			}
			held = commit
			if rec.Number >= end {
				return errReached
			}
			return nil
		})
		if !errors.Is(err, errReached) {
			return err
		}
		if held != nil {
			if err := deliver(held); err != nil {
				return err
			}
		}
	}
	if end < last {
		return c.log.missing(ctx, end+1, last)
	}
	return nil
}

// present is the last number up to last at which there is a message. A follower is not told of messages that the
// medium has lost at its end, and would wait for them.
func (c *chain) present(ctx context.Context, last uint64) (uint64, error) {
	_, end, err := c.log.Bounds(ctx)
	if err != nil {
		return 0, err
	}
	for n := min(last, end); n > c.at.Number; n-- {
		_, err := c.log.backend.Get(ctx, n)
		if err == nil {
			return n, nil
		}
		if !errors.Is(err, ErrNotFound) {
			return 0, fmt.Errorf("read %s@%d: %w", c.log.name, n, err)
		}
	}
	return c.at.Number, nil
}

// next verifies one message. It returns nil for a foreign message that is passed over.
func (c *chain) next(ctx context.Context, rec Record) (*Commit, error) {
	l, want := c.log, c.at.Number+1
	switch {
	case rec.Number > want:
		return nil, l.damaged(want, rec.Number-1, "nothing stands there any more")
	case rec.Number < want:
		return nil, fmt.Errorf("log %s: the backend delivered %d again after %d", l.name, rec.Number, c.at.Number)
	}
	commit, err := c.check(rec, c.decode)
	var foreign *ForeignError
	if errors.As(err, &foreign) {
		return nil, c.passForeign(ctx, rec, foreign)
	}
	if err != nil {
		return nil, err
	}
	c.at, c.id = commit.Mark(), commit.LogId
	return commit, nil
}

// check says what a message is, in the place where it stands: a commit that follows the one before, a foreign message, or damage.
func (c *chain) check(rec Record, d decoder) (*Commit, error) {
	l := c.log
	if rec.Number == 1 {
		d = decodeWhole // for LogOpened
	}
	commit, err := l.decode(rec, d)
	switch {
	case err != nil:
		return nil, err
	case c.id == nil:
		return commit, l.opens(commit)
	case !bytes.Equal(commit.LogId, c.id):
		return nil, l.foreign(rec, fmt.Sprintf("it is a commit of the log with id %x, not %x", commit.LogId, c.id))
	case !bytes.Equal(commit.PreviousHash, c.at.Hash[:]):
		return nil, l.damaged(c.at.Number, rec.Number, fmt.Sprintf("commit %d does not follow the bytes that stand before it (sha256 %s…)", rec.Number, c.at.Hash))
	}
	return commit, nil
}

// opens checks that a log begins as it must: with LogOpened of its own name.
func (l *Log) opens(c *Commit) error {
	var opened *v1.LogOpened
	if len(c.Entries) > 0 {
		opened = c.Entries[0].GetEvent().GetLogOpened()
	}
	switch {
	case opened == nil || len(c.PreviousHash) != 0:
		return &ForeignError{Log: l.name, Number: c.Number, Why: "it does not open the log"}
	case opened.Service != l.name.Service || id.Home(opened.Home) != l.name.Home:
		return l.damaged(c.Number, c.Number, fmt.Sprintf("it opens the log %s", id.Log{Service: opened.Service, Home: id.Home(opened.Home)}))
	}
	return nil
}

// passForeign moves over a foreign message if a later commit names it, with its hash.
func (c *chain) passForeign(ctx context.Context, rec Record, foreign *ForeignError) error {
	m := Mark{rec.Number, sha256.Sum256(rec.Data)}
	if _, ok := c.named[m.Number]; !ok {
		if err := c.lookAhead(ctx, m); err != nil {
			return err
		}
	}
	told := c.pass
	switch h, ok := c.named[m.Number]; {
	case ok && h != m.Hash:
		return c.log.damaged(m.Number, m.Number, fmt.Sprintf("it is foreign and was named as such, but with other bytes (sha256 %s…)", h))
	case !ok && c.unnamed == nil:
		return foreign
	case !ok:
		told = c.unnamed
	}
	c.at = m
	if told != nil {
		told(m)
	}
	return nil
}

// lookAhead searches the messages behind a foreign one, to the end, for the commit that names it. That commit must
// follow its own predecessor; the chain runs through the foreign bytes. If the very next message is a commit
// that follows other bytes, those of m were changed: that is damage.
func (c *chain) lookAhead(ctx context.Context, m Mark) error {
	_, last, err := c.log.Bounds(ctx)
	if err != nil || c.id == nil {
		return err
	}
	ahead := &chain{log: c.log, at: c.looked, id: c.id}
	if ahead.at.Number < m.Number {
		ahead.at = m
	}
	defer func() { c.looked = ahead.at }()
	if ahead.at.Number >= last {
		return nil
	}
	if last, err = ahead.present(ctx, last); err != nil || last <= ahead.at.Number {
		return err
	}
	err = c.log.backend.Follow(ctx, ahead.at.Number+1, func(rec Record) error {
		if rec.Number != ahead.at.Number+1 {
			return errReached // damage further on, for whoever gets there
		}
		commit, err := ahead.check(rec, decodeWhole)
		var damage *DamageError
		if errors.As(err, &damage) {
			if rec.Number == m.Number+1 {
				return err
			}
			return errReached
		}
		ahead.at = Mark{rec.Number, sha256.Sum256(rec.Data)}
		if err == nil {
			c.learn(commit)
		}
		if _, ok := c.named[m.Number]; ok || rec.Number >= last {
			return errReached
		}
		return nil
	})
	if errors.Is(err, errReached) {
		return nil
	}
	return err
}

// learn keeps the names that a commit gives to foreign messages.
func (c *chain) learn(commit *Commit) {
	for _, e := range commit.Entries {
		f := e.GetEvent().GetForeignNamed()
		for i, h := range f.GetHashes() {
			if len(h) == len(Hash{}) {
				if c.named == nil {
					c.named = map[uint64]Hash{}
				}
				c.named[f.First+uint64(i)] = Hash(h)
			}
		}
	}
}
