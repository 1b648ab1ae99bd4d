package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/memory"
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func TestAnOwnerOpensTheLogAndOwnsIt(t *testing.T) {
	r := newRig(t).own()
	expect(t, "log", r.text(1), "LogOpened Owned")
	c := r.commit(1)
	o := c.Entries[0].Event.GetLogOpened()
	expect(t, "homes, format, hash", fmt.Sprintln(o.Homes, o.Format, o.HomeHash), "2 1 fnv1a32\n")
	expect(t, "log id", string(c.LogId), "0123456789abcdef")
	expect(t, "epoch", c.Entries[1].Event.GetOwned().Epoch, 1)

	r.own() // again: a restart
	expect(t, "log", r.text(1), "LogOpened Owned\nOwned")
	expect(t, "epoch", r.commit(2).Epoch, 2)
	r.folded()
}

func TestAnotherNumberOfHomesIsRefused(t *testing.T) {
	for _, state := range []string{"kept", "lost"} {
		r := newRig(t).own()
		r.cfg.Homes = 3
		if state == "lost" {
			r.cfg.State = kv.NewMemory()
		}
		_, err := Boot(context.Background(), r.cfg)
		if err == nil || !strings.Contains(err.Error(), "2 homes") {
			t.Fatalf("state %s: boot with another number of homes: %v", state, err)
		}
	}
}

func TestWhatGatheredIsOneCommit(t *testing.T) {
	r := newRig(t).own()
	r.submit("", group("a")).submit("", group("b")).submit("", group("a"))
	expect(t, "wrote", r.step(), true)
	expect(t, "log", r.text(2), "GroupCreated GroupCreated")
	expect(t, "answers", r.take(), `position:{service:SERVICE_TARGETING number:2} | position:{service:SERVICE_TARGETING number:2 entry:1} | ALREADY_EXISTS`)
	expect(t, "told", r.told.all, "[2:a 2:b]")
	r.folded()
}

func TestRefusalsAndReadsWriteNothing(t *testing.T) {
	r := newRig(t).own()
	r.submit("", group("a")).step()
	r.take()
	r.submit("", group("a")).submit("", &v1.CheckTargets{}).submit("", &v1.DeleteThing{Name: "x"})
	expect(t, "wrote", r.step(), false)
	expect(t, "answers", r.take(), `ALREADY_EXISTS | unknown:{group:"a"} as_of:2 | NOT_SUPPORTED`)
}

func TestAReadThatSharesAStepWithAWriteIsAnsweredAfterTheCommit(t *testing.T) {
	r := newRig(t).own()
	r.submit("", group("a")).submit("", &v1.CheckTargets{})
	sealed, err := r.m.Step(r.now)
	if err != nil || sealed == nil {
		t.Fatal(sealed, err)
	}
	expect(t, "answers before the append", r.take(), "")
	if err := r.append(sealed); err != nil {
		t.Fatal(err)
	}
	expect(t, "answers after it", r.take(), `position:{service:SERVICE_TARGETING number:2} | unknown:{group:"a"} as_of:2`)
}

func TestUpstreamIsReactedToOnceAndTheCursorMovesInTheSameCommit(t *testing.T) {
	r := newRig(t).own()
	r.up.events(started(1), completed(9))
	r.read()
	r.step()
	c := r.commit(2)
	expect(t, "log", r.text(2), "SelectionStarted"+strings.Repeat(" ThingsSelected", 10)+" SelectionFinished")
	expect(t, "cause", c.Entries[0].GetPosition(), r.up.log.Name().Position(2, 0))
	expect(t, "cause of a slice", c.Entries[1].GetTimer() != nil, true)
	expect(t, "cursors", len(c.Cursors), 1)
	expect(t, "cursor", fmt.Sprint(c.Cursors[0].Number, c.Cursors[0].EntriesDone, c.Cursors[0].Hash == r.up.mark.Hash.Prefix()), "2 0 true")
	for range 3 {
		r.own()
	}
	expect(t, "log after restarts", r.text(3), "Owned\nOwned\nOwned")
	r.folded()
}

func TestUpstreamThatChangesNothingIsNotWritten(t *testing.T) {
	r := newRig(t).own()
	for range 50 {
		r.up.events(completed(1))
	}
	r.read()
	expect(t, "wrote", r.step(), false)
	r.submit("", group("a")).step()
	expect(t, "the next commit has the cursor", r.commit(2).Cursors[0].Number, 51)
}

func TestCursorsAloneAreWrittenAfterTenThousandCommitsThatHeldSomething(t *testing.T) {
	r := newRig(t).own()
	for range cursorsAlone - 1 {
		r.up.events(completed(1))
	}
	for range 10 {
		r.up.events() // of cursors alone, as far as this host can see
	}
	r.read()
	expect(t, "wrote", r.step(), false)
	r.up.events(completed(1))
	r.read()
	expect(t, "wrote", r.step(), true)
	expect(t, "entries", len(r.commit(2).Entries), 0)
	expect(t, "cursor", r.commit(2).Cursors[0].Number, cursorsAlone+11)
	r.folded()
}

func TestAnUpstreamCommitIsTakenInPartsWhereTheRoomEnds(t *testing.T) {
	r := newRig(t)
	var events []*v1.Event
	for i := range uint64(20_000) {
		events = append(events, started(100+i))
	}
	r.own()
	r.up.events(events...)
	r.read()
	r.step()
	c := r.commit(2)
	done := c.Cursors[0].EntriesDone
	if done == 0 || done >= 20_000 {
		t.Fatalf("entries done %d of 20000 in a commit of %d entries", done, len(c.Entries))
	}
	if size := c.SizeVT(); size > commitMax {
		t.Fatalf("the commit has %d bytes", size)
	}
	r.own() // a crash in between
	for range 100 {
		r.step()
	}
	expect(t, "commits left to react to", r.m.Behind(), 0)
	seen := map[uint64]int{}
	for n := uint64(2); n <= r.last(); n++ {
		for _, e := range r.commit(n).Entries {
			if s := e.Event.GetSelectionStarted(); s != nil {
				seen[s.Job]++
			}
		}
	}
	expect(t, "jobs", len(seen), 20_000)
	for job, n := range seen {
		if n != 1 {
			t.Fatalf("job %d was reacted to %d times", job, n)
		}
	}
	r.folded()
}

func TestRequestsReactionsAndSlicesAllGetARoomInAFullCommit(t *testing.T) {
	r := newRig(t).own()
	r.up.events(started(1))
	r.read()
	names := make([]string, 500)
	for i := range names {
		names[i] = fmt.Sprintf("thing-%020d", i)
	}
	for range 40 {
		r.submit("", &v1.RemoveThings{Group: "g", Things: names})
	}
	r.step()
	text := r.text(2)
	for _, want := range []string{"ThingLeft", "SelectionStarted", "ThingsSelected"} {
		if !strings.Contains(text, want) {
			t.Errorf("the first commit holds no %s", want)
		}
	}
	if size := r.commit(2).SizeVT(); size > commitMax || size < commitMax/4 {
		t.Errorf("the commit has %d bytes", size)
	}
	if r.m.Waiting() == 0 {
		t.Error("all requests fitted into one commit; the test shows nothing")
	}
	for r.m.Waiting() > 0 {
		r.step()
	}
	expect(t, "answers", len(r.answers), 40)
	r.folded()
}

func TestAPanicOverARequestQuarantinesItAndRefusesIt(t *testing.T) {
	r := newRig(t).own()
	r.submit("", group("a")).submit("", groupIn("b", "panic")).submit("", group("c"))
	r.step()
	expect(t, "log", r.text(2), "GroupCreated InputQuarantined GroupCreated")
	expect(t, "answers", r.take(), `position:{service:SERVICE_TARGETING number:2} | INTERNAL | position:{service:SERVICE_TARGETING number:2 entry:2}`)
	q := r.commit(2).Entries[1].Event.GetInputQuarantined()
	input := new(v1.CreateGroup)
	if err := proto.Unmarshal(q.Input, input); err != nil || input.Group != "b" {
		t.Errorf("quarantined %v, %v", input, err)
	}
	expect(t, "type and panic", q.Type+": "+q.Panic, "drover.v1.CreateGroup: the toy broke on b")
	r.folded()
}

func TestAPanicOverAnUpstreamEntryQuarantinesItAndGoesOn(t *testing.T) {
	r := newRig(t).own()
	r.up.events(started(13), started(14))
	r.read()
	r.step()
	expect(t, "log", strings.Join(strings.Fields(r.text(2))[:2], " "), "InputQuarantined SelectionStarted")
	r.own()
	r.step()
	expect(t, "quarantined once", strings.Count(r.text(1), "InputQuarantined"), 1)
	r.folded()
}

func TestAPanicInEvolveStopsThePartition(t *testing.T) {
	r := newRig(t).own()
	r.submit("", group("a")).submit("", groupIn("b", "fold"))
	_, err := r.tryStep()
	if err == nil || !strings.Contains(err.Error(), "cannot fold b") {
		t.Fatalf("step: %v", err)
	}
	expect(t, "answers", r.take(), "UNAVAILABLE | UNAVAILABLE")
	expect(t, "last commit", r.last(), 1)
	r.submit("", group("c"))
	expect(t, "answers after it", r.take(), "UNAVAILABLE")
}

func TestAStoreThatFailsStopsThePartition(t *testing.T) {
	r := newRig(t).own()
	r.submit("", groupIn("b", "failure"))
	_, err := r.tryStep()
	var failure *kv.Failure
	if !errors.As(err, &failure) {
		t.Fatalf("step: %v", err)
	}
	expect(t, "answers", r.take(), "UNAVAILABLE")
}

func TestTheSlowerOfTwoOwnersStepsDown(t *testing.T) {
	r := newRig(t).own()
	other := *r
	other.cfg.State, other.cfg.Owner, other.head = kv.NewMemory(), "two", memoryHead{}
	other.cfg.Head = &other.head
	other.own()
	r.submit("", group("a"))
	_, err := r.tryStep()
	if !errors.Is(err, ErrDeposed) {
		t.Fatalf("step of the slower owner: %v", err)
	}
	expect(t, "answers", r.take(), "UNAVAILABLE")
	expect(t, "log", r.text(1), "LogOpened Owned\nOwned")
}

func TestOwnedIsTriedAgainUntilItIsAccepted(t *testing.T) {
	r := newRig(t).boot()
	other := newRig(t)
	other.backend, other.cfg.Log, other.cfg.Owner = r.backend, r.cfg.Log, "two"
	other.boot()
	mine, _ := r.m.Step(r.now)
	theirs, _ := other.m.Step(r.now)
	if err := other.append(theirs); err != nil || !other.m.Owns() {
		t.Fatal(err)
	}
	if err := r.append(mine); err != nil || r.m.Owns() {
		t.Fatal(err)
	}
	r.step()
	expect(t, "owns", r.m.Owns(), true)
	expect(t, "log", r.text(1), "LogOpened Owned\nOwned")
	expect(t, "owner", r.commit(2).Owner, "one")
	expect(t, "log id", string(r.commit(2).LogId), string(r.commit(1).LogId))
	r.folded()
}

func TestAnAppendWithoutAnAnswerIsPursued(t *testing.T) {
	for name, fault := range map[string]memory.Fault{
		"not stored":   {Kind: memory.Refused},
		"stored":       {Kind: memory.Lost},
		"stored later": {Kind: memory.Late, After: 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).own()
			faults := 2
			r.backend.SetFault(func(uint64) memory.Fault {
				if faults--; faults >= 0 {
					return fault
				}
				return memory.Fault{}
			})
			r.submit("", group("a")).step()
			expect(t, "answers", r.take(), `position:{service:SERVICE_TARGETING number:2}`)
			r.submit("", group("b")).step()
			expect(t, "log", r.text(2), "GroupCreated\nGroupCreated")
			r.folded()
		})
	}
}

func TestAnAppendThatStaysUnknownEndsTheOwnerAfterThirtySeconds(t *testing.T) {
	r := newRig(t).own()
	r.backend.SetFault(func(uint64) memory.Fault { return memory.Fault{Kind: memory.Refused} })
	began := r.now
	r.submit("", group("a"))
	_, err := r.tryStep()
	if !errors.Is(err, ErrUnresolved) {
		t.Fatalf("step: %v", err)
	}
	if took := r.now - began; took < unresolvedMs || took > unresolvedMs+100 {
		t.Errorf("it was pursued for %d ms", took)
	}
	expect(t, "answers", r.take(), "OUTCOME_UNKNOWN")
}

func TestAForeignMessageAtTheNextNumberStops(t *testing.T) {
	r := newRig(t).own()
	r.backend.Publish([]byte("a stranger's"))
	r.submit("", group("a"))
	_, err := r.tryStep()
	var foreign *eventstore.ForeignError
	if !errors.As(err, &foreign) || foreign.Number != 2 {
		t.Fatalf("step: %v", err)
	}
	expect(t, "answers", r.take(), "UNAVAILABLE")
	if _, err := Boot(context.Background(), r.cfg); !errors.As(err, &foreign) {
		t.Fatalf("boot: %v", err)
	}
}

func TestAFullLogRefusesWhatWasAskedAndKeepsTheRestForLater(t *testing.T) {
	r := newRig(t).own()
	r.up.events(started(1))
	r.read()
	r.backend.SetLimit(1)
	r.submit("", group("a")).submit("", &v1.CheckTargets{})
	r.step()
	expect(t, "answers", r.take(), "UNAVAILABLE | UNAVAILABLE")
	expect(t, "last commit", r.last(), 1)
	if w := r.m.Waits(); !strings.Contains(w, "is full") {
		t.Errorf("waits for %q", w)
	}
	first := r.m.Next() - r.now
	r.now = r.m.Next()
	r.step()
	if second := r.m.Next() - r.now; first <= 0 || second <= first {
		t.Errorf("delays of the reaction: %d, then %d ms", first, second)
	}
	expect(t, "a read alone is answered", r.submit("", &v1.CheckTargets{}).step(), false)
	expect(t, "answer", r.take(), "as_of:1")
	r.backend.SetLimit(0)
	r.now = r.m.Next()
	r.step()
	expect(t, "log", strings.Fields(r.text(2))[0], "SelectionStarted")
	expect(t, "waits", r.m.Waits(), "")
	r.folded()
}

func TestARequestThatFindsRoomInAFullLogTakesNoCursorAlong(t *testing.T) {
	r := newRig(t).own()
	r.up.events(started(1))
	r.read()
	r.backend.SetLimit(1)
	r.step()
	r.backend.SetLimit(0)
	r.submit("", group("a")).step() // before the reaction is tried again
	c := r.commit(2)
	expect(t, "log", r.text(2), "GroupCreated")
	expect(t, "cursor", c.Cursors[0].Number, 1) // of LogOpened, which asks for nothing
	r.own()
	r.step()
	expect(t, "the reaction is not lost", strings.Count(r.text(3), "SelectionStarted"), 1)
}

func TestWhatStandsInTheLogIsAnsweredThoughTheStateCannotBeKept(t *testing.T) {
	r := newRig(t)
	store := &failingStore{Store: r.cfg.State}
	r.cfg.State = store
	r.own()
	store.failed = true
	r.submit("", group("a")).submit("", group("a"))
	var failure *kv.Failure
	if _, err := r.tryStep(); !errors.As(err, &failure) {
		t.Fatalf("step: %v", err)
	}
	expect(t, "log", r.text(2), "GroupCreated")
	expect(t, "answers", r.take(), "position:{service:SERVICE_TARGETING number:2} | ALREADY_EXISTS")
	r.submit("", group("b"))
	expect(t, "what is asked later", r.take(), "UNAVAILABLE")
}

func TestACommandIdReturnsTheRecordedOutcome(t *testing.T) {
	const first = `position:{service:SERVICE_TARGETING number:2}`
	r := newRig(t).own()
	r.submit("id-1", group("a")).submit("id-1", group("a")).step()
	expect(t, "a repeat in the same step", r.take(), first+" | "+first)
	expect(t, "events", r.text(2), "GroupCreated")
	r.submit("id-1", group("a"))
	expect(t, "wrote", r.step(), false)
	expect(t, "a repeat", r.take(), first)
	r.own()
	r.submit("id-1", group("a")).step()
	expect(t, "a repeat after a restart", r.take(), first)
	r.cfg.State = kv.NewMemory()
	r.own()
	r.submit("id-1", group("a")).step()
	expect(t, "a repeat after the state was lost", r.take(), first)
	r.submit("id-1", &v1.RemoveThings{}).step()
	expect(t, "another command", r.take(), "INVALID_REQUEST")
	r.submit(strings.Repeat("x", 65), group("b")).submit("a\nb", group("b")).step()
	expect(t, "ids that are none", r.take(), "INVALID_REQUEST | INVALID_REQUEST")
	r.submit("id-2", group("a")).submit("id-2", group("b")).step()
	expect(t, "a refusal is not kept", strings.Fields(r.take())[0], "ALREADY_EXISTS")
	r.folded()
}

func TestOutcomesAreForgottenAfterADay(t *testing.T) {
	r := newRig(t).own()
	for i := range 40 {
		r.submit(fmt.Sprint("id-", i), group(fmt.Sprint("g", i)))
	}
	r.step()
	rows := func() (n int) {
		for range r.cfg.State.Scan([]byte{table, rowCommand}, []byte{table, rowCommand + 1}) {
			n++
		}
		return n
	}
	r.now += commandsMs - 1
	r.submit("", group("x")).step()
	expect(t, "rows", rows(), 40)
	r.now++
	r.take()
	r.submit("id-39", group("g39")).step()
	expect(t, "the id may be used again", r.take(), "ALREADY_EXISTS")
	r.submit("id-39", group("y")).step()
	expect(t, "rows", rows(), 40-expireMax-2) // two more for the one that is recorded
	r.own()                                   // folds nothing else than the owner before did
	r.submit("", group("z")).step()
	r.submit("", group("zz")).step()
	expect(t, "rows", rows(), 1)
	r.folded()
}

func TestOutcomesAreForgottenAsFastAsTheyCome(t *testing.T) {
	r := newRig(t).own()
	const each = 100
	for round := range 6 {
		for i := range each {
			cid := fmt.Sprint("id-", round, "-", i)
			r.submit(cid, group(cid))
		}
		r.step()
		r.now += commandsMs
	}
	rows := 0
	for range r.cfg.State.Scan([]byte{table, rowCommand}, []byte{table, rowCommand + 1}) {
		rows++
	}
	if rows > 3*each {
		t.Errorf("%d outcomes are kept, of which %d are younger than 24 h", rows, each)
	}
}

func TestTimersAreNeverEarly(t *testing.T) {
	r := newRig(t).own()
	r.submit("", groupIn("late", "at:1000500")).step()
	expect(t, "next", r.m.Next(), 1000500)
	r.now = 1000499
	expect(t, "wrote", r.step(), false)
	r.now = 1000500
	expect(t, "wrote", r.step(), true)
	e := r.commit(3).Entries[0]
	expect(t, "event", e.Event.GetThingDeleted().GetThing().GetName(), "late")
	expect(t, "due", e.GetTimer().DueMs, 1000500)
	expect(t, "idle", r.m.Next() > r.now+1e12, true)
}

func TestTimeNeverGoesBack(t *testing.T) {
	r := newRig(t).own()
	r.now += 5000
	r.submit("", group("a")).step()
	r.now -= 9000
	r.submit("", group("b")).step()
	r.own()
	at := int64(0)
	for n := uint64(1); n <= r.last(); n++ {
		if c := r.commit(n); c.AtMs < at {
			t.Fatalf("commit %d is of %d, the one before of %d", n, c.AtMs, at)
		} else {
			at = c.AtMs
		}
	}
}

func TestWhatWasNotToldIsToldByTheNextOwner(t *testing.T) {
	r := newRig(t).own()
	r.told.hold = true
	r.submit("", group("a")).step()
	r.submit("", group("b")).step()
	r.told.done[0]() // a arrived, b did not
	r.told.all = nil
	r.told.hold = false
	r.own()
	expect(t, "told by the next owner", r.told.all, "[4:b]")
	r.told.all = nil
	r.own()
	expect(t, "told by the one after", r.told.all, "[]")
	r.submit("", group("c")).step()
	expect(t, "effects done", r.commit(r.last()).EffectsDone, r.last()-1)
}

// touching is the toy with things that can be told apart.
type touching struct{ toy }

func (touching) Cut(e *v1.Event, part func(thing string) bool) *v1.Event {
	if g := e.GetGroupCreated().GetGroup(); g == "" || !part(g) {
		return nil
	}
	return e
}

func TestATakeoverGoesThroughManyEntriesInPieces(t *testing.T) {
	r := newRig(t).own()
	r.told.hold = true
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprint("g", i))
		r.submit("", group(want[i])).submit("", &v1.RemoveThings{Things: []string{"x"}}).step()
	}
	r.told.all, r.told.done = nil, nil
	r.cfg.Core = touching{}
	r.boot().m.retellMax = 6
	r.step()
	for !r.m.CaughtUp() {
		r.step()
	}
	if err := r.m.Retell(context.Background()); err != nil {
		t.Fatal(err)
	}
	if pieces := len(r.told.done); pieces < 2 || pieces > 4 {
		t.Errorf("it tells in %d pieces", pieces)
	}
	var told []string
	for _, one := range r.told.all {
		_, group, _ := strings.Cut(one, ":")
		told = append(told, group)
	}
	slices.Sort(told)
	slices.Sort(want)
	expect(t, "told", told, want)
	for i, done := range r.told.done {
		expect(t, fmt.Sprintf("effects done after %d pieces", i), r.m.EffectsDone(), 1)
		done()
	}
	expect(t, "effects done", r.m.EffectsDone(), r.last())
}

func TestEffectsAreDoneInOrder(t *testing.T) {
	r := newRig(t).own()
	r.told.hold = true
	for _, g := range []string{"a", "b", "c"} {
		r.submit("", group(g)).step()
	}
	r.told.done[1]()
	expect(t, "effects done", r.m.EffectsDone(), 1)
	r.told.done[0]()
	expect(t, "effects done", r.m.EffectsDone(), 3)
	expect(t, "head", r.head.head.EffectsDone, 3)
}

func TestAGracefulStopWritesWhatMovedAndNothingElse(t *testing.T) {
	r := newRig(t).own()
	stop := func() {
		t.Helper()
		sealed, err := r.m.Stop(r.now)
		if err == nil && sealed != nil {
			err = r.append(sealed)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	stop()
	expect(t, "last commit", r.last(), 1)
	r.own()
	r.submit("", group("a")).step()
	r.up.events(completed(1))
	r.read()
	r.step()
	r.submit("", group("waits"))
	r.take()
	stop()
	expect(t, "what waits is refused", r.take(), "UNAVAILABLE")
	expect(t, "log", r.text(2), "Owned\nGroupCreated\n")
	c := r.commit(4)
	expect(t, "effects done, cursor", fmt.Sprint(c.EffectsDone, c.Cursors[0].Number), "3 2")
	r.own()
	stop()
	expect(t, "log", r.text(5), "Owned")
	r.folded()
}

func TestARequestWaitsUntilUpstreamWasReadToItsEnd(t *testing.T) {
	r := newRig(t)
	r.up.events(started(1))
	r.boot()
	for !r.m.Owns() {
		r.step()
	}
	if err := r.m.Goals(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.submit("", group("a"))
	r.step()
	expect(t, "answers", r.take(), "")
	r.read()
	for !r.m.CaughtUp() {
		r.step()
	}
	if err := r.m.Retell(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.step()
	expect(t, "log", strings.Fields(strings.ReplaceAll(r.text(2), "\n", " "))[:2], "[SelectionStarted GroupCreated]")
}

func TestACutLogIsNamed(t *testing.T) {
	var damage *eventstore.DamageError
	boot := func(r *rig) error { _, err := Boot(context.Background(), r.cfg); return err }
	prepare := func() *rig {
		r := newRig(t).own()
		r.up.events(started(1))
		r.read()
		for _, g := range []string{"a", "b", "c"} {
			r.submit("", group(g)).step()
		}
		return r
	}
	for name, harm := range map[string]func(*rig){
		"the head knows":       func(r *rig) { r.backend.Cut(2); r.cfg.State = kv.NewMemory() },
		"the checkpoint knows": func(r *rig) { r.backend.Cut(2); r.head = memoryHead{} },
	} {
		r := prepare()
		harm(r)
		if err := boot(r); !errors.As(err, &damage) || damage.First != 3 || damage.Last != 4 || damage.Log != id.TargetingLog {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := prepare()
	r.up.backend.Cut(1)
	if err := boot(r); !errors.As(err, &damage) || damage.First != 2 || damage.Log != id.JobLog {
		t.Errorf("the cursor knows: %v", err)
	}
	r = prepare()
	r.up.backend.Change(2, func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	if err := boot(r); !errors.As(err, &damage) || damage.First != 2 {
		t.Errorf("the cursor knows the hash: %v", err)
	}
}

func TestTalliesAreObservedOncePerGulp(t *testing.T) {
	r := newRig(t)
	home := newUpstreamLog(t, id.ExecutionLog(1))
	r.up = home
	r.cfg.Log = eventstore.New(id.RolloutLog, r.backend)
	r.cfg.Upstream = []*eventstore.Log{home.log}
	r.own()
	tallied := func(n int64, settled v1.JobPhase) {
		home.write(&v1.Commit{Tallies: []*v1.Tally{{Job: 7, Open: n, Attempts: []*v1.StatusCount{{Status: v1.ExecutionStatus_EXECUTION_STATUS_QUEUED, Count: n}}, Settled: settled}},
			Entries: []*v1.Entry{{Event: started(1)}}})
	}
	for range 5 {
		tallied(2, 0)
	}
	r.read()
	expect(t, "written at once", r.step(), false)
	expect(t, "next", r.m.Next(), r.now+gulpMs)
	r.now += gulpMs
	expect(t, "written later", r.step(), true)
	told := ""
	for _, o := range r.commit(2).Entries[0].Event.GetObserved().Homes {
		told += fmt.Sprint(o.Home, "@", o.UpTo, " ", len(o.Tallies), " ", o.Tallies[0].Open, " ", o.Tallies[0].Attempts[0].Count, "; ")
	}
	expect(t, "each commit by itself", told, "1@2 1 2 2; 1@3 1 2 2; 1@4 1 2 2; 1@5 1 2 2; 1@6 1 2 2; ")
	expect(t, "cursor", r.commit(2).Cursors[0].Number, 6)

	tallied(1, 0)
	tallied(-1, v1.JobPhase_JOB_PHASE_CLOSED)
	r.read()
	expect(t, "a settled phase is written at once", r.step(), true)
	tallied(3, 0)
	r.read()
	r.submit("", group("a"))
	r.step()
	expect(t, "with any other commit", r.text(4), "GroupCreated Observed")
	expect(t, "cursor", r.commit(4).Cursors[0].Number, 9)
	r.folded()
}

func TestACrashAfterEachPartOfAnAppendLosesNothing(t *testing.T) {
	// After the append, before the state: the state is behind the log.
	r := newRig(t).own()
	r.submit("id", group("a"))
	sealed, err := r.m.Step(r.now)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cfg.Log.Append(context.Background(), *sealed); err != nil {
		t.Fatal(err)
	}
	r.own()
	r.submit("id", group("a")).step()
	expect(t, "the repeat", r.take(), `position:{service:SERVICE_TARGETING number:2}`)
	r.folded()
}

func FuzzRowsOfTheHost(f *testing.F) {
	c := checkpoint{Mark: eventstore.Mark{Number: 7}, AtMs: 1, Epoch: 2, EffectsDone: 3, Homes: 4}
	f.Add(c.append(nil), cursor{1, 2, 3}.append(nil), recorded{1, "CreateJob", []byte("x")}.append(nil))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		if p, err := parseCheckpoint(a); err == nil && string(p.append(nil)) != string(a) {
			t.Errorf("checkpoint %x", a)
		}
		if p, err := parseCursor(b); err == nil && string(p.append(nil)) != string(b) {
			t.Errorf("cursor %x", b)
		}
		parseRecorded(c)
	})
}
