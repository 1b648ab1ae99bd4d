package sdktest

// documented are the errors that AWS declares of each operation that is offered. (specification §2.3, §2.10, §3.4)
var documented = map[string][]string{
	"CreateJob":                  {invalid, notFound, exists, limit, throttling, unavailable},
	"DescribeJob":                {invalid, notFound, throttling, unavailable},
	"UpdateJob":                  {invalid, notFound, throttling, unavailable},
	"CancelJob":                  {invalid, notFound, limit, throttling, unavailable},
	"DeleteJob":                  {invalid, notFound, badState, limit, throttling, unavailable},
	"ListJobs":                   {invalid, notFound, throttling, unavailable},
	"GetJobDocument":             {invalid, notFound, throttling, unavailable},
	"AssociateTargetsWithJob":    {invalid, notFound, limit, throttling, unavailable},
	"ListJobExecutionsForJob":    {invalid, notFound, throttling, unavailable},
	"ListJobExecutionsForThing":  {invalid, notFound, throttling, unavailable},
	"DescribeJobExecution":       {invalid, notFound, throttling, unavailable},
	"CancelJobExecution":         {invalid, notFound, badState, badVersion, throttling, unavailable},
	"DeleteJobExecution":         {invalid, notFound, badState, throttling, unavailable},
	"CreateJobTemplate":          {invalid, notFound, conflict, limit, throttling, failure},
	"DescribeJobTemplate":        {invalid, notFound, throttling, failure},
	"ListJobTemplates":           {invalid, throttling, failure},
	"DeleteJobTemplate":          {invalid, notFound, throttling, failure},
	"ListManagedJobTemplates":    {invalid, notFound, throttling, serverFault},
	"DescribeManagedJobTemplate": {invalid, notFound, throttling, serverFault},
	"TagResource":                {invalid, notFound, limit, throttling, failure},
	"UntagResource":              {invalid, notFound, throttling, failure},
	"ListTagsForResource":        {invalid, notFound, throttling, failure},

	"CreateThing":                 {invalid, exists, notFound, throttling, unauthorized, unavailable, failure},
	"DescribeThing":               {invalid, notFound, throttling, unauthorized, unavailable, failure},
	"UpdateThing":                 {invalid, notFound, badVersion, throttling, unauthorized, unavailable, failure},
	"DeleteThing":                 {invalid, notFound, badVersion, throttling, unauthorized, unavailable, failure},
	"ListThings":                  {invalid, throttling, unauthorized, unavailable, failure},
	"CreateThingType":             {invalid, exists, throttling, unauthorized, unavailable, failure},
	"DescribeThingType":           {invalid, notFound, throttling, unauthorized, unavailable, failure},
	"ListThingTypes":              {invalid, throttling, unauthorized, unavailable, failure},
	"DeprecateThingType":          {invalid, notFound, throttling, unauthorized, unavailable, failure},
	"DeleteThingType":             {invalid, notFound, throttling, unauthorized, unavailable, failure},
	"CreateThingGroup":            {invalid, exists, throttling, failure},
	"DescribeThingGroup":          {invalid, notFound, throttling, failure},
	"UpdateThingGroup":            {invalid, notFound, badVersion, throttling, failure},
	"DeleteThingGroup":            {invalid, badVersion, throttling, failure},
	"ListThingGroups":             {invalid, notFound, throttling, failure},
	"AddThingToThingGroup":        {invalid, notFound, throttling, failure},
	"RemoveThingFromThingGroup":   {invalid, notFound, throttling, failure},
	"UpdateThingGroupsForThing":   {invalid, notFound, throttling, failure},
	"ListThingsInThingGroup":      {invalid, notFound, throttling, failure},
	"ListThingGroupsForThing":     {invalid, notFound, throttling, failure},
	"UpdateEventConfigurations":   {invalid, throttling, failure},
	"DescribeEventConfigurations": {throttling, failure},
	"GetIndexingConfiguration":    {invalid, throttling, unauthorized, unavailable, failure},
	"DescribeEndpoint":            {invalid, throttling, unauthorized, failure},

	"iot-jobs-data GetPendingJobExecutions":      {invalid, notFound, throttling, unavailable, certificate},
	"iot-jobs-data StartNextPendingJobExecution": {invalid, notFound, throttling, unavailable, certificate},
	"iot-jobs-data DescribeJobExecution":         {invalid, notFound, throttling, unavailable, certificate, terminal},
	"iot-jobs-data UpdateJobExecution":           {invalid, notFound, throttling, unavailable, certificate, badState},
}

const nobodyIsIdle = "a thing that is not registered has nothing to do, as one that is idle"

// unmet are the errors that a test cannot bring about here, of one operation or of all, and why.
var unmet = map[string]string{
	"CancelJob " + limit: "no limit is known that a cancellation could meet",

	"DeleteThing " + notFound:                                "AWS grants it for a thing that is not there, and so does Drover",
	"iot-jobs-data GetPendingJobExecutions " + notFound:      nobodyIsIdle,
	"iot-jobs-data StartNextPendingJobExecution " + notFound: nobodyIsIdle,

	"GetIndexingConfiguration " + invalid:      "it asks for nothing that could be wrong",
	"GetIndexingConfiguration " + throttling:   "it is a constant here, and has no rate",
	"GetIndexingConfiguration " + unavailable:  "it is a constant here",
	"ListManagedJobTemplates " + notFound:      "a name that no template has selects none",
	"DescribeManagedJobTemplate " + invalid:    "a name or a version that no template has is not found",
	"ListManagedJobTemplates " + throttling:    "AWS tells no rate of it",
	"DescribeManagedJobTemplate " + throttling: "AWS tells no rate of it",

	failure:      "a fault of ours: none is known",
	serverFault:  "a fault of ours: none is known",
	unauthorized: "a signature that is good may do everything; one that is not is refused with 403",
	certificate:  "devices sign with access keys here; a listener for their certificates is not offered",
}
