package job_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core/coretest"
	"github.com/droverhq/drover/services/job"
)

func nightly() *v1.JobTemplate {
	return &v1.JobTemplate{
		TemplateId: "nightly", Description: "every night", Document: []byte(`{"op":"update"}`), Rollout: &v1.RolloutConfig{MaximumPerMinute: 7},
		Timeout: &v1.TimeoutConfig{InProgressTimeoutMinutes: 20}, Retry: retry(all, 2), Windows: windows("cron(0 3 * * ? *)", 60),
		Abort: abort(&v1.AbortCriterion{Failure: failed, ThresholdHundredths: 500, MinExecuted: 200}),
	}
}

func templateCreated(t *v1.JobTemplate, tags ...*v1.Tag) *v1.Event {
	return &v1.Event{Event: &v1.Event_JobTemplateCreated{JobTemplateCreated: &v1.JobTemplateCreated{Template: t, Tags: tags}}}
}

func TestCreateAndDeleteTemplates(t *testing.T) {
	made := func(change func(*v1.CreateTemplate)) *v1.CreateTemplate {
		c := &v1.CreateTemplate{Template: nightly()}
		change(c)
		return c
	}
	full := created()
	e := full[0].GetJobCreated()
	e.Rollout, e.Retry, e.Timeout, e.DestinationPackageVersions = &v1.RolloutConfig{MaximumPerMinute: 3}, retry(failed, 1), &v1.TimeoutConfig{InProgressTimeoutMinutes: 5}, []string{"arn:a"}
	ofJob := &v1.JobTemplate{TemplateId: "nightly", Description: "d", Document: e.Document, Rollout: &v1.RolloutConfig{MaximumPerMinute: 9}, Retry: e.Retry, Timeout: e.Timeout, DestinationPackageVersions: e.DestinationPackageVersions}
	gone := &v1.Event{Event: &v1.Event_JobTemplateDeleted{JobTemplateDeleted: &v1.JobTemplateDeleted{TemplateId: "nightly"}}}
	decides(t, []changing{
		{name: "every field", cmd: made(func(c *v1.CreateTemplate) { c.Tags = []*v1.Tag{{Key: "b"}, {Key: "a", Value: "1"}} }),
			then: []*v1.Event{templateCreated(nightly(), &v1.Tag{Key: "a", Value: "1"}, &v1.Tag{Key: "b"})}},
		{name: "of a job, and what is said wins", given: full, cmd: &v1.CreateTemplate{JobId: "reboot", Template: &v1.JobTemplate{TemplateId: "nightly", Description: "d", Rollout: &v1.RolloutConfig{MaximumPerMinute: 9}}},
			then: []*v1.Event{templateCreated(ofJob)}},
		{name: "again", given: []*v1.Event{templateCreated(nightly())}, cmd: &v1.CreateTemplate{Template: nightly()}, code: exists, field: "jobTemplateId", says: "nightly"},
		{name: "no id", cmd: made(func(c *v1.CreateTemplate) { c.Template.TemplateId = "" }), code: invalid, field: "jobTemplateId", says: "template id"},
		{name: "nothing", cmd: &v1.CreateTemplate{}, code: invalid, field: "jobTemplateId", says: "1 to 64"},
		{name: "no description", cmd: made(func(c *v1.CreateTemplate) { c.Template.Description = "" }), code: invalid, field: "description", says: "missing"},
		{name: "no document", cmd: made(func(c *v1.CreateTemplate) { c.Template.Document = nil }), code: invalid, field: "document", says: "empty"},
		{name: "a document and a job", given: full, cmd: made(func(c *v1.CreateTemplate) { c.JobId = "reboot" }), code: invalid, field: "jobArn", says: "one of them"},
		{name: "of an unknown job", cmd: &v1.CreateTemplate{JobId: "other", Template: &v1.JobTemplate{TemplateId: "a", Description: "d"}}, code: notFound, field: "jobId", says: "other"},
		{name: "a bad pace", cmd: made(func(c *v1.CreateTemplate) { c.Template.Rollout.MaximumPerMinute = 20_000_000 }), code: invalid, field: "jobExecutionsRolloutConfig.maximumPerMinute", says: "1 to"},
		{name: "a bad window", cmd: made(func(c *v1.CreateTemplate) { c.Template.Windows[0].StartTime = "daily" }), code: invalid, field: "maintenanceWindows[0].startTime", says: "cron("},
		{name: "a bad tag", cmd: made(func(c *v1.CreateTemplate) { c.Tags = []*v1.Tag{{Key: "a*"}} }), code: invalid, field: "tags[0].Key", says: "'*'"},
		{name: "delete", given: []*v1.Event{templateCreated(nightly())}, cmd: &v1.DeleteTemplate{TemplateId: "arn:aws:iot:eu-west-1:1:jobtemplate/nightly"}, then: []*v1.Event{gone}},
		{name: "delete an unknown one", cmd: &v1.DeleteTemplate{TemplateId: "nightly"}, code: notFound, field: "jobTemplateId", says: "nightly"},
		{name: "an id that is free again", given: []*v1.Event{templateCreated(nightly()), gone}, cmd: &v1.CreateTemplate{Template: nightly()}, then: []*v1.Event{templateCreated(nightly())}},
	})
}

func TestMoreTemplatesThanTheLimitAreRefused(t *testing.T) {
	r := runAWS(t)
	for i := range 100 {
		if _, err := r.Decide(&v1.CreateTemplate{Template: &v1.JobTemplate{TemplateId: fmt.Sprint("t-", i), Description: "d", Document: []byte("{}")}}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := r.Decide(&v1.CreateTemplate{Template: nightly()})
	wantRefusal(t, r, err, exceeded, "jobTemplateId", "at most 100")
	if _, err := r.Decide(&v1.DeleteTemplate{TemplateId: "t-7"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Decide(&v1.CreateTemplate{Template: nightly()}); err != nil {
		t.Error(err)
	}
}

func TestAJobOfATemplate(t *testing.T) {
	bare := func(change func(*v1.CreateJob)) *v1.CreateJob {
		return creation(func(c *v1.CreateJob) {
			c.Document, c.TargetSelection = nil, v1.TargetSelection_TARGET_SELECTION_CONTINUOUS
			change(c)
		})
	}
	create := func(t *testing.T, cmd *v1.CreateJob) *v1.JobCreated {
		t.Helper()
		r := at(run(t), monday).Given(templateCreated(nightly()))
		if _, err := r.Decide(cmd); err != nil {
			t.Fatal(err)
		}
		return r.Fresh[0].Event.GetJobCreated()
	}
	n := nightly()
	got := create(t, bare(func(c *v1.CreateJob) { c.JobTemplate = "nightly" }))
	if string(got.Document) != string(n.Document) || got.Description != n.Description || got.JobTemplateArn != "nightly" ||
		!proto.Equal(got.Rollout, n.Rollout) || !proto.Equal(got.Timeout, n.Timeout) || !proto.Equal(got.Retry, n.Retry) || !proto.Equal(got.Abort, n.Abort) ||
		!proto.Equal(got.Scheduling.Windows[0], n.Windows[0]) || got.Scheduling.FirstWindowMs != when(t, "2026-11-23 03:00") {
		t.Errorf("of the template alone: %v", got)
	}
	const arn = "arn:aws:iot:eu-west-1:123456789012:jobtemplate/nightly"
	got = create(t, bare(func(c *v1.CreateJob) {
		c.JobTemplate, c.Document, c.Description = arn, []byte(`{"op":"other"}`), "mine"
		c.Rollout, c.Retry = &v1.RolloutConfig{MaximumPerMinute: 1}, retry(failed, 1)
		c.Scheduling = &v1.SchedulingConfig{StartTime: "2026-12-01 00:00", Windows: windows("cron(0 5 * * ? *)", 10)}
	}))
	if string(got.Document) != `{"op":"other"}` || got.Description != "mine" || got.JobTemplateArn != arn || got.Rollout.MaximumPerMinute != 1 ||
		got.Retry.Criteria[0].Failure != failed || got.Timeout.InProgressTimeoutMinutes != 20 || got.Scheduling.FirstWindowMs != when(t, "2026-12-01 05:00") {
		t.Errorf("what the command says wins: %v", got)
	}
	got = create(t, bare(func(c *v1.CreateJob) {
		c.JobTemplate = "arn:aws:iot:eu-west-1::jobtemplate/AWS-Run-Command:1.0"
		c.DocumentParameters = []*v1.Parameter{{Key: "runAsUser", Value: "root"}, {Key: "command", Value: "ls"}}
	}))
	if !strings.Contains(string(got.Document), `"command":"ls"`) || !strings.Contains(string(got.Document), `"runAsUser":"root"`) || got.DocumentParameters[0].Key != "command" {
		t.Errorf("a managed template: %v", got)
	}
}

func TestABadUseOfATemplateIsRefused(t *testing.T) {
	value := []*v1.Parameter{{Key: "command", Value: "ls"}}
	for _, test := range []struct {
		name   string
		change func(*v1.CreateJob)
		code   v1.RefusalCode
		field  string
		says   string
	}{
		{"an unknown template", func(c *v1.CreateJob) { c.JobTemplate = "other" }, notFound, "jobTemplateArn", "other"},
		{"an ARN of something else", func(c *v1.CreateJob) { c.JobTemplate = "arn:aws:iot:x:1:job/nightly" }, notFound, "jobTemplateArn", "job/nightly"},
		{"an own template by the ARN of a managed one", func(c *v1.CreateJob) { c.JobTemplate = "arn:aws:iot:x:1:jobtemplate/AWS-Reboot" }, notFound, "jobTemplateArn", "AWS-Reboot"},
		{"a version that there is not", func(c *v1.CreateJob) { c.JobTemplate = "AWS-Reboot:9.0" }, notFound, "jobTemplateArn", "9.0"},
		{"windows for a snapshot job", func(c *v1.CreateJob) { c.JobTemplate = "nightly" }, invalid, "schedulingConfig.maintenanceWindows", "CONTINUOUS"},
		{"parameters without a template", func(c *v1.CreateJob) { c.DocumentParameters = value }, invalid, "documentParameters", "managed template"},
		{"parameters of an own template", func(c *v1.CreateJob) { c.JobTemplate, c.DocumentParameters = "nightly", value }, invalid, "documentParameters", "another document"},
		{"parameters and a document", func(c *v1.CreateJob) {
			c.JobTemplate, c.DocumentParameters, c.Document = "AWS-Run-Command", value, []byte("{}")
		}, invalid, "documentParameters", "another document"},
		{"a missing parameter", func(c *v1.CreateJob) { c.JobTemplate = "AWS-Run-Command" }, invalid, "documentParameters.command", "needs it"},
		{"a value with a placeholder", func(c *v1.CreateJob) {
			c.JobTemplate, c.DocumentParameters = "AWS-Run-Command", []*v1.Parameter{{Key: "command", Value: "${aws:iot:s3-presigned-url:x}"}}
		}, notSupported, "document", "placeholder"},
		{"neither a document nor a template", func(*v1.CreateJob) {}, invalid, "document", "empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := run(t).Given(templateCreated(nightly()))
			_, err := r.Decide(creation(func(c *v1.CreateJob) {
				c.Document = nil
				test.change(c)
			}))
			wantRefusal(t, r, err, test.code, test.field, test.says)
		})
	}
}

func tagged(number uint64, template string, tags ...*v1.Tag) *v1.Event {
	return &v1.Event{Event: &v1.Event_ResourceTagged{ResourceTagged: &v1.ResourceTagged{Resource: taggedResource(number, template), Tags: tags}}}
}

func taggedResource(number uint64, template string) *v1.TaggedResource {
	if template != "" {
		return &v1.TaggedResource{Resource: &v1.TaggedResource_TemplateId{TemplateId: template}}
	}
	return &v1.TaggedResource{Resource: &v1.TaggedResource_Job{Job: number}}
}

func untagged(number uint64, keys ...string) *v1.Event {
	return &v1.Event{Event: &v1.Event_ResourceUntagged{ResourceUntagged: &v1.ResourceUntagged{Resource: taggedResource(number, ""), Keys: keys}}}
}

func tagOf(key, value string) *v1.Tag { return &v1.Tag{Key: key, Value: value} }

func manyTags(n int) (tags []*v1.Tag) {
	for i := range n {
		tags = append(tags, tagOf(fmt.Sprintf("key-%02d", i), "v"))
	}
	return tags
}

func TestTags(t *testing.T) {
	had := append(created(), tagged(first, "", tagOf("team", "valves"), tagOf("site", "2")))
	decides(t, []changing{
		{name: "a job, by its short form", given: created(), cmd: &v1.TagResource{Resource: "job/reboot", Tags: []*v1.Tag{tagOf("b", ""), tagOf("a", "Größe 2")}}, then: []*v1.Event{tagged(first, "", tagOf("a", "Größe 2"), tagOf("b", ""))}},
		{name: "a job, by its ARN", given: created(), cmd: &v1.TagResource{Resource: "arn:aws:iot:eu-west-1:1:job/reboot", Tags: []*v1.Tag{tagOf("a", "")}}, then: []*v1.Event{tagged(first, "", tagOf("a", ""))}},
		{name: "a template", given: []*v1.Event{templateCreated(nightly())}, cmd: &v1.TagResource{Resource: "template/nightly", Tags: []*v1.Tag{tagOf("a", "")}}, then: []*v1.Event{tagged(0, "nightly", tagOf("a", ""))}},
		{name: "a template, by its ARN", given: []*v1.Event{templateCreated(nightly())}, cmd: &v1.TagResource{Resource: "arn:aws:iot:eu-west-1:1:jobtemplate/nightly", Tags: []*v1.Tag{tagOf("a", "")}}, then: []*v1.Event{tagged(0, "nightly", tagOf("a", ""))}},
		{name: "only what is new is written", given: had, cmd: &v1.TagResource{Resource: "job/reboot", Tags: []*v1.Tag{tagOf("team", "valves"), tagOf("site", "3")}}, then: []*v1.Event{tagged(first, "", tagOf("site", "3"))}},
		{name: "the 50th", given: append(created(), tagged(first, "", manyTags(49)...)), cmd: &v1.TagResource{Resource: "job/reboot", Tags: []*v1.Tag{tagOf("a", "")}}, then: []*v1.Event{tagged(first, "", tagOf("a", ""))}},
		{name: "the 51st", given: append(created(), tagged(first, "", manyTags(50)...)), cmd: &v1.TagResource{Resource: "job/reboot", Tags: []*v1.Tag{tagOf("a", "")}}, code: exceeded, field: "tags", says: "51 tags"},
		{name: "51 at once", given: created(), cmd: &v1.TagResource{Resource: "job/reboot", Tags: manyTags(51)}, code: exceeded, field: "tags", says: "at most 50"},
		{name: "none", given: created(), cmd: &v1.TagResource{Resource: "job/reboot"}, code: invalid, field: "tags", says: "1 to 50"},
		{name: "a key of 129 characters", given: created(), cmd: &v1.TagResource{Resource: "job/reboot", Tags: []*v1.Tag{tagOf(strings.Repeat("é", 129), "")}}, code: invalid, field: "tags[0].Key", says: "at most 128"},
		{name: "a value of 257 characters", given: created(), cmd: &v1.TagResource{Resource: "job/reboot", Tags: []*v1.Tag{tagOf("a", strings.Repeat("é", 257))}}, code: invalid, field: "tags[0].Value", says: "at most 256"},
		{name: "no key", given: created(), cmd: &v1.TagResource{Resource: "job/reboot", Tags: []*v1.Tag{tagOf("", "a")}}, code: invalid, field: "tags[0].Key", says: "missing"},
		{name: "a key given twice", given: created(), cmd: &v1.TagResource{Resource: "job/reboot", Tags: []*v1.Tag{tagOf("a", "1"), tagOf("a", "2")}}, code: invalid, field: "tags", says: "twice"},
		{name: "a value with a star", given: created(), cmd: &v1.TagResource{Resource: "job/reboot", Tags: []*v1.Tag{tagOf("a", "*")}}, code: invalid, field: "tags[0].Value", says: "'*'"},
		{name: "an unknown job", cmd: &v1.TagResource{Resource: "job/reboot", Tags: []*v1.Tag{tagOf("a", "")}}, code: notFound, field: "resourceArn", says: "reboot"},
		{name: "an unknown template", cmd: &v1.TagResource{Resource: "template/nightly", Tags: []*v1.Tag{tagOf("a", "")}}, code: notFound, field: "resourceArn", says: "nightly"},
		{name: "a group", cmd: &v1.TagResource{Resource: "arn:aws:iot:x:1:thinggroup/presses", Tags: []*v1.Tag{tagOf("a", "")}}, code: invalid, field: "resourceArn", says: "drover.cmd.targeting.tag"},
		{name: "something else", cmd: &v1.TagResource{Resource: "reboot", Tags: []*v1.Tag{tagOf("a", "")}}, code: invalid, field: "resourceArn", says: "job/ID"},
		{name: "untag", given: had, cmd: &v1.UntagResource{Resource: "job/reboot", Keys: []string{"other", "team"}}, then: []*v1.Event{untagged(first, "team")}},
		{name: "untag what is not there", given: had, cmd: &v1.UntagResource{Resource: "job/reboot", Keys: []string{"other"}}},
		{name: "untag what is no key", given: had, cmd: &v1.UntagResource{Resource: "job/reboot", Keys: []string{"team", "a*"}}, code: invalid, field: "tagKeys[1]", says: "'*'"},
		{name: "untag nothing", given: had, cmd: &v1.UntagResource{Resource: "job/reboot"}, code: invalid, field: "tagKeys", says: "1 to 50"},
	})
	r := run(t).Given(had...).Given(untagged(first, "site"), tagged(first, "", tagOf("a", "1")))
	if got := describe(t, r, "reboot").Tags; len(got) != 2 || got[0].Key != "a" || got[1].Key != "team" {
		t.Errorf("got %v", got)
	}
}

func TestAJobIsCreatedWithItsTags(t *testing.T) {
	r := run(t)
	if _, err := r.Decide(creation(func(c *v1.CreateJob) { c.Tags = []*v1.Tag{tagOf("b", ""), tagOf("a", "")} })); err != nil {
		t.Fatal(err)
	}
	if got := r.Fresh[0].Event.GetJobCreated().Tags; len(got) != 2 || got[0].Key != "a" {
		t.Errorf("got %v", got)
	}
	_, err := r.Decide(creation(func(c *v1.CreateJob) { c.JobId, c.Tags = "b", manyTags(51) }))
	wantRefusal(t, r, err, exceeded, "tags", "at most 50")
}

func TestConfigureEvents(t *testing.T) {
	const jobs, things = v1.EventCategory_EVENT_CATEGORY_JOB, v1.EventCategory_EVENT_CATEGORY_THING
	set := func(pairs ...any) (list []*v1.EventConfiguration) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, &v1.EventConfiguration{Category: pairs[i].(v1.EventCategory), Enabled: pairs[i+1].(bool)})
		}
		return list
	}
	configured := func(list []*v1.EventConfiguration) *v1.Event {
		return &v1.Event{Event: &v1.Event_EventsConfigured{EventsConfigured: &v1.EventsConfigured{Configurations: list}}}
	}
	decides(t, []changing{
		{name: "on", cmd: &v1.ConfigureEvents{Configurations: set(jobs, true, things, false)}, then: []*v1.Event{configured(set(jobs, true))}},
		{name: "off", given: []*v1.Event{configured(set(jobs, true, things, true))}, cmd: &v1.ConfigureEvents{Configurations: set(jobs, false)}, then: []*v1.Event{configured(set(jobs, false))}},
		{name: "nothing", cmd: &v1.ConfigureEvents{}},
		{name: "an unknown category", cmd: &v1.ConfigureEvents{Configurations: set(jobs, true, v1.EventCategory(12), true)}, code: invalid, field: "eventConfigurations[1]", says: "12"},
		{name: "no category", cmd: &v1.ConfigureEvents{Configurations: set(v1.EventCategory(0), true)}, code: invalid, field: "eventConfigurations[0]", says: "unknown"},
		{name: "a category given twice", cmd: &v1.ConfigureEvents{Configurations: set(jobs, true, jobs, false)}, code: invalid, field: "eventConfigurations[1]", says: "twice"},
	})
}

// The limits bind decisions alone: with others the same log folds into the same state.
func TestLimitsAreNoPartOfTheFold(t *testing.T) {
	story := []*v1.Event{templateCreated(nightly())}
	story = append(story, created()...)
	story = append(story, tagged(first, "", tagOf("a", "")), cancelStarted(false), canceled(), deletionStarted(false))
	limits := job.AWSLimits()
	limits.RetentionDays, limits.TargetsMax = 1, 1
	a, b := run(t).Given(story...), coretest.New(t, job.New(limits), id.JobLog).Given(story...)
	if coretest.Dump(a.State) != coretest.Dump(b.State) {
		t.Errorf("with other limits:\n%s\n%s", coretest.Dump(a.State), coretest.Dump(b.State))
	}
}
