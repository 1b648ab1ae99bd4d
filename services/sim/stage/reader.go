package stage

import (
	"context"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/host"
)

// Reader reads the upstream logs of a machine that owns its log.
type Reader struct {
	log    *Log
	m      *host.Machine
	causal *eventstore.Causal
	marks  []eventstore.Mark // of each upstream log, what was read
}

// bufferedMax is how many commits of one log may wait for their causes.
const bufferedMax = 16

// NewReader tells the machine how far it has to read before it serves, and begins where it was.
func NewReader(ctx context.Context, l *Log, m *host.Machine) (*Reader, error) {
	if err := m.Goals(ctx); err != nil {
		return nil, err
	}
	logs := []id.Log{l.Name}
	for _, u := range l.Upstream {
		logs = append(logs, u.Name)
	}
	r := &Reader{log: l, m: m, causal: eventstore.NewCausal(logs)}
	for k, u := range l.Upstream {
		mark, err := m.ResumeMark(ctx, k)
		if err != nil {
			return nil, err
		}
		r.causal.Seen(u.Name, mark.Number)
		r.marks = append(r.marks, mark)
	}
	return r, nil
}

// Upstreams is how many logs it reads.
func (r *Reader) Upstreams() int { return len(r.marks) }

// Read reads at most so many commits of the k-th upstream log. Rollout reads those of executions by their tallies.
func (r *Reader) Read(ctx context.Context, k int, most uint64) error {
	u := r.log.Upstream[k]
	_, last, err := u.Log.Bounds(ctx)
	if err != nil {
		return err
	}
	last = min(last, r.marks[k].Number+most)
	if last <= r.marks[k].Number || r.causal.Buffered(u.Name) >= bufferedMax {
		return nil
	}
	read := u.Log.ReadTo
	if r.log.Name.Service == v1.Service_SERVICE_ROLLOUT && u.Name.Service == v1.Service_SERVICE_EXECUTION {
		read = u.Log.ReadTalliesTo
	}
	return read(ctx, r.marks[k], last, func(c *eventstore.Commit) error {
		r.marks[k] = c.Mark()
		r.causal.Add(c)
		return nil
	})
}

// Ends are those of the upstream logs, for a machine that wants them.
func (r *Reader) Ends(ctx context.Context) ([]uint64, error) {
	ends := make([]uint64, len(r.log.Upstream))
	for k, u := range r.log.Upstream {
		_, last, err := u.Log.Bounds(ctx)
		if err != nil {
			return nil, err
		}
		ends[k] = last
	}
	return ends, nil
}

// Deliver hands on at most so many commits of those that were read, in causal order, and says how many.
func (r *Reader) Deliver(now int64, most int) (n int, err error) {
	r.causal.Seen(r.log.Name, r.m.End().Number)
	for n < most {
		c := r.causal.Next()
		if c == nil {
			return n, nil
		}
		if err := r.m.Deliver(now, c); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Blocked lists commits that wait for others.
func (r *Reader) Blocked() []eventstore.Wait { return r.causal.Blocked() }

// BehindItself says that what was read rests on more of the machine's own log than it has written: there is a later
// owner.
func (r *Reader) BehindItself() bool {
	for _, b := range r.Blocked() {
		if b.On == r.log.Name {
			return true
		}
	}
	return false
}
