package eventstore_test

import (
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

func hashOf(data []byte) eventstore.Hash { return sha256.Sum256(data) }

func TestTalliesAreReadWithoutEntriesAndVerified(t *testing.T) {
	f := newFixture(t, 1)
	for n := range uint64(5) {
		f.writer.Append(&v1.Commit{
			Tallies: []*v1.Tally{{Job: n, Open: -1}},
			Entries: []*v1.Entry{{Event: jobStarted(n)}},
		})
	}
	last := f.writer.Head.Number
	var jobs []uint64
	collect := func(c *eventstore.Commit) error {
		if c.Entries != nil && c.Number > 1 {
			t.Errorf("commit %d has entries", c.Number)
		}
		for _, tally := range c.Tallies {
			jobs = append(jobs, tally.Job)
		}
		if c.Mark() == f.writer.Head {
			return errEnough
		}
		return nil
	}
	if err := f.FollowTallies(ctx, eventstore.Mark{}, collect); !errors.Is(err, errEnough) || len(jobs) != 5 {
		t.Fatalf("got %v, %v", jobs, err)
	}
	f.backend.Change(3, func(data []byte) []byte { data[len(data)-1] ^= 1; return data })
	var damage *eventstore.DamageError
	if err := f.ReadTalliesTo(ctx, eventstore.Mark{}, last, collect); !errors.As(err, &damage) || damage.First != 3 {
		t.Fatalf("got %v, want damage at 3: entries are part of the chain", err)
	}
}
