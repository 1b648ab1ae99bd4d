package cli

import (
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

func tagRemove(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "remove RESOURCE KEY…",
		Short:   "Take tags away",
		Long:    `Takes tags off a job, a template, a group or a thing type. A key that is not there is passed over.`,
		Example: `  drover tag remove job/fw-1 team`,
		Args:    takes(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			resource := args[0]
			registry, err := body.OfRegistry(resource)
			if err != nil {
				return err
			}
			op := bus.UntagJobs
			if registry {
				op = bus.UntagRegistry
			}
			reply, err := tell(cmd.Context(), a, op, &v1.UntagResource{Resource: resource, Keys: args[1:]})
			if err != nil {
				return err
			}
			return a.done(doneView{Position: id.FormatPosition(reply.GetPosition())}, "took tags off "+resource)
		},
	}
}
