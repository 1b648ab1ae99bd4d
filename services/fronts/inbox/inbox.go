// Package inbox carries durable commands out: what is published to drover.inbox.<service>.<name> while nobody can take a
// command is kept, decided when somebody can, and answered on drover.outcome.<command id>.
//
// It promises that a command which was acknowledged (a JetStream publish and its PubAck) is decided, or stands in the
// poison queue with a reason, whatever dies meanwhile; that it takes effect once, because every delivery of it carries the
// same command id; and that its outcome is kept before it is let go of. It holds no rule: a command is called over the bus
// like anybody's, and Watermill's router and middlewares carry it there. (design §5)
//
// # A command
//
// Its payload is the command's message as the bus takes it: protobuf, or JSON where Content-Type says application/json. The
// header Drover-Command-Id, 1 to 64 printable characters, is the name under which its outcome is found, and under which a
// publisher that saw no acknowledgement may publish it again. Without it the command gets an id from its place in the
// stream (inbox-…), which keeps deliveries apart from repeats and cannot be known beforehand.
//
// # Order
//
// A service's commands are carried out one after another, in the order in which the stream took them, by however many
// processes run; also through an outage of the service, which holds its line until it is back. Those of different services
// go side by side. A command loses its place when it is set aside: a per-thing command whose home does not answer, at once;
// any other that still has no outcome after attemptsInLine. What was set aside has no order.
//
// # What becomes of an answer
//
//	accepted, refused                  an outcome
//	UNAVAILABLE, THROTTLED             tried again for ever; the line waits, but not for one home
//	OUTCOME_UNKNOWN, no answer at all  tried again for ever, with the same id; set aside after attemptsInLine
//	INTERNAL                           a fault of ours, nothing was decided: poison, after faultsMax
//	not decoded, not a command         poison
//
// What goes to the poison queue has an outcome too, a refusal that says so, if its command id can be used.
//
// # What a crash leaves
//
//	after the call, before the outcome      the command is delivered again, and the same id returns what was decided
//	after the outcome, before the ack       it is delivered again, and its outcome is found: it is let go of
//	after poison, before the ack            it is delivered again, and put there once, by the id of the message
//	after being set aside, before the ack   it is there twice, with one id and one origin: the second finds the outcome
//
// # Streams
//
//	inbox     account DROVER   work queue; drover.inbox.<service>.<name>, stored as inbox.<lane>.<service>.<name>: the
//	                           lane is a hash of the service, and each lane has a consumer of its own that hands out one
//	                           message at a time. drover.inbox.aside.<service>.<name> is what was set aside.
//	poison    account DROVER   drover.poison.<service>.<name>: what no retry would mend, kept until retried or dropped
//	outcomes  account LOGS     drover.outcome.<command id>, the last of each, kept for 24 h
//
// Headers of our own in these streams: Drover-Origin, the place where the inbox first stored the command; Drover-Attempts,
// how often it was tried before it was set aside; Drover-Reason and Drover-Subject, in poison.
package inbox

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/services/bus"
)

// stepMax bounds one request to a stream.
const stepMax = 10 * time.Second

// Config is what an inbox needs.
type Config struct {
	// Inbox is a connection of its own, as `inbox`: it takes from the streams of account DROVER and calls the commands.
	Inbox *nats.Conn
	// Service is a connection as `service`: it keeps outcomes in account LOGS.
	Service *nats.Conn
	// Logger gets what an operator should see; nil is slog.Default.
	Logger *slog.Logger
}

// Inbox carries out durable commands. Any number of processes may run one.
type Inbox struct {
	log    *slog.Logger
	client *bus.Client
	own    js.JetStream // account DROVER
	poison js.Stream
	queue  js.Stream
	kept   js.Stream // the outcomes
	logs   js.JetStream
	// delayMin is the constant, and less in a test.
	delayMin time.Duration
	// born names this life of the stream inbox: a stream that was made anew counts from 1 again.
	born string

	accepted, refused, poisoned, retried, setAsides atomic.Uint64

	mu      sync.Mutex // guards what follows
	closed  bool
	stop    context.CancelFunc
	stopped chan struct{}
}

// New makes an inbox. The streams must be there (CreateStreams); the error names the one that is not.
func New(ctx context.Context, c Config) (*Inbox, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	i := &Inbox{log: c.Logger, client: bus.NewClient(c.Inbox), delayMin: delayMin}
	var err error
	if i.own, err = js.New(c.Inbox); err != nil {
		return nil, err
	}
	if i.logs, err = js.New(c.Service); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		in   js.JetStream
		name string
		into *js.Stream
	}{{i.own, inboxStream, &i.queue}, {i.own, poisonStream, &i.poison}, {i.logs, outcomesStream, &i.kept}} {
		if *s.into, err = s.in.Stream(ctx, s.name); err != nil {
			return nil, fmt.Errorf("stream %s of durable commands: %w", s.name, err)
		}
	}
	i.born = bornName(i.queue.CachedInfo().Created)
	return i, nil
}

// Run carries commands out until ctx ends or Close is called, and returns nil then, once what is in hand was answered.
// What cannot be reached is waited for.
func (i *Inbox) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopped := make(chan struct{})
	defer close(stopped)
	i.mu.Lock()
	i.stop, i.stopped = cancel, stopped
	closed := i.closed
	i.mu.Unlock()
	if closed {
		return nil
	}
	router, err := i.router()
	if err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		select {
		case <-router.Running(): // before, it cannot be closed in good order
		case <-stopped:
			return
		}
		if err := router.Close(); err != nil {
			i.log.Warn("the inbox stopped with commands in hand; they are delivered again", "error", err)
		}
	}()
	return router.Run(context.WithoutCancel(ctx))
}

// router has a handler for every lane, all the same.
func (i *Inbox) router() (*message.Router, error) {
	// Watermill reports an error at every attempt; what an operator should see of them is logged where it is known.
	quiet := watermill.NewSlogLoggerWithLevelMapping(i.log, map[slog.Level]slog.Level{
		slog.LevelInfo: slog.LevelDebug - 1, slog.LevelError: slog.LevelDebug,
	})
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 30 * time.Second}, quiet)
	if err != nil {
		return nil, err
	}
	poison, err := middleware.PoisonQueueWithFilter(poisonQueue{i}, poisonStream, isPoison)
	if err != nil {
		return nil, err
	}
	router.AddMiddleware(i.setAside, poison, middleware.CorrelationID, middleware.Recoverer)
	lanes := newSubscriber(i)
	for _, c := range consumers() {
		router.AddHandler(c.Durable, c.Durable, lanes, outcomesStream, outcomes{i}, i.carry)
	}
	return router, nil
}

// Close ends Run, if it runs, and waits for it; a Run that begins later ends at once. The connections stay the caller's.
func (i *Inbox) Close() error {
	i.mu.Lock()
	i.closed = true
	stop, stopped := i.stop, i.stopped
	i.mu.Unlock()
	if stop != nil {
		stop()
		<-stopped
	}
	return nil
}

// Stats counts, for metrics.
type Stats struct {
	// Waiting is how many commands the inbox keeps, those in hand included; Poison how many the poison queue holds.
	Waiting, Poison uint64
	// What this process has done since it started: commands answered, by outcome; put into the poison queue; tried in
	// vain, to be tried again; and set aside.
	Accepted, Refused, Poisoned, Retried, SetAside uint64
}

// Stats asks the streams how long they are. Its error is that of asking; the counts of this process are there anyway.
func (i *Inbox) Stats(ctx context.Context) (Stats, error) {
	s := Stats{
		Accepted: i.accepted.Load(), Refused: i.refused.Load(), Poisoned: i.poisoned.Load(),
		Retried: i.retried.Load(), SetAside: i.setAsides.Load(),
	}
	ctx, cancel := context.WithTimeout(ctx, stepMax)
	defer cancel()
	queue, err := i.own.Stream(ctx, inboxStream)
	if err != nil {
		return s, fmt.Errorf("length of the inbox: %w", err)
	}
	poison, err := i.own.Stream(ctx, poisonStream)
	if err != nil {
		return s, fmt.Errorf("length of the poison queue: %w", err)
	}
	s.Waiting, s.Poison = queue.CachedInfo().State.Msgs, poison.CachedInfo().State.Msgs
	return s, nil
}
