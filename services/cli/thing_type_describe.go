package cli

import (
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func thingTypeDescribe(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "describe TYPE",
		Short:             "Show one thing type",
		Long:              `Shows one thing type: what it is, which attributes are searched by, and whether it is deprecated.`,
		Example:           `  drover thing-type describe press`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeThingTypes,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := typeArg(args[0])
			if err != nil {
				return err
			}
			reply, err := query(cmd.Context(), a, bus.DescribeThingType, &v1.DescribeThingType{Freshness: fresh, ThingType: name})
			if err != nil {
				return err
			}
			t := reply.GetThingType()
			if a.json() {
				return a.printJSON(viewThingType(t))
			}
			deprecated := ""
			if t.GetDeprecated() {
				deprecated = "since " + when(t.GetDeprecatedAtMs())
			}
			return a.printFields(
				field{"Thing type", t.GetThingType()},
				field{"Description", t.GetDescription()},
				field{"Searchable", strings.Join(t.GetSearchableAttributes(), ", ")},
				field{"Deprecated", deprecated},
				field{"Created", when(t.GetCreatedAtMs())},
			)
		},
	}
}
