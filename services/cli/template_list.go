package cli

import (
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func templateList(a *app) *cobra.Command {
	var limit int
	var managed bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List job templates",
		Long:  `Lists the templates that were created, or with --managed those that come with Drover.`,
		Example: `  drover template list
  drover template list --managed`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if managed {
				return a.listManaged(cmd, limit)
			}
			l := list[*v1.TemplateRow]{
				a: a, name: "jobTemplates", columns: []string{"TEMPLATE", "CREATED", "DESCRIPTION"},
				row: func(t *v1.TemplateRow) []string {
					return []string{t.GetTemplate().GetTemplateId(), when(t.GetCreatedAtMs()), shorten(t.GetTemplate().GetDescription(), 80)}
				},
				view: func(t *v1.TemplateRow) any { return viewTemplate(t) },
			}
			return l.pages(limit, func(size uint32, token string) ([]*v1.TemplateRow, string, error) {
				r, err := query(cmd.Context(), a, bus.ListTemplates, &v1.ListTemplates{Freshness: fresh, Page: &v1.Page{Limit: size, Token: token}})
				return r.GetTemplates(), r.GetNextToken(), err
			})
		},
	}
	cmd.Flags().BoolVar(&managed, "managed", false, "those that come with Drover")
	limitFlag(cmd, &limit)
	return cmd
}

func (a *app) listManaged(cmd *cobra.Command, limit int) error {
	l := list[*v1.ManagedTemplate]{
		a: a, name: "managedJobTemplates", columns: []string{"TEMPLATE", "VERSION", "ENVIRONMENTS", "DESCRIPTION"},
		row: func(t *v1.ManagedTemplate) []string {
			return []string{t.GetName(), t.GetVersion(), orDash(strings.Join(t.GetEnvironments(), ", ")), shorten(t.GetDescription(), 80)}
		},
		view: func(t *v1.ManagedTemplate) any { return viewManaged(t) },
	}
	return l.pages(limit, func(size uint32, _ string) ([]*v1.ManagedTemplate, string, error) {
		r, err := ask(cmd.Context(), a, bus.ListManagedTemplates, &v1.ListManagedTemplates{})
		all := r.GetTemplates()
		return all[:min(len(all), int(size))], "", err
	})
}
