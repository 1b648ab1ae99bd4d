package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func thingDescribe(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "describe THING",
		Short:             "Show one thing",
		Long:              `Shows one thing: its number, type, attributes and the groups it is a direct member of.`,
		Example:           `  drover thing describe press-07`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeThings,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := thingArg(args[0])
			if err != nil {
				return err
			}
			reply, err := query(cmd.Context(), a, bus.DescribeThing, &v1.DescribeThing{Freshness: fresh, Name: name})
			if err != nil {
				return err
			}
			t := reply.GetThing()
			if a.json() {
				return a.printJSON(viewThing(t))
			}
			return a.printFields(
				field{"Thing", t.GetName()},
				field{"Number", fmt.Sprint(t.GetNumber())},
				field{"Type", t.GetThingType()},
				field{"Attributes", pairs(t.GetAttributes())},
				field{"Groups", strings.Join(t.GetGroups(), ", ")},
				field{"Version", fmt.Sprint(t.GetVersion())},
				field{"Created", when(t.GetCreatedAtMs())},
			)
		},
	}
}
