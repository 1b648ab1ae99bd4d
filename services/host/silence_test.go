package host

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// leased is a rig whose machine has a lease until a time.
func leased(t *testing.T) (r *rig, until *int64) {
	r = newRig(t)
	until = new(int64)
	*until = r.now + 1500
	r.cfg.MaySpeak = func() bool { return r.now+500 <= *until }
	r.own()
	r.m.Held(time.UnixMilli(*until))
	return r, until
}

func TestASilentOwnerAnswersWhatItWroteAndNothingElse(t *testing.T) {
	r, until := leased(t)
	r.submit("id-1", group("a")).step()
	r.take()
	r.now = *until - 499
	r.submit("", &v1.CheckTargets{}).submit("", group("a")).submit("id-1", group("a")).submit("", group("b"))
	expect(t, "wrote", r.step(), true)
	expect(t, "answers", r.take(), `position:{service:SERVICE_TARGETING number:3}`)
	if next := r.m.Next() - r.now; next <= 0 || next > 1000 {
		t.Errorf("it looks again after %d ms", next)
	}
	expect(t, "waiting", r.m.Waiting(), 3)

	// The lease is renewed: what was withheld is decided again, on the state as it is now.
	*until = r.now + 1500
	r.step()
	expect(t, "answers", r.take(), `unknown:{group:"a"} unknown:{group:"b"} as_of:3 | ALREADY_EXISTS | position:{service:SERVICE_TARGETING number:2}`)
	expect(t, "waiting", r.m.Waiting(), 0)
	r.folded()
}

func TestAPauseBetweenAnAppendAndItsAnswersSilencesTheReads(t *testing.T) {
	r, until := leased(t)
	r.submit("", &v1.CheckTargets{}).submit("", group("a"))
	sealed, err := r.m.Step(r.now)
	if err != nil {
		t.Fatal(err)
	}
	r.now = *until + 10_000
	if err := r.append(sealed); err != nil {
		t.Fatal(err)
	}
	expect(t, "answers", r.take(), `position:{service:SERVICE_TARGETING number:2}`)
}

func TestAPauseBetweenDecidingAndAnsweringSilencesReads(t *testing.T) {
	r, until := leased(t)
	r.cfg.MaySpeak = nil // the machine has its own
	r.m.cfg.MaySpeak = func() bool {
		r.now = *until + 10_000 // the whole process stood still in the middle of a step
		return false
	}
	r.submit("", &v1.CheckTargets{})
	r.step()
	expect(t, "answers", r.take(), "")
}

func TestWhoStepsDownRefusesWhatCameBeforeTheLeaseRanOutAndDropsTheRest(t *testing.T) {
	r, until := leased(t)
	r.now = *until - 100
	r.submit("", group("before")).submit("", &v1.CheckTargets{})
	r.step()
	r.take()
	r.submit("", group("also before"))
	r.now = *until
	r.submit("", group("after"))
	r.step()
	r.submit("", &v1.CheckTargets{}).submit("", group("later"))
	other := newRig(t)
	other.backend, other.cfg.Log, other.cfg.Owner = r.backend, r.cfg.Log, "two"
	other.own()
	r.take()
	_, err := r.tryStep()
	if !errors.Is(err, ErrDeposed) {
		t.Fatal(err)
	}
	// Those of the refused step came later; the read that was withheld came before.
	expect(t, "answers", r.take(), "DROPPED | DROPPED | UNAVAILABLE")
	r.submit("", group("too late"))
	expect(t, "answers", r.take(), "DROPPED")
}

func TestWhatIsWithheldForTooLongIsTurnedAway(t *testing.T) {
	r, until := leased(t)
	r.now = *until - 100
	r.submit("", &v1.CheckTargets{}).step()
	r.now += 200
	r.submit("", &v1.CheckTargets{}).step()
	expect(t, "answers", r.take(), "")
	r.now += withheldMs - 200
	r.step()
	expect(t, "answers", r.take(), "UNAVAILABLE")
	r.now += 200
	r.step()
	expect(t, "answers", r.take(), "DROPPED")
	for range withheldMax + 10 {
		r.submit("", &v1.CheckTargets{})
	}
	for range 4 {
		r.now += silentMs
		r.step()
	}
	expect(t, "answers", strings.Count(r.take(), "DROPPED"), 10)
	expect(t, "waiting", r.m.Waiting(), withheldMax)
}

func TestAFullLogIsNotSpokenOfInSilence(t *testing.T) {
	r, until := leased(t)
	r.backend.SetLimit(1)
	r.submit("", group("a")).step()
	expect(t, "answers", r.take(), "UNAVAILABLE")
	r.now = *until
	r.submit("", group("b")).step()
	expect(t, "answers", r.take(), "")
}

func TestAStandbyFoldsAndDecidesNothing(t *testing.T) {
	r := newRig(t).own()
	r.submit("", group("a")).step()
	cfg := r.cfg
	cfg.State, cfg.Owner, cfg.Head = kv.NewMemory(), "two", nil
	m, err := Boot(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.submit("", group("b")).step()
	if err := m.FoldNew(context.Background()); err != nil {
		t.Fatal(err)
	}
	expect(t, "state", dump(cfg.State), dump(r.cfg.State))
	expect(t, "phase", m.State()+"; "+m.Waits(), "standby; targeting: standby")
	if sealed, err := m.Step(r.now + 1e6); sealed != nil || err != nil || m.Owns() {
		t.Errorf("it decides: %v, %v", sealed, err)
	}
	m.Claim()
	if sealed, err := m.Step(r.now); sealed == nil || err != nil {
		t.Errorf("it claims: %v, %v", sealed, err)
	}
}

func TestACommitThatNoBrokerTakesStops(t *testing.T) {
	r := newRig(t)
	r.cfg.Core = bloated{}
	r.own()
	r.submit("", group("a"))
	_, err := r.tryStep()
	if err == nil || !strings.Contains(err.Error(), "a broker takes no message above 1000000") {
		t.Fatalf("step: %v", err)
	}
	expect(t, "answers", r.take(), "UNAVAILABLE")
	expect(t, "last commit", r.last(), 1)
}

// bloated is the toy with an event that is too large for any broker.
type bloated struct{ toy }

func (bloated) Decide(s *core.Step, cmd proto.Message) (proto.Message, error) {
	s.Emit(&v1.Event{Event: &v1.Event_GroupCreated{GroupCreated: &v1.GroupCreated{Group: strings.Repeat("x", sealedMax)}}}, nil)
	return &v1.CreateGroupReply{}, nil
}

// A host that lost its lease while it claimed folds what the next owner has written, and would depose it if it went on.
func TestALogIsClaimedUnderTheLeaseOnly(t *testing.T) {
	r := newRig(t)
	held := true
	r.cfg.MaySpeak = func() bool { return held }
	r.boot()
	mine, err := r.m.Step(r.now)
	if err != nil {
		t.Fatal(err)
	}
	held = false // it stands still, and the other takes over
	other := newRig(t)
	other.backend, other.cfg.Log, other.cfg.Owner = r.backend, r.cfg.Log, "two"
	other.own()
	if err := r.append(mine); err != nil {
		t.Fatal(err)
	}
	expect(t, "wrote", r.step(), false)
	if wait := r.m.Next() - r.now; wait <= 0 || wait > 1000 {
		t.Errorf("it looks again after %d ms", wait)
	}
	expect(t, "log", r.text(1), "LogOpened Owned")
	held = true // renewed, for nobody took it
	r.step()
	expect(t, "log", r.text(1), "LogOpened Owned\nOwned")
}
