package template_test

import (
	"errors"
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/job/document"
	"github.com/droverhq/drover/services/job/template"
)

func parameters(pairs ...string) (list []*v1.Parameter) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, &v1.Parameter{Key: pairs[i], Value: pairs[i+1]})
	}
	return list
}

func TestADocumentComesOfATemplateAndValues(t *testing.T) {
	for _, test := range []struct {
		ref   string
		given []*v1.Parameter
		want  string
	}{
		{"AWS-Reboot", nil, `{"version":"1.0","steps":[{"action":{"name":"Reboot","type":"runHandler","input":{"handler":"reboot.sh","path":""},"runAsUser":""}}]}`},
		{"arn:aws:iot:eu-west-1::jobtemplate/AWS-Download-File:1.0", parameters("filePath", `/tmp/"a"`, "downloadUrl", "https://example.com/a", "runAsUser", "root", "pathToHandler", "/opt"),
			`{"version":"1.0","steps":[{"action":{"name":"Download-File","type":"runHandler","input":{"handler":"download-file.sh","args":["https://example.com/a","/tmp/\"a\""],"path":"/opt"},"runAsUser":"root"}}]}`},
		{"AWS-Run-Command:1.0", parameters("command", `echo,a\,b`), `{"version":"1.0","steps":[{"action":{"name":"Run-Command","type":"runCommand","input":{"command":"echo,a\\,b"},"runAsUser":""}}]}`},
	} {
		found := template.Find(test.ref)
		if found == nil {
			t.Fatalf("%s is not found", test.ref)
		}
		got, sorted, err := template.Document(found, test.given)
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", test.ref, err, got, test.want)
		}
		if len(sorted) != len(test.given) || len(sorted) == 4 && sorted[0].Key != "downloadUrl" {
			t.Errorf("%s: the values: %v", test.ref, sorted)
		}
		if err := document.Check(got); err != nil {
			t.Errorf("%s: %v", test.ref, err)
		}
	}
}

func TestBadValuesAreRefusedByName(t *testing.T) {
	for _, test := range []struct {
		name, ref   string
		given       []*v1.Parameter
		field, says string
	}{
		{"a missing one", "AWS-Download-File", parameters("downloadUrl", "https://a"), "documentParameters.filePath", "needs it"},
		{"an unknown one", "AWS-Reboot", parameters("now", "yes"), "documentParameters.now", "it has runAsUser, pathToHandler"},
		{"one of another template", "AWS-Run-Command", parameters("command", "a", "pathToHandler", "/a"), "documentParameters.pathToHandler", "no such parameter"},
		{"an empty one", "AWS-Reboot", parameters("runAsUser", ""), "documentParameters.runAsUser", "empty"},
		{"one given twice", "AWS-Reboot", parameters("runAsUser", "a", "runAsUser", "b"), "documentParameters.runAsUser", "twice"},
		{"one that does not match", "AWS-Download-File", parameters("downloadUrl", "a b", "filePath", "c"), "documentParameters.downloadUrl", "does not match"},
		{"a user of 257 characters", "AWS-Reboot", parameters("runAsUser", strings.Repeat("a", 257)), "documentParameters.runAsUser", "does not match"},
		{"a line end", "AWS-Run-Command", parameters("command", "a\nb"), "documentParameters.command", `'\n'`},
		{"a value of 30,721 characters", "AWS-Run-Command", parameters("command", strings.Repeat("a", 30_721)), "documentParameters.command", "at most 30720"},
	} {
		_, _, err := template.Document(template.Find(test.ref), test.given)
		var refusal *v1.Refusal
		if !errors.As(err, &refusal) || refusal.Field != test.field || !strings.Contains(refusal.Message, test.says) {
			t.Errorf("%s: got %v, want …%s… of %s", test.name, err, test.says, test.field)
		}
	}
}

func TestManagedTemplatesAreListedAndDescribed(t *testing.T) {
	list, err := template.List(&v1.ListManagedTemplates{})
	if err != nil || len(list.Templates) != 8 {
		t.Fatalf("%d templates, %v", len(list.GetTemplates()), err)
	}
	for i, row := range list.Templates {
		if row.Document != nil || row.Parameters != nil || i > 0 && row.Name <= list.Templates[i-1].Name {
			t.Errorf("row %d: %v", i, row)
		}
		d, err := template.Describe(&v1.DescribeManagedTemplate{Name: row.Name, Version: "1.0"})
		if err != nil || d.Template.Document == nil || d.Template.Environments[0] != "LINUX" {
			t.Errorf("%s: %v, %v", row.Name, d, err)
		}
		// Each example is a value.
		var given []*v1.Parameter
		for _, p := range d.Template.Parameters {
			given = append(given, &v1.Parameter{Key: p.Key, Value: p.Example})
		}
		if _, _, err := template.Document(d.Template, given); err != nil {
			t.Errorf("%s with its examples: %v", row.Name, err)
		}
	}
	if list, _ := template.List(&v1.ListManagedTemplates{Name: "AWS-Reboot"}); len(list.Templates) != 1 {
		t.Errorf("by name: %v", list)
	}
	for _, ref := range []string{"", "AWS-Nothing", "AWS-Reboot:2.0", "arn:aws:iot:eu-west-1:123:jobtemplate/AWS-Reboot", "arn:aws:iot:eu-west-1::job/AWS-Reboot", "arn:"} {
		if template.Find(ref) != nil {
			t.Errorf("%q is found", ref)
		}
	}
	if _, err := template.Describe(&v1.DescribeManagedTemplate{Name: "AWS-Reboot", Version: "3.0"}); err == nil {
		t.Error("a version that there is not is described")
	}
}
