package eventstore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/eventstoretest"
	"github.com/droverhq/drover/eventstore/memory"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// web is three logs whose commits name what their writers had read of each other.
func web(t *testing.T, seed uint64, commits int) []*eventstore.Log {
	r := rand.New(rand.NewPCG(seed, 1))
	names := []id.Log{id.JobLog, id.TargetingLog, id.RolloutLog}
	var logs []*eventstore.Log
	var writers []*eventstoretest.Writer
	for _, name := range names {
		l := eventstore.New(name, memory.New())
		logs = append(logs, l)
		writers = append(writers, eventstoretest.NewWriter(t, l))
	}
	for range commits {
		w := r.IntN(len(writers))
		c := &v1.Commit{Entries: []*v1.Entry{eventstoretest.Entry(jobStarted(1))}}
		for u := range writers {
			if u != w && r.IntN(2) == 0 {
				c.Cursors = append(c.Cursors, &v1.Cursor{Service: names[u].Service, Number: writers[u].Head.Number, Hash: writers[u].Head.Hash.Prefix()})
			}
		}
		writers[w].Append(c)
	}
	return logs
}

func TestMergeHandsOutEveryCommitAfterItsCauses(t *testing.T) {
	for seed := range uint64(30) {
		logs := web(t, seed, 200)
		after := map[id.Log]uint64{}
		total := 0
		// In pages of seven commits, as a client that goes on from where it was.
		for end := false; !end; {
			page := 0
			var err error
			end, err = eventstore.Merge(ctx, logs, after, func(c *eventstore.Commit) (bool, error) {
				if c.Number != after[c.Log]+1 {
					return false, fmt.Errorf("%s@%d comes after %d", c.Log, c.Number, after[c.Log])
				}
				for _, cursor := range c.Cursors {
					if on := (id.Log{Service: cursor.Service}); after[on] < cursor.Number {
						return false, fmt.Errorf("%s@%d comes before its cause %s@%d", c.Log, c.Number, on, cursor.Number)
					}
				}
				after[c.Log] = c.Number
				page++
				total++
				return page < 7, nil
			})
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if total != 203 {
			t.Fatalf("seed %d: %d commits of 203", seed, total)
		}
	}
}

func TestMergeRefusesANumberBeyondTheEnd(t *testing.T) {
	logs := web(t, 1, 10)
	_, err := eventstore.Merge(ctx, logs, map[id.Log]uint64{id.JobLog: 99}, func(*eventstore.Commit) (bool, error) { return true, nil })
	if !errors.Is(err, eventstore.ErrNotFound) {
		t.Fatalf("got %v", err)
	}
}

func TestMergeStopsAtDamage(t *testing.T) {
	f := newFixture(t, 20)
	f.backend.Change(10, func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	var got []uint64
	_, err := eventstore.Merge(ctx, []*eventstore.Log{f.Log}, nil, func(c *eventstore.Commit) (bool, error) {
		got = append(got, c.Number)
		return true, nil
	})
	var damage *eventstore.DamageError
	if !errors.As(err, &damage) || slices.Contains(got, 10) {
		t.Fatalf("got %v and %v", got, err)
	}
}
