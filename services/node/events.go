package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

const (
	eventsDefault = 100
	eventsMax     = 1000
	// A page ends with the event after which it holds so many bytes, or with the commit after which it has looked at so
	// many entries. As JSON it takes up to four times as much, which is what the broker takes in one message.
	pageBytes   = 256 << 10
	pageEntries = 50_000
	waitMax     = 10 * time.Second
	// jobIDMax is what the id of an event's job takes, which is filled in at the end.
	jobIDMax = 64
)

// place is how far one log was read: a commit, and of the one after it the entries up to Entry, if that is not 0.
type place struct {
	Number uint64
	Entry  uint32
}

// placeOf is what a position in a question means: what comes after that entry, or after all of the commit.
func placeOf(p *v1.Position) place {
	if p.GetEntry() > 0 && p.GetNumber() > 0 {
		return place{p.GetNumber() - 1, p.GetEntry()}
	}
	return place{Number: p.GetNumber()}
}

func (p place) position(log id.Log) *v1.Position {
	if p.Entry > 0 {
		return log.Position(p.Number+1, int(p.Entry))
	}
	return log.Position(p.Number, 0)
}

// readEvents answers ReadEvents: a page of the logs in causal order. It may hold nothing and yet not be the last, and
// it may end within a commit.
func (n *Node) readEvents(ctx context.Context, q *v1.ReadEvents) (*v1.ReadEventsReply, error) {
	limit := int(q.GetLimit())
	if limit == 0 {
		limit = eventsDefault
	}
	if limit > eventsMax {
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "limit", "%d; at most %d are allowed", limit, eventsMax)
	}
	after := map[id.Log]place{}
	for _, p := range q.GetSince() {
		after[id.LogOf(p)] = placeOf(p)
	}
	job, err := n.askedJob(ctx, q)
	if err != nil {
		return nil, err
	}
	if job != 0 && len(after) == 0 {
		n.fromCreation(ctx, job, after)
	}
	filter, err := eventFilter(job, q)
	if err != nil {
		return nil, err
	}
	reply := &v1.ReadEventsReply{}
	deadline := time.Now().Add(min(time.Duration(q.GetWaitMs())*time.Millisecond, waitMax))
	for {
		if err := n.readPage(ctx, n.logsWith(q), after, limit, filter, reply); err != nil {
			return nil, err
		}
		if len(reply.Events) > 0 || !reply.End || time.Now().After(deadline) {
			break
		}
		select {
		case <-ctx.Done():
			return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "reading events: %v", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
	for _, l := range n.logs {
		if at := after[l.Name()]; at != (place{}) {
			reply.Next = append(reply.Next, at.position(l.Name()))
		}
	}
	return reply, n.nameJobs(ctx, reply.Events)
}

// readPage adds events to the reply and moves after on.
func (n *Node) readPage(ctx context.Context, logs []*eventstore.Log, after map[id.Log]place, limit int, wanted func(*v1.RecordedEvent) bool, reply *v1.ReadEventsReply) error {
	bytes, looked := 0, 0
	commits := map[id.Log]uint64{}
	for log, at := range after {
		commits[log] = at.Number
	}
	full := func() bool { return len(reply.Events) >= limit || bytes >= pageBytes }
	end, err := eventstore.Merge(ctx, logs, commits, func(c *eventstore.Commit) (bool, error) {
		had := int(after[c.Log].Entry) // of this commit; 0 is none
		cause := &v1.Entry{}
		for i, e := range c.Entries {
			if e.Cause == nil {
				e.Cause = cause.Cause
			}
			cause = e
			r := &v1.RecordedEvent{Position: c.Log.Position(c.Number, i), AtMs: c.AtMs, Entry: e}
			if had > 0 && i <= had || !wanted(r) {
				continue
			}
			if last := len(reply.Events) - 1; last >= 0 && sumUp(reply.Events[last], r) {
				continue
			}
			reply.Events = append(reply.Events, r)
			bytes += r.SizeVT() + jobIDMax
			// No position says "the first entry alone": the page takes the second along.
			if i > 0 && i < len(c.Entries)-1 && full() {
				after[c.Log] = place{c.Number - 1, uint32(i)}
				return false, nil
			}
		}
		after[c.Log] = place{Number: c.Number}
		looked += len(c.Entries)
		return !full() && looked < pageEntries, nil
	})
	if errors.Is(err, eventstore.ErrNotFound) {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "since", "%v", err)
	}
	reply.End = end
	return err
}

// logsWith are the logs that may hold what is asked for: what happens to a thing stands in no other home's log.
func (n *Node) logsWith(q *v1.ReadEvents) []*eventstore.Log {
	home := id.HomeOf(q.GetThing(), n.homes)
	var logs []*eventstore.Log
	for _, l := range n.logs {
		if name := l.Name(); name.Service == v1.Service_SERVICE_EXECUTION && (q.GetJobLevel() || q.GetThing() != "" && name.Home != home) {
			continue
		}
		logs = append(logs, l)
	}
	return logs
}

// askedJob is the number of the job that a question is about; 0 is all.
func (n *Node) askedJob(ctx context.Context, q *v1.ReadEvents) (uint64, error) {
	if q.GetJob() != 0 || q.GetJobId() == "" {
		return q.GetJob(), nil
	}
	job, err := id.ParseJob(q.GetJobId())
	if err != nil {
		return 0, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "jobId", "%v", err)
	}
	row, err := n.describeJob(ctx, &v1.DescribeJob{JobId: string(job), Freshness: &v1.Freshness{Fresh: true}})
	return row.GetJob().GetJob(), err
}

// fromCreation passes over what stood in the logs before a job was created: nothing of it is about the job. Where that cannot
// be read, the logs are looked through from their beginning.
func (n *Node) fromCreation(ctx context.Context, job uint64, after map[id.Log]place) {
	const back = 64 // commits that are looked at for how far log.rollout had been read
	number, entry := id.SplitNumber(job)
	created, err := n.logs[0].Read(ctx, number)
	if err != nil || number == 0 || entry >= len(created.Entries) {
		return
	}
	after[id.JobLog] = place{Number: number - 1}
	if known := created.Entries[entry].GetEvent().GetJobCreated().GetTargetsKnownAt(); known > 0 {
		after[id.TargetingLog] = place{Number: known - 1}
	}
	for c := created; number > 0 && created.Number-number < back; {
		for _, cursor := range c.Cursors {
			if cursor.GetService() == v1.Service_SERVICE_ROLLOUT && cursor.GetNumber() > 0 {
				after[id.RolloutLog] = place{Number: cursor.GetNumber() - 1}
				return
			}
		}
		if number--; number == 0 {
			return
		}
		if c, err = n.logs[0].Read(ctx, number); err != nil {
			return
		}
	}
}

// eventFilter is the question's job and thing as a function. At the level of jobs it takes lists of things out of the
// events, which nobody else holds.
func eventFilter(job uint64, q *v1.ReadEvents) (func(*v1.RecordedEvent) bool, error) {
	if q.GetThing() != "" {
		if _, err := id.ParseThing(q.GetThing()); err != nil {
			return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "thingName", "%v", err)
		}
	}
	return func(r *v1.RecordedEvent) bool {
		e := r.GetEntry().GetEvent()
		if job != 0 && e.Job() != job || q.GetThing() != "" && !e.Names(q.GetThing()) || q.GetJobLevel() && e.Job() == 0 {
			return false
		}
		if q.GetJobLevel() {
			r.Things = leaveThingsOut(e)
			r.Steps = 1
		}
		return true
	}, nil
}

// sumUp adds an event at the level of jobs to the one before it, if both release things of one job for the same reason.
func sumUp(last, e *v1.RecordedEvent) bool {
	x, y := last.GetEntry().GetEvent().GetExecutionsReleased(), e.GetEntry().GetEvent().GetExecutionsReleased()
	if e.Steps == 0 || x == nil || y == nil || x.GetJob() != y.GetJob() || x.GetJoined() != y.GetJoined() || !sameReason(last.Entry.GetReason(), e.Entry.GetReason()) {
		return false
	}
	at := last.Position
	if last.Last != nil {
		at = last.Last
	}
	if at.GetNumber() != e.Position.GetNumber() {
		last.Steps++
	}
	last.Things += e.Things
	last.Last, last.LastAtMs = e.Position, e.AtMs
	return true
}

// sameReason compares the code and the first number, which is the pace; the others count what went before.
func sameReason(x, y *v1.Reason) bool {
	first := func(r *v1.Reason) []int64 { return r.GetNumbers()[:min(1, len(r.GetNumbers()))] }
	return x.GetCode() == y.GetCode() && slices.Equal(first(x), first(y))
}

// leaveThingsOut empties an event's list of things and says how many there were.
func leaveThingsOut(e *v1.Event) uint32 {
	body := e.Body()
	f := body.Descriptor().Fields().ByName("things")
	if f == nil || !f.IsList() {
		return 0
	}
	n := body.Get(f).List().Len()
	body.Clear(f)
	return uint32(n)
}
