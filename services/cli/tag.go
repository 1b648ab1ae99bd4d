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

// ofRegistry says whether a resource is kept by the registry (groups, thing types) and not by the job service. It
// returns the resource as the owners name it.
func ofRegistry(s string) (resource string, registry bool, err error) {
	kind, name, ok := strings.Cut(s, "/")
	if strings.HasPrefix(s, "arn:") {
		kind = kind[strings.LastIndexByte(kind, ':')+1:]
	}
	if ok && name != "" {
		switch kind {
		case "job", "template", "jobtemplate":
			return s, false, nil
		case "group", "thinggroup", "thing-type", "thingtype":
			return s, true, nil
		}
	}
	return "", false, invalid("resourceArn", "%.80q is none of job/ID, template/ID, group/NAME, thing-type/NAME, or an ARN of one", s)
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
