package cli

import (
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func groupList(a *app) *cobra.Command {
	q := &v1.ListGroups{Freshness: fresh}
	var tree bool
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List groups by name",
		Long: `Lists groups in the order of their names: all, or with --parent those directly below one, and with --recursive all below it.
With --tree they are shown below their parents.`,
		Example: `  drover group list --prefix press
  drover group list --tree
  drover group list --parent plant-2 --recursive`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if q.Parent != "" {
				var err error
				if q.Parent, err = groupArg("parentGroupName", q.Parent); err != nil {
					return err
				}
			} else if q.Recursive {
				return usagef("--recursive goes with --parent")
			}
			if tree {
				if limit != 0 {
					return usagef("--limit does not go with --tree")
				}
				return a.printTree(cmd.Context(), q)
			}
			l := list[*v1.GroupRow]{
				a: a, name: "groups", columns: []string{"GROUP", "PARENT", "CREATED", "DESCRIPTION"},
				row: func(g *v1.GroupRow) []string {
					return []string{g.GetGroup(), orDash(g.GetParent()), when(g.GetCreatedAtMs()), orDash(g.GetDescription())}
				},
				view: func(g *v1.GroupRow) any { return viewGroup(g) },
			}
			return l.pages(limit, func(size uint32, token string) ([]*v1.GroupRow, string, error) {
				q.Page = &v1.Page{Limit: size, Token: token}
				r, err := query(cmd.Context(), a, bus.ListGroups, q)
				return r.GetGroups(), r.GetNextToken(), err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.Prefix, "prefix", "", "only names that begin so")
	f.StringVar(&q.Parent, "parent", "", "only groups below this one")
	f.BoolVar(&q.Recursive, "recursive", false, "with --parent: all below it, not only its children")
	f.BoolVar(&tree, "tree", false, "show them as a tree")
	_ = cmd.RegisterFlagCompletionFunc("parent", a.completeGroups)
	limitFlag(cmd, &limit)
	return cmd
}
