package inbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

// outcome makes a message of an outcome: in JSON for a command in JSON, else in protobuf.
func (i *Inbox) outcome(d *delivery, o *v1.Outcome) ([]*message.Message, error) {
	o.AtMs = time.Now().UnixMilli()
	json, _ := d.json()
	marshal := proto.Marshal
	if json {
		marshal = protojson.Marshal
	}
	data, err := marshal(o)
	if err != nil {
		return nil, fmt.Errorf("outcome of %s: %w", o.Operation, err)
	}
	m := message.NewMessage(o.CommandId, data)
	m.Metadata.Set(headerOrigin, d.origin)
	if json {
		m.Metadata.Set(bus.HeaderContentType, bus.ContentJSON)
	}
	return []*message.Message{m}, nil
}

// outcomes publishes outcomes for the router. The correlation id is the command id.
type outcomes struct{ i *Inbox }

// Publish returns when the outcomes are kept. A crash after it leaves the command to be delivered once more.
func (o outcomes) Publish(_ string, messages ...*message.Message) error {
	for _, m := range messages {
		msg := &nats.Msg{Subject: bus.OutcomeSubject(middleware.MessageCorrelationID(m)), Data: m.Payload, Header: nats.Header{}}
		for _, name := range []string{headerOrigin, bus.HeaderContentType} {
			if v := m.Metadata.Get(name); v != "" {
				msg.Header.Set(name, v)
			}
		}
		ctx, cancel := context.WithTimeout(m.Context(), stepMax)
		_, err := o.i.logs.PublishMsg(ctx, msg)
		cancel()
		if err != nil {
			o.i.retried.Add(1)
			o.i.log.Warn("an outcome cannot be kept; its command is tried again", "command", m.UUID, "error", err)
			return fmt.Errorf("keep the outcome of %s: %w", m.UUID, err)
		}
	}
	return nil
}

// Close implements message.Publisher: there is nothing to flush, and the connection is not ours.
func (outcomes) Close() error { return nil }

// told says whether the outcome of this very command is kept. That of another one with the same id is not its own.
func (i *Inbox) told(ctx context.Context, id, origin string) (bool, error) {
	msg, err := i.lastOutcome(ctx, id)
	if errors.Is(err, js.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil && msg.Header.Get(headerOrigin) == origin, err
}

func (i *Inbox) lastOutcome(ctx context.Context, id string) (*js.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, stepMax)
	defer cancel()
	msg, err := i.kept.GetLastMsgForSubject(ctx, bus.OutcomeSubject(id))
	if err != nil {
		return nil, fmt.Errorf("outcome of %s: %w", id, err)
	}
	return msg, nil
}

// getOutcome answers bus.GetOutcome.
func (i *Inbox) getOutcome(ctx context.Context, _ bus.Request, q *v1.GetOutcome) (*v1.Outcome, error) {
	if err := bus.CheckCommandID(q.GetCommandId()); err != nil {
		return nil, err
	}
	msg, err := i.lastOutcome(ctx, q.GetCommandId())
	if errors.Is(err, js.ErrMsgNotFound) {
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "commandId", "no outcome of %q: it was not decided yet, not published to the inbox, or more than 24 h ago", q.GetCommandId())
	}
	if err != nil {
		return nil, unavailable(err)
	}
	o, err := bus.ParseOutcome(msg.Header, msg.Data)
	if err != nil {
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INTERNAL, "", "the outcome of %q: %v", q.GetCommandId(), err)
	}
	return o, nil
}

func unavailable(err error) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "%v", err)
}
