package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func groupDescribe(a *app) *cobra.Command {
	var members bool
	cmd := &cobra.Command{
		Use:               "describe GROUP",
		Short:             "Show one group",
		Long:              `Shows one group: its parent, the groups below it, and how many things are direct members; or lists those.`,
		Example:           `  drover group describe press-line --members`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeGroups,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := groupArg("thingGroupName", args[0])
			if err != nil {
				return err
			}
			if members {
				return listMembers(cmd, a, name)
			}
			reply, err := query(cmd.Context(), a, bus.DescribeGroup, &v1.DescribeGroup{Freshness: fresh, Group: name})
			if err != nil {
				return err
			}
			g := reply.GetGroup()
			if a.json() {
				v, n := viewGroup(g), g.GetMembers()
				v.Members = &n
				return a.printJSON(v)
			}
			return a.printFields(
				field{"Group", g.GetGroup()},
				field{"Number", fmt.Sprint(g.GetNumber())},
				field{"Parent", g.GetParent()},
				field{"Children", strings.Join(g.GetChildren(), ", ")},
				field{"Description", g.GetDescription()},
				field{"Members", fmt.Sprint(g.GetMembers())},
				field{"Created", when(g.GetCreatedAtMs())},
			)
		},
	}
	cmd.Flags().BoolVar(&members, "members", false, "list the direct members instead")
	return cmd
}

// listMembers lists the names of a group's direct members.
func listMembers(cmd *cobra.Command, a *app, group string) error {
	l := list[string]{
		a: a, name: "things", columns: []string{"THING"},
		row:  func(name string) []string { return []string{name} },
		view: func(name string) any { return name },
	}
	return l.pages(0, func(size uint32, token string) ([]string, string, error) {
		r, err := query(cmd.Context(), a, bus.ListThingsInGroup, &v1.ListThingsInGroup{Freshness: fresh, Group: group, Page: &v1.Page{Limit: size, Token: token}})
		return r.GetThings(), r.GetNextToken(), err
	})
}
