package cli

import (
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func thingTypeList(a *app) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List thing types by name",
		Long:    `Lists thing types in the order of their names, those that are deprecated too.`,
		Example: `  drover thing-type list`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			l := list[*v1.ThingTypeRow]{
				a: a, name: "thingTypes", columns: []string{"TYPE", "CREATED", "DEPRECATED", "DESCRIPTION"},
				row: func(t *v1.ThingTypeRow) []string {
					return []string{t.GetThingType(), when(t.GetCreatedAtMs()), when(t.GetDeprecatedAtMs()), orDash(shorten(t.GetDescription(), 60))}
				},
				view: func(t *v1.ThingTypeRow) any { return viewThingType(t) },
			}
			return l.pages(limit, func(size uint32, token string) ([]*v1.ThingTypeRow, string, error) {
				r, err := query(cmd.Context(), a, bus.ListThingTypes, &v1.ListThingTypes{Freshness: fresh, Page: &v1.Page{Limit: size, Token: token}})
				return r.GetThingTypes(), r.GetNextToken(), err
			})
		},
	}
	limitFlag(cmd, &limit)
	return cmd
}
