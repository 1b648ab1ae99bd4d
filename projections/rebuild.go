package projections

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/proto/id"
)

// Progress is told how many commits are folded, and how many there are. It is called after each batch.
type Progress func(done, total uint64)

// Rebuild folds the logs from their beginnings into an empty store, up to a vector, and flushes it. Nil is up to the
// present ends of the logs, less the commits whose causes lie beyond those. It returns how far it came.
//
// A crash leaves a store that a Runner goes on with; Rebuild refuses it, since it is not empty.
func Rebuild(ctx context.Context, logs []*eventstore.Log, into kv.Store, to Vector, progress Progress) (Vector, error) {
	return rebuild(ctx, logs, into, to, progress, inBulk{})
}

// mix says in which order commits of several logs are taken, and where batches are cut.
type mix interface {
	// take takes commits to be folded next; none if more must be put first.
	take(in *inbox) []*eventstore.Commit
	// cut says whether the batch ends here, though it is not full.
	cut() bool
}

// inBulk takes all there is, and fills batches.
type inBulk struct{}

func (inBulk) take(in *inbox) []*eventstore.Commit { return in.take() }
func (inBulk) cut() bool                           { return false }

// bySeed takes from any log and cuts anywhere: the same seed and the same logs, the same order and cuts.
type bySeed struct{ rng *rand.Rand }

func (s bySeed) take(in *inbox) []*eventstore.Commit {
	ready, settled := in.settled()
	if !settled || len(ready) == 0 {
		return nil
	}
	return []*eventstore.Commit{in.takeFrom(ready[s.rng.IntN(len(ready))])}
}

func (s bySeed) cut() bool { return s.rng.IntN(30) == 0 }

func rebuild(ctx context.Context, logs []*eventstore.Log, into kv.Store, to Vector, progress Progress, m mix) (Vector, error) {
	if err := empty(into); err != nil {
		return nil, err
	}
	logs = sorted(logs)
	target := to
	if target == nil {
		now, err := ends(ctx, logs)
		if err != nil {
			return nil, err
		}
		target = now
	}
	at, err := refold(ctx, logs, into, target, progress, m)
	if err != nil {
		return at, err
	}
	if to != nil && !at.Covers(to) {
		return at, fmt.Errorf("the commits up to %v need others beyond; only %v can be folded", to, at)
	}
	return at, into.Flush()
}

// refold folds everything up to the vector that can be folded without what lies beyond it.
func refold(ctx context.Context, logs []*eventstore.Log, into kv.Store, to Vector, progress Progress, m mix) (Vector, error) {
	ctx, cancel := context.WithCancel(ctx)
	in, causal := newInbox(logs), eventstore.NewCausal(names(logs))
	failures := make(chan error, len(logs))
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	f := newFold(into, map[id.Log]eventstore.Mark{})
	total := uint64(0)
	for i, log := range logs {
		last := to[log.Name()]
		total += last
		readers.Go(func() {
			err := log.ReadTo(ctx, eventstore.Mark{}, last, func(c *eventstore.Commit) error { return in.put(ctx, i, c) })
			if err != nil {
				failures <- err
				return
			}
			in.end(i)
		})
	}
	for {
		taken := m.take(in)
		for _, c := range taken {
			causal.Add(c)
		}
		for c := causal.Next(); c != nil; c = causal.Next() {
			in.release(c)
			if err := f.apply(c); err != nil {
				return f.at(), err
			}
			if f.full() || m.cut() {
				if err := f.commit(); err != nil {
					return f.at(), err
				}
				progress.tell(f.folded, total)
			}
		}
		if len(taken) > 0 {
			continue
		}
		// Where nothing is left to take, and nobody will put more, what still waits needs what lies beyond.
		if ready, settled := in.settled(); settled && len(ready) == 0 {
			err := f.commit()
			progress.tell(f.folded, total)
			return f.at(), err
		}
		select {
		case <-in.arrived:
		case err := <-failures:
			return f.at(), err
		case <-ctx.Done():
			return f.at(), ctx.Err()
		}
	}
}

func (p Progress) tell(done, total uint64) {
	if p != nil {
		p(done, total)
	}
}

func empty(store kv.Reader) (err error) {
	defer rescue(&err)
	for key := range store.Scan(nil, nil) {
		return fmt.Errorf("rebuild needs an empty store; this one has a row %q", key)
	}
	return nil
}

// sorted is a copy of logs in their order.
func sorted(logs []*eventstore.Log) []*eventstore.Log {
	logs = slices.Clone(logs)
	slices.SortFunc(logs, func(a, b *eventstore.Log) int { return a.Name().Compare(b.Name()) })
	return logs
}
