package cli

import (
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func templateDelete(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "delete TEMPLATE",
		Short:             "Delete a job template",
		Long:              `Deletes a template. Jobs that were created from it stay as they are.`,
		Example:           `  drover template delete nightly`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeTemplates,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := templateArg(args[0])
			if err != nil {
				return err
			}
			reply, err := tell(cmd.Context(), a, bus.DeleteTemplate, &v1.DeleteTemplate{TemplateId: name})
			if err != nil {
				return err
			}
			return a.done(doneView{Position: id.FormatPosition(reply.GetPosition())}, "deleted template "+name)
		},
	}
}
