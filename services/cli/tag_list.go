package cli

import (
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

func tagList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list RESOURCE",
		Short:   "List the tags of something",
		Long:    `Lists the tags of a job, a template, a group or a thing type.`,
		Example: `  drover tag list group/press-line`,
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			resource := args[0]
			registry, err := body.OfRegistry(resource)
			if err != nil {
				return err
			}
			op := bus.ListJobTags
			if registry {
				op = bus.ListRegistryTags
			}
			l := list[*v1.Tag]{
				a: a, name: "tags", columns: []string{"KEY", "VALUE"},
				row:  func(t *v1.Tag) []string { return []string{t.GetKey(), t.GetValue()} },
				view: func(t *v1.Tag) any { return tagView{t.GetKey(), t.GetValue()} },
			}
			return l.pages(0, func(uint32, string) ([]*v1.Tag, string, error) {
				r, err := query(cmd.Context(), a, op, &v1.ListTags{Freshness: fresh, Resource: resource})
				return r.GetTags(), "", err
			})
		},
	}
}
