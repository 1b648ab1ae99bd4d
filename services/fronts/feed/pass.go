package feed

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
	"golang.org/x/sync/semaphore"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

const (
	// A batch is published with so many events, the most that the server takes, or so many bytes.
	batchEvents = 1000
	batchBytes  = 4 << 20
	// linger is the least time from one batch to the next, unless a batch is full: each costs a flush of the disk that
	// the logs are written to. The first event after a pause goes out at once.
	linger = 20 * time.Millisecond
	// readAhead bounds, for each log, the commits that were read and are not encoded, in stored bytes. Decoded they take
	// some ten times as much.
	readAhead = 512 << 10

	publishTimeout = 10 * time.Second
	behindEvery    = 5 * time.Second
	dropEvery      = time.Minute
)

// pass follows the logs from a vector on and publishes what comes.
type pass struct {
	*Feeder
	last   uint64 // the feed's last number
	vector vector // how far what was put into batches goes; ahead of the feed by what is not acknowledged
	causal *eventstore.Causal
	rooms  map[id.Log]*semaphore.Weighted
	in     chan *eventstore.Commit

	current *eventstore.Commit // of which entries are being put into batches
	entry   int                // the next one
	cause   *v1.Entry          // whose cause the entries share that have none of their own

	sent vector // how far the feed goes; what stats are made of
}

// batch is what is published together.
type batch struct {
	msgs   []*nats.Msg
	bytes  int
	at     int64  // the time of the last event's commit, in ms
	vector vector // behind the last event, once it is sent
}

func (b *batch) full() bool { return len(b.msgs) >= batchEvents || b.bytes >= batchBytes }

// feed publishes until ctx ends, something fails, or the feed moves without this feeder.
func (f *Feeder) feed(ctx context.Context, e ends) error {
	p := &pass{Feeder: f, last: e.last, vector: e.vector, sent: e.vector.clone(), rooms: map[id.Log]*semaphore.Weighted{}, in: make(chan *eventstore.Commit)}
	var names []id.Log
	marks := map[id.Log]eventstore.Mark{}
	for _, l := range f.cfg.Logs {
		m, err := markAt(ctx, l, e.vector[l.Name()])
		if err != nil {
			return fmt.Errorf("what the feed holds: %w", err)
		}
		names = append(names, l.Name())
		marks[l.Name()] = m
		p.rooms[l.Name()] = semaphore.NewWeighted(readAhead)
	}
	p.causal = eventstore.NewCausal(names)
	ctx, cancel := context.WithCancel(ctx)
	failures := make(chan error, len(f.cfg.Logs))
	var beside sync.WaitGroup
	for _, l := range f.cfg.Logs {
		p.causal.Seen(l.Name(), marks[l.Name()].Number)
		beside.Go(func() { failures <- p.follow(ctx, l, marks[l.Name()]) })
	}
	beside.Go(func() { p.drop(ctx) })
	defer beside.Wait()
	defer cancel()
	return p.run(ctx, failures)
}

// markAt is the place in a log behind which it is read on, once the log has shown that it still holds it.
func markAt(ctx context.Context, l *eventstore.Log, p place) (m eventstore.Mark, err error) {
	if p.number == 0 {
		return m, nil
	}
	if err := l.HoldsPrefix(ctx, p.number, p.prefix); err != nil {
		return m, err
	}
	rec, err := l.Raw(ctx, p.number)
	return eventstore.Mark{Number: p.number, Hash: sha256.Sum256(rec.Data)}, err
}

// follow reads one log until ctx ends, or until it must not go on.
func (p *pass) follow(ctx context.Context, l *eventstore.Log, after eventstore.Mark) error {
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		err := l.Follow(ctx, after, func(c *eventstore.Commit) error {
			wait = retryMin
			if err := p.rooms[l.Name()].Acquire(ctx, room(c)); err != nil {
				return err
			}
			select {
			case p.in <- c:
				after = c.Mark()
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if ctx.Err() != nil || final(err) {
			return err
		}
		p.cfg.Logger.Warn("a log cannot be read; trying again", "log", l.Name(), "err", err, "after", wait)
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

func room(c *eventstore.Commit) int64 { return int64(min(c.Size, readAhead)) }

// run publishes what arrives: while one batch is on its way to the disk, the next one is made.
func (p *pass) run(ctx context.Context, failures <-chan error) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	timer := time.NewTimer(math.MaxInt64)
	defer timer.Stop()
	var (
		b       = &batch{}
		sent    *batch // the one under way, or nil
		answers = make(chan error, 1)
		began   time.Time // of the last batch
		looked  time.Time // at the ends of the logs
	)
	defer func() { // nothing of this pass is sent when it is over
		if sent != nil {
			<-answers
		}
	}()
	for {
		if err := p.fill(ctx, b); err != nil {
			return err
		}
		if len(b.msgs) > 0 && sent == nil {
			wait := time.Until(began.Add(linger))
			if wait <= 0 || b.full() {
				began, sent = time.Now(), b
				sent.vector = p.vector.clone()
				go func(b *batch, last uint64) { answers <- p.publish(ctx, b, last) }(sent, p.last)
				b = &batch{}
				continue
			}
			timer.Reset(wait)
		}
		in := p.in
		if b.full() {
			in = nil
		}
		select {
		case c := <-in:
			p.causal.Add(c)
		case err := <-answers:
			done := sent
			sent = nil
			if err != nil {
				return err
			}
			p.published(done)
		case <-timer.C:
		case err := <-failures:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if time.Since(looked) < behindEvery {
				continue
			}
			looked = time.Now()
			if err := p.look(ctx); err != nil {
				return err
			}
		}
	}
}

// fill puts what may be published into a batch, without waiting.
func (p *pass) fill(ctx context.Context, b *batch) error {
	for !b.full() {
		if p.current == nil {
			if p.current = p.causal.Next(); p.current == nil {
				return nil
			}
			p.entry, p.cause = 0, &v1.Entry{}
		}
		c := p.current
		for ; p.entry < len(c.Entries) && !b.full(); p.entry++ {
			if err := p.put(ctx, b, c, p.entry); err != nil {
				return err
			}
		}
		if p.entry == len(c.Entries) {
			p.vector.past(c)
			p.rooms[c.Log].Release(room(c))
			p.current = nil
		}
	}
	return nil
}

// put adds an entry to a batch, unless it is in the feed already.
func (p *pass) put(ctx context.Context, b *batch, c *eventstore.Commit, i int) error {
	e := c.Entries[i]
	if e.Cause == nil {
		e.Cause = p.cause.Cause
	}
	p.cause = e
	if i < p.vector[c.Log].done {
		return nil
	}
	r := &record{log: c.Log, logID: c.LogId, at: c.AtMs, num: c.Number, index: i, entry: e}
	if job := e.GetEvent().Job(); job != 0 {
		var err error
		if r.jobID, err = p.jobs.name(ctx, job); err != nil {
			return err
		}
	}
	s := subjectOf(r)
	msg := &nats.Msg{Subject: s.String(), Header: nats.Header{headerContent: {contentType}}, Data: appendEvent(make([]byte, 0, 768), r)}
	if s.Thing != "" {
		msg.Header[headerThing] = []string{s.Thing}
	}
	b.msgs = append(b.msgs, msg)
	b.bytes += len(msg.Data)
	b.at = c.AtMs
	p.vector.within(c.Log, i+1)
	return nil
}

// The codes by which JetStream says that the stream does not end where a publish expects.
const (
	wrongLastSequence         js.ErrorCode = 10071
	wrongLastSequenceInFlight js.ErrorCode = 10164
)

// publish puts a batch behind the feed's last number, whole or not at all. On errMoved something else stands there; on
// any other error the outcome is unknown. Both times the feed itself says what to do next: if this batch came to be
// stored after all, its vector says so; if it is stored later than that is read, whatever is published then is refused,
// and the feed is read again.
//
// A crash just before or after it leaves the feed without the batch or with it, and the next feeder goes on there.
func (p *pass) publish(ctx context.Context, b *batch, last uint64) error {
	end := b.msgs[len(b.msgs)-1].Header
	end[headerVector] = []string{b.vector.String()}
	end[headerFeeder] = []string{p.name}
	b.msgs[0].Header[js.ExpectedLastSeqHeader] = []string{strconv.FormatUint(last, 10)}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	now, err := p.send(ctx, b.msgs)
	var api *js.APIError
	switch {
	case errors.As(err, &api) && (api.ErrorCode == wrongLastSequence || api.ErrorCode == wrongLastSequenceInFlight):
		return errMoved
	case err != nil:
		return fmt.Errorf("publish %d events behind feed@%d: %w", len(b.msgs), last, err)
	case now != last+uint64(len(b.msgs)):
		return fmt.Errorf("%d events were published behind feed@%d, and it ends at %d", len(b.msgs), last, now)
	}
	return nil
}

// send publishes one message, or several as one. It returns the stream's last number.
func (p *pass) send(ctx context.Context, msgs []*nats.Msg) (uint64, error) {
	if len(msgs) > 1 {
		ack, err := jetstreamext.PublishMsgBatch(ctx, p.api, msgs, jetstreamext.BatchFlowControl{})
		if err != nil {
			return 0, err
		}
		return ack.Sequence, nil
	}
	// One message alone needs no staging. It is sent once: a repeat made behind our back would find itself in its way.
	answer, err := p.cfg.Conn.RequestMsgWithContext(ctx, msgs[0])
	if err != nil {
		return 0, err
	}
	var ack struct {
		Stream string       `json:"stream"`
		Seq    uint64       `json:"seq"`
		Error  *js.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return 0, err
	}
	if ack.Error != nil {
		return 0, ack.Error
	}
	return ack.Seq, nil
}

func (p *pass) published(b *batch) {
	p.last += uint64(len(b.msgs))
	p.sent = b.vector
	p.note(func(s *Stats) {
		s.Published += uint64(len(b.msgs))
		s.Last = p.last
		s.Delay = max(0, time.Since(time.UnixMilli(b.at)))
	})
}

// look counts what is not in the feed, and stops if a commit waits for what lies beyond the end of a log: what was
// acknowledged there is gone.
func (p *pass) look(ctx context.Context) error {
	behind, err := p.behind(ctx, p.sent)
	if err != nil {
		return nil // what cannot be reached is waited for
	}
	p.note(func(s *Stats) { s.Behind = behind })
	for _, w := range p.causal.Blocked() {
		for _, l := range p.cfg.Logs {
			if l.Name() != w.On {
				continue
			}
			if _, last, err := l.Bounds(ctx); err == nil && last < w.OnNumber {
				return &eventstore.DamageError{
					Log: w.On, First: last + 1, Last: w.OnNumber,
					Why: fmt.Sprintf("the log ends at %d, but %s@%d was decided after reading %d: its end was cut off", last, w.Log, w.Number, w.OnNumber),
				}
			}
		}
	}
	return nil
}

// drop drops, now and then, what is too old.
func (p *pass) drop(ctx context.Context) {
	for {
		if err := dropOld(ctx, p.api, time.Now()); err != nil && ctx.Err() == nil {
			p.cfg.Logger.Warn("old messages of the feed are not dropped; trying again", "err", err)
		}
		if !sleep(ctx, dropEvery) {
			return
		}
	}
}
