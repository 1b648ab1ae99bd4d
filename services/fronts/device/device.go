// Package device speaks AWS IoT Jobs' device protocol, on topics and over HTTP: its JSON, its errors, its notifications.
//
// # On topics
//
// A Front serves the things of one home. It promises that requests of one thing are submitted in the order of their
// arrival; that each is answered once, with its clientToken if it had one and without if it had none; that the
// answers of a commit reach the broker before its notifications; and that neither a slow link nor a silent broker
// holds up whoever calls it. It decides nothing: what a request means is the execution core's.
//
// A request on $aws/things/<thing>/jobs/… is the subject $aws.things.<thing>.jobs.…, mapped by the broker to
// drover.home.<home>.device.<thing>.… (deploy/hub.conf):
//
//	get, start-next, <job>.get, <job>.update       requests; <job> may be $next in <job>.get
//	<request>.accepted, <request>.rejected         answers
//	notify, notify-next                            told without being asked
//	$inbox.>                                       where a device that speaks NATS may be answered instead
//
// A NATS request with a reply subject is answered there, if that is an inbox (_INBOX.… or …jobs.$inbox.…): another
// subject would make us publish where the asker may not. Without one, or with another, it is answered on the topic.
// (specification §3, §9.3, §10; design §5)
//
// # What the broker refuses before a Front sees it
//
//   - MQTT other than 3.1.1: CONNACK 1, closed.
//   - A client id with a dot, a space or a star: CONNACK 2, closed. A user name: CONNACK 5 (devices are anonymous).
//   - A publish at QoS 2: closed. A subscription at QoS 2 is granted QoS 1.
//   - A publish topic with + or #, or with a space: closed. A filter with a space: SUBACK 0x80.
//   - A filter outside $aws/things/+/jobs/#: SUBACK 0x80; a publish outside it, or to an answer, a notification or an
//     inbox: dropped without a word, at QoS 1 with a PUBACK all the same.
//   - A payload over 128 KiB: closed.
//
// Over NATS the same permissions are asynchronous errors of the connection.
//
// # Over HTTP
//
// A Handler serves all things, and asks the home of each over the bus. It promises that a request is read as leniently as a
// payload on a topic, and decided by the same core; that every request it cannot read is refused with 4xx, and changes
// nothing. Nothing is told over HTTP without being asked, and requests of one thing that come at once have no order.
// (specification §3.4)
//
//	GET  /things/<thing>/jobs          GetPendingJobExecutions
//	PUT  /things/<thing>/jobs/$next    StartNextPendingJobExecution
//	GET  /things/<thing>/jobs/<job>    DescribeJobExecution; <job> may be $next
//	POST /things/<thing>/jobs/<job>    UpdateJobExecution
package device

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

const (
	// requestsMax is how many requests may wait to be read; more are dropped, as by a device's lost link.
	requestsMax = 64 << 10
	// outstandingMax is how many requests may be submitted and not answered. It is more than a host lets wait
	// (20,000), so that a host's own refusal, RequestThrottled, is what a device meets first.
	outstandingMax = 40_000
)

// Config is what a Front needs.
type Config struct {
	// The connections stay the caller's. Their user may publish to inboxes and $aws.things.*.jobs.> only. They should be
	// two: each may stall by itself on a slow link.
	//
	// Requests come over the first and are answered over it. A device that asks as soon as it has subscribed is heard of
	// by a node of the hub in that order, and by another node in any: an answer that was given to that other node could
	// come before the subscription, and be dropped.
	Requests, Notify *nats.Conn
	Home             uint32
	// Submit hands on a request: *v1.GetPending, *v1.StartNext, *v1.DescribeExecution or *v1.UpdateExecution. It does
	// not block. done is called once, with the message's reply or an error, a *v1.Refusal if it was refused.
	// An error that is v1.ErrDropped sends nothing.
	Submit func(request proto.Message, done func(reply proto.Message, err error))
	// MaySpeak is asked right before a notification is sent, and before a request is refused that Submit never saw: an
	// owner whose lease has run out is silent (host.Host.MaySpeak). What may not be sent is kept until it may, or
	// until Close, and is not done. It must stay false once its owner's term has ended. Nil: always.
	MaySpeak func() bool
	// Shut begins without taking requests, until Open: who takes a home over tells devices first what the owner
	// before did not.
	Shut bool
	// Logger gets what is wrong with us, never a device's mistakes; nil is none.
	Logger *slog.Logger
}

// Front serves one home, for one term of its owner.
type Front struct {
	submit   func(proto.Message, func(proto.Message, error))
	maySpeak func() bool
	nc       *nats.Conn // of requests and answers
	home     uint32
	prefix   string             // of the subjects of requests
	door     sync.Mutex         // guards sub, while it is opened and shut
	sub      *nats.Subscription // nil: shut
	requests chan *nats.Msg
	slots    chan struct{} // one is taken for each request that is outstanding
	answers  *answers
	notifier *notifier
	drained  atomic.Bool // every request that was delivered before Drain has taken its slot
	closing  chan struct{}
	closed   sync.WaitGroup
}

// New subscribes the home's requests, unless it begins shut, and begins to answer.
func New(c Config) (*Front, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if c.MaySpeak == nil {
		c.MaySpeak = func() bool { return true }
	}
	f := &Front{
		submit:   c.Submit,
		maySpeak: c.MaySpeak,
		nc:       c.Requests,
		home:     c.Home,
		prefix:   fmt.Sprintf("drover.home.%d.device.", c.Home),
		requests: make(chan *nats.Msg, requestsMax),
		slots:    make(chan struct{}, outstandingMax),
		closing:  make(chan struct{}),
	}
	f.answers = newAnswers(c.Requests, f.slots, c.MaySpeak, c.Logger)
	f.notifier = newNotifier(c.Notify, f.answers, c.MaySpeak, c.Logger)
	if !c.Shut {
		if err := f.Open(); err != nil {
			return nil, err
		}
	}
	f.closed.Go(f.read)
	f.closed.Go(f.answers.write)
	f.closed.Go(f.notifier.run)
	return f, nil
}

// Open takes requests: whoever is told after it has returned, the broker knows of the subscription as well.
func (f *Front) Open() error {
	f.door.Lock()
	defer f.door.Unlock()
	if f.sub != nil {
		return nil
	}
	sub, err := f.nc.ChanSubscribe(f.prefix+">", f.requests)
	if err != nil {
		return fmt.Errorf("serve devices of home %d: %w", f.home, err)
	}
	if err := f.nc.FlushTimeout(10 * time.Second); err != nil {
		_ = sub.Unsubscribe()
		return fmt.Errorf("serve devices of home %d: %w", f.home, err)
	}
	f.sub = sub
	return nil
}

// Unsubscribe stops taking requests from the broker. What it has delivered is still submitted, and everything is
// answered and told until Close.
func (f *Front) Unsubscribe() error {
	f.door.Lock()
	defer f.door.Unlock()
	if f.sub == nil {
		return nil
	}
	err := f.sub.Unsubscribe()
	f.sub = nil
	return err
}

// Drain stops taking requests without losing those that are on their way, and returns when all are answered and the
// broker has the answers, or when ctx ends, which has a deadline. It is called at most once.
func (f *Front) Drain(ctx context.Context) error {
	f.door.Lock()
	sub := f.sub
	f.sub = nil
	f.door.Unlock()
	if sub == nil {
		return nil
	}
	// The client lets the subscription go when the broker has, and all that was under way is in the channel.
	err := sub.Drain()
	if err == nil {
		err = until(ctx, func() bool { return !sub.IsValid() })
	}
	if err == nil {
		select {
		case f.requests <- nil: // behind the last
			err = until(ctx, func() bool { return f.drained.Load() && len(f.slots) == 0 })
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err == nil {
		err = f.answers.nc.FlushWithContext(ctx)
	}
	if err != nil {
		return fmt.Errorf("drain the devices of home %d, %d requests are not answered: %w", f.home, len(f.slots), err)
	}
	return nil
}

// until waits for what nobody announces, or until ctx ends.
func until(ctx context.Context, holds func() bool) error {
	for !holds() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// Close stops taking requests, sends the answers and notifications that are at hand, and ends. Requests that are
// still being decided stay unanswered.
func (f *Front) Close() error {
	err := f.Unsubscribe()
	close(f.closing)
	f.notifier.stop()
	f.answers.stop()
	f.closed.Wait()
	return err
}

// read submits requests one by one, in the order in which the broker delivered them.
func (f *Front) read() {
	for {
		select {
		case m := <-f.requests:
			if m == nil {
				f.drained.Store(true)
				continue
			}
			select {
			case f.slots <- struct{}{}:
				f.take(m)
			case <-f.closing:
				return
			}
		case <-f.closing:
			return
		}
	}
}

// take submits one request, or refuses it.
func (f *Front) take(m *nats.Msg) {
	r, refusal := parse(m.Subject[len(f.prefix):], m.Reply, m.Data)
	if refusal != nil {
		var err error = refusal
		if !f.maySpeak() {
			err = v1.ErrDropped
		}
		f.answers.add(r, nil, err)
		return
	}
	f.submit(r.message, func(reply proto.Message, err error) { f.answers.add(r, reply, err) })
}
