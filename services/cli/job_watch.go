package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func jobWatch(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "watch JOB",
		Short: "Follow a job to its end",
		Long: `Follows a job: a bar with the count of every status, the pace and the time left on a terminal, a line a second elsewhere,
with --output json a document a second. It ends when the job is COMPLETED, with status 0, or when it is CANCELED or aborted and
its last execution has ended, or deleted, with status 1. A job that is SCHEDULED, or whose maintenance window is closed, is
waited for; a continuous job without an end time never ends by itself. Leaving it with Ctrl-C changes nothing.`,
		Example:           `  drover job watch fw-1`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeJobs,
		RunE: func(cmd *cobra.Command, args []string) error {
			job, err := jobArg(args[0])
			if err != nil {
				return err
			}
			return a.watchJob(cmd.Context(), job)
		},
	}
}

// watchJob shows a job until it has ended.
func (a *app) watchJob(ctx context.Context, job string) error {
	columns, live := terminal(a.err)
	live = live && !a.json()
	var m meter
	var said time.Time
	var number uint64 // the job's; 0 before the first answer
	for {
		r, err := describeForWatch(ctx, a, job)
		if number != 0 && (refusedAs(err, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND) || err == nil && r.GetJob().GetJob() != number) {
			if live {
				fmt.Fprintln(a.err)
			}
			return fmt.Errorf("job %s was deleted", job)
		}
		if err != nil {
			return err
		}
		v := viewJob(r.GetJob(), r.GetCounts())
		if number == 0 && endless(v) && !a.json() {
			fmt.Fprintf(a.err, "%s is continuous and has no end time: it goes on until it is canceled; ^C leaves it alone\n", v.JobID)
		}
		number = v.Job
		if v.Counts == nil {
			v.Counts = new(countsView)
		}
		now, over := time.Now(), watchOver(v)
		m.saw(now, v.Counts.ended())
		due := over || now.Sub(said) >= time.Second
		if due {
			said = now
		}
		switch {
		case live:
			fmt.Fprintf(a.err, "\r\x1b[K%s", shorten(watchLine(v, &m, true), max(columns-1, 20)))
			if over {
				fmt.Fprintln(a.err)
			}
		case due && a.json():
			if err := a.printLine(v); err != nil {
				return err
			}
		case due:
			fmt.Fprintln(a.err, watchLine(v, &m, false))
		}
		if over {
			return a.watchEnd(v)
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			if live {
				fmt.Fprintln(a.err)
			}
			return err
		}
	}
}

func describeForWatch(ctx context.Context, a *app, job string) (*v1.DescribeJobReply, error) {
	return askPatiently(ctx, a, bus.DescribeJob, &v1.DescribeJob{Freshness: fresh, JobId: job})
}

// awaitJob returns how a job stands as soon as it stands so.
func awaitJob(ctx context.Context, a *app, job string, stands func(*v1.JobRow) bool) (*v1.DescribeJobReply, error) {
	for {
		r, err := describeForWatch(ctx, a, job)
		if err != nil || stands(r.GetJob()) {
			return r, err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// watchOver says whether nothing more will happen to the job.
func watchOver(v jobView) bool {
	switch v.Status {
	case v1.EnumName(v1.JobStatus_JOB_STATUS_COMPLETED):
		return true
	case v1.EnumName(v1.JobStatus_JOB_STATUS_CANCELED):
		return !v.IsConcurrent && v.Counts.Queued == 0 && v.Counts.InProgress == 0
	}
	return false
}

// watchEnd says how it ended; a canceled job is a failure.
func (a *app) watchEnd(v jobView) error {
	if !a.json() {
		c := v.Counts
		text := fmt.Sprintf("%s is %s: %s", v.JobID, v.Status, countLine(c))
		if _, err := fmt.Fprintln(a.out, text); err != nil {
			return err
		}
	}
	if v.Status == v1.EnumName(v1.JobStatus_JOB_STATUS_CANCELED) {
		return errors.New(canceledText(v))
	}
	return nil
}

// endless says that a job does not end by itself.
func endless(v jobView) bool {
	return v.TargetSelection == v1.EnumName(v1.TargetSelection_TARGET_SELECTION_CONTINUOUS) && (v.Scheduling == nil || v.Scheduling.EndTime == "") && !watchOver(v) &&
		v.Status != v1.EnumName(v1.JobStatus_JOB_STATUS_CANCELED)
}

// canceledText says why a job was canceled: by an abort criterion, or by somebody.
func canceledText(v jobView) string {
	const aborted = "ABORT_CRITERIA_MET"
	text := "job " + v.JobID + " was canceled"
	if v.ReasonCode == aborted {
		text = "job " + v.JobID + " was aborted"
	} else if v.ReasonCode != "" {
		text += ", " + v.ReasonCode
	}
	return text + remarkOf(v.Comment)
}

// ended counts things that have ended, whatever their attempts; where only executions are counted, those in a final
// status.
func (c *countsView) ended() int64 {
	if n := c.Good + c.Harmed + c.Void; n+c.Open > 0 {
		return n
	}
	return c.Succeeded + c.Failed + c.Rejected + c.TimedOut + c.Canceled + c.Removed
}

// watchLine is one look at a job: 734/1,000  queued 12 … · 210/s · 2s left.
func watchLine(v jobView, m *meter, bar bool) string {
	c := v.Counts
	total := max(0, int64(c.Selected)-int64(c.Refused)-int64(c.Dropped)-int64(c.Deleted))
	var out strings.Builder
	fmt.Fprintf(&out, "%s ", v.JobID)
	if state := watchState(v); state != "" {
		out.WriteString(state + " ")
	}
	if bar {
		out.WriteString(drawBar(c.ended(), total, 24) + " ")
	}
	known := ""
	if !c.SelectionFinished {
		known = "+"
	}
	fmt.Fprintf(&out, "%s/%s%s", humanize.Comma(c.ended()), humanize.Comma(total), known)
	for _, s := range []struct {
		name string
		n    int64
	}{
		{"waiting", int64(c.Waiting)}, {"queued", c.Queued}, {"in progress", c.InProgress}, {"succeeded", c.Succeeded}, {"failed", c.Failed},
		{"rejected", c.Rejected}, {"timed out", c.TimedOut}, {"canceled", c.Canceled}, {"removed", c.Removed},
	} {
		if s.n != 0 {
			fmt.Fprintf(&out, "  %s %s", s.name, humanize.Comma(s.n))
		}
	}
	if rate := m.rate(); rate > 0 {
		fmt.Fprintf(&out, "  · %.0f/s", rate)
		if left := total - c.ended(); left > 0 && c.SelectionFinished {
			fmt.Fprintf(&out, " · %s left", time.Duration(float64(left)/rate*float64(time.Second)).Round(time.Second))
		}
	}
	return out.String()
}

// watchState is the status of a job at which it does not go on by itself now, and until when: "SCHEDULED, starts at …".
func watchState(v jobView) string {
	switch {
	case v.Status == v1.EnumName(v1.JobStatus_JOB_STATUS_IN_PROGRESS) && v.EndReached:
		return "(its end time has come)"
	case v.Status == v1.EnumName(v1.JobStatus_JOB_STATUS_IN_PROGRESS) && v.WindowOpen != nil && *v.WindowOpen:
		return "(window " + v.windowText() + ")"
	case v.Status == v1.EnumName(v1.JobStatus_JOB_STATUS_SCHEDULED) && v.WindowOpen != nil && v.Counts.Selected > 0:
		return "SCHEDULED (window " + v.windowText() + ")"
	case v.Status == v1.EnumName(v1.JobStatus_JOB_STATUS_SCHEDULED) && v.WindowChangesAt != "":
		return "SCHEDULED (starts at " + v.WindowChangesAt + ")"
	case v.Status == v1.EnumName(v1.JobStatus_JOB_STATUS_SCHEDULED) && v.Scheduling != nil && v.Scheduling.StartTime != "":
		return "SCHEDULED (starts at " + v.Scheduling.StartTime + ")"
	case v.Status == v1.EnumName(v1.JobStatus_JOB_STATUS_SCHEDULED), v.Status == v1.EnumName(v1.JobStatus_JOB_STATUS_DELETION_IN_PROGRESS):
		return v.Status
	}
	return ""
}

func drawBar(done, total int64, width int) string {
	full := 0
	if total > 0 {
		full = int(min(done, total) * int64(width) / total)
	}
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

// meter knows how fast a count has grown of late.
type meter struct {
	looks []look // of the last ten seconds
}

type look struct {
	at time.Time
	n  int64
}

func (m *meter) saw(at time.Time, n int64) {
	m.looks = append(m.looks, look{at, n})
	for len(m.looks) > 2 && at.Sub(m.looks[0].at) > 10*time.Second {
		m.looks = m.looks[1:]
	}
}

// rate is per second; 0 while it is not known.
func (m *meter) rate() float64 {
	if len(m.looks) < 2 {
		return 0
	}
	first, last := m.looks[0], m.looks[len(m.looks)-1]
	return float64(last.n-first.n) / last.at.Sub(first.at).Seconds()
}

// pause waits, or returns the context's error when it ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
