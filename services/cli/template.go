package cli

import (
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

func templateCommand(a *app) *cobra.Command {
	return parent("template", "Keep what jobs have in common",
		`A template keeps a document and a configuration; jobs are created from it (drover job create --template). It never changes,
and deleting it changes no job. Managed templates come with Drover, and have parameters (--managed).`,
		`  drover template create nightly --document @nightly.json --description "nightly update"
  drover template list --managed`,
		templateCreate(a), templateList(a), templateDescribe(a), templateDelete(a))
}

type templateView struct {
	TemplateID  string                   `json:"jobTemplateId"`
	Description string                   `json:"description"`
	Document    string                   `json:"document,omitempty"`
	Rollout     *body.RolloutConfig      `json:"jobExecutionsRolloutConfig,omitempty"`
	Abort       *body.AbortConfig        `json:"abortConfig,omitempty"`
	Retry       *body.RetryConfig        `json:"jobExecutionsRetryConfig,omitempty"`
	Timeout     *body.TimeoutConfig      `json:"timeoutConfig,omitempty"`
	Presigned   *body.PresignedURLConfig `json:"presignedUrlConfig,omitempty"`
	Windows     []body.MaintenanceWindow `json:"maintenanceWindows,omitempty"`
	Packages    []string                 `json:"destinationPackageVersions,omitempty"`
	Tags        []tagView                `json:"tags,omitempty"`
	CreatedAt   string                   `json:"createdAt"`
}

func viewTemplate(t *v1.TemplateRow) templateView {
	x := t.GetTemplate()
	return templateView{
		TemplateID: x.GetTemplateId(), Description: x.GetDescription(), Document: string(x.GetDocument()), Rollout: body.ShowRollout(x.GetRollout()),
		Abort: body.ShowAbort(x.GetAbort()), Retry: body.ShowRetry(x.GetRetry()), Timeout: body.ShowTimeout(x.GetTimeout()), Presigned: body.ShowPresignedURL(x.GetPresignedUrl()),
		Windows: body.ShowWindows(x.GetWindows()), Packages: x.GetDestinationPackageVersions(), Tags: viewTags(t.GetTags()), CreatedAt: moment(t.GetCreatedAtMs()),
	}
}

type managedView struct {
	Name         string          `json:"templateName"`
	Version      string          `json:"templateVersion"`
	Description  string          `json:"description"`
	Environments []string        `json:"environments"`
	Parameters   []parameterView `json:"documentParameters,omitempty"`
	Document     string          `json:"document,omitempty"`
}

type parameterView struct {
	Key         string `json:"key"`
	Description string `json:"description,omitempty"`
	Regex       string `json:"regex,omitempty"`
	Example     string `json:"example,omitempty"`
	Optional    bool   `json:"optional"`
}

func viewManaged(t *v1.ManagedTemplate) managedView {
	v := managedView{
		Name: t.GetName(), Version: t.GetVersion(), Description: t.GetDescription(), Environments: append([]string{}, t.GetEnvironments()...),
		Document: string(t.GetDocument()),
	}
	for _, p := range t.GetParameters() {
		v.Parameters = append(v.Parameters, parameterView{p.GetKey(), p.GetDescription(), p.GetRegex(), p.GetExample(), p.GetOptional()})
	}
	return v
}
