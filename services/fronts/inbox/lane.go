package inbox

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	js "github.com/nats-io/nats.go/jetstream"
)

const (
	// asideWidth is how many commands that were set aside one process has in hand at once.
	asideWidth = 16
	// pullAhead is for how many commands a process asks at once; a line hands out one at a time all the same (MaxAckPending).
	// The client looks whether to ask again only when a message is taken out, and not while its last question is being sent:
	// having asked for one alone it may, on a busy machine, never ask again, and wait until heartbeats are missed.
	pullAhead = 16
	// giveBackLook is between two looks whether the connection is still there while what was delivered is given back.
	giveBackLook = 100 * time.Millisecond

	// A command that was not answered is tried again after delayMin, and twice as late each time. In a line that is at
	// most lineDelayMax: only its first command is tried, so it costs nothing, and all behind it wait for that.
	delayMin      = 250 * time.Millisecond
	lineDelayMax  = 10 * time.Second
	asideDelayMax = time.Minute
)

// subscriber hands the commands of lanes to the router. It is ours because Watermill's for JetStream ends the process over
// a header with two values.
type subscriber struct {
	i       *Inbox
	closing chan struct{}
	once    sync.Once
}

func newSubscriber(i *Inbox) *subscriber { return &subscriber{i: i, closing: make(chan struct{})} }

// Subscribe implements message.Subscriber: topic is a lane. The channel is closed when ctx has ended or Close was called,
// and what was handed out has been acknowledged or not.
func (s *subscriber) Subscribe(ctx context.Context, lane string) (<-chan *message.Message, error) {
	ctx, cancel := context.WithCancel(ctx)
	out := make(chan *message.Message)
	go func() {
		select {
		case <-s.closing:
		case <-ctx.Done():
		}
		cancel()
	}()
	go func() {
		defer close(out)
		defer cancel()
		for ctx.Err() == nil {
			err := s.follow(ctx, lane, out)
			if ctx.Err() != nil {
				return
			}
			s.i.log.Warn("the inbox gets no commands now", "lane", lane, "error", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}()
	return out, nil
}

// Close implements message.Subscriber. It may be called often.
func (s *subscriber) Close() error {
	s.once.Do(func() { close(s.closing) })
	return nil
}

// follow hands out what the lane's consumer delivers, until ctx ends or the consumer cannot be reached.
func (s *subscriber) follow(ctx context.Context, lane string, out chan<- *message.Message) error {
	looking, cancel := context.WithTimeout(ctx, stepMax)
	consumer, err := s.i.own.Consumer(looking, inboxStream, lane)
	cancel()
	if err != nil {
		return err
	}
	width := 1
	if lane == asideLane {
		width = asideWidth
	}
	it, err := consumer.Messages(js.PullMaxMessages(pullAhead), js.PullExpiry(10*time.Second), js.PullHeartbeat(2*time.Second))
	if err != nil {
		return err
	}
	defer func() { giveBack(it, s.i.own.Conn().IsConnected) }()
	slots := make(chan struct{}, width)
	var inHand sync.WaitGroup
	defer inHand.Wait()
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		msg, err := it.Next(js.NextContext(ctx))
		if err != nil {
			return err
		}
		inHand.Go(func() {
			defer func() { <-slots }()
			s.hand(ctx, msg, out)
		})
	}
}

// giveBack returns what was delivered and not handed out, so that it does not wait for ackWait. Without a connection it waits
// for that all the same: nobody can be told.
func giveBack(it js.MessagesContext, connected func() bool) {
	if !connected() {
		it.Stop()
		return
	}
	it.Drain()
	for {
		msg, err := it.Next(js.NextMaxWait(giveBackLook))
		switch {
		case err == nil:
			_ = msg.Nak()
		case errors.Is(err, js.ErrMsgIteratorClosed), !connected():
			return
		}
	}
}

// hand gives one command to the router and does with the stream what the router says. An acknowledgement that is lost
// leaves the command to be delivered once more.
func (s *subscriber) hand(ctx context.Context, msg js.Msg, out chan<- *message.Message) {
	d := newDelivery(s.i.born, msg)
	m := message.NewMessage(d.origin, d.data)
	m.SetContext(context.WithValue(context.WithoutCancel(ctx), deliveryKey{}, d))
	if id, err := d.commandID(); err == nil {
		m.UUID = id
		middleware.SetCorrelationID(id, m)
	}
	select {
	case out <- m:
	case <-ctx.Done():
		_ = msg.Nak()
		return
	}
	working := time.NewTicker(ackWait / 3)
	defer working.Stop()
	for {
		select {
		case <-m.Acked():
			_ = msg.Ack()
			return
		case <-m.Nacked():
			_ = msg.NakWithDelay(d.delay(s.i.delayMin))
			return
		case <-working.C:
			_ = msg.InProgress()
		}
	}
}

// delay is how long a command waits after an attempt in vain.
func (d *delivery) delay(first time.Duration) time.Duration {
	most := lineDelayMax
	if d.aside {
		most = asideDelayMax
	}
	return min(first<<min(d.attempts-1, 20), most)
}
