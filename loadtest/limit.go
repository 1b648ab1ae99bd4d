package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/spf13/cobra"
)

const (
	limitStream = "bench-limit"
	// limitBatch is how many messages an atomic batch holds: nats-server's default maximum.
	limitBatch = 1000
)

// limitFigures are what one publisher persists.
type limitFigures struct {
	PerSecond    float64 `json:"perSecond"`
	Messages     int     `json:"messages"`
	Size         int     `json:"size"`
	Seconds      float64 `json:"seconds"`
	LongestMs    float64 `json:"longestBatchMs"`
	StealPercent float64 `json:"stealPercent"`
	Version      string  `json:"version"`
}

func (f limitFigures) table(w io.Writer) {
	fmt.Fprintf(w, "limit    %9.0f messages/s   %d B each, atomic batches of %d, one in flight\n", f.PerSecond, f.Size, limitBatch)
	fmt.Fprintf(w, "         %d in %.1f s, longest batch %.1f ms, CPU steal %.1f %%, version %s\n", f.Messages, f.Seconds, f.LongestMs, f.StealPercent, f.Version)
}

func limitCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "limit",
		Short: "What one publisher persists on the hub's broker: single messages, atomic batches of 1,000, one in flight",
		Args:  cobra.NoArgs,
	}
	data := dataFlag(c)
	size := c.Flags().Int("size", 150, "bytes of a message")
	duration := c.Flags().Duration("duration", 4*time.Second, "how long")
	c.RunE = func(c *cobra.Command, _ []string) error {
		s, err := openSystem(*data)
		if err != nil {
			return err
		}
		f, err := limit(c.Context(), s, *size, *duration)
		if err != nil {
			return err
		}
		return show(c, f)
	}
	return c
}

// limit publishes to a scratch stream beside the logs, which it removes again.
func limit(ctx context.Context, s *system, size int, duration time.Duration) (limitFigures, error) {
	f := limitFigures{Size: size}
	nc, err := s.service("bench-limit")
	if err != nil {
		return f, err
	}
	defer nc.Close()
	f.Version = build(nc)
	js, err := jetstream.New(nc)
	if err != nil {
		return f, err
	}
	_ = js.DeleteStream(ctx, limitStream) // left behind by a run that was killed
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: limitStream, Subjects: []string{"bench.limit"},
		Storage: jetstream.FileStorage, AllowAtomicPublish: true}); err != nil {
		return f, fmt.Errorf("the scratch stream: %w", err)
	}
	defer func() { _ = js.DeleteStream(context.WithoutCancel(ctx), limitStream) }()

	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	if err != nil {
		return f, err
	}
	batch := newBatch("bench.limit", size)
	cpu := readCPU()
	start := time.Now()
	for time.Since(start) < duration && ctx.Err() == nil {
		sent := time.Now()
		if err := batch.publish(ctx, nc, answers, inbox); err != nil {
			return f, err
		}
		f.Messages += limitBatch
		f.LongestMs = max(f.LongestMs, milliseconds(time.Since(sent)))
	}
	f.Seconds = time.Since(start).Seconds()
	f.PerSecond = float64(f.Messages) / f.Seconds
	f.StealPercent = stealSince(cpu)
	return f, ctx.Err()
}

// batch is an atomic batch that is published again and again under new ids.
type batch struct{ messages [limitBatch]*nats.Msg }

func newBatch(subject string, size int) *batch {
	b := &batch{}
	for i := range b.messages {
		m := nats.NewMsg(subject)
		m.Data = make([]byte, size)
		for j := range m.Data {
			m.Data[j] = byte(i*31 + j*7)
		}
		m.Header["Nats-Batch-Sequence"] = []string{strconv.Itoa(i + 1)}
		b.messages[i] = m
	}
	b.messages[limitBatch-1].Header["Nats-Batch-Commit"] = []string{"1"}
	return b
}

// publish sends the batch and waits until it is stored.
func (b *batch) publish(ctx context.Context, nc *nats.Conn, answers *nats.Subscription, inbox string) error {
	name := []string{nuid.Next()}
	for i, m := range b.messages {
		m.Header["Nats-Batch-Id"] = name
		m.Reply = ""
		if i == 0 || i == limitBatch-1 {
			m.Reply = inbox // the first is answered too, by an empty message, or by why there can be no batch
		}
		if err := nc.PublishMsg(m); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		m, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return fmt.Errorf("a batch was not answered: %w", err)
		}
		if len(m.Data) == 0 {
			continue
		}
		var ack struct {
			Error *struct{ Description string } `json:"error"`
			Count int                           `json:"count"`
		}
		if err := json.Unmarshal(m.Data, &ack); err != nil {
			return fmt.Errorf("the answer to a batch: %w", err)
		}
		if ack.Error != nil {
			return fmt.Errorf("a batch was refused: %s", ack.Error.Description)
		}
		if ack.Count != limitBatch {
			return fmt.Errorf("%d of %d messages of a batch were stored", ack.Count, limitBatch)
		}
		return nil
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
