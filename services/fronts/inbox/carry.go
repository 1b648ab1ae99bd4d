package inbox

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/encoding/protojson"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

const (
	// attemptsInLine is how often a command whose outcome stays unknown is tried before others may overtake it.
	attemptsInLine = 5
	// faultsMax is how often a fault of ours is met before the command goes to the poison queue: a core that panics
	// writes the command into its log each time.
	faultsMax = 3
)

// unanswered is a command to try again.
type unanswered struct {
	err error
	// hold keeps the line: what comes behind it would fare no better.
	hold bool
	// step aside now: what comes behind it may do better.
	step bool
}

func (u unanswered) Error() string { return u.err.Error() }
func (u unanswered) Unwrap() error { return u.err }

// carry calls one command and returns its outcome, which the router publishes before it acknowledges the command.
func (i *Inbox) carry(m *message.Message) ([]*message.Message, error) {
	d := deliveryOf(m)
	c, err := d.decode()
	if err != nil {
		return nil, err
	}
	ctx := m.Context()
	if d.attempts > 1 {
		// A refusal that was told stays one: it is not decided again because a process died before the acknowledgement.
		told, err := i.told(ctx, c.id, d.origin)
		if err != nil {
			return nil, unanswered{err: err, hold: true}
		}
		if told {
			return nil, nil
		}
	}
	reply, err := c.op.Call(ctx, i.client, c.body, bus.WithCommandID(c.id))
	o := &v1.Outcome{CommandId: c.id, Operation: c.op.String()}
	if err != nil {
		if o.Refusal, err = i.refusal(d, c, err); err != nil {
			return nil, err
		}
		i.refused.Add(1)
		return i.outcome(d, o)
	}
	text, err := protojson.Marshal(reply)
	if err != nil {
		return nil, fmt.Errorf("reply of %s: %w", c.op, err)
	}
	o.ReplyJson = string(text)
	i.accepted.Add(1)
	return i.outcome(d, o)
}

// refusal tells a refusal, which is an outcome, from what is tried again and what goes to the poison queue, which are
// errors.
func (i *Inbox) refusal(d *delivery, c command, err error) (*v1.Refusal, error) {
	var r *v1.Refusal
	if !errors.As(err, &r) {
		return nil, unanswered{err: err}
	}
	switch r.Code {
	case v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE:
		return nil, unanswered{err: r, hold: !c.op.PerThing(), step: c.op.PerThing()}
	case v1.RefusalCode_REFUSAL_CODE_THROTTLED:
		return nil, unanswered{err: r, hold: true}
	case v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN:
		return nil, unanswered{err: r}
	case v1.RefusalCode_REFUSAL_CODE_INTERNAL:
		if d.attempts < faultsMax {
			return nil, unanswered{err: r}
		}
		return nil, malformedf("a fault of Drover's own, met %d times; nothing was decided: %v", d.attempts, r)
	}
	return r, nil
}

// setAside is the outermost middleware: it takes a command out of its line that holds up others for nothing. A crash
// after it leaves the command there twice, with one id and one origin.
func (i *Inbox) setAside(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		produced, err := next(m)
		if err == nil {
			return produced, nil
		}
		d := deliveryOf(m)
		var u unanswered
		errors.As(err, &u)
		i.retried.Add(1)
		if d.attempts == 1 || u.step {
			i.log.Warn("a durable command is tried again", "service", d.service, "name", d.name, "attempt", d.attempts, "error", err)
		}
		if d.aside || u.hold || !u.step && d.attempts < attemptsInLine {
			return nil, err
		}
		if aside := i.publishAside(m.Context(), d); aside != nil {
			return nil, errors.Join(err, aside)
		}
		i.setAsides.Add(1)
		return nil, nil
	}
}

func (i *Inbox) publishAside(ctx context.Context, d *delivery) error {
	ctx, cancel := context.WithTimeout(ctx, stepMax)
	defer cancel()
	msg := &nats.Msg{Subject: bus.AsideSubject(d.service, d.name), Data: d.data, Header: d.headers()}
	msg.Header.Set(headerOrigin, d.origin)
	msg.Header.Set(headerAttempts, strconv.FormatUint(d.attempts, 10))
	if _, err := i.own.PublishMsg(ctx, msg); err != nil {
		return fmt.Errorf("set a durable command aside: %w", err)
	}
	return nil
}

type deliveryKey struct{}

func deliveryOf(m *message.Message) *delivery {
	return m.Context().Value(deliveryKey{}).(*delivery)
}
