package cli

import (
	"github.com/spf13/cobra"
)

func executionCommand(a *app) *cobra.Command {
	return parent("execution", "Look at one job on one thing",
		`An execution is one job on one thing: what the device was told, what it reported, and how it ended.`,
		`  drover execution describe fw-1 press-07`,
		executionDescribe(a), executionWatch(a), executionCancel(a), executionDelete(a))
}

// executionArgs reads JOB THING.
func executionArgs(args []string) (job, thing string, err error) {
	if job, err = jobArg(args[0]); err != nil {
		return "", "", err
	}
	thing, err = thingArg(args[1])
	return job, thing, err
}
