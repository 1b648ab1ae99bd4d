package audit_test

import (
	"slices"
	"testing"
	"time"

	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
)

// asking are requests to a home, one every 100 ms, that were answered but in the given times.
func asking(h id.Home, writes bool, fromMs, toMs int64, without ...[2]int64) (sent []audit.Sent) {
	for at := fromMs; at < toMs; at += 100 {
		if !slices.ContainsFunc(without, func(w [2]int64) bool { return w[0] < at && at < w[1] }) {
			sent = append(sent, audit.Sent{Thing: thingOf(h), AtMs: at, Writes: writes})
		}
	}
	return sent
}

// One home is taken over at 21.6 s. The other hears nothing while something is done to it, at 5 to 9 s; it has a fault at
// 30 s, which takes one request away, and for which its reports stand still later on, but not its questions.
func TestARequestMayGoUnansweredInAPauseThatIsExplained(t *testing.T) {
	begin, end := start+second, start+60*second
	h := working(t, begin, end, map[id.Log][2]int64{home1: {start + 20*second, start + 21700}})
	faults := []audit.Fault{
		{AtMs: start + 5*second, For: 4 * time.Second, Logs: []id.Log{home0}},
		{AtMs: start + 30*second, Logs: []id.Log{home0}},
	}
	var prompt []audit.Sent
	for _, writes := range []bool{true, false} {
		prompt = append(prompt, asking(1, writes, begin, end, [2]int64{start + 20*second, start + 21700}, [2]int64{start + 40*second, start + 43*second})...)
	}
	prompt = append(prompt, asking(0, true, begin, end, [2]int64{start + 5*second, start + 9*second}, [2]int64{start + 33*second, start + 35*second})...)
	prompt = append(prompt, asking(0, false, begin, end, [2]int64{start + 5*second, start + 9*second})...)
	slices.Reverse(prompt)
	e := h.Excuses(prompt, faults)
	for _, c := range []struct {
		what    string
		home    id.Home
		at      int64
		writes  bool
		excused bool
	}{
		{"in a takeover", 1, 20500, true, true},
		{"in a takeover", 1, 20050, false, true},
		{"before it", 1, 19950, true, false},
		{"behind it", 1, 21750, true, false},
		{"in the other home's", 0, 20500, true, false},
		{"in a pause that nothing explains", 1, 41500, true, false},
		{"while something is done", 0, 6 * second, true, true},
		{"before that", 0, 4850, true, false},
		{"behind that", 0, 9150, true, false},
		{"while it is done to the other home", 1, 6 * second, true, false},
		{"at the fault", 0, 30050, true, true},
		{"at the fault, a question", 0, 30050, false, true},
		{"behind the fault, where others were answered", 0, 31050, true, false},
		{"in a pause behind the fault", 0, 34 * second, true, true},
		{"where questions were answered", 0, 34050, false, false},
		{"behind the pause", 0, 35150, true, false},
	} {
		if got := e.Excused(audit.Sent{Thing: thingOf(c.home), AtMs: start + c.at, Writes: c.writes}); got != c.excused {
			t.Errorf("%s, at %d: %v", c.what, c.at, got)
		}
	}
}

// Where next to nobody asks, a pause is long whatever happens: what happened excuses what was near.
func TestAPauseOfAnIdleHomeExcusesWhatIsNear(t *testing.T) {
	begin, end := start+second, start+200*second
	h := working(t, begin, end, map[id.Log][2]int64{home1: {start + 50*second, start + 51700}})
	faults := []audit.Fault{{AtMs: start + 100*second, Logs: []id.Log{home0}}}
	e := h.Excuses(nil, faults)
	for _, c := range []struct {
		home    id.Home
		at      int64
		excused bool
	}{
		{1, 44 * second, false}, {1, 46 * second, true}, {1, 57 * second, true}, {1, 58 * second, false},
		{0, 98 * second, false}, {0, 99500, true}, {0, 129 * second, true}, {0, 131 * second, false},
	} {
		if got := e.Excused(audit.Sent{Thing: thingOf(c.home), AtMs: start + c.at}); got != c.excused {
			t.Errorf("home %d at %d: %v", c.home, c.at, got)
		}
	}
}
