package core

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// The bounds of tags, in characters (specification §1.3), and of how many stand on one resource.
const (
	TagsMax     = 50
	tagKeyMax   = 128
	tagValueMax = 256
)

// NewTags is a list of tags as events hold it: copied, sorted by key. It refuses a key or a value that is none, a key
// given twice, and more than TagsMax.
func NewTags(field string, tags []*v1.Tag) ([]*v1.Tag, error) {
	if len(tags) > TagsMax {
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_LIMIT_EXCEEDED, field, "%d tags; a resource has at most %d", len(tags), TagsMax)
	}
	var list []*v1.Tag
	for _, t := range tags {
		if err := CheckTagKey(field, t.GetKey()); err != nil {
			return nil, err
		}
		if err := checkTag(field, "the value of tag "+t.Key, t.GetValue(), tagValueMax); err != nil {
			return nil, err
		}
		list = append(list, &v1.Tag{Key: t.Key, Value: t.Value})
	}
	slices.SortFunc(list, func(a, b *v1.Tag) int { return strings.Compare(a.Key, b.Key) })
	for i := 1; i < len(list); i++ {
		if list[i].Key == list[i-1].Key {
			return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, field, "tag %s is given twice", list[i].Key)
		}
	}
	return list, nil
}

// CheckTagKeys refuses what are no keys of tags, and more than a resource has tags. (specification §1.3)
func CheckTagKeys(field string, keys []string) error {
	if n := len(keys); n == 0 || n > TagsMax {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, field, "%d keys are given; give 1 to %d", n, TagsMax)
	}
	for i, key := range keys {
		if err := CheckTagKey(fmt.Sprintf("%s[%d]", field, i), key); err != nil {
			return err
		}
	}
	return nil
}

// CheckTagKey refuses what is no key of a tag.
func CheckTagKey(field, key string) error {
	if key == "" {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, field, "a tag has no key; 1 to %d characters are allowed", tagKeyMax)
	}
	return checkTag(field, "the key of a tag", key, tagKeyMax)
}

// checkTag holds a text against [\p{L}\p{Z}\p{N}_.:/=+\-@]* (specification §1.3).
func checkTag(field, what, text string, limit int) error {
	if n := utf8.RuneCountInString(text); !utf8.ValidString(text) || n > limit {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, field, "%s has %d characters; at most %d of UTF-8 are allowed", what, n, limit)
	}
	for _, r := range text {
		if !unicode.In(r, unicode.L, unicode.Z, unicode.N) && !strings.ContainsRune("_.:/=+-@", r) {
			return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, field, "%s holds %q; letters, digits, spaces and _.:/=+-@ are allowed", what, r)
		}
	}
	return nil
}
