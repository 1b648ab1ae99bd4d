package cli

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

// inTurn serves DescribeJob with one answer after another, and the last one for ever.
func inTurn(s *system, replies ...*v1.DescribeJobReply) {
	var mu sync.Mutex
	answer(s, bus.DescribeJob, func(*v1.DescribeJob) (*v1.DescribeJobReply, error) {
		mu.Lock()
		defer mu.Unlock()
		r := replies[0]
		if len(replies) > 1 {
			replies = replies[1:]
		}
		return r, nil
	})
}

func jobAt(status v1.JobStatus, concurrent bool, counts ...*v1.StatusCount) *v1.DescribeJobReply {
	j := aJob()
	j.Status, j.IsConcurrent = status, concurrent
	return &v1.DescribeJobReply{Job: j, Counts: &v1.JobCounts{Attempts: counts, Selected: 10, SelectionFinished: true}}
}

func n(s v1.ExecutionStatus, count int64) *v1.StatusCount {
	return &v1.StatusCount{Status: s, Count: count}
}

const (
	queued     = v1.ExecutionStatus_EXECUTION_STATUS_QUEUED
	inProgress = v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS
	succeeded  = v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED
	canceled   = v1.ExecutionStatus_EXECUTION_STATUS_CANCELED
)

func TestJobWatchEndsWhenTheJobIsCompleted(t *testing.T) {
	s := newSystem(t)
	inTurn(s,
		jobAt(v1.JobStatus_JOB_STATUS_IN_PROGRESS, true, n(queued, 4), n(succeeded, 6)),
		jobAt(v1.JobStatus_JOB_STATUS_COMPLETED, false, n(succeeded, 10)))
	r := s.run("job", "watch", "fw-1")
	s.want(r, exitDone, "fw-1 6/10  queued 4  succeeded 6", "fw-1 10/10  succeeded 10")
	if r.out != "fw-1 is COMPLETED: queued 0, in progress 0, succeeded 10, failed 0, rejected 0, timed out 0, canceled 0, removed 0\n" {
		t.Errorf("stdout %q", r.out)
	}
}

func TestJobWatchOfACanceledJobWaitsForItsExecutionsAndFails(t *testing.T) {
	s := newSystem(t)
	inTurn(s,
		jobAt(v1.JobStatus_JOB_STATUS_CANCELED, true, n(queued, 4), n(inProgress, 6)),
		jobAt(v1.JobStatus_JOB_STATUS_CANCELED, false, n(canceled, 4), n(inProgress, 6)),
		jobAt(v1.JobStatus_JOB_STATUS_CANCELED, false, n(canceled, 4), n(succeeded, 6)))
	r := s.run("job", "watch", "fw-1", "-o", "json")
	s.want(r, exitFailed, "fw-1 was canceled")
	if lines := strings.Count(r.out, "\n"); lines < 2 {
		t.Errorf("%d lines: %s", lines, r.out)
	}
	for line := range strings.Lines(r.out) {
		var v jobView
		if err := json.Unmarshal([]byte(line), &v); err != nil || v.Status != "CANCELED" {
			t.Errorf("%v: %s", err, line)
		}
	}
}

func TestJobWatchWaitsForARestart(t *testing.T) {
	s := newSystem(t)
	var mu sync.Mutex
	calls := 0
	answer(s, bus.DescribeJob, func(*v1.DescribeJob) (*v1.DescribeJobReply, error) {
		mu.Lock()
		defer mu.Unlock()
		switch calls++; calls {
		case 1:
			return jobAt(v1.JobStatus_JOB_STATUS_IN_PROGRESS, true, n(queued, 10)), nil
		case 2, 3:
			return nil, refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "starting")
		}
		return jobAt(v1.JobStatus_JOB_STATUS_COMPLETED, false, n(succeeded, 10)), nil
	})
	s.want(s.run("job", "watch", "fw-1"), exitDone, "COMPLETED")
}

func TestJobWatchOfAnUnknownJobIsRefused(t *testing.T) {
	s := newSystem(t)
	answer(s, bus.DescribeJob, func(*v1.DescribeJob) (*v1.DescribeJobReply, error) {
		return nil, refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "jobId", "there is no job fw-1")
	})
	s.want(s.run("job", "watch", "fw-1"), exitRefused, "NOT_FOUND")
	s.want(s.run("execution", "watch", "fw-1", "t1"), exitRefused, "NOT_FOUND")
}

func TestCancelWaitsUntilNoDeviceCanStartTheJob(t *testing.T) {
	s := newSystem(t)
	reply(s, bus.CancelJob, &v1.CancelJobReply{Position: at(id.JobLog, 9)})
	inTurn(s,
		jobAt(v1.JobStatus_JOB_STATUS_CANCELED, true, n(queued, 4), n(inProgress, 6)),
		jobAt(v1.JobStatus_JOB_STATUS_CANCELED, false, n(canceled, 4), n(inProgress, 6)))
	s.want(s.run("job", "cancel", "fw-1", "--wait"), exitDone, "no device can start fw-1 any more; 6 in progress go on (drover job cancel fw-1 --force ends them)")
}

// someEvents are one page of the record.
func someEvents() []*v1.RecordedEvent {
	press := &v1.ThingRef{Name: "press-07", Number: 131072}
	event := func(log id.Log, number uint64, ms int64, e *v1.Entry) *v1.RecordedEvent {
		return &v1.RecordedEvent{Position: at(log, number), AtMs: noon + ms, JobId: "fw-1", Entry: e}
	}
	return []*v1.RecordedEvent{
		event(id.JobLog, 2, 0, &v1.Entry{Cause: &v1.Entry_Command{Command: &v1.CommandCause{Id: "c1", By: "client"}}, Event: &v1.Event{Event: &v1.Event_JobCreated{
			JobCreated: &v1.JobCreated{Job: 131072, JobId: "fw-1", Targets: []*v1.Target{groupTarget("press-line")}, Document: []byte(`{"a":"<b>"}`)}}}}),
		event(id.RolloutLog, 3, 10, &v1.Entry{Cause: &v1.Entry_Timer{Timer: &v1.TimerCause{DueMs: noon + 10}}, Reason: &v1.Reason{Code: v1.ReasonCode_REASON_CODE_PACE, Numbers: []int64{600, 20}},
			Event: &v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{Job: 131072, Home: 1, Things: []*v1.ThingRef{press}, UntilChunk: 1}}}}),
		event(id.ExecutionLog(1), 4, 20, &v1.Entry{Cause: &v1.Entry_Position{Position: at(id.RolloutLog, 3)}, Event: &v1.Event{Event: &v1.Event_ExecutionQueued{
			ExecutionQueued: &v1.ExecutionQueued{Job: 131072, Thing: press, ExecutionNumber: 1}}}}),
		event(id.ExecutionLog(1), 5, 30, &v1.Entry{Reason: &v1.Reason{Code: v1.ReasonCode_REASON_CODE_REPORTED}, Event: &v1.Event{Event: &v1.Event_ExecutionChanged{
			ExecutionChanged: &v1.ExecutionChanged{Job: 131072, Thing: "press-07", ExecutionNumber: 1, From: queued, To: succeeded, VersionNumber: 2,
				StatusDetails: []*v1.Detail{{Name: "rc", Value: "0"}}, QueuedAtMs: noon + 20}}}}),
	}
}

// serveEvents serves pages of two events.
func serveEvents(s *system) {
	all := someEvents()
	answer(s, bus.ReadEvents, func(q *v1.ReadEvents) (*v1.ReadEventsReply, error) {
		from := 0
		for _, p := range q.Since {
			for i, e := range all {
				if e.Position.Service == p.Service && e.Position.Home == p.Home && e.Position.Number <= p.Number {
					from = max(from, i+1)
				}
			}
		}
		to := min(from+2, len(all))
		r := &v1.ReadEventsReply{Events: all[from:to], End: to == len(all), Next: q.Since}
		for _, e := range r.Events {
			r.Next = append(r.Next, e.Position)
		}
		if len(r.Events) == 0 {
			time.Sleep(time.Duration(min(q.WaitMs, 50)) * time.Millisecond) // as the real one waits for more
		}
		return r, nil
	})
}

func TestEventsAreALineEachWithTheirReason(t *testing.T) {
	s := newSystem(t)
	serveEvents(s)
	want := `2026-11-25T12:00:00.000Z  job@2            JobCreated         job=fw-1 jobId=fw-1 targets=[group/press-line]
2026-11-25T12:00:00.010Z  rollout@3        ExecutionsReleased job=fw-1 home=1 things=[press-07]  # due at 600 things a minute, after 20 released before
2026-11-25T12:00:00.020Z  execution.1@4    ExecutionQueued    job=fw-1 thing=press-07 executionNumber=1
2026-11-25T12:00:00.030Z  execution.1@5    ExecutionChanged   job=fw-1 thing=press-07 executionNumber=1 from=QUEUED to=SUCCEEDED versionNumber=2 statusDetails={rc=0}  # the device reported it
`
	if r := s.run("events", "--job", "fw-1"); r.out != want || r.status != exitDone {
		t.Errorf("%+v", r)
	}
	if r := s.run("events", "--since", "execution.1@4"); strings.Count(r.out, "\n") != 1 || !strings.Contains(r.out, "execution.1@5") {
		t.Errorf("%+v", r)
	}
}

func TestEventsAsJSONKeepTheirShape(t *testing.T) {
	s := newSystem(t)
	serveEvents(s)
	want := `{"position":"job@2","at":"2026-11-25T12:00:00.000Z","type":"JobCreated","jobId":"fw-1","cause":{"command":{"id":"c1","by":"client"}},"data":{"job":131072,"jobId":"fw-1","targets":["group/press-line"],"document":"{\"a\":\"<b>\"}"}}
{"position":"rollout@3","at":"2026-11-25T12:00:00.010Z","type":"ExecutionsReleased","jobId":"fw-1","cause":{"timer":"2026-11-25T12:00:00.010Z"},"reason":{"code":"PACE","numbers":[600,20],"text":"due at 600 things a minute, after 20 released before"},"data":{"job":131072,"home":1,"things":[{"name":"press-07","number":131072}],"untilChunk":1}}
{"position":"execution.1@4","at":"2026-11-25T12:00:00.020Z","type":"ExecutionQueued","jobId":"fw-1","cause":{"position":"rollout@3"},"data":{"job":131072,"thing":{"name":"press-07","number":131072},"executionNumber":1}}
{"position":"execution.1@5","at":"2026-11-25T12:00:00.030Z","type":"ExecutionChanged","jobId":"fw-1","reason":{"code":"REPORTED","text":"the device reported it"},"data":{"job":131072,"thing":"press-07","executionNumber":1,"from":"QUEUED","to":"SUCCEEDED","versionNumber":2,"statusDetails":{"rc":"0"},"queuedAt":"2026-11-25T12:00:00.020Z"}}
`
	if r := s.run("events", "-o", "json"); r.out != want {
		t.Errorf("got\n%s\nwant\n%s", r.out, want)
	}
}

func TestExecutionWatchShowsEachChangeAndEndsWithIt(t *testing.T) {
	s := newSystem(t)
	reply(s, bus.DescribeJob, &v1.DescribeJobReply{Job: aJob(), Counts: someCounts()})
	reply(s, bus.GetExecution, &v1.GetExecutionReply{Execution: anExecution()})
	serveEvents(s)
	r := s.run("execution", "watch", "fw-1", "press-07")
	s.want(r, exitDone, "ExecutionQueued", "to=SUCCEEDED")
	if strings.Count(r.out, "\n") != 2 {
		t.Errorf("stdout %s", r.out)
	}
}

func TestEveryReasonHasASentence(t *testing.T) {
	d := v1.ReasonCode(0).Descriptor().Values()
	for i := 1; i < d.Len(); i++ {
		code := v1.ReasonCode(d.Get(i).Number())
		if text := sentence(&v1.Reason{Code: code}); text == "" || text == v1.EnumName(code) {
			t.Errorf("%v has no sentence", code)
		}
	}
}

func TestTheBarIsFullAtTheEnd(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		want        string
	}{{0, 0, "░░░░"}, {1, 4, "█░░░"}, {4, 4, "████"}, {9, 4, "████"}} {
		if got := drawBar(c.done, c.total, 4); got != c.want {
			t.Errorf("drawBar(%d, %d) = %s, want %s", c.done, c.total, got, c.want)
		}
	}
	var m meter
	start := time.Unix(0, 0)
	for i := range 30 {
		m.saw(start.Add(time.Duration(i)*time.Second), int64(i*50))
	}
	if m.rate() != 50 {
		t.Errorf("rate %v", m.rate())
	}
}

// What a watcher reads of each state of a job, and how it ends.
func TestJobWatchSaysWhatIsWaitedForAndHowItEnded(t *testing.T) {
	gone := refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "jobId", "there is no job fw-1")
	with := func(r *v1.DescribeJobReply, change func(*v1.JobRow)) *v1.DescribeJobReply { change(r.Job); return r }
	windowed := func(status v1.JobStatus, open bool) *v1.DescribeJobReply {
		return with(jobAt(status, true, n(queued, 10)), func(j *v1.JobRow) {
			j.TargetSelection = v1.TargetSelection_TARGET_SELECTION_CONTINUOUS
			j.Scheduling = &v1.SchedulingConfig{Windows: []*v1.MaintenanceWindow{{StartTime: "cron(30 2 ? * SUN *)", DurationMinutes: 90}}}
			j.WindowOpen, j.WindowChangesAtMs = open, noon
		})
	}
	scheduled := with(jobAt(v1.JobStatus_JOB_STATUS_SCHEDULED, false), func(j *v1.JobRow) { j.Scheduling = &v1.SchedulingConfig{StartTime: "2026-11-29 02:30"} })
	done := jobAt(v1.JobStatus_JOB_STATUS_COMPLETED, false, n(succeeded, 10))
	retried := jobAt(v1.JobStatus_JOB_STATUS_IN_PROGRESS, true, n(v1.ExecutionStatus_EXECUTION_STATUS_FAILED, 12), n(succeeded, 4), n(queued, 6))
	retried.Counts.Good, retried.Counts.Open = 4, 6
	aborted := with(jobAt(v1.JobStatus_JOB_STATUS_CANCELED, false, n(canceled, 10)), func(j *v1.JobRow) {
		j.ReasonCode, j.Comment = "ABORT_CRITERIA_MET", "abort criterion 1 was met"
	})
	for _, c := range []struct {
		answers []any
		status  int
		says    []string
	}{
		{[]any{scheduled, done}, exitDone, []string{"fw-1 SCHEDULED (starts at 2026-11-29 02:30) 0/10", "fw-1 is COMPLETED"}},
		{[]any{windowed(v1.JobStatus_JOB_STATUS_SCHEDULED, false), done}, exitDone,
			[]string{"continuous and has no end time: it goes on until it is canceled", "fw-1 SCHEDULED (window closed, opens at 2026-11-25T12:00:00.000Z) 0/10"}},
		{[]any{windowed(v1.JobStatus_JOB_STATUS_IN_PROGRESS, true), done}, exitDone, []string{"fw-1 (window open until 2026-11-25T12:00:00.000Z) 0/10"}},
		{[]any{retried, done}, exitDone, []string{"fw-1 4/10  queued 6  succeeded 4  failed 12"}},
		{[]any{aborted}, exitFailed, []string{"fw-1 is CANCELED", "drover: job fw-1 was aborted: abort criterion 1 was met\n"}},
		{[]any{jobAt(v1.JobStatus_JOB_STATUS_DELETION_IN_PROGRESS, true, n(queued, 3)), gone}, exitFailed, []string{"fw-1 DELETION_IN_PROGRESS 0/10", "job fw-1 was deleted"}},
		{[]any{jobAt(v1.JobStatus_JOB_STATUS_IN_PROGRESS, true, n(queued, 3)), with(jobAt(v1.JobStatus_JOB_STATUS_IN_PROGRESS, true), func(j *v1.JobRow) { j.Job = 7 })}, exitFailed,
			[]string{"job fw-1 was deleted"}},
	} {
		s := newSystem(t)
		var mu sync.Mutex
		answers := c.answers
		answer(s, bus.DescribeJob, func(*v1.DescribeJob) (*v1.DescribeJobReply, error) {
			mu.Lock()
			defer mu.Unlock()
			now := answers[0]
			if len(answers) > 1 {
				answers = answers[1:]
			}
			if err, ok := now.(error); ok {
				return nil, err
			}
			return now.(*v1.DescribeJobReply), nil
		})
		s.want(s.run("job", "watch", "fw-1"), c.status, c.says...)
	}
}

// The events of the rules as a line each: what their numbers mean stands behind them.
func TestEventsOfTheRulesSayWhatTheyMean(t *testing.T) {
	s := newSystem(t)
	anAbortedJob()[16:17].serve(s)
	s.want(s.run("events"), exitDone, "rollout@30       AbortTriggered", "failures=5 executed=21 crossing=execution.3@12", "  # abort criterion 1 was met: 5 of 21 executions that have ended are FAILED")
	s.want(s.run("events", "-o", "json"), exitDone, `"text":"abort criterion 1 was met`, `"thresholdHundredths":2000`)
}
