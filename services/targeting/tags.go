package targeting

import (
	"slices"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

func groupResource(name string) *v1.TaggedResource {
	return &v1.TaggedResource{Resource: &v1.TaggedResource_Group{Group: name}}
}

func typeResource(name string) *v1.TaggedResource {
	return &v1.TaggedResource{Resource: &v1.TaggedResource_ThingType{ThingType: name}}
}

// tagResource decides TagResource for groups and thing types: what is new or has another value becomes an event.
func tagResource(s *core.Step, cmd *v1.TagResource) (*v1.TagResourceReply, error) {
	resource, err := parseResource(s, cmd.Resource)
	if err != nil {
		return nil, err
	}
	tags, err := core.NewTags(fieldTags, cmd.Tags)
	if err != nil {
		return nil, err
	}
	have := loadTags(s, resource)
	total := len(have)
	tags = slices.DeleteFunc(tags, func(t *v1.Tag) bool {
		i := slices.IndexFunc(have, func(h *v1.Tag) bool { return h.Key == t.Key })
		if i < 0 {
			total++
		}
		return i >= 0 && have[i].Value == t.Value
	})
	if total > core.TagsMax {
		return nil, limitExceeded(fieldTags, "%s would have %d tags; at most %d are allowed", id.FormatRegistryResource(resource), total, core.TagsMax)
	}
	if len(tags) > 0 {
		s.Emit(&v1.Event{Event: &v1.Event_RegistryTagged{RegistryTagged: &v1.RegistryTagged{Resource: resource, Tags: tags}}}, nil)
	}
	return &v1.TagResourceReply{Position: s.Position()}, nil
}

// untagResource decides UntagResource: keys that are not there are passed over.
func untagResource(s *core.Step, cmd *v1.UntagResource) (*v1.UntagResourceReply, error) {
	resource, err := parseResource(s, cmd.Resource)
	if err != nil {
		return nil, err
	}
	if err := core.CheckTagKeys(fieldTagKeys, cmd.Keys); err != nil {
		return nil, err
	}
	var keys []string
	for _, t := range loadTags(s, resource) {
		if slices.Contains(cmd.Keys, t.Key) {
			keys = append(keys, t.Key)
		}
	}
	if len(keys) > 0 {
		s.Emit(&v1.Event{Event: &v1.Event_RegistryUntagged{RegistryUntagged: &v1.RegistryUntagged{Resource: resource, Keys: keys}}}, nil)
	}
	return &v1.UntagResourceReply{Position: s.Position()}, nil
}

// parseResource finds the group or the thing type that a command names.
func parseResource(s *core.Step, text string) (*v1.TaggedResource, error) {
	resource, err := id.ParseRegistryResource(text)
	if err != nil {
		return nil, invalid(fieldResource, "%v", err)
	}
	known := has(s, typeKey(resource.GetThingType()))
	if group := resource.GetGroup(); group != "" {
		_, known = findGroup(s, id.Group(group))
	}
	if !known {
		return nil, notFound(fieldResource, "there is no %s", id.FormatRegistryResource(resource))
	}
	return resource, nil
}

// repeatsTags says that a repeated creation gives no tags, or those that are there.
func repeatsTags(s *core.Step, resource *v1.TaggedResource, tags []*v1.Tag) bool {
	return len(tags) == 0 || slices.EqualFunc(loadTags(s, resource), tags, func(a, b *v1.Tag) bool { return a.Key == b.Key && a.Value == b.Value })
}

// tagsKey is before all tags of a resource.
func tagsKey(resource *v1.TaggedResource) kv.Key {
	return kv.NewKey(tableTag).String(id.FormatRegistryResource(resource))
}

func loadTags(r kv.Reader, resource *v1.TaggedResource) (tags []*v1.Tag) {
	from := tagsKey(resource)
	for k, v := range r.Scan(from, kv.PrefixEnd(from)) {
		key, _ := kv.CutString(k[len(from):])
		tags = append(tags, &v1.Tag{Key: key, Value: string(v)})
	}
	return tags
}

func storeTags(tx kv.Tx, resource *v1.TaggedResource, tags []*v1.Tag) {
	for _, t := range tags {
		tx.Set(tagsKey(resource).String(t.Key), []byte(t.Value))
	}
}
