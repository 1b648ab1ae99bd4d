package id

import (
	"fmt"
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// ThingType: 1 to 128 of [a-zA-Z0-9:_-]. (specification §1.3)
type ThingType string

// ParseThingType checks a thing type's name, or takes it from its ARN.
func ParseThingType(s string) (ThingType, error) {
	s = fromARN(s, "thingtype")
	return ThingType(s), checkName("thing type", s, nameMax, true)
}

// ParseRegistryResource reads what tags of the registry stand on: an ARN, or group/NAME, or thing-type/NAME.
func ParseRegistryResource(s string) (*v1.TaggedResource, error) {
	kind, name, ok := strings.Cut(s, "/")
	if i := strings.LastIndexByte(kind, ':'); i >= 0 && strings.HasPrefix(s, "arn:") {
		kind = kind[i+1:]
	}
	if ok {
		switch kind {
		case "group", "thinggroup":
			g, err := ParseGroup(name)
			return &v1.TaggedResource{Resource: &v1.TaggedResource_Group{Group: string(g)}}, err
		case "thing-type", "thingtype":
			t, err := ParseThingType(name)
			return &v1.TaggedResource{Resource: &v1.TaggedResource_ThingType{ThingType: string(t)}}, err
		}
	}
	return nil, fmt.Errorf("resource %s is neither group/NAME nor thing-type/NAME nor an ARN of one", quote(s))
}

// FormatRegistryResource is the twin of ParseRegistryResource: group/NAME or thing-type/NAME.
func FormatRegistryResource(r *v1.TaggedResource) string {
	if g := r.GetGroup(); g != "" {
		return "group/" + g
	}
	return "thing-type/" + r.GetThingType()
}
