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
		return registry("ThingCreated", "ThingUpdated", "ThingDeleted")
	case v1.EventCategory_EVENT_CATEGORY_THING_GROUP:
		return registry("GroupCreated", "GroupUpdated", "GroupDeleted")
	case v1.EventCategory_EVENT_CATEGORY_THING_GROUP_MEMBERSHIP:
		return registry("ThingJoined", "ThingLeft")
	case v1.EventCategory_EVENT_CATEGORY_THING_GROUP_HIERARCHY:
		return registry("GroupCreated", "GroupDeleted")
	case v1.EventCategory_EVENT_CATEGORY_THING_TYPE:
		return registry("ThingTypeCreated", "ThingTypeDeprecated", "ThingTypeDeleted")
	case v1.EventCategory_EVENT_CATEGORY_THING_TYPE_ASSOCIATION:
		return registry("ThingCreated", "ThingUpdated")
	}
	return nil
}

func registry(events ...string) (subjects []string) {
	for _, e := range events {
		subjects = append(subjects, "drover.feed.targeting."+e+".*")
	}
	return subjects
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

// render makes the messages of an event in a category, mostly one: of an execution only ends are told. (specification §6.2 to
// §6.4)
func (n Names) render(category v1.EventCategory, e *v1.RecordedEvent, a about) []message {
	event := e.GetEntry().GetEvent()
	switch category {
	case v1.EventCategory_EVENT_CATEGORY_JOB:
		if word := jobWord(event); word != "" {
			return []message{n.job(e, word, a)}
		}
	case v1.EventCategory_EVENT_CATEGORY_JOB_EXECUTION:
		if c := event.GetExecutionChanged(); c.GetFrom() != c.GetTo() && c.GetTo().Terminal() {
			return []message{n.execution(e, strings.ToLower(c.GetTo().Word()), c.GetThing(), c.GetExecutionNumber(), c.GetVersionNumber(), c.GetStatusDetails())}
		}
		if d := event.GetExecutionDeleted(); d != nil {
			return []message{n.execution(e, "deleted", d.GetThing().GetName(), d.GetExecutionNumber(), 0, nil)}
		}
	case v1.EventCategory_EVENT_CATEGORY_THING:
		return n.thing(e)
	case v1.EventCategory_EVENT_CATEGORY_THING_GROUP:
		return n.group(e, a)
	case v1.EventCategory_EVENT_CATEGORY_THING_GROUP_MEMBERSHIP:
		return n.membership(e)
	case v1.EventCategory_EVENT_CATEGORY_THING_GROUP_HIERARCHY:
		return n.hierarchy(e, a)
	case v1.EventCategory_EVENT_CATEGORY_THING_TYPE:
		return n.thingType(e, a)
	case v1.EventCategory_EVENT_CATEGORY_THING_TYPE_ASSOCIATION:
		return n.association(e)
	}
	return nil
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
		EventType: "JOB", EventID: eventID(e, ""), Timestamp: e.GetAtMs() / 1000, Operation: word, JobID: e.GetJobId(),
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
		EventType: "JOB_EXECUTION", EventID: eventID(e, ""), Timestamp: e.GetAtMs() / 1000, Operation: word, JobID: e.GetJobId(),
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

func encode(topic string, payload any) message {
	data, err := json.Marshal(payload)
	if err != nil {
		panic(err) // texts and numbers alone
	}
	return message{subject: prefix + topic, payload: data}
}

// eventID is the same for the same message however often it is told: a receiver can know a repeat. It is made of the event's
// place and time, which no two events of a system share, and of which of the event's messages it is; the first has no word.
func eventID(e *v1.RecordedEvent, which string) string {
	return id.UUID("event", id.FormatPosition(e.GetPosition())+which, uint64(e.GetAtMs()))
}
