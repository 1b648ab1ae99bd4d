package projections

import (
	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/projections/executions"
	"github.com/droverhq/drover/projections/fleet"
	"github.com/droverhq/drover/projections/jobs"
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/progress"
	"github.com/droverhq/drover/proto/id"
)

// gulpBytes bounds what is folded in one batch, in stored bytes of commits.
const gulpBytes = 4 << 20

// fold folds commits into a store, a gulp at a time: what is applied becomes visible with the next commit.
type fold struct {
	store kv.Store
	marks map[id.Log]eventstore.Mark // of the last commit applied

	// The gulp so far. Rows that are read again while folding go through reread; executions, which are nearly all
	// of a log, are written past it, straight into the batch.
	blind  kv.Batch
	reread *kv.Overlay
	moved  map[id.Log]bool // logs of which something was applied
	bytes  int             // stored bytes applied
	events int
	folded uint64 // commits applied, in all
}

func newFold(store kv.Store, at map[id.Log]eventstore.Mark) *fold {
	return &fold{store: store, marks: at, moved: map[id.Log]bool{}}
}

// apply folds one commit into the gulp.
func (f *fold) apply(c *eventstore.Commit) (err error) {
	defer rescue(&err)
	if err := readable(c); err != nil {
		return err
	}
	if f.blind == nil {
		f.blind, f.reread = f.store.NewBatch(), kv.NewOverlay(f.store)
	}
	jobs.Apply(f.reread, c.Log, c.Commit)
	executions.Apply(f.blind, c.Log, c.Commit)
	fleet.Apply(f.reread, c.Log, c.Commit)
	progress.Apply(f.reread, c.Log, c.Commit)
	f.marks[c.Log] = c.Mark()
	f.moved[c.Log] = true
	f.folded++
	f.bytes += c.Size
	f.events += len(c.Entries)
	return nil
}

// at is how far the logs were applied.
func (f *fold) at() Vector {
	v := Vector{}
	for log, m := range f.marks {
		v[log] = m.Number
	}
	return v
}

// full says that the gulp should be committed.
func (f *fold) full() bool { return f.bytes >= gulpBytes }

// commit makes the gulp visible, rows and checkpoints at once. A crash just after it loses it whole, with others since
// the last flush; it is folded again from the checkpoints that are left.
func (f *fold) commit() (err error) {
	defer rescue(&err)
	if f.blind == nil {
		return nil
	}
	f.reread.WriteTo(f.blind)
	for log := range f.moved {
		writeMark(f.blind, log, f.marks[log])
	}
	err = f.blind.Commit()
	f.blind, f.reread, f.bytes, f.events = nil, nil, 0, 0
	clear(f.moved)
	return err
}

// rescue makes an error of the panic by which a store says that its medium has failed.
func rescue(err *error) {
	switch p := recover().(type) {
	case nil:
	case *kv.Failure:
		*err = p
	default:
		panic(p)
	}
}
