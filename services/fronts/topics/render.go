package topics

import (
	"encoding/json"
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// Names say whose things these are: the two parts of an ARN that Drover does not know of itself.
type Names struct {
	Region  string // default us-east-1
	Account string // default 123456789012
}

func (n Names) arn(kind, name string) string {
	return "arn:aws:iot:" + n.Region + ":" + n.Account + ":" + kind + "/" + name
}

// about is what a job's event tells beside the event itself.
type about struct {
	job    *v1.JobRow
	counts *v1.JobCounts
}

// message is one event on its topic, as a subject of NATS: the topic with dots in place of slashes.
type message struct {
	subject string
	payload []byte
}

const prefix = "$aws.events."

// filters are the subjects of the feed that a category's events come from; none for a category that tells nothing.
func filters(c v1.EventCategory) []string {
	switch c {
	case v1.EventCategory_EVENT_CATEGORY_JOB:
		return []string{
			"drover.feed.job.JobCompleted.*", "drover.feed.job.JobCancelStarted.*", "drover.feed.job.JobCanceled.*",
			"drover.feed.job.JobDeletionStarted.*", "drover.feed.job.JobDeleted.*",
		}
	case v1.EventCategory_EVENT_CATEGORY_JOB_EXECUTION:
		return []string{"drover.feed.execution.ExecutionChanged.*", "drover.feed.execution.ExecutionDeleted.*"}
	case v1.EventCategory_EVENT_CATEGORY_THING:
		return []string{"drover.feed.targeting.ThingCreated.*", "drover.feed.targeting.ThingUpdated.*", "drover.feed.targeting.ThingDeleted.*"}
	case v1.EventCategory_EVENT_CATEGORY_THING_GROUP_MEMBERSHIP:
		return []string{"drover.feed.targeting.ThingJoined.*", "drover.feed.targeting.ThingLeft.*"}
	}
	return nil
}

// jobWord is the operation of a job's event, or empty.
func jobWord(e *v1.Event) string {
	switch e.GetEvent().(type) {
	case *v1.Event_JobCompleted:
		return "completed"
	case *v1.Event_JobCancelStarted:
		return "cancellation_in_progress"
	case *v1.Event_JobCanceled:
		return "canceled"
	case *v1.Event_JobDeletionStarted:
		return "deletion_in_progress"
	case *v1.Event_JobDeleted:
		return "deleted"
	}
	return ""
}

// render makes the message of an event, or none: of an execution only ends are told. (specification §6.2 to §6.4)
func (n Names) render(e *v1.RecordedEvent, a about) (message, bool) {
	event := e.GetEntry().GetEvent()
	if word := jobWord(event); word != "" {
		return n.job(e, word, a), true
	}
	switch x := event.GetEvent().(type) {
	case *v1.Event_ExecutionChanged:
		c := x.ExecutionChanged
		if c.GetFrom() == c.GetTo() || !c.GetTo().Terminal() {
			return message{}, false
		}
		return n.execution(e, strings.ToLower(c.GetTo().Word()), c.GetThing(), c.GetExecutionNumber(), c.GetVersionNumber(), c.GetStatusDetails()), true
	case *v1.Event_ExecutionDeleted:
		d := x.ExecutionDeleted
		return n.execution(e, "deleted", d.GetThing().GetName(), d.GetExecutionNumber(), 0, nil), true
	case *v1.Event_ThingCreated:
		t := x.ThingCreated
		return n.thing(e, "created", t.GetThing(), t.GetThingType(), t.GetAttributes(), 1), true
	case *v1.Event_ThingUpdated:
		t := x.ThingUpdated
		return n.thing(e, "updated", t.GetThing(), t.GetThingType(), t.GetAttributes(), t.GetVersion()), true
	case *v1.Event_ThingDeleted:
		return n.thing(e, "deleted", x.ThingDeleted.GetThing(), "", nil, 0), true
	case *v1.Event_ThingJoined:
		return n.membership(e, "added", x.ThingJoined.GetGroup(), x.ThingJoined.GetThing()), true
	case *v1.Event_ThingLeft:
		return n.membership(e, "removed", x.ThingLeft.GetGroup(), x.ThingLeft.GetThing()), true
	}
	return message{}, false
}

type jobEvent struct {
	EventType         string      `json:"eventType"`
	EventID           string      `json:"eventId"`
	Timestamp         int64       `json:"timestamp"`
	Operation         string      `json:"operation"`
	JobID             string      `json:"jobId"`
	Status            string      `json:"status"`
	TargetSelection   string      `json:"targetSelection,omitempty"`
	Targets           []string    `json:"targets"`
	Description       string      `json:"description,omitempty"`
	Comment           string      `json:"comment,omitempty"`
	CreatedAt         int64       `json:"createdAt,omitempty"`
	LastUpdatedAt     int64       `json:"lastUpdatedAt,omitempty"`
	CompletedAt       int64       `json:"completedAt,omitempty"`
	JobProcessDetails *jobDetails `json:"jobProcessDetails,omitempty"`
}

type jobDetails struct {
	Canceled  int64 `json:"numberOfCanceledThings"`
	Rejected  int64 `json:"numberOfRejectedThings"`
	Failed    int64 `json:"numberOfFailedThings"`
	Removed   int64 `json:"numberOfRemovedThings"`
	Succeeded int64 `json:"numberOfSucceededThings"`
	TimedOut  int64 `json:"numberOfTimedOutThings"`
}

func (n Names) job(e *v1.RecordedEvent, word string, a about) message {
	j := jobEvent{
		EventType: "JOB", EventID: eventID(e), Timestamp: e.GetAtMs() / 1000, Operation: word, JobID: e.GetJobId(),
		Status: strings.ToUpper(word), TargetSelection: strings.TrimPrefix(a.job.GetTargetSelection().String(), "TARGET_SELECTION_"),
		Targets: []string{}, Description: a.job.GetDescription(), CreatedAt: a.job.GetCreatedAtMs(), LastUpdatedAt: e.GetAtMs(),
	}
	for _, t := range a.job.GetTargets() {
		if t.GetThing() != "" {
			j.Targets = append(j.Targets, n.arn("thing", t.GetThing()))
		} else {
			j.Targets = append(j.Targets, n.arn("thinggroup", t.GetGroup()))
		}
	}
	switch word {
	case "completed":
		j.CompletedAt = e.GetAtMs()
		j.JobProcessDetails = details(a.counts)
	case "cancellation_in_progress":
		j.Comment = e.GetEntry().GetEvent().GetJobCancelStarted().GetComment()
	case "deletion_in_progress", "deleted":
		j.Comment = a.job.GetComment()
	}
	return encode("job."+e.GetJobId()+"."+word, j)
}

func details(c *v1.JobCounts) *jobDetails {
	d := new(jobDetails)
	for _, s := range c.GetAttempts() {
		switch s.GetStatus() {
		case v1.ExecutionStatus_EXECUTION_STATUS_CANCELED:
			d.Canceled = s.GetCount()
		case v1.ExecutionStatus_EXECUTION_STATUS_REJECTED:
			d.Rejected = s.GetCount()
		case v1.ExecutionStatus_EXECUTION_STATUS_FAILED:
			d.Failed = s.GetCount()
		case v1.ExecutionStatus_EXECUTION_STATUS_REMOVED:
			d.Removed = s.GetCount()
		case v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED:
			d.Succeeded = s.GetCount()
		case v1.ExecutionStatus_EXECUTION_STATUS_TIMED_OUT:
			d.TimedOut = s.GetCount()
		}
	}
	return d
}

// executionNumber and versionNumber are ours; AWS tells neither.
type executionEvent struct {
	EventType       string            `json:"eventType"`
	EventID         string            `json:"eventId"`
	Timestamp       int64             `json:"timestamp"`
	Operation       string            `json:"operation"`
	JobID           string            `json:"jobId"`
	ThingARN        string            `json:"thingArn"`
	Status          string            `json:"status"`
	StatusDetails   map[string]string `json:"statusDetails,omitempty"`
	ExecutionNumber uint64            `json:"executionNumber,omitempty"`
	VersionNumber   uint64            `json:"versionNumber,omitempty"`
}

func (n Names) execution(e *v1.RecordedEvent, word, thing string, number, version uint64, list []*v1.Detail) message {
	x := executionEvent{
		EventType: "JOB_EXECUTION", EventID: eventID(e), Timestamp: e.GetAtMs() / 1000, Operation: word, JobID: e.GetJobId(),
		ThingARN: n.arn("thing", thing), Status: strings.ToUpper(word), ExecutionNumber: number, VersionNumber: version,
	}
	for _, d := range list {
		if x.StatusDetails == nil {
			x.StatusDetails = map[string]string{}
		}
		x.StatusDetails[d.GetName()] = d.GetValue()
	}
	return encode("jobExecution."+e.GetJobId()+"."+word, x)
}

type thingEvent struct {
	EventType     string            `json:"eventType"`
	EventID       string            `json:"eventId"`
	Timestamp     int64             `json:"timestamp"`
	Operation     string            `json:"operation"`
	AccountID     string            `json:"accountId"`
	ThingID       string            `json:"thingId"`
	ThingName     string            `json:"thingName"`
	VersionNumber uint64            `json:"versionNumber,omitempty"`
	ThingTypeName *string           `json:"thingTypeName"`
	Attributes    map[string]string `json:"attributes"`
}

func (n Names) thing(e *v1.RecordedEvent, word string, ref *v1.ThingRef, thingType string, list []*v1.Attribute, version uint64) message {
	x := thingEvent{
		EventType: "THING_EVENT", EventID: eventID(e), Timestamp: e.GetAtMs(), Operation: strings.ToUpper(word), AccountID: n.Account,
		ThingID: id.ThingID(ref.GetName(), ref.GetNumber()), ThingName: ref.GetName(), VersionNumber: version, Attributes: map[string]string{},
	}
	if thingType != "" {
		x.ThingTypeName = &thingType
	}
	for _, a := range list {
		x.Attributes[a.GetName()] = a.GetValue()
	}
	return encode("thing."+ref.GetName()+"."+word, x)
}

type membershipEvent struct {
	EventType string `json:"eventType"`
	EventID   string `json:"eventId"`
	Timestamp int64  `json:"timestamp"`
	Operation string `json:"operation"`
	AccountID string `json:"accountId"`
	GroupARN  string `json:"groupArn"`
	ThingARN  string `json:"thingArn"`
	ThingID   string `json:"thingId"`
}

func (n Names) membership(e *v1.RecordedEvent, word, group string, ref *v1.ThingRef) message {
	return encode("thingGroupMembership.thingGroup."+group+".thing."+ref.GetName()+"."+word, membershipEvent{
		EventType: "THING_GROUP_MEMBERSHIP_EVENT", EventID: eventID(e), Timestamp: e.GetAtMs(), Operation: strings.ToUpper(word),
		AccountID: n.Account, GroupARN: n.arn("thinggroup", group), ThingARN: n.arn("thing", ref.GetName()), ThingID: id.ThingID(ref.GetName(), ref.GetNumber()),
	})
}

func encode(topic string, payload any) message {
	data, err := json.Marshal(payload)
	if err != nil {
		panic(err) // texts and numbers alone
	}
	return message{subject: prefix + topic, payload: data}
}

// eventID is the same for the same event however often it is told: a receiver can know a repeat. It is made of the event's
// place and time, which no two events of a system share.
func eventID(e *v1.RecordedEvent) string {
	return id.UUID("event", id.FormatPosition(e.GetPosition()), uint64(e.GetAtMs()))
}
