package projections

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// freshMax bounds the wait for an answer that is as new as was asked for.
const freshMax = 2 * time.Second

// View is the read models at one moment, at least as new as f asks, or with Stamp.behind after 2 s at most. The
// caller closes it. The error is a refusal: UNAVAILABLE with the reason if the runner has stopped, INVALID_REQUEST if f
// names no log of this system.
func (r *Runner) View(ctx context.Context, f *v1.Freshness) (kv.Snapshot, *v1.Stamp, error) {
	least, err := r.atLeast(f)
	if err != nil {
		return nil, nil, err
	}
	behind := false
	if f.GetFresh() || len(least) > 0 {
		within, cancel := context.WithTimeout(ctx, freshMax)
		defer cancel()
		behind = !r.reach(within, f.GetFresh(), least)
	}
	r.mu.Lock()
	err = r.over()
	r.mu.Unlock()
	if err != nil {
		return nil, nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "nobody waits for this answer any more: %v", err)
	}
	view := r.store.Snapshot()
	stamp, err := stampOf(view, r.logs)
	if err != nil {
		return nil, nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "%v", err)
	}
	stamp.Behind = behind
	return view, stamp, nil
}

// over refuses once Run has ended. The caller holds mu.
func (r *Runner) over() error {
	switch {
	case r.failed != nil:
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "the read models have stopped: %v", r.failed)
	case r.ended:
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "the read models have stopped")
	}
	return nil
}

// enter begins an Ask, which the end of Run waits for, unless that has come.
func (r *Runner) enter() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.over(); err != nil {
		return err
	}
	r.asked.Add(1)
	return nil
}

// Ask runs a query on a view. A store that fails meanwhile is a refusal: UNAVAILABLE; so is what is not found in a view that is
// behind what f asks.
func (r *Runner) Ask(ctx context.Context, f *v1.Freshness, query func(kv.Reader) error) (*v1.Stamp, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer r.asked.Done()
	view, stamp, err := r.View(ctx, f)
	if err != nil {
		return nil, err
	}
	err = func() (err error) {
		var failure error
		defer func() {
			if failure != nil {
				err = v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "%v", failure)
			}
		}()
		defer rescue(&failure)
		return query(view)
	}()
	if closing := view.Close(); err == nil && closing != nil {
		err = v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "%v", closing)
	}
	if stamp.Behind {
		err = unlessMissing(err)
	}
	return stamp, err
}

// unlessMissing is what to say of what is not found where the models are behind: that nobody knows.
func unlessMissing(err error) error {
	var refusal *v1.Refusal
	if !errors.As(err, &refusal) || refusal.Code != v1.RefusalCode_REFUSAL_CODE_NOT_FOUND {
		return err
	}
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, refusal.Field, "%s, as far as the read models have come, which are behind what was asked for; ask again", refusal.Message)
}

// stampOf reads off a view how far it is: from its own checkpoints, so that it is true of the rows beside them.
func stampOf(view kv.Reader, logs []*eventstore.Log) (s *v1.Stamp, err error) {
	defer rescue(&err)
	s = &v1.Stamp{}
	for _, log := range logs {
		m, err := readMark(view, log.Name())
		if err != nil {
			return nil, err
		}
		s.Positions = append(s.Positions, log.Name().Position(m.Number, 0))
	}
	return s, nil
}

func (r *Runner) atLeast(f *v1.Freshness) (Vector, error) {
	least := Vector{}
	at := r.At()
	for _, p := range f.GetAtLeast() {
		log := id.LogOf(p)
		if _, ok := at[log]; !ok {
			return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "freshness", "%s is a position in no log of this system", id.FormatPosition(p))
		}
		least[log] = max(least[log], p.GetNumber())
	}
	return least, nil
}

// reach waits until the models are so far; false if ctx ended first or the end of a log cannot be learned.
func (r *Runner) reach(ctx context.Context, ends bool, least Vector) bool {
	if ends {
		now, err := r.ends(ctx)
		if err != nil {
			return false
		}
		for log, n := range now {
			least[log] = max(least[log], n)
		}
	}
	return r.wait(ctx, least)
}

// wait waits until the models cover v. It gives up when ctx ends or the runner has stopped.
func (r *Runner) wait(ctx context.Context, v Vector) bool {
	for {
		r.mu.Lock()
		covered, ended, moved := r.at.Covers(v), r.ended, r.moved
		r.mu.Unlock()
		if covered || ended {
			return covered
		}
		signal(r.wanted)
		select {
		case <-moved:
		case <-ctx.Done():
			return false
		}
	}
}

// ends asks all logs at once for their last numbers.
func (r *Runner) ends(ctx context.Context) (Vector, error) { return ends(ctx, r.logs) }

func ends(ctx context.Context, logs []*eventstore.Log) (Vector, error) {
	last, errs := make([]uint64, len(logs)), make([]error, len(logs))
	var asked sync.WaitGroup
	for i, log := range logs {
		asked.Go(func() { _, last[i], errs[i] = log.Bounds(ctx) })
	}
	asked.Wait()
	v := Vector{}
	for i, log := range logs {
		if errs[i] != nil {
			return nil, fmt.Errorf("ask for the end of log %s: %w", log.Name(), errs[i])
		}
		v[log.Name()] = last[i]
	}
	return v, nil
}

// awaitReady closes ready when the models are where the logs ended when Run began.
func (r *Runner) awaitReady(ctx context.Context) {
	for {
		now, err := r.ends(ctx)
		if err == nil {
			if !r.wait(ctx, now) {
				return
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			select {
			case <-r.ready:
			default:
				close(r.ready)
			}
			return
		}
		if !sleep(ctx, retryMin) {
			return
		}
	}
}

// Ready is closed once the models have been where the logs ended when Run began.
func (r *Runner) Ready() <-chan struct{} { return r.ready }

// Err is why the runner has stopped, or nil.
func (r *Runner) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// At is how far the models are.
func (r *Runner) At() Vector {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.at)
}

// Positions are At, one for each log, in the order in which positions are shown.
func (r *Runner) Positions() []*v1.Position {
	at := r.At()
	list := make([]*v1.Position, len(r.logs))
	for i, log := range r.logs {
		list[i] = log.Name().Position(at[log.Name()], 0)
	}
	return list
}

// Lag says how far the models are behind one log, in commits.
type Lag struct {
	Log         id.Log
	Folded, End uint64
}

// Behind is how many commits are not folded yet.
func (l Lag) Behind() uint64 { return l.End - min(l.Folded, l.End) }

// Lags asks all logs for their ends.
func (r *Runner) Lags(ctx context.Context) ([]Lag, error) {
	at := r.At()
	now, err := r.ends(ctx)
	if err != nil {
		return nil, err
	}
	var lags []Lag
	for _, log := range r.logs {
		lags = append(lags, Lag{Log: log.Name(), Folded: at[log.Name()], End: now[log.Name()]})
	}
	return lags, nil
}
