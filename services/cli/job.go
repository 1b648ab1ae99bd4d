package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func jobCommand(a *app) *cobra.Command {
	return parent("job", "Create, watch, change and end jobs",
		`A job is a JSON document and the things and groups it is for. Every thing that it selects gets one execution of it.`,
		`  drover job create fw-1 --document @fw-1.json --target group/press-line --per-minute 600
  drover job watch fw-1`,
		jobCreate(a), jobList(a), jobDescribe(a), jobDocument(a), jobWatch(a), jobUpdate(a), jobAssociate(a), jobCancel(a), jobDelete(a), jobExecutions(a))
}

// ofJob runs a command on the job that its argument names.
func ofJob(run func(ctx context.Context, job string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		job, err := jobArg(args[0])
		if err != nil {
			return err
		}
		return run(cmd.Context(), job)
	}
}
