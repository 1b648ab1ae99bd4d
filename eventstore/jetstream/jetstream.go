// Package jetstream keeps logs in NATS JetStream: one log is a stream with one subject, one commit a message, and
// a commit's number its sequence.
//
//	stream   log-job-0001   log-execution-3-0001     the number counts the streams of a log's row, from 1
//	subject  log.job.1      log.execution.3.1
//
// Registers are keys of the KV buckets drover-leases, drover-system and drover-credentials.
//
// It promises eventstore.Backend's contract on one broker and on a cluster: an append is a single publish with the header
// Nats-Expected-Last-Sequence, so it is atomic and fenced; it is durable when it is answered, provided that
// the servers flush every write (CheckSync says whether they do). It leaves to eventstore.Log to notice what
// JetStream loses without a word, and to the broker's users and permissions that nobody else publishes on log.>.
package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/proto/id"
)

// Options say how a log's stream is kept.
type Options struct {
	// Replicas is 1 or 3. Default 1.
	Replicas int
	// MaxBytes bounds the stream, in bytes; an append beyond it is eventstore.ErrFull. 0 is unbounded for a stream
	// that is created, and whatever it has for one that exists.
	MaxBytes int64
	// Create makes the stream if it is missing. Without it, missing is an error: where a log is expected, its
	// absence is a loss.
	Create bool
}

// ErrNoStream is what Open returns, without Create, where the stream of a log is missing. ErrDrift is where it could lose,
// change or refuse commits, for somebody has configured it otherwise.
var (
	ErrNoStream = errors.New("there is no stream")
	ErrDrift    = errors.New("not configured as Drover made it")
)

// requestTimeout bounds each request: one that was lost with its connection is never answered.
const requestTimeout = 5 * time.Second

// askEvery is after how long a question is sent again.
const askEvery = time.Second

// noResponders is the status of a message that says that nobody listens.
const noResponders = "503"

// createTimeout bounds how long a new stream may take to be reached.
const createTimeout = 30 * time.Second

// Backend is one log in JetStream. It is safe for concurrent use.
type Backend struct {
	nc       *nats.Conn
	log      id.Log
	stream   string
	subject  string
	replicas int
}

// Open opens a log's stream, once its configuration and its first message are as they must be. The connection
// stays the caller's.
//
// A crash just after the stream was created leaves an empty log, which the owner opens with commit 1.
func Open(ctx context.Context, nc *nats.Conn, name id.Log, opts Options) (*Backend, error) {
	opts.Replicas = max(opts.Replicas, 1)
	b := &Backend{nc: nc, log: name, stream: StreamName(name, 1), subject: Subject(name, 1), replicas: opts.Replicas}
	info, err := b.info(ctx)
	if isCode(err, js.JSErrCodeStreamNotFound) {
		if !opts.Create {
			return nil, fmt.Errorf("log %s: %w %s: it was deleted, or this is another broker or another account; restore it, nothing else holds these commits", name, ErrNoStream, b.stream)
		}
		info, err = b.create(ctx, opts)
	}
	if err != nil {
		return nil, fmt.Errorf("open stream %s of log %s: %w", b.stream, name, err)
	}
	if drift := b.drift(info.Config, opts); len(drift) > 0 {
		return nil, fmt.Errorf("stream %s of log %s is %w: %s; set it back (nats stream edit %s)", b.stream, name, ErrDrift, strings.Join(drift, ", "), b.stream)
	}
	if first := info.State.FirstSeq; first > 1 {
		return nil, &eventstore.DamageError{Log: name, First: 1, Last: first - 1, Why: fmt.Sprintf("stream %s begins at %d", b.stream, first)}
	}
	return b, nil
}

// Stream is the name of the stream.
func (b *Backend) Stream() string { return b.stream }

// Check compares the stream with what Open found acceptable; it is cheap enough to be asked once a minute.
func (b *Backend) Check(ctx context.Context, opts Options) error {
	opts.Create = false
	_, err := Open(ctx, b.nc, b.log, opts)
	return err
}

// config is how a log's stream is made. Nothing may be deleted from it, nor dropped to make room, and no message is taken
// for a repeat of another: the fence alone decides.
func (b *Backend) config(opts Options) js.StreamConfig {
	if opts.MaxBytes <= 0 {
		opts.MaxBytes = -1
	}
	return js.StreamConfig{
		Name:              b.stream,
		Description:       "Drover's log " + b.log.String() + ": written by its owner alone",
		Subjects:          []string{b.subject},
		Storage:           js.FileStorage,
		Retention:         js.LimitsPolicy,
		Discard:           js.DiscardNew,
		Replicas:          opts.Replicas,
		MaxBytes:          opts.MaxBytes,
		MaxMsgs:           -1,
		MaxMsgsPerSubject: -1,
		MaxMsgSize:        -1,
		MaxConsumers:      -1,
		DenyDelete:        true,
		DenyPurge:         true,
		Duplicates:        100 * time.Millisecond, // the least that the server allows
	}
}

// create makes the stream, and waits until an append reaches it: in a cluster its subject is known to other servers
// a moment later.
func (b *Backend) create(ctx context.Context, opts Options) (*js.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	info := new(js.StreamInfo)
	if err := b.request(ctx, "STREAM.CREATE."+b.stream, b.config(opts), info); err != nil {
		return nil, err
	}
	for {
		err := b.Append(ctx, math.MaxInt64, nil) // at a number at which nothing is ever stored
		if errors.Is(err, eventstore.ErrConflict) {
			return info, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(retryMin):
		}
	}
}

// drift lists what of a stream's configuration could lose, change or refuse commits and is not as it was made.
func (b *Backend) drift(have js.StreamConfig, opts Options) (found []string) {
	want := b.config(opts)
	if opts.MaxBytes <= 0 {
		want.MaxBytes = have.MaxBytes
	}
	is := func(what string, have, want any) {
		if have != want {
			found = append(found, fmt.Sprintf("%s is %v, not %v", what, have, want))
		}
	}
	if !slices.Equal(have.Subjects, want.Subjects) {
		is("subjects", fmt.Sprint(have.Subjects), fmt.Sprint(want.Subjects))
	}
	is("storage", have.Storage, want.Storage)
	is("retention", have.Retention, want.Retention)
	is("discard", have.Discard, want.Discard)
	is("replicas", have.Replicas, want.Replicas)
	is("max_bytes", have.MaxBytes, want.MaxBytes)
	is("max_msgs", have.MaxMsgs, want.MaxMsgs)
	is("max_msgs_per_subject", have.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	is("max_msg_size", have.MaxMsgSize, want.MaxMsgSize)
	is("max_age", have.MaxAge, want.MaxAge)
	is("deny_delete", have.DenyDelete, true)
	is("deny_purge", have.DenyPurge, true)
	is("no_ack", have.NoAck, false)
	is("sealed", have.Sealed, false)
	is("allow_rollup_hdrs", have.AllowRollup, false)
	is("allow_msg_ttl", have.AllowMsgTTL, false)
	is("compression", have.Compression, js.NoCompression)
	is("persist_mode", have.PersistMode, want.PersistMode)
	is("a mirror", have.Mirror != nil, false)
	is("sources", len(have.Sources) > 0, false)
	is("a subject transform", have.SubjectTransform != nil, false)
	return found
}

// MakeRoom raises the bound of the log, if it has one, so that at least so many bytes can still be appended. A log that
// is full to the last byte takes not even the commit by which an owner takes it over.
//
// A crash just after it leaves the higher bound.
func (b *Backend) MakeRoom(ctx context.Context, bytes int64) error {
	var info struct {
		Config map[string]json.RawMessage `json:"config"` // whatever it holds, it is sent back
		State  struct {
			Bytes int64 `json:"bytes"`
		} `json:"state"`
	}
	if err := b.request(ctx, "STREAM.INFO."+b.stream, nil, &info); err != nil {
		return err
	}
	var most int64
	if err := json.Unmarshal(info.Config["max_bytes"], &most); err != nil {
		return fmt.Errorf("stream %s: max_bytes: %w", b.stream, err)
	}
	if most <= 0 || most-info.State.Bytes >= bytes {
		return nil
	}
	info.Config["max_bytes"] = strconv.AppendInt(nil, info.State.Bytes+bytes, 10)
	var updated json.RawMessage
	return b.request(ctx, "STREAM.UPDATE."+b.stream, info.Config, &updated)
}

// Bounds implements eventstore.Backend. The stream's leader answers.
func (b *Backend) Bounds(ctx context.Context) (first, last uint64, err error) {
	info, err := b.info(ctx)
	if err != nil {
		return 0, 0, err
	}
	first, last = info.State.FirstSeq, info.State.LastSeq
	if info.State.Msgs == 0 {
		first = last + 1
	}
	return first, last, nil
}

func (b *Backend) info(ctx context.Context) (*js.StreamInfo, error) {
	info := new(js.StreamInfo)
	return info, ask(ctx, b.nc, b.stream, "STREAM.INFO."+b.stream, info)
}

// Get implements eventstore.Backend. The stream's leader answers: a replica may be behind what was appended.
func (b *Backend) Get(ctx context.Context, number uint64) (eventstore.Record, error) {
	var reply struct {
		Message struct {
			Seq  uint64    `json:"seq"`
			Data []byte    `json:"data"`
			Time time.Time `json:"time"`
		} `json:"message"`
	}
	if number == 0 {
		return eventstore.Record{}, eventstore.ErrNotFound
	}
	err := b.request(ctx, "STREAM.MSG.GET."+b.stream, map[string]uint64{"seq": number}, &reply)
	if isCode(err, js.JSErrCodeMessageNotFound) {
		return eventstore.Record{}, eventstore.ErrNotFound
	}
	if err != nil {
		return eventstore.Record{}, err
	}
	m := reply.Message
	if m.Seq != number {
		return eventstore.Record{}, fmt.Errorf("stream %s: asked for %d, got %d", b.stream, number, m.Seq)
	}
	return eventstore.Record{Number: m.Seq, Data: m.Data, Stored: m.Time}, nil
}

func (b *Backend) request(ctx context.Context, subject string, query, reply any) error {
	return request(ctx, b.nc, b.stream, subject, query, reply)
}

// request asks JetStream's API about a stream; an *js.APIError is what it refuses with.
func request(ctx context.Context, nc *nats.Conn, stream, subject string, query, reply any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var data []byte
	if query != nil {
		var err error
		if data, err = json.Marshal(query); err != nil {
			return err
		}
	}
	msg, err := nc.RequestWithContext(ctx, "$JS.API."+subject, data)
	if err != nil {
		return fmt.Errorf("stream %s: %w", stream, err)
	}
	return decode(msg, stream, subject, reply)
}

// ask is a request without contents that changes nothing. It is sent again every askEvery until it is answered: what is sent
// while the leader of a stream changes is lost without a word, and whoever takes a log over would wait for it.
func ask(ctx context.Context, nc *nats.Conn, stream, subject string, reply any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return fmt.Errorf("stream %s: %w", stream, err)
	}
	defer sub.Unsubscribe()
	for {
		if err := nc.PublishRequest("$JS.API."+subject, sub.Subject, nil); err != nil {
			return fmt.Errorf("stream %s: %w", stream, err)
		}
		again, cancel := context.WithTimeout(ctx, askEvery)
		msg, err := sub.NextMsgWithContext(again)
		cancel()
		switch {
		case err == nil && len(msg.Data) == 0 && msg.Header.Get("Status") == noResponders:
			return fmt.Errorf("stream %s: %w", stream, nats.ErrNoResponders)
		case err == nil:
			return decode(msg, stream, subject, reply)
		case ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("stream %s: %w", stream, err)
		}
	}
}

// decode takes an answer of JetStream's API apart.
func decode(msg *nats.Msg, stream, subject string, reply any) error {
	var failed struct {
		Error *js.APIError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &failed); err != nil {
		return fmt.Errorf("stream %s: answer to %s: %w", stream, subject, err)
	}
	if failed.Error != nil {
		return fmt.Errorf("stream %s: %w", stream, failed.Error)
	}
	if err := json.Unmarshal(msg.Data, reply); err != nil {
		return fmt.Errorf("stream %s: answer to %s: %w", stream, subject, err)
	}
	return nil
}

func isCode(err error, codes ...js.ErrorCode) bool {
	var api *js.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode)
}
