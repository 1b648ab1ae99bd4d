package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func thingUpdate(a *app) *cobra.Command {
	q := new(v1.UpdateThing)
	var attrs attributeFlags
	var thingType string
	cmd := &cobra.Command{
		Use:   "update THING",
		Short: "Change a thing's type and attributes",
		Long: `Changes a thing. --attribute changes single attributes and leaves the others; one without a value (--attribute site=) is
deleted. With --replace the attributes that are given take the place of all. With --expected-version it is refused if the
thing has changed since you looked.`,
		Example: `  drover thing update press-07 --attribute site=north --attribute hall=
  drover thing update press-07 --type press --expected-version 3
  drover thing update press-07 --replace --attribute site=south
  drover thing update press-07 --remove-type`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeThings,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if q.Name, err = thingArg(args[0]); err != nil {
				return err
			}
			if cmd.Flags().Changed("type") {
				q.ThingType = &thingType
			}
			if q.ChangeAttributes, q.Merge, q.Attributes, err = attrs.change(cmd); err != nil {
				return err
			}
			if q.ThingType == nil && !q.RemoveThingType && !q.ChangeAttributes {
				return usagef("nothing to change: give --type, --remove-type, --attribute or --replace")
			}
			reply, err := tell(cmd.Context(), a, bus.UpdateThing, q)
			if err != nil {
				return err
			}
			return a.done(doneView{Position: id.FormatPosition(reply.GetPosition()), Version: reply.GetVersion()},
				fmt.Sprintf("updated %s; it is at version %d", q.Name, reply.GetVersion()))
		},
	}
	f := cmd.Flags()
	f.StringVar(&thingType, "type", "", "thing type")
	f.BoolVar(&q.RemoveThingType, "remove-type", false, "it has no type any more")
	attrs.add(cmd)
	f.Uint64Var(&q.ExpectedVersion, "expected-version", 0, "only if it is at this version")
	_ = cmd.RegisterFlagCompletionFunc("type", a.completeThingTypes)
	return cmd
}

// attributeFlags change the attributes of a thing or a group.
type attributeFlags struct {
	list    []string
	replace bool
}

func (f *attributeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.list, "attribute", nil, "attribute: NAME=VALUE, or NAME= to delete it; may be repeated")
	cmd.Flags().BoolVar(&f.replace, "replace", false, "the given attributes take the place of all")
}

func (f *attributeFlags) change(cmd *cobra.Command) (change, merge bool, list []*v1.Attribute, err error) {
	if !f.replace && !cmd.Flags().Changed("attribute") {
		return false, false, nil, nil
	}
	list, err = attributeArgs(f.list)
	return true, !f.replace, list, err
}
