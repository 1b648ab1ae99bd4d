package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/memory"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// handLease is a lease that the test gives and takes.
type handLease struct {
	mu       sync.Mutex
	changed  chan struct{} // closed, and made anew, when anything changes
	granted  bool
	held     bool
	until    time.Time
	lost     chan struct{}
	released int
}

func newHandLease() *handLease { return &handLease{changed: make(chan struct{})} }

func (l *handLease) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *handLease) Acquire(ctx context.Context) error {
	for {
		l.mu.Lock()
		if l.granted {
			l.granted, l.held = false, true
			l.lost = make(chan struct{})
			l.mu.Unlock()
			return nil
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (l *handLease) Until() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.held {
		return time.Time{}
	}
	return l.until
}

func (l *handLease) Lost() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

func (l *handLease) Release(context.Context) error {
	l.change(func() { l.held, l.released = false, l.released+1 })
	return nil
}

// grant gives it for so long; so does renew to who has it.
func (l *handLease) grant(d time.Duration) *handLease {
	l.change(func() { l.granted, l.until = true, time.Now().Add(d) })
	return l
}

func (l *handLease) renew(d time.Duration) { l.change(func() { l.until = time.Now().Add(d) }) }

// lose makes it another's.
func (l *handLease) lose() {
	l.change(func() {
		l.held = false
		close(l.lost)
	})
}

func (l *handLease) releases() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.released
}

// leaseConfig is a host on b with a lease, and its state.
func leaseConfig(b eventstore.Backend, owner string) (Config, *handLease) {
	cfg := hostConfig(id.TargetingLog, b)
	l := newHandLease()
	cfg.Lease, cfg.Owner = l, owner
	return cfg, l
}

// replies collects what requests are answered.
type replies struct {
	mu  sync.Mutex
	all map[string][]string
}

func newReplies() *replies { return &replies{all: map[string][]string{}} }

func (r *replies) request(name string, cmd proto.Message) Request {
	r.mu.Lock()
	r.all[name] = []string{}
	r.mu.Unlock()
	return Request{Command: cmd, Done: func(reply proto.Message, err error) {
		text := "answered"
		var refusal *v1.Refusal
		switch {
		case errors.Is(err, ErrDropped):
			text = "dropped"
		case errors.As(err, &refusal):
			text = refusal.Code.Word()
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all[name] = append(r.all[name], text)
	}}
}

func (r *replies) text(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(r.all[name])
}

func TestAStandbyIsAsWarmAsTheOwnerAndTakesOver(t *testing.T) {
	b := memory.New()
	oneCfg, oneLease := leaseConfig(b, "one")
	twoCfg, twoLease := leaseConfig(b, "two")
	oneLease.grant(time.Hour)
	one := run(t, oneCfg).isReady()
	two := run(t, twoCfg)
	for i := range 300 {
		if _, err := one.Do(context.Background(), Request{Command: group(fmt.Sprint("g", i))}); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the standby has folded all", func() bool { return two.Stats().End == lastOf(t, oneCfg.Log) })
	s := two.Stats()
	expect(t, "state of the standby", s.State+"; "+s.WaitsFor, "standby; targeting: standby")
	if _, err := two.Do(context.Background(), Request{Command: &v1.CheckTargets{}}); !errors.Is(err, ErrDropped) {
		t.Errorf("a standby answers: %v", err)
	}
	if two.MaySpeak() || !one.MaySpeak() {
		t.Error("the owner may speak, the standby may not")
	}
	select {
	case <-two.Ready():
		t.Error("a standby is not ready")
	default:
	}

	one.StepDown()
	if err := one.ends(); !errors.Is(err, ErrSteppedDown) {
		t.Fatalf("the owner ends with %v", err)
	}
	expect(t, "releases", oneLease.releases(), 1)
	expect(t, "states", dump(twoCfg.State), dump(oneCfg.State))
	twoLease.grant(time.Hour)
	two.isReady()
	if _, err := two.Do(context.Background(), Request{Command: group("g7")}); err == nil {
		t.Error("it does not know what the owner before it wrote")
	}
	s = two.Stats()
	expect(t, "epoch", s.Epoch, 2)
	if s.TookOver <= 0 || s.State != "serving" || s.WaitsFor != "" {
		t.Errorf("stats: %+v", s)
	}
	if one.MaySpeak() {
		t.Error("who has stepped down may speak")
	}
	two.stop()
	if err := two.ends(); err != nil {
		t.Fatal(err)
	}
	expect(t, "releases", twoLease.releases(), 1)
}

func TestAnOwnerWithoutItsLeaseWritesOnAndIsSilentOtherwise(t *testing.T) {
	cfg, lease := leaseConfig(memory.New(), "one")
	lease.grant(time.Hour)
	h := run(t, cfg).isReady()
	lease.renew(eventstore.LeaseMargin / 2)
	got := newReplies()
	h.Submit(got.request("read", &v1.CheckTargets{}))
	h.Submit(got.request("write", group("a")))
	until(t, "the write is answered", func() bool { return got.text("write") == "[answered]" })
	expect(t, "read", got.text("read"), "[]")
	expect(t, "waiting", h.Stats().Waiting, 1)
	lease.renew(time.Hour)
	until(t, "the read is answered", func() bool { return got.text("read") == "[answered]" })
}

// Who would be told to come later, were the owner not silent, is answered when it may speak.
func TestASilentOwnerKeepsWhatItMayNotTurnAway(t *testing.T) {
	g := &gate{Backend: memory.New()}
	cfg, lease := leaseConfig(g, "one")
	lease.grant(time.Hour)
	h := run(t, cfg).isReady()
	open, before := g.close(), g.count()
	got := newReplies()
	h.Submit(got.request("under way", group("a")))
	until(t, "an append is under way", func() bool { return g.count() > before })
	h.Submit(got.request("first", &v1.CheckTargets{}))
	until(t, "requests wait for too long", func() bool {
		h.Submit(got.request("probe", &v1.CheckTargets{}))
		return h.Stats().Throttled > 0
	})
	lease.renew(eventstore.LeaseMargin / 2)
	h.Submit(got.request("late", &v1.CheckTargets{}))
	open()
	until(t, "the write is answered", func() bool { return got.text("under way") == "[answered]" })
	expect(t, "in silence", got.text("late"), "[]")
	lease.renew(time.Hour)
	until(t, "it is answered", func() bool { return got.text("late") == "[answered]" })
}

func TestALostLeaseEndsTheTerm(t *testing.T) {
	cfg, lease := leaseConfig(memory.New(), "one")
	lease.grant(time.Hour)
	h := run(t, cfg).isReady()
	got := newReplies()
	lease.renew(eventstore.LeaseMargin / 2)
	before := got.request("before", &v1.CheckTargets{})
	before.Arrived = lease.Until().Add(-time.Millisecond) // a busy machine may be later
	h.Submit(before)
	until(t, "the lease has run out", func() bool { return time.Now().After(lease.Until()) })
	h.Submit(got.request("after", &v1.CheckTargets{}))
	until(t, "both are withheld", func() bool { return h.Stats().Waiting == 2 })
	lease.lose()
	if err := h.ends(); !errors.Is(err, ErrDeposed) {
		t.Fatalf("it ends with %v", err)
	}
	h.Submit(got.request("at the end", &v1.CheckTargets{}))
	expect(t, "before", got.text("before"), "[UNAVAILABLE]")
	expect(t, "after", got.text("after"), "[dropped]")
	expect(t, "at the end", got.text("at the end"), "[dropped]")
	expect(t, "commits", lastOf(t, cfg.Log), 1)
}

func TestDamageFoundWhileStandingByEndsTheHost(t *testing.T) {
	b := memory.New()
	oneCfg, oneLease := leaseConfig(b, "one")
	oneLease.grant(time.Hour)
	run(t, oneCfg).isReady()
	twoCfg, _ := leaseConfig(b, "two")
	two := run(t, twoCfg)
	until(t, "it stands by", func() bool { return two.Stats().State == "standby" })
	b.Publish([]byte("a stranger's"))
	var foreign *eventstore.ForeignError
	if err := two.ends(); !errors.As(err, &foreign) || foreign.Number != 2 {
		t.Errorf("it ends with %v", err)
	}
}

func TestAStandbyCanBeStopped(t *testing.T) {
	for what, stop := range map[string]func(*running){"its context": func(r *running) { r.stop() }, "a hand-over": func(r *running) { r.StepDown() }} {
		cfg, lease := leaseConfig(memory.New(), "one")
		h := run(t, cfg)
		until(t, "it stands by", func() bool { return h.Stats().State == "standby" })
		stop(h)
		if err := h.ends(); err != nil && !errors.Is(err, ErrSteppedDown) {
			t.Errorf("%s: it ends with %v", what, err)
		}
		expect(t, "releases", lease.releases(), 0)
		expect(t, "commits", lastOf(t, cfg.Log), 0)
	}
}

// Two processes that hand a log to and fro, each on its own state store, which it keeps from term to term. Each way in
// which a term can end leaves stores that the next can begin on.
func TestAHostCanBeMadeAgainOnItsStore(t *testing.T) {
	b := memory.New()
	type process struct {
		cfg   Config
		lease *handLease
		run   *running
	}
	var both [2]*process
	for i := range both {
		p := &process{}
		p.cfg, p.lease = leaseConfig(b, fmt.Sprint("process-", i))
		p.cfg.Head = &memoryHead{}
		p.cfg.Notifier = &lateTellings{}
		p.run = run(t, p.cfg)
		both[i] = p
	}
	asked := 0
	for term := range 24 {
		owner, other := both[term%2], both[1-term%2]
		owner.lease.grant(time.Hour)
		owner.run.isReady()
		for range 5 {
			asked++
			if _, err := owner.run.Do(context.Background(), Request{Command: group(fmt.Sprint("g", asked))}); err != nil {
				t.Fatal(err)
			}
		}
		switch term % 4 {
		case 0:
			owner.run.StepDown()
		case 1:
			owner.lease.lose()
		case 2:
			owner.run.stop()
		case 3: // paused for longer than its lease, and deposed by the log alone
			other.lease.grant(time.Hour)
			other.run.isReady()
			if _, err := owner.run.Do(context.Background(), Request{Command: group("late")}); err == nil {
				t.Error("the one before still decides")
			}
		}
		err := owner.run.ends()
		if want := []error{ErrSteppedDown, ErrDeposed, nil, ErrDeposed}[term%4]; !errors.Is(err, want) {
			t.Fatalf("term %d ends with %v, not %v", term, err, want)
		}
		owner.run = run(t, owner.cfg)
		until(t, "it stands by again", func() bool { return owner.run.Stats().State == "standby" })
		if term%4 == 3 {
			other.run.StepDown() // the loop grants it anew
			if err := other.run.ends(); !errors.Is(err, ErrSteppedDown) {
				t.Fatal(err)
			}
			other.run = run(t, other.cfg)
		}
	}
	for _, p := range both {
		until(t, "it has folded all", func() bool { return p.run.Stats().End == lastOf(t, p.cfg.Log) })
		p.run.stop()
		if err := p.run.ends(); err != nil {
			t.Fatal(err)
		}
	}
	fresh := hostConfig(id.TargetingLog, b)
	if _, err := Boot(context.Background(), fresh); err != nil {
		t.Fatal(err)
	}
	for i, p := range both {
		if d := dump(p.cfg.State); d != dump(fresh.State) {
			t.Errorf("the state of process %d is not the fold of the log:\n%s\nfold:\n%s", i, d, dump(fresh.State))
		}
	}
	groups := 0
	for range fresh.State.Scan([]byte{toyGroup}, []byte{toyGroup + 1}) {
		groups++
	}
	expect(t, "groups", groups, asked)
}

func TestAWallClockThatRanOnWhileTheMachineSleptEndsALease(t *testing.T) {
	now := time.Now()
	until := now.Add(time.Second)
	if d := left(until, now); d != time.Second {
		t.Errorf("%v is left", d)
	}
	// The monotonic clock stood still while the wall clock went on: a time whose two readings differ cannot be made here,
	// so the lease's end is put back by the wall alone.
	if d := left(until.Round(0).Add(-time.Minute), now); d > 0 {
		t.Errorf("%v is left", d)
	}
}

// stale is a backend that, while it is set so, does not have its last message yet, or cannot be reached.
type stale struct {
	*memory.Backend
	short, away atomic.Bool
}

var errAway = errors.New("nobody leads the stream")

func (s *stale) Bounds(ctx context.Context) (first, last uint64, err error) {
	first, last, err = s.Backend.Bounds(ctx)
	if s.away.Load() {
		return 0, 0, errAway
	}
	if s.short.Load() {
		last--
	}
	return first, last, err
}

func (s *stale) Get(ctx context.Context, number uint64) (eventstore.Record, error) {
	if s.away.Load() {
		return eventstore.Record{}, errAway
	}
	if _, last, _ := s.Backend.Bounds(ctx); s.short.Load() && number == last {
		return eventstore.Record{}, eventstore.ErrNotFound
	}
	return s.Backend.Get(ctx, number)
}

func TestATakeoverWaitsForABrokerThatElectsItsLeader(t *testing.T) {
	for what, fault := range map[string]func(*stale) *atomic.Bool{
		"cannot be reached":            func(s *stale) *atomic.Bool { return &s.away },
		"has not applied its last yet": func(s *stale) *atomic.Bool { return &s.short },
	} {
		b := &stale{Backend: memory.New()}
		oneCfg, oneLease := leaseConfig(b, "one")
		oneLease.grant(time.Hour)
		one := run(t, oneCfg).isReady()
		twoCfg, twoLease := leaseConfig(b, "two")
		two := run(t, twoCfg)
		if _, err := one.Do(context.Background(), Request{Command: group("a")}); err != nil {
			t.Fatal(err)
		}
		until(t, "the standby has folded all", func() bool { return two.Stats().End == 2 })
		oneLease.lose()
		if err := one.ends(); !errors.Is(err, ErrDeposed) {
			t.Fatal(err)
		}
		fault(b).Store(true)
		twoLease.grant(time.Hour)
		until(t, what+": it says so", func() bool {
			w := two.Stats().WaitsFor
			return strings.Contains(w, errAway.Error()) || strings.Contains(w, "its end was cut off")
		})
		fault(b).Store(false)
		two.isReady()
		expect(t, what+": commits", lastOf(t, twoCfg.Log), 3)
	}
}

func TestALogThatWasReplacedDuringAnAppendIsNamed(t *testing.T) {
	b := memory.New()
	h := run(t, hostConfig(id.TargetingLog, b)).isReady()
	b.SetFault(func(uint64) memory.Fault { return memory.Fault{Kind: memory.Refused} })
	b.Change(1, func(data []byte) []byte { data[len(data)-1] ^= 1; return data })
	got := newReplies()
	h.Submit(got.request("a", group("a")))
	var damage *eventstore.DamageError
	if err := h.ends(); !errors.As(err, &damage) || damage.First != 1 {
		t.Fatalf("it ends with %v", err)
	}
	expect(t, "answer", got.text("a"), "[OUTCOME_UNKNOWN]")
}
