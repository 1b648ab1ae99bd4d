package sdktest

import "testing"

func TestExecutionsOfTheControlPlane(t *testing.T) {
	eachSDK(t, plain, func(s *system, c *client) {
		device := s.device(c.t)
		thing, job := c.name("exec"), c.name("exec")
		c.fleet(thing)
		c.queued(job, thing)
		one := doc{"jobId": job, "thingName": thing}
		c.want("DescribeJobExecution", one, doc{"execution.jobId": job, "execution.thingArn": arn("thing", thing), "execution.status": "QUEUED",
			"execution.executionNumber": 1, "execution.versionNumber": 1, "execution.startedAt": nil})
		c.want("ListJobExecutionsForThing", doc{"thingName": thing}, doc{"executionSummaries.length": 1, "executionSummaries.0.jobId": job,
			"executionSummaries.0.jobExecutionSummary.status": "QUEUED"})
		c.want("ListJobExecutionsForThing", doc{"thingName": thing, "status": "FAILED"}, doc{"executionSummaries.length": 0})
		c.want("ListJobExecutionsForThing", doc{"thingName": thing, "jobId": job}, doc{"executionSummaries.length": 1})

		device.must("UpdateJobExecution", doc{"jobId": job, "thingName": thing, "status": "IN_PROGRESS", "statusDetails": doc{"phase": "flash"}})
		c.want("DescribeJobExecution", one, doc{"execution.status": "IN_PROGRESS", "execution.versionNumber": 2, "execution.statusDetails.detailsMap.phase": "flash"})
		c.refused(badState, "CancelJobExecution", one, "")
		c.refused(badVersion, "CancelJobExecution", doc{"jobId": job, "thingName": thing, "force": true, "expectedVersion": 1}, "")
		c.refused(badState, "DeleteJobExecution", doc{"jobId": job, "thingName": thing, "executionNumber": 1}, "")
		c.must("CancelJobExecution", doc{"jobId": job, "thingName": thing, "force": true, "expectedVersion": 2, "statusDetails": doc{"by": "the test"}})
		c.want("DescribeJobExecution", doc{"jobId": job, "thingName": thing, "executionNumber": 1}, doc{"execution.status": "CANCELED", "execution.forceCanceled": true,
			"execution.statusDetails.detailsMap.by": "the test"})
		c.eventually("DescribeJob", doc{"jobId": job}, doc{"job.status": "COMPLETED", "job.jobProcessDetails.numberOfCanceledThings": 1})
		c.must("DeleteJobExecution", doc{"jobId": job, "thingName": thing, "executionNumber": 1})
		c.gone("DescribeJobExecution", one)
	})
}

func TestWhatIsWrongWithAnExecutionIsSaid(t *testing.T) {
	eachSDK(t, plain, func(s *system, c *client) {
		thing, job := c.name("exec-wrong"), c.name("exec-wrong")
		c.fleet(thing)
		c.queued(job, thing)
		for _, operation := range []string{"DescribeJobExecution", "CancelJobExecution"} {
			c.refused(invalid, operation, doc{"jobId": "a.b", "thingName": thing}, "jobId")
			c.refused(invalid, operation, doc{"jobId": job, "thingName": "a.b"}, "thingName")
			c.refused(notFound, operation, doc{"jobId": c.name("nobody"), "thingName": thing}, "")
			c.refused(notFound, operation, doc{"jobId": job, "thingName": c.name("nobody")}, "")
		}
		c.refused(notFound, "DescribeJobExecution", doc{"jobId": job, "thingName": thing, "executionNumber": 7}, "")
		c.refused(invalid, "CancelJobExecution", doc{"jobId": job, "thingName": thing, "statusDetails": doc{"a b": "c"}}, "")
		c.refused(invalid, "DeleteJobExecution", doc{"jobId": "a.b", "thingName": thing, "executionNumber": 1}, "jobId")
		c.refused(notFound, "DeleteJobExecution", doc{"jobId": c.name("nobody"), "thingName": thing, "executionNumber": 1}, "")
		c.refused(notFound, "DeleteJobExecution", doc{"jobId": job, "thingName": thing, "executionNumber": 7}, "")
		c.refused(invalid, "ListJobExecutionsForJob", doc{"jobId": job, "status": "SLEEPING"}, "status")
		c.refused(notFound, "ListJobExecutionsForJob", doc{"jobId": c.name("nobody")}, "")
		c.refused(invalid, "ListJobExecutionsForThing", doc{"thingName": thing, "maxResults": 251}, "maxResults")
		c.refused(notFound, "ListJobExecutionsForThing", doc{"thingName": c.name("nobody")}, "")
		c.must("DeleteJob", doc{"jobId": job, "force": true})
	})
}
