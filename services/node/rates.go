package node

import (
	"golang.org/x/time/rate"

	"github.com/droverhq/drover/services/fronts/aws"
	"github.com/droverhq/drover/services/fronts/device"
)

// quota is how many requests a second AWS takes of operations: of each of them, or of all together.
type quota struct {
	perSecond  int
	together   bool
	operations []string
}

// awsRates are AWS's of one account, in its large regions. An operation that is not there has none. (specification §7.2)
var awsRates = []quota{
	{perSecond: 10, operations: []string{
		"CreateJob", "UpdateJob", "CancelJob", "DeleteJob", "DescribeJob", "ListJobs", "GetJobDocument", "AssociateTargetsWithJob",
		"CancelJobExecution", "DeleteJobExecution", "DescribeJobExecution", "ListJobExecutionsForJob", "ListJobExecutionsForThing",
		"CreateJobTemplate", "DescribeJobTemplate", "DeleteJobTemplate", "ListJobTemplates",
	}},
	{perSecond: 200, together: true, operations: []string{dataOperation("DescribeJobExecution"), dataOperation("GetPendingJobExecutions")}},
	{perSecond: 200, together: true, operations: []string{dataOperation("StartNextPendingJobExecution"), dataOperation("UpdateJobExecution")}},

	{perSecond: 350, operations: []string{"DescribeThing"}},
	{perSecond: 100, operations: []string{"CreateThing", "UpdateThing", "DeleteThing"}},
	{perSecond: 100, operations: []string{"AddThingToThingGroup", "RemoveThingFromThingGroup", "ListThingGroupsForThing"}},
	{perSecond: 100, operations: []string{"DescribeThingGroup", "DescribeThingType"}},
	{perSecond: 25, operations: []string{"CreateThingGroup", "ListThingsInThingGroup"}},
	{perSecond: 15, operations: []string{"UpdateThingGroup", "DeleteThingGroup", "CreateThingType", "DeleteThingType", "DeprecateThingType"}},
	{perSecond: 10, operations: []string{"ListThings", "ListThingTypes", "ListThingGroups", "UpdateThingGroupsForThing"}},
	{perSecond: 10, operations: []string{
		"TagResource", "UntagResource", "ListTagsForResource", "UpdateEventConfigurations", "DescribeEventConfigurations", "DescribeEndpoint",
	}},
}

// dataOperation is what an operation of the data plane is called here, where DescribeJobExecution is one of either plane.
func dataOperation(name string) string { return string(aws.Data) + ":" + name }

func nameDataOperation(method, escapedPath string) string {
	name := device.Operation(method, escapedPath)
	if name == "" {
		return ""
	}
	return dataOperation(name)
}

// throttle makes what says whether an operation may be carried out now by these rates, in this process. After a pause a
// second's worth may come at once.
func throttle(quotas []quota) func(operation string) bool {
	limiters := map[string]*rate.Limiter{}
	for _, q := range quotas {
		shared := rate.NewLimiter(rate.Limit(q.perSecond), q.perSecond)
		for _, o := range q.operations {
			limiters[o] = shared
			if !q.together {
				limiters[o] = rate.NewLimiter(rate.Limit(q.perSecond), q.perSecond)
			}
		}
	}
	return func(operation string) bool {
		l := limiters[operation]
		return l == nil || l.Allow()
	}
}
