package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/eventstore"
)

// Bucket names a KV bucket of registers, and how it is kept.
type Bucket string

const (
	// Leases is kept in memory, and forgets what was not set for a minute: leases and members. Brokers that were all
	// restarted have lost it; whoever misses it makes it anew.
	Leases Bucket = "drover-leases"
	// System is kept in files, for ever: the record of a system's birth.
	System Bucket = "drover-system"
	// Credentials is kept in files, for ever: access keys, their secrets sealed. (fronts/aws/credential)
	Credentials Bucket = "drover-credentials"
)

// leasesTTL is when a register of Leases is forgotten. Nobody decides by it.
const leasesTTL = time.Minute

// ErrNoBucket is what OpenRegisters returns where the bucket is missing.
var ErrNoBucket = errors.New("there is no bucket")

// Registers is eventstore.Registers in a KV bucket: a register is a key, its revision the sequence of its last
// message. Other KV clients can read it. It is safe for concurrent use.
//
// All reads are answered by the leader of the bucket's stream, which has applied all that was acknowledged before it
// leads: never by a replica that may be behind, as nats.go's Get of a key can be. One exception is beyond a client: a
// leader that was stopped and goes on does not know for a moment that it was replaced, and can answer with what
// it held. What it is asked to set, it refuses or leaves unanswered.
type Registers struct {
	nc     *nats.Conn
	bucket Bucket
	stream string

	mu       sync.Mutex // guards what follows
	replicas int
	remade   time.Time // when the bucket was made anew last
}

var _ eventstore.Registers = (*Registers)(nil)

// CreateRegisters opens a bucket, and makes it first if it is missing. Replicas is 1 or 3. The connection stays the
// caller's. Many may call it at once, and again.
//
// A crash just after the bucket was made leaves it empty: the next caller finds it.
func CreateRegisters(ctx context.Context, nc *nats.Conn, bucket Bucket, replicas int) (*Registers, error) {
	r := newRegisters(nc, bucket, max(replicas, 1))
	opened, err := OpenRegisters(ctx, nc, bucket)
	if !errors.Is(err, ErrNoBucket) {
		return opened, err
	}
	if err := r.create(ctx); err != nil {
		return nil, fmt.Errorf("make bucket %s: %w", bucket, err)
	}
	return r, nil
}

// OpenRegisters opens a bucket that exists; ErrNoBucket if it does not.
func OpenRegisters(ctx context.Context, nc *nats.Conn, bucket Bucket) (*Registers, error) {
	r := newRegisters(nc, bucket, 0)
	info := new(js.StreamInfo)
	err := request(ctx, nc, r.stream, "STREAM.INFO."+r.stream, nil, info)
	if isCode(err, js.JSErrCodeStreamNotFound) {
		return nil, fmt.Errorf("%w %s: drover init makes it", ErrNoBucket, bucket)
	}
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	r.replicas = info.Config.Replicas
	if drift := r.drift(info.Config); len(drift) > 0 {
		return nil, fmt.Errorf("bucket %s (stream %s) is not configured as Drover made it: %s", bucket, r.stream, strings.Join(drift, ", "))
	}
	return r, nil
}

func newRegisters(nc *nats.Conn, bucket Bucket, replicas int) *Registers {
	return &Registers{nc: nc, bucket: bucket, stream: "KV_" + string(bucket), replicas: replicas}
}

func (r *Registers) subject(name string) string { return "$KV." + string(r.bucket) + "." + name }

// config is a KV bucket's, but that replicas may not answer reads.
func (r *Registers) config() js.StreamConfig {
	c := js.StreamConfig{
		Name:              r.stream,
		Description:       "Drover's registers",
		Subjects:          []string{r.subject(">")},
		Storage:           js.FileStorage,
		Retention:         js.LimitsPolicy,
		Discard:           js.DiscardNew,
		Replicas:          r.replicas,
		MaxMsgsPerSubject: 1,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgSize:        -1,
		MaxConsumers:      -1,
		AllowRollup:       true,
		DenyDelete:        true,
		Duplicates:        100 * time.Millisecond, // the least that the server allows
	}
	if r.bucket == Leases {
		c.Storage, c.MaxAge = js.MemoryStorage, leasesTTL
	}
	return c
}

// drift lists what of a bucket's configuration could lose or refuse a register, or answer with an old one.
func (r *Registers) drift(have js.StreamConfig) (found []string) {
	want := r.config()
	is := func(what string, have, want any) {
		if have != want {
			found = append(found, fmt.Sprintf("%s is %v, not %v", what, have, want))
		}
	}
	is("storage", have.Storage, want.Storage)
	is("max_age", have.MaxAge, want.MaxAge)
	is("max_msgs_per_subject", have.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	is("no_ack", have.NoAck, false)
	is("sealed", have.Sealed, false)
	is("a mirror", have.Mirror != nil, false)
	is("sources", len(have.Sources) > 0, false)
	return found
}

// create makes the bucket, and waits until a Set reaches it: in a cluster its subject is known to other servers a
// moment later.
func (r *Registers) create(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	if err := request(ctx, r.nc, r.stream, "STREAM.CREATE."+r.stream, r.config(), new(js.StreamInfo)); err != nil {
		return err
	}
	for {
		_, err := r.publish(ctx, "created", nil, nil, math.MaxInt64) // at a revision at which nothing ever is
		if errors.Is(err, eventstore.ErrRevision) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(retryMin):
		}
	}
}

// missed looks at why a call failed: a bucket of leases that is gone is made anew, for whoever asks next. At most once a
// second: the brokers have more to do after a restart.
func (r *Registers) missed(ctx context.Context, err error) {
	if r.bucket != Leases || !isCode(err, js.JSErrCodeStreamNotFound) {
		return
	}
	r.mu.Lock()
	mine := time.Since(r.remade) > time.Second
	if mine {
		r.remade = time.Now()
	}
	r.mu.Unlock()
	if mine {
		_ = request(ctx, r.nc, r.stream, "STREAM.CREATE."+r.stream, r.config(), new(js.StreamInfo))
	}
}

// message is a stored message as the stream's leader hands it out.
type message struct {
	Seq  uint64    `json:"seq"`
	Data []byte    `json:"data"`
	Hdrs []byte    `json:"hdrs"`
	Time time.Time `json:"time"`
}

// deleted says that the message stands for a register that is not there.
func (m *message) deleted() bool {
	h, err := nats.DecodeHeadersMsg(m.Hdrs)
	return len(m.Hdrs) > 0 && err == nil && h.Get(operation) != ""
}

// register is what the message holds. Its age is told by the clocks of broker and this machine.
func (m *message) register() eventstore.Register {
	return eventstore.Register{Value: m.Data, Revision: m.Seq, Age: max(0, time.Since(m.Time))}
}

// operation is the header by which KV marks a deleted key.
const operation = "KV-Operation"

// load reads a register's message from the stream's leader; eventstore.ErrNoRegister if there is none.
func (r *Registers) load(ctx context.Context, name string) (*message, error) {
	var reply struct {
		Message *message `json:"message"`
	}
	query := map[string]string{"last_by_subj": r.subject(name)}
	err := request(ctx, r.nc, r.stream, "STREAM.MSG.GET."+r.stream, query, &reply)
	if isCode(err, js.JSErrCodeMessageNotFound) {
		return nil, eventstore.ErrNoRegister
	}
	if err != nil {
		r.missed(ctx, err)
		return nil, err
	}
	if reply.Message == nil {
		return nil, fmt.Errorf("stream %s: an answer without a message", r.stream)
	}
	return reply.Message, nil
}

// Get implements eventstore.Registers.
func (r *Registers) Get(ctx context.Context, name string) (eventstore.Register, error) {
	if err := eventstore.CheckRegister(name); err != nil {
		return eventstore.Register{}, err
	}
	m, err := r.load(ctx, name)
	if err == nil && m.deleted() {
		err = eventstore.ErrNoRegister
	}
	if err != nil {
		return eventstore.Register{}, fmt.Errorf("register %s: %w", name, err)
	}
	return m.register(), nil
}

// Set implements eventstore.Registers. It is sent once: a repeat made behind our back would answer that our own value
// stands in the way.
func (r *Registers) Set(ctx context.Context, name string, value []byte, revision uint64) (uint64, error) {
	if err := eventstore.CheckRegister(name); err != nil {
		return 0, err
	}
	set, err := r.publish(ctx, name, value, nil, revision)
	if revision == 0 && errors.Is(err, eventstore.ErrRevision) {
		// What was deleted left a mark, and a mark is "there is none".
		m, lost := r.load(ctx, name)
		if lost == nil && m.deleted() {
			set, err = r.publish(ctx, name, value, nil, m.Seq)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("set register %s at revision %d: %w", name, revision, err)
	}
	return set, nil
}

// Delete implements eventstore.Registers: it leaves a mark, as KV does.
func (r *Registers) Delete(ctx context.Context, name string, revision uint64) error {
	if err := eventstore.CheckRegister(name); err != nil {
		return err
	}
	_, err := r.publish(ctx, name, nil, nats.Header{operation: {"DEL"}}, revision)
	if errors.Is(err, eventstore.ErrRevision) {
		if _, have := r.Get(ctx, name); errors.Is(have, eventstore.ErrNoRegister) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("delete register %s at revision %d: %w", name, revision, err)
	}
	return nil
}

// List implements eventstore.Registers: it asks for the names, and then for each register by itself.
func (r *Registers) List(ctx context.Context, prefix string) (map[string]eventstore.Register, error) {
	if err := eventstore.CheckRegister(prefix); err != nil {
		return nil, err
	}
	info := new(js.StreamInfo)
	query := map[string]string{"subjects_filter": r.subject(prefix + ".>")}
	if err := request(ctx, r.nc, r.stream, "STREAM.INFO."+r.stream, query, info); err != nil {
		r.missed(ctx, err)
		return nil, fmt.Errorf("list registers %s: %w", prefix, err)
	}
	all := map[string]eventstore.Register{}
	for subject := range info.State.Subjects {
		name := strings.TrimPrefix(subject, r.subject(""))
		reg, err := r.Get(ctx, name)
		if errors.Is(err, eventstore.ErrNoRegister) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list registers %s: %w", prefix, err)
		}
		all[name] = reg
	}
	return all, nil
}

// publish replaces a register's message, or fails with eventstore.ErrRevision if another revision stands there or is on
// its way there.
func (r *Registers) publish(ctx context.Context, name string, value []byte, h nats.Header, revision uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if h == nil {
		h = nats.Header{}
	}
	h.Set(js.ExpectedLastSubjSeqHeader, strconv.FormatUint(revision, 10))
	answer, err := r.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: r.subject(name), Data: value, Header: h})
	if err != nil {
		return 0, fmt.Errorf("stream %s: %w", r.stream, err)
	}
	var ack struct {
		Stream string       `json:"stream"`
		Seq    uint64       `json:"seq"`
		Error  *js.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return 0, fmt.Errorf("stream %s: answer to a set: %w", r.stream, err)
	}
	switch {
	case ack.Error == nil && ack.Stream == r.stream:
		return ack.Seq, nil
	case ack.Error == nil:
		return 0, fmt.Errorf("stream %s: answered by stream %.40q, which takes its subjects", r.stream, ack.Stream)
	case ack.Error.ErrorCode == wrongLastSequence, ack.Error.ErrorCode == wrongLastSequenceInFlight:
		return 0, fmt.Errorf("%w (%s)", eventstore.ErrRevision, ack.Error.Description)
	}
	return 0, fmt.Errorf("stream %s: %w", r.stream, ack.Error)
}
