package targeting

import (
	"slices"
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// The limits of attributes (specification §1.3, §7.3). As many as there may be, each as long as it may be, take 46,400
// bytes: AWS's limit of 47 KB in all is met with them.
const (
	attributesMax      = 50 // of a thing that has a type, and of a group
	attributesFreeMax  = 3  // of a thing without one
	attributeNameMax   = 128
	attributeValueMax  = 800
	searchableMax      = 3 // attributes of a thing type
	attributeNameMore  = "_.,@/:#-"
	attributeValueMore = "_.,@/:#=[]-"
)

// newAttributes is a list of attributes as events hold it: checked, copied, sorted by name. What says whose they are.
func newAttributes(field, what string, list []*v1.Attribute) ([]*v1.Attribute, error) {
	var sorted []*v1.Attribute // what an event holds is built here, never passed through
	for _, a := range list {
		name := a.GetName()
		if name == "" {
			return nil, invalid(field, "an attribute of %s has no name", what)
		}
		if err := checkSet(field, "the name of an attribute of "+what, name, attributeNameMax, attributeNameMore); err != nil {
			return nil, err
		}
		if err := checkSet(field, "attribute "+name+" of "+what, a.Value, attributeValueMax, attributeValueMore); err != nil {
			return nil, err
		}
		sorted = append(sorted, &v1.Attribute{Name: name, Value: a.Value})
	}
	slices.SortFunc(sorted, func(a, b *v1.Attribute) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(sorted); i++ {
		if sorted[i].Name == sorted[i-1].Name {
			return nil, invalid(field, "%s has attribute %s twice", what, sorted[i].Name)
		}
	}
	return sorted, nil
}

// checkAttributes refuses more attributes than there may be.
func checkAttributes(field, what string, list []*v1.Attribute, limit int, hint string) error {
	if len(list) > limit {
		return invalid(field, "%s has %d attributes; at most %d are allowed%s", what, len(list), limit, hint)
	}
	return nil
}

func checkThingAttributes(thing, thingType string, list []*v1.Attribute) error {
	if thingType == "" {
		return checkAttributes(fieldAttributes, "thing "+thing, list, attributesFreeMax, " without a thing type, 50 with one")
	}
	return checkAttributes(fieldAttributes, "thing "+thing, list, attributesMax, "")
}

func attributeBytes(list []*v1.Attribute) (n int) {
	for _, a := range list {
		n += len(a.GetName()) + len(a.GetValue())
	}
	return n
}

// mergeAttributes is a sorted list after a change: a value takes the place of the one before, an empty one deletes
// it (specification §2.10).
func mergeAttributes(old, change []*v1.Attribute) []*v1.Attribute {
	var merged []*v1.Attribute
	for len(old) > 0 || len(change) > 0 {
		if len(change) == 0 || len(old) > 0 && old[0].Name < change[0].Name {
			merged, old = append(merged, old[0]), old[1:]
			continue
		}
		if len(old) > 0 && old[0].Name == change[0].Name {
			old = old[1:]
		}
		if change[0].Value != "" {
			merged = append(merged, change[0])
		}
		change = change[1:]
	}
	return merged
}

func sameAttributes(a, b []*v1.Attribute) bool {
	return slices.EqualFunc(a, b, func(x, y *v1.Attribute) bool { return x.Name == y.Name && x.Value == y.Value })
}
