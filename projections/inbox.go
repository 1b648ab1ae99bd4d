package projections

import (
	"context"
	"sync"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/proto/id"
)

// inboxBytes bounds the commits of all logs that were read and are not folded, in stored bytes. Decoded they take some
// ten times as much.
const inboxBytes = 4 << 20

// inbox is where readers, one for each log, leave commits for the one who folds. Each log has room of its own, which
// commits leave when they are folded and not before: a log that waits for another cannot take that one's room.
type inbox struct {
	mu      sync.Mutex // guards queues; held for moments
	queues  []queue
	room    int           // for each log, in stored bytes
	arrived chan struct{} // holds one: something was put or has ended since it was taken out
}

type queue struct {
	log     id.Log
	commits []*eventstore.Commit
	held    int           // stored bytes that were put and not released
	freed   chan struct{} // holds one: something was released
	ended   bool          // nothing more will be put
}

func newInbox(logs []*eventstore.Log) *inbox {
	in := &inbox{room: inboxBytes / len(logs), arrived: make(chan struct{}, 1)}
	for _, l := range logs {
		in.queues = append(in.queues, queue{log: l.Name(), freed: make(chan struct{}, 1)})
	}
	return in
}

// put leaves a commit of log i, once there is room. There is room for a commit of any size where nothing is held.
func (in *inbox) put(ctx context.Context, i int, c *eventstore.Commit) error {
	for {
		in.mu.Lock()
		q := &in.queues[i]
		if q.held < in.room {
			q.commits = append(q.commits, c)
			q.held += c.Size
			in.mu.Unlock()
			signal(in.arrived)
			return nil
		}
		in.mu.Unlock()
		select {
		case <-q.freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// end says that nothing more of log i will be put.
func (in *inbox) end(i int) {
	in.mu.Lock()
	in.queues[i].ended = true
	in.mu.Unlock()
	signal(in.arrived)
}

// take takes all that was left.
func (in *inbox) take() []*eventstore.Commit {
	in.mu.Lock()
	defer in.mu.Unlock()
	var all []*eventstore.Commit
	for i := range in.queues {
		all = append(all, in.queues[i].commits...)
		in.queues[i].commits = nil
	}
	return all
}

// takeFrom takes one commit of log i, which has one.
func (in *inbox) takeFrom(i int) *eventstore.Commit {
	in.mu.Lock()
	defer in.mu.Unlock()
	q := &in.queues[i]
	c := q.commits[0]
	q.commits = q.commits[1:]
	return c
}

// release gives back the room of a commit that is folded.
func (in *inbox) release(c *eventstore.Commit) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for i := range in.queues {
		if q := &in.queues[i]; q.log == c.Log {
			q.held -= c.Size
			signal(q.freed)
		}
	}
}

// settled lists the logs of which commits can be taken, in their order, and says whether that will stay so until
// something is taken or released: each of the others has ended, or its reader waits for room.
func (in *inbox) settled() (ready []int, settled bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	settled = true
	for i := range in.queues {
		switch q := &in.queues[i]; {
		case len(q.commits) > 0:
			ready = append(ready, i)
		case !q.ended && q.held < in.room:
			settled = false
		}
	}
	return ready, settled
}

// signal puts a token into a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
