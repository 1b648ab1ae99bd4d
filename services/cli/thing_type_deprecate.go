package cli

import (
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func thingTypeDeprecate(a *app) *cobra.Command {
	q := new(v1.DeprecateThingType)
	cmd := &cobra.Command{
		Use:   "deprecate TYPE",
		Short: "Deprecate a thing type",
		Long: `Deprecates a thing type: no thing can be given it any more, and it can be deleted once five minutes have passed and no
thing has it. With --undo it can be given again.`,
		Example: `  drover thing-type deprecate press
  drover thing-type deprecate press --undo`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeThingTypes,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if q.ThingType, err = typeArg(args[0]); err != nil {
				return err
			}
			reply, err := tell(cmd.Context(), a, bus.DeprecateThingType, q)
			if err != nil {
				return err
			}
			text := "deprecated thing type " + q.ThingType
			if q.Undo {
				text = "thing type " + q.ThingType + " is not deprecated any more"
			}
			return a.done(doneView{Position: id.FormatPosition(reply.GetPosition())}, text)
		},
	}
	cmd.Flags().BoolVar(&q.Undo, "undo", false, "it can be given again")
	return cmd
}
