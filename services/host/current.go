package host

import (
	"context"
	"sync"
	"time"

	"github.com/droverhq/drover/eventstore"
)

// A current step is one whose state has taken in everything that was durable, in all logs that the core reads, when their
// ends were read. The core asks for it (core.Step.NeedCurrent) before it does what an unread fact might forbid.
//
//	Due calls NeedCurrent      WantsEnds, once the commit of that step is settled
//	the driver reads the ends  Ends
//	all up to there delivered  a step takes it in: entries, and tallies of any age. If it does not fit, so do the next ones
//	it is all in               Due is called with Step.Current, in the same step if there is room
//
// The ends serve one step, and are asked for again only after its commit is settled: so of two current steps the second
// knows what was durable when the first one was appended. While an end cannot be read nothing current
// runs, and all else goes on. (design §7 "Abort")

// endsTimeout bounds one reading of the ends.
const endsTimeout = 3 * time.Second

// WantsEnds says that the driver should read the ends of all upstream logs now, and hand them in by Ends. What was
// read before it said so is no use.
func (m *Machine) WantsEnds() bool {
	return m.phase == serving && m.wantsCurrent && m.ends == nil
}

// Ends hands in the last number of each upstream log, in the order of Config.Upstream.
func (m *Machine) Ends(last []uint64) {
	if m.phase == serving && m.wantsCurrent {
		m.ends = last
	}
}

// mayBeCurrent says that everything up to the ends was delivered: the next step can take it in.
func (m *Machine) mayBeCurrent() bool {
	if m.ends == nil {
		return false
	}
	for i := range m.upstream {
		if max(m.upstream[i].last, m.seen[i].number) < m.ends[i] {
			return false
		}
	}
	return true
}

// current says that the build has taken in everything up to the ends.
func (b *build) current() bool {
	if b.m.ends == nil || b.m.phase != serving {
		return false
	}
	for i, end := range b.m.ends {
		if at := b.seen[i]; at.number < end || at.number == end && at.entries > 0 {
			return false
		}
	}
	return true
}

// endReader reads the ends of a host's upstream logs in the background, one reading at a time.
type endReader struct {
	logs  []*eventstore.Log
	nudge func()
	said  func(error) // of a first failure

	mu   sync.Mutex // guards what follows; held for a few assignments
	busy bool
	ends []uint64
}

// start begins a reading, unless one is under way. A reading that fails begins anew until ctx ends: all ends of one
// reading are younger than its beginning.
func (r *endReader) start(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy || r.ends != nil {
		return
	}
	r.busy = true
	go r.run(ctx)
}

func (r *endReader) run(ctx context.Context) {
	for failed := false; ; failed = true {
		ends, err := readEnds(ctx, r.logs)
		if err == nil || ctx.Err() != nil {
			r.mu.Lock()
			r.ends, r.busy = ends, false
			r.mu.Unlock()
			r.nudge()
			return
		}
		if !failed {
			r.said(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryFeed):
		}
	}
}

// take takes what was read, or nil.
func (r *endReader) take() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	ends := r.ends
	r.ends = nil
	return ends
}

// readEnds asks all logs at once.
func readEnds(ctx context.Context, logs []*eventstore.Log) ([]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, endsTimeout)
	defer cancel()
	ends := make([]uint64, len(logs))
	errs := make([]error, len(logs))
	var all sync.WaitGroup
	for i, l := range logs {
		all.Go(func() { _, ends[i], errs[i] = l.Bounds(ctx) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return ends, nil
}
