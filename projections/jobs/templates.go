package jobs

import (
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/page"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// ListTemplates lists job templates by id, without documents.
func ListTemplates(r kv.Reader, q *v1.ListTemplates) (*v1.ListTemplatesReply, error) {
	rows, next, err := page.List(r, kv.NewKey(tableTemplate), q.GetPage(), func(_, value []byte) (*v1.TemplateRow, bool) {
		row := page.Row[v1.TemplateRow](value)
		if row.Template != nil {
			row.Template.Document = nil
		}
		return row, true
	})
	return &v1.ListTemplatesReply{Templates: rows, NextToken: next}, err
}

// DescribeTemplate tells one job template, by its id or its ARN.
func DescribeTemplate(r kv.Reader, q *v1.DescribeTemplate) (*v1.DescribeTemplateReply, error) {
	row, err := template(r, "jobTemplateId", q.GetTemplateId())
	if err != nil {
		return nil, err
	}
	return &v1.DescribeTemplateReply{Template: row}, nil
}

func template(r kv.Reader, field, ref string) (*v1.TemplateRow, error) {
	name, err := id.ParseTemplate(ref)
	if err != nil {
		return nil, page.Invalid(field, err)
	}
	row := readTemplate(r, string(name))
	if row == nil {
		return nil, page.NotFound(field, "job template", string(name))
	}
	return row, nil
}

func readTemplate(r kv.Reader, name string) *v1.TemplateRow {
	value, ok := r.Get(templateKey(name))
	if !ok {
		return nil
	}
	return page.Row[v1.TemplateRow](value)
}

// DescribeEvents tells of every category whether its events are published.
func DescribeEvents(r kv.Reader, _ *v1.DescribeEventConfigurations) (*v1.DescribeEventConfigurationsReply, error) {
	reply := &v1.DescribeEventConfigurationsReply{}
	for c := v1.EventCategory_EVENT_CATEGORY_THING; c <= v1.EventCategory_EVENT_CATEGORY_CA_CERTIFICATE; c++ {
		e := &v1.EventConfiguration{Category: c}
		if value, ok := r.Get(eventsKey(c)); ok {
			f := kv.NewFields(value)
			e.Enabled, e.ChangedAtMs = f.Bool(), f.Int()
			f.Must("an event configuration")
		}
		reply.Configurations = append(reply.Configurations, e)
		reply.LastModifiedMs = max(reply.LastModifiedMs, e.ChangedAtMs)
	}
	return reply, nil
}
