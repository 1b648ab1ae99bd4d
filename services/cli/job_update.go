package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func jobUpdate(a *app) *cobra.Command {
	var flags configFlags
	var description string
	cmd := &cobra.Command{
		Use:   "update JOB",
		Short: "Change a job's configuration",
		Long: `Changes a job that is SCHEDULED or IN_PROGRESS. What is given takes the place of what was there, as a whole: --abort
given once leaves one criterion. A pace holds from now on; a timeout holds for executions that start from now on; retries can
only be set to 0 (--retry FAILED=0), and retries that are due are dropped then. Targets, document and schedule are fixed.`,
		Example: `  drover job update fw-1 --per-minute 2000
  drover job update fw-1 --abort FAILED:2.5%:100 --abort TIMED_OUT:20%:100
  drover job update fw-1 --rate 50x2/1000succeeded,max=1000 --timeout 45m --retry ALL=0 --description "slower"
  drover job update fw-1 --presign-role arn:aws:iam::123456789012:role/jobs --presign-expires 15m`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeJobs,
		RunE: func(cmd *cobra.Command, args []string) error {
			q := new(v1.UpdateJob)
			var err error
			if q.JobId, err = jobArg(args[0]); err != nil {
				return err
			}
			j, err := flags.config(cmd)
			if err != nil {
				return err
			}
			q.Rollout, q.Abort, q.Retry, q.Timeout, q.PresignedUrl = j.rollout, j.abort, j.retry, j.timeout, j.presigned
			if cmd.Flags().Changed("description") {
				q.Description = &description
			}
			if q.Description == nil && j == (jobConfig{}) {
				return usagef("nothing to change: give one of the flags that %s --help lists", cmd.CommandPath())
			}
			reply, err := tell(cmd.Context(), a, bus.UpdateJob, q)
			if err != nil {
				return err
			}
			return a.done(doneView{Position: id.FormatPosition(reply.GetPosition()), JobID: q.JobId}, "updated job "+q.JobId)
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&description, "description", "", "what it is for")
	return cmd
}

// done prints what a change came to: a view as JSON, or a line of text.
func (a *app) done(v doneView, text string) error {
	if a.json() {
		return a.printJSON(v)
	}
	_, err := fmt.Fprintln(a.out, text)
	return err
}
