package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/feed"
)

// follower prints the feed as it grows.
type follower struct {
	*app
	q     *v1.ReadFeed
	shown map[id.Log]*v1.Position // the last event of each log that was printed
	begun bool                    // some question was answered
	away  bool                    // the last question was not answered

}

// followFeed prints what the feed has, page by page, until ctx ends.
func (a *app) followFeed(ctx context.Context, q *v1.ReadFeed) error {
	if err := a.mayFollow(ctx, q.GetJobId()); err != nil {
		return err
	}
	f := &follower{app: a, q: q, shown: map[id.Log]*v1.Position{}}
	err := f.run(ctx)
	if f.q.GetAfter() > 0 {
		fmt.Fprintf(a.err, "drover: --since %s goes on from here\n", feed.FormatNumber(f.q.GetAfter()))
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil // Ctrl-C is how a follower is left
	}
	return err
}

// mayFollow refuses a job that is not there, if that can be told: the feed needs no read models.
func (a *app) mayFollow(ctx context.Context, job string) error {
	if job == "" {
		return nil
	}
	_, err := ask(ctx, a, bus.DescribeJob, &v1.DescribeJob{Freshness: fresh, JobId: job})
	var refusal *v1.Refusal
	if errors.As(err, &refusal) && refusal.Code == v1.RefusalCode_REFUSAL_CODE_NOT_FOUND {
		return err
	}
	return nil
}

func (f *follower) run(ctx context.Context) error {
	for {
		r, err := f.ask(ctx)
		if err != nil {
			return err
		}
		if r.GetExpired() > 0 {
			fmt.Fprintf(f.err, "drover: what stood between %s and %s is no longer in the feed; drover events reads it from the logs\n",
				feed.FormatNumber(f.q.GetAfter()), feed.FormatNumber(firstOf(r)))
		}
		for _, m := range r.GetMessages() {
			if err := f.show(m); err != nil {
				return err
			}
			f.q.After = m.GetNumber()
		}
		f.q.After = r.GetNext()
		f.q.WaitMs = 0
		if r.GetEnd() {
			f.q.WaitMs = uint32(min(f.timeout/2, 5*time.Second) / time.Millisecond)
		}
	}
}

// firstOf is where a page begins.
func firstOf(r *v1.ReadFeedReply) uint64 {
	if len(r.GetMessages()) > 0 {
		return r.GetMessages()[0].GetNumber()
	}
	return r.GetNext() + 1
}

// show prints one message, unless it was printed before: a feed that was made anew has new numbers for the same events.
func (f *follower) show(m *v1.FeedMessage) error {
	e, err := feed.Decode(m.GetEvent())
	if err != nil {
		return fmt.Errorf("%s: %w", feed.FormatNumber(m.GetNumber()), err)
	}
	at := e.GetPosition()
	if last := f.shown[id.LogOf(at)]; last != nil &&
		(at.GetNumber() < last.GetNumber() || at.GetNumber() == last.GetNumber() && at.GetEntry() <= last.GetEntry()) {
		return nil
	}
	f.shown[id.LogOf(at)] = at
	return f.printFed(e, m.GetNumber())
}

// ask asks until it is answered. What has been answered once is waited for, however long it is away, and looked for where the
// endpoints file says then.
func (f *follower) ask(ctx context.Context) (*v1.ReadFeedReply, error) {
	for {
		r, err := ask(ctx, f.app, bus.ReadFeed, f.q)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil:
			f.begun, f.away = true, false
			return r, nil
		case !f.begun || exitStatus(err) != exitUnavailable:
			return nil, err
		case !f.away:
			f.away = true
			fmt.Fprintf(f.err, "drover: %v; waiting\n", err)
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return nil, err
		}
		f.close()
	}
}
