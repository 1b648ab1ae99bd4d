// Package host makes a core a service on one log: gather, decide, append, fold, answer, tell.
//
// It promises that what was answered stands in the log, that one commit is decided at a time, that the state is the
// fold of the log and nothing else, that every upstream entry is acted on exactly once, and that two hosts of one log
// do no harm: the slower one's append is refused and it steps down. With a lease it also promises that a request is
// answered by one host at most, and that who may be an owner no more tells nobody what he has not just written. It
// stops, and says where, rather than go on from a log that does not hold what it held. It leaves the rules to the core,
// who should own the log to the lease, and carrying requests and notifications to the fronts.
//
// Machine is the host without goroutines, clock and network: it is handed inputs and the outcome of each append, and
// says what to do next. Host drives one with goroutines; services/sim drives many from one. (design §4, §12)
package host

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

const (
	// waitingMax and waitingAge bound what waits here: requests, and how long the first of them has waited. Beyond
	// either a request is refused with THROTTLED. (design §4 step 2)
	waitingMax = 20_000
	waitingAge = time.Second
)

// Config says what a host runs, on what. Log, Core, State, Homes and Owner are required.
type Config struct {
	Log  *eventstore.Log
	Core core.Core
	// State is the core's, and the host's own rows in table 0x00. The host writes it alone; it stays the caller's to
	// close, after Run has returned.
	State kv.Store
	// Upstream are the logs that the core reads. The host of log.rollout reads execution logs by their tallies only.
	Upstream []*eventstore.Log
	// Tally counts what entries change, for the front of a commit. Nil: none (all but execution).
	Tally func([]*v1.Entry) []*v1.Tally
	// IsQuery tells a question for Core.Answer from a command for Core.Decide. Nil: there are no questions.
	IsQuery func(proto.Message) bool
	// Homes is how many there are, for the life of the system; a log that was opened with another number is refused.
	Homes uint32
	// Owner names this instance in its commits.
	Owner string
	// LogID is the id of the log if this host writes its first commit: 16 bytes. Default: drawn.
	LogID []byte
	// Notifier tells devices. Nil: there is nobody to tell (all but execution).
	Notifier Notifier
	// MaySpeak is asked right before an answer is given that wrote nothing: false while another host may own the log.
	// What may not be said waits. A Host sets it by its Lease. Nil: always.
	MaySpeak func() bool
	// Head remembers the end of the log outside of it. Nil: it is not remembered.
	Head Head
	// Logger has no default level of detail to set: it gets a line when a host starts, owns, stops, and when an
	// input is quarantined. Default: slog.Default().
	Logger *slog.Logger
	// Lease says when this host may own the log; until then it stands by. Nil: it is alone, takes the log over at once
	// and owns it until it is deposed.
	Lease Lease
	// Clock is the wall clock in ms since the epoch, read once at start. Default: that of the machine.
	Clock func() int64
}

// Head is what an *eventstore.HeadFile does.
type Head interface {
	Head() (eventstore.Head, bool)
	Set(eventstore.Head) error
	Sync() error
}

// Notifier tells devices what changed. Notify never blocks; it calls done when the notifications of that commit were
// handed to the broker and flushed, at any later time, from any goroutine, in any order.
type Notifier interface {
	Notify(number uint64, n []*v1.Notification, done func())
}

// Request is a command or a query.
type Request struct {
	Command proto.Message
	// ID makes a repeat of the accepted command return its outcome for 24 h: 1 to 64 printable characters, or empty.
	ID string
	// By is the principal; empty for a device.
	By string
	// Arrived is when the request came in, by the monotonic clock. Default: when it was submitted.
	Arrived time.Time
	// Done is called once, with a reply, a *v1.Refusal or ErrDropped, which is no answer. It must not block: the next commit waits for it.
	Done func(reply proto.Message, err error)
}

// Errors that end Run although nothing is wrong with the log: another host may go on, and so may this one by
// starting anew. Any other error but the context's says what is wrong and wants an operator.
var (
	// ErrDeposed: another host owns the log now.
	ErrDeposed = errors.New("another host owns the log")
	// ErrUnresolved: for 30 s it could not be learned whether a commit was stored.
	ErrUnresolved = errors.New("the outcome of an append stayed unknown for 30 s")
	// ErrSteppedDown: it was asked to (StepDown); all it had is written and the lease released.
	ErrSteppedDown = errors.New("stepped down so that another host may own the log")
)

// ErrDropped is what Done gets for a request that must not be answered: it arrived when the lease had run out, so that
// another owner may have answered it. Fronts send nothing for it.
var ErrDropped = v1.ErrDropped

// Host drives a Machine. Its methods are safe for concurrent use.
type Host struct {
	cfg   Config
	ready chan struct{}
	wake  chan struct{} // holds one: something arrived
	start time.Time
	epoch int64 // the time at start, ms: the wall clock, or what the log knew by then; Run's own once it has begun

	asked    context.Context // ends when a hand-over is asked for
	stepDown context.CancelCauseFunc
	ended    atomic.Bool // the term is over: nothing is told any more

	mu      sync.Mutex // guards what follows; held for a few assignments
	arrived []Request
	leased  time.Time // when the lease was gained; zero before
	until   time.Time // the time to which the lease was last seen to hold
	told    []uint64  // commits whose notifications were handed over, not yet taken in
	oldest  time.Time // arrival of the first request that is not decided; zero if there is none
	waiting int       // requests that are not decided
	stopped bool
	stats   Stats
}

// New makes a host; Run starts it.
func New(cfg Config) (*Host, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if cfg.Lease != nil && cfg.MaySpeak != nil {
		return nil, errors.New("host: MaySpeak follows from the lease")
	}
	h := &Host{cfg: cfg, ready: make(chan struct{}), wake: make(chan struct{}, 1), start: time.Now(), epoch: cfg.Clock()}
	if cfg.Lease != nil {
		h.cfg.MaySpeak = h.MaySpeak
	}
	h.asked, h.stepDown = context.WithCancelCause(context.Background())
	h.stats.State, h.stats.WaitsFor = "starting", fmt.Sprintf("%s: starting", cfg.Log.Name())
	return h, nil
}

func (c *Config) complete() error {
	if c.Log == nil || c.Core == nil || c.State == nil || c.Homes == 0 || c.Owner == "" {
		return errors.New("host: Log, Core, State, Homes and Owner are required")
	}
	if c.LogID == nil {
		c.LogID = make([]byte, 16)
		rand.Read(c.LogID) // never fails
	}
	if len(c.LogID) != 16 {
		return fmt.Errorf("host: the log's id has %d bytes, not 16", len(c.LogID))
	}
	if c.IsQuery == nil {
		c.IsQuery = func(proto.Message) bool { return false }
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Clock == nil {
		c.Clock = func() int64 { return time.Now().UnixMilli() }
	}
	c.Logger = c.Logger.With("log", c.Log.Name().String())
	return nil
}

// Ready is closed when the host owns its log, has caught up and takes requests.
func (h *Host) Ready() <-chan struct{} { return h.ready }

// Submit hands over a request. It never blocks; Done is called from another goroutine, or from here if the host takes
// no requests.
func (h *Host) Submit(r Request) {
	now := time.Now()
	if r.Arrived.IsZero() {
		r.Arrived = now
	}
	h.mu.Lock()
	h.lookAtLease()
	var refusal *v1.Refusal
	switch {
	case h.cfg.Lease != nil && h.leased.IsZero():
		h.mu.Unlock()
		r.Done(nil, ErrDropped) // whoever owns the log has it too
		return
	case h.stopped:
		refusal = v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "%s has stopped; ask again", h.cfg.Log.Name())
	case h.waiting >= waitingMax:
		h.stats.Throttled++
		refusal = v1.Refuse(v1.RefusalCode_REFUSAL_CODE_THROTTLED, "", "%d requests wait at %s; ask again later", h.waiting, h.cfg.Log.Name())
	case !h.oldest.IsZero() && now.Sub(h.oldest) > waitingAge && h.MaySpeak(): // who must be silent cannot say so: he keeps it
		h.stats.Throttled++
		refusal = v1.Refuse(v1.RefusalCode_REFUSAL_CODE_THROTTLED, "", "requests wait for more than %v at %s; ask again later", waitingAge, h.cfg.Log.Name())
	default:
		if h.oldest.IsZero() {
			h.oldest = r.Arrived
		}
		h.waiting++
		h.arrived = append(h.arrived, r)
	}
	h.mu.Unlock()
	switch {
	case refusal == nil:
		h.nudge()
	case h.MaySpeak():
		r.Done(nil, refusal)
	default:
		r.Done(nil, ErrDropped)
	}
}

// Do submits a request and waits for its answer. If ctx ends first the outcome is unknown, and it says so.
func (h *Host) Do(ctx context.Context, r Request) (proto.Message, error) {
	type outcome struct {
		reply proto.Message
		err   error
	}
	answered := make(chan outcome, 1)
	r.Done = func(reply proto.Message, err error) { answered <- outcome{reply, err} }
	h.Submit(r)
	select {
	case o := <-answered:
		return o.reply, o.err
	case <-ctx.Done():
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN, "", "%s gave no answer in time: %v", h.cfg.Log.Name(), ctx.Err())
	}
}

// nudge wakes the loop.
func (h *Host) nudge() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// now is the time of the start, run by the monotonic clock from there.
func (h *Host) now() int64 { return h.epoch + time.Since(h.start).Milliseconds() }
