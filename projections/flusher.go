package projections

import (
	"time"

	"github.com/droverhq/drover/projections/kv"
)

// flusher flushes the store beside the folding, one flush at a time. All but the flush runs in the goroutine that folds.
type flusher struct {
	store   kv.Store
	events  int       // folded since the last flush began
	since   time.Time // when the first of them was folded
	running bool
	done    chan error // holds one: the running flush has ended
}

func newFlusher(store kv.Store) *flusher { return &flusher{store: store, done: make(chan error, 1)} }

// folded counts events, and flushes when there are enough.
func (f *flusher) folded(events int) error {
	if f.events == 0 {
		f.since = time.Now()
	}
	f.events += max(events, 1) // a commit of cursors alone moves a checkpoint
	return f.due()
}

// due begins a flush if one is due. It returns the error of the one before.
func (f *flusher) due() error {
	if f.running {
		select {
		case err := <-f.done:
			if err := f.ended(err); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	if f.events >= flushEvents || f.events > 0 && time.Since(f.since) >= flushEvery {
		f.events, f.running = 0, true
		go func() { f.done <- f.store.Flush() }()
	}
	return nil
}

func (f *flusher) ended(err error) error {
	f.running = false
	return err
}

// wait waits for the running flush.
func (f *flusher) wait() {
	if f.running {
		<-f.done
		f.running = false
	}
}
