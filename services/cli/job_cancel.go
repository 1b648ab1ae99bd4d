package cli

import (
	"context"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func jobCancel(a *app) *cobra.Command {
	q := new(v1.CancelJob)
	var wait bool
	cmd := &cobra.Command{
		Use:   "cancel JOB",
		Short: "Cancel a job",
		Long: `Cancels a job: nothing more of it is released, and what devices have not begun becomes CANCELED. Devices that are at
work finish; with --force their executions are CANCELED too, and their reports are refused from then on.

With --wait it returns when that has been carried out for every device; before, a device may still start the job.`,
		Example:           `  drover job cancel fw-1 --reason-code BAD_FIRMWARE --comment "valves stay open" --wait`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeJobs,
		RunE: ofJob(func(ctx context.Context, job string) error {
			q.JobId = job
			reply, err := tell(ctx, a, bus.CancelJob, q)
			if err != nil {
				return err
			}
			var done *v1.DescribeJobReply
			if wait {
				if done, err = awaitCanceled(ctx, a, job); err != nil {
					return err
				}
			}
			if a.json() {
				if done != nil {
					return a.printJSON(viewJob(done.GetJob(), done.GetCounts()))
				}
				return a.printJSON(doneView{Position: id.FormatPosition(reply.GetPosition()), JobID: job})
			}
			if done == nil {
				_, err = fmt.Fprintf(a.out, "%s is CANCELED; its executions are being canceled (--wait waits for it)\n", job)
				return err
			}
			text := "no device can start " + job + " any more"
			if n := viewCounts(done.GetCounts()).InProgress; n > 0 {
				text += fmt.Sprintf("; %s in progress go on (drover job cancel %s --force ends them)", humanize.Comma(n), job)
			}
			_, err = fmt.Fprintln(a.out, text)
			return err
		}),
	}
	f := cmd.Flags()
	f.BoolVar(&q.Force, "force", false, "also cancel executions that are in progress")
	f.StringVar(&q.ReasonCode, "reason-code", "", "why: up to 128 of A-Z, 0-9 and _")
	f.StringVar(&q.Comment, "comment", "", "why, in words")
	f.BoolVar(&wait, "wait", false, "wait until it has been carried out")
	return cmd
}

// awaitCanceled returns when every home has carried a cancel out.
func awaitCanceled(ctx context.Context, a *app, job string) (*v1.DescribeJobReply, error) {
	return awaitJob(ctx, a, job, func(j *v1.JobRow) bool {
		return j.GetStatus() == v1.JobStatus_JOB_STATUS_CANCELED && !j.GetIsConcurrent()
	})
}
