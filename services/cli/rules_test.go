package cli

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

// everyChange serves every command that changes something with an empty reply of its own kind.
func everyChange(s *system) {
	reply(s, bus.UpdateJob, &v1.UpdateJobReply{Position: at(id.JobLog, 9)})
	reply(s, bus.AssociateTargets, &v1.AssociateTargetsReply{Position: at(id.JobLog, 9)})
	reply(s, bus.DeleteJob, &v1.DeleteJobReply{Position: at(id.JobLog, 9)})
	reply(s, bus.CreateTemplate, &v1.CreateTemplateReply{Position: at(id.JobLog, 9)})
	reply(s, bus.DeleteTemplate, &v1.DeleteTemplateReply{Position: at(id.JobLog, 9)})
	reply(s, bus.TagJobs, &v1.TagResourceReply{Position: at(id.JobLog, 9)})
	reply(s, bus.UntagJobs, &v1.UntagResourceReply{Position: at(id.JobLog, 9)})
	reply(s, bus.ConfigureEvents, &v1.ConfigureEventsReply{Position: at(id.JobLog, 9)})
	reply(s, bus.UpdateThing, &v1.UpdateThingReply{Position: at(id.TargetingLog, 9), Version: 4})
	reply(s, bus.UpdateGroup, &v1.UpdateGroupReply{Position: at(id.TargetingLog, 9), Version: 2})
	reply(s, bus.CreateGroup, &v1.CreateGroupReply{Position: at(id.TargetingLog, 9)})
	reply(s, bus.DeleteGroup, &v1.DeleteGroupReply{Position: at(id.TargetingLog, 9), Existed: true})
	reply(s, bus.DeleteThing, &v1.DeleteThingReply{Position: at(id.TargetingLog, 9), Existed: true})
	reply(s, bus.ChangeGroupsOfThing, &v1.ChangeGroupsOfThingReply{Position: at(id.TargetingLog, 9)})
	reply(s, bus.CreateThingType, &v1.CreateThingTypeReply{Position: at(id.TargetingLog, 9)})
	reply(s, bus.DeprecateThingType, &v1.DeprecateThingTypeReply{Position: at(id.TargetingLog, 9)})
	reply(s, bus.DeleteThingType, &v1.DeleteThingTypeReply{Position: at(id.TargetingLog, 9)})
	reply(s, bus.TagRegistry, &v1.TagResourceReply{Position: at(id.TargetingLog, 9)})
	reply(s, bus.UntagRegistry, &v1.UntagResourceReply{Position: at(id.TargetingLog, 9)})
	reply(s, bus.DeleteExecution, &v1.DeleteExecutionReply{Position: at(id.ExecutionLog(1), 9)})
}

func ptr[T any](v T) *T { return &v }

func TestEveryChangeSendsWhatWasAskedAndSaysWhereItStands(t *testing.T) {
	s := newSystem(t)
	everyChange(s)
	attrs := func(list ...string) (out []*v1.Attribute) {
		for i := 0; i < len(list); i += 2 {
			out = append(out, &v1.Attribute{Name: list[i], Value: list[i+1]})
		}
		return out
	}
	for _, c := range []struct {
		line string
		want proto.Message
		says string
	}{
		{"job update j --per-minute 60", &v1.UpdateJob{JobId: "j", Rollout: &v1.RolloutConfig{MaximumPerMinute: 60}}, "updated job j"},
		{"job update j --description= --retry ALL=0 --timeout 45m", &v1.UpdateJob{JobId: "j", Description: ptr(""), Timeout: &v1.TimeoutConfig{InProgressTimeoutMinutes: 45},
			Retry: &v1.RetryConfig{Criteria: []*v1.RetryCriterion{{Failure: ofAll}}}}, "updated job j"},
		{"job update j --abort FAILED:5%:200 --presign-role r", &v1.UpdateJob{JobId: "j", PresignedUrl: &v1.PresignedUrlConfig{RoleArn: "r"},
			Abort: &v1.AbortConfig{Criteria: []*v1.AbortCriterion{{Failure: failed, ThresholdHundredths: 500, MinExecuted: 200}}}}, "updated job j"},
		{"job associate j --target group/g --target thing/t --comment more", &v1.AssociateTargets{JobId: "j", Targets: []*v1.Target{groupTarget("g"), thingTarget("t")}, Comment: "more"}, "j has 2 targets more"},
		{"job delete j --force", &v1.DeleteJob{JobId: "j", Force: true}, "j is DELETION_IN_PROGRESS"},
		{"execution delete j t --number 3 --force", &v1.DeleteExecution{JobId: "j", Thing: "t", ExecutionNumber: 3, Force: true}, "deleted execution 3 of j on t"},
		{"template create n --description d --document {} --per-minute 5 --window=cron(0_0_*_*_?_*)/1h --tag a=b", &v1.CreateTemplate{Template: &v1.JobTemplate{TemplateId: "n", Description: "d",
			Document: []byte("{}"), Rollout: &v1.RolloutConfig{MaximumPerMinute: 5}, Windows: []*v1.MaintenanceWindow{{StartTime: "cron(0 0 * * ? *)", DurationMinutes: 60}}},
			Tags: []*v1.Tag{{Key: "a", Value: "b"}}}, "created template n"},
		{"template create n --description d --job j", &v1.CreateTemplate{Template: &v1.JobTemplate{TemplateId: "n", Description: "d"}, JobId: "j"}, "created template n"},
		{"template delete arn:aws:iot:eu-central-1:1:jobtemplate/n", &v1.DeleteTemplate{TemplateId: "n"}, "deleted template n"},
		{"thing update t --type press --attribute site=north --attribute hall= --expected-version 3", &v1.UpdateThing{Name: "t", ThingType: ptr("press"), ChangeAttributes: true, Merge: true,
			Attributes: attrs("hall", "", "site", "north"), ExpectedVersion: 3}, "updated t; it is at version 4"},
		{"thing update t --replace", &v1.UpdateThing{Name: "t", ChangeAttributes: true}, "updated t"},
		{"thing update t --remove-type", &v1.UpdateThing{Name: "t", RemoveThingType: true}, "updated t"},
		{"thing groups t --add a --add b --remove c", &v1.ChangeGroupsOfThing{Thing: "t", Add: []string{"a", "b"}, Remove: []string{"c"}}, "changed the groups of t"},
		{"thing delete t --expected-version 2", &v1.DeleteThing{Name: "t", ExpectedVersion: 2}, "deleted t"},
		{"thing-type create p --description d --searchable site --tag a=b", &v1.CreateThingType{ThingType: "p", Description: "d", SearchableAttributes: []string{"site"},
			Tags: []*v1.Tag{{Key: "a", Value: "b"}}}, "created thing type p"},
		{"thing-type deprecate p", &v1.DeprecateThingType{ThingType: "p"}, "deprecated thing type p"},
		{"thing-type deprecate p --undo", &v1.DeprecateThingType{ThingType: "p", Undo: true}, "not deprecated any more"},
		{"thing-type delete p", &v1.DeleteThingType{ThingType: "p"}, "deleted thing type p"},
		{"group create g --attribute a=1 --tag k=v", &v1.CreateGroup{Group: "g", Attributes: attrs("a", "1"), Tags: []*v1.Tag{{Key: "k", Value: "v"}}}, "created group g"},
		{"group update g --description d --attribute a=1 --expected-version 2", &v1.UpdateGroup{Group: "g", Description: ptr("d"), ChangeAttributes: true, Merge: true,
			Attributes: attrs("a", "1"), ExpectedVersion: 2}, "updated group g; it is at version 2"},
		{"group delete g --expected-version 1", &v1.DeleteGroup{Group: "g", ExpectedVersion: 1}, "deleted group g"},
		{"tag add job/j a=1 b=2", &v1.TagResource{Resource: "job/j", Tags: []*v1.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}}}, "tagged job/j"},
		{"tag add thing-type/p a=1", &v1.TagResource{Resource: "thing-type/p", Tags: []*v1.Tag{{Key: "a", Value: "1"}}}, "tagged thing-type/p"},
		{"tag remove template/n a b", &v1.UntagResource{Resource: "template/n", Keys: []string{"a", "b"}}, "template/n"},
		{"tag remove arn:aws:iot:eu-central-1:1:thinggroup/g a", &v1.UntagResource{Resource: "arn:aws:iot:eu-central-1:1:thinggroup/g", Keys: []string{"a"}}, "thinggroup/g"},
		{"event-config set JOB=on THING=off", &v1.ConfigureEvents{Configurations: []*v1.EventConfiguration{
			{Category: v1.EventCategory_EVENT_CATEGORY_JOB, Enabled: true}, {Category: v1.EventCategory_EVENT_CATEGORY_THING}}}, "changed 2 categories"},
	} {
		args := strings.Fields(c.line)
		for i := range args {
			if strings.HasPrefix(args[i], "--window") {
				args[i] = strings.ReplaceAll(args[i], "_", " ")
			}
		}
		s.want(s.run(args...), exitDone, c.says)
		s.wantRequest(c.want)
		s.want(s.run(append(args, "-o", "json")...), exitDone, `"position": "`, `@9"`)
	}
}

func TestChangesThatSayNothingAreRefusedOrUsage(t *testing.T) {
	s := newSystem(t) // it serves nothing: what is sent is UNAVAILABLE
	for line, want := range map[string]struct {
		status int
		says   string
	}{
		"job update j":                                   {exitUsage, "nothing to change"},
		"job update a.b --per-minute 5":                  {exitRefused, "jobId"},
		"job associate j":                                {exitUsage, "--target"},
		"job associate j --target x":                     {exitRefused, "targets"},
		"execution delete j t":                           {exitUsage, "--number"},
		"template create n --description d":              {exitUsage, "--document"},
		"template create n --document {}":                {exitRefused, "description"},
		"template create a.b --document {}":              {exitRefused, "jobTemplateId"},
		"template describe n --version 1.0":              {exitUsage, "--managed"},
		"template create n --document { --description d": {exitRefused, "document"},
		"thing update t":                                 {exitUsage, "nothing to change"},
		"thing update t --attribute x":                   {exitRefused, "attributes"},
		"thing groups t --add a.b":                       {exitRefused, "thingGroupName"},
		"thing-type create a.b":                          {exitRefused, "thingTypeName"},
		"group update g":                                 {exitUsage, "nothing to change"},
		"group list --recursive":                         {exitUsage, "--parent"},
		"group describe g --recursive":                   {exitUsage, "--members"},
		"tag add j a=1":                                  {exitRefused, "resourceArn"},
		"tag add thing/t a=1":                            {exitRefused, "resourceArn"},
		"tag add job/j a":                                {exitRefused, "tags"},
		"tag add job/j a=1 a=2":                          {exitRefused, "twice"},
		"tag list job/":                                  {exitRefused, "resourceArn"},
		"event-config set JOB":                           {exitRefused, "eventConfigurations"},
		"event-config set NOTHING=on":                    {exitRefused, "eventConfigurations"},
		"event-config set JOB=on JOB=off":                {exitRefused, "twice"},
		"job list --selection SOME":                      {exitRefused, "targetSelection"},
		"job list --group a.b":                           {exitRefused, "thingGroupName"},
	} {
		s.want(s.run(strings.Fields(line)...), want.status, want.says)
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestListsAreFiltered(t *testing.T) {
	s := newSystem(t)
	serveLists(s)
	page := &v1.Page{Limit: 1000}
	for line, want := range map[string]proto.Message{
		"job list --status SCHEDULED --selection CONTINUOUS --group g": &v1.ListJobs{Freshness: fresh, Page: page, Status: v1.JobStatus_JOB_STATUS_SCHEDULED,
			TargetSelection: v1.TargetSelection_TARGET_SELECTION_CONTINUOUS, Group: "g"},
		"thing list --type press --attribute site=nor*": &v1.ListThings{Freshness: fresh, Page: page, ThingType: "press", AttributeName: "site", AttributeValue: "nor", AttributeValuePrefix: true},
		"thing list --prefix p --attribute site=north":  &v1.ListThings{Freshness: fresh, Page: page, Prefix: "p", AttributeName: "site", AttributeValue: "north"},
		"group list --parent plant-2 --recursive":       &v1.ListGroups{Freshness: fresh, Page: page, Parent: "plant-2", Recursive: true},
		"group describe g --members --recursive":        &v1.ListThingsInGroup{Freshness: fresh, Page: page, Group: "g", Recursive: true},
	} {
		s.want(s.run(strings.Fields(line)...), exitDone)
		s.wantRequest(want)
	}
}

func TestGroupsAreShownAsATree(t *testing.T) {
	s := newSystem(t)
	row := func(name, parent string) *v1.GroupRow {
		return &v1.GroupRow{Group: name, Parent: parent, CreatedAtMs: noon}
	}
	reply(s, bus.ListGroups, &v1.ListGroupsReply{Groups: []*v1.GroupRow{row("hall-3", "plant-2"), row("plant-2", ""), row("press-line", "hall-3"), row("spare", "")}})
	if r := s.run("group", "list", "--tree"); r.out != "plant-2\n  hall-3\n    press-line\nspare\n" {
		t.Errorf("%+v", r)
	}
	s.want(s.run("group", "list", "--tree", "-o", "json"), exitDone, `"thingGroupName": "press-line"`)
}

func TestTemplatesTypesTagsAndCategoriesAreShown(t *testing.T) {
	s := newSystem(t)
	template := &v1.TemplateRow{CreatedAtMs: noon, Tags: []*v1.Tag{{Key: "a", Value: "b"}}, Template: &v1.JobTemplate{TemplateId: "nightly", Description: "d", Document: []byte("{}"),
		Rollout: exponential(50, 25, 0, 1000, 900), Abort: &v1.AbortConfig{Criteria: []*v1.AbortCriterion{{Failure: ofAll, ThresholdHundredths: 550, MinExecuted: 1}}},
		Retry: &v1.RetryConfig{Criteria: []*v1.RetryCriterion{{Failure: timedOut, Retries: 2}}}, Windows: []*v1.MaintenanceWindow{{StartTime: "cron(30 2 ? * SUN *)", DurationMinutes: 90}}}}
	reply(s, bus.ListTemplates, &v1.ListTemplatesReply{Templates: []*v1.TemplateRow{template}})
	reply(s, bus.DescribeTemplate, &v1.DescribeTemplateReply{Template: template})
	managed := &v1.ManagedTemplate{Name: "AWS-Reboot", Version: "1.0", Description: "reboots", Environments: []string{"LINUX"}, Document: []byte("{}"),
		Parameters: []*v1.TemplateParameter{{Key: "runAsUser", Description: "user", Example: "root", Optional: true}}}
	reply(s, bus.ListManagedTemplates, &v1.ListManagedTemplatesReply{Templates: []*v1.ManagedTemplate{managed}})
	reply(s, bus.DescribeManagedTemplate, &v1.DescribeManagedTemplateReply{Template: managed})
	press := &v1.ThingTypeRow{ThingType: "press", Description: "presses", SearchableAttributes: []string{"site"}, CreatedAtMs: noon, Deprecated: true, DeprecatedAtMs: noon + 1000}
	reply(s, bus.ListThingTypes, &v1.ListThingTypesReply{ThingTypes: []*v1.ThingTypeRow{press}})
	reply(s, bus.DescribeThingType, &v1.DescribeThingTypeReply{ThingType: press})
	reply(s, bus.ListJobTags, &v1.ListTagsReply{Tags: []*v1.Tag{{Key: "team", Value: "valves"}}})
	reply(s, bus.ListRegistryTags, &v1.ListTagsReply{Tags: []*v1.Tag{{Key: "plant", Value: "2"}}})
	reply(s, bus.DescribeEventConfigurations, &v1.DescribeEventConfigurationsReply{Configurations: []*v1.EventConfiguration{{Category: v1.EventCategory_EVENT_CATEGORY_JOB, Enabled: true}}})
	reply(s, bus.DescribeJob, &v1.DescribeJobReply{Job: aJob()})
	reply(s, bus.DescribeThing, &v1.DescribeThingReply{Thing: aThing()})
	reply(s, bus.GetPending, &v1.GetPendingReply{InProgress: []*v1.Execution{{JobId: "fw-1", Thing: "t", ExecutionNumber: 1, Status: inProgress}}, Queued: []*v1.Execution{{JobId: "fw-2", Status: queued}}})
	for line, want := range map[string][]string{
		"template list": {"nightly", "2026-11-25"},
		"template describe nightly": {"50 things a minute, times 2.5 with every 1,000 that succeeded, up to 900", "at 5.5 % FAILED, REJECTED or TIMED_OUT, after 1 ended execution",
			"2 after TIMED_OUT", "cron(30 2 ? * SUN *) for 90 minutes", "a=b"},
		"template describe nightly -o json":      {`"incrementFactor": 2.5`, `"thresholdPercentage": 5.5`, `"durationInMinutes": 90`},
		"template list --managed":                {"AWS-Reboot", "LINUX"},
		"template describe AWS-Reboot --managed": {"--param runAsUser", "(optional) user; for example root"},
		"template list --managed -o json":        {`"templateName":"AWS-Reboot"`},
		"thing-type list":                        {"press", "2026-11-25 12:00:01Z"},
		"thing-type describe press":              {"Deprecated", "site"},
		"thing-type describe press -o json":      {`"deprecated": true`, `"deprecationDate"`},
		"tag list job/fw-1":                      {"team", "valves"},
		"tag list group/g -o json":               {`{"Key":"plant","Value":"2"}`},
		"event-config show":                      {"JOB", "on"},
		"event-config show -o json":              {`"JOB": {`, `"Enabled": true`},
		"job document fw-1":                      {`{"operation":"install"}`},
		"thing groups press-07":                  {"press-line"},
		"thing pending t":                        {"fw-1", "IN_PROGRESS", "fw-2", "QUEUED"},
	} {
		s.want(s.run(strings.Fields(line)...), exitDone, want...)
	}
	if r := s.run("job", "document", "fw-1"); r.out != `{"operation":"install"}` {
		t.Errorf("%q", r.out)
	}
}

// A job with every setting is described with all of them.
func TestAJobIsDescribedWithAllItsSettings(t *testing.T) {
	s := newSystem(t)
	q := everyFieldRead()
	j := aJob()
	j.Status, j.TargetSelection = v1.JobStatus_JOB_STATUS_SCHEDULED, q.TargetSelection
	j.Rollout, j.Abort, j.Retry, j.Timeout, j.Scheduling, j.PresignedUrl, j.Tags = q.Rollout, q.Abort, q.Retry, q.Timeout, q.Scheduling, q.PresignedUrl, q.Tags
	j.NamespaceId, j.JobTemplateArn, j.DocumentParameters, j.DestinationPackageVersions = q.NamespaceId, q.JobTemplate, q.DocumentParameters, q.DestinationPackageVersions
	j.WindowChangesAtMs, j.NextWindowsMs = noon+60_000, []int64{noon + 60_000, noon + 120_000}
	j.ReasonCode, j.Comment = "ABORT_CRITERIA_MET", "30 of 150"
	counts := someCounts()
	counts.Deleted = 2
	reply(s, bus.DescribeJob, &v1.DescribeJobReply{Job: j, Counts: counts})
	s.want(s.run("job", "describe", "fw-1"), exitDone, "SCHEDULED", "CONTINUOUS", "times 2.5 with every 500 that succeeded or 1,000 that were released, up to 1000", "at 5.25 % FAILED, after 200 ended executions",
		"3 after FAILED, 0 after TIMED_OUT", "20 minutes after the start", "2026-12-29 02:30, then CANCEL", "cron(30 2 ? * SUN *) for 90 minutes", "closed, opens at 2026-11-25T12:01:00.000Z",
		"2026-11-25T12:01:00.000Z, 2026-11-25T12:02:00.000Z", "for 10m0s as arn:aws:iam::1:role/jobs", "deleted 2", "ABORT_CRITERIA_MET 30 of 150", "jobtemplate/nightly", `p="v"`, "line=2",
		"at most 17 things released after")
	s.want(s.run("job", "describe", "fw-1", "-o", "json"), exitDone, `"incrementFactor": 2.5`, `"thresholdPercentage": 5.25`, `"endBehavior": "CANCEL"`, `"windowOpen": false`, `"startTime": "2026-11-25T12:02:00.000Z"`,
		`"expiresInSec": 600`, `"deleted": 2`, `"abortBound": 17`)
}
