package aws

import (
	"encoding/base64"
	"slices"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

const (
	templateName    = "templateName"
	templateVersion = "templateVersion"
)

// managedRow is a row of ListManagedJobTemplates.
type managedRow struct {
	ARN          string   `json:"templateArn"`
	Name         string   `json:"templateName"`
	Description  string   `json:"description"`
	Environments []string `json:"environments"`
	Version      string   `json:"templateVersion"`
}

// managedView is what DescribeManagedJobTemplate tells.
type managedView struct {
	managedRow
	Parameters []parameter `json:"documentParameters"`
	Document   string      `json:"document"`
}

type parameter struct {
	Key         string `json:"key"`
	Description string `json:"description"`
	Regex       string `json:"regex"`
	Example     string `json:"example"`
	Optional    bool   `json:"optional"`
}

// showManaged: a managed template's ARN names no account. (specification §1.2)
func (c *call) showManaged(t *v1.ManagedTemplate) managedRow {
	arn := "arn:aws:iot:" + c.region + "::jobtemplate/" + t.GetName() + ":" + t.GetVersion()
	return managedRow{arn, t.GetName(), t.GetDescription(), append([]string{}, t.GetEnvironments()...), t.GetVersion()}
}

func describeManagedTemplate(c *call) (any, error) {
	reply, err := ask(c, bus.DescribeManagedTemplate, &v1.DescribeManagedTemplate{Name: c.vars[templateName], Version: c.query.Get(templateVersion)})
	if err != nil {
		return nil, err
	}
	t := reply.GetTemplate()
	row := func(p *v1.TemplateParameter) parameter {
		return parameter{p.GetKey(), p.GetDescription(), p.GetRegex(), p.GetExample(), p.GetOptional()}
	}
	return managedView{c.showManaged(t), rows(t.GetParameters(), row), string(t.GetDocument())}, nil
}

// listManagedTemplates pages through the whole list: a token is the name of the last template that was shown.
func listManagedTemplates(c *call) (any, error) {
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	reply, err := ask(c, bus.ListManagedTemplates, &v1.ListManagedTemplates{Name: c.query.Get(templateName)})
	if err != nil {
		return nil, err
	}
	all := reply.GetTemplates()
	if page.Token != "" {
		last, err := base64.RawURLEncoding.DecodeString(page.Token)
		i := slices.IndexFunc(all, func(t *v1.ManagedTemplate) bool { return t.GetName() == string(last) })
		if err != nil || i < 0 {
			return nil, invalid("nextToken: the token does not go on with this list; leave it out to begin again")
		}
		all = all[i+1:]
	}
	list, next := rows(all[:min(len(all), int(page.Limit))], c.showManaged), ""
	if len(list) < len(all) {
		next = base64.RawURLEncoding.EncodeToString([]byte(list[len(list)-1].Name))
	}
	return struct {
		Templates []managedRow `json:"managedJobTemplates"`
		Next      string       `json:"nextToken,omitempty"`
	}{list, next}, nil
}
