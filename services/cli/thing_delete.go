package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func thingDelete(a *app) *cobra.Command {
	var expected uint64
	cmd := &cobra.Command{
		Use:   "delete THING",
		Short: "Delete a thing",
		Long: `Deletes a thing: it leaves every group, and what is pending for it becomes REMOVED. What it has done stays on record.
A thing that is not there counts as deleted.`,
		Example:           `  drover thing delete press-07`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeThings,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := thingArg(args[0])
			if err != nil {
				return err
			}
			reply, err := tell(cmd.Context(), a, bus.DeleteThing, &v1.DeleteThing{Name: name, ExpectedVersion: expected})
			if err != nil {
				return err
			}
			var n uint64
			text := "there is no thing " + name
			if reply.GetExisted() {
				n, text = 1, "deleted "+name
			}
			if a.json() {
				return a.printJSON(doneView{Position: id.FormatPosition(reply.GetPosition()), Deleted: &n})
			}
			_, err = fmt.Fprintln(a.out, text)
			return err
		},
	}
	cmd.Flags().Uint64Var(&expected, "expected-version", 0, "only if it is at this version")
	return cmd
}
