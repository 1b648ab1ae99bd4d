package core

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

func TestTagsAreHeldToTheirPattern(t *testing.T) {
	var many []*v1.Tag
	for i := range TagsMax + 1 {
		many = append(many, &v1.Tag{Key: fmt.Sprint(i)})
	}
	tests := []struct {
		name string
		tags []*v1.Tag
		says string // empty: accepted
	}{
		{"sorted by key", []*v1.Tag{{Key: "b", Value: "2"}, {Key: "a b_.:/=+-@é", Value: ""}}, ""},
		{"as many as there may be", many[:TagsMax], ""},
		{"as long as they may be", []*v1.Tag{{Key: strings.Repeat("é", 128), Value: strings.Repeat("é", 256)}}, ""},
		{"one too many", many, "at most 50"},
		{"no key", []*v1.Tag{{Value: "a"}}, "no key"},
		{"none", []*v1.Tag{nil}, "no key"},
		{"a key too long", []*v1.Tag{{Key: strings.Repeat("a", 129)}}, "at most 128"},
		{"a value too long", []*v1.Tag{{Key: "a", Value: strings.Repeat("a", 257)}}, "at most 256"},
		{"a line end", []*v1.Tag{{Key: "a\n"}}, `'\n'`},
		{"a star", []*v1.Tag{{Key: "a", Value: "*"}}, "'*'"},
		{"no UTF-8", []*v1.Tag{{Key: "a\xff"}}, "UTF-8"},
		{"a key twice", []*v1.Tag{{Key: "a"}, {Key: "b"}, {Key: "a"}}, "tag a is given twice"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			list, err := NewTags("tags", test.tags)
			if test.says == "" {
				if err != nil || len(list) != len(test.tags) {
					t.Fatal(list, err)
				}
				for i := 1; i < len(list); i++ {
					if list[i-1].Key >= list[i].Key {
						t.Errorf("%s stands before %s", list[i-1].Key, list[i].Key)
					}
				}
				return
			}
			var refusal *v1.Refusal
			if !errors.As(err, &refusal) || !strings.Contains(refusal.Message, test.says) {
				t.Errorf("got %v, want …%s…", err, test.says)
			}
		})
	}
}
