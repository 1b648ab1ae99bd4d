package eventstore

import (
	"context"
	"errors"
	"fmt"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// RepairOwner is the owner of the commits by which Repair names foreign messages.
const RepairOwner = "repair"

// namesMax is how many foreign messages one commit names; a log with more takes several.
const namesMax = 4000

// Repaired is one commit that Repair has appended.
type Repaired struct {
	Mark
	Foreign []Mark // what it names
}

// ErrNothingForeign is what Repair returns for a log in which nothing keeps readers from going on.
var ErrNothingForeign = errors.New("the log holds no foreign message that is not named already")

// Repair lets readers pass foreign messages, by naming them in commits at the end of the log. The messages stay. It reads
// the whole log first and refuses one that is damaged. nowMs is the time in ms since the Unix epoch.
//
// The log's owner must not run: its next append would be refused, as Repair's is (ErrConflict) if the owner is faster.
// A crash between two commits leaves some messages named; Repair names the rest when it is run again.
func (l *Log) Repair(ctx context.Context, nowMs int64) ([]Repaired, error) {
	_, last, err := l.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	c, err := l.chainAfter(ctx, Mark{}, decodeWhole)
	if err != nil {
		return nil, err
	}
	var foreign []Mark
	var good *Commit
	c.unnamed = func(m Mark) { foreign = append(foreign, m) }
	if err := c.readTo(ctx, last, func(commit *Commit) error { good = commit; return nil }); err != nil {
		return nil, fmt.Errorf("repair %s: %w", l.name, err)
	}
	switch {
	case len(foreign) == 0:
		return nil, ErrNothingForeign
	case good == nil || foreign[0].Number == 1:
		return nil, fmt.Errorf("repair %s: no commit opens the log, so nothing can be named in it; nothing of ours is in its stream: delete that, and start again", l.name)
	}
	var done []Repaired
	for at := c.at; len(foreign) > 0; {
		n := min(len(foreign), namesMax)
		sealed, err := Seal(&v1.Commit{
			LogId:        good.LogId,
			Number:       at.Number + 1,
			PreviousHash: at.Hash[:],
			Owner:        RepairOwner,
			Epoch:        good.Epoch,
			AtMs:         max(nowMs, good.AtMs),
			EffectsDone:  good.EffectsDone,
			Entries:      names(foreign[:n]),
		})
		if err != nil {
			return done, err
		}
		if err := l.Append(ctx, sealed); err != nil {
			return done, fmt.Errorf("repair %s: %w", l.name, err)
		}
		done = append(done, Repaired{sealed.Mark(), foreign[:n]})
		at, foreign = sealed.Mark(), foreign[n:]
	}
	return done, nil
}

// names makes an entry for each run of foreign messages without a gap.
func names(foreign []Mark) []*v1.Entry {
	var entries []*v1.Entry
	var run *v1.ForeignNamed
	for _, m := range foreign {
		if run == nil || m.Number != run.Last+1 {
			run = &v1.ForeignNamed{First: m.Number}
			entries = append(entries, &v1.Entry{Event: &v1.Event{Event: &v1.Event_ForeignNamed{ForeignNamed: run}}})
		}
		run.Last = m.Number
		run.Hashes = append(run.Hashes, m.Hash[:])
	}
	if len(entries) > 0 {
		entries[0].Cause = &v1.Entry_Command{Command: &v1.CommandCause{By: RepairOwner}}
	}
	return entries
}
