// Package template holds the managed templates: documents with parameters, of which a job is made by naming values.
//
// It promises that the document that comes of a template has every parameter's value in its place, checked, and nothing
// left to fill in. Templates that people make are the job core's own. (specification §2.9)
package template

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
	"github.com/droverhq/drover/services/job/document"
)

// The bounds of a parameter, in characters (specification §1.3).
const (
	keyMax   = 128
	valueMax = 30_720
	pathMax  = 4096 // of pathToHandler (specification §2.9)
)

const field = "documentParameters"

// Version is that of every template; there is one of each.
const Version = "1.0"

// Find is the managed template that a reference names: NAME, NAME:VERSION, or its ARN, whose account is empty; nil if
// there is none.
func Find(ref string) *v1.ManagedTemplate {
	if strings.HasPrefix(ref, "arn:") {
		parts := strings.SplitN(ref, ":", 6)
		if len(parts) != 6 || parts[4] != "" {
			return nil
		}
		var ok bool
		if ref, ok = strings.CutPrefix(parts[5], "jobtemplate/"); !ok {
			return nil
		}
	}
	name, version, versioned := strings.Cut(ref, ":")
	if versioned && version != Version {
		return nil
	}
	for _, t := range All() {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Document is the text that comes of a template and values. The values come back sorted by key.
func Document(t *v1.ManagedTemplate, given []*v1.Parameter) ([]byte, []*v1.Parameter, error) {
	values := slices.Clone(given)
	slices.SortStableFunc(values, func(a, b *v1.Parameter) int { return strings.Compare(a.GetKey(), b.GetKey()) })
	for i, p := range values {
		if i > 0 && p.GetKey() == values[i-1].GetKey() {
			return nil, nil, refuse(p.GetKey(), "the parameter is given twice; give it once")
		}
		if err := check(t, p); err != nil {
			return nil, nil, err
		}
	}
	find := func(key string) (string, bool) {
		for _, p := range values {
			if p.GetKey() == key {
				return p.GetValue(), true
			}
		}
		return "", false
	}
	for _, p := range t.Parameters {
		if _, ok := find(p.Key); !ok && !p.Optional {
			return nil, nil, refuse(p.Key, "template %s needs it: %s; for example %s", t.Name, p.Description, p.Example)
		}
	}
	text, err := document.Substitute(t.Document, func(key string) (string, bool) {
		v, _ := find(key) // one that is left out is empty
		return v, parameterOf(t, key) != nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("template %s: %w", t.Name, err)
	}
	return text, values, nil
}

func check(t *v1.ManagedTemplate, p *v1.Parameter) error {
	key, value := p.GetKey(), p.GetValue()
	known := parameterOf(t, key)
	if known == nil {
		var keys []string
		for _, k := range t.Parameters {
			keys = append(keys, k.Key)
		}
		return refuse(fmt.Sprintf("%.*s", keyMax, key), "template %s has no such parameter; it has %s", t.Name, strings.Join(keys, ", "))
	}
	if value == "" {
		return refuse(key, "the value is empty; 1 to %d characters are allowed, and an optional parameter can be left out", valueMax)
	}
	limit := valueMax
	if key == "pathToHandler" {
		limit = pathMax
	}
	if err := core.CheckText(field+"."+key, value, limit); err != nil {
		return err
	}
	if !regexp.MustCompile(`^(?:` + known.Regex + `)$`).MatchString(value) {
		return refuse(key, "the value does not match %s; for example %s", known.Regex, known.Example)
	}
	return nil
}

func parameterOf(t *v1.ManagedTemplate, key string) *v1.TemplateParameter {
	for _, p := range t.Parameters {
		if p.Key == key {
			return p
		}
	}
	return nil
}

func refuse(key, format string, args ...any) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, field+"."+key, format, args...)
}

// List answers ListManagedTemplates: without documents and parameters, by name.
func List(q *v1.ListManagedTemplates) (*v1.ListManagedTemplatesReply, error) {
	reply := &v1.ListManagedTemplatesReply{}
	for _, t := range All() {
		if q.GetName() == "" || q.GetName() == t.Name {
			t.Document, t.Parameters = nil, nil
			reply.Templates = append(reply.Templates, t)
		}
	}
	return reply, nil
}

// Describe answers DescribeManagedTemplate.
func Describe(q *v1.DescribeManagedTemplate) (*v1.DescribeManagedTemplateReply, error) {
	ref := q.GetName()
	if v := q.GetVersion(); v != "" {
		ref += ":" + v
	}
	t := Find(ref)
	if t == nil {
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "templateName", "there is no managed template %.80s", ref)
	}
	return &v1.DescribeManagedTemplateReply{Template: t}, nil
}
