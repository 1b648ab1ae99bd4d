package eventstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/proto/id"
)

// TestClaim plays scripts. A line is a time in ms, what the claim says to do then, what came of it, and what is
// then held:
//
//	400 get -> a 7          another's lease at revision 7; "a 7 released"; "mine 7", the last Set's value; "none"; "fails"
//	400 set 7 -> ok 8       at which revision; "refused"; "fails"; "late" is fails, and done when "mine" is next read
//	400 wait 600            until when
//	400 end
//	400 release, 400 begin  from outside
//
// and after a "|": held until when, "ran out", "free" or "lost".
func TestClaim(t *testing.T) {
	for _, tc := range []struct {
		name   string
		second bool // another member is preferred
		alone  bool
		script string
	}{
		{name: "a register that is not there is made at once, and ripens while it is renewed", script: `
			0 get -> none
			0 set 0 -> ok 1     | free
			0 wait 300
			300 set 1 -> ok 2   | free
			310 wait 600
			600 set 2 -> ok 3   | free
			900 set 3 -> ok 4   | free
			1200 set 4 -> ok 5  | free
			1200 wait 1500
			1500 set 5 -> ok 6  | held 3000
			1500 wait 1800
			1800 set 6 -> ok 7  | held 3300`},
		{name: "who is alone does not wait", alone: true, script: `
			0 get -> none
			0 set 0 -> ok 1     | held 1500
			0 wait 300`},
		{name: "a register that was lost while it ripened ripens anew", script: `
			0 get -> none
			0 set 0 -> ok 1
			300 set 1 -> refused
			310 get -> none
			310 wait 400
			400 set 0 -> ok 1   | free
			1500 set 1 -> ok 2  | free
			1800 set 2 -> ok 3  | free
			1900 set 3 -> ok 4  | held 3400`},
		{name: "it ripens from when it is known to be there", script: `
			0 get -> none
			0 set 0 -> late
			400 get -> mine 1   | free
			400 set 1 -> ok 2
			700 set 2 -> ok 3
			1000 set 3 -> ok 4
			1300 set 4 -> ok 5
			1600 set 5 -> ok 6  | free
			1900 set 6 -> ok 7  | held 3400`},
		{name: "one that another made meanwhile is the other's", script: `
			0 get -> none
			0 set 0 -> refused
			0 get -> a 1
			0 wait 200
			200 get -> a 2`},
		{name: "a lease is taken when it was not renewed for so long since it was seen", script: `
			0 get -> a 5
			0 wait 200
			200 get -> a 5
			400 get -> a 6
			600 get -> a 6
			800 get -> a 6
			1000 get -> a 6
			1200 get -> a 6
			1400 get -> a 6
			1600 get -> a 6
			1800 get -> a 6
			1800 wait 1900
			1900 set 6 -> ok 7  | held 3400`},
		{name: "one who is not preferred waits longer", second: true, script: `
			0 get -> a 5
			` + looks(200, 4400, 200, "a 5") + `
			4400 wait 4500
			4500 set 5 -> ok 6  | held 6000`},
		{name: "what was released is taken at once", script: `
			0 get -> a 5 released
			0 set 5 -> ok 6     | held 1500`},
		{name: "what was released is left to the preferred one for a while", second: true, script: `
			0 get -> a 5 released
			` + looks(200, 3000, 200, "a 5 released") + `
			3000 set 5 -> ok 6  | held 4500`},
		{name: "while the registers do not answer nobody's time runs", script: `
			0 get -> a 5
			` + looks(200, 1000, 200, "a 5") + `
			1200 get -> fails
			1200 wait 1300
			1300 get -> fails
			2100 get -> a 5
			` + looks(2300, 3500, 200, "a 5") + `
			3500 wait 3600
			3600 set 5 -> ok 6  | held 5100`},
		{name: "one answer that is lost changes nothing", script: `
			0 get -> a 5
			` + looks(200, 1000, 200, "a 5") + `
			1200 get -> fails
			1700 get -> a 5
			1700 set 5 -> ok 6  | held 3200`},
		{name: "a taking that was not answered is looked up", script: `
			0 get -> a 5 released
			0 set 5 -> late
			100 get -> mine 6   | held 1500
			100 wait 300`},
		{name: "a taking that was answered too late is renewed before it counts", script: `
			0 get -> a 5 released
			0 set 5 -> late
			1600 get -> mine 6  | free
			1600 set 6 -> ok 7  | held 3100`},
		{name: "a taking that was not done is done again", script: `
			0 get -> a 5 released
			0 set 5 -> fails
			0 wait 100
			100 get -> a 5 released
			100 set 5 -> ok 6   | held 1600`},
		{name: "a renewal counts from when it was sent", script: `
			0 get -> a 5 released
			0 set 5 -> ok 6     | held 1500
			300 set 6 -> late
			800 get -> mine 7   | held 1800
			800 set 7 -> ok 8   | held 2300`},
		{name: "a renewal that was not done leaves what there was", script: `
			0 get -> a 5 released
			0 set 5 -> ok 6     | held 1500
			300 set 6 -> fails
			800 get -> mine 6   | held 1500
			800 set 6 -> fails
			1300 get -> fails   | held 1500
			1600 get -> fails   | ran out
			9000 get -> mine 6  | ran out
			9000 set 6 -> ok 7  | held 10500`},
		{name: "a refused renewal is looked into", script: `
			0 get -> a 5 released
			0 set 5 -> ok 6
			300 set 6 -> refused
			300 get -> mine 6
			300 wait 400
			400 set 6 -> ok 7   | held 1900`},
		{name: "who sees another's name has lost", script: `
			0 get -> a 5 released
			0 set 5 -> ok 6
			300 set 6 -> refused
			300 get -> b 9      | lost
			300 end
			400 begin
			400 get -> b 9      | free
			400 wait 600`},
		{name: "a holder whose register was lost makes it anew, and holds what he had", script: `
			0 get -> a 5 released
			0 set 5 -> ok 6
			300 set 6 -> refused
			300 get -> none     | held 1500
			300 wait 400
			400 set 0 -> ok 1   | held 1500
			700 set 1 -> ok 2   | held 1500
			1000 set 2 -> ok 3  | held 1500
			1300 set 3 -> ok 4  | held 1500
			1600 set 4 -> ok 5  | ran out
			1900 set 5 -> ok 6  | held 3400`},
		{name: "a release says so", script: `
			0 get -> a 5 released
			0 set 5 -> ok 6
			100 release         | free
			100 set 6 -> ok 7   | free
			100 end`},
		{name: "a release that was not answered is looked up", script: `
			0 get -> a 5 released
			0 set 5 -> ok 6
			100 release
			100 set 6 -> fails
			200 get -> mine 6
			200 set 6 -> late
			300 get -> mine 7   | free
			300 end`},
		{name: "a release while a renewal is under way follows it", script: `
			0 get -> a 5 released
			0 set 5 -> ok 6
			300 set 6 -> released meanwhile, ok 7 | free
			300 set 7 -> ok 8`},
		{name: "after a release that may yet arrive nothing counts that was sent before", script: `
			0 get -> a 5 released
			0 set 5 -> ok 6
			300 set 6 -> late
			400 release
			400 get -> mine 7   | free
			400 set 7 -> fails
			500 begin
			500 get -> mine 7   | free
			500 set 7 -> ok 8   | held 2000`},
		{name: "what was not held is not released", script: `
			0 get -> none
			0 set 0 -> ok 1
			100 release
			100 end`},
		{name: "a wait that ends while a taking is unanswered gives back what it took", script: `
			0 get -> a 5 released
			0 set 5 -> late
			50 release
			100 get -> mine 6   | free
			100 set 6 -> ok 7
			100 end`},
		{name: "a wait that ends leaves another's lease alone", script: `
			0 get -> a 5
			100 release
			100 end`},
		{name: "what cannot be read is somebody's", script: `
			0 get -> garbage 5
			` + looks(200, 1400, 200, "garbage 5") + `
			1500 set 5 -> ok 6  | held 3000`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			newScript(t, tc.alone, !tc.second).play(tc.script)
		})
	}
}

// looks are looks that see the same.
func looks(from, to, every int, what string) string {
	var b strings.Builder
	for at := from; at <= to; at += every {
		fmt.Fprintf(&b, "%d get -> %s\n", at, what)
	}
	return b.String()
}

type script struct {
	t         *testing.T
	c         *claim
	preferred bool
	late      []byte // what was set last, by the lines' word "late" or "ok"
}

var zero = time.Unix(1_700_000_000, 0)

func ms(n int) time.Time { return zero.Add(time.Duration(n) * time.Millisecond) }

func newScript(t *testing.T, alone, preferred bool) *script {
	s := &script{t: t, c: newClaim("me", "me#1", "nonce", alone), preferred: preferred}
	s.c.begin()
	return s
}

func (s *script) play(lines string) {
	s.t.Helper()
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line != "" {
			s.line(line)
		}
	}
}

func (s *script) line(line string) {
	s.t.Helper()
	line, state, _ := strings.Cut(line, "|")
	what, came, _ := strings.Cut(strings.TrimSpace(line), " -> ")
	var at int
	var do string
	if _, err := fmt.Sscanf(what, "%d %s", &at, &do); err != nil {
		s.t.Fatal(err)
	}
	now := ms(at)
	switch do {
	case "release":
		s.c.release()
	case "begin":
		s.c.begin()
	default:
		got := s.c.next(now, func(string) bool { return s.preferred })
		if said := fmt.Sprintf("%d %s", at, describe(got)); said != what {
			s.t.Fatalf("%s: it says %s", line, said)
		}
		s.came(now, got, strings.TrimSpace(came))
	}
	if state = strings.TrimSpace(state); state != "" && s.state(now) != state {
		s.t.Fatalf("%s: it is %s, want %s", line, s.state(now), state)
	}
}

func describe(s step) string {
	switch s.do {
	case doGet:
		return "get"
	case doSet:
		return fmt.Sprintf("set %d", s.revision)
	case doWait:
		return fmt.Sprintf("wait %d", s.until.Sub(zero).Milliseconds())
	}
	return "end"
}

func (s *script) state(now time.Time) string {
	switch {
	case s.c.lost:
		return "lost"
	case !s.c.held || s.c.until.IsZero():
		return "free"
	case !now.Before(s.c.until):
		return "ran out"
	}
	return fmt.Sprintf("held %d", s.c.until.Sub(zero).Milliseconds())
}

func (s *script) came(now time.Time, did step, came string) {
	s.t.Helper()
	if rest, ok := strings.CutPrefix(came, "released meanwhile, "); ok {
		s.c.release()
		came = rest
	}
	var revision uint64
	words := strings.Fields(came)
	if len(words) > 1 {
		if _, err := fmt.Sscan(words[1], &revision); err != nil {
			s.t.Fatal(err)
		}
	}
	switch did.do {
	case doGet:
		s.looked(now, words, revision)
	case doSet:
		switch words[0] {
		case "ok":
			s.late = did.value
			s.c.wasSet(now, revision, nil)
		case "refused":
			s.c.wasSet(now, 0, fmt.Errorf("set: %w", ErrRevision))
		case "late":
			s.late = did.value
			s.c.wasSet(now, 0, errSim)
		case "fails":
			s.c.wasSet(now, 0, errSim)
		}
	}
}

func (s *script) looked(now time.Time, words []string, revision uint64) {
	r := Register{Revision: revision}
	switch words[0] {
	case "none":
		s.c.looked(now, Register{}, fmt.Errorf("get: %w", ErrNoRegister))
		return
	case "fails":
		s.c.looked(now, Register{}, errSim)
		return
	case "mine":
		r.Value = s.late
	case "garbage":
		r.Value = []byte("\x00{")
	default:
		v := leaseValue{Owner: words[0], Start: words[0] + "#1", Nonce: words[0], Released: len(words) > 2}
		r.Value, _ = json.Marshal(v)
	}
	s.c.looked(now, r, nil)
}

func TestOwnerRegister(t *testing.T) {
	for _, log := range id.Logs(3) {
		name := ownerRegister(log)
		if err := CheckRegister(name); err != nil {
			t.Error(err)
		}
		if got, err := parseOwnerRegister(name); err != nil || got != log {
			t.Errorf("%s is parsed as %v (%v)", name, got, err)
		}
	}
	if got := ownerRegister(id.ExecutionLog(3)); got != "owner.execution-3" {
		t.Errorf("got %s", got)
	}
	if _, err := parseOwnerRegister("owner.x"); err == nil || errors.Is(err, ErrNoRegister) {
		t.Error("owner.x is parsed")
	}
}
