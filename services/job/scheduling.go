package job

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
	"github.com/droverhq/drover/services/job/schedule"
)

// windowsMax is ours: AWS names no number, its console offers one window.
const windowsMax = 20

// The fields of a schedule, as AWS's callers spell them.
const (
	fieldStart   = "schedulingConfig.startTime"
	fieldEnd     = "schedulingConfig.endTime"
	fieldEndHow  = "schedulingConfig.endBehavior"
	fieldWindows = "schedulingConfig.maintenanceWindows"
)

// scheduling checks a schedule as of a time and fills in what its texts say. None stays none. (specification §4.12)
func (l Limits) scheduling(c *v1.SchedulingConfig, selection v1.TargetSelection, now int64) (_ *v1.SchedulingConfig, err error) {
	if c == nil || c.SizeVT() == 0 {
		return nil, nil
	}
	c = proto.CloneOf(c)
	if c.StartAtMs, err = l.startTime(c.StartTime, now); err != nil {
		return nil, err
	}
	if c.EndAtMs, err = l.endTime(c.EndTime, max(c.StartAtMs, now), now); err != nil {
		return nil, err
	}
	if c.EndBehavior, err = endBehavior(c); err != nil {
		return nil, err
	}
	windows, err := checkWindows(fieldWindows, c.Windows)
	if err != nil {
		return nil, err
	}
	c.FirstWindowMs = 0
	if len(windows) == 0 {
		return c, nil
	}
	if selection != v1.TargetSelection_TARGET_SELECTION_CONTINUOUS {
		return nil, invalid(fieldWindows, "only a CONTINUOUS job has maintenance windows; leave them out, or choose CONTINUOUS")
	}
	first, ok := windows.Next(max(c.StartAtMs, now))
	if !ok || c.EndAtMs != 0 && first.Opens >= c.EndAtMs {
		return nil, invalid(fieldWindows, "no window opens between the job's start and its end; choose another expression, or a later end")
	}
	c.FirstWindowMs = first.Opens
	return c, nil
}

func (l Limits) startTime(text string, now int64) (int64, error) {
	if text == "" {
		return 0, nil
	}
	at, err := schedule.ParseTime(text)
	if err != nil {
		return 0, invalid(fieldStart, "%v", err)
	}
	if l.LeadMinutes > 0 && at < now+l.LeadMinutes*60_000 {
		return 0, invalid(fieldStart, "%s is less than %d minutes ahead; choose a later start, or leave it out to start now", text, l.LeadMinutes)
	}
	if at > now+l.StartDaysMax*dayMs {
		return 0, invalid(fieldStart, "%s is more than %d days ahead", text, l.StartDaysMax)
	}
	return at, nil
}

// endTime: from is when the job starts.
func (l Limits) endTime(text string, from, now int64) (int64, error) {
	if text == "" {
		return 0, nil
	}
	at, err := schedule.ParseTime(text)
	if err != nil {
		return 0, invalid(fieldEnd, "%v", err)
	}
	if at <= from || at < from+l.LeadMinutes*60_000 {
		return 0, invalid(fieldEnd, "%s is not %d minutes or more after the job's start; choose a later end", text, max(l.LeadMinutes, 1))
	}
	if at > now+l.EndDaysMax*dayMs {
		return 0, invalid(fieldEnd, "%s is more than %d days ahead", text, l.EndDaysMax)
	}
	return at, nil
}

func endBehavior(c *v1.SchedulingConfig) (v1.EndBehavior, error) {
	b := c.EndBehavior
	switch {
	case b < 0 || b > v1.EndBehavior_END_BEHAVIOR_FORCE_CANCEL:
		return 0, invalid(fieldEndHow, "behavior %d is unknown; choose STOP_ROLLOUT, CANCEL or FORCE_CANCEL", b)
	case c.EndTime == "" && b != 0:
		return 0, invalid(fieldEndHow, "a behavior is given without schedulingConfig.endTime; give both, or neither")
	case c.EndTime != "" && b == 0:
		return v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT, nil
	}
	return b, nil
}

// checkWindows reads maintenance windows; field is where they stand.
func checkWindows(field string, given []*v1.MaintenanceWindow) (schedule.Windows, error) {
	if n := len(given); n > windowsMax {
		return nil, invalid(field, "%d windows; at most %d are allowed", n, windowsMax)
	}
	var windows schedule.Windows
	for i, w := range given {
		at := fmt.Sprintf("%s[%d].", field, i)
		cron, err := schedule.ParseCron(w.GetStartTime())
		if err != nil {
			return nil, invalid(at+"startTime", "%v", err)
		}
		m := int64(w.GetDurationMinutes())
		if m < schedule.MinutesMin || m > schedule.MinutesMax {
			return nil, invalid(at+"durationInMinutes", "%d minutes; %d to %d are allowed", m, schedule.MinutesMin, schedule.MinutesMax)
		}
		windows = append(windows, schedule.Window{Cron: cron, Minutes: m})
	}
	return windows, nil
}

// tick does what has come due for a job: its end, its start, the next opening or closing of its window. It moves the
// job's moment on, at least.
func tick(s *core.Step, number uint64) {
	row, m := load(s, number), momentsOf(s, number)
	c := row.Scheduling
	switch {
	case m.end != 0 && m.end <= s.Now:
		// A start or a window that passed unseen before the end is not made up for.
		s.Emit(&v1.Event{Event: &v1.Event_JobEndReached{JobEndReached: &v1.JobEndReached{Job: number, EndBehavior: c.GetEndBehavior()}}},
			core.Reason(v1.ReasonCode_REASON_CODE_END_TIME, m.end))
	case len(c.GetWindows()) == 0:
		complete(s, row)
		start(s, number, row, core.Reason(v1.ReasonCode_REASON_CODE_START_TIME, m.change))
	case row.WindowOpen:
		closeWindow(s, row, m.change)
	default:
		openWindow(s, row, m)
	}
}

// openWindow opens the window whose start has come, or says when the next one opens if it has passed already.
func openWindow(s *core.Step, row *v1.JobRow, m moments) {
	o, open := windowsOf(row).At(s.Now, m.change)
	if !open {
		passed, _ := windowsOf(row).Next(m.change)
		closeWindow(s, row, passed.Closes)
		return
	}
	reason := core.Reason(v1.ReasonCode_REASON_CODE_WINDOW_OPENED, o.Opens, o.Closes)
	if !m.started {
		complete(s, row)
		start(s, row.Job, row, reason)
	}
	s.Emit(&v1.Event{Event: &v1.Event_JobWindowOpened{JobWindowOpened: &v1.JobWindowOpened{Job: row.Job, ClosesAtMs: o.Closes}}}, reason)
}

// closeWindow closes the window that closed at a time, and says when the next one opens: one that has opened since and
// is open now is not passed over.
func closeWindow(s *core.Step, row *v1.JobRow, at int64) {
	windows := windowsOf(row)
	next, ok := windows.At(s.Now, at)
	if !ok {
		next, _ = windows.Next(s.Now)
	}
	if end := row.Scheduling.GetEndAtMs(); end != 0 && next.Opens >= end && row.Scheduling.EndBehavior != v1.EndBehavior_END_BEHAVIOR_STOP_ROLLOUT {
		next.Opens = 0 // the end comes first, and leaves nothing to do
	}
	s.Emit(&v1.Event{Event: &v1.Event_JobWindowClosed{JobWindowClosed: &v1.JobWindowClosed{Job: row.Job, OpensAtMs: next.Opens}}},
		core.Reason(v1.ReasonCode_REASON_CODE_WINDOW_CLOSED, at, next.Opens))
}

// windowsOf are a job's windows. They were checked when the job was created.
func windowsOf(row *v1.JobRow) schedule.Windows {
	windows, err := checkWindows(fieldWindows, row.Scheduling.GetWindows())
	if err != nil {
		panic(fmt.Sprintf("the windows of job %d were accepted once: %v", row.Job, err))
	}
	return windows
}
