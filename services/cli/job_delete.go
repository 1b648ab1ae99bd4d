package cli

import (
	"context"
	"time"

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
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if q.JobId, err = jobArg(args[0]); err != nil {
				return err
			}
			reply, err := tell(cmd.Context(), a, bus.DeleteJob, q)
			if err != nil {
				return err
			}
			text := q.JobId + " is DELETION_IN_PROGRESS; its id is free when its executions are gone (--wait waits for it)"
			if wait {
				if err := awaitDeleted(cmd.Context(), a, q.JobId); err != nil {
					return err
				}
				text = "deleted " + q.JobId
			}
			return a.done(doneView{Position: id.FormatPosition(reply.GetPosition()), JobID: q.JobId}, text)
		},
	}
	cmd.Flags().BoolVar(&q.Force, "force", false, "also a job that has not ended")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until its executions are gone and its id is free")
	return cmd
}

// awaitDeleted returns when the job is not there any more; a job that took its id since is another one.
func awaitDeleted(ctx context.Context, a *app, job string) error {
	for {
		r, err := describeForWatch(ctx, a, job)
		if refusedAs(err, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND) {
			return nil
		}
		if err != nil {
			return err
		}
		if r.GetJob().GetStatus() != v1.JobStatus_JOB_STATUS_DELETION_IN_PROGRESS {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}
