package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func inboxDrop(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "drop NUMBER… | --all",
		Short: "Take commands off the poison queue for good",
		Long: `Takes commands off the poison queue for good. They were not carried out, and will not be. drover inbox list --output json
shows what they hold.`,
		Example: `  drover inbox drop 3
  drover inbox drop --all`,
		Args:              takes(0, -1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			numbers, err := numberArgs(args, all)
			if err != nil {
				return err
			}
			r, err := ask(cmd.Context(), a, bus.DropPoison, &v1.DropPoison{Numbers: numbers, All: all})
			if err != nil {
				return err
			}
			if a.json() {
				return a.printJSON(struct {
					Dropped uint32 `json:"dropped"`
				}{r.GetDropped()})
			}
			_, err = fmt.Fprintf(a.out, "dropped %s\n", plural(r.GetDropped(), "command"))
			return err
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all that are there now")
	return cmd
}
