package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func groupCreate(a *app) *cobra.Command {
	var parentName, description string
	var attributes, tags []string
	cmd := &cobra.Command{
		Use:   "create GROUP",
		Short: "Create a group",
		Long: `Creates a static group. Its parent is fixed for life. A group that is there already with the same settings is left as
it is.`,
		Example: `  drover group create press-line --parent plant-2 --description "All presses of hall 3"`,
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := &v1.CreateGroup{Description: description}
			var err error
			if q.Group, err = groupArg("thingGroupName", args[0]); err != nil {
				return err
			}
			if parentName != "" {
				if q.Parent, err = groupArg("parentGroupName", parentName); err != nil {
					return err
				}
			}
			if q.Attributes, err = attributeArgs(attributes); err != nil {
				return err
			}
			if q.Tags, err = tagArgs(tags); err != nil {
				return err
			}
			reply, err := tell(cmd.Context(), a, bus.CreateGroup, q)
			if err != nil {
				return err
			}
			n, m, text := uint64(1), uint64(0), "created group "+q.Group
			if reply.GetExisted() {
				n, m, text = 0, 1, "group "+q.Group+" is there already"
			}
			if a.json() {
				return a.printJSON(doneView{Position: id.FormatPosition(reply.GetPosition()), Created: &n, Existing: &m})
			}
			_, err = fmt.Fprintln(a.out, text)
			return err
		},
	}
	cmd.Flags().StringVar(&parentName, "parent", "", "group that it belongs to")
	cmd.Flags().StringVar(&description, "description", "", "what it is")
	cmd.Flags().StringArrayVar(&attributes, "attribute", nil, "attribute: NAME=VALUE; may be repeated")
	cmd.Flags().StringArrayVar(&tags, "tag", nil, "tag: KEY=VALUE; may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("parent", a.completeGroups)
	return cmd
}
