package audit_test

import (
	"slices"
	"testing"
	"time"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
)

// working is a system whose rollout releases and whose homes take reports, each every 100 ms, but for the pauses that
// are given by log.
func working(t *testing.T, fromMs, toMs int64, pauses map[id.Log][2]int64) *audit.History {
	t.Helper()
	all := []*writer{newWriter(t, id.JobLog), newWriter(t, id.TargetingLog), newWriter(t, id.RolloutLog)}
	for h := range homes {
		all = append(all, newWriter(t, id.ExecutionLog(id.Home(h))))
	}
	var logs []*eventstore.Log
	for _, w := range all {
		name := w.log.Name()
		logs = append(logs, w.log)
		for at := fromMs; at < toMs; at += 100 {
			if p, ok := pauses[name]; ok && p[0] < at && at < p[1] {
				if at == p[1]-100 {
					w.commit(at, nil, &v1.Event{Event: &v1.Event_Owned{Owned: &v1.Owned{Owner: "another", Epoch: 2}}})
				}
				continue
			}
			switch name.Service {
			case v1.Service_SERVICE_ROLLOUT:
				w.commit(at, nil, &v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{Job: theJob}}})
			case v1.Service_SERVICE_EXECUTION:
				w.commit(at, nil, &v1.Event{Event: &v1.Event_ExecutionChanged{ExecutionChanged: &v1.ExecutionChanged{Job: theJob, Thing: "t", ExecutionNumber: 1}}})
			}
		}
	}
	h, err := audit.Read(t.Context(), logs, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func lengths(t *testing.T, list []audit.Standstill) map[string]time.Duration {
	t.Helper()
	all := map[string]time.Duration{}
	for _, s := range list {
		length, ok := s.Length()
		if !ok {
			length = -1
		}
		all[s.Log.String()+" "+s.Beat] = length
	}
	return all
}

const second = int64(1000)

var home0, home1 = id.ExecutionLog(0), id.ExecutionLog(1)

func TestAStandstillIsTheLongestTimeWithoutABeatAroundAFault(t *testing.T) {
	begin, end := start+second, start+60*second
	h := working(t, begin, end, map[id.Log][2]int64{
		home1:         {start + 20*second, start + 21700},
		id.RolloutLog: {start + 40*second, start + 41300},
	})
	faults := []audit.Fault{
		{AtMs: start + 20050, What: "kill execution-1"},
		{AtMs: start + 40010, What: "kill rollout-1"},
		{AtMs: start + 50*second, What: "nothing", Logs: []id.Log{home0}},
	}
	all := h.Standstills(faults, nil)
	for i, want := range []map[string]time.Duration{
		{"execution.1 reports": 1700 * time.Millisecond},
		{"rollout releases": 1300 * time.Millisecond},
		{"execution.0 reports": 100 * time.Millisecond},
	} {
		if got := lengths(t, all[i]); len(got) != 1 || !mapsEqual(got, want) {
			t.Errorf("%s: got %v, want %v", faults[i].What, got, want)
		}
	}
	s := all[0][0]
	if s.Usual != 100*time.Millisecond || s.UsualMax != 100*time.Millisecond || s.Owner != "another" || s.OwnedMs != start+21600 || s.FromMs != start+20000 {
		t.Errorf("got %+v", s)
	}
}

func mapsEqual(x, y map[string]time.Duration) bool {
	for k, v := range y {
		if x[k] != v {
			return false
		}
	}
	return len(x) == len(y)
}

// A log that does not go on, one that was idle, and one of which the work had ended.
func TestAStandstillThatCannotBeMeasuredIsNotTakenForNone(t *testing.T) {
	begin, end := start+second, start+30*second
	h := working(t, begin, end, map[id.Log][2]int64{home1: {start + 20*second, start + 90*second}})
	if got := lengths(t, h.Standstills([]audit.Fault{{AtMs: start + 20050, Logs: []id.Log{home1}}}, nil)[0]); got["execution.1 reports"] != -1 {
		t.Errorf("a home that stands still for ever: %v", got)
	}
	if got := lengths(t, h.Standstills([]audit.Fault{{AtMs: start + 20050}}, nil)[0]); len(got) != 3 || got["execution.1 reports"] != -1 {
		t.Errorf("a fault that hit nobody knows what: %v", got)
	}
	if all := h.Standstills([]audit.Fault{{AtMs: start + 20050, Logs: []id.Log{id.JobLog}}}, nil)[0]; len(all) != 1 || !all[0].Idle || all[0].OwnedMs != 0 {
		t.Errorf("an idle log that nobody took over: %v", all)
	}
	// Behind the last release, that nobody reports any more is no standstill.
	h = working(t, begin, end, map[id.Log][2]int64{id.RolloutLog: {start + 21*second, start + 90*second}, home0: {start + 22*second, start + 29*second}})
	if got := lengths(t, h.Standstills([]audit.Fault{{AtMs: start + 20050, Logs: []id.Log{home0}}}, nil)[0]); got["execution.0 reports"] != 100*time.Millisecond {
		t.Errorf("devices that have nothing more to report: %v", got)
	}
}

// thingOf is a name whose home is h.
func thingOf(h id.Home) string {
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		if id.HomeOf(name, homes) == h {
			return name
		}
	}
	panic("no such name")
}

func TestWhatDevicesHeardIsAStandstillOfItsOwn(t *testing.T) {
	begin, end := start+second, start+30*second
	h := working(t, begin, end, nil)
	var heard []audit.Accepted
	for at := begin; at < end; at += 50 {
		if at <= start+15*second || at >= start+18*second {
			heard = append(heard, audit.Accepted{AtMs: at})
		}
	}
	slices.Reverse(heard)
	all := h.Standstills([]audit.Fault{{AtMs: start + 15*second, Logs: []id.Log{home0, home1}}}, []audit.Testimony{{Thing: thingOf(1), Accepted: heard}})
	want := map[string]time.Duration{"execution.0 reports": 100 * time.Millisecond, "execution.1 reports": 100 * time.Millisecond, "execution.1 answers": 3 * time.Second}
	if got := lengths(t, all[0]); !mapsEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// While a history is read, its system goes on: what the other logs vouch for is read as well.
func TestAHistoryHoldsWhatItsCommitsRestOn(t *testing.T) {
	l := runOneJob(t)
	rollout, home := l.rollout, l.execution[0]
	grown := 0
	h, err := audit.Read(t.Context(), l.all(), func(log id.Log, done, last uint64) {
		if log != rollout.log.Name() || grown == 3 {
			return
		}
		// rollout was read to here. Now it goes on, and the home, which rests on that, and rollout again.
		grown++
		rollout.commit(start+2000, []*v1.Cursor{home.cursor()}, &v1.Event{Event: &v1.Event_Observed{Observed: &v1.Observed{}}})
		home.commit(start+2001, []*v1.Cursor{rollout.cursor()})
		rollout.commit(start+2002, []*v1.Cursor{home.cursor()}, &v1.Event{Event: &v1.Event_Observed{Observed: &v1.Observed{}}})
		home.commit(start+2003, []*v1.Cursor{rollout.cursor()})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, log := range h.Logs {
		for _, c := range log.Cursors {
			if of := h.Log(c.Of); of == nil || of.Last < c.Number {
				t.Errorf("%v rests on %v@%d, and the history ends before it", c.At, c.Of, c.Number)
			}
		}
	}
	if grown < 2 {
		t.Error("what was vouched for was not read behind the first end")
	}
}
