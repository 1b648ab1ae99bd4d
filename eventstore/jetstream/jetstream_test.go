package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/eventstoretest"
	"github.com/droverhq/drover/eventstore/jetstream"
	"github.com/droverhq/drover/proto/id"
)

// opener opens another log of the same broker each time.
func opener(nc *nats.Conn, opts jetstream.Options) func(t *testing.T) eventstore.Backend {
	var homes atomic.Uint32
	return func(t *testing.T) eventstore.Backend {
		return open(t, nc, id.ExecutionLog(id.Home(homes.Add(1))), opts)
	}
}

func TestContract(t *testing.T) {
	s := start(t, t.TempDir())
	eventstoretest.Suite(t, opener(connect(t, s.ClientURL()), jetstream.Options{Create: true}))
}

func TestALogIsFoundAgainAfterARestart(t *testing.T) {
	ctx, dir := within(t), t.TempDir()
	s := start(t, dir)
	nc := connect(t, s.ClientURL())
	w := eventstoretest.NewWriter(t, eventstore.New(id.JobLog, open(t, nc, id.JobLog, jetstream.Options{Create: true})))
	for range 5 {
		w.Event()
	}
	s.Shutdown()
	s.WaitForShutdown()
	nc = connect(t, start(t, dir).ClientURL())
	r, err := eventstore.New(id.JobLog, open(t, nc, id.JobLog, jetstream.Options{})).Verify(ctx, nil)
	if err != nil || r.Head != w.Head || r.Commits != 6 {
		t.Fatalf("got %+v, %v; want a whole log up to %v", r, err, w.Head)
	}
}

func TestAMissingStreamIsNamedWhereOneIsExpected(t *testing.T) {
	nc := connect(t, start(t, t.TempDir()).ClientURL())
	_, err := jetstream.Open(within(t), nc, id.ExecutionLog(3), jetstream.Options{})
	if err == nil || !strings.Contains(err.Error(), "execution.3") || !strings.Contains(err.Error(), "log-execution-3-0001") {
		t.Fatalf("got %v, want the log and its stream", err)
	}
}

func TestAChangedStreamIsNotOpened(t *testing.T) {
	ctx := within(t)
	nc := connect(t, start(t, t.TempDir()).ClientURL())
	api, err := js.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	home := 0
	for _, tc := range []struct {
		named  string
		change func(*js.StreamConfig)
	}{
		{"subjects", func(c *js.StreamConfig) { c.Subjects = append(c.Subjects, "other."+c.Name) }},
		{"storage", func(c *js.StreamConfig) { c.Storage = js.MemoryStorage }},
		{"discard", func(c *js.StreamConfig) { c.Discard = js.DiscardOld }},
		{"max_msgs", func(c *js.StreamConfig) { c.MaxMsgs = 100 }},
		{"max_age", func(c *js.StreamConfig) { c.MaxAge = time.Hour }},
		{"max_bytes", func(c *js.StreamConfig) { c.MaxBytes = 1 << 20 }},
		{"deny_delete", func(c *js.StreamConfig) { c.DenyDelete = false }},
		{"deny_purge", func(c *js.StreamConfig) { c.DenyPurge = false }},
		{"compression", func(c *js.StreamConfig) { c.Compression = js.S2Compression }},
		{"no_ack", func(c *js.StreamConfig) { c.NoAck = true }},
	} {
		t.Run(tc.named, func(t *testing.T) {
			home++
			name := id.ExecutionLog(id.Home(home))
			opts := jetstream.Options{Create: true, MaxBytes: 1 << 24}
			b := open(t, nc, name, opts)
			stream, err := api.Stream(ctx, b.Stream())
			if err != nil {
				t.Fatal(err)
			}
			config := stream.CachedInfo().Config
			tc.change(&config)
			// What a server does not let anyone change can still be made anew.
			if err := api.DeleteStream(ctx, b.Stream()); err != nil {
				t.Fatal(err)
			}
			recreate(t, api, config)
			_, err = jetstream.Open(ctx, nc, name, opts)
			if err == nil || !strings.Contains(err.Error(), tc.named+" is") {
				t.Fatalf("got %v, want that %s is named", err, tc.named)
			}
			if err := b.Check(ctx, opts); err == nil {
				t.Fatal("Check found nothing")
			}
		})
	}
}

// recreate makes a stream anew under the name of one that was just deleted: the server may still be at removing its files.
func recreate(t *testing.T, api js.JetStream, config js.StreamConfig) {
	t.Helper()
	ctx := within(t)
	for {
		_, err := api.CreateStream(ctx, config)
		var refused *js.APIError
		if err == nil {
			return
		}
		if !errors.As(err, &refused) || refused.ErrorCode != storeNotCreated {
			t.Fatal(err)
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// storeNotCreated is how the server says that it could not make a stream's folder.
const storeNotCreated js.ErrorCode = 10049

func TestAStreamThatBeginsLaterIsDamage(t *testing.T) {
	ctx := within(t)
	nc := connect(t, start(t, t.TempDir()).ClientURL())
	b := open(t, nc, id.JobLog, jetstream.Options{Create: true})
	api, _ := js.New(nc)
	stream, err := api.Stream(ctx, b.Stream())
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.FirstSeq = 5
	if err := api.DeleteStream(ctx, b.Stream()); err != nil {
		t.Fatal(err)
	}
	recreate(t, api, config)
	_, err = jetstream.Open(ctx, nc, id.JobLog, jetstream.Options{})
	var damage *eventstore.DamageError
	if !errors.As(err, &damage) || damage.First != 1 || damage.Last != 4 {
		t.Fatalf("got %v, want damage at 1 to 4", err)
	}
}

func TestAFullStreamRefusesCleanlyAndGoesOnBeingRead(t *testing.T) {
	ctx := within(t)
	nc := connect(t, start(t, t.TempDir()).ClientURL())
	b := open(t, nc, id.JobLog, jetstream.Options{Create: true, MaxBytes: 64 << 10})
	data := make([]byte, 8<<10)
	n := uint64(0)
	var err error
	for err == nil {
		n++
		err = b.Append(ctx, n, data)
	}
	if !errors.Is(err, eventstore.ErrFull) || n < 5 {
		t.Fatalf("append %d: %v, want ErrFull", n, err)
	}
	if _, last, err := b.Bounds(ctx); err != nil || last != n-1 {
		t.Fatalf("the log ends at %d (%v), want %d", last, err, n-1)
	}
	if err := b.Append(ctx, n, []byte("small")); err != nil {
		t.Fatalf("a small one still fits: %v", err)
	}
}

func TestAFullStreamTakesAsMuchAgainAsRoomWasMade(t *testing.T) {
	ctx := within(t)
	nc := connect(t, start(t, t.TempDir()).ClientURL())
	b := open(t, nc, id.JobLog, jetstream.Options{Create: true, MaxBytes: 64 << 10})
	data := make([]byte, 8<<10)
	n := uint64(1)
	fill := func() (added int) {
		for ; ; n++ {
			if err := b.Append(ctx, n, data); errors.Is(err, eventstore.ErrFull) {
				return added
			} else if err != nil {
				t.Fatal(err)
			}
			added += len(data)
		}
	}
	fill()
	for range 2 {
		for range 2 { // the second time there is room already
			if err := b.MakeRoom(ctx, 40<<10); err != nil {
				t.Fatal(err)
			}
		}
		if added := fill(); added != 32<<10 {
			t.Fatalf("%d bytes were added", added)
		}
	}
	if _, err := jetstream.Open(ctx, nc, id.JobLog, jetstream.Options{}); err != nil {
		t.Fatalf("the configuration has changed: %v", err)
	}
	unbounded := open(t, nc, id.TargetingLog, jetstream.Options{Create: true})
	if err := unbounded.MakeRoom(ctx, 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := unbounded.Append(ctx, 1, make([]byte, 128<<10)); err != nil {
		t.Fatal(err)
	}
}

func TestAFollowerGoesOnAfterItsConnectionAndItsConsumerWereLost(t *testing.T) {
	ctx := within(t)
	dir := t.TempDir()
	s := start(t, dir)
	url := s.ClientURL()
	nc := connect(t, url)
	b := open(t, nc, id.JobLog, jetstream.Options{Create: true})
	got, done := make(chan uint64, 1000), make(chan error, 1)
	follow, cancel := context.WithCancel(ctx)
	go func() {
		done <- b.Follow(follow, 1, func(r eventstore.Record) error { got <- r.Number; return nil })
	}()
	expect := func(from, to uint64) {
		t.Helper()
		for n := from; n <= to; n++ {
			select {
			case g := <-got:
				if g != n {
					t.Fatalf("got %d, want %d", g, n)
				}
			case err := <-done:
				t.Fatalf("the follower ended: %v", err)
			case <-ctx.Done():
				t.Fatalf("%d did not come", n)
			}
		}
	}
	write := func(from, to uint64) {
		t.Helper()
		for n := from; n <= to; n++ {
			eventually(t, fmt.Sprintf("append %d", n), func() bool {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				err := b.Append(ctx, n, []byte("x"))
				return err == nil || errors.Is(err, eventstore.ErrConflict)
			})
		}
	}
	write(1, 10)
	expect(1, 10)

	api, _ := js.New(nc)
	stream, err := api.Stream(ctx, b.Stream())
	if err != nil {
		t.Fatal(err)
	}
	for name := range stream.ConsumerNames(ctx).Name() {
		if err := stream.DeleteConsumer(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	write(11, 20)
	expect(11, 20)

	if err := nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	write(21, 30)
	expect(21, 30)

	port := s.Addr().String()
	s.Shutdown()
	s.WaitForShutdown()
	start(t, dir, onAddr(port))
	write(31, 40)
	expect(31, 40)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
}

func TestAFollowerReadsMoreThanOneRequestHolds(t *testing.T) {
	ctx := within(t)
	dir := t.TempDir()
	nc := connect(t, start(t, dir, lazy).ClientURL())
	b := open(t, nc, id.JobLog, jetstream.Options{Create: true})
	const messages, size = 90, 200 << 10 // 18 MB; a request holds 8, and so does a file
	for n := uint64(1); n <= messages; n++ {
		if err := b.Append(ctx, n, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	enough := errors.New("enough")
	want := uint64(1)
	begun := time.Now()
	err := b.Follow(ctx, 1, func(r eventstore.Record) error {
		if r.Number != want || len(r.Data) != size {
			t.Errorf("got %d of %d bytes, want %d", r.Number, len(r.Data), want)
		}
		if want++; want > messages {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	if d := time.Since(begun); d > 25*time.Second { // a request lasts 30
		t.Errorf("it took %v: a request's end was not noticed", d)
	}
	if err := jetstream.CheckFiles(dir); err != nil {
		t.Error(err)
	}
}

func TestAForeignMessageStopsReadersUntilItIsNamed(t *testing.T) {
	ctx := within(t)
	nc := connect(t, start(t, t.TempDir()).ClientURL())
	log := eventstore.New(id.JobLog, open(t, nc, id.JobLog, jetstream.Options{Create: true}))
	w := eventstoretest.NewWriter(t, log)
	w.Event()
	for range 2 {
		if _, err := nc.Request(jetstream.Subject(id.JobLog, 1), []byte("hello"), patience); err != nil {
			t.Fatal(err)
		}
	}
	var foreign *eventstore.ForeignError
	err := log.Follow(ctx, eventstore.Mark{}, func(c *eventstore.Commit) error {
		if c.Number > 2 {
			t.Errorf("%d was handed out", c.Number)
		}
		return nil
	})
	if !errors.As(err, &foreign) || foreign.Number != 3 {
		t.Fatalf("got %v, want a foreign message at 3", err)
	}
	repaired, err := log.Repair(ctx, w.AtMs)
	if err != nil || len(repaired) != 1 || repaired[0].Number != 5 || len(repaired[0].Foreign) != 2 {
		t.Fatalf("got %+v, %v; want commit 5 to name 3 and 4", repaired, err)
	}
	w.Head = repaired[0].Mark
	w.Event()
	r, err := log.Verify(ctx, nil)
	if err != nil || r.Commits != 4 || len(r.Foreign) != 2 || r.Head != w.Head {
		t.Fatalf("got %+v, %v; want 4 commits and 2 foreign messages", r, err)
	}
}
