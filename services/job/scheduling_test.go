package job_test

import (
	"fmt"
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core/coretest"
	"github.com/droverhq/drover/services/job"
	"github.com/droverhq/drover/services/job/schedule"
)

// Monday, 2026-11-23 02:15 UTC.
const monday = 1795400100000

func when(t testing.TB, text string) int64 {
	t.Helper()
	ms, err := schedule.ParseTime(text)
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

func at(r *coretest.Run, now int64) *coretest.Run {
	r.Now = now
	return r
}

// scheduling makes a CreateJob with a schedule.
func scheduling(c *v1.SchedulingConfig) *v1.CreateJob {
	return creation(func(cmd *v1.CreateJob) {
		cmd.Scheduling = c
		if len(c.Windows) > 0 {
			cmd.TargetSelection = v1.TargetSelection_TARGET_SELECTION_CONTINUOUS
		}
	})
}

func windows(pairs ...any) (list []*v1.MaintenanceWindow) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, &v1.MaintenanceWindow{StartTime: pairs[i].(string), DurationMinutes: uint32(pairs[i+1].(int))})
	}
	return list
}

// story writes events as words, with the times that they carry.
func story(entries []*v1.Entry) string {
	var lines []string
	for _, entry := range entries {
		line := entry.Event.Type()
		switch e := entry.Event.GetEvent().(type) {
		case *v1.Event_JobWindowOpened:
			line += " until " + schedule.FormatTime(e.JobWindowOpened.ClosesAtMs)
		case *v1.Event_JobWindowClosed:
			if line += " for good"; e.JobWindowClosed.OpensAtMs != 0 {
				line = strings.TrimSuffix(line, " for good") + " until " + schedule.FormatTime(e.JobWindowClosed.OpensAtMs)
			}
		case *v1.Event_JobEndReached:
			line += " " + e.JobEndReached.EndBehavior.String()[len("END_BEHAVIOR_"):]
		}
		if entry.Reason != nil {
			line += " (" + entry.Reason.Code.Word() + ")"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

// A moment of a story: at a time something happens, and then the events so far are these, and the job stands so.
type moment struct {
	at     string
	do     func(*coretest.Run)
	events string
	status v1.JobStatus
	next   string // when to look again; empty is not asked
}

const (
	isScheduled  = v1.JobStatus_JOB_STATUS_SCHEDULED
	isInProgress = v1.JobStatus_JOB_STATUS_IN_PROGRESS
	isCompleted  = v1.JobStatus_JOB_STATUS_COMPLETED
	isCanceled   = v1.JobStatus_JOB_STATUS_CANCELED
)

func TestAJobFollowsItsSchedule(t *testing.T) {
	react := func(e *v1.Event) func(*coretest.Run) {
		return func(r *coretest.Run) { r.React(id.RolloutLog.Position(1, 0), e) }
	}
	closed := func(r *coretest.Run) { react(drained(first, v1.JobPhase_JOB_PHASE_CLOSED))(r) }
	cancel := func(r *coretest.Run) {
		if _, err := r.Decide(&v1.CancelJob{JobId: "reboot"}); err != nil {
			r.T.Fatal(err)
		}
	}
	sundays := windows("cron(30 2 ? * SUN *)", 90)
	tests := []struct {
		name  string
		given *v1.SchedulingConfig
		story []moment
	}{
		{"a start to come", &v1.SchedulingConfig{StartTime: "2026-11-23 03:00"}, []moment{
			{at: "2026-11-23 02:15", events: "JobCreated", status: isScheduled, next: "2026-11-23 03:00"},
			{at: "2026-11-23 02:59", status: isScheduled},
			{at: "2026-11-23 03:00", events: "JobStarted (START_TIME)", status: isInProgress},
			{at: "2026-11-24 03:00", status: isInProgress},
		}},
		{"a start that has passed is now", &v1.SchedulingConfig{StartTime: "2026-11-01 00:00"}, []moment{
			{at: "2026-11-23 02:15", events: "JobCreated; JobStarted", status: isInProgress},
		}},
		{"a start that lay in a downtime", &v1.SchedulingConfig{StartTime: "2026-11-23 03:00"}, []moment{
			{at: "2026-11-23 02:15", events: "JobCreated", status: isScheduled},
			{at: "2026-11-25 00:00", events: "JobStarted (START_TIME)", status: isInProgress},
		}},
		{"start and end", &v1.SchedulingConfig{StartTime: "2026-11-23 03:00", EndTime: "2026-11-23 04:00"}, []moment{
			{at: "2026-11-23 02:15", events: "JobCreated", status: isScheduled, next: "2026-11-23 03:00"},
			{at: "2026-11-23 03:00", events: "JobStarted (START_TIME)", status: isInProgress, next: "2026-11-23 04:00"},
			{at: "2026-11-23 04:00", events: "JobEndReached STOP_ROLLOUT (END_TIME)", status: isInProgress},
			{at: "2026-11-23 09:00", do: closed, events: "JobCompleted", status: isCompleted},
		}},
		{"start and end in one downtime: it never starts", &v1.SchedulingConfig{StartTime: "2026-11-23 03:00", EndTime: "2026-11-23 04:00", EndBehavior: v1.EndBehavior_END_BEHAVIOR_FORCE_CANCEL}, []moment{
			{at: "2026-11-23 02:15", events: "JobCreated", status: isScheduled},
			{at: "2026-11-23 05:00", events: "JobEndReached FORCE_CANCEL (END_TIME)", status: isScheduled},
			{at: "2026-11-23 05:00", do: closed, events: "JobCompleted", status: isCompleted},
		}},
		{"a cancel after the end", &v1.SchedulingConfig{EndTime: "2026-11-23 04:00"}, []moment{
			{at: "2026-11-23 02:15", events: "JobCreated; JobStarted", status: isInProgress},
			{at: "2026-11-23 04:00", events: "JobEndReached STOP_ROLLOUT (END_TIME)", status: isInProgress},
			{at: "2026-11-23 05:00", do: cancel, events: "JobCancelStarted", status: isCanceled},
			{at: "2026-11-23 05:00", do: react(drained(first, v1.JobPhase_JOB_PHASE_STOPPED)), events: "JobCanceled", status: isCanceled},
			{at: "2026-11-23 05:00", do: closed, status: isCanceled},
		}},
		{"a cancel before the start", &v1.SchedulingConfig{StartTime: "2026-11-23 03:00", EndTime: "2026-11-23 04:00"}, []moment{
			{at: "2026-11-23 02:15", events: "JobCreated", status: isScheduled},
			{at: "2026-11-23 02:20", do: cancel, events: "JobCancelStarted", status: isCanceled},
			{at: "2026-11-23 05:00", status: isCanceled},
		}},
		{"windows", &v1.SchedulingConfig{Windows: sundays}, []moment{
			{at: "2026-11-23 02:15", events: "JobCreated", status: isScheduled, next: "2026-11-29 02:30"},
			{at: "2026-11-29 02:30", events: "JobStarted (WINDOW_OPENED); JobWindowOpened until 2026-11-29 04:00 (WINDOW_OPENED)", status: isInProgress, next: "2026-11-29 04:00"},
			{at: "2026-11-29 04:00", events: "JobWindowClosed until 2026-12-06 02:30 (WINDOW_CLOSED)", status: isScheduled, next: "2026-12-06 02:30"},
			{at: "2026-12-06 02:30", events: "JobWindowOpened until 2026-12-06 04:00 (WINDOW_OPENED)", status: isInProgress},
		}},
		{"windows after a start", &v1.SchedulingConfig{StartTime: "2026-12-01 00:00", Windows: sundays}, []moment{
			{at: "2026-11-23 02:15", events: "JobCreated", status: isScheduled, next: "2026-12-06 02:30"},
		}},
		{"a window that is open when the job is created is not its first", &v1.SchedulingConfig{Windows: windows("cron(0 2 * * ? *)", 60)}, []moment{
			{at: "2026-11-23 02:15", events: "JobCreated", status: isScheduled, next: "2026-11-24 02:00"},
		}},
		{"a window in a downtime is skipped, one still open is opened", &v1.SchedulingConfig{Windows: sundays}, []moment{
			{at: "2026-11-23 02:15", events: "JobCreated", status: isScheduled},
			{at: "2026-11-30 00:00", events: "JobWindowClosed until 2026-12-06 02:30 (WINDOW_CLOSED)", status: isScheduled, next: "2026-12-06 02:30"},
			{at: "2026-12-06 03:59", events: "JobStarted (WINDOW_OPENED); JobWindowOpened until 2026-12-06 04:00 (WINDOW_OPENED)", status: isInProgress},
			{at: "2026-12-13 03:00", events: "JobWindowClosed until 2026-12-13 02:30 (WINDOW_CLOSED); JobWindowOpened until 2026-12-13 04:00 (WINDOW_OPENED)", status: isInProgress},
			{at: "2026-12-25 03:00", events: "JobWindowClosed until 2026-12-27 02:30 (WINDOW_CLOSED)", status: isScheduled},
		}},
		{"windows that touch are one", &v1.SchedulingConfig{Windows: windows("cron(0 3 * * ? *)", 60, "cron(0 4 * * ? *)", 60)}, []moment{
			{at: "2026-11-23 02:15", events: "JobCreated", status: isScheduled},
			{at: "2026-11-23 03:00", events: "JobStarted (WINDOW_OPENED); JobWindowOpened until 2026-11-23 05:00 (WINDOW_OPENED)", status: isInProgress, next: "2026-11-23 05:00"},
		}},
		{"windows that end with their years", &v1.SchedulingConfig{Windows: windows("cron(0 3 24 11 ? 2026)", 60)}, []moment{
			{at: "2026-11-23 02:15", events: "JobCreated", status: isScheduled},
			{at: "2026-11-24 03:00", events: "JobStarted (WINDOW_OPENED); JobWindowOpened until 2026-11-24 04:00 (WINDOW_OPENED)", status: isInProgress},
			{at: "2026-11-24 04:00", events: "JobWindowClosed for good (WINDOW_CLOSED)", status: isScheduled},
		}},
		{"an end that stops the rollout leaves what is queued its windows", &v1.SchedulingConfig{EndTime: "2026-11-30 00:00", Windows: sundays}, []moment{
			{at: "2026-11-23 02:15", events: "JobCreated", status: isScheduled},
			{at: "2026-11-29 02:30", events: "JobStarted (WINDOW_OPENED); JobWindowOpened until 2026-11-29 04:00 (WINDOW_OPENED)", status: isInProgress},
			{at: "2026-11-29 04:00", events: "JobWindowClosed until 2026-12-06 02:30 (WINDOW_CLOSED)", status: isScheduled, next: "2026-11-30 00:00"},
			{at: "2026-11-30 00:00", events: "JobEndReached STOP_ROLLOUT (END_TIME)", status: isScheduled, next: "2026-12-06 02:30"},
			{at: "2026-12-06 02:30", events: "JobWindowOpened until 2026-12-06 04:00 (WINDOW_OPENED)", status: isInProgress},
			{at: "2026-12-06 03:00", do: closed, events: "JobCompleted", status: isCompleted},
			{at: "2026-12-13 02:30", status: isCompleted},
		}},
		{"an end that cancels leaves nothing to a window", &v1.SchedulingConfig{EndTime: "2026-11-29 03:00", EndBehavior: v1.EndBehavior_END_BEHAVIOR_CANCEL, Windows: sundays}, []moment{
			{at: "2026-11-23 02:15", events: "JobCreated", status: isScheduled},
			{at: "2026-11-29 02:30", events: "JobStarted (WINDOW_OPENED); JobWindowOpened until 2026-11-29 04:00 (WINDOW_OPENED)", status: isInProgress, next: "2026-11-29 03:00"},
			{at: "2026-11-29 03:00", events: "JobEndReached CANCEL (END_TIME)", status: isInProgress},
			{at: "2026-11-29 04:00", status: isInProgress},
			{at: "2026-11-29 05:00", do: closed, events: "JobCompleted", status: isCompleted},
		}},
		{"an end before the first window that a downtime hid", &v1.SchedulingConfig{EndTime: "2026-11-30 00:00", Windows: sundays}, []moment{
			{at: "2026-11-23 02:15", events: "JobCreated", status: isScheduled},
			{at: "2026-12-06 03:00", events: "JobEndReached STOP_ROLLOUT (END_TIME)", status: isScheduled},
			{at: "2026-12-13 03:00", status: isScheduled},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := at(run(t), monday)
			if _, err := r.Decide(scheduling(test.given)); err != nil {
				t.Fatal(err)
			}
			got := r.Fresh
			for _, m := range test.story {
				r.Now = when(t, m.at)
				if m.do != nil {
					m.do(r)
					got = r.Fresh
				}
				got = append(got, r.Due()...)
				if s := story(got); s != m.events {
					t.Fatalf("%s:\ngot  %s\nwant %s", m.at, s, m.events)
				}
				if s := describe(t, r, "reboot").Status; s != m.status {
					t.Errorf("%s: it is %s, want %s", m.at, s.Word(), m.status.Word())
				}
				if m.next != "" && r.Next != when(t, m.next) {
					t.Errorf("%s: next look at %s, want %s", m.at, schedule.FormatTime(r.Next), m.next)
				}
				got = nil
				if again := r.Due(); len(again) != 0 {
					t.Fatalf("%s: done again: %s", m.at, story(again))
				}
			}
		})
	}
}

func TestAScheduleIsRecordedWithWhatItsTextsSay(t *testing.T) {
	r := at(run(t), monday)
	if _, err := r.Decide(scheduling(&v1.SchedulingConfig{
		StartTime: "2026-11-24 00:00", EndTime: "2027-01-01T00:00Z", Windows: windows("cron(30 2 ? * SUN *)", 90), StartAtMs: 1, EndAtMs: 2, FirstWindowMs: 3,
	})); err != nil {
		t.Fatal(err)
	}
	c := r.Fresh[0].Event.GetJobCreated().Scheduling
	if c.StartTime != "2026-11-24 00:00" || c.EndTime != "2027-01-01T00:00Z" || c.EndBehavior != v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT {
		t.Errorf("the texts: %v", c)
	}
	if c.StartAtMs != when(t, "2026-11-24 00:00") || c.EndAtMs != when(t, "2027-01-01 00:00") || c.FirstWindowMs != when(t, "2026-11-29 02:30") {
		t.Errorf("the times: %v", c)
	}
	row := describe(t, r, "reboot")
	if row.Status != isScheduled || row.IsConcurrent || row.WindowOpen || row.WindowChangesAtMs != c.FirstWindowMs {
		t.Errorf("got %v", row)
	}
	if got := row.NextWindowsMs; len(got) != 5 || got[0] != c.FirstWindowMs || got[4] != when(t, "2026-12-27 02:30") {
		t.Errorf("the next windows up to its end: %v", got)
	}
	r.Now = c.FirstWindowMs
	r.Due()
	if row := describe(t, r, "reboot"); !row.WindowOpen || !row.IsConcurrent || row.WindowChangesAtMs != when(t, "2026-11-29 04:00") {
		t.Errorf("in its window: %v", row)
	}
}

func TestABadScheduleIsRefusedByField(t *testing.T) {
	const start, end, how, list = "schedulingConfig.startTime", "schedulingConfig.endTime", "schedulingConfig.endBehavior", "schedulingConfig.maintenanceWindows"
	sundays := windows("cron(30 2 ? * SUN *)", 90)
	var many []*v1.MaintenanceWindow
	for range 21 {
		many = append(many, sundays...)
	}
	tests := []struct {
		name  string
		given *v1.SchedulingConfig
		field string
		says  string
		aws   bool // refused with AWS's limits only
	}{
		{"a start that is no time", &v1.SchedulingConfig{StartTime: "tomorrow"}, start, "YYYY-MM-DD HH:MM", false},
		{"an end that is no time", &v1.SchedulingConfig{EndTime: "2026-02-30 00:00"}, end, "no day 30", false},
		{"an end that has passed", &v1.SchedulingConfig{EndTime: "2026-11-23 02:15"}, end, "after the job's start", false},
		{"an end at its start", &v1.SchedulingConfig{StartTime: "2026-11-24 00:00", EndTime: "2026-11-24 00:00"}, end, "after the job's start", false},
		{"an unknown behavior", &v1.SchedulingConfig{EndTime: "2026-11-24 00:00", EndBehavior: 4}, how, "STOP_ROLLOUT, CANCEL or FORCE_CANCEL", false},
		{"a behavior without an end", &v1.SchedulingConfig{EndBehavior: 1}, how, "without schedulingConfig.endTime", false},
		{"21 windows", &v1.SchedulingConfig{Windows: many}, list, "at most 20", false},
		{"a window that never opens before the end", &v1.SchedulingConfig{EndTime: "2026-11-29 02:30", Windows: sundays}, list, "no window opens", false},
		{"a window of years past", &v1.SchedulingConfig{Windows: windows("cron(0 0 1 1 ? 2025)", 1)}, list, "no window opens", false},
		{"a bad expression", &v1.SchedulingConfig{Windows: windows("cron(30 2 ? * SUN *)", 1, "cron(30 2 * * SUN *)", 1)}, list + "[1].startTime", "write ?", false},
		{"a window of 0 minutes", &v1.SchedulingConfig{Windows: windows("cron(30 2 ? * SUN *)", 0)}, list + "[0].durationInMinutes", "1 to 1430", false},
		{"a window of 1431 minutes", &v1.SchedulingConfig{Windows: windows("cron(30 2 ? * SUN *)", 1431)}, list + "[0].durationInMinutes", "1 to 1430", false},
		{"a start 29 minutes ahead", &v1.SchedulingConfig{StartTime: "2026-11-23 02:44"}, start, "less than 30 minutes", true},
		{"a start more than a year ahead", &v1.SchedulingConfig{StartTime: "2027-11-23 02:16"}, start, "more than 365 days", true},
		{"an end 29 minutes ahead", &v1.SchedulingConfig{EndTime: "2026-11-23 02:44"}, end, "30 minutes or more after", true},
		{"an end 29 minutes after the start", &v1.SchedulingConfig{StartTime: "2026-11-23 02:45", EndTime: "2026-11-23 03:14"}, end, "30 minutes or more after", true},
		{"an end more than two years ahead", &v1.SchedulingConfig{EndTime: "2028-11-22 02:16"}, end, "more than 730 days", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := at(runAWS(t), monday)
			_, err := r.Decide(scheduling(test.given))
			wantRefusal(t, r, err, invalid, test.field, test.says)
			r = at(run(t), monday)
			_, err = r.Decide(scheduling(test.given))
			if test.aws {
				if err != nil {
					t.Errorf("without AWS's limits: %v", err)
				}
				return
			}
			wantRefusal(t, r, err, invalid, test.field, test.says)
		})
	}
	r := at(run(t), monday)
	_, err := r.Decide(creation(func(c *v1.CreateJob) { c.Scheduling = &v1.SchedulingConfig{Windows: sundays} }))
	wantRefusal(t, r, err, invalid, list, "CONTINUOUS")
	for _, c := range []*v1.SchedulingConfig{
		{StartTime: "2026-11-23 02:45"}, {StartTime: "2027-11-23 02:15"}, {EndTime: "2026-11-23 02:45"}, {EndTime: "2028-11-22 02:15"},
		{StartTime: "2026-11-23 02:45", EndTime: "2026-11-23 03:15"}, {Windows: windows("cron(30 2 ? * SUN *)", 1430)}, {},
	} {
		if _, err := at(runAWS(t), monday).Decide(scheduling(c)); err != nil {
			t.Errorf("at the boundary, %v: %v", c, err)
		}
	}
}

// What waits for a time is found by it: many jobs that wait cost one look.
func TestManyJobsStartInOrderAndInSlices(t *testing.T) {
	r := at(coretest.New(t, job.New(job.DefaultLimits()), id.JobLog), monday)
	r.Seldom = true
	for n := range 1500 {
		minute := (n * 7) % 1500 // 1500 and 7 share no factor: every minute once
		start := schedule.FormatTime(monday + int64(minute+1)*60_000)
		if _, err := r.Decide(creation(func(c *v1.CreateJob) {
			c.JobId = fmt.Sprint("job-", minute)
			c.Scheduling = &v1.SchedulingConfig{StartTime: start}
		})); err != nil {
			t.Fatal(err)
		}
	}
	r.Now += 60_000
	if got := r.Due(); len(got) != 1 || r.Next != r.Now+60_000 {
		t.Fatalf("in the first minute: %d jobs, next look at %d", len(got), r.Next)
	}
	r.Now += 2000 * 60_000
	got := r.Due() // 1,499 jobs, in more than one call
	if len(got) != 1499 {
		t.Fatalf("%d jobs started", len(got))
	}
	last := int64(0)
	for _, e := range got {
		if e.Reason.Numbers[0] <= last {
			t.Fatal("they start in another order than they were to")
		}
		last = e.Reason.Numbers[0]
	}
}
