package inbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/services/bus"
)

const (
	inboxStream    = "inbox"
	poisonStream   = "poison"
	outcomesStream = "outcomes"

	// lanes is how many lines there are. It is part of the stream's configuration; with 8 every service has a line
	// alone, and unknown ones are spread over all. A test holds that.
	lanes = 8
	// ackWait is how long a command stays with a process that says nothing about it: so long its line waits after a
	// crash.
	ackWait = 5 * time.Second
	// asideMax is how many commands that were set aside are tried again by their own clocks; more wait behind them.
	asideMax = 1000

	// messageMax is a command and its headers. A publisher of more is told so by the stream.
	messageMax = bus.CommandMax + 16<<10
	// poisonMax is that and why it is there.
	poisonMax = messageMax + 16<<10
	// outcomeAge is how long an outcome is kept, as long as its owner keeps the command id. (design §5)
	outcomeAge = 24 * time.Hour
)

// Limits bound the streams, each in bytes; 0 is the default. Their sum must be free in the broker's store.
type Limits struct {
	// Inbox: when it is full a publish is refused. Default 256 MiB.
	Inbox int64
	// Poison: when it is full, what belongs there waits in the inbox, and holds up no other. Default 64 MiB.
	Poison int64
	// Outcomes: beyond it the oldest are dropped before their 24 h. Default 256 MiB.
	Outcomes int64
	// Replicas is 1 or 3, as the logs'; 0 is 1.
	Replicas int
}

func (l *Limits) defaults() {
	for p, d := range map[*int64]int64{&l.Inbox: 256 << 20, &l.Poison: 64 << 20, &l.Outcomes: 256 << 20} {
		if *p == 0 {
			*p = d
		}
	}
	if l.Replicas == 0 {
		l.Replicas = 1
	}
}

// CreateStreams makes the streams and their consumers, or sets their limits where they are there. `drover init` and
// `drover up` call it. A crash within it leaves some of them, and the next call makes the others.
func CreateStreams(ctx context.Context, inbox, service *nats.Conn, l Limits) error {
	l.defaults()
	own, err := js.New(inbox)
	if err != nil {
		return err
	}
	logs, err := js.New(service)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		in     js.JetStream
		stream js.StreamConfig
	}{
		{own, js.StreamConfig{
			Name: poisonStream, Description: "Durable commands that no retry would mend; `drover inbox list` shows them.",
			Subjects: []string{bus.PoisonSubjects}, Storage: js.FileStorage, Replicas: l.Replicas,
			MaxBytes: l.Poison, Discard: js.DiscardNew, MaxMsgSize: poisonMax, DenyPurge: true,
			// A command that is delivered again after it was put here is put here once.
			Duplicates: 24 * time.Hour,
		}},
		{logs, js.StreamConfig{
			Name: outcomesStream, Description: "What came of each durable command, for 24 h.",
			Subjects: []string{bus.OutcomeSubjects}, Storage: js.FileStorage, Replicas: l.Replicas,
			MaxBytes: l.Outcomes, Discard: js.DiscardOld, MaxMsgsPerSubject: 1, MaxAge: outcomeAge,
			AllowDirect: false, Duplicates: 100 * time.Millisecond,
		}},
		{own, js.StreamConfig{
			Name: inboxStream, Description: "Durable commands on their way.",
			Subjects: []string{bus.InboxSubjects, bus.AsideSubjects}, Storage: js.FileStorage, Replicas: l.Replicas,
			Retention: js.WorkQueuePolicy, MaxBytes: l.Inbox, Discard: js.DiscardNew, MaxMsgSize: messageMax,
			DenyDelete: true, DenyPurge: true,
			// The command id does it, for longer and whatever the publisher sends.
			Duplicates:       100 * time.Millisecond,
			SubjectTransform: &js.SubjectTransformConfig{Source: bus.InboxSubjects, Destination: fmt.Sprintf("inbox.{{partition(%d,1)}}.{{wildcard(1)}}.{{wildcard(2)}}", lanes)},
		}},
	} {
		if _, err := c.in.CreateOrUpdateStream(ctx, c.stream); err != nil {
			return fmt.Errorf("make the stream %s: %w", c.stream.Name, err)
		}
	}
	return createConsumers(ctx, own)
}

// createConsumers makes the consumer of every lane, and that of what was set aside.
func createConsumers(ctx context.Context, own js.JetStream) error {
	var all error
	for _, c := range consumers() {
		if _, err := own.CreateOrUpdateConsumer(ctx, inboxStream, c); err != nil {
			all = errors.Join(all, fmt.Errorf("make the consumer %s of the stream inbox: %w", c.Durable, err))
		}
	}
	return all
}

func consumers() []js.ConsumerConfig {
	list := []js.ConsumerConfig{{
		Durable: asideLane, FilterSubject: "drover.inbox.>", AckPolicy: js.AckExplicitPolicy, AckWait: ackWait,
		MaxDeliver: -1, MaxAckPending: asideMax,
	}}
	for n := range lanes {
		list = append(list, js.ConsumerConfig{
			Durable: laneName(n), FilterSubject: fmt.Sprintf("inbox.%d.>", n), AckPolicy: js.AckExplicitPolicy, AckWait: ackWait,
			MaxDeliver: -1,
			// One at a time, of all processes together: that is the order.
			MaxAckPending: 1,
		})
	}
	return list
}

// asideLane is the consumer of what was set aside, and of what the stream could not put into a lane.
const (
	asideLane   = "aside"
	asidePrefix = "drover.inbox.aside."
)

func laneName(n int) string { return fmt.Sprintf("lane-%d", n) }
