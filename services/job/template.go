package job

import (
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
	"github.com/droverhq/drover/services/job/template"
)

const (
	fieldTemplate   = "jobTemplateId"
	fieldFrom       = "jobTemplateArn"
	fieldParameters = "documentParameters"
)

// parseTemplateID reads a template's id, or its ARN. Its form is a job id's (specification §1.3).
func parseTemplateID(field, s string) (string, error) {
	name, err := id.ParseTemplate(s)
	if err != nil {
		return "", invalid(field, "%v", err)
	}
	return string(name), nil
}

func templateKey(templateID string) kv.Key { return kv.NewKey(tableTemplate).String(templateID) }

// loadTemplate is the row of a template, or nil.
func loadTemplate(r kv.Reader, templateID string) *v1.TemplateRow {
	value, ok := r.Get(templateKey(templateID))
	if !ok {
		return nil
	}
	row := new(v1.TemplateRow)
	decode(row, value)
	return row
}

func noTemplate(field, ref string) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, field, "there is no job template %.120s", ref)
}

// createTemplate decides CreateTemplate: specification §2.8.
func (j jobs) createTemplate(s *core.Step, cmd *v1.CreateTemplate) (*v1.CreateTemplateReply, error) {
	t, err := j.templateOf(s, cmd)
	if err != nil {
		return nil, err
	}
	tags, err := checkTags(cmd.Tags)
	if err != nil {
		return nil, err
	}
	event := &v1.JobTemplateCreated{Template: t, Tags: tags}
	if err := checkSize(event.SizeVT()); err != nil {
		return nil, err
	}
	if loadTemplate(s, t.TemplateId) != nil {
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_ALREADY_EXISTS, fieldTemplate, "job template %s exists already; choose another id", t.TemplateId)
	}
	if n := count(s, templates); n >= j.limits.TemplatesMax {
		return nil, exceeded(fieldTemplate, "%d job templates exist; at most %d are allowed: delete some", n, j.limits.TemplatesMax)
	}
	s.Emit(&v1.Event{Event: &v1.Event_JobTemplateCreated{JobTemplateCreated: event}}, nil)
	return &v1.CreateTemplateReply{Position: s.Position()}, nil
}

// templateOf checks a template, with what it copies of a job.
func (j jobs) templateOf(s *core.Step, cmd *v1.CreateTemplate) (*v1.JobTemplate, error) {
	t := new(v1.JobTemplate)
	if cmd.Template != nil {
		t = proto.CloneOf(cmd.Template)
	}
	templateID, err := parseTemplateID(fieldTemplate, t.TemplateId)
	if err != nil {
		return nil, err
	}
	t.TemplateId = templateID
	if t.Description == "" {
		return nil, invalid(fieldDescription, "it is missing; a job template has a description of 1 to %d characters", descriptionMax)
	}
	if err := core.CheckText(fieldDescription, t.Description, descriptionMax); err != nil {
		return nil, err
	}
	if cmd.JobId != "" {
		if len(t.Document) > 0 {
			return nil, invalid("jobArn", "a job and a document are both given; give one of them")
		}
		row, err := named(s, cmd.JobId)
		if err != nil {
			return nil, err
		}
		complete(s, row)
		copyJob(t, row)
	}
	if err := checkDocument(t.Document); err != nil {
		return nil, err
	}
	if _, err := j.limits.rollout(t.Rollout); err != nil {
		return nil, err
	}
	if err := checkConfig(t); err != nil {
		return nil, err
	}
	if _, err := checkWindows("maintenanceWindows", t.Windows); err != nil {
		return nil, err
	}
	return t, checkPackages(t.DestinationPackageVersions)
}

// copyJob fills in from a job what a template leaves out. Targets, selection, start and end are not kept.
func copyJob(t *v1.JobTemplate, row *v1.JobRow) {
	t.Document = row.Document
	inherit(&t.Rollout, row.Rollout)
	inherit(&t.Abort, row.Abort)
	inherit(&t.Timeout, row.Timeout)
	inherit(&t.Retry, row.Retry)
	inherit(&t.PresignedUrl, row.PresignedUrl)
	if len(t.Windows) == 0 {
		t.Windows = row.Scheduling.GetWindows()
	}
	if len(t.DestinationPackageVersions) == 0 {
		t.DestinationPackageVersions = row.DestinationPackageVersions
	}
}

// inherit takes another's configuration where there is none.
func inherit[M any](own **M, other *M) {
	if *own == nil {
		*own = other
	}
}

func (j jobs) deleteTemplate(s *core.Step, cmd *v1.DeleteTemplate) (*v1.DeleteTemplateReply, error) {
	templateID, err := parseTemplateID(fieldTemplate, cmd.TemplateId)
	if err != nil {
		return nil, err
	}
	if loadTemplate(s, templateID) == nil {
		return nil, noTemplate(fieldTemplate, templateID)
	}
	s.Emit(&v1.Event{Event: &v1.Event_JobTemplateDeleted{JobTemplateDeleted: &v1.JobTemplateDeleted{TemplateId: templateID}}}, nil)
	return &v1.DeleteTemplateReply{Position: s.Position()}, nil
}

// fromTemplate fills in what a CreateJob takes from its template: what the command says itself wins. An id names an own
// template before a managed one; an ARN says which it is. (specification §2.4)
func fromTemplate(s *core.Step, cmd *v1.CreateJob) (*v1.CreateJob, error) {
	ref := cmd.JobTemplate
	if ref == "" {
		if len(cmd.DocumentParameters) > 0 {
			return nil, invalid(fieldParameters, "parameters are given without a managed template; name one as %s, or leave them out", fieldFrom)
		}
		return cmd, nil
	}
	filled := proto.CloneOf(cmd)
	managed := template.Find(ref)
	var own *v1.TemplateRow
	if templateID, err := parseTemplateID(fieldFrom, ref); err == nil && (managed == nil || !strings.HasPrefix(ref, "arn:")) {
		own = loadTemplate(s, templateID)
	} else if managed == nil && err != nil {
		return nil, noTemplate(fieldFrom, ref)
	}
	switch {
	case own == nil && managed == nil:
		return nil, noTemplate(fieldFrom, ref)
	case len(cmd.DocumentParameters) > 0 && (own != nil || len(cmd.Document) > 0):
		return nil, invalid(fieldParameters, "parameters belong to the document of a managed template, and the job has another document; leave them out")
	case own != nil:
		merge(filled, own.Template)
		return filled, nil
	case len(cmd.Document) > 0:
		return filled, nil
	}
	var err error
	filled.Document, filled.DocumentParameters, err = template.Document(managed, cmd.DocumentParameters)
	return filled, err
}

func merge(c *v1.CreateJob, t *v1.JobTemplate) {
	if len(c.Document) == 0 {
		c.Document = t.Document
	}
	if c.Description == "" {
		c.Description = t.Description
	}
	inherit(&c.Rollout, t.Rollout)
	inherit(&c.Abort, t.Abort)
	inherit(&c.Timeout, t.Timeout)
	inherit(&c.Retry, t.Retry)
	inherit(&c.PresignedUrl, t.PresignedUrl)
	if len(t.Windows) > 0 && len(c.Scheduling.GetWindows()) == 0 {
		if c.Scheduling == nil {
			c.Scheduling = &v1.SchedulingConfig{}
		}
		c.Scheduling.Windows = t.Windows
	}
	if len(c.DestinationPackageVersions) == 0 {
		c.DestinationPackageVersions = t.DestinationPackageVersions
	}
}
