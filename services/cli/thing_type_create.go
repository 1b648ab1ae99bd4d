package cli

import (
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func thingTypeCreate(a *app) *cobra.Command {
	q := new(v1.CreateThingType)
	var tags []string
	cmd := &cobra.Command{
		Use:     "create TYPE",
		Short:   "Create a thing type",
		Long:    `Creates a thing type. One that is there already with the same settings is left as it is.`,
		Example: `  drover thing-type create press --description "hydraulic presses" --searchable site --searchable hall --tag plant=2`,
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if q.ThingType, err = typeArg(args[0]); err != nil {
				return err
			}
			if q.Tags, err = tagArgs(tags); err != nil {
				return err
			}
			reply, err := tell(cmd.Context(), a, bus.CreateThingType, q)
			if err != nil {
				return err
			}
			n, m, text := uint64(1), uint64(0), "created thing type "+q.ThingType
			if reply.GetExisted() {
				n, m, text = 0, 1, "thing type "+q.ThingType+" is there already"
			}
			return a.done(doneView{Position: id.FormatPosition(reply.GetPosition()), Created: &n, Existing: &m}, text)
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.Description, "description", "", "what it is")
	f.StringArrayVar(&q.SearchableAttributes, "searchable", nil, "attribute that is searched by; up to three")
	f.StringArrayVar(&tags, "tag", nil, "tag: KEY=VALUE; may be repeated")
	return cmd
}
