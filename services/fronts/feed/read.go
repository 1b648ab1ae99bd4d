package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

const (
	pageDefault = 100
	pageMax     = 1000
	// A page ends with the message after which it holds so many bytes, or before the one with which it would hold more than
	// the most that go into one reply; or once so many messages, or so long, were looked at.
	pageBytes  = 256 << 10
	replyBytes = 512 << 10
	pageLooked = 50_000
	pageLong   = 2 * time.Second
	// fetchMin is how many messages are asked for at once where most may be passed over.
	fetchMin = 500
	waitMax  = 10 * time.Second
	// beyondMax is how long what lies beyond the end is waited for before it is refused: a new leader may need a moment to
	// have what was acknowledged.
	beyondMax = 2 * time.Second
	// readerInactive is after how long the server forgets a reader that has gone.
	readerInactive = 30 * time.Second
)

// Serve answers bus.ReadFeed on s, reading over nc, as `service`. Any number of processes may.
func Serve(s *bus.Server, nc *nats.Conn) error {
	api, err := js.New(nc)
	if err != nil {
		return err
	}
	return bus.Serve(s, bus.ReadFeed, func(ctx context.Context, _ bus.Request, q *v1.ReadFeed) (*v1.ReadFeedReply, error) {
		return readFeed(ctx, api, q)
	})
}

// readFeed answers ReadFeed: a page of the feed. It may hold nothing and yet not be the last.
func readFeed(ctx context.Context, api js.JetStream, q *v1.ReadFeed) (*v1.ReadFeedReply, error) {
	r, err := newReader(api, q)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(min(time.Duration(q.GetWaitMs())*time.Millisecond, waitMax))
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(pageLong+2*requestTimeout))
	defer cancel()
	reply, err := r.page(ctx, deadline)
	var refusal *v1.Refusal
	switch {
	case err == nil || errors.As(err, &refusal):
		return reply, err
	case errors.Is(err, js.ErrStreamNotFound):
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "there is no feed yet: no feeder has made it")
	}
	return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "reading the feed: %v", err)
}

// reader is one question.
type reader struct {
	api   js.JetStream
	after uint64
	limit int
	job   string
	thing string
	since map[id.Log]*v1.Position
}

func newReader(api js.JetStream, q *v1.ReadFeed) (*reader, error) {
	r := &reader{api: api, after: q.GetAfter(), limit: int(q.GetLimit()), thing: q.GetThing(), since: map[id.Log]*v1.Position{}}
	if r.limit == 0 {
		r.limit = pageDefault
	}
	if r.limit > pageMax {
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "limit", "%d; at most %d are allowed", r.limit, pageMax)
	}
	if q.GetJobId() != "" {
		job, err := id.ParseJob(q.GetJobId())
		if err != nil {
			return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "jobId", "%v", err)
		}
		r.job = string(job)
	}
	if r.thing != "" {
		thing, err := id.ParseThing(r.thing)
		if err != nil {
			return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "thingName", "%v", err)
		}
		r.thing = string(thing)
	}
	for _, p := range q.GetSince() {
		r.since[id.LogOf(p)] = p
	}
	return r, nil
}

// page reads until there is something to answer, or the deadline has come.
func (r *reader) page(ctx context.Context, deadline time.Time) (*v1.ReadFeedReply, error) {
	reply := &v1.ReadFeedReply{Next: r.after}
	stream, err := r.bounds(ctx, reply)
	if err != nil {
		return nil, err
	}
	e := boundsOf(stream.CachedInfo())
	if reply.Next >= e.last && !time.Now().Before(deadline) {
		reply.End = true
		return reply, nil
	}
	consumer, err := stream.CreateConsumer(ctx, js.ConsumerConfig{
		AckPolicy: js.AckNonePolicy, DeliverPolicy: js.DeliverByStartSequencePolicy, OptStartSeq: reply.Next + 1,
		FilterSubjects: r.filter(), MemoryStorage: true, Replicas: 1, InactiveThreshold: readerInactive,
	})
	if err != nil {
		return nil, err
	}
	defer func() { // one that is not deleted is forgotten when it is inactive
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
		defer cancel()
		_ = stream.DeleteConsumer(ctx, consumer.CachedInfo().Name)
	}()
	s := scan{reader: r, reply: reply, began: time.Now()}
	for {
		drained, err := s.fetch(func() (js.MessageBatch, error) { return consumer.FetchNoWait(r.fetchSize()) })
		if err != nil {
			return nil, err
		}
		if drained {
			if err := s.reach(ctx, stream, e.last); err != nil {
				return nil, err
			}
		}
		left := time.Until(deadline)
		switch {
		case s.full() || drained && len(reply.Messages) > 0 || drained && left <= 0:
			return reply, nil
		case !drained:
			continue
		}
		if _, err := s.fetch(func() (js.MessageBatch, error) {
			return consumer.Fetch(1, js.FetchMaxWait(max(left, time.Millisecond)))
		}); err != nil {
			return nil, err
		}
		reply.End = false
	}
}

func (r *reader) fetchSize() int {
	if r.thing != "" || len(r.since) > 0 {
		return max(r.limit, fetchMin)
	}
	return r.limit
}

// bounds looks where the question begins, and says what of it is no longer kept.
func (r *reader) bounds(ctx context.Context, reply *v1.ReadFeedReply) (js.Stream, error) {
	for until := time.Now().Add(beyondMax); ; {
		stream, err := r.api.Stream(ctx, StreamName)
		if err != nil {
			return nil, err
		}
		e := boundsOf(stream.CachedInfo())
		if r.after <= e.last {
			from := r.after
			if from == 0 {
				from = e.base - 1
			}
			if e.first > from+1 {
				reply.Expired = e.first - 1 - from
				if r.after == 0 && len(r.since) > 0 {
					lost, err := r.lost(ctx, stream, e)
					if err != nil {
						return nil, err
					}
					if !lost {
						reply.Expired = 0
					}
				}
			}
			reply.Next = max(from, e.first-1)
			return stream, nil
		}
		if time.Now().After(until) || !sleep(ctx, 100*time.Millisecond) {
			return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "after", "the feed ends at feed@%d, before feed@%d", e.last, r.after)
		}
	}
}

// lost reports whether something that is no longer kept lies behind the positions that the question begins with. What
// was dropped of a log ends before the first event of it that is kept, or, where there is none up to the first
// vector, with that vector.
func (r *reader) lost(ctx context.Context, stream js.Stream, e ends) (bool, error) {
	kept := map[id.Log]bool{}
	for n := e.first; n <= e.last; n++ {
		msg, err := stream.GetMsg(ctx, n)
		if errors.Is(err, js.ErrMsgNotFound) {
			continue // dropped meanwhile
		}
		if err != nil {
			return false, err
		}
		if !isEvent(msg.Header) {
			continue
		}
		p, err := positionOf(msg.Data)
		if err != nil {
			return false, err
		}
		log := id.LogOf(p)
		if !kept[log] && !r.before(p) && !r.next(p) {
			return true, nil
		}
		kept[log] = true
		v, err := parseVector(msg.Header.Get(headerVector))
		if err != nil {
			continue
		}
		for log, at := range v {
			if since := r.since[log]; !kept[log] && (since.GetNumber() < at.number || since.GetNumber() == at.number && since.GetEntry() > 0) {
				return true, nil
			}
		}
		return false, nil
	}
	return false, nil
}

// before reports whether the question begins behind an event.
func (r *reader) before(p *v1.Position) bool {
	since := r.since[id.LogOf(p)]
	if p.GetNumber() != since.GetNumber() {
		return p.GetNumber() < since.GetNumber()
	}
	return since.GetEntry() == 0 || p.GetEntry() <= since.GetEntry() // no entry is the whole commit
}

// next reports whether the question of this log begins just before an event, as far as one can tell from numbers.
func (r *reader) next(p *v1.Position) bool {
	since := r.since[id.LogOf(p)]
	if since.GetEntry() > 0 && p.GetNumber() == since.GetNumber() {
		return p.GetEntry() == since.GetEntry()+1
	}
	return p.GetNumber() == since.GetNumber()+1 && p.GetEntry() == 0
}

// filter is what the server filters by: a job's own subjects, if one is asked for.
func (r *reader) filter() []string {
	if r.job == "" {
		return nil
	}
	return []string{subjectPrefix + "*.*." + r.job}
}

// wanted reports whether an event passes what the server does not filter by.
func (r *reader) wanted(subject Subject, data []byte) (bool, error) {
	if r.thing != "" && subject.Thing != r.thing {
		if named, err := names(subject, data, r.thing); err != nil || !named {
			return false, err
		}
	}
	if len(r.since) > 0 {
		p, err := positionOf(data)
		if err != nil || r.before(p) && r.since[id.LogOf(p)] != nil {
			return false, err
		}
	}
	return true, nil
}

// manyThings are the events that are about a list of things.
var manyThings = [...]string{"ThingsSelected", "ThingsWaiting", "ExecutionsReleased"}

// names reports whether an event is about a thing as one of many.
func names(subject Subject, data []byte, thing string) (bool, error) {
	for _, name := range manyThings {
		if subject.Event == name {
			e, err := Decode(data)
			return err == nil && e.GetEntry().GetEvent().Names(thing), err
		}
	}
	return false, nil
}

// positionOf reads an event's id and nothing else.
func positionOf(data []byte) (*v1.Position, error) {
	rest, ok := strings.CutPrefix(string(data[:min(len(data), 128)]), `{"specversion":"1.0","id":"`)
	if text, _, found := strings.Cut(rest, `"`); ok && found {
		return id.ParsePosition(text)
	}
	var c struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, err
	}
	return id.ParsePosition(c.ID)
}

// scan is one page as it is made.
type scan struct {
	*reader
	reply  *v1.ReadFeedReply
	began  time.Time
	looked int
	bytes  int
	over   bool // the next message begins another page
}

func (s *scan) full() bool {
	return s.over || len(s.reply.Messages) >= s.limit || s.bytes >= pageBytes || s.looked >= pageLooked || time.Since(s.began) > pageLong
}

// fetch takes what one request brings. It is drained if that was nothing.
func (s *scan) fetch(request func() (js.MessageBatch, error)) (drained bool, err error) {
	batch, err := request()
	if err != nil {
		return false, err
	}
	drained = true
	for msg := range batch.Messages() {
		drained = false
		if s.full() || err != nil {
			continue // they come again with the next page
		}
		err = s.take(msg)
	}
	if err == nil {
		err = batch.Error()
	}
	if errors.Is(err, nats.ErrTimeout) || errors.Is(err, js.ErrNoMessages) {
		err = nil
	}
	return drained, err
}

func (s *scan) take(msg js.Msg) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	number := meta.Sequence.Stream
	if gap := number - s.reply.Next - 1; gap > 0 && s.job == "" {
		// Dropped since, or lost by the server without a word.
		if s.over = len(s.reply.Messages) > 0; s.over {
			return nil
		}
		s.reply.Expired += gap
	}
	message, err := s.message(number, msg)
	if err != nil {
		return fmt.Errorf("feed@%d: %w", number, err)
	}
	if message != nil {
		if s.over = len(s.reply.Messages) > 0 && s.bytes+len(message.Event) > replyBytes; s.over {
			return nil
		}
		s.reply.Messages = append(s.reply.Messages, message)
		s.bytes += len(message.Event)
	}
	s.looked++
	s.reply.Next = number
	return nil
}

// reach notes that there was nothing more. Where the server filters, nothing is seen of what does not pass: the next page
// begins behind it, if the stream's leader says that nothing up to there does; the server that reads may be behind.
func (s *scan) reach(ctx context.Context, stream js.Stream, last uint64) error {
	if s.job != "" && s.reply.Next < last {
		msg, err := stream.GetMsg(ctx, s.reply.Next+1, js.WithGetMsgSubject(s.filter()[0]))
		switch {
		case errors.Is(err, js.ErrMsgNotFound) || err == nil && msg.Sequence > last:
			s.reply.Next = last
		case err != nil:
			return err
		}
	}
	s.reply.End = s.reply.Next >= last
	return nil
}

// message is what is answered of a message of the stream; nil if it is not asked for, or none of a feeder's.
func (s *scan) message(number uint64, msg js.Msg) (*v1.FeedMessage, error) {
	if !isEvent(msg.Headers()) {
		return nil, nil
	}
	subject, err := ParseSubject(msg.Subject())
	if err != nil {
		return nil, err
	}
	subject.Thing = msg.Headers().Get(headerThing)
	wanted, err := s.wanted(subject, msg.Data())
	if err != nil || !wanted {
		return nil, err
	}
	return &v1.FeedMessage{Number: number, Subject: subject.String(), Event: msg.Data()}, nil
}
