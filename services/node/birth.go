package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/jetstream"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/fronts/feed"
	"github.com/droverhq/drover/services/fronts/inbox"
)

// systemKey is the register of the system's record, in a bucket of its own beside the logs.
const systemKey = "system"

// Record is what was decided when a system was born: the key `system` of the KV bucket drover-system.
type Record struct {
	// Format of the record; this is 1.
	Format int `json:"format"`
	// Homes is fixed for life: a thing's home is its name's hash modulo this.
	Homes uint32 `json:"homes"`
	// Replicas is on how many servers each log stands.
	Replicas int `json:"replicas"`
	// LogsCreated is set once every log's stream exists. From then on a missing one is lost, not new.
	LogsCreated bool `json:"logsCreated"`
}

// Birth says how a system is made.
type Birth struct {
	Homes uint32 // at least 1
	// Replicas is 1 or 3.
	Replicas int
	// LogBytes is what all logs together may take on the disk of a server that holds them all, in bytes.
	LogBytes int64
	// Exists says that the logs were made before there were records: a missing one is lost.
	Exists bool
	// Waiting is told why it has to be tried again, while brokers or some of their nodes are not there yet. Nil is nobody.
	Waiting func(error)
}

// ErrNotBorn: there is no system on these brokers yet, or it is still being made.
var ErrNotBorn = errors.New("there is no system on these brokers yet: make one with `drover init`")

// Init makes a system on a hub: its record, and every log. What is there already stays; a system that was born otherwise is
// refused, and so is one that has lost a log. What is not there yet is waited for until ctx ends.
//
// A crash leaves the record without LogsCreated and some of the logs, and the next Init goes on. Several at once do no
// harm: the record is written by whoever is first, and all make the same logs.
func Init(ctx context.Context, hub *broker.Dialer, b Birth) (r Record, err error) {
	if b.Waiting == nil {
		b.Waiting = func(error) {}
	}
	err = persist(ctx, func() error {
		r, err = initOnce(ctx, hub, b)
		return err
	}, b.Waiting)
	return r, err
}

func initOnce(ctx context.Context, hub *broker.Dialer, b Birth) (Record, error) {
	nc, err := hub.Connect("init")
	if err != nil {
		return Record{}, err
	}
	defer nc.Close()
	bucket, err := jetstream.CreateRegisters(ctx, nc, jetstream.System, b.Replicas)
	if err != nil {
		return Record{}, err
	}
	r, revision, err := bornRecord(ctx, bucket, b)
	if err != nil {
		return r, err
	}
	if err := makeLogs(ctx, nc, r, b.LogBytes); err != nil {
		return r, err
	}
	if err := makeStreams(ctx, hub, nc, r, b.LogBytes); err != nil {
		return r, err
	}
	if r.LogsCreated {
		return r, nil
	}
	r.LogsCreated = true
	if _, err = bucket.Set(ctx, systemKey, r.json(), revision); errors.Is(err, eventstore.ErrRevision) {
		err = nil // another has written the same
	}
	if err != nil {
		return r, fmt.Errorf("write the system's record: %w", err)
	}
	return r, nil
}

// bornRecord is the record, which is made if there is none, and its revision.
func bornRecord(ctx context.Context, bucket eventstore.Registers, b Birth) (Record, uint64, error) {
	r := Record{Format: formatNow, Homes: b.Homes, Replicas: b.Replicas, LogsCreated: b.Exists}
	revision, err := bucket.Set(ctx, systemKey, r.json(), 0)
	if err == nil {
		return r, revision, nil
	}
	if !errors.Is(err, eventstore.ErrRevision) {
		return r, 0, fmt.Errorf("write the system's record: %w", err)
	}
	r, revision, err = readRecord(ctx, bucket)
	switch {
	case err != nil:
		return r, 0, err
	case r.Homes != b.Homes:
		return r, 0, fmt.Errorf("--homes %d: this system was born with %d, for life", b.Homes, r.Homes)
	case r.Replicas != b.Replicas:
		return r, 0, fmt.Errorf("--replicas %d: this system was born with %d", b.Replicas, r.Replicas)
	}
	return r, revision, nil
}

// ReadRecord reads the record of the system on the brokers of a connection; ErrNotBorn if there is none, or if its logs are
// still being made.
func ReadRecord(ctx context.Context, nc *nats.Conn) (Record, error) {
	bucket, err := jetstream.OpenRegisters(ctx, nc, jetstream.System)
	if errors.Is(err, jetstream.ErrNoBucket) {
		return Record{}, ErrNotBorn
	}
	if err != nil {
		return Record{}, err
	}
	r, _, err := readRecord(ctx, bucket)
	if err == nil && !r.LogsCreated {
		return r, ErrNotBorn
	}
	return r, err
}

func readRecord(ctx context.Context, bucket eventstore.Registers) (Record, uint64, error) {
	var r Record
	reg, err := bucket.Get(ctx, systemKey)
	if errors.Is(err, eventstore.ErrNoRegister) {
		return r, 0, ErrNotBorn
	}
	if err != nil {
		return r, 0, fmt.Errorf("the system's record: %w", err)
	}
	if err := json.Unmarshal(reg.Value, &r); err != nil || r.Homes == 0 {
		return r, 0, fmt.Errorf("the system's record is damaged: %.200q (the first entry of every log tells the number of homes)", reg.Value)
	}
	if r.Format != formatNow {
		return r, 0, fmt.Errorf("the system's record has format %d; this version of drover knows %d", r.Format, formatNow)
	}
	return r, reg.Revision, nil
}

func (r Record) json() []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // it holds numbers
	}
	return text
}

// makeLogs makes the streams that are missing, if they may be; else a missing one is an error.
func makeLogs(ctx context.Context, nc *nats.Conn, r Record, bytes int64) error {
	room := shareRoom(bytes, r.Homes)
	for _, name := range id.Logs(r.Homes) {
		_, err := jetstream.Open(ctx, nc, name, jetstream.Options{Replicas: r.Replicas})
		if errors.Is(err, jetstream.ErrNoStream) && !r.LogsCreated {
			// A crash just after it leaves some logs made, with the bounds of that moment, and the others to be made.
			_, err = jetstream.Open(ctx, nc, name, jetstream.Options{Replicas: r.Replicas, Create: true, MaxBytes: room[name]})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// makeStreams makes what durable commands and the feed are kept in. The feed may take a sixteenth of what the logs may, at
// most what it takes by default.
func makeStreams(ctx context.Context, hub *broker.Dialer, service *nats.Conn, r Record, logBytes int64) error {
	commands, err := hub.ConnectInbox("init")
	if err != nil {
		return err
	}
	defer commands.Close()
	if err := inbox.CreateStreams(ctx, commands, service, inbox.Limits{Replicas: r.Replicas}); err != nil {
		return err
	}
	jobs, err := jetstream.Open(ctx, service, id.JobLog, jetstream.Options{Replicas: r.Replicas})
	if err != nil {
		return err
	}
	limits := feed.Limits{Replicas: r.Replicas}
	if !r.LogsCreated && logBytes > 0 && logBytes/16 < feed.DefaultBytes {
		limits.MaxBytes = logBytes / 16
	}
	return feed.CreateStream(ctx, service, eventstore.New(id.JobLog, jobs), limits)
}

// shareRoom bounds each log, so that together they stay below what there is: a full log is a clean refusal, a full disk is
// an error that lasts until the broker restarts. 60 % are for the homes, 15 % each for targeting and rollout, 10 % for job.
func shareRoom(all int64, homes uint32) map[id.Log]int64 {
	room := map[id.Log]int64{}
	for _, l := range id.Logs(homes) {
		switch l.Service {
		case v1.Service_SERVICE_EXECUTION:
			room[l] = all / 100 * 60 / int64(homes)
		case v1.Service_SERVICE_JOB:
			room[l] = all / 100 * 10
		default:
			room[l] = all / 100 * 15
		}
	}
	return room
}
