package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/eventstore"
)

const (
	// pullBytes is how much the server may send ahead of the reader.
	pullBytes = 8 << 20
	pullMsgs  = 1 << 16
	// pullExpires is how long one request for messages stands.
	pullExpires = 30 * time.Second
	// heartbeat is how often the server says that it is there while it has nothing to send; after silence the reader begins anew
	// where it was.
	heartbeat = time.Second
	silence   = 2500 * time.Millisecond
	// inactive is after how long the server forgets a reader that has gone.
	inactive = time.Minute

	retryMin, retryMax = 50 * time.Millisecond, 2 * time.Second
)

// Follow implements eventstore.Backend by a consumer without acknowledgements, which is made anew, behind the last message
// that was delivered, whenever a message was missed on the way, the server is silent, or the connection was lost.
// Only a stream or a connection that is gone ends it otherwise, and a log that has come back shorter than what was
// delivered of it: *eventstore.DamageError.
func (b *Backend) Follow(ctx context.Context, from uint64, deliver func(eventstore.Record) error) error {
	from = max(from, 1)
	r := &reader{Backend: b, next: from, delivered: from - 1, deliver: deliver}
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		before := r.next
		err := r.holds(ctx)
		if err == nil {
			err = r.read(ctx)
		}
		switch {
		case r.failed != nil:
			return r.failed
		case ctx.Err() != nil:
			return ctx.Err()
		case b.nc.IsClosed(), isCode(err, js.JSErrCodeStreamNotFound):
			return fmt.Errorf("follow log %s: %w", b.log, err)
		}
		if r.next > before {
			wait = retryMin
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// reader is one Follow.
type reader struct {
	*Backend
	next    uint64 // the number to ask for
	deliver func(eventstore.Record) error
	failed  error // what deliver returned, or the damage that was found

	delivered uint64    // the last number that was delivered, here or before
	shorter   time.Time // since when the log ends before that; zero if it does not
}

var errStale = errors.New("the consumer is behind or gone")

// shorterMax is how long a replicated log may end before what was delivered of it: a new leader may need a moment to
// apply what was acknowledged. One server alone answers for what it has.
const shorterMax = 10 * time.Second

// holds makes sure, before a consumer is made anew, that the log still reaches to what was delivered. A consumer behind the end of
// a log that was cut would wait until others' commits have grown past it.
func (r *reader) holds(ctx context.Context) error {
	if r.delivered == 0 {
		return nil
	}
	_, last, err := r.Bounds(ctx)
	switch {
	case err != nil:
		return err
	case last >= r.delivered:
		r.shorter = time.Time{}
		return nil
	case r.shorter.IsZero() && r.replicas > 1:
		r.shorter = time.Now()
	case time.Since(r.shorter) > shorterMax:
		r.failed = &eventstore.DamageError{Log: r.log, First: last + 1, Last: r.delivered, Why: fmt.Sprintf("the log ends at %d, but %d was read from it: its end was cut off", last, r.delivered)}
	}
	return errStale
}

// read delivers messages through one consumer until something ends it.
func (r *reader) read(ctx context.Context) error {
	sub, err := r.nc.SubscribeSync(r.nc.NewInbox())
	if err != nil {
		return err
	}
	defer sub.Unsubscribe()
	if err := sub.SetPendingLimits(-1, 4*pullBytes); err != nil {
		return err
	}
	ctx, stop := r.interrupt(ctx, sub)
	defer stop()
	consumer, err := r.createConsumer(ctx)
	if err != nil {
		return err
	}
	// Nobody waits for the answer: a consumer that was not deleted is forgotten when it is inactive.
	defer r.nc.PublishRequest("$JS.API.CONSUMER.DELETE."+r.stream+"."+consumer, r.nc.NewInbox(), nil)

	if err := r.pull(sub, consumer); err != nil {
		return err
	}
	pulled := 0
	for delivered := uint64(0); ; {
		msg, err := sub.NextMsg(silence)
		if err != nil {
			return err
		}
		if msg.Reply == "" || len(msg.Header.Get("Status")) > 0 {
			again, err := status(msg, delivered)
			if err != nil {
				return err
			}
			if again {
				if err := r.pull(sub, consumer); err != nil {
					return err
				}
				pulled = 0
			}
			continue
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Consumer != delivered+1 || meta.Sequence.Stream < r.next {
			return errStale // a message was lost between the server and here; from the log itself nothing is missing yet
		}
		delivered++
		if err := ctx.Err(); err != nil {
			return err
		}
		if r.failed = r.deliver(eventstore.Record{Number: meta.Sequence.Stream, Data: msg.Data, Stored: meta.Timestamp}); r.failed != nil {
			return r.failed
		}
		r.delivered, r.next = meta.Sequence.Stream, meta.Sequence.Stream+1
		if pulled++; pulled == pullMsgs {
			if err := r.pull(sub, consumer); err != nil {
				return err
			}
			pulled = 0
		}
	}
}

// interrupt ends the subscription, and so whoever waits on it, and the context that it returns, when ctx ends or the
// connection was made anew: what the server sent meanwhile is lost. Stop ends the watch.
func (r *reader) interrupt(ctx context.Context, sub *nats.Subscription) (watched context.Context, stop func()) {
	watched, cancel := context.WithCancel(ctx)
	changed := r.nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	go func() {
		select {
		case <-watched.Done():
		case <-changed:
			cancel()
		}
		sub.Unsubscribe()
	}()
	return watched, func() {
		cancel()
		r.nc.RemoveStatusListener(changed)
	}
}

func (r *reader) createConsumer(ctx context.Context) (string, error) {
	query := struct {
		Stream string            `json:"stream_name"`
		Config js.ConsumerConfig `json:"config"`
	}{r.stream, js.ConsumerConfig{
		AckPolicy:         js.AckNonePolicy,
		DeliverPolicy:     js.DeliverByStartSequencePolicy,
		OptStartSeq:       r.next,
		ReplayPolicy:      js.ReplayInstantPolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: inactive,
	}}
	var reply struct {
		Name string `json:"name"`
	}
	err := r.request(ctx, "CONSUMER.CREATE."+r.stream, query, &reply)
	return reply.Name, err
}

// pull asks the server for the next messages.
func (r *reader) pull(sub *nats.Subscription, consumer string) error {
	query, err := json.Marshal(map[string]int64{
		"batch":          pullMsgs,
		"max_bytes":      pullBytes,
		"expires":        int64(pullExpires),
		"idle_heartbeat": int64(heartbeat),
	})
	if err != nil {
		return err
	}
	return r.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+r.stream+"."+consumer, sub.Subject, query)
}

// status reads a message of the server's own: a heartbeat, or the end of a request, after which to ask again. Any other says that
// the consumer is gone.
func status(msg *nats.Msg, delivered uint64) (again bool, err error) {
	switch code, text := msg.Header.Get("Status"), msg.Header.Get("Description"); code {
	case "100":
		last := msg.Header.Get("Nats-Last-Consumer")
		if n, err := strconv.ParseUint(last, 10, 64); err == nil && n > delivered {
			return false, errStale // sent, and never arrived
		}
		return false, nil
	case "408":
		return true, nil
	case "409":
		if text == "Message Size Exceeds MaxBytes" || text == "Batch Completed" {
			return true, nil
		}
		return false, fmt.Errorf("%w (%s)", errStale, text)
	default:
		return false, fmt.Errorf("%w (%s %s)", errStale, code, text)
	}
}
