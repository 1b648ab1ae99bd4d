package jobs

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core/coretest"
	"github.com/droverhq/drover/services/job"
)

// owner is the job service's core, with this model folded from what it writes.
type owner struct {
	*coretest.Run
	model  *kv.Overlay
	folded int
}

func newOwner(t *testing.T) *owner {
	return &owner{Run: coretest.New(t, job.New(job.DefaultLimits()), id.JobLog), model: kv.NewOverlay(kv.NewMemory())}
}

func (o *owner) fold() {
	for _, p := range o.History[o.folded:] {
		Apply(o.model, id.JobLog, &v1.Commit{AtMs: p.AtMs, Entries: []*v1.Entry{p.Entry}})
	}
	o.folded = len(o.History)
}

func (o *owner) do(cmd proto.Message) {
	o.T.Helper()
	if _, err := o.Decide(cmd); err != nil {
		o.T.Fatal(err)
	}
	o.fold()
}

func (o *owner) drained(number uint64, phase v1.JobPhase) {
	o.React(id.RolloutLog.Position(1, 0), &v1.Event{Event: &v1.Event_JobDrained{JobDrained: &v1.JobDrained{Job: number, Phase: phase}}})
	o.fold()
}

func (o *owner) wait(ms int64) {
	o.Now += ms
	o.Due()
	o.fold()
}

// same compares what the owner says of a job with what the model says, but for what either leaves to the other.
func (o *owner) same(name string) {
	o.T.Helper()
	reply, err := o.Answer(&v1.DescribeJob{JobId: name, IncludeDocument: true})
	if err != nil {
		o.T.Fatal(err)
	}
	want := reply.(*v1.DescribeJobReply).Job
	d, err := Describe(o.model, &v1.DescribeJob{JobId: name, IncludeDocument: true})
	if err != nil {
		o.T.Fatal(err)
	}
	want.IsConcurrent, d.Job.IsConcurrent, want.NextWindowsMs = false, false, nil
	if !proto.Equal(d.Job, want) {
		o.T.Errorf("the model says %v\nits owner   %v", d.Job, want)
	}
}

func group(name string) *v1.Target { return &v1.Target{Target: &v1.Target_Group{Group: name}} }

func (o *owner) create(name string, change func(*v1.CreateJob)) {
	cmd := &v1.CreateJob{JobId: name, Targets: []*v1.Target{group("presses")}, Document: []byte("{}"), Checked: &v1.TargetsChecked{}}
	if change != nil {
		change(cmd)
	}
	o.T.Helper()
	o.do(cmd)
}

func TestTheModelSaysWhatTheOwnerSays(t *testing.T) {
	const minute = 60_000
	o := newOwner(t)
	o.Now = 1795400100000 // 2026-11-23 02:15
	o.create("windowed", func(c *v1.CreateJob) {
		c.TargetSelection = v1.TargetSelection_TARGET_SELECTION_CONTINUOUS
		c.Scheduling = &v1.SchedulingConfig{EndTime: "2026-11-23 06:30", Windows: []*v1.MaintenanceWindow{{StartTime: "cron(0 3-6 * * ? *)", DurationMinutes: 30}}}
		c.Abort = &v1.AbortConfig{Criteria: []*v1.AbortCriterion{{Failure: v1.FailureType_FAILURE_TYPE_ALL, ThresholdHundredths: 1, MinExecuted: 1}}}
		c.Retry = &v1.RetryConfig{Criteria: []*v1.RetryCriterion{{Failure: v1.FailureType_FAILURE_TYPE_ALL, Retries: 3}}}
		c.PresignedUrl, c.NamespaceId, c.DestinationPackageVersions = &v1.PresignedUrlConfig{ExpiresInSeconds: 60}, "n", []string{"arn:a"}
		c.Tags = []*v1.Tag{{Key: "team", Value: "valves"}}
	})
	number := uint64(1 << 16)
	o.same("windowed")
	o.wait(45 * minute)
	o.same("windowed")
	o.do(&v1.AssociateTargets{JobId: "windowed", Targets: []*v1.Target{group("lathes")}, Comment: "more", Checked: &v1.TargetsChecked{}})
	o.do(&v1.UpdateJob{JobId: "windowed", Description: proto.String("d"), Rollout: &v1.RolloutConfig{MaximumPerMinute: 3}, PresignedUrl: &v1.PresignedUrlConfig{}})
	o.do(&v1.TagResource{Resource: "job/windowed", Tags: []*v1.Tag{{Key: "a"}, {Key: "team", Value: "pumps"}}})
	o.do(&v1.UntagResource{Resource: "job/windowed", Keys: []string{"a"}})
	o.same("windowed")
	o.wait(30 * minute)
	o.same("windowed")
	o.wait(180 * minute)
	o.same("windowed")
	o.do(&v1.CancelJob{JobId: "windowed", ReasonCode: "BAD"})
	o.same("windowed")
	o.drained(number, v1.JobPhase_JOB_PHASE_STOPPED)
	o.same("windowed")
	o.do(&v1.DeleteJob{JobId: "windowed"})
	o.same("windowed")
	o.drained(number, v1.JobPhase_JOB_PHASE_DELETED)
	if _, err := Describe(o.model, &v1.DescribeJob{JobId: "windowed"}); err == nil {
		t.Error("a deleted job is described")
	}
	if ID(o.model, number) != "windowed" {
		t.Error("the events of a deleted job have lost its name")
	}
	o.create("windowed", func(c *v1.CreateJob) {
		c.JobTemplate, c.Document = "AWS-Run-Command", nil
		c.DocumentParameters = []*v1.Parameter{{Key: "command", Value: "ls"}}
	})
	o.same("windowed")
	left := 0
	for range o.model.Scan([]byte{tableGroup}, []byte{tableGroup + 1}) {
		left++
	}
	if left != 1 {
		t.Errorf("%d jobs are found by their groups, want the one there is", left)
	}
}

func TestJobsAreListedBySelectionAndGroup(t *testing.T) {
	o := newOwner(t)
	o.create("a", nil)
	o.create("b", func(c *v1.CreateJob) { c.TargetSelection = v1.TargetSelection_TARGET_SELECTION_CONTINUOUS })
	o.create("c", func(c *v1.CreateJob) { c.Targets = []*v1.Target{group("press"), group("lathes")} })
	o.create("d", func(c *v1.CreateJob) { c.Scheduling = &v1.SchedulingConfig{StartTime: "2030-01-01 00:00"} })
	o.do(&v1.AssociateTargets{JobId: "b", Targets: []*v1.Target{group("lathes")}, Checked: &v1.TargetsChecked{}})
	for _, test := range []struct {
		name string
		q    *v1.ListJobs
		want string
	}{
		{"of a group, also one that is SCHEDULED", &v1.ListJobs{Group: "presses"}, "d b a"},
		{"of a group by its ARN, page by page", &v1.ListJobs{Group: "arn:aws:iot:x:1:thinggroup/presses", Page: &v1.Page{Limit: 2}}, "d b | a"},
		{"of a group that was associated", &v1.ListJobs{Group: "lathes"}, "c b"},
		{"of a group whose name another begins with", &v1.ListJobs{Group: "press"}, "c"},
		{"of no group", &v1.ListJobs{Group: "other"}, ""},
		{"continuous", &v1.ListJobs{TargetSelection: v1.TargetSelection_TARGET_SELECTION_CONTINUOUS}, "b"},
		{"scheduled", &v1.ListJobs{Status: v1.JobStatus_JOB_STATUS_SCHEDULED}, "d"},
		{"of a group and a selection", &v1.ListJobs{Group: "presses", TargetSelection: v1.TargetSelection_TARGET_SELECTION_SNAPSHOT}, "d a"},
	} {
		var pages []string
		for {
			reply, err := List(o.model, test.q)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, row := range reply.Jobs {
				names = append(names, row.JobId)
			}
			pages = append(pages, strings.Join(names, " "))
			if reply.NextToken == "" {
				break
			}
			if test.q.Page == nil {
				test.q.Page = &v1.Page{}
			}
			test.q.Page.Token = reply.NextToken
		}
		if got := strings.Join(pages, " | "); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
	if _, err := List(o.model, &v1.ListJobs{Group: "a.b"}); err == nil {
		t.Error("a malformed group is taken")
	}
}

func TestTemplatesTagsAndEventConfigurations(t *testing.T) {
	o := newOwner(t)
	for i := range 3 {
		o.do(&v1.CreateTemplate{Template: &v1.JobTemplate{TemplateId: fmt.Sprint("t-", i), Description: "d", Document: []byte("{}")}, Tags: []*v1.Tag{{Key: "k"}}})
	}
	o.do(&v1.DeleteTemplate{TemplateId: "t-1"})
	o.do(&v1.TagResource{Resource: "template/t-2", Tags: []*v1.Tag{{Key: "a", Value: "1"}}})
	list, err := ListTemplates(o.model, &v1.ListTemplates{})
	if err != nil || len(list.Templates) != 2 || list.Templates[1].Template.TemplateId != "t-2" || list.Templates[0].Template.Document != nil {
		t.Errorf("got %v, %v", list, err)
	}
	d, err := DescribeTemplate(o.model, &v1.DescribeTemplate{TemplateId: "arn:aws:iot:x:1:jobtemplate/t-2"})
	if err != nil || string(d.Template.Template.Document) != "{}" || d.Template.CreatedAtMs != o.Now {
		t.Errorf("got %v, %v", d, err)
	}
	tags, err := ListTags(o.model, &v1.ListTags{Resource: "template/t-2"})
	if err != nil || len(tags.Tags) != 2 || tags.Tags[0].Key != "a" {
		t.Errorf("got %v, %v", tags, err)
	}
	o.create("j", func(c *v1.CreateJob) { c.Tags = []*v1.Tag{{Key: "team"}} })
	if tags, err := ListTags(o.model, &v1.ListTags{Resource: "arn:aws:iot:x:1:job/j"}); err != nil || len(tags.Tags) != 1 {
		t.Errorf("got %v, %v", tags, err)
	}
	for _, resource := range []string{"", "j", "group/a", "job/other", "template/t-1", "template/a.b"} {
		if _, err := ListTags(o.model, &v1.ListTags{Resource: resource}); err == nil {
			t.Errorf("tags of %q", resource)
		}
	}
	all := func() string {
		reply, err := DescribeEvents(o.model, nil)
		if err != nil || len(reply.Configurations) != 11 {
			t.Fatal(reply, err)
		}
		on := fmt.Sprint(reply.LastModifiedMs)
		for _, c := range reply.Configurations {
			if c.Enabled {
				on += fmt.Sprintf(" %s since %d", c.Category.String()[len("EVENT_CATEGORY_"):], c.ChangedAtMs)
			}
		}
		return on
	}
	if got := all(); got != "0" {
		t.Errorf("at first: %s", got)
	}
	o.do(&v1.ConfigureEvents{Configurations: []*v1.EventConfiguration{{Category: v1.EventCategory_EVENT_CATEGORY_JOB, Enabled: true}, {Category: v1.EventCategory_EVENT_CATEGORY_JOB_EXECUTION, Enabled: true}}})
	first := o.Now
	o.Now += 5000
	o.do(&v1.ConfigureEvents{Configurations: []*v1.EventConfiguration{{Category: v1.EventCategory_EVENT_CATEGORY_JOB}}})
	if got := all(); got != fmt.Sprintf("%d JOB_EXECUTION since %d", o.Now, first) {
		t.Errorf("got %s", got)
	}
}
