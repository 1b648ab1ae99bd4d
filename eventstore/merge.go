package eventstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/droverhq/drover/proto/id"
)

// mergeAhead is how many commits of a log are read before they are asked for: at 256 KiB a commit, 4 MiB a log.
const mergeAhead = 16

// Merge hands the commits of several logs to visit, in causal order: those after the given numbers, up to where the
// logs end when it begins. It stops when visit returns false or fails, and says whether it came to the ends.
// A number beyond a log's end is ErrNotFound.
func Merge(ctx context.Context, logs []*Log, after map[id.Log]uint64, visit func(*Commit) (bool, error)) (end bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var names []id.Log
	sources := map[id.Log]*merging{}
	for _, l := range logs {
		m, err := l.merge(ctx, after[l.name])
		if err != nil {
			return false, err
		}
		names = append(names, l.name)
		sources[l.name] = m
	}
	causal := NewCausal(names)
	for _, name := range names {
		causal.Seen(name, after[name])
	}
	for {
		for _, name := range names {
			if causal.Buffered(name) == 0 {
				if err := sources[name].pull(causal); err != nil {
					return false, err
				}
			}
		}
		if c := causal.Next(); c != nil {
			more, err := visit(c)
			if err != nil || !more {
				return false, err
			}
			continue
		}
		// What blocks every log lies beyond the ends that were read: it was written since.
		return true, nil
	}
}

// merging is one log of a merge.
type merging struct {
	commits chan *Commit // closed by its reader at the end, or after err was set
	err     error
}

func (l *Log) merge(ctx context.Context, after uint64) (*merging, error) {
	_, last, err := l.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	if after > last {
		return nil, fmt.Errorf("log %s ends at %d, before %d: %w", l.name, last, after, ErrNotFound)
	}
	var mark Mark
	if after > 0 {
		rec, err := l.Raw(ctx, after)
		if err != nil {
			return nil, err
		}
		mark = Mark{after, sha256.Sum256(rec.Data)}
	}
	m := &merging{commits: make(chan *Commit, mergeAhead)}
	go func() {
		defer close(m.commits)
		err := l.ReadTo(ctx, mark, last, func(c *Commit) error {
			select {
			case m.commits <- c:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil && !errors.Is(err, context.Canceled) {
			m.err = err
		}
	}()
	return m, nil
}

// pull adds the next commit, if there is one.
func (m *merging) pull(causal *Causal) error {
	c, ok := <-m.commits
	if ok {
		causal.Add(c)
		return nil
	}
	return m.err
}
