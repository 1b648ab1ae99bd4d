// Package topics publishes what happens to jobs, executions and the registry on AWS's event topics, $aws/events/…, for the
// categories that are switched on. (specification §6, and AWS's developer guide on registry events)
//
// It promises that an event of a category that was on when it was committed is published at least once, with the same
// eventId each time. Like AWS it promises no order, and whoever is not subscribed when it comes does not get it. All
// categories are off until ConfigureEvents switches them on; some events of the moments before may be told then, too. What
// stands in the events it leaves to the feed, of which each category that is on has a durable consumer that all processes
// share (consumers.go), and to the logs and the read models (about.go). (design §5)
//
// A crash between publishing and acknowledging leaves events that are published again.
package topics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/feed"
)

const (
	// The configuration is looked at so often, and at once when the feed says that it changed.
	lookEvery = 10 * time.Second
	// fetchMax is how many events are published between two flushes.
	fetchMax = 256
	ackWait  = 30 * time.Second
	// requestMax bounds each request: one that was lost with its connection is never answered.
	requestMax = 5 * time.Second
	retryMin   = 100 * time.Millisecond
	retryMax   = 10 * time.Second
)

// Config is what the topics need.
type Config struct {
	// Conn is a connection as `service`, of its own: a slow subscriber stalls nobody else.
	Conn *nats.Conn
	// Client asks the read models.
	Client *bus.Client
	// Creation reads the event that a number is the place of, in a log: what a job or a group was created as, also when the
	// read models no longer hold it.
	Creation func(ctx context.Context, log id.Log, number uint64) (*v1.Event, error)
	Names    Names
	// Logger gets what an operator should see; nil is slog.Default.
	Logger *slog.Logger
}

// Topics publishes events, in any number of processes.
type Topics struct {
	cfg Config
	api js.JetStream

	lookEvery time.Duration // the constant, but in tests
}

// New makes one.
func New(c Config) (*Topics, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Names.Region == "" {
		c.Names.Region = "us-east-1"
	}
	if c.Names.Account == "" {
		c.Names.Account = "123456789012"
	}
	api, err := js.New(c.Conn)
	if err != nil {
		return nil, err
	}
	return &Topics{cfg: c, api: api, lookEvery: lookEvery}, nil
}

// Run publishes until ctx ends, and returns nil then. What cannot be reached is waited for.
func (t *Topics) Run(ctx context.Context) error {
	changed := make(chan *nats.Msg, 1)
	hint, err := t.cfg.Conn.Subscribe("drover.feed.job.EventsConfigured.*", func(m *nats.Msg) {
		select {
		case changed <- m:
		default:
		}
	})
	if err != nil {
		return err
	}
	defer func() { _ = hint.Unsubscribe() }()
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		worked, err := t.round(ctx, changed)
		if ctx.Err() != nil {
			return nil
		}
		if worked {
			wait = retryMin
		}
		if err == nil {
			continue
		}
		t.cfg.Logger.Debug("the event topics wait", "error", err, "after", wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// round makes the consumers what the configuration wants, and publishes until it is time to look at that again.
func (t *Topics) round(ctx context.Context, changed <-chan *nats.Msg) (worked bool, err error) {
	config, err := t.configuration(ctx)
	if err != nil {
		return false, err
	}
	consumers, err := t.consumers(ctx, config)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, t.lookEvery)
	defer cancel()
	failures := make(chan error, len(consumers))
	for _, c := range consumers {
		go func() { failures <- t.pump(ctx, c) }()
	}
	select {
	case <-ctx.Done():
	case <-changed:
		cancel()
	}
	for range consumers {
		err = errors.Join(err, <-failures)
	}
	return true, err
}

// pump publishes what a consumer hands out until ctx ends or something fails.
func (t *Topics) pump(ctx context.Context, c consumer) error {
	for ctx.Err() == nil {
		if err := t.publish(ctx, c); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// configuration is which categories are on, as the read models know it now.
func (t *Topics) configuration(ctx context.Context) (*v1.DescribeEventConfigurationsReply, error) {
	return bus.DescribeEventConfigurations.Call(ctx, t.cfg.Client, &v1.DescribeEventConfigurations{Freshness: &v1.Freshness{Fresh: true}})
}

// publish publishes what has come, flushes, and acknowledges it then. It waits a second for something to come.
func (t *Topics) publish(ctx context.Context, c consumer) error {
	batch, err := c.Fetch(fetchMax, js.FetchMaxWait(time.Second))
	if err != nil {
		return err
	}
	var done []js.Msg
	for msg := range batch.Messages() {
		if err := t.tell(ctx, c.category, msg); err != nil {
			t.cfg.Logger.Debug("an event is told later", "subject", msg.Subject(), "error", err)
			_ = msg.NakWithDelay(time.Second)
			continue
		}
		done = append(done, msg)
	}
	if err := batch.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
		return err
	}
	if len(done) == 0 {
		return nil
	}
	flush, cancel := context.WithTimeout(ctx, requestMax)
	defer cancel()
	if err := t.cfg.Conn.FlushWithContext(flush); err != nil {
		return fmt.Errorf("flush %d events: %w", len(done), err)
	}
	for _, msg := range done {
		if err := msg.Ack(); err != nil {
			return err
		}
	}
	return nil
}

// tell publishes what AWS tells of an event in a category, which may be nothing. What does not decode is passed over: the
// feed's own readers name it.
func (t *Topics) tell(ctx context.Context, category v1.EventCategory, msg js.Msg) error {
	event, err := feed.Decode(msg.Data())
	if err != nil {
		t.cfg.Logger.Error("the feed holds what is no event", "subject", msg.Subject(), "error", err)
		return nil
	}
	a, err := t.about(ctx, category, event)
	if err != nil {
		return err
	}
	for _, m := range t.cfg.Names.render(category, event, a) {
		if err := t.cfg.Conn.Publish(m.subject, m.payload); err != nil {
			return err
		}
	}
	return nil
}
