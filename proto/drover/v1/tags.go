package droverv1

import (
	"slices"
	"strings"
)

// WithTags are tags with more of them, sorted by key: what ResourceTagged makes of a job's or a template's tags.
func WithTags(had, more []*Tag) []*Tag {
	all := slices.Clone(had)
	for _, t := range more {
		if i := TagIndex(all, t.Key); i >= 0 {
			all[i] = t
		} else {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b *Tag) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// WithoutTags are tags without some of them: what ResourceUntagged makes of them.
func WithoutTags(had []*Tag, keys []string) []*Tag {
	return slices.DeleteFunc(slices.Clone(had), func(t *Tag) bool { return slices.Contains(keys, t.Key) })
}

// TagIndex is where the tag with a key stands; -1 if there is none.
func TagIndex(tags []*Tag, key string) int {
	return slices.IndexFunc(tags, func(t *Tag) bool { return t.Key == key })
}
