package inbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

const (
	pageDefault = 100
	pageMax     = 1000
	// pageBytes ends a page: a reply is one message of the broker.
	pageBytes = 256 << 10
)

// Serve answers ListPoison, RetryPoison, DropPoison and GetOutcome on s. Any number of processes may.
func (i *Inbox) Serve(s *bus.Server) error {
	return errors.Join(
		bus.Serve(s, bus.ListPoison, i.listPoison),
		bus.Serve(s, bus.RetryPoison, i.retryPoison),
		bus.Serve(s, bus.DropPoison, i.dropPoison),
		bus.Serve(s, bus.GetOutcome, i.getOutcome),
	)
}

func (i *Inbox) listPoison(ctx context.Context, _ bus.Request, q *v1.ListPoison) (*v1.ListPoisonReply, error) {
	limit := int(q.GetPage().GetLimit())
	switch {
	case limit == 0:
		limit = pageDefault
	case limit > pageMax:
		return nil, invalid("maxResults", "%d is more than a page holds; 1 to %d are allowed, 0 is %d", limit, pageMax, pageDefault)
	}
	after := uint64(0)
	if token := q.GetPage().GetToken(); token != "" {
		var err error
		if after, err = strconv.ParseUint(token, 10, 63); err != nil {
			return nil, invalid("nextToken", "is none of this list's")
		}
	}
	reply, bytes := &v1.ListPoisonReply{}, 0
	for {
		msg, err := i.poisonFrom(ctx, after+1)
		if err != nil || msg == nil {
			return reply, err
		}
		if len(reply.Messages) == limit || bytes >= pageBytes {
			reply.NextToken = strconv.FormatUint(after, 10)
			return reply, nil
		}
		after = msg.Sequence
		m := viewPoison(msg)
		reply.Messages = append(reply.Messages, m)
		bytes += m.SizeVT()
	}
}

func viewPoison(msg *js.RawStreamMsg) *v1.PoisonMessage {
	m := &v1.PoisonMessage{
		Number: msg.Sequence, Subject: msg.Header.Get(headerSubject), Reason: msg.Header.Get(headerReason),
		AtMs: msg.Time.UnixMilli(), ContentType: msg.Header.Get(bus.HeaderContentType), Data: msg.Data,
	}
	// A stream acknowledges where the publisher says; here too. What comes by that way has no reason.
	if m.Subject == "" {
		m.Subject, m.Reason = msg.Subject, "nobody knows: the inbox did not put it here"
	}
	d := poisoned(msg)
	if id, err := d.commandID(); err == nil {
		m.CommandId = id
	}
	return m
}

// poisoned is a poisoned command as the inbox first had it.
func poisoned(msg *js.RawStreamMsg) *delivery {
	return &delivery{header: msg.Header, data: msg.Data, origin: msg.Header.Get(headerOrigin)}
}

// retryPoison publishes commands to the inbox again, under the ids that they had.
func (i *Inbox) retryPoison(ctx context.Context, _ bus.Request, q *v1.RetryPoison) (*v1.RetryPoisonReply, error) {
	n, err := i.takeOff(ctx, q.GetNumbers(), q.GetAll(), i.publishAgain)
	return &v1.RetryPoisonReply{Retried: n}, err
}

func (i *Inbox) dropPoison(ctx context.Context, _ bus.Request, q *v1.DropPoison) (*v1.DropPoisonReply, error) {
	n, err := i.takeOff(ctx, q.GetNumbers(), q.GetAll(), func(context.Context, *js.RawStreamMsg) error { return nil })
	return &v1.DropPoisonReply{Dropped: n}, err
}

// publishAgain puts a poisoned command at the end of its line. A crash after it, or a second asker, leaves it there twice,
// with one id.
func (i *Inbox) publishAgain(ctx context.Context, msg *js.RawStreamMsg) error {
	d := poisoned(msg)
	subject := msg.Header.Get(headerSubject)
	service, name, err := bus.ParseInboxSubject(subject)
	if err != nil {
		return invalid("numbers", "%d was not put there by the inbox; drop it", msg.Sequence)
	}
	again := &nats.Msg{Subject: bus.InboxSubject(service, name), Data: d.data, Header: d.headers()}
	if len(again.Header.Values(bus.HeaderCommandID)) == 0 {
		again.Header.Set(bus.HeaderCommandID, "inbox-"+d.origin)
	}
	ctx, cancel := context.WithTimeout(ctx, stepMax)
	defer cancel()
	if _, err := i.own.PublishMsg(ctx, again); err != nil {
		return unavailable(fmt.Errorf("publish %d again: %w", msg.Sequence, err))
	}
	return nil
}

// takeOff does something with each of the poisoned commands and then deletes it; all are those that are there at the
// beginning, oldest first. It returns how many it did, also with an error.
func (i *Inbox) takeOff(ctx context.Context, numbers []uint64, all bool, do func(context.Context, *js.RawStreamMsg) error) (n uint32, err error) {
	switch {
	case all && len(numbers) > 0:
		return 0, invalid("numbers", "stand beside all; one of them is allowed")
	case !all && len(numbers) == 0:
		return 0, invalid("numbers", "are missing; name some, or all")
	case len(numbers) > pageMax:
		return 0, invalid("numbers", "are %d; at most %d are allowed", len(numbers), pageMax)
	}
	if all {
		return i.takeOffAll(ctx, do)
	}
	for _, number := range numbers {
		msg, err := i.poison.GetMsg(ctx, number)
		if errors.Is(err, js.ErrMsgNotFound) {
			return n, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "numbers", "%d is not in the poison queue; %d before it were done", number, n)
		}
		if err != nil {
			return n, unavailable(err)
		}
		if err := i.takeOffOne(ctx, msg, do); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (i *Inbox) takeOffAll(ctx context.Context, do func(context.Context, *js.RawStreamMsg) error) (n uint32, err error) {
	info, err := i.poison.Info(ctx)
	if err != nil {
		return 0, unavailable(err)
	}
	for at := info.State.FirstSeq; ; {
		msg, err := i.poisonFrom(ctx, at)
		if err != nil || msg == nil || msg.Sequence > info.State.LastSeq {
			return n, err
		}
		if err := i.takeOffOne(ctx, msg, do); err != nil {
			return n, err
		}
		n, at = n+1, msg.Sequence+1
	}
}

func (i *Inbox) takeOffOne(ctx context.Context, msg *js.RawStreamMsg, do func(context.Context, *js.RawStreamMsg) error) error {
	if err := do(ctx, msg); err != nil {
		return err
	}
	if err := i.poison.DeleteMsg(ctx, msg.Sequence); err != nil && !errors.Is(err, js.ErrMsgNotFound) {
		return unavailable(fmt.Errorf("take %d off the poison queue: %w", msg.Sequence, err))
	}
	return nil
}

// poisonFrom is the first poisoned command at or after a number; nil if there is none.
func (i *Inbox) poisonFrom(ctx context.Context, number uint64) (*js.RawStreamMsg, error) {
	msg, err := i.poison.GetMsg(ctx, number, js.WithGetMsgSubject(bus.PoisonSubjects))
	if errors.Is(err, js.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(fmt.Errorf("read the poison queue: %w", err))
	}
	return msg, nil
}

func invalid(field, format string, args ...any) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, field, format, args...)
}

// headers are the publisher's, for storing the command again: without those that instruct a stream, which would refuse
// it or throw it away, and without ours.
func (d *delivery) headers() nats.Header {
	h := maps.Clone(d.header)
	if h == nil {
		h = nats.Header{}
	}
	maps.DeleteFunc(h, func(name string, _ []string) bool {
		switch name {
		case headerOrigin, headerAttempts, headerReason, headerSubject:
			return true
		}
		return strings.HasPrefix(strings.ToLower(name), "nats-")
	})
	return h
}
