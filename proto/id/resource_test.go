package id

import "testing"

func TestResourcesOfTheRegistryAreReadAsTheyAreWritten(t *testing.T) {
	for s, want := range map[string]string{
		"group/presses": "group/presses", "thinggroup/a:b": "group/a:b", "thing-type/press": "thing-type/press",
		"arn:aws:iot:eu-west-1:123456789012:thinggroup/presses": "group/presses",
		"arn:aws:iot:eu-west-1:123456789012:thingtype/press":    "thing-type/press",
	} {
		r, err := ParseRegistryResource(s)
		if err != nil || FormatRegistryResource(r) != want {
			t.Errorf("%q is %s, %v; want %s", s, FormatRegistryResource(r), err, want)
		}
	}
	for _, s := range []string{"", "presses", "group/", "group/a.b", "thing/a", "job/a", "thing-type/a*", "arn:aws:iot:eu-west-1:1:thing/a"} {
		if r, err := ParseRegistryResource(s); err == nil {
			t.Errorf("%q is read as %v", s, r)
		}
	}
}
