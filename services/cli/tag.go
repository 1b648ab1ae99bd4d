package cli

import (
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

func tagCommand(a *app) *cobra.Command {
	return parent("tag", "Tag jobs, templates, groups and thing types",
		`A tag is a key and a value on a resource: job/ID, template/ID, group/NAME, thing-type/NAME, or an ARN of one. Tags go with
what they stand on.`,
		`  drover tag add job/fw-1 team=valves
  drover tag list job/fw-1`,
		tagAdd(a), tagRemove(a), tagList(a))
}

type tagView struct {
	Key   string `json:"Key"`
	Value string `json:"Value"`
}

func viewTags(tags []*v1.Tag) []tagView {
	var list []tagView
	for _, t := range tags {
		list = append(list, tagView{t.GetKey(), t.GetValue()})
	}
	return list
}

func tagsText(tags []tagView) string {
	var out []string
	for _, t := range tags {
		out = append(out, t.Key+"="+t.Value)
	}
	return strings.Join(out, ", ")
}
