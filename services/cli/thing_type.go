package cli

import (
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

func thingTypeCommand(a *app) *cobra.Command {
	return parent("thing-type", "Name kinds of things",
		`A thing type names what things have in common. A thing has one type or none; with one it may have more attributes.`,
		`  drover thing-type create press --description "hydraulic presses"
  drover thing-type list`,
		thingTypeCreate(a), thingTypeList(a), thingTypeDescribe(a), thingTypeDeprecate(a), thingTypeDelete(a))
}

// typeArg checks a thing type's name: it is made as a group's is. (specification §1.3)
func typeArg(s string) (string, error) {
	if strings.HasPrefix(s, "arn:") {
		if _, name, ok := strings.Cut(s, ":thingtype/"); ok {
			s = name
		}
	}
	return groupArg("thingTypeName", s)
}

type thingTypeView struct {
	ThingTypeName        string   `json:"thingTypeName"`
	Description          string   `json:"thingTypeDescription,omitempty"`
	SearchableAttributes []string `json:"searchableAttributes,omitempty"`
	CreatedAt            string   `json:"creationDate"`
	Deprecated           bool     `json:"deprecated"`
	DeprecatedAt         string   `json:"deprecationDate,omitempty"`
}

func viewThingType(t *v1.ThingTypeRow) thingTypeView {
	return thingTypeView{
		ThingTypeName: t.GetThingType(), Description: t.GetDescription(), SearchableAttributes: t.GetSearchableAttributes(),
		CreatedAt: moment(t.GetCreatedAtMs()), Deprecated: t.GetDeprecated(), DeprecatedAt: moment(t.GetDeprecatedAtMs()),
	}
}
