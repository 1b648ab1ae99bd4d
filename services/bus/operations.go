package bus

import (
	"strings"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// Op is an operation of the bus: its subject, its request and its reply. All are listed below.
type Op[Q, R proto.Message] struct {
	Query bool
	// Owner is the service that decides a command, or the read model that answers a query.
	Owner  string
	Name   string
	thing  func(Q) string // of a per-thing operation
	shared bool           // of a command that any instance may answer, one of them does
}

// Commands of the job service.
var (
	CreateJob = command[*v1.CreateJob, *v1.CreateJobReply]("job", "create")
	CancelJob = command[*v1.CancelJob, *v1.CancelJobReply]("job", "cancel")

	UpdateJob        = command[*v1.UpdateJob, *v1.UpdateJobReply]("job", "update")
	AssociateTargets = command[*v1.AssociateTargets, *v1.AssociateTargetsReply]("job", "associate")
	DeleteJob        = command[*v1.DeleteJob, *v1.DeleteJobReply]("job", "delete")
	CreateTemplate   = command[*v1.CreateTemplate, *v1.CreateTemplateReply]("job", "create-template")
	DeleteTemplate   = command[*v1.DeleteTemplate, *v1.DeleteTemplateReply]("job", "delete-template")
	TagJobs          = command[*v1.TagResource, *v1.TagResourceReply]("job", "tag")
	UntagJobs        = command[*v1.UntagResource, *v1.UntagResourceReply]("job", "untag")
	ConfigureEvents  = command[*v1.ConfigureEvents, *v1.ConfigureEventsReply]("job", "configure-events")
)

// The question to rollout's owner.
var GetHolding = command[*v1.GetHolding, *v1.GetHoldingReply]("rollout", "holding")

// Commands of the targeting service, and the question that intake asks its owner.
var (
	CreateThings = command[*v1.CreateThings, *v1.CreateThingsReply]("targeting", "create-things")
	DeleteThing  = command[*v1.DeleteThing, *v1.DeleteThingReply]("targeting", "delete-thing")
	CreateGroup  = command[*v1.CreateGroup, *v1.CreateGroupReply]("targeting", "create-group")
	AddThings    = command[*v1.AddThings, *v1.AddThingsReply]("targeting", "add-things")
	RemoveThings = command[*v1.RemoveThings, *v1.RemoveThingsReply]("targeting", "remove-things")
	CheckTargets = command[*v1.CheckTargets, *v1.CheckTargetsReply]("targeting", "check-targets")

	UpdateThing         = command[*v1.UpdateThing, *v1.UpdateThingReply]("targeting", "update-thing")
	UpdateGroup         = command[*v1.UpdateGroup, *v1.UpdateGroupReply]("targeting", "update-group")
	DeleteGroup         = command[*v1.DeleteGroup, *v1.DeleteGroupReply]("targeting", "delete-group")
	ChangeGroupsOfThing = command[*v1.ChangeGroupsOfThing, *v1.ChangeGroupsOfThingReply]("targeting", "change-groups-of-thing")
	CreateThingType     = command[*v1.CreateThingType, *v1.CreateThingTypeReply]("targeting", "create-thing-type")
	DeprecateThingType  = command[*v1.DeprecateThingType, *v1.DeprecateThingTypeReply]("targeting", "deprecate-thing-type")
	DeleteThingType     = command[*v1.DeleteThingType, *v1.DeleteThingTypeReply]("targeting", "delete-thing-type")
	TagRegistry         = command[*v1.TagResource, *v1.TagResourceReply]("targeting", "tag")
	UntagRegistry       = command[*v1.UntagResource, *v1.UntagResourceReply]("targeting", "untag")
)

// Commands and questions of the execution service, each answered by the thing's home.
var (
	CancelExecution   = thingCommand("cancel", (*v1.CancelExecution).GetThing, (*v1.CancelExecutionReply)(nil))
	DeleteExecution   = thingCommand("delete", (*v1.DeleteExecution).GetThing, (*v1.DeleteExecutionReply)(nil))
	GetThingHolding   = thingCommand("holding", (*v1.GetThingHolding).GetThing, (*v1.GetThingHoldingReply)(nil))
	DescribeExecution = thingCommand("describe", (*v1.DescribeExecution).GetThing, (*v1.DescribeExecutionReply)(nil))
	GetPending        = thingCommand("get-pending", (*v1.GetPending).GetThing, (*v1.GetPendingReply)(nil))
	StartNext         = thingCommand("start-next", (*v1.StartNext).GetThing, (*v1.StartNextReply)(nil))
	UpdateExecution   = thingCommand("update", (*v1.UpdateExecution).GetThing, (*v1.UpdateExecutionReply)(nil))
)

// Commands and questions about durable commands, answered by any inbox.
var (
	RetryPoison = sharedCommand[*v1.RetryPoison, *v1.RetryPoisonReply]("inbox", "retry")
	DropPoison  = sharedCommand[*v1.DropPoison, *v1.DropPoisonReply]("inbox", "drop")
	ListPoison  = query[*v1.ListPoison, *v1.ListPoisonReply]("inbox", "list")
	GetOutcome  = query[*v1.GetOutcome, *v1.Outcome]("inbox", "outcome")
)

// Commands and questions about access keys, answered by any process of the HTTP front.
var (
	CreateCredential = sharedCommand[*v1.CreateCredential, *v1.CreateCredentialReply]("credential", "create")
	RevokeCredential = sharedCommand[*v1.RevokeCredential, *v1.RevokeCredentialReply]("credential", "revoke")
	ListCredentials  = query[*v1.ListCredentials, *v1.ListCredentialsReply]("credential", "list")
)

// Questions about the feed and about the system itself.
var (
	ReadFeed       = query[*v1.ReadFeed, *v1.ReadFeedReply]("feed", "read")
	ListPartitions = query[*v1.ListPartitions, *v1.ListPartitionsReply]("system", "partitions")
)

// Queries of the read models.
var (
	ListJobs               = query[*v1.ListJobs, *v1.ListJobsReply]("jobs", "list")
	DescribeJob            = query[*v1.DescribeJob, *v1.DescribeJobReply]("jobs", "describe")
	ListExecutionsForJob   = query[*v1.ListExecutionsForJob, *v1.ListExecutionsReply]("executions", "list-for-job")
	ListExecutionsForThing = query[*v1.ListExecutionsForThing, *v1.ListExecutionsReply]("executions", "list-for-thing")
	GetExecution           = query[*v1.GetExecution, *v1.GetExecutionReply]("executions", "get")
	ListThings             = query[*v1.ListThings, *v1.ListThingsReply]("fleet", "list-things")
	DescribeThing          = query[*v1.DescribeThing, *v1.DescribeThingReply]("fleet", "describe-thing")
	ListGroups             = query[*v1.ListGroups, *v1.ListGroupsReply]("fleet", "list-groups")
	DescribeGroup          = query[*v1.DescribeGroup, *v1.DescribeGroupReply]("fleet", "describe-group")
	ListThingsInGroup      = query[*v1.ListThingsInGroup, *v1.ListThingsInGroupReply]("fleet", "list-things-in-group")

	ListTemplates               = query[*v1.ListTemplates, *v1.ListTemplatesReply]("jobs", "list-templates")
	DescribeTemplate            = query[*v1.DescribeTemplate, *v1.DescribeTemplateReply]("jobs", "describe-template")
	ListManagedTemplates        = query[*v1.ListManagedTemplates, *v1.ListManagedTemplatesReply]("jobs", "list-managed-templates")
	DescribeManagedTemplate     = query[*v1.DescribeManagedTemplate, *v1.DescribeManagedTemplateReply]("jobs", "describe-managed-template")
	ListJobTags                 = query[*v1.ListTags, *v1.ListTagsReply]("jobs", "list-tags")
	DescribeEventConfigurations = query[*v1.DescribeEventConfigurations, *v1.DescribeEventConfigurationsReply]("jobs", "describe-events")
	ListThingTypes              = query[*v1.ListThingTypes, *v1.ListThingTypesReply]("fleet", "list-thing-types")
	DescribeThingType           = query[*v1.DescribeThingType, *v1.DescribeThingTypeReply]("fleet", "describe-thing-type")
	ListRegistryTags            = query[*v1.ListTags, *v1.ListTagsReply]("fleet", "list-tags")

	ReadEvents = query[*v1.ReadEvents, *v1.ReadEventsReply]("events", "read")
)

func command[Q, R proto.Message](owner, name string) Op[Q, R] {
	return Op[Q, R]{Owner: owner, Name: name}
}

func sharedCommand[Q, R proto.Message](owner, name string) Op[Q, R] {
	return Op[Q, R]{Owner: owner, Name: name, shared: true}
}

func query[Q, R proto.Message](model, name string) Op[Q, R] {
	return Op[Q, R]{Query: true, Owner: model, Name: name}
}

func thingCommand[Q, R proto.Message](name string, thing func(Q) string, _ R) Op[Q, R] {
	return Op[Q, R]{Owner: "execution", Name: name, thing: thing}
}

// String is the operation's name for people: "job create".
func (o Op[Q, R]) String() string { return o.Owner + " " + o.Name }

// pattern is the subject that serves the operation.
func (o Op[Q, R]) pattern() string {
	kind := "cmd"
	if o.Query {
		kind = "query"
	}
	s := "drover." + kind + "." + o.Owner + "." + o.Name
	if o.thing != nil {
		s += ".*"
	}
	return s
}

// subject is where a request is sent. What is no thing's name is sent as "-", and refused where it arrives, so that no
// character of it becomes part of a subject.
func (o Op[Q, R]) subject(q Q) string {
	s := o.pattern()
	if o.thing == nil {
		return s
	}
	thing, err := id.ParseThing(o.thing(q))
	if err != nil {
		thing = "-"
	}
	return strings.TrimSuffix(s, "*") + string(thing)
}

// agrees checks that a per-thing request names the thing of its subject, by its name or its ARN: the home was chosen by
// the subject.
func (o Op[Q, R]) agrees(subject string, q Q) error {
	if o.thing == nil {
		return nil
	}
	thing, err := id.ParseThing(o.thing(q))
	if err != nil {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "thingName", "%v", err)
	}
	if subject[strings.LastIndexByte(subject, '.')+1:] != string(thing) {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "thingName", "the request names %s, its subject another thing", thing)
	}
	return nil
}
