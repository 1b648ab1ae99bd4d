package feed

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/eventstoretest"
	"github.com/droverhq/drover/eventstore/memory"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// patience is how long a test waits for what must happen.
const patience = 120 * time.Second

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for ctx := within(t); !holds(); {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v", what, patience)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// startBroker starts a server that flushes every write.
func startBroker(t testing.TB) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		ServerName: "n1", Host: "127.0.0.1", Port: -1, StoreDir: t.TempDir(), JetStream: true, SyncAlways: true,
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 16 << 30, NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the broker does not start")
	}
	// Of the first two requests to a server's API that come at the same time, one may get no answer.
	api, err := js.New(connect(t, s))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.AccountInfo(within(t)); err != nil {
		t.Fatal(err)
	}
	return s
}

func connect(t testing.TB, s *server.Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectBufSize(-1), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// history is logs in memory and those who write them.
type history struct {
	t       testing.TB
	rng     *rand.Rand
	logs    []*eventstore.Log
	writers map[id.Log]*eventstoretest.Writer
	jobs    []job
	events  int // appended so far
}

type job struct {
	number uint64
	id     string
}

func newHistory(t testing.TB, homes uint32, seed uint64) *history {
	h := &history{t: t, rng: rand.New(rand.NewPCG(seed, 0)), writers: map[id.Log]*eventstoretest.Writer{}}
	for _, name := range id.Logs(homes) {
		l := eventstore.New(name, memory.New())
		h.logs = append(h.logs, l)
		h.writers[name] = eventstoretest.NewWriter(t, l)
		h.events++
	}
	h.createJob()
	return h
}

func (h *history) log(name id.Log) *eventstore.Log { return h.writers[name].Log }

func (h *history) append(log id.Log, c *v1.Commit) {
	w := h.writers[log]
	if now := time.Now().UnixMilli(); now > w.AtMs {
		w.AtMs = now
	}
	w.Append(c)
	h.events += len(c.Entries)
}

func (h *history) createJob() {
	w := h.writers[id.JobLog]
	j := job{id.Number(w.Head.Number+1, 0), fmt.Sprintf("job-%d", len(h.jobs))}
	h.append(id.JobLog, &v1.Commit{Entries: []*v1.Entry{
		{
			Cause: &v1.Entry_Command{Command: &v1.CommandCause{Id: "c-" + j.id, By: "client", Type: "CreateJob", Reply: []byte{1, 2}}},
			Event: &v1.Event{Event: &v1.Event_JobCreated{JobCreated: &v1.JobCreated{Job: j.number, JobId: j.id, Document: []byte(`{"a":1}`)}}},
		},
		{Event: &v1.Event{Event: &v1.Event_JobStarted{JobStarted: &v1.JobStarted{Job: j.number}}}},
	}})
	h.jobs = append(h.jobs, j)
}

// cursor is what a commit that has read all of a log says.
func (h *history) cursor(log id.Log) *v1.Cursor {
	head := h.writers[log].Head
	return &v1.Cursor{Service: log.Service, Home: uint32(log.Home), Number: head.Number, Hash: head.Hash.Prefix()}
}

func thing(n int) string { return fmt.Sprintf("press-%03d", n) }

// reports are entries of an execution log.
func (h *history) reports(n int) []*v1.Entry {
	var list []*v1.Entry
	for range n {
		j := h.jobs[h.rng.IntN(len(h.jobs))]
		list = append(list, &v1.Entry{
			Cause:  &v1.Entry_Command{Command: &v1.CommandCause{}},
			Reason: &v1.Reason{Code: v1.ReasonCode_REASON_CODE_REPORTED},
			Event: &v1.Event{Event: &v1.Event_ExecutionChanged{ExecutionChanged: &v1.ExecutionChanged{
				Job: j.number, Thing: thing(h.rng.IntN(50)), ExecutionNumber: 1, From: v1.ExecutionStatus_EXECUTION_STATUS_QUEUED,
				To: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS, VersionNumber: uint64(h.events), QueuedAtMs: 1_795_608_000_000,
				StatusDetails: []*v1.Detail{{Name: "step", Value: "flash"}},
			}}},
		})
	}
	return list
}

// grow appends one commit to some log, as the services would: now and then a large one, or one without entries.
func (h *history) grow() {
	homes := len(h.logs) - 3
	switch n := h.rng.IntN(20); {
	case n == 0:
		h.createJob()
	case n < 4:
		j := h.jobs[h.rng.IntN(len(h.jobs))]
		c := &v1.Commit{Cursors: []*v1.Cursor{h.cursor(id.JobLog)}}
		for home := range homes {
			c.Cursors = append(c.Cursors, h.cursor(id.ExecutionLog(id.Home(home))))
			c.Entries = append(c.Entries, &v1.Entry{
				Cause:  &v1.Entry_Timer{Timer: &v1.TimerCause{DueMs: 1_795_608_000_000}},
				Reason: &v1.Reason{Code: v1.ReasonCode_REASON_CODE_PACE, Numbers: []int64{600, 3}},
				Event: &v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{
					Job: j.number, Home: uint32(home), Things: []*v1.ThingRef{{Name: thing(1), Number: 5}, {Name: thing(2), Number: 6}},
				}}},
			})
		}
		h.append(id.RolloutLog, c)
	case n == 4:
		h.append(id.ExecutionLog(id.Home(h.rng.IntN(homes))), &v1.Commit{Cursors: []*v1.Cursor{h.cursor(id.RolloutLog)}})
	default:
		size := 1 + h.rng.IntN(4)
		if n == 5 {
			size = h.rng.IntN(100)
		}
		h.report(size)
	}
}

// report appends a commit of so many events.
func (h *history) report(n int) {
	home := id.Home(h.rng.IntN(len(h.logs) - 3))
	h.append(id.ExecutionLog(home), &v1.Commit{Cursors: []*v1.Cursor{h.cursor(id.RolloutLog)}, Entries: h.reports(n)})
}

// feeder makes one on a connection of its own.
func (h *history) feeder(nc *nats.Conn, change ...func(*Config)) *Feeder {
	h.t.Helper()
	c := Config{Conn: nc, Logs: h.logs, Name: "test", Logger: quiet}
	for _, f := range change {
		f(&c)
	}
	f, err := New(c)
	if err != nil {
		h.t.Fatal(err)
	}
	return f
}

// begin makes the stream as it is made when a system is born: its first number is 1.
func (h *history) begin(nc *nats.Conn, l Limits) {
	h.t.Helper()
	if err := CreateStream(within(h.t), nc, eventstore.New(id.JobLog, memory.New()), l); err != nil {
		h.t.Fatal(err)
	}
}

// running is a Run in the background.
type running struct {
	*Feeder
	done chan error
}

func run(t testing.TB, f *Feeder) *running {
	r := &running{f, make(chan error, 1)}
	go func() { r.done <- f.Run(t.Context()) }()
	t.Cleanup(func() { r.Close() })
	return r
}

// stored is one message of the stream.
type stored struct {
	number uint64
	event  *v1.RecordedEvent
	msg    js.Msg
}

// readAll reads the feed as it stands in its stream.
func readAll(t testing.TB, nc *nats.Conn) (all []stored) {
	t.Helper()
	api, err := js.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := api.Stream(within(t), StreamName)
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if info.State.Msgs == 0 {
		return nil
	}
	c, err := stream.OrderedConsumer(within(t), js.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	it, err := c.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer it.Stop()
	for ctx := within(t); ; {
		m, err := it.Next(js.NextContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		meta, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		if isEvent(m.Headers()) {
			e, err := Decode(m.Data())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, stored{meta.Sequence.Stream, e, m})
		}
		if meta.Sequence.Stream >= info.State.LastSeq {
			return all
		}
	}
}

// end is the feed's last number; 0 while there is none.
func end(t testing.TB, nc *nats.Conn) uint64 {
	t.Helper()
	api, err := js.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	e, err := readEnds(within(t), api)
	if err != nil {
		return 0
	}
	return e.last
}

// fed waits until the feed holds so many messages.
func (h *history) fed(nc *nats.Conn, n int) {
	h.t.Helper()
	api, err := js.New(nc)
	if err != nil {
		h.t.Fatal(err)
	}
	eventually(h.t, fmt.Sprintf("%d events are in the feed", n), func() bool {
		ctx, cancel := context.WithTimeout(h.t.Context(), requestTimeout)
		defer cancel()
		s, err := api.Stream(ctx, StreamName)
		return err == nil && s.CachedInfo().State.Msgs >= uint64(n)
	})
}

// place is where an event stands.
func placeOf(e *v1.RecordedEvent) string {
	return (&record{log: id.LogOf(e.Position), num: e.Position.Number, index: int(e.Position.Entry)}).id()
}

// check holds the feed against the logs themselves: every event of them, once, as it stands there, each log in its order,
// and nothing before what it was decided upon.
func (h *history) check(all []stored) {
	h.t.Helper()
	ids := map[uint64]string{}
	for _, j := range h.jobs {
		ids[j.number] = j.id
	}
	at := map[string]int{} // where in the feed an event is
	for i, m := range all {
		if before, twice := at[placeOf(m.event)]; twice {
			h.t.Fatalf("%s is in the feed twice: feed@%d and feed@%d", placeOf(m.event), all[before].number, m.number)
		}
		at[placeOf(m.event)] = i
	}
	lastOf := map[id.Log]map[uint64]int{} // where the last event of all commits up to a number is
	total := 0
	var commits []*eventstore.Commit
	for _, l := range h.logs {
		before := -1
		lastOf[l.Name()] = map[uint64]int{}
		_, last, err := l.Bounds(within(h.t))
		if err != nil {
			h.t.Fatal(err)
		}
		err = l.ReadTo(within(h.t), eventstore.Mark{}, last, func(c *eventstore.Commit) error {
			commits = append(commits, c)
			var cause *v1.Entry
			for i, e := range c.Entries {
				total++
				if e.Cause == nil {
					e.Cause = cause.Cause
				}
				cause = e
				want := &v1.RecordedEvent{Position: l.Name().Position(c.Number, i), AtMs: c.AtMs, Entry: e, JobId: ids[e.GetEvent().Job()]}
				found, ok := at[placeOf(want)]
				if !ok {
					h.t.Fatalf("%s is not in the feed, which has %d of %d events", placeOf(want), len(all), h.events)
				}
				if !proto.Equal(all[found].event, want) {
					h.t.Fatalf("feed@%d is %v, and the log has %v", all[found].number, all[found].event, want)
				}
				if found < before {
					h.t.Fatalf("%s is in the feed before the event before it", placeOf(want))
				}
				before = found
			}
			lastOf[l.Name()][c.Number] = before
			return nil
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
	if len(all) != total {
		h.t.Fatalf("the feed has %d events, the logs have %d", len(all), total)
	}
	for _, c := range commits {
		for _, cur := range c.Cursors {
			cause := lastOf[id.Log{Service: cur.Service, Home: id.Home(cur.Home)}][cur.Number]
			for i := range c.Entries {
				if here := at[(&record{log: c.Log, num: c.Number, index: i}).id()]; here < cause {
					h.t.Fatalf("%s@%d.%d is in the feed before %s@%d, which it was decided upon", c.Log, c.Number, i, id.ServiceName(cur.Service), cur.Number)
				}
			}
		}
	}
	h.checkThings(all)
}

// checkThings: the events of each thing at a home are in the order in which they were decided.
func (h *history) checkThings(all []stored) {
	h.t.Helper()
	versions := map[string]uint64{}
	for _, m := range all {
		x := m.event.GetEntry().GetEvent().GetExecutionChanged()
		if x == nil {
			continue
		}
		key := x.GetThing() + " at " + id.LogOf(m.event.Position).String()
		if x.GetVersionNumber() < versions[key] {
			h.t.Fatalf("feed@%d: %s is at version %d after %d", m.number, key, x.GetVersionNumber(), versions[key])
		}
		versions[key] = x.GetVersionNumber()
		if m.msg.Headers().Get(headerThing) != x.GetThing() {
			h.t.Fatalf("feed@%d: the header names %q", m.number, m.msg.Headers().Get(headerThing))
		}
	}
}

func streamBytes(t testing.TB, nc *nats.Conn) uint64 {
	t.Helper()
	api, err := js.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := api.Stream(within(t), StreamName)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State.Bytes
}
