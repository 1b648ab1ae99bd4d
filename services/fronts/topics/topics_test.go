package topics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/eventstoretest"
	"github.com/droverhq/drover/eventstore/memory"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/feed"
)

const execution = v1.EventCategory_EVENT_CATEGORY_JOB_EXECUTION

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// system is a broker, logs with a feed, and what answers questions to the read models.
type system struct {
	t       *testing.T
	url     string
	writers map[id.Log]*eventstoretest.Writer

	mu   sync.Mutex
	on   []*v1.EventConfiguration
	gone bool // the read models do not hold the job
}

func newSystem(t *testing.T) *system {
	broker, err := server.NewServer(&server.Options{
		ServerName: "n1", Host: "127.0.0.1", Port: -1, StoreDir: t.TempDir(), JetStream: true,
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 16 << 30, NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	broker.Start()
	t.Cleanup(func() { broker.Shutdown(); broker.WaitForShutdown() })
	if !broker.ReadyForConnections(time.Minute) {
		t.Fatal("the broker does not start")
	}
	s := &system{t: t, url: broker.ClientURL(), writers: map[id.Log]*eventstoretest.Writer{}}
	var logs []*eventstore.Log
	for _, name := range id.Logs(1) {
		l := eventstore.New(name, memory.New())
		logs = append(logs, l)
		s.writers[name] = eventstoretest.NewWriter(t, l)
		s.writers[name].AtMs = time.Now().UnixMilli()
	}
	feeder, err := feed.New(feed.Config{Conn: s.connect(), Logs: logs, Name: "feeder", Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	s.start(feeder.Run)
	questions, err := bus.NewServer(s.connect(), "projections", "test")
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		bus.Serve(questions, bus.DescribeEventConfigurations, func(context.Context, bus.Request, *v1.DescribeEventConfigurations) (*v1.DescribeEventConfigurationsReply, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return &v1.DescribeEventConfigurationsReply{Configurations: s.on}, nil
		}),
		bus.Serve(questions, bus.DescribeJob, func(_ context.Context, _ bus.Request, q *v1.DescribeJob) (*v1.DescribeJobReply, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.gone {
				return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "jobId", "no job")
			}
			return &v1.DescribeJobReply{Job: &v1.JobRow{Job: id.Number(2, 0), JobId: q.GetJobId(), Description: "from the read models"}}, nil
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *system) connect() *nats.Conn {
	nc, err := nats.Connect(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

// start runs f until the test or what it returns ends.
func (s *system) start(f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				s.t.Errorf("it ended with %v", err)
			}
		})
	}
	s.t.Cleanup(stop)
	return stop
}

func (s *system) topics() *Topics {
	nc := s.connect()
	t, err := New(Config{
		Conn: nc, Client: bus.NewClient(nc), Logger: quiet,
		Creation: func(context.Context, id.Log, uint64) (*v1.Event, error) {
			return &v1.Event{Event: &v1.Event_JobCreated{JobCreated: &v1.JobCreated{JobId: "fw", Description: "as it was created"}}}, nil
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	t.lookEvery = 50 * time.Millisecond
	return t
}

func (s *system) configure(categories ...v1.EventCategory) {
	s.mu.Lock()
	at := time.Now().UnixMilli()
	var on []*v1.EventConfiguration
	for n := range v1.EventCategory_name {
		c := &v1.EventConfiguration{Category: v1.EventCategory(n), Enabled: slices.Contains(categories, v1.EventCategory(n)), ChangedAtMs: at}
		for _, was := range s.on {
			if was.Category == c.Category && was.Enabled == c.Enabled {
				c = was
			}
		}
		on = append(on, c)
	}
	s.on = on
	s.mu.Unlock()
	s.write(id.JobLog, &v1.Event{Event: &v1.Event_EventsConfigured{EventsConfigured: &v1.EventsConfigured{Configurations: on}}})
}

func (s *system) write(log id.Log, e *v1.Event) {
	w := s.writers[log]
	w.AtMs = max(w.AtMs, time.Now().UnixMilli())
	w.Event(e)
}

func (s *system) createJob() {
	s.write(id.JobLog, &v1.Event{Event: &v1.Event_JobCreated{JobCreated: &v1.JobCreated{Job: id.Number(2, 0), JobId: "fw"}}})
}

func (s *system) ends(thing int) {
	s.write(id.ExecutionLog(0), &v1.Event{Event: &v1.Event_ExecutionChanged{ExecutionChanged: &v1.ExecutionChanged{
		Job: id.Number(2, 0), Thing: fmt.Sprint("t-", thing), ExecutionNumber: 1,
		From: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS, To: v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED,
	}}})
}

// listen is what comes on a subject.
func (s *system) listen(subject string) <-chan *nats.Msg {
	c := make(chan *nats.Msg, 10_000)
	nc := s.connect()
	if _, err := nc.ChanSubscribe(subject, c); err != nil {
		s.t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *system) await(c <-chan *nats.Msg, subject string) *nats.Msg {
	s.t.Helper()
	select {
	case m := <-c:
		if m.Subject != subject {
			s.t.Fatalf("%s came, not %s", m.Subject, subject)
		}
		return m
	case <-time.After(time.Minute):
		s.t.Fatalf("%s does not come", subject)
	}
	return nil
}

// What is off is not told; what was switched on is told from then on, exactly, however late the topics begin; a category
// that is switched off again is silent.
// Broken once by beginning at the end of the feed: the execution that ended before the topics ran was not told.
func TestCategoriesAreToldFromWhenTheyWereSwitchedOn(t *testing.T) {
	s := newSystem(t)
	told, fed := s.listen("$aws.events.>"), s.listen("drover.feed.job.JobCanceled.*")
	s.createJob()
	s.configure(v1.EventCategory_EVENT_CATEGORY_JOB_EXECUTION)
	s.ends(2)
	s.write(id.JobLog, &v1.Event{Event: &v1.Event_JobCanceled{JobCanceled: &v1.JobCanceled{Job: id.Number(2, 0)}}}) // is off
	s.start(s.topics().Run)
	if m := s.await(told, "$aws.events.jobExecution.fw.succeeded"); !contains(m, `thing/t-2"`) {
		t.Errorf("%s", m.Data)
	}
	// What is switched on now is told from now on: the feed holds all that was before.
	s.await(fed, "drover.feed.job.JobCanceled.fw")
	for at := time.Now().UnixMilli(); time.Now().UnixMilli() <= at; time.Sleep(time.Millisecond) {
	}
	s.configure(v1.EventCategory_EVENT_CATEGORY_JOB, v1.EventCategory_EVENT_CATEGORY_JOB_EXECUTION)
	s.write(id.JobLog, &v1.Event{Event: &v1.Event_JobCompleted{JobCompleted: &v1.JobCompleted{Job: id.Number(2, 0)}}})
	if m := s.await(told, "$aws.events.job.fw.completed"); !contains(m, "from the read models") {
		t.Errorf("%s", m.Data)
	}
	s.mu.Lock()
	s.gone = true
	s.mu.Unlock()
	s.write(id.JobLog, &v1.Event{Event: &v1.Event_JobDeleted{JobDeleted: &v1.JobDeleted{Job: id.Number(2, 0)}}})
	if m := s.await(told, "$aws.events.job.fw.deleted"); !contains(m, "as it was created") {
		t.Errorf("%s", m.Data)
	}
}

// Two that run and are stopped and started again tell everything at least once, and a repeat by its id.
func TestNothingIsMissedWhenOneIsReplaced(t *testing.T) {
	s := newSystem(t)
	told := s.listen("$aws.events.>")
	s.createJob()
	s.configure(v1.EventCategory_EVENT_CATEGORY_JOB_EXECUTION)
	const things = 300
	stop := s.start(s.topics().Run)
	s.start(s.topics().Run)
	for n := range things {
		s.ends(n)
		if n%60 == 30 {
			stop()
			stop = s.start(s.topics().Run)
		}
	}
	ids := map[string]bool{}
	deadline := time.After(2 * time.Minute)
	for len(ids) < things {
		select {
		case m := <-told:
			ids[string(m.Data)] = true
		case <-deadline:
			t.Fatalf("%d of %d were told", len(ids), things)
		}
	}
}

// A process that is late takes a category for off, or on since an earlier time, that another one has switched on again. It
// removes no consumer but those of earlier times; what an earlier version made goes as well.
// Broken once by names without the time: the late process removed the consumer, and the event was not told.
func TestALateProcessRemovesNothingOfALaterTime(t *testing.T) {
	s := newSystem(t)
	told := s.listen("$aws.events.>")
	s.createJob()
	one, late := s.topics(), s.topics()
	ctx := t.Context()
	at := func(on bool, ms int64) *v1.DescribeEventConfigurationsReply {
		return &v1.DescribeEventConfigurationsReply{Configurations: []*v1.EventConfiguration{{Category: execution, Enabled: on, ChangedAtMs: ms}}}
	}
	now := time.Now().UnixMilli()
	var stream js.Stream
	for { // the feed makes it
		var err error
		if stream, err = one.api.Stream(ctx, feed.StreamName); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, name := range []string{"aws-events-JOB_EXECUTION", "aws-events-JOB", "another"} {
		if _, err := stream.CreateConsumer(ctx, js.ConsumerConfig{Durable: name, FilterSubject: "drover.feed." + name}); err != nil {
			t.Fatal(err)
		}
	}
	consumers := func(t *Topics, c *v1.DescribeEventConfigurationsReply) (names []string) {
		if _, err := t.consumers(ctx, c); err != nil {
			s.t.Fatal(err)
		}
		lister := stream.ConsumerNames(ctx)
		for name := range lister.Name() {
			names = append(names, name)
		}
		slices.Sort(names)
		return names
	}
	others := []string{"another", "aws-events-JOB"}
	is := func(got []string, want ...string) {
		t.Helper()
		if want = append(slices.Clone(others), want...); !slices.Equal(got, want) {
			t.Errorf("there are %v, want %v", got, want)
		}
	}
	first, second := consumerName(execution, now-3000), consumerName(execution, now-1000)
	is(consumers(one, at(true, now-3000)), first)
	is(consumers(one, at(false, now-2000)))
	is(consumers(one, at(true, now-1000)), second)
	is(consumers(late, at(false, now-2000)), second)
	is(consumers(late, at(true, now-3000)), first, second)
	is(consumers(one, at(true, now-1000)), second)

	s.configure(v1.EventCategory_EVENT_CATEGORY_JOB_EXECUTION)
	s.start(one.Run)
	s.ends(1)
	s.await(told, "$aws.events.jobExecution.fw.succeeded")
}

func contains(m *nats.Msg, text string) bool { return strings.Contains(string(m.Data), text) }
