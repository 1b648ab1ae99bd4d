package sdktest

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	iotv1 "github.com/aws/aws-sdk-go/service/iot"

	iotv2 "github.com/aws/aws-sdk-go-v2/service/iot"
)

// Each list comes whole by pages of two: every row once, and no token behind the last.
func TestListsByPages(t *testing.T) {
	eachSDK(t, plain, func(s *system, c *client) {
		const n = 5
		group, kind := c.name("pages"), c.name("pages")
		c.must("CreateThingGroup", doc{"thingGroupName": group})
		c.must("CreateThingType", doc{"thingTypeName": kind})

		thing := func(i int) string { return c.name(fmt.Sprintf("pages-%d", i)) }
		for i := range n {
			c.must("CreateThing", doc{"thingName": thing(i), "thingTypeName": kind})
		}
		for i := range n {
			c.must("AddThingToThingGroup", doc{"thingName": thing(i), "thingGroupName": group})
			c.must("CreateThingGroup", doc{"thingGroupName": thing(i), "parentGroupName": group})
			c.must("CreateThingGroup", doc{"thingGroupName": thing(i) + "-apart"})
			c.must("AddThingToThingGroup", doc{"thingName": thing(0), "thingGroupName": thing(i) + "-apart"})
			c.must("CreateJobTemplate", doc{"jobTemplateId": thing(i), "document": "{}", "description": "d"})
			c.must("CreateJob", doc{"jobId": thing(i), "targets": []string{arn("thing", thing(1))}, "document": "{}"})

		}
		job := c.name("pages-all")
		c.must("CreateJob", doc{"jobId": job, "targets": []string{arn("thinggroup", group)}, "document": "{}"})
		c.eventually("DescribeJob", doc{"jobId": job}, doc{"job.jobProcessDetails.numberOfQueuedThings": n})
		c.eventually("ListJobExecutionsForThing", doc{"thingName": thing(1)}, doc{"executionSummaries.length": n + 1})
		for _, list := range []struct {
			operation string
			in        doc
			rows, id  string // id is the row itself if it is ""
			n         int
		}{
			{"ListThings", doc{"thingTypeName": kind}, "things", "thingName", n},
			{"ListThingsInThingGroup", doc{"thingGroupName": group}, "things", "", n},
			{"ListThingGroups", doc{"parentGroup": group}, "thingGroups", "groupName", n},
			{"ListThingGroupsForThing", doc{"thingName": thing(0)}, "thingGroups", "groupName", n + 1},
			{"ListJobTemplates", doc{}, "jobTemplates", "jobTemplateId", -1},
			{"ListThingTypes", doc{}, "thingTypes", "thingTypeName", -1},
			{"ListJobs", doc{}, "jobs", "jobId", -1},
			{"ListJobExecutionsForJob", doc{"jobId": job}, "executionSummaries", "thingArn", n},
			{"ListJobExecutionsForThing", doc{"thingName": thing(1)}, "executionSummaries", "jobId", n + 1},
		} {
			found := map[string]int{}
			in := doc{"maxResults": 2}
			maps.Copy(in, list.in)
			for {
				page := c.must(list.operation, in)
				rows, _ := page.at(list.rows).([]any)
				if len(rows) > 2 {
					c.t.Errorf("%s: a page of %d", list.operation, len(rows))
				}
				for i := range rows {
					path := fmt.Sprintf("%s.%d", list.rows, i)
					if list.id != "" {
						path += "." + list.id
					}
					found[page.text(path)]++
				}
				token := page.text("nextToken")
				if token == "" {
					break
				}
				in["nextToken"] = token
			}
			for row, times := range found {
				if times != 1 || row == "" {
					c.t.Errorf("%s: the row %q came %d times", list.operation, row, times)
				}
			}
			if list.n >= 0 && len(found) != list.n || len(found) < 1 {
				c.t.Errorf("%s: %d rows, want %d: %v", list.operation, len(found), list.n, slices.Sorted(maps.Keys(found)))
			}
		}
		for i := range n {
			c.must("DeleteJob", doc{"jobId": thing(i), "force": true})
		}
		c.must("DeleteJob", doc{"jobId": job, "force": true})
	})
}

// The SDKs' own paginators come to an end, with every row.
func TestPaginators(t *testing.T) {
	s := shared(t, plain)
	c := s.control(t)
	const n = 5
	want := map[string]bool{}
	for i := range n {
		name := fmt.Sprintf("paginator-%d", i)
		c.fleet(name)
		want[name] = true
		c.must("CreateJob", doc{"jobId": name, "targets": []string{arn("thing", name)}, "document": "{}"})
	}
	page := int32(2)
	one := map[string]bool{}
	note := func(into map[string]bool, name *string) {
		if want[*name] {
			into[*name] = true
		}
	}
	size := int64(page)
	if err := s.iotV1().ListJobsPages(&iotv1.ListJobsInput{MaxResults: &size}, func(out *iotv1.ListJobsOutput, _ bool) bool {
		for _, j := range out.Jobs {
			note(one, j.JobId)
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	two := map[string]bool{}
	for pages := iotv2.NewListJobsPaginator(s.iotV2(), &iotv2.ListJobsInput{MaxResults: &page}); pages.HasMorePages(); {
		out, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range out.Jobs {
			note(two, j.JobId)
		}
	}
	things := map[string]bool{}
	for pages := iotv2.NewListThingsPaginator(s.iotV2(), &iotv2.ListThingsInput{MaxResults: &page}); pages.HasMorePages(); {
		out, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range out.Things {
			note(things, j.ThingName)
		}
	}
	for what, have := range map[string]map[string]bool{"ListJobsPages": one, "ListJobsPaginator": two, "ListThingsPaginator": things} {
		if !maps.Equal(have, want) {
			t.Errorf("%s found %v of %d", what, have, n)
		}
	}
	for name := range want {
		c.must("DeleteJob", doc{"jobId": name, "force": true})
	}
}
