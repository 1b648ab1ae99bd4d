package aws

import (
	"net/http"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

// Tags: of jobs and templates, which the job service keeps, and of groups and thing types, which the registry keeps.
// (specification §2.3)
func tagOperations() []*operation {
	return []*operation{
		op("TagResource", http.MethodPost, "/tags", tagResource).fails(resourceNotFound, limitExceeded),
		op("UntagResource", http.MethodPost, "/untag", untagResource).fails(resourceNotFound),
		op("ListTagsForResource", http.MethodGet, "/tags", listTags, "resourceArn", nextToken).fails(resourceNotFound),
	}
}

// kept picks the operation of the service that keeps a resource's tags.
func kept[O any](resource string, jobs, registry O) (O, error) {
	ofRegistry, err := body.OfRegistry(resource)
	if ofRegistry {
		return registry, nil
	}
	return jobs, err
}

func tagResource(c *call) (any, error) {
	q, err := body.TagResource(c.body)
	if err != nil {
		return nil, err
	}
	tag, err := kept(q.GetResource(), bus.TagJobs, bus.TagRegistry)
	if err != nil {
		return nil, err
	}
	_, err = tell(c, tag, q)
	return nil, err
}

func untagResource(c *call) (any, error) {
	q, err := body.UntagResource(c.body)
	if err != nil {
		return nil, err
	}
	untag, err := kept(q.GetResource(), bus.UntagJobs, bus.UntagRegistry)
	if err != nil {
		return nil, err
	}
	_, err = tell(c, untag, q)
	return nil, err
}

// listTags answers with all tags at once: there are at most 50, so no token was ever given out.
func listTags(c *call) (any, error) {
	if c.query.Get(nextToken) != "" {
		return nil, invalid("nextToken: the token does not go on with this list; leave it out")
	}
	resource := c.query.Get("resourceArn")
	list, err := kept(resource, bus.ListJobTags, bus.ListRegistryTags)
	if err != nil {
		return nil, err
	}
	reply, err := ask(c, list, &v1.ListTags{Freshness: fresh, Resource: resource})
	if err != nil {
		return nil, err
	}
	return struct {
		Tags []tag `json:"tags"`
	}{rows(reply.GetTags(), func(t *v1.Tag) tag { return tag{t.GetKey(), t.GetValue()} })}, nil
}

type tag struct {
	Key   string `json:"Key"`
	Value string `json:"Value"`
}
