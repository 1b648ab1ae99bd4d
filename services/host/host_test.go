package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/memory"
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// patience is how long a test waits for what must happen. Nothing is measured by it: a busy machine may take its time.
const patience = 60 * time.Second

// running is a Host under a test, with what ends it.
type running struct {
	*Host
	t    *testing.T
	stop context.CancelFunc
	err  chan error
}

func hostConfig(name id.Log, b eventstore.Backend, upstream ...*eventstore.Log) Config {
	return Config{
		Log: eventstore.New(name, b), Core: toy{}, State: kv.NewMemory(), Upstream: upstream, Homes: 2, Owner: "one",
		IsQuery: func(m proto.Message) bool { _, ok := m.(*v1.CheckTargets); return ok },
		Logger:  slog.New(slog.DiscardHandler),
	}
}

func run(t *testing.T, cfg Config) *running {
	t.Helper()
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Host: h, t: t, stop: cancel, err: make(chan error, 1)}
	go func() { r.err <- h.Run(ctx) }()
	t.Cleanup(cancel)
	return r
}

func (r *running) isReady() *running {
	r.t.Helper()
	select {
	case <-r.Ready():
	case err := <-r.err:
		r.t.Fatalf("run: %v", err)
	case <-time.After(patience):
		r.t.Fatalf("not ready: %+v", r.Stats())
	}
	return r
}

// ends waits for the end of Run.
func (r *running) ends() error {
	r.t.Helper()
	select {
	case err := <-r.err:
		return err
	case <-time.After(patience):
		r.t.Fatalf("it does not end: %+v", r.Stats())
		return nil
	}
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func lastOf(t *testing.T, l *eventstore.Log) uint64 {
	t.Helper()
	_, last, err := l.Bounds(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return last
}

func TestAHostAnswersWhatStandsInItsLog(t *testing.T) {
	cfg := hostConfig(id.TargetingLog, memory.New())
	h := run(t, cfg).isReady()
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			reply, err := h.Do(context.Background(), Request{Command: group(fmt.Sprint("g", i))})
			if err != nil {
				t.Errorf("g%d: %v", i, err)
				return
			}
			p := reply.(*v1.CreateGroupReply).Position
			c, err := cfg.Log.Read(context.Background(), p.Number)
			if err != nil || c.Entries[p.Entry].Event.GetGroupCreated().GetGroup() != fmt.Sprint("g", i) {
				t.Errorf("g%d was answered with %v, where stands %v, %v", i, p, c, err)
			}
		})
	}
	wg.Wait()
	s := h.Stats()
	if s.WaitsFor != "" || s.State != "serving" || s.Entries != 202 || s.AppendLongest == 0 {
		t.Errorf("stats: %+v", s)
	}
	h.stop()
	if err := h.ends(); err != nil {
		t.Fatal(err)
	}
	_, err := h.Do(context.Background(), Request{Command: group("late")})
	var refusal *v1.Refusal
	if !errors.As(err, &refusal) || refusal.Code != v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE {
		t.Errorf("after its end: %v", err)
	}
}

// gate is a backend whose appends wait for the test.
type gate struct {
	*memory.Backend
	mu   sync.Mutex
	held chan struct{} // nil: open
	seen int
}

func (g *gate) Append(ctx context.Context, number uint64, data []byte) error {
	g.mu.Lock()
	held := g.held
	g.seen++
	g.mu.Unlock()
	if held != nil {
		<-held
	}
	return g.Backend.Append(ctx, number, data)
}

func (g *gate) close() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	held := make(chan struct{})
	g.held = held
	return func() {
		g.mu.Lock()
		g.held = nil
		g.mu.Unlock()
		close(held)
	}
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen
}

func TestWhatArrivesDuringAnAppendIsOneCommit(t *testing.T) {
	g := &gate{Backend: memory.New()}
	cfg := hostConfig(id.TargetingLog, g)
	h := run(t, cfg).isReady()
	open, before := g.close(), g.count()
	var wg sync.WaitGroup
	ask := func(i int) {
		wg.Add(1)
		h.Submit(Request{Command: group(fmt.Sprint("g", i)), Done: func(proto.Message, error) { wg.Done() }})
	}
	ask(0)
	until(t, "the first append is under way", func() bool { return g.count() > before })
	for i := range 500 {
		ask(1 + i)
	}
	open()
	wg.Wait()
	expect(t, "commits", lastOf(t, cfg.Log), 3)
}

func TestAdmissionIsBounded(t *testing.T) {
	g := &gate{Backend: memory.New()}
	h := run(t, hostConfig(id.TargetingLog, g)).isReady()
	open, before := g.close(), g.count()
	defer open()
	throttled := make(chan error, 1)
	h.Submit(Request{Command: group("first"), Done: func(proto.Message, error) {}})
	until(t, "the append is under way", func() bool { return g.count() > before })
	for i := range waitingMax {
		h.Submit(Request{Command: group(fmt.Sprint("g", i)), Done: func(_ proto.Message, err error) {
			select {
			case throttled <- err:
			default:
			}
		}})
	}
	select {
	case err := <-throttled:
		var refusal *v1.Refusal
		if !errors.As(err, &refusal) || refusal.Code != v1.RefusalCode_REFUSAL_CODE_THROTTLED {
			t.Errorf("it is refused with %v", err)
		}
	default:
		t.Errorf("%d requests wait and none was turned away", waitingMax+1)
	}
}

func TestRequestsThatWaitTooLongTurnOthersAway(t *testing.T) {
	g := &gate{Backend: memory.New()}
	h := run(t, hostConfig(id.TargetingLog, g)).isReady()
	open := g.close()
	defer open()
	h.Submit(Request{Command: group("first"), Done: func(proto.Message, error) {}})
	until(t, "another is turned away", func() bool {
		h.Submit(Request{Command: &v1.CheckTargets{}, Done: func(proto.Message, error) {}})
		return h.Stats().Throttled > 0
	})
}

func TestASecondHostDeposesTheFirst(t *testing.T) {
	b := memory.New()
	one := run(t, hostConfig(id.TargetingLog, b)).isReady()
	cfg := hostConfig(id.TargetingLog, b)
	cfg.Owner = "two"
	two := run(t, cfg).isReady()
	if _, err := one.Do(context.Background(), Request{Command: group("a")}); err == nil {
		t.Error("the first host still decides")
	}
	if err := one.ends(); !errors.Is(err, ErrDeposed) {
		t.Errorf("the first host ends with %v", err)
	}
	if _, err := two.Do(context.Background(), Request{Command: group("a")}); err != nil {
		t.Error(err)
	}
}

func TestAppendsWithoutAnswersAreResolved(t *testing.T) {
	b := memory.New()
	n := 0
	b.SetFault(func(uint64) memory.Fault {
		n++
		return memory.Fault{Kind: []memory.Kind{memory.None, memory.Refused, memory.Lost, memory.Late}[n%4], After: 2}
	})
	cfg := hostConfig(id.TargetingLog, b)
	h := run(t, cfg).isReady()
	for i := range 20 {
		if _, err := h.Do(context.Background(), Request{Command: group(fmt.Sprint("g", i))}); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "commits", lastOf(t, cfg.Log), 21)
}

func TestTwoHostsThatReadEachOtherComeToRest(t *testing.T) {
	jobs, fleet := memory.New(), memory.New()
	one := hostConfig(id.JobLog, jobs, eventstore.New(id.TargetingLog, fleet))
	two := hostConfig(id.TargetingLog, fleet, eventstore.New(id.JobLog, jobs))
	a, b := run(t, one).isReady(), run(t, two).isReady()
	for i := range 5 {
		for _, h := range []*running{a, b} {
			if _, err := h.Do(context.Background(), Request{Command: group(fmt.Sprint("g", i))}); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Bookkeeping waits for 250 ms at most. If each answered it with more of it, the logs would never stand still for so long.
	ends := func() string { return fmt.Sprint(lastOf(t, one.Log), lastOf(t, two.Log)) }
	before, since := ends(), time.Now()
	until(t, "both have read all and write nothing more", func() bool {
		if now := ends(); now != before || a.Stats().Behind+b.Stats().Behind > 0 {
			before, since = now, time.Now()
		}
		return time.Since(since) > 4*gulpMs*time.Millisecond
	})
}

func TestAHostReadsUpstreamInOrderOfCauses(t *testing.T) {
	up := newUpstreamLog(t, id.JobLog)
	cfg := hostConfig(id.TargetingLog, memory.New(), up.log)
	h := run(t, cfg).isReady()
	for job := range uint64(300) {
		up.events(started(100 + job))
	}
	until(t, "all slices are done", func() bool { return h.Stats().Entries >= 2+300*12 })
	h.stop()
	if err := h.ends(); err != nil {
		t.Fatal(err)
	}
	expect(t, "entries", h.Stats().Entries, 2+300*12)
}

func TestALogThatWasCutWhileItIsReadIsNamed(t *testing.T) {
	// log.job says that it has read targeting up to 9, which its owner has written up to 1 only.
	up := newUpstreamLog(t, id.JobLog)
	h := run(t, hostConfig(id.TargetingLog, memory.New(), up.log)).isReady()
	up.write(&v1.Commit{
		Cursors: []*v1.Cursor{{Service: v1.Service_SERVICE_TARGETING, Number: 9}},
		Entries: []*v1.Entry{{Event: started(1)}},
	})
	var damage *eventstore.DamageError
	if err := h.ends(); !errors.As(err, &damage) || damage.Log != id.TargetingLog || damage.First != 2 || damage.Last != 9 {
		t.Errorf("it ends with %v", err)
	}
}

func TestDamageUpstreamStopsAHost(t *testing.T) {
	up := newUpstreamLog(t, id.JobLog)
	h := run(t, hostConfig(id.TargetingLog, memory.New(), up.log)).isReady()
	up.backend.Publish([]byte("a stranger's"))
	var foreign *eventstore.ForeignError
	if err := h.ends(); !errors.As(err, &foreign) || foreign.Number != 2 {
		t.Errorf("it ends with %v", err)
	}
}

func TestTimersRunByTheClock(t *testing.T) {
	cfg := hostConfig(id.TargetingLog, memory.New())
	h := run(t, cfg).isReady()
	due := time.Now().Add(300 * time.Millisecond).UnixMilli()
	if _, err := h.Do(context.Background(), Request{Command: groupIn("g", fmt.Sprint("at:", due))}); err != nil {
		t.Fatal(err)
	}
	until(t, "the timer has run", func() bool { return h.Stats().Entries == 4 })
	c, err := cfg.Log.Read(context.Background(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if early := due - c.AtMs; early > 0 {
		t.Errorf("it ran %d ms before it was due", early)
	}
}

func TestAClockThatWasSetBackDoesNotHoldUpTimers(t *testing.T) {
	cfg := hostConfig(id.TargetingLog, memory.New())
	wall := time.Now().UnixMilli()
	cfg.Clock = func() int64 { return wall }
	h := run(t, cfg).isReady()
	if _, err := h.Do(context.Background(), Request{Command: groupIn("g", fmt.Sprint("at:", wall+1000))}); err != nil {
		t.Fatal(err)
	}
	h.stop()
	if err := h.ends(); err != nil {
		t.Fatal(err)
	}
	wall -= time.Hour.Milliseconds()
	h = run(t, cfg).isReady()
	until(t, "the timer has run", func() bool { return h.Stats().Entries == 2 })
}

// syncedHead counts flushes.
type syncedHead struct {
	memoryHead
	syncs atomic.Int32
}

func (h *syncedHead) Sync() error { h.syncs.Add(1); return nil }

func TestTheHeadIsFlushedOnceASecondThoughThereIsAlwaysMoreToDo(t *testing.T) {
	cfg := hostConfig(id.TargetingLog, memory.New())
	head := &syncedHead{}
	cfg.Head, cfg.Core = head, endless{}
	h := run(t, cfg).isReady()
	until(t, "the head was flushed", func() bool { return head.syncs.Load() > 0 })
	h.stop()
	if err := h.ends(); err != nil {
		t.Fatal(err)
	}
}

// endless is the toy with work at every moment.
type endless struct{ toy }

func (endless) Due(s *core.Step) int64 {
	s.Emit(&v1.Event{Event: &v1.Event_ThingLeft{ThingLeft: &v1.ThingLeft{Thing: &v1.ThingRef{Name: "x"}}}}, nil)
	return s.Now
}

func TestARestartGoesOnFromWhatWasFlushed(t *testing.T) {
	b := memory.New()
	cfg := hostConfig(id.TargetingLog, b)
	head := &memoryHead{}
	cfg.Head = head
	told := &lateTellings{}
	cfg.Notifier = told
	for i := range 3 {
		h := run(t, cfg).isReady()
		if _, err := h.Do(context.Background(), Request{Command: group(fmt.Sprint("g", i))}); err != nil {
			t.Fatal(err)
		}
		h.stop()
		if err := h.ends(); err != nil {
			t.Fatal(err)
		}
		expect(t, "folded at start", h.Stats().Folded-h.Stats().Entries, 0)
	}
	expect(t, "told", told.count(), 3)
}

// lateTellings says from another goroutine that it has told.
type lateTellings struct {
	mu sync.Mutex
	n  int
}

func (l *lateTellings) Notify(_ uint64, n []*v1.Notification, done func()) {
	l.mu.Lock()
	l.n += len(n)
	l.mu.Unlock()
	go done()
}

func (l *lateTellings) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// BenchmarkReports is a host with requests that each write one event of about 60 bytes, without a disk: what the
// host itself costs.
func BenchmarkReports(b *testing.B) {
	cfg := hostConfig(id.TargetingLog, memory.New())
	cfg.Core = leaver{}
	h, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	<-h.Ready()
	outstanding := make(chan struct{}, 4000)
	cmd := &v1.RemoveThings{Group: "group", Things: []string{"a-thing-of-some-length"}}
	for b.Loop() {
		outstanding <- struct{}{}
		h.Submit(Request{Command: cmd, Done: func(proto.Message, error) { <-outstanding }})
	}
	for range cap(outstanding) {
		outstanding <- struct{}{}
	}
	s := h.Stats()
	b.ReportMetric(float64(s.Entries)/float64(s.Commits), "entries/commit")
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

// leaver is the toy, with a row written by each event.
type leaver struct{ toy }

func (leaver) Evolve(tx kv.Tx, at core.Place, e *v1.Event) {
	if l := e.GetThingLeft(); l != nil {
		tx.Set(kv.NewKey('l').String(l.Thing.Name), []byte{byte(at.Entry)})
	}
}
