// Package projections follows every log into the read models.
//
// One Runner folds the commits of all logs into all models: one store, one checkpoint for each log, rows and
// checkpoints in one batch, every commit decoded once. It promises that
//
//   - the rows at any moment are the fold of exactly the commits up to the checkpoints beside them, whatever
//     happened before: no event counts twice, none is missed, and a crash takes rows and checkpoints back together;
//   - an effect is never visible without its cause: commits are folded in an order that respects their cursors;
//   - the rows do not depend on how the logs interleaved or how batches were cut. Rebuild makes the same rows from
//     the beginning, and Verify shows it;
//   - it never passes what it cannot read: it stops with an error that names the place, and answers nothing from then on.
//
// It leaves to the models what rows say and how they are asked, and to the store what is durable: a crash loses what
// was not flushed, and the fold goes on from the older checkpoints. The logs are the truth; a store can be removed at
// any time. (design §6)
package projections

import (
	"fmt"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// Vector says how far each of several logs was read.
type Vector map[id.Log]uint64

// Covers says whether v is at least as far as other in every log that other names.
func (v Vector) Covers(other Vector) bool {
	for log, number := range other {
		if v[log] < number {
			return false
		}
	}
	return true
}

// UnreadableError says that a commit holds an event that this version does not know.
type UnreadableError struct{ Position *v1.Position }

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("there is an event at %s that this version does not know: upgrade Drover", id.FormatPosition(e.Position))
}

// readable checks that every event of a commit is known.
func readable(c *eventstore.Commit) error {
	for i, e := range c.Entries {
		if e.GetEvent().GetEvent() == nil {
			return &UnreadableError{c.Log.Position(c.Number, i)}
		}
	}
	return nil
}
