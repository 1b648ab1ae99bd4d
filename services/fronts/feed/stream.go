package feed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sort"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// Limits say how much of the feed is kept. What is older, or beyond, is dropped from its beginning.
type Limits struct {
	// MaxAge is the age at which a message is dropped; 0 is 7 days. The last message stays whatever its age, for it says
	// up to where the feed goes: so the feeder drops by age, once a minute, and not the server.
	MaxAge time.Duration
	// MaxBytes bounds the stream; 0 is 2 GiB, which is some 2.7 million events. Where the brokers have not so much room to
	// give, a new stream gets half of it, or half of that, down to 64 MiB.
	MaxBytes int64
	// Replicas is 1 or 3, as the logs'; 0 is 1.
	Replicas int
}

// DefaultBytes is Limits.MaxBytes where it is not given.
const DefaultBytes = 2 << 30

const (
	maxAge   = 7 * 24 * time.Hour
	minBytes = 64 << 20

	metaMaxAge = "drover-max-age"

	// requestTimeout bounds each request: one that was lost with its connection is never answered.
	requestTimeout = 5 * time.Second
)

// CreateStream makes the stream `feed`, or sets those limits that are given if it is there. `drover init` and `drover up`
// call it when the logs are there; a feeder that finds no stream does too. The connection is that of `service`; jobs is
// log.job, which says how old the system is.
//
// The first number of a feed is the age of the system in microseconds, and 1 where it is just born: so a feed that is made
// again gives none of the numbers that an earlier one gave, and whoever goes on from one of those is told that it is no
// longer kept.
func CreateStream(ctx context.Context, nc *nats.Conn, jobs *eventstore.Log, l Limits) error {
	api, err := js.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 6*requestTimeout)
	defer cancel()
	stream, err := api.Stream(ctx, StreamName)
	if errors.Is(err, js.ErrStreamNotFound) {
		var first uint64
		if first, err = firstNumber(ctx, jobs); err == nil {
			err = create(ctx, api, streamConfig(first, l))
		}
	} else if err == nil {
		err = adjust(ctx, api, stream.CachedInfo().Config, l)
	}
	if err != nil {
		return fmt.Errorf("make stream %s: %w", StreamName, err)
	}
	return nil
}

// The codes by which JetStream says that there is no room for what a stream may grow to.
const (
	insufficientResources js.ErrorCode = 10023
	storageExceeded       js.ErrorCode = 10047
)

func create(ctx context.Context, api js.JetStream, c js.StreamConfig) error {
	for {
		_, err := api.CreateStream(ctx, c)
		var refused *js.APIError
		if errors.As(err, &refused) && (refused.ErrorCode == insufficientResources || refused.ErrorCode == storageExceeded) && c.MaxBytes > minBytes {
			c.MaxBytes = max(c.MaxBytes/2, minBytes)
			continue
		}
		return err
	}
}

func firstNumber(ctx context.Context, jobs *eventstore.Log) (uint64, error) {
	born, err := jobs.Read(ctx, 1)
	if errors.Is(err, eventstore.ErrNotFound) {
		return 1, nil
	}
	if err != nil {
		return 0, err
	}
	age := max(0, time.Since(time.UnixMilli(born.AtMs)))
	return uint64(age/time.Microsecond) + 1, nil
}

// streamConfig is how the stream is made. No message is taken for a repeat of another: the fence alone decides.
func streamConfig(first uint64, l Limits) js.StreamConfig {
	c := js.StreamConfig{
		Name:        StreamName,
		Description: "Drover's feed: every event of every log, as CloudEvents; written by its feeder alone",
		Storage:     js.FileStorage,
		Retention:   js.LimitsPolicy,
		FirstSeq:    first,
		Replicas:    1,
		MaxBytes:    DefaultBytes,
		DenyDelete:  true,
		Duplicates:  100 * time.Millisecond, // the least that the server allows
		Metadata:    map[string]string{metaMaxAge: maxAge.String()},
	}
	return limited(c, l)
}

// limited is a configuration with the limits that are given, and with what must not be otherwise.
func limited(c js.StreamConfig, l Limits) js.StreamConfig {
	c.Subjects = []string{subjectPrefix + ">"}
	c.SubjectTransform = &js.SubjectTransformConfig{
		Source: subjectPrefix + "*.*.*.*", Destination: subjectPrefix + "{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}",
	}
	c.AllowAtomicPublish = true
	c.Discard = js.DiscardOld
	c.MaxAge = 0
	if l.MaxBytes > 0 {
		c.MaxBytes = l.MaxBytes
	}
	if l.Replicas > 0 {
		c.Replicas = l.Replicas
	}
	if l.MaxAge > 0 {
		c.Metadata = maps.Clone(c.Metadata)
		if c.Metadata == nil {
			c.Metadata = map[string]string{}
		}
		c.Metadata[metaMaxAge] = l.MaxAge.String()
	}
	return c
}

func adjust(ctx context.Context, api js.JetStream, have js.StreamConfig, l Limits) error {
	want := limited(have, l)
	if reflect.DeepEqual(have, want) {
		return nil
	}
	_, err := api.UpdateStream(ctx, want)
	return err
}

// ends is the feed as its last messages say it is.
type ends struct {
	base        uint64 // the number with which this stream began
	first, last uint64 // first is last+1 if nothing is kept
	maxAge      time.Duration
	vector      vector
	tail        []*v1.Position // of the events behind the vector, in their order
	feeder      string         // who wrote the vector; empty if there is none
}

// errDamaged says that the feed cannot be gone on with.
var errDamaged = errors.New("the feed is damaged; delete its stream, and it is made anew from the logs")

// readEnds asks the stream's leader. js.ErrStreamNotFound if there is no stream.
//
// The last message of a batch has a vector, and what is behind it is looked at event by event: the server stores the
// messages of a batch one after the other, and who asks meanwhile, or after it was killed meanwhile, finds a part of them.
func readEnds(ctx context.Context, api js.JetStream) (e ends, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	stream, err := api.Stream(ctx, StreamName)
	if err != nil {
		return e, err
	}
	e = boundsOf(stream.CachedInfo())
	for n := e.last; n >= e.first; n-- {
		msg, err := stream.GetMsg(ctx, n)
		if err != nil {
			return e, fmt.Errorf("read feed@%d: %w", n, err)
		}
		if text := msg.Header.Get(headerVector); text != "" {
			e.feeder = msg.Header.Get(headerFeeder)
			if e.vector, err = parseVector(text); err != nil {
				return e, fmt.Errorf("%w: feed@%d: %w", errDamaged, n, err)
			}
			break
		}
		if !isEvent(msg.Header) {
			continue // not written by a feeder; every reader passes it over
		}
		if len(e.tail) > batchEvents {
			return e, fmt.Errorf("%w: no vector between feed@%d and feed@%d", errDamaged, n, e.last)
		}
		event, err := Decode(msg.Data)
		if err != nil {
			return e, fmt.Errorf("%w: feed@%d: %w", errDamaged, n, err)
		}
		e.tail = append(e.tail, event.GetPosition())
	}
	slices.Reverse(e.tail)
	return e, nil
}

func boundsOf(info *js.StreamInfo) ends {
	e := ends{base: max(1, info.Config.FirstSeq), first: info.State.FirstSeq, last: info.State.LastSeq, vector: vector{}, maxAge: maxAge}
	if info.State.Msgs == 0 {
		e.first = e.last + 1
	}
	if age, err := time.ParseDuration(info.Config.Metadata[metaMaxAge]); err == nil && age > 0 {
		e.maxAge = age
	}
	return e
}

// isEvent reports whether a message of the stream was written by a feeder.
func isEvent(h nats.Header) bool { return h.Get(headerContent) == contentType }

// dropOld drops what is older than it may be, but never the last message.
//
// A crash in between leaves messages that are dropped a minute later.
func dropOld(ctx context.Context, api js.JetStream, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, 4*requestTimeout)
	defer cancel()
	stream, err := api.Stream(ctx, StreamName)
	if err != nil {
		return err
	}
	e := boundsOf(stream.CachedInfo())
	if e.first >= e.last || !stream.CachedInfo().State.FirstTime.Before(now.Add(-e.maxAge)) {
		return nil
	}
	young := sort.Search(int(e.last-e.first), func(i int) bool {
		msg, found := stream.GetMsg(ctx, e.first+uint64(i))
		switch {
		case errors.Is(found, js.ErrMsgNotFound): // dropped meanwhile
			return false
		case found != nil:
			err = found
			return false
		}
		return !msg.Time.Before(now.Add(-e.maxAge))
	})
	if err != nil || young == 0 {
		return err
	}
	return stream.Purge(ctx, js.WithPurgeSequence(e.first+uint64(young)))
}
