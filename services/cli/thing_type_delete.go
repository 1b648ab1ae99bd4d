package cli

import (
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func thingTypeDelete(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "delete TYPE",
		Short: "Delete a deprecated thing type",
		Long: `Deletes a thing type. It must have been deprecated for five minutes (drover thing-type deprecate), and no thing may have
it.`,
		Example:           `  drover thing-type delete press`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeThingTypes,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := typeArg(args[0])
			if err != nil {
				return err
			}
			reply, err := tell(cmd.Context(), a, bus.DeleteThingType, &v1.DeleteThingType{ThingType: name})
			if err != nil {
				return err
			}
			return a.done(doneView{Position: id.FormatPosition(reply.GetPosition())}, "deleted thing type "+name)
		},
	}
}
