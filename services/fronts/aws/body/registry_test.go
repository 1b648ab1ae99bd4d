package body

import (
	"errors"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// Whatever stands in a body, it is read, or refused as the caller's fault.
func FuzzRegistry(f *testing.F) {
	f.Add([]byte(`{"thingTypeName":"pump","attributePayload":{"attributes":{"a":"","b":"1"},"merge":true},"expectedVersion":2,"removeThingType":false}`))
	f.Add([]byte(`{"parentGroupName":"g","thingGroupProperties":{"thingGroupDescription":"d","attributePayload":{}},"tags":[{"Key":"a"}]}`))
	f.Add([]byte(`{"thingArn":"arn:aws:iot:r:1:thing/t","thingName":"t","thingGroupName":"g","overrideDynamicGroups":true,"thingGroupsToAdd":["a"]}`))
	f.Add([]byte(`{"thingTypeProperties":{"searchableAttributes":["a"]},"undoDeprecate":true}`))
	f.Add([]byte(`{"resourceArn":"job/j","tags":[],"tagKeys":["a"],"eventConfigurations":{"JOB":{"Enabled":true}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for name, read := range map[string]func([]byte) error{
			"CreateThing":        reader(CreateThing),
			"UpdateThing":        reader(UpdateThing),
			"CreateGroup":        reader(CreateGroup),
			"UpdateGroup":        reader(UpdateGroup),
			"ChangeGroups":       reader(ChangeGroups),
			"CreateThingType":    reader(CreateThingType),
			"DeprecateThingType": reader(DeprecateThingType),
			"TagResource":        reader(TagResource),
			"UntagResource":      reader(UntagResource),
			"ConfigureEvents":    reader(ConfigureEvents),
			"Member": func(text []byte) error {
				thing, group, err := Member(text, true)
				if err == nil && (thing == "" || group == "") {
					t.Errorf("%q was taken as %q in %q", text, thing, group)
				}
				return err
			},
		} {
			if refusal := (*v1.Refusal)(nil); read(text) != nil && !errors.As(read(text), &refusal) {
				t.Errorf("%s of %q: %v is no refusal", name, text, read(text))
			}
		}
	})
}

func reader[Q any](read func([]byte) (Q, error)) func([]byte) error {
	return func(text []byte) error { _, err := read(text); return err }
}
