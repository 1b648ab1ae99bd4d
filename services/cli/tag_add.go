package cli

import (
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

func tagAdd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "add RESOURCE KEY=VALUE…",
		Short: "Tag something",
		Long:  `Puts tags on a job, a template, a group or a thing type. A key that is there gets the new value.`,
		Example: `  drover tag add job/fw-1 team=valves plant=2
  drover tag add thing-type/press cost-center=4711`,
		Args: takes(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			resource := args[0]
			registry, err := body.OfRegistry(resource)
			if err != nil {
				return err
			}
			q := &v1.TagResource{Resource: resource}
			if q.Tags, err = tagArgs(args[1:]); err != nil {
				return err
			}
			op := bus.TagJobs
			if registry {
				op = bus.TagRegistry
			}
			reply, err := tell(cmd.Context(), a, op, q)
			if err != nil {
				return err
			}
			return a.done(doneView{Position: id.FormatPosition(reply.GetPosition())}, "tagged "+resource)
		},
	}
}
