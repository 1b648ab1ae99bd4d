package sdktest

import "testing"

func TestTemplates(t *testing.T) {
	eachSDK(t, plain, func(s *system, c *client) {
		template, thing, job := c.name("install"), c.name("from-template"), c.name("from-template")
		c.want("CreateJobTemplate", doc{"jobTemplateId": template, "document": `{"v": 1}`, "description": "installs",
			"timeoutConfig": doc{"inProgressTimeoutInMinutes": 20}, "jobExecutionsRolloutConfig": doc{"maximumPerMinute": 50},
			"tags": []doc{{"Key": "team", "Value": "a"}}},
			doc{"jobTemplateArn": arn("jobtemplate", template), "jobTemplateId": template})
		c.want("DescribeJobTemplate", doc{"jobTemplateId": template}, doc{"jobTemplateArn": arn("jobtemplate", template), "description": "installs",
			"document": `{"v": 1}`, "timeoutConfig.inProgressTimeoutInMinutes": 20, "jobExecutionsRolloutConfig.maximumPerMinute": 50})
		c.want("ListTagsForResource", doc{"resourceArn": arn("jobtemplate", template)}, doc{"tags.0.Value": "a"})
		c.refused(conflict, "CreateJobTemplate", doc{"jobTemplateId": template, "document": "{}", "description": "another"}, template)

		c.must("CreateJob", doc{"jobId": job, "targets": c.fleet(thing), "jobTemplateArn": arn("jobtemplate", template)})
		c.want("DescribeJob", doc{"jobId": job}, doc{"job.jobTemplateArn": arn("jobtemplate", template), "job.timeoutConfig.inProgressTimeoutInMinutes": 20})
		c.want("GetJobDocument", doc{"jobId": job}, doc{"document": `{"v": 1}`})
		c.must("CreateJobTemplate", doc{"jobTemplateId": template + "-2", "jobArn": arn("job", job), "description": "as that job"})
		c.want("DescribeJobTemplate", doc{"jobTemplateId": template + "-2"}, doc{"document": `{"v": 1}`})

		rows := c.must("ListJobTemplates", doc{})
		if n, _ := rows.at("jobTemplates.length").(float64); n < 2 || rows.text("jobTemplates.0.jobTemplateArn") == "" || rows.text("jobTemplates.0.createdAt") == "" {
			c.t.Errorf("ListJobTemplates: %v", rows)
		}
		c.must("DeleteJobTemplate", doc{"jobTemplateId": template + "-2"})
		c.must("DeleteJobTemplate", doc{"jobTemplateId": template})
		c.refused(notFound, "DescribeJobTemplate", doc{"jobTemplateId": template}, template)
		c.must("DeleteJob", doc{"jobId": job, "force": true})

		c.refused(invalid, "CreateJobTemplate", doc{"jobTemplateId": "a.b", "document": "{}", "description": "d"}, "")
		c.refused(invalid, "CreateJobTemplate", doc{"jobTemplateId": template, "document": "{", "description": "d"}, "")
		c.refused(notFound, "CreateJobTemplate", doc{"jobTemplateId": template, "jobArn": arn("job", c.name("nobody")), "description": "d"}, "")
		for _, operation := range []string{"DescribeJobTemplate", "DeleteJobTemplate"} {
			c.refused(invalid, operation, doc{"jobTemplateId": "a.b"}, "")
			c.refused(notFound, operation, doc{"jobTemplateId": c.name("nobody")}, "")
		}
		c.refused(invalid, "ListJobTemplates", doc{"maxResults": 251}, "maxResults")
		c.refused(notFound, "CreateJob", doc{"jobId": job + "-2", "targets": []string{arn("thing", thing)}, "jobTemplateArn": arn("jobtemplate", c.name("nobody"))}, "")
	})
}

// AWS's own templates, whose document is made with parameters.
func TestManagedTemplates(t *testing.T) {
	eachSDK(t, plain, func(s *system, c *client) {
		thing, job := c.name("managed"), c.name("managed")
		const template = "arn:aws:iot:" + region + "::jobtemplate/AWS-Reboot:1.0"
		rows := c.must("ListManagedJobTemplates", doc{})
		if n, _ := rows.at("managedJobTemplates.length").(float64); n < 8 {
			c.t.Errorf("ListManagedJobTemplates: %v", rows)
		}
		c.want("ListManagedJobTemplates", doc{"templateName": "AWS-Reboot"}, doc{"managedJobTemplates.length": 1,
			"managedJobTemplates.0.templateName": "AWS-Reboot", "managedJobTemplates.0.templateArn": template, "managedJobTemplates.0.templateVersion": "1.0"})
		c.want("DescribeManagedJobTemplate", doc{"templateName": "AWS-Reboot", "templateVersion": "1.0"}, doc{"templateName": "AWS-Reboot", "templateArn": template,
			"templateVersion": "1.0", "environments.0": "LINUX"})
		c.must("CreateJob", doc{"jobId": job, "targets": c.fleet(thing), "jobTemplateArn": template, "documentParameters": doc{"runAsUser": "root"}})
		c.want("DescribeJob", doc{"jobId": job}, doc{"job.jobTemplateArn": template, "job.documentParameters": doc{"runAsUser": "root"}})
		c.must("DeleteJob", doc{"jobId": job, "force": true})

		c.refused(notFound, "DescribeManagedJobTemplate", doc{"templateName": "AWS-Dance"}, "")
		c.refused(notFound, "DescribeManagedJobTemplate", doc{"templateName": "AWS-Reboot", "templateVersion": "9.9"}, "")
		c.want("ListManagedJobTemplates", doc{"templateName": "AWS-Dance"}, doc{"managedJobTemplates.length": 0})
		c.refused(invalid, "ListManagedJobTemplates", doc{"maxResults": 251}, "maxResults")
		c.refused(invalid, "CreateJob", doc{"jobId": job + "-2", "targets": []string{arn("thing", thing)}, "document": "{}",
			"documentParameters": doc{"a": "b"}}, "documentParameters")
	})
}
