package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	watermillhttp "github.com/ThreeDotsLabs/watermill-http/v2/pkg/http"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
)

const (
	// A request that failed is tried again after that, which doubles at least from try to try, up to the most.
	againMin = time.Second
	againMax = 5 * time.Minute
	// ackWait is how long a message stays with a process that says nothing about it: so long a webhook stands still
	// when its process is killed, and another one goes on.
	ackWait      = 15 * time.Second
	workingEvery = 5 * time.Second
	statsEvery   = 5 * time.Second
	// pullAhead is for how many messages a process asks at once. It gets one at a time all the same (MaxAckPending). The client
	// looks whether to ask again only when a message is taken out, and not while its last question is being sent: having asked
	// for one alone it may, on a busy machine, never ask again, and wait until heartbeats are missed.
	pullAhead     = 16
	pullHeartbeat = 5 * time.Second
	// drainMax is how long a stop waits for requests that are under way.
	drainMax = 5 * time.Second
)

// BridgeConfig is what webhooks need.
type BridgeConfig struct {
	// Conn is a connection as `service`.
	Conn *nats.Conn
	// Webhooks are as ReadWebhooks returns them.
	Webhooks []Webhook
	// Logger gets what an operator should see; nil is slog.Default.
	Logger *slog.Logger
}

// Bridge delivers the feed to webhooks. Any number of processes may run one with the same file: each webhook has a durable
// consumer, which hands out one message at a time, to one of them.
//
// A crash leaves a message that was sent and is not marked as such: it is sent again, with the same id.
type Bridge struct {
	cfg   BridgeConfig
	api   js.JetStream
	hooks []*hook

	againMin, againMax, ackWait, requestMax time.Duration // the constants, but in tests

	closing context.Context // ends with Close
	close   context.CancelFunc
	mu      sync.Mutex // guards that running grows only while closing has not ended
	running sync.WaitGroup
}

// hook is one webhook as it is delivered to.
type hook struct {
	Webhook
	publisher *watermillhttp.Publisher
	log       *slog.Logger

	mu    sync.Mutex // guards stats; held for moments
	stats WebhookStats
}

// WebhookStats is how far a webhook is.
type WebhookStats struct {
	Name string
	// Lag is how many messages of the feed it has not been sent, of those that pass its filter by type and job, as of a few
	// seconds ago.
	Lag uint64
	// Delivered and Failed count the requests of this process.
	Delivered, Failed uint64
	// LastStatus is that of the last answer, 0 if there was none; LastError says why the last request failed, if it did.
	LastStatus int
	LastError  string
	LastAt     time.Time
	// Stopped is true once the receiver has answered 410 Gone. It is asked again when the process is started again.
	Stopped bool
}

// NewBridge makes a bridge.
func NewBridge(c BridgeConfig) (*Bridge, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	api, err := js.New(c.Conn)
	if err != nil {
		return nil, err
	}
	b := &Bridge{cfg: c, api: api, againMin: againMin, againMax: againMax, ackWait: ackWait, requestMax: requestMax}
	b.closing, b.close = context.WithCancel(context.Background())
	for _, w := range c.Webhooks {
		if err := w.check(); err != nil {
			return nil, fmt.Errorf("webhook %s: %w", w.Name, err)
		}
		h := &hook{Webhook: w, log: c.Logger.With("webhook", w.Name), stats: WebhookStats{Name: w.Name}}
		b.hooks = append(b.hooks, h)
	}
	return b, nil
}

// Run delivers until ctx ends, and returns nil then. What cannot be reached is waited for.
func (b *Bridge) Run(ctx context.Context) error {
	b.mu.Lock()
	if b.closing.Err() != nil {
		b.mu.Unlock()
		return nil
	}
	b.running.Add(1)
	b.mu.Unlock()
	defer b.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.closing, cancel)()
	// What Watermill has to say is said by the bridge where an operator should see it.
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: drainMax}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	for _, h := range b.hooks {
		h.publisher, err = newPublisher(&h.Webhook, b.requestMax, func(status int) { h.note(func(s *WebhookStats) { s.LastStatus = status }) })
		if err != nil {
			return err
		}
		handler := router.AddConsumerHandler(h.Name, consumerOf(h.Name), puller{b, h}, h.deliver)
		handler.AddMiddleware(middleware.Retry{
			MaxRetries: math.MaxInt - 1, InitialInterval: b.againMin, MaxInterval: b.againMax, Multiplier: 1.5, RandomizationFactor: 0.2,
			ShouldRetry: h.failed, ResetContextOnRetry: true,
		}.Middleware)
		go b.watch(ctx, h)
	}
	if err := router.Run(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// Close ends Run, if it runs, and waits for it; a Run that is called afterwards returns at once.
func (b *Bridge) Close() error {
	b.mu.Lock()
	b.close()
	b.mu.Unlock()
	b.running.Wait()
	return nil
}

// Stats may be called at any time.
func (b *Bridge) Stats() []WebhookStats {
	var all []WebhookStats
	for _, h := range b.hooks {
		h.mu.Lock()
		all = append(all, h.stats)
		h.mu.Unlock()
	}
	return all
}

func (h *hook) note(change func(*WebhookStats)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(&h.stats)
}

// deliver sends one event.
func (h *hook) deliver(msg *message.Message) error {
	err := h.publisher.Publish(h.URL, msg)
	if err != nil && msg.Context().Err() != nil {
		return err // the process stops: it was no failure of the receiver's
	}
	var answered statusError
	h.note(func(s *WebhookStats) {
		s.LastAt = time.Now()
		if err != nil && !errors.As(err, &answered) {
			s.LastStatus = 0
		}
		if err == nil {
			if s.LastError != "" {
				h.log.Info("the webhook takes events again")
			}
			s.Delivered, s.LastError = s.Delivered+1, ""
			return
		}
		if s.LastError == "" {
			h.log.Warn("the webhook does not take an event; trying again and again", "event", msg.UUID, "error", cause(err))
		}
		s.Failed, s.LastError = s.Failed+1, cause(err).Error()
	})
	return err
}

// failed says whether to try again.
func (h *hook) failed(p middleware.RetryParams) bool {
	if !errors.Is(p.Err, errGone) {
		return true
	}
	h.log.Error("the receiver wants no more (410): the webhook is stopped until the process is started again")
	h.note(func(s *WebhookStats) { s.Stopped = true })
	return false
}

func (h *hook) stopped() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stats.Stopped
}

func consumerOf(webhook string) string { return "webhook-" + webhook }

// consumer opens the webhook's consumer, makes it where it is missing, and gives it the filter that it should have. Where it
// stands stays as it is.
func (b *Bridge) consumer(ctx context.Context, h *hook) (js.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	stream, err := b.api.Stream(ctx, StreamName)
	if err != nil {
		return nil, err
	}
	have, err := stream.Consumer(ctx, consumerOf(h.Name))
	if errors.Is(err, js.ErrConsumerNotFound) {
		what, after, err := parseStart(h.Start)
		if err != nil {
			return nil, err
		}
		c := b.consumerConfig(h, js.ConsumerConfig{DeliverPolicy: js.DeliverAllPolicy})
		switch what {
		case startNew:
			c.DeliverPolicy = js.DeliverNewPolicy
		case startAfter:
			c.DeliverPolicy, c.OptStartSeq = js.DeliverByStartSequencePolicy, after+1
		}
		return stream.CreateConsumer(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	is := have.CachedInfo().Config
	if want := b.consumerConfig(h, is); !reflect.DeepEqual(is, want) {
		return stream.UpdateConsumer(ctx, want)
	}
	return have, nil
}

func (b *Bridge) consumerConfig(h *hook, c js.ConsumerConfig) js.ConsumerConfig {
	c.Durable = consumerOf(h.Name)
	c.Name = c.Durable
	c.Description = "Events for a webhook"
	c.AckPolicy = js.AckExplicitPolicy
	c.AckWait = b.ackWait
	c.MaxDeliver = -1
	c.MaxAckPending = 1 // whoever pulls: one at a time, so in order
	c.FilterSubject, c.FilterSubjects = "", h.filters()
	return c
}

// watch keeps the webhook's lag, and tells when events were dropped that it was not sent.
func (b *Bridge) watch(ctx context.Context, h *hook) {
	told := uint64(0)
	for sleep(ctx, min(statsEvery, b.ackWait)) {
		info, first, err := b.look(ctx, h)
		if err != nil {
			continue
		}
		h.note(func(s *WebhookStats) { s.Lag = info.NumPending + uint64(info.NumAckPending) })
		if done := info.AckFloor.Stream; done > 0 && first > done+1 && info.NumPending > 0 && told < first {
			h.log.Error("the webhook is so far behind that events it should have had are no longer kept, or may not be",
				"sent up to", FormatNumber(done), "kept from", FormatNumber(first))
			told = first
		}
	}
}

func (b *Bridge) look(ctx context.Context, h *hook) (*js.ConsumerInfo, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := b.api.Stream(ctx, StreamName)
	if err != nil {
		return nil, 0, err
	}
	consumer, err := stream.Consumer(ctx, consumerOf(h.Name))
	if err != nil {
		return nil, 0, err
	}
	return consumer.CachedInfo(), boundsOf(stream.CachedInfo()).first, nil
}

// puller is Watermill's Subscriber of one webhook: it hands out one message of its consumer at a time.
type puller struct {
	*Bridge
	hook *hook
}

// Subscribe implements message.Subscriber. The channel is closed once ctx has ended.
func (p puller) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		for wait := retryMin; ; wait = min(2*wait, retryMax) {
			worked, err := p.pull(ctx, out)
			if ctx.Err() != nil {
				return
			}
			if worked {
				wait = retryMin
			}
			if err != nil && !errors.Is(err, js.ErrStreamNotFound) { // a feeder makes it
				p.hook.log.Warn("the webhook's events cannot be read; trying again", "error", err, "after", wait)
			}
			if !sleep(ctx, wait) {
				return
			}
		}
	}()
	return out, nil
}

// Close implements message.Subscriber: what it could close ends with Run's context.
func (p puller) Close() error { return nil }

// pull hands out messages until something fails.
func (p puller) pull(ctx context.Context, out chan<- *message.Message) (worked bool, err error) {
	consumer, err := p.consumer(ctx, p.hook)
	if err != nil {
		return false, err
	}
	it, err := consumer.Messages(js.PullMaxMessages(pullAhead), js.PullHeartbeat(pullHeartbeat))
	if err != nil {
		return false, err
	}
	defer it.Stop()
	defer context.AfterFunc(ctx, it.Stop)()
	for {
		if p.hook.stopped() {
			it.Stop()
			<-ctx.Done()
			return worked, ctx.Err()
		}
		msg, err := it.Next()
		if err != nil {
			return worked, err
		}
		if err := p.hand(ctx, out, it, msg); err != nil {
			return worked, err
		}
		worked = true
	}
}

// hand gives one message to the router and waits until it has been delivered.
func (p puller) hand(ctx context.Context, out chan<- *message.Message, it js.MessagesContext, msg js.Msg) error {
	event, err := p.event(ctx, msg)
	if err != nil {
		return err
	}
	if event == nil {
		return msg.Ack()
	}
	select {
	case out <- event:
	case <-ctx.Done():
		it.Stop()
		return errors.Join(ctx.Err(), msg.Nak())
	}
	working := time.NewTicker(min(workingEvery, p.ackWait/3))
	defer working.Stop()
	for {
		select {
		case <-event.Acked():
			return msg.DoubleAck(ctx)
		case <-event.Nacked(): // the process stops, or the receiver wants no more
			it.Stop() // else it would be handed out here again
			return msg.Nak()
		case <-working.C:
			if err := msg.InProgress(); err != nil {
				p.hook.log.Warn("the webhook's event may be sent by another process too", "error", err)
			}
		}
	}
}

// event is a message of the feed as Watermill knows messages; nil if it is not for this webhook.
func (p puller) event(ctx context.Context, msg js.Msg) (*message.Message, error) {
	if !isEvent(msg.Headers()) {
		return nil, nil
	}
	subject, err := ParseSubject(msg.Subject())
	if err != nil {
		return nil, err
	}
	subject.Thing = msg.Headers().Get(headerThing)
	if wanted, err := p.hook.wants(subject, msg.Data()); err != nil || !wanted {
		return nil, err
	}
	number, err := eventID(msg.Data())
	if err != nil {
		return nil, err
	}
	event := message.NewMessage(number, msg.Data())
	event.SetContext(ctx)
	return event, nil
}
