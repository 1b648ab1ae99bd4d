package cli

import (
	"fmt"
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
		RunE: func(cmd *cobra.Command, args []string) error {
			job, err := jobArg(args[0])
			if err != nil {
				return err
			}
			reply, err := query(cmd.Context(), a, bus.DescribeJob, &v1.DescribeJob{Freshness: fresh, JobId: job, IncludeDocument: document})
			if err != nil {
				return err
			}
			v := viewJob(reply.GetJob(), reply.GetCounts())
			if a.json() {
				return a.printJSON(v)
			}
			return a.printJob(v)
		},
	}
	cmd.Flags().BoolVar(&document, "document", false, "show the document as well")
	return cmd
}

func (a *app) printJob(v jobView) error {
	pace, timeout, status := "none", "never", v.Status
	if v.Rollout != nil {
		pace = fmt.Sprintf("%d things a minute", v.Rollout.MaximumPerMinute)
	}
	if v.Timeout != nil {
		timeout = fmt.Sprintf("%d minutes after the start", v.Timeout.InProgressTimeoutInMinutes)
	}
	if v.ForceCanceled {
		status += ", with force"
	}
	fields := []field{
		{"Job", v.JobID},
		{"Number", fmt.Sprint(v.Job)},
		{"Status", status},
		{"Reason", strings.TrimSpace(v.ReasonCode + " " + v.Comment)},
		{"Description", v.Description},
		{"Targets", strings.Join(v.Targets, ", ")},
		{"Selection", v.TargetSelection},
		{"Pace", pace},
		{"Times out", timeout},
		{"Created", v.CreatedAt},
		{"Last update", v.LastUpdatedAt},
		{"Completed", v.CompletedAt},
	}
	if c := v.Counts; c != nil {
		selected := humanize.Comma(int64(c.Selected))
		if !c.SelectionFinished {
			selected += " so far"
		}
		fields = append(fields,
			field{"Things", fmt.Sprintf("selected %s, waiting %d, released %d, dropped %d, refused %d", selected, c.Waiting, c.Released, c.Dropped, c.Refused)},
			field{"Executions", countLine(c)},
			field{"First change", c.FirstChangeAt},
			field{"Last change", c.LastChangeAt})
	}
	fields = append(fields, field{"Document", v.Document})
	return a.printFields(fields...)
}
