package inbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

// reasonMax bounds the reason that stands with a poisoned command, in bytes.
const reasonMax = 1024

// isPoison tells what no retry would mend: what was not understood, and what we panicked over.
func isPoison(err error) bool {
	var m malformed
	var p middleware.RecoveredPanicError
	return errors.As(err, &m) || errors.As(err, &p)
}

// poisonQueue keeps commands that no retry would mend, for Watermill's middleware.
type poisonQueue struct{ i *Inbox }

// Publish returns when the command is kept, and its outcome if it has a command id that can be used. A crash after it
// leaves the command to be delivered once more; the id of its message keeps it from being there twice.
func (q poisonQueue) Publish(_ string, messages ...*message.Message) error {
	for _, m := range messages {
		if err := q.i.putPoison(m.Context(), deliveryOf(m), m.Metadata.Get(middleware.ReasonForPoisonedKey)); err != nil {
			q.i.log.Warn("the poison queue takes nothing; what belongs there is tried again", "error", err)
			return err
		}
	}
	return nil
}

// Close implements message.Publisher.
func (poisonQueue) Close() error { return nil }

func (i *Inbox) putPoison(ctx context.Context, d *delivery, reason string) error {
	ctx, cancel := context.WithTimeout(ctx, stepMax)
	defer cancel()
	reason = oneLine(reason)
	msg := &nats.Msg{Subject: bus.PoisonSubject(d.service, d.name), Data: d.data, Header: d.headers()}
	msg.Header.Set(headerReason, reason)
	msg.Header.Set(headerOrigin, d.origin)
	msg.Header.Set(headerSubject, "drover.inbox."+d.service+"."+d.name)
	ack, err := i.own.PublishMsg(ctx, msg, js.WithMsgID(d.origin))
	if err != nil {
		return fmt.Errorf("put a durable command into the poison queue: %w", err)
	}
	i.poisoned.Add(1)
	i.log.Warn("a durable command is in the poison queue", "number", ack.Sequence, "service", d.service, "name", d.name, "reason", reason)
	id, err := d.commandID()
	if err != nil {
		return nil
	}
	code := v1.RefusalCode_REFUSAL_CODE_INTERNAL
	if d.misread {
		code = v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST
	}
	o := &v1.Outcome{
		CommandId: id, Operation: d.service + " " + d.name,
		Refusal: v1.Refuse(code, "", "%s; it stands in the poison queue as number %d", reason, ack.Sequence),
	}
	told, err := i.outcome(d, o)
	if err != nil {
		return err
	}
	middleware.SetCorrelationID(id, told[0])
	return outcomes{i}.Publish(outcomesStream, told...)
}

// oneLine makes a reason fit a header.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) > reasonMax {
		s = s[:reasonMax]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return s
}
