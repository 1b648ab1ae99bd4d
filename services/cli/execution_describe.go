package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func executionDescribe(a *app) *cobra.Command {
	var number uint64
	cmd := &cobra.Command{
		Use:               "describe JOB THING",
		Short:             "Show one execution",
		Long:              `Shows one execution, the latest attempt unless another is named: status, version, what the device reported, and when.`,
		Example:           `  drover execution describe fw-1 press-07`,
		Args:              takes(2, 2),
		ValidArgsFunction: a.completeExecution,
		RunE: func(cmd *cobra.Command, args []string) error {
			job, thing, err := executionArgs(args)
			if err != nil {
				return err
			}
			reply, err := query(cmd.Context(), a, bus.GetExecution, &v1.GetExecution{Freshness: fresh, JobId: job, Thing: thing, ExecutionNumber: number})
			if err != nil {
				return err
			}
			v := viewExecution(reply.GetExecution())
			if a.json() {
				return a.printJSON(v)
			}
			status := v.Status
			if v.ForceCanceled {
				status += ", with force"
			}
			return a.printFields(
				field{"Job", v.JobID},
				field{"Thing", v.ThingName},
				field{"Execution", fmt.Sprintf("%d (retry attempt %d)", v.ExecutionNumber, v.RetryAttempt)},
				field{"Status", status},
				field{"Version", fmt.Sprint(v.VersionNumber)},
				field{"Details", pairs(reply.GetExecution().GetStatusDetails())},
				field{"Queued", v.QueuedAt},
				field{"Started", v.StartedAt},
				field{"Last update", v.LastUpdatedAt},
				field{"Times out", v.Deadline},
			)
		},
	}
	cmd.Flags().Uint64Var(&number, "number", 0, "execution number (default: the latest)")
	return cmd
}
