package sdktest

import "testing"

func TestADeviceAtWork(t *testing.T) {
	s := shared(t, plain)
	c, device := s.control(t), s.device(t)
	const thing, job = "device-a", "device-a"
	c.fleet(thing)
	next := doc{"thingName": thing, "jobId": "$next"}
	idle := doc{"execution": nil}
	device.want("GetPendingJobExecutions", doc{"thingName": thing}, doc{"inProgressJobs.length": 0, "queuedJobs.length": 0})
	device.want("DescribeJobExecution", next, idle)
	device.want("StartNextPendingJobExecution", doc{"thingName": thing}, idle)

	c.queued(job, thing)
	device.want("GetPendingJobExecutions", doc{"thingName": thing}, doc{"inProgressJobs.length": 0, "queuedJobs.length": 1, "queuedJobs.0.jobId": job,
		"queuedJobs.0.executionNumber": 1, "queuedJobs.0.versionNumber": 1})
	const document = `{"operation":"install"}`
	device.want("DescribeJobExecution", next, doc{"execution.jobId": job, "execution.status": "QUEUED", "execution.jobDocument": document})
	device.want("DescribeJobExecution", doc{"thingName": thing, "jobId": job, "includeJobDocument": false, "executionNumber": 1}, doc{"execution.jobDocument": nil})
	started := doc{"execution.jobId": job, "execution.thingName": thing, "execution.status": "IN_PROGRESS", "execution.statusDetails": doc{"phase": "start"},
		"execution.versionNumber": 2, "execution.executionNumber": 1, "execution.jobDocument": document}
	device.want("StartNextPendingJobExecution", doc{"thingName": thing, "statusDetails": doc{"phase": "start"}, "stepTimeoutInMinutes": 15}, started)
	// A second start is the first one's answer.
	device.want("StartNextPendingJobExecution", doc{"thingName": thing, "statusDetails": doc{"phase": "again"}}, started)
	device.want("GetPendingJobExecutions", doc{"thingName": thing}, doc{"inProgressJobs.length": 1, "inProgressJobs.0.jobId": job, "queuedJobs.length": 0})

	device.want("UpdateJobExecution", doc{"thingName": thing, "jobId": job, "status": "IN_PROGRESS", "statusDetails": doc{"phase": "flash"}, "expectedVersion": 2,
		"executionNumber": 1, "includeJobExecutionState": true, "includeJobDocument": true},
		doc{"executionState.status": "IN_PROGRESS", "executionState.statusDetails": doc{"phase": "flash"}, "executionState.versionNumber": 3, "jobDocument": document})
	device.want("UpdateJobExecution", doc{"thingName": thing, "jobId": job, "status": "SUCCEEDED"}, doc{"executionState": nil, "jobDocument": nil})
	device.want("GetPendingJobExecutions", doc{"thingName": thing}, doc{"inProgressJobs.length": 0, "queuedJobs.length": 0})
	c.eventually("DescribeJob", doc{"jobId": job}, doc{"job.status": "COMPLETED", "job.jobProcessDetails.numberOfSucceededThings": 1})
}

func TestWhatIsWrongWithADevicesRequestIsSaid(t *testing.T) {
	s := shared(t, plain)
	c, device := s.control(t), s.device(t)
	const thing, job = "device-wrong", "device-wrong"
	c.fleet(thing)
	c.queued(job, thing)
	device.refused(invalid, "GetPendingJobExecutions", doc{"thingName": "a.b"}, "")
	device.refused(invalid, "StartNextPendingJobExecution", doc{"thingName": thing, "stepTimeoutInMinutes": 10081}, "")
	device.refused(invalid, "DescribeJobExecution", doc{"thingName": thing, "jobId": "a.b"}, "")
	device.refused(notFound, "DescribeJobExecution", doc{"thingName": thing, "jobId": "nobody"}, "")
	device.refused(invalid, "UpdateJobExecution", doc{"thingName": thing, "jobId": job, "status": "SLEEPING"}, "")
	device.refused(invalid, "UpdateJobExecution", doc{"thingName": thing, "jobId": job, "status": "IN_PROGRESS", "statusDetails": doc{"a b": "c"}}, "")
	device.refused(notFound, "UpdateJobExecution", doc{"thingName": thing, "jobId": "nobody", "status": "IN_PROGRESS"}, "")
	device.refused(badState, "UpdateJobExecution", doc{"thingName": thing, "jobId": job, "status": "IN_PROGRESS", "expectedVersion": 9}, "")
	device.want("DescribeJobExecution", doc{"thingName": thing, "jobId": job}, doc{"execution.status": "QUEUED", "execution.versionNumber": 1})
	c.must("DeleteJob", doc{"jobId": job, "force": true})
}

// The names that clients escape in their own ways: a colon, and a thing whose name is a word of the paths.
func TestNamesThatPathsAreMadeOf(t *testing.T) {
	s := shared(t, plain)
	c, device := s.control(t), s.device(t)
	for _, thing := range []string{"hall:2:press", "jobs", "things", "a%b", "iot"} {
		if thing == "a%b" {
			c.refused(invalid, "CreateThing", doc{"thingName": thing}, "thingName")
			continue
		}
		c.want("CreateThing", doc{"thingName": thing}, doc{"thingArn": arn("thing", thing)})
		c.want("DescribeThing", doc{"thingName": thing}, doc{"thingName": thing})
		job := "jobs"
		c.queued(job, thing)
		c.want("ListJobExecutionsForThing", doc{"thingName": thing}, doc{"executionSummaries.0.jobId": job})
		device.want("DescribeJobExecution", doc{"thingName": thing, "jobId": "$next"}, doc{"execution.jobId": job, "execution.thingName": thing})
		device.want("StartNextPendingJobExecution", doc{"thingName": thing}, doc{"execution.jobId": job})
		device.must("UpdateJobExecution", doc{"thingName": thing, "jobId": job, "status": "SUCCEEDED"})
		c.must("DeleteJob", doc{"jobId": job, "force": true})
		c.gone("DescribeJob", doc{"jobId": job})
	}
}

// ARNs name the region that a request was signed for.
func TestARNsNameTheRegionThatWasSignedFor(t *testing.T) {
	s := shared(t, plain)
	for _, where := range []string{"eu-central-1", "us-west-2"} {
		c := s.control(t, inRegion(where))
		thing, job := "there-"+where, "there-"+where
		target := "arn:aws:iot:" + where + ":" + account + ":thing/" + thing
		c.want("CreateThing", doc{"thingName": thing}, doc{"thingArn": target})
		c.want("CreateJob", doc{"jobId": job, "targets": []string{target}, "document": "{}"}, doc{"jobArn": "arn:aws:iot:" + where + ":" + account + ":job/" + job})
		c.want("DescribeJob", doc{"jobId": job}, doc{"job.targets.0": target})
		c.must("DeleteJob", doc{"jobId": job, "force": true})
	}
}

// A document comes back byte for byte, and over HTTP it is a string.
func TestDocumentsAreKeptByteForByte(t *testing.T) {
	s := shared(t, plain)
	c, device := s.control(t), s.device(t)
	const thing = "byte-for-byte"
	target := c.fleet(thing)
	for i, document := range []string{"{}", "{\n\t\"a\" : 1.50,\r\n \"a\": 2}", `{"snow":"☃","escaped":"\u2603\/<>&"}`, `[1, 2]`, "  {\"b\":[ ] }\n"} {
		job := "byte-for-byte-" + string(rune('a'+i))
		if _, err := c.do("CreateJob", doc{"jobId": job, "targets": target, "document": document}); err != nil {
			t.Errorf("%q: %v", document, err)
			continue
		}
		c.want("GetJobDocument", doc{"jobId": job}, doc{"document": document})
		device.eventually("DescribeJobExecution", doc{"thingName": thing, "jobId": job}, doc{"execution.jobDocument": document})
		c.must("DeleteJob", doc{"jobId": job, "force": true})
	}
}
