package sdktest

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The rows of the conformance checklist, specification §11, that say something of HTTP.

// 5: a stale expectedVersion, as a number and as a string, is 409 and names both versions.
func TestSpec11_05HTTP(t *testing.T) {
	s := shared(t, plain)
	c, device := s.control(t), s.device(t)
	const thing, job = "row-05", "row-05"
	c.fleet(thing)
	c.queued(job, thing)
	device.must("StartNextPendingJobExecution", doc{"thingName": thing})
	device.refused(badState, "UpdateJobExecution", doc{"thingName": thing, "jobId": job, "status": "SUCCEEDED", "expectedVersion": 1}, "Expected version 1 but found version 2")
	for stale, status := range map[string]int{`"1"`: 409, `3`: 409, `"two"`: 400} {
		body := `{"status":"SUCCEEDED","expectedVersion":` + stale + `}`
		have, name, text := send(t, s.signed(t, "iot-jobs-data", http.MethodPost, "/things/"+thing+"/jobs/"+job, body, time.Now()))
		if have != status {
			t.Errorf("expectedVersion %s: %d %s %s, want %d", stale, have, name, text, status)
		}
	}
	device.want("DescribeJobExecution", doc{"thingName": thing, "jobId": job}, doc{"execution.status": "IN_PROGRESS", "execution.versionNumber": 2})
	c.refused(badVersion, "CancelJobExecution", doc{"thingName": thing, "jobId": job, "expectedVersion": 1, "force": true}, "")
	device.must("UpdateJobExecution", doc{"thingName": thing, "jobId": job, "status": "SUCCEEDED", "expectedVersion": 2})
}

// 6: what has ended is 409 to an update and 410 to a device that reads it; the control plane reads it.
func TestSpec11_06HTTP(t *testing.T) {
	s := shared(t, plain)
	c, device := s.control(t), s.device(t)
	const thing, job = "row-06", "row-06"
	c.fleet(thing)
	c.queued(job, thing)
	one := doc{"thingName": thing, "jobId": job}
	device.must("UpdateJobExecution", doc{"thingName": thing, "jobId": job, "status": "SUCCEEDED", "statusDetails": doc{"rc": "0"}})
	for _, status := range []string{"IN_PROGRESS", "FAILED", "REJECTED"} {
		device.refused(badState, "UpdateJobExecution", doc{"thingName": thing, "jobId": job, "status": status}, "SUCCEEDED")
	}
	device.refused(terminal, "DescribeJobExecution", one, "SUCCEEDED")
	c.want("DescribeJobExecution", one, doc{"execution.status": "SUCCEEDED", "execution.statusDetails.detailsMap.rc": "0", "execution.versionNumber": 2})
	c.refused(badState, "CancelJobExecution", doc{"thingName": thing, "jobId": job, "force": true}, "")
}

// 9: the document is a string over HTTP; times are whole seconds on the data plane, and have a fraction on the control plane.
func TestSpec11_09HTTP(t *testing.T) {
	s := shared(t, plain)
	c := s.control(t)
	const thing = "row-09"
	c.fleet(thing)
	fractions := 0
	for i := range 5 { // one time in a thousand is a whole second
		job := fmt.Sprintf("row-09-%d", i)
		c.queued(job, thing)
		for plane, whole := range map[string]bool{"iot": false, "iot-jobs-data": true} {
			var raw struct {
				Execution struct {
					QueuedAt, LastUpdatedAt json.Number
					JobDocument             any
				}
			}
			answer := json.NewDecoder(strings.NewReader(s.get(t, plane, "/things/"+thing+"/jobs/"+job)))
			if err := answer.Decode(&raw); err != nil {
				t.Fatal(err)
			}
			for _, at := range []json.Number{raw.Execution.QueuedAt, raw.Execution.LastUpdatedAt} {
				seconds, err := at.Float64()
				if err != nil || math.Abs(seconds-float64(time.Now().Unix())) > 600 {
					t.Fatalf("%s: %q is no time of now in seconds", plane, at)
				}
				switch {
				case whole && at.String() != fmt.Sprint(int64(seconds)):
					t.Errorf("%s: %s is no whole number of seconds", plane, at)
				case !whole && seconds != math.Trunc(seconds):
					fractions++
				}
			}
			if document, ok := raw.Execution.JobDocument.(string); whole && (!ok || document != `{"operation":"install"}`) {
				t.Errorf("the document is %v over HTTP", raw.Execution.JobDocument)
			}
		}
		c.must("DeleteJob", doc{"jobId": job, "force": true})
	}
	if fractions == 0 {
		t.Error("no time of the control plane has a fraction")
	}
}

// 11: what may be deleted, the 11th deletion at once, and the id of a job that was deleted.
func TestSpec11_11HTTP(t *testing.T) {
	s := shared(t, plain)
	c, device := s.control(t), s.device(t)
	const thing, job = "row-11", "row-11"
	c.fleet(thing)
	one := doc{"thingName": thing, "jobId": job}
	execution := func(force bool) doc {
		return doc{"thingName": thing, "jobId": job, "executionNumber": 1, "force": force}
	}
	c.queued(job, thing)
	c.refused(badState, "DeleteJob", doc{"jobId": job}, "")
	device.must("StartNextPendingJobExecution", doc{"thingName": thing})
	c.refused(badState, "DeleteJobExecution", execution(false), "")
	c.must("DeleteJobExecution", execution(true))
	c.gone("DescribeJobExecution", one)
	device.refused(notFound, "UpdateJobExecution", doc{"thingName": thing, "jobId": job, "status": "SUCCEEDED"}, "")
	c.must("DeleteJob", doc{"jobId": job, "force": true})
	c.gone("DescribeJob", doc{"jobId": job})

	c.queued(job, thing)
	c.want("DescribeJobExecution", one, doc{"execution.status": "QUEUED"})
	device.must("UpdateJobExecution", doc{"thingName": thing, "jobId": job, "status": "SUCCEEDED"})
	c.eventually("DescribeJob", doc{"jobId": job}, doc{"job.status": "COMPLETED"})
	c.must("DeleteJob", doc{"jobId": job})
	c.gone("DescribeJob", doc{"jobId": job})
}
