package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func executionCancel(a *app) *cobra.Command {
	q := new(v1.CancelExecution)
	cmd := &cobra.Command{
		Use:   "cancel JOB THING",
		Short: "Cancel one execution",
		Long: `Cancels a job on one thing. If the device is at work already, --force is needed: its reports are refused from then on.
With --expected-version it is refused if the execution has changed since you looked.`,
		Example:           `  drover execution cancel fw-1 press-07 --expected-version 1`,
		Args:              takes(2, 2),
		ValidArgsFunction: a.completeExecution,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if q.JobId, q.Thing, err = executionArgs(args); err != nil {
				return err
			}
			reply, err := tell(cmd.Context(), a, bus.CancelExecution, q)
			if err != nil {
				return err
			}
			if a.json() {
				return a.printJSON(doneView{Position: id.FormatPosition(reply.GetPosition()), JobID: q.JobId})
			}
			_, err = fmt.Fprintf(a.out, "canceled %s on %s\n", q.JobId, q.Thing)
			return err
		},
	}
	cmd.Flags().BoolVar(&q.Force, "force", false, "even if it is in progress")
	cmd.Flags().Uint64Var(&q.ExpectedVersion, "expected-version", 0, "only if it is at this version")
	return cmd
}
