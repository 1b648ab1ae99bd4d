package cli

import (
	"context"
	"errors"
	"fmt"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
)

func auditAbort(a *app, from *logSource) *cobra.Command {
	var bound, most int
	cmd := &cobra.Command{
		Use:   "abort JOB",
		Short: "Recount a job's abort from the log alone",
		Long: `Recounts, from the executions' own events, when a job's abort criteria were met, and holds every release against it: by
the cursors of its commit rollout must not have known of the crossing report, and by the broker's clock at most one release
may be later than that report, of no more things than the bound that job create printed.

--bound holds that number against the releases in place of the one that follows from the job's pace; --below says how many
things at most may have been released in all.

Exit status 1 if the job was not aborted, or if anything is off.`,
		Example:           `  drover audit abort fw-1 --data /var/lib/drover --bound 500 --below 2000`,
		Args:              takes(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: ofJob(func(ctx context.Context, job string) error {
			return a.auditAbort(ctx, from, job, bound, most)
		}),
	}
	cmd.Flags().IntVar(&bound, "bound", 0, "how many things one release after the crossing may hold (default: as the job's pace says)")
	cmd.Flags().IntVar(&most, "below", 0, "how many released things are too many (default: any number will do)")
	return cmd
}

// abortView is what audit abort prints.
type abortView struct {
	JobID     string      `json:"jobId"`
	Canceled  bool        `json:"canceled"`
	Criterion string      `json:"criterion,omitempty"`
	Crossing  string      `json:"crossing,omitempty"`
	CrossedAt string      `json:"crossedAt,omitempty"`
	Failures  int64       `json:"failures"`
	Executed  int64       `json:"executed"`
	Triggered string      `json:"triggered,omitempty"`
	Says      string      `json:"triggeredSays,omitempty"`
	Released  int         `json:"released"`
	Bound     int         `json:"bound"`
	Knowing   []string    `json:"releasesThatCouldHaveKnown"`
	Later     []laterView `json:"releasesLater"`
	Off       []string    `json:"off,omitempty"`
}

type laterView struct {
	At     string `json:"at"`
	Stored string `json:"stored"`
	Things int    `json:"things"`
}

func (a *app) auditAbort(ctx context.Context, from *logSource, job string, bound, most int) error {
	o, err := from.openWhole(ctx)
	if err != nil {
		return err
	}
	defer o.close()
	found, err := audit.ReadAbort(ctx, o.logs, job)
	if err != nil {
		return err
	}
	v := viewAbort(job, found, bound)
	v.judge(found, most)
	if err := a.printAbort(v); err != nil {
		return err
	}
	if len(v.Off) > 0 {
		return errors.New(strings.Join(v.Off, "; "))
	}
	return nil
}

func viewAbort(job string, found *audit.Abort, bound int) *abortView {
	v := &abortView{JobID: job, Canceled: found.Canceled, Released: found.Released, Bound: found.Bound, Knowing: []string{}, Later: []laterView{}}
	if bound > 0 {
		v.Bound = bound
	}
	if found.Crossed {
		c := found.Criteria[found.Criterion]
		v.Criterion = fmt.Sprintf("%s %g %% after %d", v1.EnumName(c.GetFailure()), float64(c.GetThresholdHundredths())/100, c.GetMinExecuted())
		v.Crossing, v.CrossedAt = found.Crossing.String(), moment(found.CrossingAt.UnixMilli())
		v.Failures, v.Executed = found.Failures, found.Executed
	}
	if t := found.Triggered; t != nil {
		v.Triggered = found.TriggeredAt.String()
		v.Says = fmt.Sprintf("%d of %d, by %s", t.GetFailures(), t.GetExecuted(), id.FormatPosition(t.GetCrossing()))
	}
	for _, r := range found.Knowing {
		v.Knowing = append(v.Knowing, r.At.String())
	}
	for _, r := range found.Later {
		v.Later = append(v.Later, laterView{r.At.String(), moment(r.Stored.UnixMilli()), r.Things})
	}
	return v
}

// judge says what is off.
func (v *abortView) judge(found *audit.Abort, most int) {
	off := func(format string, args ...any) { v.Off = append(v.Off, fmt.Sprintf(format, args...)) }
	switch {
	case len(found.Criteria) == 0:
		off("the job has no abort criteria")
	case !found.Crossed:
		off("no criterion was met")
	case found.Triggered == nil:
		off("a criterion was met, and the job was not aborted")
	case !found.Canceled:
		off("the job was aborted, and is not canceled")
	}
	if found.Wrong != "" {
		off("AbortTriggered at %s contradicts the executions: %s", v.Triggered, found.Wrong)
	}
	if n := len(v.Knowing); n > 0 {
		off("%s could have known of the crossing report", plural(n, "release"))
	}
	if n := len(v.Later); n > 1 {
		off("%d releases are later than the crossing report; one may be", n)
	}
	for _, r := range v.Later {
		if r.Things > v.Bound {
			off("the release at %s is later than the crossing report and holds %d things; at most %d may be", r.At, r.Things, v.Bound)
		}
	}
	if most > 0 && v.Released >= most {
		off("%d things were released; fewer than %d may be", v.Released, most)
	}
}

func (a *app) printAbort(v *abortView) error {
	if a.json() {
		return a.printJSON(v)
	}
	later := "none"
	for i, r := range v.Later {
		if i == 0 {
			later = ""
		}
		later += fmt.Sprintf("%s at %s, of %s; ", r.At, r.Stored, plural(r.Things, "thing"))
	}
	knowing := "none"
	if len(v.Knowing) > 0 {
		knowing = strings.Join(v.Knowing, ", ")
	}
	counted := ""
	if v.Crossing != "" {
		counted = fmt.Sprintf("%s, by %s at %s: %d of %d", v.Criterion, v.Crossing, v.CrossedAt, v.Failures, v.Executed)
	}
	triggered := v.Triggered
	if triggered != "" {
		triggered += ": " + v.Says
	}
	return a.printFields(
		field{"Job", v.JobID},
		field{"Canceled", fmt.Sprint(v.Canceled)},
		field{"Criterion met", counted},
		field{"Aborted", triggered},
		field{"Released", humanize.Comma(int64(v.Released)) + " things in all"},
		field{"Bound", fmt.Sprintf("%d things in one release", v.Bound)},
		field{"Could have known", knowing},
		field{"Later", strings.TrimSuffix(later, "; ")},
	)
}
