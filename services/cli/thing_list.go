package cli

import (
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func thingList(a *app) *cobra.Command {
	q := &v1.ListThings{Freshness: fresh}
	var attribute string
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List things by name",
		Long:  `Lists things in the order of their names, page by page until all are shown.`,
		Example: `  drover thing list --prefix press- --limit 20
  drover thing list --type press --attribute site=north*`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q.AttributeName, q.AttributeValue, _ = strings.Cut(attribute, "=")
			if value, ok := strings.CutSuffix(q.AttributeValue, "*"); ok {
				q.AttributeValue, q.AttributeValuePrefix = value, true
			}
			l := list[*v1.ThingRow]{
				a: a, name: "things", columns: []string{"THING", "TYPE", "CREATED", "ATTRIBUTES"},
				row: func(t *v1.ThingRow) []string {
					return []string{t.GetName(), orDash(t.GetThingType()), when(t.GetCreatedAtMs()), orDash(pairs(t.GetAttributes()))}
				},
				view: func(t *v1.ThingRow) any { return viewThing(t) },
			}
			return l.pages(limit, func(size uint32, token string) ([]*v1.ThingRow, string, error) {
				q.Page = &v1.Page{Limit: size, Token: token}
				r, err := query(cmd.Context(), a, bus.ListThings, q)
				return r.GetThings(), r.GetNextToken(), err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.Prefix, "prefix", "", "only names that begin so")
	f.StringVar(&q.ThingType, "type", "", "only things of this type")
	f.StringVar(&attribute, "attribute", "", "only things with this attribute: NAME=VALUE, or NAME=BEGINNING*")
	_ = cmd.RegisterFlagCompletionFunc("type", a.completeThingTypes)
	limitFlag(cmd, &limit)
	return cmd
}

func limitFlag(cmd *cobra.Command, limit *int) {
	cmd.Flags().IntVar(limit, "limit", 0, "show at most so many; 0 is all")
}
