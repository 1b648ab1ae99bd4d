package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func thingExecutions(a *app) *cobra.Command {
	return executionsCommand(a, "THING", "List what a thing has run and has to run",
		`Lists a thing's executions, of every job, newest job last.`,
		`  drover thing executions press-07 --status IN_PROGRESS`,
		a.completeThings, thingArg,
		func(ctx context.Context, thing string, status v1.ExecutionStatus, page *v1.Page) (*v1.ListExecutionsReply, error) {
			return query(ctx, a, bus.ListExecutionsForThing, &v1.ListExecutionsForThing{Freshness: fresh, Thing: thing, Status: status, Page: page})
		})
}

func jobExecutions(a *app) *cobra.Command {
	return executionsCommand(a, "JOB", "List a job's executions, by thing",
		`Lists a job's executions in the order of the things' names, page by page until all are shown.`,
		`  drover job executions fw-1 --status FAILED`,
		a.completeJobs, jobArg,
		func(ctx context.Context, job string, status v1.ExecutionStatus, page *v1.Page) (*v1.ListExecutionsReply, error) {
			return query(ctx, a, bus.ListExecutionsForJob, &v1.ListExecutionsForJob{Freshness: fresh, JobId: job, Status: status, Page: page})
		})
}

// executionsCommand lists executions by what they have in common.
func executionsCommand(a *app, of, short, long, example string, complete cobra.CompletionFunc, parse func(string) (string, error),
	fetch func(context.Context, string, v1.ExecutionStatus, *v1.Page) (*v1.ListExecutionsReply, error)) *cobra.Command {
	var statusText string
	var limit int
	cmd := &cobra.Command{
		Use: "executions " + of, Short: short, Long: long, Example: example, Args: takes(1, 1), ValidArgsFunction: complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := parse(args[0])
			if err != nil {
				return err
			}
			status, err := executionStatus(statusText)
			if err != nil {
				return err
			}
			l := list[*v1.ExecutionRow]{
				a: a, name: "executions",
				columns: []string{"JOB", "THING", "NUMBER", "STATUS", "VERSION", "QUEUED", "UPDATED", "DETAILS"},
				row: func(x *v1.ExecutionRow) []string {
					return []string{x.GetJobId(), x.GetThing(), fmt.Sprint(x.GetExecutionNumber()), v1.EnumName(x.GetStatus()), fmt.Sprint(x.GetVersionNumber()),
						when(x.GetQueuedAtMs()), when(x.GetLastUpdatedAtMs()), orDash(pairs(x.GetStatusDetails()))}
				},
				view: func(x *v1.ExecutionRow) any { return viewExecution(x) },
			}
			return l.pages(limit, func(size uint32, token string) ([]*v1.ExecutionRow, string, error) {
				r, err := fetch(cmd.Context(), name, status, &v1.Page{Limit: size, Token: token})
				return r.GetExecutions(), r.GetNextToken(), err
			})
		},
	}
	statusFlag(cmd, &statusText, v1.ExecutionStatus(0).Descriptor())
	limitFlag(cmd, &limit)
	return cmd
}
