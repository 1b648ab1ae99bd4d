package feed

import (
	"fmt"
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// A message's subject is
//
//	drover.feed.<service>.<event>.<job>[.<thing>]      drover.feed.execution.ExecutionChanged.fw-1.press-07
//
// with "~" as the job of an event that is about none, and a thing where the event is about one. That is where it is
// published, and what a plain subscriber of NATS receives, as it happens and without promise. In the stream the last
// token is cut off, and the thing stands in a header: the server keeps some 200 bytes in memory for every subject of a
// stream, and slows down from a million of them.
const (
	// StreamName is the stream that holds the feed, in the account of the logs.
	StreamName = "feed"

	subjectPrefix = "drover.feed."
	noJob         = "~" // no job id holds it

	headerThing   = "Drover-Thing"
	headerContent = "Content-Type"
)

// Subject is where an event is published.
type Subject struct {
	Service v1.Service
	Event   string // ExecutionChanged
	Job     string // its id; may be empty
	Thing   string // may be empty
}

func (s Subject) String() string {
	job := s.Job
	if job == "" {
		job = noJob
	}
	text := subjectPrefix + id.ServiceName(s.Service) + "." + s.Event + "." + job
	if s.Thing != "" {
		text += "." + s.Thing
	}
	return text
}

// ParseSubject is the twin of String.
func ParseSubject(text string) (Subject, error) {
	rest, ok := strings.CutPrefix(text, subjectPrefix)
	tokens := strings.Split(rest, ".")
	if !ok || len(tokens) < 3 || len(tokens) > 4 {
		return Subject{}, fmt.Errorf("subject %.60q is not %s<service>.<event>.<job>[.<thing>]", text, subjectPrefix)
	}
	log, err := parseService(tokens[0])
	if err != nil || tokens[1] == "" || tokens[2] == "" {
		return Subject{}, fmt.Errorf("subject %.60q is not %s<service>.<event>.<job>[.<thing>]", text, subjectPrefix)
	}
	s := Subject{Service: log, Event: tokens[1], Job: tokens[2]}
	if s.Job == noJob {
		s.Job = ""
	}
	if len(tokens) == 4 {
		thing, err := id.ParseThing(tokens[3])
		if err != nil {
			return Subject{}, fmt.Errorf("subject %.60q: %w", text, err)
		}
		s.Thing = string(thing)
	}
	return s, nil
}

// parseService is the twin of id.ServiceName.
func parseService(name string) (v1.Service, error) {
	for s := v1.Service_SERVICE_JOB; s <= v1.Service_SERVICE_EXECUTION; s++ {
		if id.ServiceName(s) == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("there is no service %.40q", name)
}

func subjectOf(r *record) Subject {
	s := Subject{Service: r.log.Service, Event: r.entry.GetEvent().Type(), Job: r.jobID, Thing: thingOf(r.entry.GetEvent().Body())}
	if s.Event == "" {
		s.Event = unknown
	}
	return s
}
