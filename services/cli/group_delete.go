package cli

import (
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func groupDelete(a *app) *cobra.Command {
	q := new(v1.DeleteGroup)
	cmd := &cobra.Command{
		Use:   "delete GROUP",
		Short: "Delete a group",
		Long: `Deletes a group. Its things stay, and are in it no more: continuous jobs at it lose them. A group with groups below it is
refused. A group that is not there counts as deleted.`,
		Example:           `  drover group delete press-line`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeGroups,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if q.Group, err = groupArg("thingGroupName", args[0]); err != nil {
				return err
			}
			reply, err := tell(cmd.Context(), a, bus.DeleteGroup, q)
			if err != nil {
				return err
			}
			var n uint64
			text := "there is no group " + q.Group
			if reply.GetExisted() {
				n, text = 1, "deleted group "+q.Group
			}
			return a.done(doneView{Position: id.FormatPosition(reply.GetPosition()), Deleted: &n}, text)
		},
	}
	cmd.Flags().Uint64Var(&q.ExpectedVersion, "expected-version", 0, "only if it is at this version")
	return cmd
}
