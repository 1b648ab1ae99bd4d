package aws

import (
	"cmp"
	"net/http"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

const (
	namespaceID        = "namespaceId"
	force              = "force"
	beforeSubstitution = "beforeSubstitution"
)

// Jobs. (specification §2.3 to §2.7)
func jobOperations() []*operation {
	const path = "/jobs/{jobId}"
	return []*operation{
		op("CreateJob", http.MethodPut, path, createJob).fails(resourceNotFound, resourceExists, limitExceeded),
		op("DescribeJob", http.MethodGet, path, describeJob, beforeSubstitution).fails(resourceNotFound),
		op("UpdateJob", http.MethodPatch, path, updateJob, namespaceID).fails(resourceNotFound),
		op("CancelJob", http.MethodPut, path+"/cancel", cancelJob, force).fails(resourceNotFound, limitExceeded),
		op("DeleteJob", http.MethodDelete, path, deleteJob, force, namespaceID).fails(resourceNotFound, badTransition, limitExceeded),
		op("AssociateTargetsWithJob", http.MethodPost, path+"/targets", associateTargets, namespaceID).fails(resourceNotFound, limitExceeded),
		op("GetJobDocument", http.MethodGet, path+"/job-document", getJobDocument, beforeSubstitution).fails(resourceNotFound),
		op("ListJobs", http.MethodGet, "/jobs", listJobs, status, targetSelection, thingGroupName, thingGroupID, namespaceID, maxResults, nextToken).fails(resourceNotFound),
	}
}

// jobAnswer is what operations that change a job answer with.
type jobAnswer struct {
	ARN         string `json:"jobArn"`
	ID          string `json:"jobId"`
	Description string `json:"description,omitempty"`
}

func createJob(c *call) (any, error) {
	job, err := c.job()
	if err != nil {
		return nil, err
	}
	q, err := body.CreateJob(c.body)
	if err != nil {
		return nil, err
	}
	if q.JobId != "" && q.JobId != job {
		return nil, invalid("jobId: the path names %s, the body another job", job)
	}
	q.JobId = job
	arn := c.arn("job", job)
	if _, err := tell(c, bus.CreateJob, q); err != nil {
		return nil, c.exists(err, job, arn)
	}
	if q.GetDescription() == "" && q.GetJobTemplate() != "" {
		return c.changed(job), nil // the template's
	}
	return jobAnswer{arn, job, q.GetDescription()}, nil
}

// changed answers for a job that was changed. Its description is left out where it cannot be read: the change stands.
func (c *call) changed(job string) jobAnswer {
	a := jobAnswer{ARN: c.arn("job", job), ID: job}
	if reply, err := ask(c, bus.DescribeJob, &v1.DescribeJob{Freshness: fresh, JobId: job}); err == nil {
		a.Description = reply.GetJob().GetDescription()
	}
	return a
}

func updateJob(c *call) (any, error) {
	job, err := c.namespacedJob()
	if err != nil {
		return nil, err
	}
	q, err := body.UpdateJob(c.body)
	if err != nil {
		return nil, err
	}
	q.JobId = job
	_, err = tell(c, bus.UpdateJob, q)
	return nil, err
}

func cancelJob(c *call) (any, error) {
	job, err := c.job()
	if err != nil {
		return nil, err
	}
	q, err := body.CancelJob(c.body)
	if err != nil {
		return nil, err
	}
	if q.Force, err = c.flag(force); err != nil {
		return nil, err
	}
	q.JobId = job
	if _, err := tell(c, bus.CancelJob, q); err != nil {
		return nil, err
	}
	return c.changed(job), nil
}

func deleteJob(c *call) (any, error) {
	job, err := c.namespacedJob()
	if err != nil {
		return nil, err
	}
	q := &v1.DeleteJob{JobId: job}
	if q.Force, err = c.flag(force); err != nil {
		return nil, err
	}
	_, err = tell(c, bus.DeleteJob, q)
	return nil, err
}

func associateTargets(c *call) (any, error) {
	job, err := c.namespacedJob()
	if err != nil {
		return nil, err
	}
	q, err := body.AssociateTargets(c.body)
	if err != nil {
		return nil, err
	}
	q.JobId = job
	if _, err := tell(c, bus.AssociateTargets, q); err != nil {
		return nil, err
	}
	return c.changed(job), nil
}

// namespacedJob is the job of the path, which is in the namespace that the query names, if it names one.
func (c *call) namespacedJob() (string, error) {
	job, err := c.job()
	namespace := c.query.Get(namespaceID)
	if err != nil || namespace == "" {
		return job, err
	}
	reply, err := ask(c, bus.DescribeJob, &v1.DescribeJob{Freshness: fresh, JobId: job})
	if err == nil && reply.GetJob().GetNamespaceId() != namespace {
		err = v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, namespaceID, "there is no job %s in namespace %.64s", job, namespace)
	}
	return job, err
}

func describeJob(c *call) (any, error) {
	reply, err := c.readJob(false)
	if err != nil {
		return nil, err
	}
	return struct {
		Job job `json:"job"`
	}{c.showJob(reply)}, nil
}

func getJobDocument(c *call) (any, error) {
	reply, err := c.readJob(true)
	if err != nil {
		return nil, err
	}
	return struct {
		Document string `json:"document"`
	}{string(reply.GetJob().GetDocument())}, nil
}

// readJob asks for the job of the path. Nothing in a document is substituted before a device reads it, so that the document
// before substitution is the document.
func (c *call) readJob(document bool) (*v1.DescribeJobReply, error) {
	job, err := c.job()
	if err != nil {
		return nil, err
	}
	if _, err := c.flag(beforeSubstitution); err != nil {
		return nil, err
	}
	return ask(c, bus.DescribeJob, &v1.DescribeJob{Freshness: fresh, JobId: job, IncludeDocument: document})
}

// Parameters of lists.
const (
	status          = "status"
	targetSelection = "targetSelection"
	thingGroupName  = "thingGroupName"
	thingGroupID    = "thingGroupId"
)

// jobSummary is a row of ListJobs.
type jobSummary struct {
	ARN           string `json:"jobArn"`
	ID            string `json:"jobId"`
	GroupID       string `json:"thingGroupId,omitempty"` // of the group that was asked for
	Selection     string `json:"targetSelection"`
	Status        string `json:"status"`
	CreatedAt     moment `json:"createdAt"`
	LastUpdatedAt moment `json:"lastUpdatedAt,omitzero"`
	CompletedAt   moment `json:"completedAt,omitzero"`
	IsConcurrent  bool   `json:"isConcurrent"`
}

func listJobs(c *call) (any, error) {
	q := &v1.ListJobs{Freshness: fresh, NamespaceId: c.query.Get(namespaceID)}
	if err := cmp.Or(word(c, status, &q.Status), word(c, targetSelection, &q.TargetSelection)); err != nil {
		return nil, err
	}
	var err error
	if q.Page, err = c.page(); err != nil {
		return nil, err
	}
	group, groupID, err := c.queriedGroup()
	if err != nil {
		return nil, err
	}
	q.Group = group
	reply, err := ask(c, bus.ListJobs, q)
	if err != nil {
		return nil, err
	}
	row := func(j *v1.JobRow) jobSummary {
		return jobSummary{
			ARN: c.arn("job", j.GetJobId()), ID: j.GetJobId(), GroupID: groupID, Selection: v1.EnumName(j.GetTargetSelection()),
			Status: v1.EnumName(j.GetStatus()), CreatedAt: moment(j.GetCreatedAtMs()), LastUpdatedAt: moment(j.GetLastUpdatedAtMs()),
			CompletedAt: moment(j.GetCompletedAtMs()), IsConcurrent: j.GetIsConcurrent(),
		}
	}
	return struct {
		Jobs []jobSummary `json:"jobs"`
		Next string       `json:"nextToken,omitempty"`
	}{rows(reply.GetJobs(), row), reply.GetNextToken()}, nil
}

// queriedGroup is the group that the query names, by its name or its id; empty is none.
func (c *call) queriedGroup() (name, groupID string, err error) {
	name, groupID = c.query.Get(thingGroupName), c.query.Get(thingGroupID)
	if name == "" && groupID == "" {
		return "", "", nil
	}
	if name == "" {
		name, err = c.groupOf(groupID)
		return name, groupID, err
	}
	reply, err := ask(c, bus.DescribeGroup, &v1.DescribeGroup{Freshness: fresh, Group: name})
	if err != nil {
		return "", "", err
	}
	row := reply.GetGroup()
	own := id.GroupID(row.GetGroup(), row.GetNumber())
	if groupID != "" && groupID != own {
		return "", "", noGroup(groupID)
	}
	return row.GetGroup(), own, nil
}

// groupOf looks for the group that has an id: ids are made of groups, and no list has them.
func (c *call) groupOf(groupID string) (string, error) {
	for page := (&v1.Page{Limit: 1000}); ; {
		reply, err := ask(c, bus.ListGroups, &v1.ListGroups{Freshness: fresh, Page: page})
		if err != nil {
			return "", err
		}
		for _, g := range reply.GetGroups() {
			if id.GroupID(g.GetGroup(), g.GetNumber()) == groupID {
				return g.GetGroup(), nil
			}
		}
		if page.Token = reply.GetNextToken(); page.Token == "" {
			return "", noGroup(groupID)
		}
	}
}

func noGroup(groupID string) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, thingGroupID, "there is no group with the id %.128s", groupID)
}
