package feed

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

func TestEveryEventIsInTheFeedOnce(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 2, 1)
	h.begin(nc, Limits{})
	for range 100 {
		h.grow()
	}
	h.report(batchEvents + 200) // more than a batch, in one commit
	f := run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	for range 100 { // and while it runs
		h.grow()
	}
	h.fed(nc, h.events)
	h.check(readAll(t, nc))
	eventually(t, "the feeder says so", func() bool {
		st := f.Stats()
		return st.Published == uint64(h.events) && st.Last == uint64(h.events) && st.Feeding
	})
}

// Feeders are killed at any moment: their connection is gone in the middle of a batch. Whoever comes next leaves neither a
// gap nor a repeat.
func TestKilledFeedersLeaveNoGapAndNoRepeat(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 3, 2)
	h.begin(nc, Limits{})
	published := 0
	for kill := range 12 {
		for range 15 {
			h.grow()
		}
		if kill%4 == 0 {
			h.report(batchEvents + 200) // a batch ends in the middle of it
		}
		from := end(t, nc)
		conn := connect(t, s)
		f := run(t, h.feeder(conn))
		if kill%5 != 4 { // else while it starts
			want := min(uint64(h.events), from+uint64(h.rng.IntN(1000)))
			eventually(t, "the feed moves", func() bool { return end(t, nc) >= want })
		}
		conn.Close()
		f.Close()
		published += int(f.Stats().Published)
	}
	run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	h.check(readAll(t, nc))
	t.Logf("%d events; %d were published by the feeders that were killed, and known to them", h.events, published)
}

// Several feeders at once, without a lease: the one that feeds is killed again and again, and now and then another one
// starts in the middle of its work. The fence alone keeps the feed whole.
func TestFeedersAtOnceDoNoHarm(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 2, 3)
	h.begin(nc, Limits{})
	stop, grown := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(grown)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(h.rng.IntN(30)) * time.Millisecond):
				h.grow()
			}
		}
	}()
	impatient := func() *Feeder {
		f := h.feeder(connect(t, s))
		f.lookEvery, f.takeOver = 20*time.Millisecond, 60*time.Millisecond
		return f
	}
	feeders := []*running{run(t, impatient()), run(t, impatient()), run(t, impatient())}
	for range 5 {
		before := end(t, nc)
		eventually(t, "the feed moves", func() bool { return end(t, nc) > before+20 })
		for i, f := range feeders {
			if f.Stats().Feeding {
				f.cfg.Conn.Close()
				f.Close()
				before := end(t, nc)
				eventually(t, "another one takes over", func() bool { return end(t, nc) > before })
				feeders[i] = run(t, impatient())
				break
			}
		}
	}
	close(stop)
	<-grown
	h.fed(nc, h.events)
	h.check(readAll(t, nc))
}

// One that stands by takes over when nobody feeds, and not before.
func TestAFeederStandsByWhileAnotherFeeds(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 1, 4)
	h.begin(nc, Limits{})
	first := run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	second := h.feeder(connect(t, s))
	go func() { _ = second.standBy(t.Context()) }()
	for range 30 {
		h.grow()
		h.fed(nc, h.events)
	}
	if second.Stats().Published > 0 {
		t.Error("it has published")
	}
	first.Close()
	h.grow()
	h.createJob()
	run(t, second)
	h.fed(nc, h.events)
	h.check(readAll(t, nc))
}

// lease is one that a test gives and takes.
type lease struct {
	granted chan struct{}
	mu      sync.Mutex
	lost    chan struct{}
}

func (l *lease) Acquire(ctx context.Context) error {
	select {
	case <-l.granted:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lost = make(chan struct{})
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *lease) Lost() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

func (l *lease) take() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.lost)
}

func (l *lease) Release(context.Context) error { return nil }

func TestAFeederFeedsWhileItHoldsTheLease(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 1, 5)
	h.begin(nc, Limits{})
	l := &lease{granted: make(chan struct{})}
	f := run(t, h.feeder(connect(t, s), func(c *Config) { c.Lease = l }))
	l.granted <- struct{}{}
	h.fed(nc, h.events)
	l.take()
	eventually(t, "it stops feeding", func() bool { return !f.Stats().Feeding })
	h.createJob()
	if n := end(t, nc); n >= uint64(h.events) {
		t.Errorf("feed@%d was published without the lease", n)
	}
	l.granted <- struct{}{}
	h.fed(nc, h.events)
	h.check(readAll(t, nc))
}

// Somebody's message in the feed is passed over.
func TestAForeignMessageIsPassedOver(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 1, 6)
	h.begin(nc, Limits{})
	f := run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	f.Close()
	if _, err := nc.Request("drover.feed.job.JobCreated.x", []byte("hello"), patience); err != nil {
		t.Fatal(err)
	}
	h.grow()
	run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events+1)
	h.check(readAll(t, nc))
}

// A stream that was deleted is made anew, with numbers that were never given before.
func TestADeletedFeedIsMadeAnew(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 1, 7)
	run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	api, err := js.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	before := end(t, nc)
	if err := api.DeleteStream(within(t), StreamName); err != nil {
		t.Fatal(err)
	}
	h.createJob()
	h.fed(nc, h.events)
	all := readAll(t, nc)
	h.check(all)
	if all[0].number <= before {
		t.Errorf("the new feed begins with %d, the old one ended with %d", all[0].number, before)
	}
}

func TestAFeedMayBeginNow(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 1, 8)
	h.begin(nc, Limits{})
	for range 20 {
		h.grow()
	}
	before := h.events
	f := run(t, h.feeder(connect(t, s), func(c *Config) { c.FromNow = true }))
	eventually(t, "it feeds", func() bool { return f.Stats().Feeding })
	h.createJob()
	h.fed(nc, h.events-before)
	all := readAll(t, nc)
	if len(all) != h.events-before || all[0].event.GetEntry().GetEvent().Type() != "JobCreated" {
		t.Errorf("%d events, the first is %v", len(all), all[0].event)
	}
}

// A log that does not hold what was fed ends the feeder with the place.
func TestALogThatWasCutEndsTheFeeder(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 1, 9)
	h.begin(nc, Limits{})
	for range 20 {
		h.grow()
	}
	f := run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	f.Close()
	other := newHistory(t, 1, 10) // the same logs, restored from something older
	f = run(t, other.feeder(connect(t, s)))
	select {
	case err := <-f.done:
		var damage *eventstore.DamageError
		if !errors.As(err, &damage) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
}

// A feed that cannot be gone on with says so.
func TestADamagedFeedEndsTheFeeder(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 1, 11)
	h.begin(nc, Limits{})
	api, _ := js.New(nc)
	for header, value := range map[string]string{headerVector: "job@nothing", headerContent: contentType} {
		m := &nats.Msg{Subject: "drover.feed.job.JobCreated.x", Header: nats.Header{header: {value}}}
		if _, err := api.PublishMsg(within(t), m); err != nil {
			t.Fatal(err)
		}
		f := run(t, h.feeder(connect(t, s)))
		select {
		case err := <-f.done:
			if !errors.Is(err, errDamaged) {
				t.Errorf("%s: it ended with %v", header, err)
			}
		case <-time.After(patience):
			t.Fatalf("%s: it goes on", header)
		}
	}
}

// Limits drop from the beginning; the last message stays, whatever its age: it says where the feed ends.
func TestLimitsDropFromTheBeginning(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 1, 12)
	h.begin(nc, Limits{MaxAge: time.Hour})
	for range 50 {
		h.grow()
	}
	f := run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	f.Close()
	api, err := js.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	last := end(t, nc)
	if err := dropOld(within(t), api, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	h.check(readAll(t, nc)) // nothing is that old
	if err := dropOld(within(t), api, time.Now().Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if all := readAll(t, nc); len(all) != 1 || all[0].number != last {
		t.Errorf("%d messages are left", len(all))
	}
	// The next feeder goes on where this one was, and by bytes it is bounded too.
	if err := CreateStream(within(t), nc, h.log(id.JobLog), Limits{MaxBytes: 100 << 10}); err != nil {
		t.Fatal(err)
	}
	run(t, h.feeder(connect(t, s)))
	for range 100 {
		h.grow()
	}
	eventually(t, "all is fed", func() bool { return end(t, nc) == uint64(h.events) })
	e, err := readEnds(within(t), api)
	if err != nil || e.first < 100 || e.maxAge != time.Hour {
		t.Errorf("the feed is %+v: %v", e, err)
	}
}

// An idle feed whose messages have some age is cut where they are too old.
func TestDropFindsTheFirstThatIsYoungEnough(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 1, 13)
	h.begin(nc, Limits{})
	run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	var ages []time.Time
	for range 8 {
		h.createJob()
		h.fed(nc, h.events)
	}
	all := readAll(t, nc)
	for _, m := range all {
		meta, err := m.msg.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		ages = append(ages, meta.Timestamp)
	}
	api, _ := js.New(nc)
	const keep = 5
	if err := dropOld(within(t), api, ages[len(ages)-keep].Add(maxAge)); err != nil {
		t.Fatal(err)
	}
	left := readAll(t, nc)
	for len(ages) > keep && ages[len(ages)-keep-1].Equal(ages[len(ages)-keep]) { // of one batch
		ages = ages[:len(ages)-1]
	}
	if len(left) < keep || len(left) > keep+1 || left[len(left)-1].number != all[len(all)-1].number {
		t.Errorf("%d messages are left, from feed@%d", len(left), left[0].number)
	}
}

// A job id is read where its number says it is.
func TestJobNamesAreRememberedWithinBounds(t *testing.T) {
	h := newHistory(t, 1, 14)
	names := newJobNames(h.log(id.JobLog))
	for _, c := range []struct {
		number uint64
		want   string
	}{{h.jobs[0].number, "job-0"}, {h.jobs[0].number, "job-0"}, {id.Number(1, 0), ""}, {id.Number(2, 7), ""}, {id.Number(99, 0), ""}} {
		if got, err := names.name(within(t), c.number); err != nil || got != c.want {
			t.Errorf("job %d is %q: %v", c.number, got, err)
		}
	}
	for n := range uint64(jobsMax + 10) {
		names.known[n<<32] = "x"
	}
	if _, err := names.name(within(t), id.Number(2, 1)); err != nil || len(names.known) > 1 {
		t.Errorf("%d are remembered: %v", len(names.known), err)
	}
}

// A commit that waits for what lies beyond the end of a log is told, not waited for.
func TestACauseBeyondTheEndOfALogIsDamage(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 1, 15)
	h.begin(nc, Limits{})
	h.append(id.ExecutionLog(0), &v1.Commit{Cursors: []*v1.Cursor{{Service: v1.Service_SERVICE_ROLLOUT, Number: 7}}, Entries: h.reports(1)})
	f := run(t, h.feeder(connect(t, s)))
	select {
	case err := <-f.done:
		if err == nil || !strings.Contains(err.Error(), "log rollout is damaged at commits 2 to 7") {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("it waits")
	}
}

// A broker that is killed while it stores a batch may leave a part of it, without a vector: the next feeder goes on behind
// what is there.
func TestAPartOfABatchIsGoneOnWith(t *testing.T) {
	s := startBroker(t)
	nc := connect(t, s)
	h := newHistory(t, 1, 16)
	h.begin(nc, Limits{})
	publish := func(log id.Log, number uint64, from, to int) {
		c, err := h.log(log).Read(within(t), number)
		if err != nil {
			t.Fatal(err)
		}
		var cause *v1.Entry
		for i := range to {
			e := c.Entries[i]
			if e.Cause == nil {
				e.Cause = cause.Cause
			}
			cause = e
			r := &record{log: log, logID: c.LogId, at: c.AtMs, num: number, index: i, entry: e}
			if job := e.GetEvent().Job(); job != 0 {
				r.jobID = h.jobs[0].id
			}
			m := &nats.Msg{Subject: subjectOf(r).String(), Header: nats.Header{headerContent: {contentType}, headerThing: {thingOf(e.GetEvent().Body())}}, Data: appendEvent(nil, r)}
			if i >= from {
				if _, err := nc.RequestMsg(m, patience); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	// Of the very first batch.
	publish(id.JobLog, 1, 0, 1)
	publish(id.JobLog, 2, 0, 1)
	f := run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	f.Close()
	h.check(readAll(t, nc))
	// Of a later one: within a commit, and within one that begins in it.
	h.report(10)
	h.report(4)
	h.report(3)
	last := h.writers[id.ExecutionLog(0)].Head.Number
	publish(id.ExecutionLog(0), last-2, 0, 10)
	publish(id.ExecutionLog(0), last-1, 0, 4)
	publish(id.ExecutionLog(0), last, 0, 2)
	run(t, h.feeder(connect(t, s)))
	h.fed(nc, h.events)
	h.check(readAll(t, nc))
}
