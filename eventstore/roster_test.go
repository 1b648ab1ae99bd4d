package eventstore

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/proto/id"
)

// Ranks are for ever: processes of two versions must agree.
func TestRank(t *testing.T) {
	for _, tc := range []struct {
		member string
		log    id.Log
		rank   uint64
	}{
		{"a", id.JobLog, 0xdd28662d4353c13e},
		{"b", id.JobLog, 0x7cd518b60256e6e0},
		{"node-1", id.ExecutionLog(3), 0x85b5c7cabe2bffa0},
	} {
		if got := Rank(tc.member, tc.log); got != tc.rank {
			t.Errorf("%s for %s ranks %#x, want %#x", tc.member, tc.log, got, tc.rank)
		}
	}
}

// Logs spread over members, and a member that goes moves its own logs and no others.
func TestRankSpreads(t *testing.T) {
	logs := id.Logs(297)
	owner := func(log id.Log, members []Member) string {
		return topRanked(members, log, func(Member) bool { return true })
	}
	members := []Member{{Name: "drover-1"}, {Name: "drover-2"}, {Name: "drover-3"}}
	count := map[string]int{}
	for _, log := range logs {
		before := owner(log, members)
		count[before]++
		if after := owner(log, members[:2]); before != "drover-3" && after != before {
			t.Fatalf("%s moves from %s to %s because drover-3 went", log, before, after)
		}
	}
	for _, m := range members {
		if n := count[m.Name]; n < 70 || n > 130 {
			t.Errorf("%s has %d of 300 logs", m.Name, n)
		}
	}
}

// rosters of tests have a member of ours, "me", and others that are what the test says.
type rosterTest struct {
	t   *testing.T
	r   *roster
	all map[string]Register
	now time.Time
}

func newRosterTest(t *testing.T) *rosterTest {
	rt := &rosterTest{t: t, r: newRoster("me", "me#1"), all: map[string]Register{}, now: zero}
	rt.self("serving", 100)
	return rt
}

func (rt *rosterTest) self(state string, folded uint64) {
	rt.r.describe(rt.now, hosting(state, folded, 0))
}

func hosting(state string, folded, behind uint64) Description {
	d := Description{Logs: map[string]Hosted{}}
	for _, log := range id.Logs(3) {
		d.Logs[log.String()] = Hosted{State: state, Folded: folded, Behind: behind}
	}
	return d
}

// says publishes a member.
func (rt *rosterTest) says(name, start string, d Description) {
	data, err := json.Marshal(memberValue{start, d})
	if err != nil {
		rt.t.Fatal(err)
	}
	register := memberPrefix + "." + name
	rt.all[register] = Register{Value: data, Revision: rt.all[register].Revision + 1}
}

// look lets time pass and lists.
func (rt *rosterTest) look(d time.Duration) {
	rt.now = rt.now.Add(d)
	rt.r.listed(rt.now, rt.all)
}

func (rt *rosterTest) live(want string) {
	rt.t.Helper()
	var names []string
	for _, m := range rt.r.live(rt.now) {
		names = append(names, m.Name)
	}
	if got := strings.Join(names, " "); got != want {
		rt.t.Fatalf("alive are %q, want %q", got, want)
	}
}

func TestWhoIsAlive(t *testing.T) {
	rt := newRosterTest(t)
	rt.live("me")
	standby := hosting(StateStandby, 100, 0)
	rt.says("a", "a#1", standby)
	rt.says("b", "b#1", standby)
	rt.look(0)
	rt.live("a b me") // whatever their registers' age: their time begins now
	for range 3 {
		rt.says("a", "a#1", standby)
		rt.look(500 * time.Millisecond)
	}
	rt.live("a me") // b was not renewed for LeaseTTL
	rt.says("b", "b#1", standby)
	rt.look(500 * time.Millisecond)
	rt.live("a b me")
	delete(rt.all, "member.a") // it said that it goes
	rt.look(500 * time.Millisecond)
	rt.live("b me")
	// Nobody can be looked at for a while: then nobody dies, and all begin again.
	rt.now = rt.now.Add(20 * time.Second)
	rt.live("b me")
	rt.look(0)
	rt.live("b me")
	rt.look(500 * time.Millisecond)
	rt.look(500 * time.Millisecond)
	rt.live("b me")
	rt.look(500 * time.Millisecond)
	rt.live("me")
	// What is no member's is nobody who hosts.
	rt.all["member.x"] = Register{Value: []byte("?"), Revision: 1}
	rt.look(500 * time.Millisecond)
	if got := rt.r.preferred(rt.now, id.JobLog, "", false); got != "me" {
		t.Fatalf("preferred is %q", got)
	}
}

// byRank are names that rank above "me" for a log, highest first.
func byRank(t *testing.T, log id.Log, n int) (names []string) {
	t.Helper()
	for i := 0; len(names) < n; i++ {
		if name := fmt.Sprintf("n%d", i); Rank(name, log) > Rank("me", log) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if Rank(a, log) > Rank(b, log) {
			return -1
		}
		return 1
	})
	return names
}

func TestWhoIsPreferred(t *testing.T) {
	log := id.RolloutLog
	higher := byRank(t, log, 2)
	first, second := higher[0], higher[1]
	standby, far, stopping := hosting(StateStandby, 100, 0), hosting(StateStandby, 5, ableBehind+1), hosting(StateStopping, 100, 0)
	none := Description{}
	for _, tc := range []struct {
		name     string
		says     map[string]Description // by name; the start is the name and #1
		self     string                 // the state of this member's host; empty is none
		without  string
		hosts    bool // this member hosts the log whatever it said
		want     string
		unlisted bool // nobody was looked at yet
	}{
		{name: "nobody, before a look", self: StateStandby, unlisted: true, want: ""},
		{name: "the only one", self: StateStandby, want: "me"},
		{name: "the highest", says: map[string]Description{first: standby, second: standby}, self: StateStandby, want: first},
		{name: "the highest that hosts it", says: map[string]Description{first: none, second: standby}, self: StateStandby, want: second},
		{name: "not one that is far behind", says: map[string]Description{first: far, second: standby}, self: StateStandby, want: second},
		{name: "not one that stops", says: map[string]Description{first: standby, second: stopping}, without: first + "#1", self: StateStandby, want: "me"},
		{name: "without the one that had it", says: map[string]Description{first: standby, second: standby}, without: first + "#1", self: StateStandby, want: second},
		{name: "not without another process of its name", says: map[string]Description{first: standby}, without: first + "#0", self: StateStandby, want: first},
		{name: "the one that had it, if there is no other", self: StateStandby, without: "me#1", want: "me"},
		{name: "one that is far behind, if all are", says: map[string]Description{first: far}, self: StateStopping, want: first},
		{name: "nobody that does not host it", says: map[string]Description{first: none}, want: ""},
		{name: "this one, which asks", hosts: true, want: "me"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rt := newRosterTest(t)
			rt.r.describe(rt.now, none)
			if tc.self != "" {
				rt.self(tc.self, 100)
			}
			for name, d := range tc.says {
				rt.says(name, name+"#1", d)
			}
			if !tc.unlisted {
				rt.look(0)
			}
			if got := rt.r.preferred(rt.now, log, tc.without, tc.hosts); got != tc.want {
				t.Fatalf("preferred is %q, want %q", got, tc.want)
			}
		})
	}
}

func TestHandOver(t *testing.T) {
	log := id.RolloutLog
	first := byRank(t, log, 1)[0]
	// A script: each line is what the other says of itself, for how long, and when this member hands over in that time
	// (ms from the line's beginning; -1: never).
	for _, tc := range []struct {
		name   string
		took   time.Duration // when this member took the log
		handed time.Duration // when it handed one over
		lines  []handOverLine
	}{
		{"once it was there for 10 s", -time.Hour, -time.Hour, []handOverLine{{"#1", StateStandby, 0, 12_000, 10_000}}},
		{"not before the log was kept for 10 s", 3 * time.Second, -time.Hour, []handOverLine{{"#1", StateStandby, 0, 15_000, 13_000}}},
		{"not within 5 s of another", -time.Hour, 8 * time.Second, []handOverLine{{"#1", StateStandby, 0, 15_000, 13_000}}},
		{"the 10 s begin again when it is another process", -time.Hour, -time.Hour, []handOverLine{
			{"#1", StateStandby, 0, 6_000, -1}, {"#2", StateStandby, 0, 12_000, 10_000}}},
		{"when it was none that could", -time.Hour, -time.Hour, []handOverLine{
			{"#1", StateStandby, 0, 6_000, -1}, {"#1", "catching up", 0, 1_000, -1}, {"#1", StateStandby, 0, 12_000, 10_000}}},
		{"when it was away", -time.Hour, -time.Hour, []handOverLine{
			{"#1", StateStandby, 0, 6_000, -1}, {"", "", 0, 3_000, -1}, {"#1", StateStandby, 0, 12_000, 10_000}}},
		{"when it was behind", -time.Hour, -time.Hour, []handOverLine{
			{"#1", StateStandby, 0, 6_000, -1}, {"#1", StateStandby, 300, 3_000, -1}, {"#1", StateStandby, 0, 12_000, 10_000}}},
		{"a little behind is not behind", -time.Hour, -time.Hour, []handOverLine{{"#1", StateStandby, 30, 12_000, 10_000}}},
		{"never to one that is still to fold", -time.Hour, -time.Hour, []handOverLine{{"#1", StateStandby, 300, 30_000, -1}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rt := newRosterTest(t)
			rt.r.took[log], rt.r.handed = zero.Add(tc.took), zero.Add(tc.handed)
			rt.look(0)
			for _, line := range tc.lines {
				rt.hand(log, first, line)
			}
		})
	}
}

type handOverLine struct {
	start  string // empty: it says nothing
	state  string
	behind uint64 // commits behind ours, of which there are 25 in a look
	during int
	at     int
}

func (rt *rosterTest) hand(log id.Log, other string, line handOverLine) {
	rt.t.Helper()
	const every = 500
	for ms := 0; ms <= line.during; ms += every {
		folded := uint64(1000 + 50*rt.now.Sub(zero).Seconds())
		rt.self("serving", folded)
		if line.start != "" {
			rt.says(other, other+line.start, hosting(line.state, folded-line.behind, 0))
		}
		rt.r.listed(rt.now, rt.all)
		if got := rt.r.handOver(rt.now, log); got != (ms == line.at) {
			rt.t.Fatalf("%v at %d ms, want it at %d", got, ms, line.at)
		}
		rt.now = rt.now.Add(every * time.Millisecond)
	}
}

// Where this member itself is preferred it keeps what it has.
func TestNoHandOver(t *testing.T) {
	rt := newRosterTest(t)
	for range 100 {
		rt.self("serving", 100)
		rt.says("other", "other#1", hosting(StateStandby, 100, 0))
		rt.look(500 * time.Millisecond)
		for _, log := range id.Logs(3) {
			if Rank("other", log) < Rank("me", log) && rt.r.handOver(rt.now, log) {
				t.Fatalf("%s is handed over to one who ranks lower", log)
			}
		}
	}
}

// While the registers are away nothing is handed over: the lease could not change hands.
func TestNoHandOverWithoutTheRegisters(t *testing.T) {
	log := id.RolloutLog
	rt := newRosterTest(t)
	rt.r.took[log], rt.r.handed = zero.Add(-time.Hour), zero.Add(-time.Hour)
	rt.look(0)
	rt.hand(log, byRank(t, log, 1)[0], handOverLine{"#1", StateStandby, 0, 9_500, -1})
	for range 10 {
		rt.now = rt.now.Add(outage + time.Millisecond)
		if rt.r.handOver(rt.now, log) {
			t.Fatal("a log is handed over that nobody can take")
		}
	}
}

func TestPresence(t *testing.T) {
	mine, _ := json.Marshal(memberValue{Start: "me#1"})
	old, _ := json.Marshal(memberValue{Start: "me#0", Description: Description{Version: "other"}})
	type line struct {
		at   int
		want string
		came string // none, mine N, old N, fails; ok N, refused
	}
	for _, tc := range []struct {
		name  string
		lines []line
	}{
		{"it is published now and then", []line{
			{0, "get", "none"}, {0, "set 0", "ok 3"}, {0, "wait 500", ""}, {500, "set 3", "ok 5"}, {500, "wait 1000", ""}}},
		{"what was not answered is looked up", []line{
			{0, "get", "none"}, {0, "set 0", "fails"}, {0, "wait 100", ""}, {100, "get", "fails"}, {100, "wait 200", ""},
			{200, "get", "mine 4"}, {200, "set 4", "ok 6"}}},
		{"what was lost is published again", []line{
			{0, "get", "none"}, {0, "set 0", "ok 3"}, {500, "set 3", "refused"}, {600, "get", "none"}, {600, "set 0", "ok 1"}}},
		{"one before it that crashed is waited for", []line{
			{0, "get", "old 7"}, {0, "wait 200", ""}, {200, "get", "old 7"}, {900, "get", "old 7"}, {1400, "get", "old 7"},
			{1500, "wait 1600", ""}, {1600, "get", "old 7"}, {1600, "set 7", "ok 8"}}},
		{"its last word may come late", []line{
			{0, "get", "old 7"}, {200, "get", "old 8"}, {900, "get", "old 8"}, {1600, "get", "old 8"}, {1800, "get", "old 8"}, {1800, "set 8", "ok 9"}}},
		{"while nobody answers its time does not run", []line{
			{0, "get", "old 7"}, {200, "get", "fails"}, {1900, "get", "old 7"}, {1900, "wait 2100", ""}}},
		{"one that lives has the name", []line{
			{0, "get", "old 7"}, {200, "get", "old 7"}, {400, "get", "old 8"}, {800, "get", "old 9"}, {1000, "end", "taken"}}},
		{"also one that came while this one was stopped", []line{
			{0, "get", "none"}, {0, "set 0", "ok 3"}, {9000, "set 3", "refused"}, {9100, "get", "old 9"}, {9600, "get", "old 10"}, {10100, "get", "old 11"}, {10300, "end", "taken"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPresence("me#1")
			for _, l := range tc.lines {
				s := p.next(ms(l.at))
				if got := describe(s); got != l.want {
					t.Fatalf("at %d it says %s, want %s", l.at, got, l.want)
				}
				var what string
				r := Register{}
				_, _ = fmt.Sscanf(l.came, "%s %d", &what, &r.Revision)
				switch what {
				case "none":
					p.looked(ms(l.at), Register{}, ErrNoRegister)
				case "mine":
					r.Value = mine
					p.looked(ms(l.at), r, nil)
				case "old":
					r.Value = old
					p.looked(ms(l.at), r, nil)
				case "ok":
					p.wasSet(ms(l.at), r.Revision, nil)
				case "refused":
					p.wasSet(ms(l.at), 0, ErrRevision)
				case "fails":
					if s.do == doGet {
						p.looked(ms(l.at), Register{}, errSim)
					} else {
						p.wasSet(ms(l.at), 0, errSim)
					}
				case "taken":
					if !p.taken || p.by.Start != "me#0" || p.by.Version != "other" {
						t.Fatalf("taken %v by %v", p.taken, p.by)
					}
				}
			}
		})
	}
}
