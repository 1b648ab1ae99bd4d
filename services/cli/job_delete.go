package cli

import (
	"context"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func jobDelete(a *app) *cobra.Command {
	q := new(v1.DeleteJob)
	var wait bool
	cmd := &cobra.Command{
		Use:   "delete JOB",
		Short: "Delete a job and its executions",
		Long: `Deletes a job that is COMPLETED or CANCELED, with all its executions; with --force also one that is not: devices at work
on it get no answer about it any more. Its id is free once every execution is gone; --wait waits for that. What happened
stays in the logs. At most 10 jobs are in deletion at once.`,
		Example: `  drover job delete fw-1
  drover job delete fw-2 --force --wait`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeJobs,
		RunE: ofJob(func(ctx context.Context, job string) error {
			q.JobId = job
			reply, err := tell(ctx, a, bus.DeleteJob, q)
			if err != nil {
				return err
			}
			text := job + " is DELETION_IN_PROGRESS; its id is free when its executions are gone (--wait waits for it)"
			if wait {
				if err := awaitDeleted(ctx, a, job); err != nil {
					return err
				}
				text = "deleted " + job
			}
			return a.done(doneView{Position: id.FormatPosition(reply.GetPosition()), JobID: job}, text)
		}),
	}
	cmd.Flags().BoolVar(&q.Force, "force", false, "also a job that has not ended")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until its executions are gone and its id is free")
	return cmd
}

// awaitDeleted returns when the job is not there any more; a job that took its id since is another one.
func awaitDeleted(ctx context.Context, a *app, job string) error {
	_, err := awaitJob(ctx, a, job, func(j *v1.JobRow) bool { return j.GetStatus() != v1.JobStatus_JOB_STATUS_DELETION_IN_PROGRESS })
	if refusedAs(err, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND) {
		return nil
	}
	return err
}
