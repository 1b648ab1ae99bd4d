package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func thingGroups(a *app) *cobra.Command {
	var add, remove []string
	cmd := &cobra.Command{
		Use:   "groups THING --add GROUP… --remove GROUP…",
		Short: "Change which groups a thing is in",
		Long: `Puts a thing into groups and takes it out of others, all at once or not at all: so it can move from one group to another
of the same tree. Without flags its groups are listed.`,
		Example: `  drover thing groups press-07
  drover thing groups press-07 --add press-line-2 --remove press-line-1`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeThings,
		RunE: func(cmd *cobra.Command, args []string) error {
			q := new(v1.ChangeGroupsOfThing)
			var err error
			if q.Thing, err = thingArg(args[0]); err != nil {
				return err
			}
			if len(add)+len(remove) == 0 {
				return a.listGroupsOf(cmd, q.Thing)
			}
			group := func(s string) (string, error) { return groupArg("thingGroupName", s) }
			if q.Add, err = each(add, group); err != nil {
				return err
			}
			if q.Remove, err = each(remove, group); err != nil {
				return err
			}
			reply, err := tell(cmd.Context(), a, bus.ChangeGroupsOfThing, q)
			if err != nil {
				return err
			}
			return a.done(doneView{Position: id.FormatPosition(reply.GetPosition())}, "changed the groups of "+q.Thing)
		},
	}
	cmd.Flags().StringArrayVar(&add, "add", nil, "group that it joins; may be repeated")
	cmd.Flags().StringArrayVar(&remove, "remove", nil, "group that it leaves; may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("add", a.completeGroups)
	_ = cmd.RegisterFlagCompletionFunc("remove", a.completeGroups)
	return cmd
}

func (a *app) listGroupsOf(cmd *cobra.Command, thing string) error {
	reply, err := query(cmd.Context(), a, bus.DescribeThing, &v1.DescribeThing{Freshness: fresh, Name: thing})
	if err != nil {
		return err
	}
	groups := reply.GetThing().GetGroups()
	if a.json() {
		return a.printJSON(object{{"thingName", thing}, {"groups", append([]string{}, groups...)}})
	}
	for _, g := range groups {
		if _, err := fmt.Fprintln(a.out, g); err != nil {
			return err
		}
	}
	if len(groups) == 0 {
		fmt.Fprintln(a.err, "drover: there are none")
	}
	return nil
}
