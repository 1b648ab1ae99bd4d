package projections

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// Verified says what was compared.
type Verified struct {
	Positions []*v1.Position
	Rows      uint64
}

// DifferenceError says that rebuilt rows are not the live ones, and names the first difference in key order.
type DifferenceError struct {
	Model string
	Key   []byte
	// The values; nil where there is no such row.
	Live, Rebuilt []byte
}

func (e *DifferenceError) Error() string {
	describe := func(v []byte) string {
		if v == nil {
			return "missing"
		}
		return fmt.Sprintf("%x", v)
	}
	return fmt.Sprintf("the read models are not the fold of the logs: in %s, row %q is %s live and %s rebuilt", e.Model, e.Key, describe(e.Live), describe(e.Rebuilt))
}

// Verify rebuilds what live shows, up to live's own checkpoints, into an empty store; with the logs interleaved and
// batches cut by a seed, so that nothing but the commits themselves is the same. Then it compares row by row. The error
// is a *DifferenceError if a row differs. Live is a snapshot, or a store that nobody writes.
func Verify(ctx context.Context, logs []*eventstore.Log, live kv.Reader, into kv.Store, seed uint64, progress Progress) (Verified, error) {
	logs = sorted(logs)
	at, err := marks(live, logs)
	if err != nil {
		return Verified{}, err
	}
	to, v := Vector{}, Verified{}
	for _, log := range logs {
		to[log.Name()] = at[log.Name()].Number
		v.Positions = append(v.Positions, log.Name().Position(to[log.Name()], 0))
	}
	if _, err := rebuild(ctx, logs, into, to, progress, bySeed{rand.New(rand.NewPCG(seed, 0))}); err != nil {
		return v, err
	}
	v.Rows, err = compare(live, into)
	return v, err
}

// Verify compares the live read models, as they are now, with a rebuild (see the function Verify).
func (r *Runner) Verify(ctx context.Context, into kv.Store, seed uint64, progress Progress) (Verified, error) {
	live := r.store.Snapshot()
	defer live.Close()
	return Verify(ctx, r.logs, live, into, seed, progress)
}

// compare walks two states side by side.
func compare(live, rebuilt kv.Reader) (rows uint64, err error) {
	defer rescue(&err)
	nextLive, stopLive := iter.Pull2(live.Scan(nil, nil))
	defer stopLive()
	nextRebuilt, stopRebuilt := iter.Pull2(rebuilt.Scan(nil, nil))
	defer stopRebuilt()
	lk, lv, lok := nextLive()
	rk, rv, rok := nextRebuilt()
	for lok || rok {
		order := bytes.Compare(lk, rk)
		switch {
		case !rok || lok && order < 0:
			return rows, difference(lk, own(lv), nil)
		case !lok || order > 0:
			return rows, difference(rk, nil, own(rv))
		case !bytes.Equal(lv, rv):
			return rows, difference(lk, own(lv), own(rv))
		}
		rows++
		lk, lv, lok = nextLive()
		rk, rv, rok = nextRebuilt()
	}
	return rows, nil
}

// difference copies what it names; a value that is there is not nil.
func difference(key, live, rebuilt []byte) error {
	return &DifferenceError{Model: modelOf(key), Key: bytes.Clone(key), Live: live, Rebuilt: rebuilt}
}

func own(v []byte) []byte { return append([]byte{}, v...) }
