package fleet

import (
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/page"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

func thingKey(thing string) kv.Key         { return kv.NewKey(tableThing).String(thing) }
func groupKey(group string) kv.Key         { return kv.NewKey(tableGroup).String(group) }
func childKey(parent, group string) kv.Key { return kv.NewKey(tableChild).String(parent).String(group) }
func countKey(group string) kv.Key         { return kv.NewKey(tableCount).String(group) }
func typeKey(name string) kv.Key           { return kv.NewKey(tableType).String(name) }

// membersKey is before all members of a group.
func membersKey(group string, number uint64) kv.Key {
	return kv.NewKey(tableMember).String(group).Uint(number)
}
func memberKey(group string, number uint64, thing string) kv.Key {
	return membersKey(group, number).String(thing)
}
func belongsKey(thing, group string, number uint64) kv.Key {
	return kv.NewKey(tableBelongs).String(thing).String(group).Uint(number)
}

// tagsKey is before all tags of a resource.
func tagsKey(resource *v1.TaggedResource) kv.Key {
	return kv.NewKey(tableTag).String(id.FormatRegistryResource(resource))
}

// cutGroup reads a group's name and number.
func cutGroup(key []byte) (string, uint64) {
	group, rest := kv.CutString(key)
	number, _ := kv.CutUint(rest)
	return group, number
}

// tail is the last name of a key of which the first n bytes are known.
func tail(key []byte, n int) string {
	name, _ := kv.CutString(key[n:])
	return name
}

// groupsOf lists the groups that a thing is a direct member of, sorted; of one that was deleted it is none.
func groupsOf(r kv.Reader, thing string) (groups []string) {
	from := kv.NewKey(tableBelongs).String(thing)
	for key := range r.Scan(from, kv.PrefixEnd(from)) {
		if group, number := cutGroup(key[len(from):]); groupNumber(r, group) == number {
			groups = append(groups, group)
		}
	}
	return groups
}

// groupNumber is that of the group that has a name; 0 if there is none.
func groupNumber(r kv.Reader, group string) uint64 {
	value, ok := r.Get(groupKey(group))
	if !ok {
		return 0
	}
	return page.Row[v1.GroupRow](value).Number
}

// parentOf is the parent of a group; empty at the root.
func parentOf(r kv.Reader, group string) string {
	value, ok := r.Get(groupKey(group))
	if !ok {
		return ""
	}
	return page.Row[v1.GroupRow](value).Parent
}

func tagsOf(r kv.Reader, resource *v1.TaggedResource) (tags []*v1.Tag) {
	from := tagsKey(resource)
	for key, value := range r.Scan(from, kv.PrefixEnd(from)) {
		tags = append(tags, &v1.Tag{Key: tail(key, len(from)), Value: string(value)})
	}
	return tags
}
