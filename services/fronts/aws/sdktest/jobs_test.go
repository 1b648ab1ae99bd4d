package sdktest

import (
	"strings"
	"testing"
)

// fleet makes things, and answers with their ARNs.
func (c *client) fleet(names ...string) (arns []string) {
	c.t.Helper()
	for _, name := range names {
		arns = append(arns, c.must("CreateThing", doc{"thingName": name}).text("thingArn"))
	}
	return arns
}

// queued makes a job for one thing and waits until its execution is there.
func (c *client) queued(job, thing string) {
	c.t.Helper()
	c.must("CreateJob", doc{"jobId": job, "targets": []string{arn("thing", thing)}, "document": `{"operation":"install"}`})
	c.eventually("DescribeJobExecution", doc{"jobId": job, "thingName": thing}, doc{"execution.status": "QUEUED"})
}

func TestAJobFromItsCreationToItsDeletion(t *testing.T) {
	eachSDK(t, plain, func(s *system, c *client) {
		thing, job := c.name("life"), c.name("life")
		targets := c.fleet(thing)
		c.want("CreateJob", doc{
			"jobId": job, "targets": targets, "document": "{\"operation\": \"install\",\n \"v\":\"2.4.0\"}", "description": "two words",
			"jobExecutionsRolloutConfig": doc{"maximumPerMinute": 100},
			"abortConfig":                doc{"criteriaList": []doc{{"failureType": "FAILED", "action": "CANCEL", "thresholdPercentage": 12.5, "minNumberOfExecutedThings": 3}}},
			"timeoutConfig":              doc{"inProgressTimeoutInMinutes": 30},
			"jobExecutionsRetryConfig":   doc{"criteriaList": []doc{{"failureType": "FAILED", "numberOfRetries": 2}}},
			"tags":                       []doc{{"Key": "team", "Value": "ärzte"}},
		}, doc{"jobArn": arn("job", job), "jobId": job, "description": "two words"})
		d := c.eventually("DescribeJob", doc{"jobId": job}, doc{
			"job.jobArn": arn("job", job), "job.jobId": job, "job.description": "two words", "job.status": "IN_PROGRESS", "job.targetSelection": "SNAPSHOT",
			"job.targets.0": targets[0], "job.targets.length": 1, "job.jobExecutionsRolloutConfig.maximumPerMinute": 100,
			"job.abortConfig.criteriaList.0.thresholdPercentage": 12.5, "job.abortConfig.criteriaList.0.action": "CANCEL",
			"job.timeoutConfig.inProgressTimeoutInMinutes": 30, "job.jobExecutionsRetryConfig.criteriaList.0.numberOfRetries": 2,
			"job.jobProcessDetails.numberOfQueuedThings": 1, "job.completedAt": nil, "documentSource": nil,
		})
		if d.text("job.createdAt") == "" || d.text("job.lastUpdatedAt") == "" {
			c.t.Errorf("DescribeJob has no times: %v", d)
		}
		c.want("GetJobDocument", doc{"jobId": job}, doc{"document": "{\"operation\": \"install\",\n \"v\":\"2.4.0\"}"})
		c.want("ListTagsForResource", doc{"resourceArn": arn("job", job)}, doc{"tags.0.Key": "team", "tags.0.Value": "ärzte"})

		c.must("UpdateJob", doc{"jobId": job, "description": "three more words", "timeoutConfig": doc{"inProgressTimeoutInMinutes": 31}})
		c.want("DescribeJob", doc{"jobId": job}, doc{"job.description": "three more words", "job.timeoutConfig.inProgressTimeoutInMinutes": 31,
			"job.jobExecutionsRolloutConfig.maximumPerMinute": 100})

		c.refused(badState, "DeleteJob", doc{"jobId": job}, "")
		c.want("CancelJob", doc{"jobId": job, "reasonCode": "WRONG_BUILD", "comment": "not this one", "force": true}, doc{"jobArn": arn("job", job), "jobId": job})
		c.want("DescribeJob", doc{"jobId": job}, doc{"job.status": "CANCELED", "job.reasonCode": "WRONG_BUILD", "job.comment": "not this one", "job.forceCanceled": true})
		c.eventually("DescribeJobExecution", doc{"jobId": job, "thingName": thing}, doc{"execution.status": "CANCELED"})
		c.must("DeleteJob", doc{"jobId": job})
		c.gone("DescribeJob", doc{"jobId": job})
		// Its id is free again.
		c.must("CreateJob", doc{"jobId": job, "targets": targets, "document": "{}"})
		c.must("DeleteJob", doc{"jobId": job, "force": true})
	})
}

func TestWhatIsWrongWithAJobIsSaid(t *testing.T) {
	eachSDK(t, plain, func(s *system, c *client) {
		thing, job := c.name("wrong"), c.name("wrong")
		targets := c.fleet(thing)
		good := func(change doc) doc {
			in := doc{"jobId": job, "targets": targets, "document": "{}"}
			for k, v := range change {
				in[k] = v
			}
			return in
		}
		for _, bad := range []doc{
			{"jobId": "a.b"},
			{"jobId": strings.Repeat("j", 65)},
			{"document": "{"},
			{"document": `"` + strings.Repeat("x", 40_000) + `"`},
			{"documentSource": "https://s3.amazonaws.com/bucket/key"},
			{"description": "a\nb"},
			{"description": strings.Repeat("d", 2029)},
			{"targetSelection": "SOMETIMES"},
			{"targets": []string{}},
			{"targets": []string{"press-01"}},
			{"targets": []string{"arn:aws:s3:::bucket"}},
			{"jobExecutionsRolloutConfig": doc{"maximumPerMinute": 0}},
			{"abortConfig": doc{"criteriaList": []doc{}}},
			{"abortConfig": doc{"criteriaList": []doc{{"failureType": "FAILED", "action": "CANCEL", "thresholdPercentage": 101, "minNumberOfExecutedThings": 1}}}},
			{"timeoutConfig": doc{"inProgressTimeoutInMinutes": 10081}},
			{"jobExecutionsRetryConfig": doc{"criteriaList": []doc{{"failureType": "FAILED", "numberOfRetries": 11}}}},
			{"schedulingConfig": doc{"startTime": "soon"}},
		} {
			c.refused(invalid, "CreateJob", good(bad), "")
		}
		c.refused(notFound, "CreateJob", good(doc{"targets": []string{arn("thing", c.name("nobody"))}}), c.name("nobody"))
		c.refused(notFound, "CreateJob", good(doc{"targets": []string{arn("thinggroup", c.name("nobody"))}}), c.name("nobody"))
		// Nothing of that was kept.
		c.refused(notFound, "DescribeJob", doc{"jobId": job}, job)
		c.must("CreateJob", good(nil))
		c.refused(exists, "CreateJob", good(doc{"document": `{"v":2}`}), job)

		c.refused(invalid, "DescribeJob", doc{"jobId": "a.b"}, "jobId")
		c.refused(invalid, "UpdateJob", doc{"jobId": job, "timeoutConfig": doc{"inProgressTimeoutInMinutes": 0}}, "")
		c.refused(invalid, "CancelJob", doc{"jobId": job, "reasonCode": "lower case"}, "reasonCode")
		c.refused(invalid, "DeleteJob", doc{"jobId": "a.b"}, "jobId")
		c.refused(invalid, "GetJobDocument", doc{"jobId": "a.b"}, "jobId")
		c.refused(invalid, "AssociateTargetsWithJob", doc{"jobId": job, "targets": targets}, "") // it is no continuous job
		c.refused(invalid, "ListJobs", doc{"status": "SLEEPING"}, "status")
		c.refused(invalid, "ListJobs", doc{"maxResults": 251}, "maxResults")
		c.refused(invalid, "ListJobs", doc{"nextToken": "not one of ours"}, "")
		c.refused(notFound, "ListJobs", doc{"thingGroupName": c.name("nobody")}, "")
		for _, operation := range []string{"DescribeJob", "CancelJob", "DeleteJob", "GetJobDocument"} {
			c.refused(notFound, operation, doc{"jobId": c.name("nobody")}, "")
		}
		c.refused(notFound, "UpdateJob", doc{"jobId": c.name("nobody"), "description": "d"}, "")
		c.refused(notFound, "AssociateTargetsWithJob", doc{"jobId": c.name("nobody"), "targets": targets}, "")

		c.must("CancelJob", doc{"jobId": job, "force": true})
		c.refused(invalid, "CancelJob", doc{"jobId": job}, "")
		c.refused(invalid, "UpdateJob", doc{"jobId": job, "description": "late"}, "")
	})
}

// A group's present and later things, and those of a group that is associated later.
func TestAContinuousJob(t *testing.T) {
	eachSDK(t, plain, func(s *system, c *client) {
		first, later, group, second, job := c.name("first"), c.name("later"), c.name("early"), c.name("second"), c.name("steady")
		c.fleet(first, later)
		for _, g := range []string{group, second} {
			c.want("CreateThingGroup", doc{"thingGroupName": g}, doc{"thingGroupName": g, "thingGroupArn": arn("thinggroup", g)})
		}
		c.must("AddThingToThingGroup", doc{"thingGroupName": group, "thingName": first})
		c.must("AddThingToThingGroup", doc{"thingGroupName": second, "thingName": later})
		c.must("CreateJob", doc{"jobId": job, "targets": []string{arn("thinggroup", group)}, "document": "{}", "targetSelection": "CONTINUOUS"})
		c.eventually("ListJobExecutionsForJob", doc{"jobId": job}, doc{"executionSummaries.length": 1, "executionSummaries.0.thingArn": arn("thing", first),
			"executionSummaries.0.jobExecutionSummary.status": "QUEUED", "executionSummaries.0.jobExecutionSummary.executionNumber": 1,
			"executionSummaries.0.jobExecutionSummary.retryAttempt": 0})
		c.want("AssociateTargetsWithJob", doc{"jobId": job, "targets": []string{arn("thinggroup", second)}, "comment": "the rest"}, doc{"jobArn": arn("job", job), "jobId": job})
		c.eventually("ListJobExecutionsForJob", doc{"jobId": job, "status": "QUEUED"}, doc{"executionSummaries.length": 2})
		c.want("DescribeJob", doc{"jobId": job}, doc{"job.targetSelection": "CONTINUOUS", "job.targets.length": 2, "job.comment": "the rest"})
		c.eventually("ListJobs", doc{"thingGroupName": second}, doc{"jobs.length": 1, "jobs.0.jobId": job, "jobs.0.jobArn": arn("job", job),
			"jobs.0.targetSelection": "CONTINUOUS", "jobs.0.status": "IN_PROGRESS"})
		c.refused(invalid, "AssociateTargetsWithJob", doc{"jobId": job, "targets": []string{"nonsense"}}, "")
		c.refused(notFound, "AssociateTargetsWithJob", doc{"jobId": job, "targets": []string{arn("thinggroup", c.name("nobody"))}}, "")
		c.must("DeleteJob", doc{"jobId": job, "force": true})
	})
}

func TestAScheduledJob(t *testing.T) {
	eachSDK(t, plain, func(s *system, c *client) {
		thing, job := c.name("nightly"), c.name("nightly")
		targets := c.fleet(thing)
		c.must("CreateJob", doc{"jobId": job, "targets": targets, "document": "{}", "targetSelection": "CONTINUOUS",
			"schedulingConfig": doc{"maintenanceWindows": []doc{{"startTime": "cron(30 2 ? * SUN *)", "durationInMinutes": 90}}}})
		c.want("DescribeJob", doc{"jobId": job}, doc{"job.schedulingConfig.maintenanceWindows.0.startTime": "cron(30 2 ? * SUN *)",
			"job.schedulingConfig.maintenanceWindows.0.durationInMinutes": 90})
		c.eventually("ListJobs", doc{"targetSelection": "CONTINUOUS", "status": "SCHEDULED"}, doc{"jobs.0.status": "SCHEDULED"})
		c.must("DeleteJob", doc{"jobId": job, "force": true})
		c.gone("DescribeJob", doc{"jobId": job})
	})
}
