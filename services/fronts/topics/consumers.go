package topics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	js "github.com/nats-io/nats.go/jetstream"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/fronts/feed"
)

const (
	consumerPrefix = "aws-events-"
	// Behind so much at most a consumer that has to be made anew begins.
	replayMax = time.Hour
)

// consumer hands out the events of a category that is on.
type consumer struct {
	category v1.EventCategory
	js.Consumer
}

// consumerName names the consumer of a category that was switched on at a time. Each time it is switched on it has another, so
// that a process which is late removes that of an earlier time at most.
func consumerName(category v1.EventCategory, sinceMs int64) string {
	return fmt.Sprintf("%s%s-%d", consumerPrefix, v1.EnumName(category), sinceMs)
}

// sinceOf is when the category of a consumer was switched on; false if it is none of the category. Before their names said
// when, consumers had the category's name alone.
func sinceOf(category v1.EventCategory, name string) (sinceMs int64, ok bool) {
	rest, ok := strings.CutPrefix(name, consumerPrefix+v1.EnumName(category))
	if !ok || rest == "" {
		return 0, ok
	}
	sinceMs, err := strconv.ParseInt(strings.TrimPrefix(rest, "-"), 10, 64)
	return sinceMs, err == nil && rest[0] == '-'
}

// consumers makes those of the categories that are on, from where they were switched on, and removes those of earlier times.
func (t *Topics) consumers(ctx context.Context, c *v1.DescribeEventConfigurationsReply) (list []consumer, err error) {
	ctx, cancel := context.WithTimeout(ctx, 4*requestMax)
	defer cancel()
	stream, err := t.api.Stream(ctx, feed.StreamName)
	if err != nil {
		return nil, err
	}
	var names []string
	lister := stream.ConsumerNames(ctx)
	for name := range lister.Name() {
		names = append(names, name)
	}
	if err := lister.Err(); err != nil {
		return nil, err
	}
	for _, e := range c.GetConfigurations() {
		if err := t.remove(ctx, stream, names, e); err != nil {
			return nil, err
		}
		if !e.GetEnabled() || len(filters(e.GetCategory())) == 0 {
			continue
		}
		found, err := t.consumer(ctx, stream, names, e)
		if err != nil {
			return nil, err
		}
		list = append(list, consumer{e.GetCategory(), found})
	}
	return list, nil
}

// remove removes the consumers of a category from before it was switched last.
func (t *Topics) remove(ctx context.Context, stream js.Stream, names []string, e *v1.EventConfiguration) error {
	for _, name := range names {
		since, ok := sinceOf(e.GetCategory(), name)
		if !ok || since >= e.GetChangedAtMs() {
			continue
		}
		if err := stream.DeleteConsumer(ctx, name); err != nil && !errors.Is(err, js.ErrConsumerNotFound) { // another process was quicker
			return err
		}
	}
	return nil
}

// consumer is that of a category that is on; it is made if it is not there.
func (t *Topics) consumer(ctx context.Context, stream js.Stream, names []string, e *v1.EventConfiguration) (js.Consumer, error) {
	name := consumerName(e.GetCategory(), e.GetChangedAtMs())
	if slices.Contains(names, name) {
		return stream.Consumer(ctx, name)
	}
	since := time.UnixMilli(e.GetChangedAtMs())
	if earliest := time.Now().Add(-replayMax); since.Before(earliest) {
		since = earliest
	}
	// Several processes may make it at once: what they ask for differs in the start at most.
	made, err := stream.CreateConsumer(ctx, js.ConsumerConfig{
		Durable: name, Name: name, Description: "Events for AWS's event topics",
		AckPolicy: js.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: -1, MaxAckPending: 4 * fetchMax,
		DeliverPolicy: js.DeliverByStartTimePolicy, OptStartTime: &since, FilterSubjects: filters(e.GetCategory()),
	})
	if errors.Is(err, js.ErrConsumerExists) {
		return stream.Consumer(ctx, name)
	}
	return made, err
}
