package cli

import (
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func thingPending(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "pending THING",
		Short: "Show what the thing's device would be told now",
		Long: `Shows the pending executions of a thing as its device gets them, in their order, from the owner of the thing's queue and not
from the read models: at most 10, or 15 where scheduled jobs are among them; what a closed maintenance window hides is not
there (drover explain thing says why).`,
		Example:           `  drover thing pending press-07`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeThings,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := thingArg(args[0])
			if err != nil {
				return err
			}
			l := list[*v1.Execution]{
				a: a, name: "executions", columns: []string{"JOB", "NUMBER", "STATUS", "VERSION", "QUEUED", "STARTED", "TIMES OUT"},
				row: func(x *v1.Execution) []string {
					v := viewExecution(rowOf(x))
					return []string{v.JobID, plainNumber(v.ExecutionNumber), v.Status, plainNumber(v.VersionNumber), when(x.GetQueuedAtMs()), when(x.GetStartedAtMs()), when(x.GetDeadlineMs())}
				},
				view: func(x *v1.Execution) any { return viewExecution(rowOf(x)) },
			}
			return l.pages(0, func(uint32, string) ([]*v1.Execution, string, error) {
				r, err := ask(cmd.Context(), a, bus.GetPending, &v1.GetPending{Thing: name})
				return append(r.GetInProgress(), r.GetQueued()...), "", err
			})
		},
	}
}

// rowOf is an execution of its owner as a row of the read models.
func rowOf(x *v1.Execution) *v1.ExecutionRow {
	return &v1.ExecutionRow{
		Job: x.GetJob(), JobId: x.GetJobId(), Thing: x.GetThing(), ExecutionNumber: x.GetExecutionNumber(), Status: x.GetStatus(), StatusDetails: x.GetStatusDetails(),
		VersionNumber: x.GetVersionNumber(), QueuedAtMs: x.GetQueuedAtMs(), StartedAtMs: x.GetStartedAtMs(), LastUpdatedAtMs: x.GetLastUpdatedAtMs(),
		RetryAttempt: x.GetRetryAttempt(), ForceCanceled: x.GetForceCanceled(), DeadlineMs: x.GetDeadlineMs(),
	}
}
