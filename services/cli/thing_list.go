package cli

import (
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func thingList(a *app) *cobra.Command {
	var prefix string
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List things by name",
		Long:    `Lists things in the order of their names, page by page until all are shown.`,
		Example: `  drover thing list --prefix press- --limit 20`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			l := list[*v1.ThingRow]{
				a: a, name: "things", columns: []string{"THING", "TYPE", "CREATED", "ATTRIBUTES"},
				row: func(t *v1.ThingRow) []string {
					return []string{t.GetName(), orDash(t.GetThingType()), when(t.GetCreatedAtMs()), orDash(pairs(t.GetAttributes()))}
				},
				view: func(t *v1.ThingRow) any { return viewThing(t) },
			}
			return l.pages(limit, func(size uint32, token string) ([]*v1.ThingRow, string, error) {
				r, err := query(cmd.Context(), a, bus.ListThings, &v1.ListThings{Freshness: fresh, Prefix: prefix, Page: &v1.Page{Limit: size, Token: token}})
				return r.GetThings(), r.GetNextToken(), err
			})
		},
	}
	cmd.Flags().StringVar(&prefix, "prefix", "", "only names that begin so")
	limitFlag(cmd, &limit)
	return cmd
}

func limitFlag(cmd *cobra.Command, limit *int) {
	cmd.Flags().IntVar(limit, "limit", 0, "show at most so many; 0 is all")
}
