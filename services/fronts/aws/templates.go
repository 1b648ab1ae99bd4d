package aws

import (
	"net/http"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

// Job templates, own and managed. (specification §2.8 and §2.9)
func templateOperations() []*operation {
	const path, managed = "/job-templates/{jobTemplateId}", "/managed-job-templates"
	return []*operation{
		op("CreateJobTemplate", http.MethodPut, path, createTemplate).fails(resourceNotFound, conflict, limitExceeded),
		op("DescribeJobTemplate", http.MethodGet, path, describeTemplate).fails(resourceNotFound),
		op("DeleteJobTemplate", http.MethodDelete, path, deleteTemplate).fails(resourceNotFound),
		op("ListJobTemplates", http.MethodGet, "/job-templates", listTemplates, maxResults, nextToken).fails(),
		op("ListManagedJobTemplates", http.MethodGet, managed, listManagedTemplates, templateName, maxResults, nextToken).fails(resourceNotFound),
		op("DescribeManagedJobTemplate", http.MethodGet, managed+"/{templateName}", describeManagedTemplate, templateVersion).fails(resourceNotFound),
	}
}

func (c *call) template() (string, error) {
	return checked("jobTemplateId", c.vars["jobTemplateId"], id.ParseTemplate)
}

func createTemplate(c *call) (any, error) {
	template, err := c.template()
	if err != nil {
		return nil, err
	}
	q, err := body.CreateTemplate(c.body)
	if err != nil {
		return nil, err
	}
	q.Template.TemplateId = template
	if _, err := tell(c, bus.CreateTemplate, q); err != nil {
		return nil, c.conflicts(err, template)
	}
	return struct {
		ARN string `json:"jobTemplateArn"`
		ID  string `json:"jobTemplateId"`
	}{c.arn("jobtemplate", template), template}, nil
}

// templateView is what DescribeJobTemplate tells.
type templateView struct {
	templateRow
	Document        string                   `json:"document"`
	Presigned       *body.PresignedURLConfig `json:"presignedUrlConfig,omitempty"`
	Rollout         *body.RolloutConfig      `json:"jobExecutionsRolloutConfig,omitempty"`
	Abort           *body.AbortConfig        `json:"abortConfig,omitempty"`
	Timeout         *body.TimeoutConfig      `json:"timeoutConfig,omitempty"`
	Retry           *body.RetryConfig        `json:"jobExecutionsRetryConfig,omitempty"`
	Windows         []body.MaintenanceWindow `json:"maintenanceWindows,omitempty"`
	PackageVersions []string                 `json:"destinationPackageVersions,omitempty"`
}

// templateRow is a row of ListJobTemplates.
type templateRow struct {
	ARN         string `json:"jobTemplateArn"`
	ID          string `json:"jobTemplateId"`
	Description string `json:"description"`
	CreatedAt   moment `json:"createdAt"`
}

func (c *call) showTemplate(t *v1.TemplateRow) templateRow {
	x := t.GetTemplate()
	return templateRow{c.arn("jobtemplate", x.GetTemplateId()), x.GetTemplateId(), x.GetDescription(), moment(t.GetCreatedAtMs())}
}

func describeTemplate(c *call) (any, error) {
	template, err := c.template()
	if err != nil {
		return nil, err
	}
	reply, err := ask(c, bus.DescribeTemplate, &v1.DescribeTemplate{Freshness: fresh, TemplateId: template})
	if err != nil {
		return nil, err
	}
	t := reply.GetTemplate().GetTemplate()
	return templateView{
		templateRow: c.showTemplate(reply.GetTemplate()), Document: string(t.GetDocument()), Presigned: body.ShowPresignedURL(t.GetPresignedUrl()),
		Rollout: body.ShowRollout(t.GetRollout()), Abort: body.ShowAbort(t.GetAbort()), Timeout: body.ShowTimeout(t.GetTimeout()),
		Retry: body.ShowRetry(t.GetRetry()), Windows: body.ShowWindows(t.GetWindows()), PackageVersions: t.GetDestinationPackageVersions(),
	}, nil
}

func deleteTemplate(c *call) (any, error) {
	template, err := c.template()
	if err != nil {
		return nil, err
	}
	_, err = tell(c, bus.DeleteTemplate, &v1.DeleteTemplate{TemplateId: template})
	return nil, err
}

func listTemplates(c *call) (any, error) {
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	reply, err := ask(c, bus.ListTemplates, &v1.ListTemplates{Freshness: fresh, Page: page})
	if err != nil {
		return nil, err
	}
	return struct {
		Templates []templateRow `json:"jobTemplates"`
		Next      string        `json:"nextToken,omitempty"`
	}{rows(reply.GetTemplates(), c.showTemplate), reply.GetNextToken()}, nil
}
