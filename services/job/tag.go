package job

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// The bounds of tags (specification §1.3), and how many a resource has.
const (
	tagsMax     = 50
	tagKeyMax   = 128
	tagValueMax = 256
)

const (
	fieldTags     = "tags"
	fieldTagKeys  = "tagKeys"
	fieldResource = "resourceArn"
)

// checkTags returns tags sorted by key.
func checkTags(given []*v1.Tag) ([]*v1.Tag, error) {
	if n := len(given); n > tagsMax {
		return nil, exceeded(fieldTags, "%d tags; at most %d are allowed", n, tagsMax)
	}
	for i, t := range given {
		field := fmt.Sprintf("%s[%d].", fieldTags, i)
		if t.GetKey() == "" {
			return nil, invalid(field+"Key", "it is missing; 1 to %d characters are wanted", tagKeyMax)
		}
		if err := checkTagText(field+"Key", t.GetKey(), tagKeyMax); err != nil {
			return nil, err
		}
		if err := checkTagText(field+"Value", t.GetValue(), tagValueMax); err != nil {
			return nil, err
		}
	}
	tags := slices.Clone(given)
	slices.SortStableFunc(tags, func(a, b *v1.Tag) int { return strings.Compare(a.Key, b.Key) })
	for i := 1; i < len(tags); i++ {
		if tags[i].Key == tags[i-1].Key {
			return nil, invalid(fieldTags, "the key %s is given twice; give it once", tags[i].Key)
		}
	}
	return tags, nil
}

// checkTagText: letters, separators and numbers of any script, and _.:/=+-@ (specification §1.3).
func checkTagText(field, s string, limit int) error {
	if !utf8.ValidString(s) {
		return invalid(field, "the text is not UTF-8")
	}
	if n := utf8.RuneCountInString(s); n > limit {
		return invalid(field, "the text has %d characters; at most %d are allowed", n, limit)
	}
	for _, r := range s {
		if !unicode.In(r, unicode.L, unicode.Z, unicode.N) && !strings.ContainsRune("_.:/=+-@", r) {
			return invalid(field, "the text holds %q; letters, numbers, spaces and _.:/=+-@ are allowed", r)
		}
	}
	return nil
}

// resource is what a command tags: a job or a template, with the tags that it has.
func resource(s *core.Step, ref string) (*v1.TaggedResource, []*v1.Tag, error) {
	kind, name, ok := strings.Cut(ref, "/")
	if i := strings.LastIndexByte(kind, ':'); i >= 0 && strings.HasPrefix(ref, "arn:") {
		kind = kind[i+1:]
	}
	switch {
	case ok && kind == "job":
		row, err := named(s, name)
		if err != nil {
			return nil, nil, resourceFault(err)
		}
		return &v1.TaggedResource{Resource: &v1.TaggedResource_Job{Job: row.Job}}, row.Tags, nil
	case ok && (kind == "template" || kind == "jobtemplate"):
		templateID, err := parseTemplateID(fieldResource, name)
		if err != nil {
			return nil, nil, err
		}
		row := loadTemplate(s, templateID)
		if row == nil {
			return nil, nil, noTemplate(fieldResource, templateID)
		}
		return &v1.TaggedResource{Resource: &v1.TaggedResource_TemplateId{TemplateId: templateID}}, row.Tags, nil
	case ok && slices.Contains([]string{"group", "thinggroup", "thing-type", "thingtype"}, kind):
		return nil, nil, invalid(fieldResource, "%.80q is of the registry: its tags are changed by drover.cmd.targeting.tag and untag", ref)
	}
	return nil, nil, invalid(fieldResource, "%.80q names nothing that has tags here; write job/ID, template/ID, or the ARN of one", ref)
}

// resourceFault names the field by which the resource was given.
func resourceFault(err error) error {
	if r, ok := err.(*v1.Refusal); ok {
		r.Field = fieldResource
	}
	return err
}

// tag decides TagResource: what is new or has another value is written.
func tag(s *core.Step, cmd *v1.TagResource) (*v1.TagResourceReply, error) {
	if len(cmd.Tags) == 0 {
		return nil, invalid(fieldTags, "no tag is given; give 1 to %d", tagsMax)
	}
	tags, err := checkTags(cmd.Tags)
	if err != nil {
		return nil, err
	}
	on, had, err := resource(s, cmd.Resource)
	if err != nil {
		return nil, err
	}
	if n := len(v1.WithTags(had, tags)); n > tagsMax {
		return nil, exceeded(fieldTags, "it would have %d tags; at most %d are allowed: take some off first", n, tagsMax)
	}
	tags = slices.DeleteFunc(tags, func(t *v1.Tag) bool {
		i := v1.TagIndex(had, t.Key)
		return i >= 0 && had[i].Value == t.Value
	})
	if len(tags) > 0 {
		s.Emit(&v1.Event{Event: &v1.Event_ResourceTagged{ResourceTagged: &v1.ResourceTagged{Resource: on, Tags: tags}}}, nil)
	}
	return &v1.TagResourceReply{Position: s.Position()}, nil
}

// untag decides UntagResource: keys that are not there are passed over.
func untag(s *core.Step, cmd *v1.UntagResource) (*v1.UntagResourceReply, error) {
	if err := core.CheckTagKeys(fieldTagKeys, cmd.Keys); err != nil {
		return nil, err
	}
	on, had, err := resource(s, cmd.Resource)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, t := range had {
		if slices.Contains(cmd.Keys, t.Key) {
			keys = append(keys, t.Key)
		}
	}
	if len(keys) > 0 {
		s.Emit(&v1.Event{Event: &v1.Event_ResourceUntagged{ResourceUntagged: &v1.ResourceUntagged{Resource: on, Keys: keys}}}, nil)
	}
	return &v1.UntagResourceReply{Position: s.Position()}, nil
}
