package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func jobDescribe(a *app) *cobra.Command {
	var document bool
	cmd := &cobra.Command{
		Use:   "describe JOB",
		Short: "Show one job and how far it is",
		Long: `Shows one job: what it was created with, how far its rollout is, and how many executions are in each status. With
--document the document is shown as it was given, byte for byte.`,
		Example:           `  drover job describe fw-1 --output json`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeJobs,
		RunE: ofJob(func(ctx context.Context, job string) error {
			reply, err := query(ctx, a, bus.DescribeJob, &v1.DescribeJob{Freshness: fresh, JobId: job, IncludeDocument: document})
			if err != nil {
				return err
			}
			v := viewJob(reply.GetJob(), reply.GetCounts())
			if a.json() {
				return a.printJSON(v)
			}
			return a.printJob(v)
		}),
	}
	cmd.Flags().BoolVar(&document, "document", false, "show the document as well")
	return cmd
}

func (a *app) printJob(v jobView) error {
	status := v.Status
	if v.ForceCanceled {
		status += ", with force"
	}
	if v.EndReached {
		status += ", its end time has come"
	}
	fields := []field{
		{"Job", v.JobID},
		{"Number", fmt.Sprint(v.Job)},
		{"Status", status},
		{"Reason", strings.TrimSpace(v.ReasonCode + " " + v.Comment)},
		{"Description", v.Description},
		{"Targets", strings.Join(v.Targets, ", ")},
		{"Selection", v.TargetSelection},
		{"Template", v.Template},
		{"Parameters", paramsText(v.Parameters)},
	}
	fields = append(fields, configFields(v.Rollout, v.Abort, v.Retry, v.Timeout, v.Presigned)...)
	if v.AbortBound > 0 {
		fields = append(fields, field{"Abort bound", "at most " + plural(v.AbortBound, "thing") + " released after the report that crosses a criterion"})
	}
	fields = append(fields, v.scheduleFields()...)
	fields = append(fields,
		field{"Namespace", v.Namespace},
		field{"Packages", strings.Join(v.Packages, ", ")},
		field{"Tags", tagsText(v.Tags)},
		field{"Created", v.CreatedAt},
		field{"Last update", v.LastUpdatedAt},
		field{"Completed", v.CompletedAt})
	if c := v.Counts; c != nil {
		fields = append(fields,
			field{"Things", thingsText(c)},
			field{"Executions", countLine(c)},
			field{"First change", c.FirstChangeAt},
			field{"Last change", c.LastChangeAt})
	}
	fields = append(fields, field{"Document", v.Document})
	return a.printFields(fields...)
}

// scheduleFields are the lines about a job's schedule, if it has one.
func (v *jobView) scheduleFields() []field {
	s := v.Scheduling
	if s == nil {
		return nil
	}
	end := s.EndTime
	if end != "" && s.EndBehavior != "" {
		end += ", then " + s.EndBehavior
	}
	var next []string
	for _, r := range v.Rollouts {
		next = append(next, r.StartTime)
	}
	return []field{{"Starts", s.StartTime}, {"Ends", end}, {"Windows", windowsText(s.Windows)}, {"Window", v.windowText()}, {"Next windows", strings.Join(next, ", ")}}
}

// windowText says whether the maintenance window is open, and until when: "open until 2026-…", "closed, opens at …".
func (v *jobView) windowText() string {
	if v.WindowOpen == nil {
		return ""
	}
	switch {
	case *v.WindowOpen && v.WindowChangesAt == "":
		return "open"
	case *v.WindowOpen:
		return "open until " + v.WindowChangesAt
	case v.WindowChangesAt == "":
		return "closed, no other follows"
	}
	return "closed, opens at " + v.WindowChangesAt
}

func thingsText(c *countsView) string {
	selected := humanize.Comma(int64(c.Selected))
	if !c.SelectionFinished {
		selected += " so far"
	}
	text := fmt.Sprintf("selected %s, waiting %d, released %d, dropped %d, refused %d", selected, c.Waiting, c.Released, c.Dropped, c.Refused)
	if c.Deleted > 0 {
		text += fmt.Sprintf(", deleted %d", c.Deleted)
	}
	return text
}

func paramsText(params map[string]string) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(params)) {
		out = append(out, fmt.Sprintf("%s=%q", key, params[key]))
	}
	return strings.Join(out, " ")
}
