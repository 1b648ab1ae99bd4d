package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func executionWatch(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "watch JOB THING",
		Short: "Follow one execution to its end",
		Long: `Follows one execution: a line for every change that stands in the record, from the moment it is queued. It ends with the
execution, with status 0 if it SUCCEEDED and 1 if not, or with Ctrl-C, which changes nothing.`,
		Example:           `  drover execution watch fw-1 press-07`,
		Args:              takes(2, 2),
		ValidArgsFunction: a.completeExecution,
		RunE: func(cmd *cobra.Command, args []string) error {
			job, thing, err := executionArgs(args)
			if err != nil {
				return err
			}
			if _, err := query(cmd.Context(), a, bus.DescribeJob, &v1.DescribeJob{Freshness: fresh, JobId: job}); err != nil {
				return err
			}
			if err := a.mayHave(cmd.Context(), job, thing); err != nil {
				return err
			}
			var end v1.ExecutionStatus
			q := &v1.ReadEvents{Freshness: fresh, JobId: job, Thing: thing, Limit: 1000}
			err = a.readEvents(cmd.Context(), q, true, func(e *v1.RecordedEvent) error {
				event := e.GetEntry().GetEvent()
				changed := event.GetExecutionChanged()
				if changed == nil && event.GetExecutionQueued() == nil && event.GetReleaseRefused() == nil {
					return nil
				}
				if err := a.printEvent(e); err != nil {
					return err
				}
				if event.GetReleaseRefused() != nil || ended(changed.GetTo()) {
					end = changed.GetTo()
					return errEnough
				}
				return nil
			})
			if err != nil {
				return err
			}
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			if end != v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED {
				return fmt.Errorf("%s on %s did not succeed", job, thing)
			}
			return nil
		},
	}
}

// mayHave refuses what would be waited for in vain: a thing that never had the job and is not there to get it.
func (a *app) mayHave(ctx context.Context, job, thing string) error {
	_, err := query(ctx, a, bus.GetExecution, &v1.GetExecution{Freshness: fresh, JobId: job, Thing: thing})
	var refusal *v1.Refusal
	if errors.As(err, &refusal) && refusal.Code == v1.RefusalCode_REFUSAL_CODE_NOT_FOUND {
		_, err = query(ctx, a, bus.DescribeThing, &v1.DescribeThing{Freshness: fresh, Name: thing})
	}
	return err
}

// ended says whether nothing follows a status. (specification §4.2)
func ended(s v1.ExecutionStatus) bool { return s >= v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED }
