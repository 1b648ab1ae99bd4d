package cli

import (
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func groupList(a *app) *cobra.Command {
	var prefix string
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List groups by name",
		Long:    `Lists groups in the order of their names.`,
		Example: `  drover group list --prefix press`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			l := list[*v1.GroupRow]{
				a: a, name: "groups", columns: []string{"GROUP", "PARENT", "CREATED", "DESCRIPTION"},
				row: func(g *v1.GroupRow) []string {
					return []string{g.GetGroup(), orDash(g.GetParent()), when(g.GetCreatedAtMs()), orDash(g.GetDescription())}
				},
				view: func(g *v1.GroupRow) any { return viewGroup(g) },
			}
			return l.pages(limit, func(size uint32, token string) ([]*v1.GroupRow, string, error) {
				r, err := query(cmd.Context(), a, bus.ListGroups, &v1.ListGroups{Freshness: fresh, Prefix: prefix, Page: &v1.Page{Limit: size, Token: token}})
				return r.GetGroups(), r.GetNextToken(), err
			})
		},
	}
	cmd.Flags().StringVar(&prefix, "prefix", "", "only names that begin so")
	limitFlag(cmd, &limit)
	return cmd
}
