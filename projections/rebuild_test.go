package projections_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/proto/id"
)

// Live: a runner folds while the history grows, in whatever batches come about. Rebuilt: any interleaving, any cuts.
func TestRebuiltEqualsLiveWhateverTheInterleavingAndTheBatches(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, 100+seed, 1+uint32(seed)%3)
			live := kv.NewMemory()
			r, stop := startUntil(t, h, live)
			for range 6 {
				h.grow(40)
				if _, _, err := view(t, r, fresh); err != nil {
					t.Fatal(err)
				}
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			h.grow(20) // what live has not seen
			first := verify(t, h, live, seed)
			if first.Rows < 500 || len(first.Positions) != len(h.logs) {
				t.Fatalf("compared only %d rows at %v", first.Rows, first.Positions)
			}
			if second := verify(t, h, live, seed+1000); second.Rows != first.Rows {
				t.Fatalf("%d rows, then %d", first.Rows, second.Rows)
			}
		})
	}
}

func TestASeedSaysHowLogsInterleaveAndWhereBatchesAreCut(t *testing.T) {
	h := newHistory(t, 24, 2)
	h.grow(150)
	live := kv.NewMemory()
	if _, err := projections.Rebuild(t.Context(), h.logs, live, nil, nil); err != nil {
		t.Fatal(err)
	}
	folds := map[uint64]string{}
	for _, seed := range []uint64{1, 2, 1} {
		into := &recorder{Store: kv.NewMemory()}
		if _, err := projections.Verify(t.Context(), h.logs, live, into, seed, nil); err != nil {
			t.Fatal(err)
		}
		if into.batches < 5 {
			t.Fatalf("only %d batches", into.batches)
		}
		if again := folds[seed]; again != "" && again != into.checkpoints {
			t.Errorf("seed %d folded %q, then %q", seed, again, into.checkpoints)
		}
		folds[seed] = into.checkpoints
	}
	if folds[1] == folds[2] {
		t.Error("two seeds folded alike")
	}
}

// recorder writes down the checkpoints of each batch.
type recorder struct {
	kv.Store
	batches     int
	checkpoints string
}

func (r *recorder) NewBatch() kv.Batch {
	r.batches++
	r.checkpoints += "| "
	return recorded{r.Store.NewBatch(), r, map[string]string{}}
}

type recorded struct {
	kv.Batch
	into  *recorder
	marks map[string]string
}

func (b recorded) Set(key, value []byte) {
	if len(key) > 0 && key[0] == 0 {
		b.marks[string(key)] = fmt.Sprintf("%x", value[:min(8, len(value))])
	}
	b.Batch.Set(key, value)
}

func (b recorded) Commit() error {
	b.into.checkpoints += fmt.Sprint(b.marks)
	return b.Batch.Commit()
}

func TestVerifyNamesTheFirstDifference(t *testing.T) {
	h := newHistory(t, 20, 2)
	h.grow(150)
	for _, c := range []struct {
		name, model string
		damage      func(t *testing.T, s kv.Store)
	}{
		{"a row changed", "jobs", func(t *testing.T, s kv.Store) { put(t, s, "d"+first(s, "d"), "other") }},
		{"a row too many", "executions", func(t *testing.T, s kv.Store) { put(t, s, "e zzz", "") }},
		{"a row lost", "progress", func(t *testing.T, s kv.Store) {
			b := s.NewBatch()
			b.Delete([]byte("r" + first(s, "r")))
			if err := b.Commit(); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			live := kv.NewMemory()
			if _, err := projections.Rebuild(t.Context(), h.logs, live, nil, nil); err != nil {
				t.Fatal(err)
			}
			verify(t, h, live, 1)
			c.damage(t, live)
			_, err := projections.Verify(t.Context(), h.logs, live, kv.NewMemory(), 1, nil)
			var difference *projections.DifferenceError
			if !errors.As(err, &difference) || difference.Model != c.model {
				t.Fatalf("want a difference in %s, got %v", c.model, err)
			}
		})
	}
}

func TestARebuildEndsAtTheVectorThatItIsGiven(t *testing.T) {
	h := newHistory(t, 21, 2)
	h.grow(50)
	h.finish()
	to := projections.Vector{}
	for log, w := range h.writers {
		to[log] = w.Head.Number
	}
	h.grow(50)
	told := uint64(0)
	at, err := projections.Rebuild(t.Context(), h.logs, kv.NewMemory(), to, func(done, total uint64) {
		if done < told || done > total {
			t.Errorf("told of %d after %d, of %d", done, told, total)
		}
		told = done
	})
	if err != nil || fmt.Sprint(at) != fmt.Sprint(to) {
		t.Fatalf("rebuilt up to %v, want %v; error %v", at, to, err)
	}
	want := uint64(0)
	for _, n := range to {
		want += n
	}
	if told != want {
		t.Errorf("told of %d commits of %d", told, want)
	}
}

// The executions of a rollout that is not read cannot be folded, and their reader is full of them.
func TestARebuildUpToAVectorWithoutTheCausesIsRefused(t *testing.T) {
	h := newHistory(t, 22, 1)
	h.grow(400)
	to := projections.Vector{id.JobLog: 1000, id.TargetingLog: 1000, id.ExecutionLog(0): 1000}
	for log := range to {
		to[log] = h.writers[log].Head.Number
	}
	to[id.RolloutLog] = 1
	if at, err := projections.Rebuild(t.Context(), h.logs, kv.NewMemory(), to, nil); err == nil {
		t.Fatalf("rebuilt up to %v", at)
	}
}

func TestARebuildNeedsAnEmptyStoreAndStopsWithItsContext(t *testing.T) {
	h := newHistory(t, 23, 1)
	h.grow(50)
	used := kv.NewMemory()
	put(t, used, "a", "b")
	if _, err := projections.Rebuild(t.Context(), h.logs, used, nil, nil); err == nil {
		t.Error("a store in use was overwritten")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := projections.Rebuild(ctx, h.logs, kv.NewMemory(), nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context ended: %v", err)
	}
}

// first is the rest of the first key that begins with prefix.
func first(s kv.Reader, prefix string) string {
	for key := range s.Scan([]byte(prefix), kv.PrefixEnd([]byte(prefix))) {
		return string(key[len(prefix):])
	}
	return ""
}
