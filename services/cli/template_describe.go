package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func templateDescribe(a *app) *cobra.Command {
	var managed bool
	var version string
	cmd := &cobra.Command{
		Use:   "describe TEMPLATE",
		Short: "Show one job template",
		Long: `Shows one template with its document and configuration; with --managed one that comes with Drover, with its parameters: the
newest version unless another is named.`,
		Example: `  drover template describe nightly
  drover template describe AWS-Run-Command --managed --version 1.0`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeTemplates,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := templateArg(args[0])
			if err != nil {
				return err
			}
			if version != "" && !managed {
				return usagef("--version is of managed templates (--managed)")
			}
			if managed {
				return a.describeManaged(cmd, name, version)
			}
			reply, err := query(cmd.Context(), a, bus.DescribeTemplate, &v1.DescribeTemplate{Freshness: fresh, TemplateId: name})
			if err != nil {
				return err
			}
			v := viewTemplate(reply.GetTemplate())
			if a.json() {
				return a.printJSON(v)
			}
			fields := []field{{"Template", v.TemplateID}, {"Description", v.Description}, {"Created", v.CreatedAt}}
			fields = append(fields, configFields(v.Rollout, v.Abort, v.Retry, v.Timeout, v.Presigned)...)
			fields = append(fields, field{"Windows", windowsText(v.Windows)}, field{"Packages", strings.Join(v.Packages, ", ")},
				field{"Tags", tagsText(v.Tags)}, field{"Document", v.Document})
			return a.printFields(fields...)
		},
	}
	cmd.Flags().BoolVar(&managed, "managed", false, "one that comes with Drover")
	cmd.Flags().StringVar(&version, "version", "", "version of a managed template (default: the newest)")
	return cmd
}

func (a *app) describeManaged(cmd *cobra.Command, name, version string) error {
	reply, err := ask(cmd.Context(), a, bus.DescribeManagedTemplate, &v1.DescribeManagedTemplate{Name: name, Version: version})
	if err != nil {
		return err
	}
	v := viewManaged(reply.GetTemplate())
	if a.json() {
		return a.printJSON(v)
	}
	fields := []field{{"Template", v.Name}, {"Version", v.Version}, {"Description", v.Description}, {"Environments", strings.Join(v.Environments, ", ")}}
	for _, p := range v.Parameters {
		text := p.Description
		if p.Optional {
			text = "(optional) " + text
		}
		if p.Example != "" {
			text += fmt.Sprintf("; for example %s", p.Example)
		}
		fields = append(fields, field{"--param " + p.Key, text})
	}
	return a.printFields(append(fields, field{"Document", v.Document})...)
}
