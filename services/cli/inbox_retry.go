package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func inboxRetry(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "retry NUMBER… | --all",
		Short: "Publish commands of the poison queue again",
		Long: `Publishes commands of the poison queue to the inbox again, as they came and under the ids that they had, and takes them off
the queue: after an upgrade that knows them, or when what Drover failed over is mended. What still cannot be read comes
back under a new number.`,
		Example: `  drover inbox retry 3 4
  drover inbox retry --all`,
		Args:              takes(0, -1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			numbers, err := numberArgs(args, all)
			if err != nil {
				return err
			}
			r, err := ask(cmd.Context(), a, bus.RetryPoison, &v1.RetryPoison{Numbers: numbers, All: all})
			if err != nil {
				return err
			}
			if a.json() {
				return a.printJSON(struct {
					Retried uint32 `json:"retried"`
				}{r.GetRetried()})
			}
			_, err = fmt.Fprintf(a.out, "published %s again\n", plural(r.GetRetried(), "command"))
			return err
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all that are there now")
	return cmd
}
