package sdktest

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// AWS's numbers. (specification §7.1)
func TestLimitsOfAWS(t *testing.T) {
	eachSDK(t, limited, func(s *system, c *client) {
		group := c.name("limited")
		c.must("CreateThingGroup", doc{"thingGroupName": group})
		targets := []string{arn("thinggroup", group)}
		many := s.control(c.t, retrying(5))
		for i := range 100 {
			targets = append(targets, many.fleet(fmt.Sprintf("limited-%d", i))...)
		}
		job := c.name("limited")
		c.refused(limit, "CreateJob", doc{"jobId": job, "targets": targets, "document": "{}"}, "100")
		c.must("CreateJob", doc{"jobId": job, "targets": targets[:1], "document": "{}", "targetSelection": "CONTINUOUS"})
		c.refused(limit, "AssociateTargetsWithJob", doc{"jobId": job, "targets": targets[1:]}, "100")
		c.refused(invalid, "CreateJob", doc{"jobId": job + "-fast", "targets": targets[:1], "document": "{}",
			"jobExecutionsRolloutConfig": doc{"maximumPerMinute": 1001}}, "1000")
	})
}

// Of many deletions at a time ten are let in. (specification §11 row 11)
func TestTheEleventhDeletion(t *testing.T) {
	s := shared(t, plain)
	c := s.control(t)
	const thing, jobs = "deleted", 40
	target := c.fleet(thing)
	for deadline := time.Now().Add(patience); !seen.was("DeleteJob", limit); {
		for i := range jobs {
			c.must("CreateJob", doc{"jobId": fmt.Sprintf("deleted-%d", i), "targets": target, "document": "{}"})
		}
		atOnce(jobs, func(i int) {
			for {
				_, err := c.do("DeleteJob", doc{"jobId": fmt.Sprintf("deleted-%d", i), "force": true})
				if err == nil {
					return
				}
				c.checkRefusal(limit, "DeleteJob", err, "10")
			}
		})
		for i := range jobs {
			c.gone("DescribeJob", doc{"jobId": fmt.Sprintf("deleted-%d", i)})
		}
		if time.Now().After(deadline) {
			t.Fatalf("of %d deletions at a time none was refused", jobs)
		}
	}
}

// The 101st template.
func TestTheTemplatesOfAWS(t *testing.T) {
	s := shared(t, limited)
	c := s.control(t)
	for made := 0; ; {
		_, err := c.do("CreateJobTemplate", doc{"jobTemplateId": fmt.Sprintf("limited-%d", made), "document": "{}", "description": "d"})
		switch {
		case err == nil:
			made++
		case refusalOf(err).name == throttling: // ten a second are let in
			time.Sleep(20 * time.Millisecond)
		default:
			c.checkRefusal(limit, "CreateJobTemplate", err, "100")
			if made != 100 {
				t.Errorf("%d templates were made, want 100", made)
			}
			return
		}
	}
}

// Every operation for which AWS has a rate is throttled above it, under --limits aws.
func TestThrottling(t *testing.T) {
	s := shared(t, limited)
	control, device := &client{t, "v1", s.iotV1(), "iot"}, s.device(t)
	for operation, names := range documented {
		if _, excused := unmetError(operation, throttling); excused {
			continue
		}
		for _, name := range names {
			if name != throttling {
				continue
			}
			c := control
			operation, ofDevice := strings.CutPrefix(operation, "iot-jobs-data ")
			if ofDevice {
				c = device
			}
			c.throttled(operation)
		}
	}
}

// throttled calls an operation, with names that it refuses at once, until it is refused for its rate.
func (c *client) throttled(operation string) {
	c.t.Helper()
	in := c.filled(operation, "no.name")
	var found atomic.Bool
	deadline := time.Now().Add(patience)
	atOnce(16, func(int) {
		for !found.Load() && time.Now().Before(deadline) {
			_, err := c.do(operation, in)
			if err == nil || refusalOf(err).name != throttling {
				continue
			}
			if !found.Swap(true) {
				c.checkRefusal(throttling, operation, err, "Rate exceeded")
			}
		}
	})
	if !found.Load() {
		c.t.Errorf("%s was not throttled within %s", operation, patience)
	}
}

// filled is an input of an operation, with one name for whatever has a name.
func (c *client) filled(operation, name string) doc {
	method := reflect.ValueOf(c.api).MethodByName(operation + map[string]string{"v1": "WithContext"}[c.sdk])
	if !method.IsValid() {
		c.t.Fatalf("the SDK %s has no %s", c.sdk, operation)
	}
	in := doc{}
	for input, i := method.Type().In(1).Elem(), 0; i < input.NumField(); i++ {
		switch field := input.Field(i).Name; field {
		case "JobId", "ThingName", "ThingGroupName", "ThingTypeName", "JobTemplateId", "TemplateName", "Description":
			in[field] = name
		case "ExecutionNumber":
			in[field] = 1
		case "Document":
			in[field] = "{}"
		case "ResourceArn":
			in[field] = arn("thinggroup", name)
		case "Targets":
			in[field] = []string{arn("thing", name)}
		case "TagKeys":
			in[field] = []string{"k"}
		case "Tags":
			in[field] = []doc{{"Key": "k", "Value": "v"}}
		case "ThingGroupProperties":
			in[field] = doc{"thingGroupDescription": "d"}
		case "Status":
			if operation == "UpdateJobExecution" {
				in[field] = "FAILED"
			}
		}
	}
	if operation == "ListThings" || operation == "ListThingTypes" {
		return doc{}
	}
	return in
}

// atOnce runs f n times at once, and waits for all.
func atOnce(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}
