package invariants

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
)

const (
	homesOf = 2
	noon    = 1_000_000
	number  = 2 << 16
)

func place(log id.Log, n uint64, entry int) audit.Place {
	return audit.Place{Log: log, Number: n, Entry: entry, AtMs: noon + int64(n)}
}

// good is a history without fault: a job of four things that has run to its end.
func good() *audit.History {
	j := &audit.Job{
		Number: number, ID: "fw", Created: place(id.JobLog, 2, 0), PerMinute: 240, Status: v1.JobStatus_JOB_STATUS_COMPLETED,
		Things: map[string]*audit.Thing{}, SelectedTold: 4, WaitingTold: 4, SelectedBySelection: 4, WaitingBySelection: 4,
		Life: []audit.JobFact{
			{Place: place(id.JobLog, 2, 0), Kind: audit.Created}, {Place: place(id.JobLog, 2, 1), Kind: audit.Started},
			{Place: place(id.JobLog, 3, 0), Kind: audit.Completed},
			{Place: place(id.RolloutLog, 2, 0), Kind: audit.Opened}, {Place: place(id.RolloutLog, 4, 0), Kind: audit.Closed},
			{Place: place(id.RolloutLog, 5, 0), Kind: audit.Drained, Phase: v1.JobPhase_JOB_PHASE_CLOSED},
		},
	}
	h := &audit.History{Homes: homesOf, Jobs: map[uint64]*audit.Job{number: j}}
	var observed [homesOf]audit.Counts
	for i := range 4 {
		name := fmt.Sprintf("t%d", i)
		home := id.HomeOf(name, homesOf)
		log := id.ExecutionLog(home)
		j.Things[name] = &audit.Thing{
			Name: name, Number: uint64(100 + i), Selected: 1, Waiting: 1, Released: 1, ReleasedAt: place(id.RolloutLog, 3, int(home)), ReleasedTo: home,
			Executions: []*audit.Execution{{Number: 1, Steps: []audit.Step{
				{Place: place(log, 2, i), To: queued, Version: 1, DeadlineMs: 1 << 60},
				{Place: place(log, 3, i), From: queued, To: inProgress, Version: 2, HasRun: true, DeadlineMs: 1 << 60},
				{Place: place(log, 4, i), From: inProgress, To: succeeded, Version: 3, HasRun: true, DeadlineMs: 1 << 60},
			}}},
		}
		observed[home].Attempts[succeeded]++
		observed[home].Good++
	}
	for home := range id.Home(homesOf) {
		j.Releases = append(j.Releases, audit.Release{Place: place(id.RolloutLog, 3, int(home)), Home: home, Things: 2})
		j.Settled = append(j.Settled, audit.Settled{Place: place(id.ExecutionLog(home), 6, 0), Home: home, Phase: v1.JobPhase_JOB_PHASE_CLOSED})
		h.Observed = append(h.Observed, audit.Observed{At: place(id.RolloutLog, 4, 0), Home: home, UpTo: 5, Jobs: map[uint64]audit.Counts{number: observed[home]}})
	}
	for _, name := range id.Logs(homesOf) {
		h.Logs = append(h.Logs, audit.LogRead{Name: name, Last: 6, Times: []int64{noon + 1, noon + 2, noon + 3, noon + 4, noon + 5, noon + 6}})
	}
	h.Log(id.ExecutionLog(0)).Cursors = []audit.Cursor{{At: place(id.ExecutionLog(0), 2, 0), Of: id.RolloutLog, Number: 3}}
	h.Log(id.ExecutionLog(1)).Cursors = []audit.Cursor{{At: place(id.ExecutionLog(1), 2, 0), Of: id.RolloutLog, Number: 3}}
	return h
}

func TestAHistoryWithoutFaultBreaksNothing(t *testing.T) {
	if found := Check(good()); len(found) > 0 {
		t.Errorf("found %v", found)
	}
}

// theJob and t0 are what the cases below change.
func theJob(h *audit.History) *audit.Job           { return h.Jobs[number] }
func t0(h *audit.History) *audit.Thing             { return theJob(h).Things["t0"] }
func execution0(h *audit.History) *audit.Execution { return t0(h).Executions[0] }

// stop stops the job.
func stop(h *audit.History, number uint64, phase v1.JobPhase) {
	theJob(h).Life = append(theJob(h).Life, audit.JobFact{Place: place(id.RolloutLog, number, 1), Kind: audit.Stopped, Phase: phase})
}

// retry queues another attempt of t0, which ends at once.
func retry(h *audit.History, n uint32) {
	log := execution0(h).Steps[0].Log
	t0(h).Executions = append(t0(h).Executions, &audit.Execution{Number: 2, Retry: n, Steps: []audit.Step{
		{Place: place(log, 5, 1), To: queued, Version: 1, DeadlineMs: 1 << 60}, {Place: place(log, 5, 2), From: queued, To: succeeded, Version: 2},
	}})
}

// abort lets t0 fail, and its failure abort the job by the second of two criteria.
func abort(h *audit.History) *v1.AbortTriggered {
	x := execution0(h)
	x.Steps[2].To = failed
	home := x.Steps[0].Log.Home
	for i := range h.Observed {
		if o := &h.Observed[i]; o.Home == home {
			c := o.Jobs[number]
			c.Attempts[succeeded]--
			c.Attempts[failed]++
			c.Good--
			c.Harmed++
			o.Jobs[number] = c
		}
	}
	j := theJob(h)
	j.Criteria = []audit.Criteria{{Place: place(id.RolloutLog, 2, 0), List: []*v1.AbortCriterion{
		{Failure: v1.FailureType_FAILURE_TYPE_FAILED, ThresholdHundredths: 5000, MinExecuted: 1},
		{Failure: v1.FailureType_FAILURE_TYPE_ALL, ThresholdHundredths: 2500, MinExecuted: 4},
	}}}
	told := &v1.AbortTriggered{Criterion: 1, Failures: 1, Executed: 4, Bound: 3, Crossing: x.Steps[0].Log.Position(4, 0)}
	j.Aborts = []audit.Triggered{{Place: place(id.RolloutLog, 4, 1), Told: told}}
	stop(h, 4, v1.JobPhase_JOB_PHASE_STOPPED)
	j.Life[len(j.Life)-1].Entry = 2
	return told
}

func TestAnAbortThatIsRightBreaksNothing(t *testing.T) {
	for _, older := range []bool{false, true} {
		h := good()
		if told := abort(h); !older {
			told.Counted = []*v1.Position{told.Crossing}
		}
		if found := Check(h); len(found) > 0 {
			t.Errorf("an older log %v: found %v", older, found)
		}
	}
}

func TestEveryRuleFindsWhatItIsFor(t *testing.T) {
	ofT0 := id.HomeOf("t0", homesOf)
	log0 := id.ExecutionLog(ofT0)
	covered := map[string]bool{}
	for _, c := range []struct {
		rule, says string
		fault      func(h *audit.History)
	}{
		{"whole", "never queued", func(h *audit.History) {
			h.Strange = []audit.Strange{{At: place(log0, 9, 0), What: "was never queued"}}
		}},
		{"cursors", "that log ends at 6", func(h *audit.History) { h.Log(log0).Cursors[0].Number = 7 }},
		{"cursors", "with hash", func(h *audit.History) { h.Log(log0).Cursors[0].Hash = 7 }},
		{"cursors", "is not there", func(h *audit.History) { h.Log(log0).Cursors[0].Of = id.ExecutionLog(9) }},
		{"cursors", "already", func(h *audit.History) {
			l := h.Log(log0)
			l.Cursors = append(l.Cursors, audit.Cursor{At: place(log0, 3, 0), Of: id.RolloutLog, Number: 2})
		}},
		{"selections", "selected 2 times", func(h *audit.History) { t0(h).Selected = 2 }},
		{"selections", "waits 1 times, was selected 0 times", func(h *audit.History) { t0(h).Selected = 0 }},
		{"selections", "released 1 times, waited 0 times", func(h *audit.History) { t0(h).Waiting = 0 }},
		{"selections", "says 5 things; 4 were selected", func(h *audit.History) { theJob(h).SelectedTold = 5 }},
		{"selections", "that 5 things came in", func(h *audit.History) { theJob(h).WaitingTold = 5 }},
		{"releases", "made nothing of it", func(h *audit.History) { t0(h).Executions = nil }},
		{"releases", "1 executions and 1 refusals for 1 releases", func(h *audit.History) { t0(h).Refused = 1; t0(h).RefusedAt = place(log0, 9, 0) }},
		{"releases", "1 executions and 0 refusals for 0 releases", func(h *audit.History) { t0(h).Released = 0 }},
		{"homes", "its home is", func(h *audit.History) { t0(h).ReleasedTo = 1 - ofT0 }},
		{"homes", "its home is", func(h *audit.History) { execution0(h).Steps[1].Log = id.ExecutionLog(1 - ofT0) }},
		{"attempts", "not as a retry", func(h *audit.History) {
			t0(h).Executions = append(t0(h).Executions, &audit.Execution{Number: 2, Steps: []audit.Step{{Place: place(log0, 5, 0), To: queued, Version: 1}}})
		}},
		{"attempts", "follows 1", func(h *audit.History) {
			t0(h).Executions = append(t0(h).Executions, &audit.Execution{Number: 1, Retry: 1, Steps: []audit.Step{{Place: place(log0, 5, 0), To: queued, Version: 1}}})
		}},
		{"attempts", "while execution 1 is pending", func(h *audit.History) {
			t0(h).Executions = append(t0(h).Executions, &audit.Execution{Number: 2, Retry: 1, Steps: []audit.Step{{Place: place(log0, 3, 9), To: queued, Version: 1}}})
		}},
		{"transitions", "from QUEUED to TIMED_OUT", func(h *audit.History) { execution0(h).Steps[1].To = timedOut; execution0(h).Steps[1].AtMs = 1 << 61 }},
		{"transitions", "goes on from QUEUED; it was IN_PROGRESS", func(h *audit.History) { execution0(h).Steps[2].From = queued }},
		{"transitions", "without force", func(h *audit.History) { execution0(h).Steps[2].To = canceled }},
		{"transitions", "canceled with force, and SUCCEEDED", func(h *audit.History) { execution0(h).Steps[2].Force = true }},
		{"endings", "has ended at", func(h *audit.History) {
			x := execution0(h)
			x.Steps = append(x.Steps, audit.Step{Place: place(log0, 5, 0), From: succeeded, To: failed, Version: 4})
		}},
		{"versions", "comes to version 4; 3 is due", func(h *audit.History) { execution0(h).Steps[2].Version = 4 }},
		{"versions", "comes to version 2; 3 is due", func(h *audit.History) { execution0(h).Steps[2].Version = 2 }},
		{"deadlines", "its deadline is", func(h *audit.History) { execution0(h).Steps[2].To = timedOut }},
		{"settling", "while t0 is IN_PROGRESS", func(h *audit.History) { execution0(h).Steps = execution0(h).Steps[:2] }},
		{"settling", "is QUEUED", func(h *audit.History) {
			execution0(h).Steps = execution0(h).Steps[:1]
			theJob(h).Settled[ofT0].Phase = v1.JobPhase_JOB_PHASE_STOPPED
		}},
		{"settling", "settled the job at", func(h *audit.History) { execution0(h).Steps[0].Number = 7 }},
		{"lives", "created 2 times", func(h *audit.History) { theJob(h).Life = append(theJob(h).Life, theJob(h).Life[0]) }},
		{"lives", "its place says", func(h *audit.History) { theJob(h).Created.Number = 9 }},
		{"lives", "completed 1 times, canceled 1 times", func(h *audit.History) {
			theJob(h).Life = append(theJob(h).Life, audit.JobFact{Place: place(id.JobLog, 3, 1), Kind: audit.CancelStarted})
		}},
		{"lives", "COMPLETED before an end time", func(h *audit.History) { theJob(h).Continuous = true }},
		{"stops", "it was stopped at rollout@3", func(h *audit.History) { stop(h, 3, v1.JobPhase_JOB_PHASE_ENDED) }},
		{"windows", "releases 2 things while its window is closed", func(h *audit.History) { theJob(h).Windowed = true }},
		{"windows", "from QUEUED to IN_PROGRESS while the window is closed", func(h *audit.History) {
			theJob(h).Windowed = true
			theJob(h).Windows = []audit.Window{{Place: place(id.RolloutLog, 2, 0), Open: true}, {Place: place(log0, 1, 0), Open: true}, {Place: place(log0, 2, 9)}}
		}},
		{"retries", "of which none was due", func(h *audit.History) { retry(h, 1) }},
		{"retries", "follows retry 0", func(h *audit.History) { execution0(h).Steps[2].RetryDue = true; retry(h, 2) }},
		{"retries", "it was given up at", func(h *audit.History) {
			at := place(log0, 5, 0)
			execution0(h).Steps[2].RetryDue, execution0(h).Dropped = true, &at
			retry(h, 1)
		}},
		{"retries", "is due after SUCCEEDED", func(h *audit.History) { execution0(h).Steps[2].RetryDue = true }},
		{"retries", "retry 1 of fw on t0 is due after FAILED; 0 are allowed", func(h *audit.History) { execution0(h).Steps[2].To, execution0(h).Steps[2].RetryDue = failed, true }},
		{"retries", "that it is in no target any more", func(h *audit.History) {
			execution0(h).Steps[2].To, execution0(h).Steps[2].RetryDue = failed, true
			t0(h).Withdrawn = []audit.Place{place(log0, 3, 9)}
		}},
		{"retries", "begins with retry 1", func(h *audit.History) { execution0(h).Retry = 1 }},
		{"settling", "while a retry of t0 is due", func(h *audit.History) { execution0(h).Steps[2].RetryDue = true }},
		{"settling", "while execution 1 of t0 is there", func(h *audit.History) { theJob(h).Settled[ofT0].Phase = v1.JobPhase_JOB_PHASE_DELETED }},
		{"deletions", "JobClosed of fw; it was deleted at", func(h *audit.History) {
			theJob(h).Late = []audit.Late{{Place: place(id.RolloutLog, 6, 0), Event: "JobClosed", Gone: place(id.RolloutLog, 5, 0)}}
		}},
		{"aborts", "not stopped in the same commit", func(h *audit.History) { abort(h); theJob(h).Life = theJob(h).Life[:6] }},
		{"aborts", "no criterion is met by", func(h *audit.History) { abort(h); theJob(h).Criteria[0].List[1].MinExecuted = 5 }},
		{"aborts", "criterion 0 is met first", func(h *audit.History) { abort(h); theJob(h).Criteria[0].List[0].ThresholdHundredths = 1 }},
		{"aborts", "for 2 failures of 4; the homes' logs hold 1 of 4", func(h *audit.History) { abort(h).Failures = 2 }},
		{"aborts", "rollout has read that log up to 5", func(h *audit.History) { abort(h).Crossing.Number = 6 }},
		{"aborts", "criterion 1 is met without it", func(h *audit.History) {
			told := abort(h)
			told.Crossing.Number = 5
			told.Counted = []*v1.Position{told.Crossing}
		}},
		{"aborts", "rollout has read that log up to 5", func(h *audit.History) {
			told := abort(h)
			told.Counted = []*v1.Position{id.ExecutionLog(id.Home(told.Crossing.Home)).Position(6, 0)}
		}},
		{"aborts", "aborted again", func(h *audit.History) { abort(h); theJob(h).Aborts = append(theJob(h).Aborts, theJob(h).Aborts[0]) }},
		{"crossings", "the report that crosses criterion 1 stands at 4", func(h *audit.History) {
			abort(h)
			h.Log(id.RolloutLog).Cursors = []audit.Cursor{{At: place(id.RolloutLog, 3, 0), Of: log0, Number: 4}}
		}},
		{"crossings", "one of at most 3 is allowed", func(h *audit.History) {
			abort(h)
			for i := range theJob(h).Releases {
				theJob(h).Releases[i].AtMs = noon + 100
			}
		}},
		{"unaborted", "fw goes on, and has counted", func(h *audit.History) {
			abort(h)
			theJob(h).Life, theJob(h).Aborts = theJob(h).Life[:4], nil
		}},
		{"places", "it is held since", func(h *audit.History) { facts(h, audit.Held, 2) }},
		{"places", "was not held", func(h *audit.History) { facts(h, audit.Admitted, 2) }},
		{"places", "not stopped in the same commit", func(h *audit.History) { facts(h, audit.CrowdedOut, 2) }},
		{"places", "first was held before it", func(h *audit.History) {
			h.Jobs[1] = &audit.Job{Number: 1, ID: "first", Life: []audit.JobFact{{Kind: audit.Held, Place: place(id.RolloutLog, 1, 0)}}}
			facts(h, audit.Held, 1)
			facts(h, audit.Admitted, 2)
		}},
		{"lives", "never drained", func(h *audit.History) { theJob(h).Life = theJob(h).Life[:5] }},
		{"lives", "home 1 has not settled it", func(h *audit.History) { theJob(h).Settled = theJob(h).Settled[:1] }},
		{"lives", "the thing has not ended", func(h *audit.History) { execution0(h).Steps = execution0(h).Steps[:2] }},
		{"paces", "its pace is 3 a minute", func(h *audit.History) { theJob(h).PerMinute = 3 }},
		{"paces", "at most 3 in 1000 ms", func(h *audit.History) { theJob(h).PerMinute = 180 }},
		{"waits", "of fw 1 things wait", func(h *audit.History) {
			theJob(h).Life, theJob(h).Queue = theJob(h).Life[:4], []audit.QueueChange{{Place: place(id.RolloutLog, 2, 0), Things: 1}}
			h.Log(id.RolloutLog).Times = append(h.Log(id.RolloutLog).Times[:4], noon+100_000, noon+200_000)
		}},
		{"tallies", "job 131072: differs", func(h *audit.History) {
			h.Miscounts = []audit.Miscount{{At: place(log0, 9, 0), Job: number, What: "differs"}}
		}},
		{"observations", "the log says", func(h *audit.History) { h.Observed[ofT0].Jobs[number] = audit.Counts{Good: 1} }},
		{"observations", "and was up to 5 already", func(h *audit.History) {
			h.Observed = append(h.Observed, audit.Observed{At: place(id.RolloutLog, 5, 0), Home: ofT0, UpTo: 5})
		}},
	} {
		covered[c.rule] = true
		h := good()
		c.fault(h)
		found := Check(h)
		if !slices.ContainsFunc(found, func(v Violation) bool { return v.Rule == c.rule && strings.Contains(v.String(), c.says) }) {
			t.Errorf("%s, %q: found %v", c.rule, c.says, found)
		}
	}
	for _, r := range Rules() {
		if !covered[r.Name] || r.Promise == "" {
			t.Errorf("rule %q has no case, or no promise", r.Name)
		}
	}
}

// facts lets something happen to the job in the last entry of a commit of log.rollout.
func facts(h *audit.History, kind audit.JobFactKind, number uint64) {
	theJob(h).Life = append(theJob(h).Life, audit.JobFact{Kind: kind, Place: place(id.RolloutLog, number, 9)})
}

func TestAReleasedThingWhoseHomeHasNotReadTheReleaseIsNoFault(t *testing.T) {
	h := good()
	j := theJob(h)
	j.Status, j.Life, j.Settled, h.Observed = v1.JobStatus_JOB_STATUS_IN_PROGRESS, j.Life[:2], nil, nil
	for _, thing := range j.Things {
		thing.Executions = nil
	}
	for home := range id.Home(homesOf) {
		h.Log(id.ExecutionLog(home)).Cursors = nil
	}
	if found := Check(h); len(found) > 0 {
		t.Errorf("found %v", found)
	}
	// Half of the commit read: the first entry is, the second is not.
	h.Log(id.ExecutionLog(0)).Cursors = []audit.Cursor{{At: place(id.ExecutionLog(0), 2, 0), Of: id.RolloutLog, Number: 3, EntriesDone: 1}}
	found := Check(h)
	if len(found) == 0 {
		t.Error("home 0 has read its release, and nothing was found")
	}
	for _, v := range found {
		if v.Rule != "releases" || !strings.Contains(v.What, "home 0 has read the release at rollout@3 ") {
			t.Errorf("found %v", v)
		}
	}
}

func TestPaceIsMeasuredInAnySixtySecondsAndInAnySecond(t *testing.T) {
	for _, c := range []struct {
		perMinute uint32
		at        []int64 // ms, one thing each
		says      string  // empty: it keeps to its pace
	}{
		{2, []int64{0, 30_000, 60_000, 90_000}, ""},
		{2, []int64{0, 1000, 60_000, 61_000}, ""},
		{2, []int64{59_000, 61_000, 119_000, 121_000}, ""},
		{2, []int64{0, 1000, 59_000}, "3 things in the 59000 ms"},
		{2, []int64{0, 30_000, 59_000, 90_000}, "at most 2 in 60000 ms"},
		{2, []int64{0, 59_000, 60_000, 61_000, 119_000}, "at most 2 in 60000 ms"},
		{2, []int64{0, 999}, "2 things in the 999 ms up to there; its pace is 2 a minute, so at most 1 in 1000 ms"},
		{61, []int64{0, 999, 1000, 1999}, ""},
		{61, []int64{0, 500, 999}, "at most 2 in 1000 ms"},
	} {
		j := &audit.Job{ID: "fw", PerMinute: c.perMinute}
		for i, at := range c.at {
			j.Releases = append(j.Releases, audit.Release{Place: audit.Place{Log: id.RolloutLog, Number: uint64(i + 2), AtMs: at}, Things: 1})
		}
		found := paces.Check(&audit.History{Jobs: map[uint64]*audit.Job{1: j}})
		if c.says == "" && len(found) > 0 || c.says != "" && (len(found) != 1 || !strings.Contains(found[0].What, c.says)) {
			t.Errorf("%d a minute, releases at %v: %v", c.perMinute, c.at, found)
		}
	}
}

func TestWitnessesDecideWhatTheLogCannot(t *testing.T) {
	accepted := func(a ...audit.Accepted) audit.Testimony {
		return audit.Testimony{JobID: "fw", Thing: "t0", Number: 1, Runs: 1, Accepted: a}
	}
	start := audit.Accepted{Status: inProgress, Version: 2, Start: true}
	end := audit.Accepted{Status: succeeded}
	for _, w := range []audit.Testimony{accepted(start, end), accepted(start, start, end), accepted(start, audit.Accepted{Status: inProgress}), accepted(audit.Accepted{Status: succeeded, Version: 3}), {JobID: "fw", Thing: "t0", Number: 1}, {JobID: "fw", Thing: "t9", Number: 1}} {
		if found := CheckWitnesses(good(), []audit.Testimony{w}); len(found) > 0 {
			t.Errorf("%+v: found %v", w, found)
		}
	}
	twice := accepted(start, end)
	twice.Runs = 2
	elsewhere, another := accepted(end), accepted(end)
	elsewhere.Thing, another.Number = "t9", 2
	for says, w := range map[string]audit.Testimony{
		"has run execution 1 2 times":                           twice,
		"the log has no such execution":                         elsewhere,
		"reports of execution 2 were accepted":                  another,
		"FAILED was accepted; the log says SUCCEEDED":           accepted(audit.Accepted{Status: failed}),
		"version 2 was accepted as FAILED; the log says IN_PRO": accepted(audit.Accepted{Status: failed, Version: 2}),
		"as version 4; the log ends at version 3":               accepted(audit.Accepted{Status: inProgress, Version: 4}),
		"2 reports of IN_PROGRESS were accepted; the log has 1": accepted(audit.Accepted{Status: inProgress}, audit.Accepted{Status: inProgress}),
	} {
		found := CheckWitnesses(good(), []audit.Testimony{w})
		if len(found) != 1 || !strings.Contains(found[0].String(), says) || found[0].Rule != "witnesses" {
			t.Errorf("%s: found %v", says, found)
		}
	}
}

func TestManyViolationsOfOneKindAreCounted(t *testing.T) {
	h := good()
	for i := range 100 {
		h.Strange = append(h.Strange, audit.Strange{At: place(id.JobLog, uint64(i), 0), What: "odd"})
	}
	found := whole.Check(h)
	if len(found) != violationsMax+1 || !strings.Contains(found[violationsMax].What, "80 more") {
		t.Errorf("%d found, the last %v", len(found), found[len(found)-1])
	}
}
