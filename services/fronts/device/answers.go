package device

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// flushMax is how long a broker may take to say that it has what was published.
const flushMax = 10 * time.Second

// answers sends answers in the order in which they were added, from a goroutine of its own: whoever adds one, a host
// between two commits, never waits for a socket. What waits is bounded by the slots of the requests.
type answers struct {
	nc       *nats.Conn
	slots    <-chan struct{}
	maySpeak func() bool
	log      *slog.Logger

	mu      sync.Mutex // guards what follows, for moments
	changed *sync.Cond
	queue   []answer
	added   uint64 // answers ever added
	sent    uint64 // answers ever handed to the connection
	stopped bool

	flushed uint64 // answers that the broker is known to have; the notifier's alone
}

type answer struct {
	request *request
	reply   proto.Message
	err     error
}

func newAnswers(nc *nats.Conn, slots <-chan struct{}, maySpeak func() bool, log *slog.Logger) *answers {
	a := &answers{nc: nc, slots: slots, maySpeak: maySpeak, log: log}
	a.changed = sync.NewCond(&a.mu)
	return a
}

// add takes an answer; err is nil or why there is no reply.
func (a *answers) add(r *request, reply proto.Message, err error) {
	a.mu.Lock()
	a.queue = append(a.queue, answer{r, reply, err})
	a.added++
	a.mu.Unlock()
	a.changed.Broadcast()
}

// mark is how many answers were added so far.
func (a *answers) mark() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.added
}

// flush waits until the broker has the first n answers. Only the notifier calls it.
func (a *answers) flush(n uint64) error {
	if n <= a.flushed {
		return nil
	}
	a.mu.Lock()
	for a.sent < n && !a.stopped {
		a.changed.Wait()
	}
	n = a.sent
	a.mu.Unlock()
	err := a.nc.FlushTimeout(flushMax)
	if err == nil {
		a.flushed = n
	}
	return err
}

// stop makes write end once the queue is empty.
func (a *answers) stop() {
	a.mu.Lock()
	a.stopped = true
	a.mu.Unlock()
	a.changed.Broadcast()
}

// write sends until stop.
func (a *answers) write() {
	var queue []answer
	var buf []byte
	for {
		a.mu.Lock()
		a.sent += uint64(len(queue))
		for len(a.queue) == 0 && !a.stopped {
			if len(queue) > 0 {
				a.changed.Broadcast() // flush may wait for these
				clear(queue)
				queue = queue[:0]
			}
			a.changed.Wait()
		}
		if len(a.queue) == 0 {
			a.mu.Unlock()
			a.changed.Broadcast()
			return
		}
		clear(queue)
		queue, a.queue = a.queue, queue[:0]
		a.mu.Unlock()
		a.changed.Broadcast()
		for _, one := range queue {
			buf = a.send(buf[:0], one)
			select {
			case <-a.slots:
			default: // a request that took none
			}
		}
	}
}

// send publishes one answer and returns the buffer. Of v1.ErrDropped nobody is told.
func (a *answers) send(buf []byte, one answer) []byte {
	if errors.Is(one.err, v1.ErrDropped) {
		return buf
	}
	if onlyRead(one) && !a.maySpeak() {
		// The process stood still between the answer and here; nobody else has the request, for it came in time.
		one.reply, one.err = nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "the home may have another owner; ask again")
	}
	subject := one.request.inbox
	if one.err == nil {
		buf = appendAccepted(buf, one.request, one.reply)
		if subject == "" {
			subject = one.request.topic + ".accepted"
		}
	} else {
		buf = a.reject(buf, one.request, one.err)
		if subject == "" {
			subject = one.request.topic + ".rejected"
		}
	}
	// An answer that cannot be sent is lost, like one on a broken link: the device asks again.
	if err := a.nc.Publish(subject, buf); err != nil && !errors.Is(err, nats.ErrReconnectBufExceeded) {
		a.log.Warn("answer not sent", "subject", subject, "error", err)
	}
	return buf
}

// onlyRead says that an answer tells of nothing but what its owner knew then. A start of an execution that had begun, and
// the repeat of an update, cannot be told from those that wrote; what they tell stands in the log.
func onlyRead(one answer) bool {
	switch r := one.reply.(type) {
	case *v1.GetPendingReply, *v1.DescribeExecutionReply:
		return true
	case *v1.StartNextReply:
		return r.GetExecution() == nil
	}
	return one.err != nil
}

func (a *answers) reject(buf []byte, r *request, err error) []byte {
	var refusal *v1.Refusal
	if !errors.As(err, &refusal) {
		a.log.Error("device request", "topic", r.topic, "error", err)
		refusal = internal
	}
	return appendRefusal(buf, r, refusal, time.Now().UnixMilli())
}

// internal is told for an error that is no refusal.
var internal = v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INTERNAL, "", "internal error")

// appendRefusal appends the rejection of a request.
func appendRefusal(buf []byte, r *request, refusal *v1.Refusal, nowMs int64) []byte {
	code, known := codes[refusal.GetCode()]
	if !known {
		code = "InternalError"
	}
	return appendRejected(buf, r, code, told(refusal), refusal.GetState(), nowMs)
}

// told is a refusal's message for a device. A field is named where the request is at fault; the other messages stand for
// themselves.
func told(refusal *v1.Refusal) string {
	if refusal.GetCode() == v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST {
		return refusal.Error()
	}
	return refusal.GetMessage()
}
