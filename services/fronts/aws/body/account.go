package body

import (
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// TagResource reads the body of TagResource. (specification §2.3)
func TagResource(text []byte) (*v1.TagResource, error) {
	q, given := new(v1.TagResource), false
	err := Decode(text, map[string]func(Field) error{
		"resourceArn": intoText(&q.Resource),
		"tags":        func(f Field) error { given = true; return into(&q.Tags, Field.Tags)(f) },
	})
	if err == nil && !given {
		err = invalid("tags", "is missing")
	}
	return q, err
}

// UntagResource reads the body of UntagResource. (specification §2.3)
func UntagResource(text []byte) (*v1.UntagResource, error) {
	q, given := new(v1.UntagResource), false
	err := Decode(text, map[string]func(Field) error{
		"resourceArn": intoText(&q.Resource),
		"tagKeys":     func(f Field) error { given = true; return into(&q.Keys, Field.Texts)(f) },
	})
	if err == nil && !given {
		err = invalid("tagKeys", "is missing")
	}
	return q, err
}

// OfRegistry says whether a resource that may have tags is kept by the registry (groups, thing types) and not by the job service
// (jobs, templates): an ARN, or job/ID, template/ID, group/NAME, thing-type/NAME.
func OfRegistry(resource string) (bool, error) {
	kind, name, ok := strings.Cut(resource, "/")
	if strings.HasPrefix(resource, "arn:") {
		kind = kind[strings.LastIndexByte(kind, ':')+1:]
	}
	if ok && name != "" {
		switch kind {
		case "job", "template", "jobtemplate":
			return false, nil
		case "group", "thinggroup", "thing-type", "thingtype":
			return true, nil
		}
	}
	return false, invalid("resourceArn", "%.80q is none of job/ID, template/ID, group/NAME, thing-type/NAME, or an ARN of one", resource)
}

// ConfigureEvents reads the body of UpdateEventConfigurations. A category without Enabled is switched off: aws-sdk-go-v2 leaves
// out what is false. (specification §2.10)
func ConfigureEvents(text []byte) (*v1.ConfigureEvents, error) {
	q := new(v1.ConfigureEvents)
	err := Decode(text, map[string]func(Field) error{"eventConfigurations": func(f Field) error {
		categories, err := f.Object()
		if err != nil {
			return err
		}
		for _, m := range categories {
			n, err := Enum(f.Path, m.Name, v1.EventCategory(0))
			if err != nil {
				return err
			}
			c := &v1.EventConfiguration{Category: v1.EventCategory(n)}
			err = m.Members(map[string]func(Field) error{"Enabled": into(&c.Enabled, Field.Bool)})
			if err != nil {
				return err
			}
			q.Configurations = append(q.Configurations, c)
		}
		return nil
	}})
	return q, err
}
