package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func groupDescribe(a *app) *cobra.Command {
	var members, recursive bool
	cmd := &cobra.Command{
		Use:   "describe GROUP",
		Short: "Show one group",
		Long:  `Shows one group: its parent, the groups below it, and how many things are direct members; or lists those.`,
		Example: `  drover group describe press-line
  drover group describe plant-2 --members --recursive`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeGroups,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := groupArg("thingGroupName", args[0])
			if err != nil {
				return err
			}
			if recursive && !members {
				return usagef("--recursive goes with --members")
			}
			if members {
				return listMembers(cmd, a, name, recursive)
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
				field{"Below", strings.Join(g.GetAncestors(), " / ")},
				field{"Children", strings.Join(g.GetChildren(), ", ")},
				field{"Description", g.GetDescription()},
				field{"Attributes", pairs(g.GetAttributes())},
				field{"Version", version(g.GetVersion())},
				field{"Members", fmt.Sprint(g.GetMembers())},
				field{"Created", when(g.GetCreatedAtMs())},
			)
		},
	}
	cmd.Flags().BoolVar(&members, "members", false, "list the direct members instead")
	cmd.Flags().BoolVar(&recursive, "recursive", false, "with --members: those of the groups below it too")
	return cmd
}

// version is left out where there is none.
func version(n uint64) string {
	if n == 0 {
		return ""
	}
	return plainNumber(n)
}

// listMembers lists the names of a group's direct members, or of all below it too.
func listMembers(cmd *cobra.Command, a *app, group string, recursive bool) error {
	l := list[string]{
		a: a, name: "things", columns: []string{"THING"},
		row:  func(name string) []string { return []string{name} },
		view: func(name string) any { return name },
	}
	return l.pages(0, func(size uint32, token string) ([]string, string, error) {
		r, err := query(cmd.Context(), a, bus.ListThingsInGroup, &v1.ListThingsInGroup{Freshness: fresh, Group: group, Recursive: recursive, Page: &v1.Page{Limit: size, Token: token}})
		return r.GetThings(), r.GetNextToken(), err
	})
}
