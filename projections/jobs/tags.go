package jobs

import (
	"strings"

	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/page"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// retag changes the tags of a job or a template, and nothing else of it.
func retag(tx kv.Tx, on *v1.TaggedResource, change func([]*v1.Tag) []*v1.Tag) {
	if job := on.GetJob(); job != 0 {
		if row := read(tx, job); row != nil {
			row.Tags = change(row.Tags)
			tx.Set(rowKey(job), page.Value(row))
		}
		return
	}
	if row := readTemplate(tx, on.GetTemplateId()); row != nil {
		row.Tags = change(row.Tags)
		tx.Set(templateKey(on.GetTemplateId()), page.Value(row))
	}
}

// ListTags tells the tags of a job or a template, named as TagResource names it.
func ListTags(r kv.Reader, q *v1.ListTags) (*v1.ListTagsReply, error) {
	kind, name, _ := strings.Cut(q.GetResource(), "/")
	if i := strings.LastIndexByte(kind, ':'); i >= 0 && strings.HasPrefix(kind, "arn:") {
		kind = kind[i+1:]
	}
	switch kind {
	case "job":
		number, err := Number(r, name)
		if err != nil {
			return nil, err
		}
		return &v1.ListTagsReply{Tags: read(r, number).Tags}, nil
	case "template", "jobtemplate":
		row, err := template(r, "resourceArn", name)
		if err != nil {
			return nil, err
		}
		return &v1.ListTagsReply{Tags: row.Tags}, nil
	}
	return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "resourceArn", "%.80q names neither a job nor a template; write job/ID, template/ID, or the ARN of one", q.GetResource())
}
