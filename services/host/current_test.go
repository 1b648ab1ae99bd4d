package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/memory"
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// careful is a core that releases only what it may in a current state, and anything at any time.
//
//	CreateGroup{careful-n}  GroupCreated; n releases follow, one a current step
//	CreateGroup             GroupCreated; one release follows, at once
//	React: JobStarted{job}  ThingJoined: a fact
//	Observe                 Observed
//	Due                     ThingLeft{careful}, or ThingDeleted: a release
type careful struct{ toy }

func (careful) Decide(s *core.Step, cmd proto.Message) (proto.Message, error) {
	g := cmd.(*v1.CreateGroup)
	s.Emit(&v1.Event{Event: &v1.Event_GroupCreated{GroupCreated: &v1.GroupCreated{Group: g.Group}}}, nil)
	return &v1.CreateGroupReply{Position: s.Position()}, nil
}

func (careful) React(s *core.Step, _ *v1.Position, _ int64, e *v1.Entry) {
	s.Emit(&v1.Event{Event: &v1.Event_ThingJoined{ThingJoined: &v1.ThingJoined{Group: fmt.Sprint(e.Event.GetJobStarted().GetJob()) + strings.Repeat(" ", 200)}}}, nil)
}

func (careful) Due(s *core.Step) int64 {
	last, _ := s.Get([]byte("released"))
	if s.Current && owed(s, "careful") > 0 && string(last) != fmt.Sprint(s.Number) {
		s.Emit(&v1.Event{Event: &v1.Event_ThingLeft{ThingLeft: &v1.ThingLeft{Group: "careful"}}}, nil)
	}
	if owed(s, "careful") > 0 {
		s.NeedCurrent()
	}
	if owed(s, "any") > 0 {
		s.Emit(&v1.Event{Event: &v1.Event_ThingDeleted{ThingDeleted: &v1.ThingDeleted{}}}, nil)
	}
	return core.Never
}

func owed(r kv.Reader, what string) int {
	n, _ := r.Get([]byte(what))
	return len(n)
}

func (careful) Evolve(tx kv.Tx, at core.Place, e *v1.Event) {
	add := func(what string, n int) {
		tx.Set([]byte(what), make([]byte, owed(tx, what)+n))
	}
	switch e := e.Event.(type) {
	case *v1.Event_GroupCreated:
		n := 0
		if fmt.Sscanf(e.GroupCreated.Group, "careful-%d", &n); n > 0 {
			add("careful", n)
		} else {
			add("any", 1)
		}
	case *v1.Event_ThingLeft:
		add("careful", -1)
		tx.Set([]byte("released"), []byte(fmt.Sprint(at.Number)))
	case *v1.Event_ThingDeleted:
		add("any", -1)
	}
}

// currentRig is a machine of careful at log.rollout, which reads log.job and one home.
type currentRig struct {
	*rig
	home *upstreamLog
	seen []uint64 // of each, what was delivered
}

func newCurrentRig(t *testing.T) *currentRig {
	r := &currentRig{rig: newRig(t), home: newUpstreamLog(t, id.ExecutionLog(0)), seen: []uint64{0, 0}}
	r.cfg.Core = careful{}
	r.cfg.Log = eventstore.New(id.RolloutLog, r.backend)
	r.cfg.Upstream = []*eventstore.Log{r.up.log, r.home.log}
	r.boot()
	for !r.m.Owns() {
		r.step()
	}
	r.deliver()
	for !r.m.CaughtUp() {
		r.step()
	}
	if err := r.m.Retell(context.Background()); err != nil {
		t.Fatal(err)
	}
	return r
}

// deliver reads both logs.
func (r *currentRig) deliver() {
	r.t.Helper()
	for i, u := range []*upstreamLog{r.up, r.home} {
		for ; r.seen[i] < u.mark.Number; r.seen[i]++ {
			c, err := u.log.Read(context.Background(), r.seen[i]+1)
			if err == nil {
				err = r.m.Deliver(r.now, c)
			}
			if err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

func (r *currentRig) ends() []uint64 { return []uint64{r.up.mark.Number, r.home.mark.Number} }

func (r *currentRig) tallied(n int64) {
	r.home.write(&v1.Commit{Tallies: []*v1.Tally{{Job: 7, Open: n}}, Entries: []*v1.Entry{{Event: started(1)}}})
}

func TestWhatWasDurableBeforeTheEndsWereReadIsTakenInFirst(t *testing.T) {
	r := newCurrentRig(t)
	r.submit("", group("careful-1")).step()
	expect(t, "log", r.text(2), "GroupCreated")
	expect(t, "wants", r.m.WantsEnds(), true)

	r.up.events(started(1)) // durable, and on its way
	r.tallied(1)
	ends := r.ends()
	r.up.events(started(2)) // durable after the ends were read: it may be taken in or not
	r.m.Ends(ends)
	expect(t, "wants", r.m.WantsEnds(), false)
	expect(t, "nothing to do before it is delivered", r.m.Next(), int64(core.Never))
	expect(t, "wrote", r.step(), false)

	r.deliver()
	expect(t, "next", r.m.Next(), 0)
	r.step()
	// Tallies that came this very moment are in it too, although they could wait for more.
	expect(t, "log", r.text(3), "ThingJoined ThingJoined Observed ThingLeft")
	expect(t, "wants", r.m.WantsEnds(), false)
	expect(t, "next", r.m.Next(), int64(core.Never))
	r.folded()
}

func TestWhatDoesNotFitIsTakenInByMoreStepsBeforeTheCurrentOne(t *testing.T) {
	r := newCurrentRig(t)
	var facts []*v1.Event
	for i := range uint64(3000) {
		facts = append(facts, started(100+i))
	}
	r.up.events(facts...)
	for job := range uint64(5000) { // gulps of 1,000
		r.home.write(&v1.Commit{Tallies: []*v1.Tally{{Job: job + 1, Open: 1}}, Entries: []*v1.Entry{{Event: started(1)}}})
	}
	r.submit("", group("careful-1")).step()
	r.m.Ends(r.ends())
	r.deliver()
	steps := 0
	for ; r.m.Next() == 0 && steps < 1000; steps++ {
		r.step()
	}
	var all []string
	for _, c := range strings.Split(r.text(3), "\n") {
		all = append(all, strings.Fields(c)...)
	}
	at := slices.Index(all, "ThingLeft")
	joined, observed := 0, 0
	for _, name := range all[:max(at, 0)] {
		switch name {
		case "ThingJoined":
			joined++
		case "Observed":
			observed++
		}
	}
	if steps < 2 || joined != 3000 || observed != 5 {
		t.Errorf("in %d steps; before the release %d of 3000 facts, %d of 5 gulps", steps, joined, observed)
	}
	r.folded()
}

func TestTalliesOfAnyAgeAreInACurrentStep(t *testing.T) {
	r := newCurrentRig(t)
	r.submit("", group("careful-1")).step()
	for job := range uint64(1500) { // two gulps
		r.home.write(&v1.Commit{Tallies: []*v1.Tally{{Job: job + 1, Open: 1}}, Entries: []*v1.Entry{{Event: started(1)}}})
	}
	r.m.Ends(r.ends())
	r.deliver()
	r.step()
	expect(t, "log", r.text(3), "Observed Observed ThingLeft")
	expect(t, "next", r.m.Next(), int64(core.Never))
}

// Two current steps never rest on one reading of the ends, and no reading is older than the commit before.
func TestEachCurrentCommitHasItsOwnEnds(t *testing.T) {
	r := newCurrentRig(t)
	r.submit("", group("careful-2")).step()
	r.m.Ends(r.ends())
	r.deliver()
	sealed, err := r.m.Step(r.now)
	if err != nil || sealed == nil {
		t.Fatal(sealed, err)
	}
	expect(t, "wants during the append", r.m.WantsEnds(), false)
	if err := r.append(sealed); err != nil {
		t.Fatal(err)
	}
	expect(t, "log", r.text(3), "ThingLeft")
	expect(t, "wants after it", r.m.WantsEnds(), true)
	r.tallied(1)
	r.deliver()
	r.now += gulpMs
	r.step()
	expect(t, "without ends", r.text(4), "Observed")
	r.m.Ends(r.ends())
	r.step()
	expect(t, "with them", r.text(5), "ThingLeft")
	r.folded()
}

func TestAFullLogKeepsACurrentStepForLater(t *testing.T) {
	r := newCurrentRig(t)
	r.submit("", group("careful-1")).step()
	r.m.Ends(r.ends())
	r.deliver()
	r.backend.SetLimit(1)
	r.step()
	expect(t, "log", r.last(), 2)
	r.backend.SetLimit(0)
	r.now = r.m.Next()
	r.step()
	expect(t, "log", r.text(3), "ThingLeft")
}

// blind is a log whose end cannot be read now.
type blind struct {
	*memory.Backend
	away  atomic.Bool
	asked atomic.Int64
}

func (b *blind) Bounds(ctx context.Context) (uint64, uint64, error) {
	if b.away.Load() {
		b.asked.Add(1)
		return 0, 0, errors.New("no quorum")
	}
	return b.Backend.Bounds(ctx)
}

func TestWhileAnEndCannotBeReadNothingCurrentRunsAndAllElseGoesOn(t *testing.T) {
	up := newUpstreamLog(t, id.JobLog)
	b := &blind{Backend: up.backend}
	cfg := hostConfig(id.TargetingLog, memory.New(), eventstore.New(id.JobLog, b))
	cfg.Core = careful{}
	h := run(t, cfg).isReady()
	b.away.Store(true)
	for _, g := range []string{"careful-1", "other"} {
		if _, err := h.Do(context.Background(), Request{Command: group(g)}); err != nil {
			t.Fatal(err)
		}
	}
	up.events(started(1))
	until(t, "the end was asked for again and again", func() bool { return b.asked.Load() >= 3 })
	until(t, "all else went on", func() bool {
		text := events(t, cfg.Log)
		return strings.Contains(text, "ThingDeleted") && strings.Contains(text, "ThingJoined")
	})
	if text := events(t, cfg.Log); strings.Contains(text, "ThingLeft") {
		t.Fatalf("it released without the end of log.job: %s", text)
	}
	b.away.Store(false)
	until(t, "the release", func() bool { return strings.Contains(events(t, cfg.Log), "ThingLeft") })
}

// Shows: a release follows every fact that was durable before it was asked for, in a host with goroutines.
func TestAHostTakesInWhatIsDurableBeforeItReleases(t *testing.T) {
	up := newUpstreamLog(t, id.JobLog)
	cfg := hostConfig(id.TargetingLog, memory.New(), up.log)
	cfg.Core = careful{}
	h := run(t, cfg).isReady()
	for n := range 50 {
		up.events(started(uint64(n)))
		if _, err := h.Do(context.Background(), Request{Command: group("careful-1")}); err != nil {
			t.Fatal(err)
		}
		until(t, "the release", func() bool { return strings.Count(events(t, cfg.Log), "ThingLeft") == n+1 })
		if joined := strings.Count(beforeLast(events(t, cfg.Log), "ThingLeft"), "ThingJoined"); joined < n+1 {
			t.Fatalf("release %d knew of %d facts", n+1, joined)
		}
	}
}

func beforeLast(text, word string) string { return text[:strings.LastIndex(text, word)] }

// events are the names of all events in a log.
func events(t *testing.T, l *eventstore.Log) string {
	t.Helper()
	var names []string
	for n := uint64(1); n <= lastOf(t, l); n++ {
		c, err := l.Read(context.Background(), n)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range c.Entries {
			names = append(names, e.Event.Type())
		}
	}
	return strings.Join(names, " ")
}
