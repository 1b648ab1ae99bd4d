package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func executionDelete(a *app) *cobra.Command {
	q := new(v1.DeleteExecution)
	cmd := &cobra.Command{
		Use:   "delete JOB THING --number N",
		Short: "Delete one execution",
		Long: `Deletes one attempt of a job on a thing: it is not listed and not counted any more, and the job is not queued again for
the thing. One that is pending needs --force; its device is told that its list has changed. The number is that of
drover execution describe.`,
		Example: `  drover execution delete fw-1 press-07 --number 1
  drover execution delete fw-1 press-07 --number 2 --force`,
		Args:              takes(2, 2),
		ValidArgsFunction: a.completeExecution,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if q.JobId, q.Thing, err = executionArgs(args); err != nil {
				return err
			}
			if q.ExecutionNumber == 0 {
				return usagef("--number is missing: which attempt, as drover execution describe shows it")
			}
			reply, err := tell(cmd.Context(), a, bus.DeleteExecution, q)
			if err != nil {
				return err
			}
			return a.done(doneView{Position: id.FormatPosition(reply.GetPosition()), JobID: q.JobId},
				fmt.Sprintf("deleted execution %d of %s on %s", q.ExecutionNumber, q.JobId, q.Thing))
		},
	}
	cmd.Flags().Uint64Var(&q.ExecutionNumber, "number", 0, "execution number")
	cmd.Flags().BoolVar(&q.Force, "force", false, "even if it is pending")
	return cmd
}
