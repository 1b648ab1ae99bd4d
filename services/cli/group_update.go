package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func groupUpdate(a *app) *cobra.Command {
	q := new(v1.UpdateGroup)
	var attrs attributeFlags
	var description string
	cmd := &cobra.Command{
		Use:   "update GROUP",
		Short: "Change a group's description and attributes",
		Long: `Changes a group. --attribute changes single attributes and leaves the others; one without a value (--attribute hall=) is
deleted. With --replace the attributes that are given take the place of all. Its name and its parent are fixed for life.`,
		Example: `  drover group update press-line --description "All presses of hall 4" --attribute hall=4
  drover group update press-line --replace --expected-version 2`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeGroups,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if q.Group, err = groupArg("thingGroupName", args[0]); err != nil {
				return err
			}
			if cmd.Flags().Changed("description") {
				q.Description = &description
			}
			if q.ChangeAttributes, q.Merge, q.Attributes, err = attrs.change(cmd); err != nil {
				return err
			}
			if q.Description == nil && !q.ChangeAttributes {
				return usagef("nothing to change: give --description, --attribute or --replace")
			}
			reply, err := tell(cmd.Context(), a, bus.UpdateGroup, q)
			if err != nil {
				return err
			}
			return a.done(doneView{Position: id.FormatPosition(reply.GetPosition()), Version: reply.GetVersion()},
				fmt.Sprintf("updated group %s; it is at version %d", q.Group, reply.GetVersion()))
		},
	}
	cmd.Flags().StringVar(&description, "description", "", "what it is")
	attrs.add(cmd)
	cmd.Flags().Uint64Var(&q.ExpectedVersion, "expected-version", 0, "only if it is at this version")
	return cmd
}
