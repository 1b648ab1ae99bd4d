package credential

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	js "github.com/nats-io/nats.go/jetstream"
)

const (
	// watchMax is how long a watch is relied on once it has told every key. The next begins with every key as it stands, so
	// that notices are made good that got lost with a broker; by itself the client notices that after 20 s.
	watchMax = 5 * time.Second
	// readMax is how long it may take to tell every key.
	readMax = 30 * time.Second
	// watchPause is between watches that cannot be begun.
	watchPause = time.Second
)

// run keeps the keys as they stand in the bucket until ctx ends; known is closed when all were read once.
func (s *Store) run(ctx context.Context, known chan<- struct{}) {
	defer close(s.stopped)
	for ctx.Err() == nil {
		err := s.watch(ctx, func() {
			if known != nil {
				close(known)
				known = nil
			}
		})
		if err == nil || ctx.Err() != nil {
			continue
		}
		s.log.Warn("access keys are not watched; those that are known stay valid meanwhile", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(watchPause):
		}
	}
}

// watch reads every key, says so, and then reads what changes, for watchMax.
func (s *Store) watch(ctx context.Context, known func()) error {
	ctx, cancel := context.WithTimeout(ctx, readMax)
	defer cancel()
	w, err := s.bucket.WatchAll(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }() // it ends with the connection, too
	var over <-chan time.Time
	for {
		select {
		case <-over:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case e, open := <-w.Updates():
			switch {
			case !open:
				return errors.New("the watch has ended")
			case e == nil:
				known()
				over = time.After(watchMax)
			default:
				s.read(e)
			}
		}
	}
}

// read takes in one key as it stands in the bucket. One that somebody deleted by hand is valid no more.
func (s *Store) read(e js.KeyValueEntry) {
	id := e.Key()
	var r record
	if e.Operation() == js.KeyValuePut {
		err := json.Unmarshal(e.Value(), &r)
		if err == nil && r.RevokedMs == 0 {
			_, err = s.open(id, r.Sealed)
		}
		if err != nil {
			s.log.Error("an access key cannot be used: was it made under another seal (the file of passwords)?", "accessKeyId", id, "error", err)
		}
	}
	s.learn(id, r, e.Revision())
}

// learn notes what stood in a key's register at a revision, unless a later one is known.
func (s *Store) learn(id string, r record, revision uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if revision > s.keys[id].revision {
		s.keys[id] = key{r, revision}
	}
}
