package aws

import (
	"encoding/json"
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
	jobtemplate "github.com/droverhq/drover/services/job/template"
)

func TestTemplates(t *testing.T) {
	create := &v1.CreateTemplate{Template: &v1.JobTemplate{TemplateId: "w", Description: "d", Document: []byte("{}")}}
	const small = `{"description":"d","document":"{}"}`
	full := &v1.JobTemplate{
		TemplateId: "w", Description: "d", Document: []byte(`{"a":1}`), PresignedUrl: presigned, Rollout: rollout, Abort: abort, Timeout: timeout, Retry: retry,
		Windows: windows, DestinationPackageVersions: []string{"p"},
	}
	const settings = configuredJSON + `,"maintenanceWindows":[{"startTime":"cron(30 2 ? * SUN *)","durationInMinutes":90}],"destinationPackageVersions":["p"]`
	const row = `{"jobTemplateArn":"` + arnOf + `jobtemplate/w","jobTemplateId":"w","description":"d","createdAt":1.500`
	describe := &v1.DescribeTemplate{Freshness: fresh, TemplateId: "w"}
	newSystem(t).meets(t, []exchange{
		{
			request: "PUT /job-templates/w", body: small, serve: replies(bus.CreateTemplate, &v1.CreateTemplateReply{}), asks: create,
			want: `200 {"jobTemplateArn":"` + arnOf + `jobtemplate/w","jobTemplateId":"w"}`,
		},
		{
			request: "PUT /job-templates/w", body: `{"description":"d","document":"{\"a\":1}","tags":[{"Key":"k","Value":"v"}],` + settings + `}`,
			serve: replies(bus.CreateTemplate, &v1.CreateTemplateReply{}), asks: &v1.CreateTemplate{Template: full, Tags: []*v1.Tag{{Key: "k", Value: "v"}}},
			want: `200 {"jobTemplateArn":"` + arnOf + `jobtemplate/w","jobTemplateId":"w"}`,
		},
		{
			request: "PUT /job-templates/w", body: `{"description":"d","jobArn":"` + arnOf + `job/j"}`, serve: refuses(bus.CreateTemplate, nothing),
			asks: &v1.CreateTemplate{Template: &v1.JobTemplate{TemplateId: "w", Description: "d"}, JobId: "j"}, want: `404 ResourceNotFoundException `,
		},
		{
			request: "PUT /job-templates/w", body: small, serve: refuses(bus.CreateTemplate, v1.RefusalCode_REFUSAL_CODE_ALREADY_EXISTS), asks: create,
			want: `409 ConflictException {"message":"so it is","resourceId":"w"}`,
		},
		{request: "PUT /job-templates/w", body: small, serve: refuses(bus.CreateTemplate, v1.RefusalCode_REFUSAL_CODE_LIMIT_EXCEEDED), asks: create, want: `410 LimitExceededException `},
		{request: "PUT /job-templates/w", body: `{"document":"{}"}`, want: `400 InvalidRequestException {"message":"description: is missing`},
		{request: "PUT /job-templates/w", body: `{"description":"d"}`, want: `400 InvalidRequestException {"message":"document: is missing`},
		{request: "PUT /job-templates/w", body: `{"description":"d","documentSource":"https://s3.amazonaws.com/b/k"}`, want: `400 InvalidRequestException {"message":"documentSource: not supported`},
		{request: "PUT /job-templates/a.b", body: small, want: `400 InvalidRequestException {"message":"jobTemplateId: template id `},
		{
			request: "GET /job-templates/w", serve: replies(bus.DescribeTemplate, &v1.DescribeTemplateReply{Template: &v1.TemplateRow{Template: full, CreatedAtMs: 1500}}), asks: describe,
			want: `200 ` + row + `,"document":"{\"a\":1}",` + settings + `}`,
		},
		{
			request: "GET /job-templates/w", serve: replies(bus.DescribeTemplate, &v1.DescribeTemplateReply{Template: &v1.TemplateRow{Template: create.Template, CreatedAtMs: 1500}}), asks: describe,
			want: `200 ` + row + `,"document":"{}"}`,
		},
		{request: "GET /job-templates/w", serve: refuses(bus.DescribeTemplate, nothing), asks: describe, want: `404 ResourceNotFoundException `},
		{request: "DELETE /job-templates/w", serve: replies(bus.DeleteTemplate, &v1.DeleteTemplateReply{}), asks: &v1.DeleteTemplate{TemplateId: "w"}, want: `200`},
		{request: "DELETE /job-templates/w", serve: refuses(bus.DeleteTemplate, nothing), asks: &v1.DeleteTemplate{TemplateId: "w"}, want: `404 ResourceNotFoundException `},
		{
			request: "GET /job-templates?maxResults=1&nextToken=a", asks: &v1.ListTemplates{Freshness: fresh, Page: &v1.Page{Limit: 1, Token: "a"}},
			serve: replies(bus.ListTemplates, &v1.ListTemplatesReply{Templates: []*v1.TemplateRow{{Template: full, CreatedAtMs: 1500}}, NextToken: "b"}),
			want:  `200 {"jobTemplates":[` + row + `}],"nextToken":"b"}`,
		},
		{request: "GET /job-templates", serve: replies(bus.ListTemplates, &v1.ListTemplatesReply{}), asks: &v1.ListTemplates{Freshness: fresh, Page: &v1.Page{Limit: 250}}, want: `200 {"jobTemplates":[]}`},
	})
}

func TestManagedTemplates(t *testing.T) {
	const arn = `"templateArn":"arn:aws:iot:eu-central-1::jobtemplate/AWS-Download-File:1.0","templateName":"AWS-Download-File",`
	s := newSystem(t)
	serve := func(t testing.TB, s *system, b *bus.Server) {
		answers(bus.ListManagedTemplates, jobtemplate.List)(t, s, b)
		answers(bus.DescribeManagedTemplate, jobtemplate.Describe)(t, s, b)
	}
	s.run(t, serve, func() {
		for request, want := range map[string]string{
			"GET /managed-job-templates?templateName=AWS-Download-File":            `200 {"managedJobTemplates":[{` + arn + `"description":"Downloads a file","environments":["LINUX"],"templateVersion":"1.0"}]}`,
			"GET /managed-job-templates?templateName=none":                         `200 {"managedJobTemplates":[]}`,
			"GET /managed-job-templates/AWS-Download-File":                         `200 {` + arn + `"description":"Downloads a file","environments":["LINUX"],"templateVersion":"1.0","documentParameters":[{"key":"downloadUrl",`,
			"GET /managed-job-templates/AWS-Download-File?templateVersion=1.0":     `200 {` + arn,
			"GET /managed-job-templates/AWS-Download-File?templateVersion=2.0":     `404 ResourceNotFoundException `,
			"GET /managed-job-templates/none":                                      `404 ResourceNotFoundException `,
			"GET /managed-job-templates?nextToken=none":                            `400 InvalidRequestException {"message":"nextToken: `,
			"GET /managed-job-templates?templateName=AWS-Reboot&nextToken=QVdTLVI": `400 InvalidRequestException {"message":"nextToken: `,
		} {
			if have := s.do(t, request, ""); !strings.HasPrefix(have, want) {
				t.Errorf("%s\nhave %s\nwant %s", request, have, want)
			}
		}
		// Followed from token to token, pages name every template once.
		var names []string
		for token, more := "", true; more; {
			var page struct {
				ManagedJobTemplates []struct{ TemplateName string }
				NextToken           string
			}
			have := s.do(t, "GET /managed-job-templates?maxResults=3&nextToken="+token, "")
			if err := json.Unmarshal([]byte(strings.TrimPrefix(have, "200 ")), &page); err != nil || len(page.ManagedJobTemplates) == 0 {
				t.Fatal(have, err)
			}
			for _, x := range page.ManagedJobTemplates {
				names = append(names, x.TemplateName)
			}
			token, more = page.NextToken, page.NextToken != ""
		}
		var want []string
		for _, x := range jobtemplate.All() {
			want = append(want, x.GetName())
		}
		if strings.Join(names, " ") != strings.Join(want, " ") {
			t.Errorf("%v, want %v", names, want)
		}
	})
}
