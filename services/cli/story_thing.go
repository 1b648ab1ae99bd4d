package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// thingTeller tells the story of a thing: from the events that name it, and of each job from the turns that it took as a
// whole. Both come in causal order, and are merged by their times.
type thingTeller struct {
	thing  string
	only   uint64 // the job number that is asked for; 0 is all
	events []*v1.RecordedEvent
	ofJobs []*v1.RecordedEvent
	stages []*stage // of its jobs, in the order in which they came to it

	targets map[uint64][]*v1.Target // of the selection that goes on, by job
	reports *reports
	told    []sentenceView
}

// stage is how far a job came with the thing.
type stage struct {
	job      uint64
	jobID    string
	released bool
	status   v1.ExecutionStatus
}

// reports are progress reports in a row.
type reports struct {
	first, last *v1.RecordedEvent
	n           int
}

func newThingTeller(thing string, only uint64) *thingTeller {
	return &thingTeller{thing: thing, only: only, targets: map[uint64][]*v1.Target{}}
}

// hear takes the next event that names the thing.
func (t *thingTeller) hear(e *v1.RecordedEvent) {
	job := e.GetEntry().GetEvent().Job()
	if t.only != 0 && job != 0 && job != t.only {
		return
	}
	t.events = append(t.events, e)
	if job == 0 {
		return
	}
	i := slices.IndexFunc(t.stages, func(s *stage) bool { return s.job == job })
	if i < 0 {
		i = len(t.stages)
		t.stages = append(t.stages, &stage{job: job, jobID: e.GetJobId()})
	}
	s := t.stages[i]
	switch x := e.GetEntry().GetEvent().GetEvent().(type) {
	case *v1.Event_ThingsSelected:
		s.released = false
	case *v1.Event_ExecutionsReleased, *v1.Event_ReleaseRefused, *v1.Event_ThingsDeselected:
		s.released = true
	case *v1.Event_ExecutionQueued:
		s.released, s.status = true, v1.ExecutionStatus_EXECUTION_STATUS_QUEUED
	case *v1.Event_ExecutionChanged:
		s.status = x.ExecutionChanged.GetTo()
	}
}

// latestJobs are the numbers of the last jobs that came to the thing.
func (t *thingTeller) latestJobs(most int) (jobs []uint64) {
	for _, s := range t.stages[max(0, len(t.stages)-most):] {
		jobs = append(jobs, s.job)
	}
	return jobs
}

// hearOfJob takes the next event of one of the jobs as a whole, if it matters to one of its things.
func (t *thingTeller) hearOfJob(e *v1.RecordedEvent) {
	switch e.GetEntry().GetEvent().GetEvent().(type) {
	case *v1.Event_JobCreated, *v1.Event_JobStarted, *v1.Event_JobEndReached, *v1.Event_JobUpdated, *v1.Event_JobCancelStarted, *v1.Event_JobDeletionStarted, *v1.Event_JobDeleted,
		*v1.Event_AbortTriggered, *v1.Event_SelectionStarted, *v1.Event_JobCompleted:
		t.ofJobs = append(t.ofJobs, e)
	}
}

// story is both in one line.
func (t *thingTeller) story() []sentenceView {
	slices.SortStableFunc(t.ofJobs, func(x, y *v1.RecordedEvent) int { return int(x.GetAtMs() - y.GetAtMs()) })
	jobs := t.ofJobs
	for _, e := range t.events {
		for len(jobs) > 0 && jobs[0].GetAtMs() <= e.GetAtMs() {
			t.tellJob(jobs[0])
			jobs = jobs[1:]
		}
		t.tell(e)
	}
	for _, e := range jobs {
		t.tellJob(e)
	}
	t.endReports()
	return t.told
}

func (t *thingTeller) say(e *v1.RecordedEvent, text string) {
	t.told = append(t.told, sentenceView{At: moment(e.GetAtMs()), Position: positionText(e.GetPosition()), JobID: e.GetJobId(), Text: text})
}

func (t *thingTeller) tellJob(e *v1.RecordedEvent) {
	t.endReports()
	if x := e.GetEntry().GetEvent().GetSelectionStarted(); x != nil {
		t.targets[x.GetJob()] = x.GetTargets() // ThingsSelected says what became of it
		return
	}
	if text := jobSentence(e); text != "" {
		if rest, ok := strings.CutPrefix(text, "it "); ok {
			text = "the job " + rest
		}
		t.say(e, text)
	}
}

func (t *thingTeller) tell(e *v1.RecordedEvent) {
	if x := e.GetEntry().GetEvent().GetExecutionChanged(); x != nil && x.GetFrom() == x.GetTo() {
		if t.reports == nil {
			t.reports = &reports{first: e}
		}
		t.reports.last, t.reports.n = e, t.reports.n+1
		return
	}
	t.endReports()
	if text := t.sentence(e); text != "" {
		t.say(e, text)
	}
}

// endReports sums up the progress reports that came in a row.
func (t *thingTeller) endReports() {
	r := t.reports
	if r == nil {
		return
	}
	t.reports = nil
	text := "the device reported that it goes on"
	if r.n > 1 {
		text = fmt.Sprintf("the device reported %s times that it goes on", humanize.Comma(int64(r.n)))
	}
	if d := pairs(r.last.GetEntry().GetEvent().GetExecutionChanged().GetStatusDetails()); d != "" {
		text += ", last with " + d
	}
	t.say(r.first, text)
	if r.n > 1 {
		s := &t.told[len(t.told)-1]
		s.Until, s.Last = moment(r.last.GetAtMs()), positionText(r.last.GetPosition())
	}
}

// sentence says what an event means for the thing; empty for what another event says.
func (t *thingTeller) sentence(e *v1.RecordedEvent) string {
	reason := because(e.GetEntry().GetReason())
	switch x := e.GetEntry().GetEvent().GetEvent().(type) {
	case *v1.Event_ThingCreated:
		return t.thing + " was registered" + by(e)
	case *v1.Event_ThingUpdated:
		return "its settings were changed" + by(e) + fmt.Sprintf("; it is at version %d", x.ThingUpdated.GetVersion())
	case *v1.Event_ThingDeleted:
		return t.thing + " was deleted" + by(e)
	case *v1.Event_ThingJoined:
		return "it was put into group " + x.ThingJoined.GetGroup() + by(e)
	case *v1.Event_ThingLeft:
		if reason == "" {
			return "it was taken out of group " + x.ThingLeft.GetGroup() + by(e)
		}
		return "it left group " + x.ThingLeft.GetGroup() + reason
	case *v1.Event_ThingsSelected:
		return t.selectedText(e, x.ThingsSelected)
	case *v1.Event_ThingsDeselected:
		return "it is in none of the job's targets any more" + reason
	case *v1.Event_ExecutionsReleased:
		return "it was released" + reason
	case *v1.Event_ReleaseRefused:
		return "it gets no execution" + reason
	case *v1.Event_ExecutionQueued:
		return fmt.Sprintf("execution %d was queued", x.ExecutionQueued.GetExecutionNumber()) + reason
	case *v1.Event_ExecutionChanged:
		return changeText(x.ExecutionChanged, reason)
	case *v1.Event_ExecutionsShown:
		if x.ExecutionsShown.GetShown() {
			return "its device was shown the execution: the maintenance window opened"
		}
		return "the execution was hidden from its device: the maintenance window closed"
	case *v1.Event_RetryDropped:
		return fmt.Sprintf("the retry after execution %d is not made", x.RetryDropped.GetExecutionNumber()) + reason
	case *v1.Event_ExecutionDeleted:
		return fmt.Sprintf("execution %d, which was %s, was deleted", x.ExecutionDeleted.GetExecutionNumber(), v1.EnumName(x.ExecutionDeleted.GetStatus())) + by(e) + reason
	}
	return ""
}

// selectedText says why a thing was selected, and by which target if that is known.
func (t *thingTeller) selectedText(e *v1.RecordedEvent, x *v1.ThingsSelected) string {
	r := e.GetEntry().GetReason()
	if n := r.GetNumbers(); r.GetCode() == v1.ReasonCode_REASON_CODE_TARGETED && len(n) == 2 && n[0] == n[1] {
		if targets := t.targets[x.GetJob()]; n[0] >= 0 && n[0] < int64(len(targets)) {
			name := targetNames(targets[n[0] : n[0]+1])[0]
			if name == "thing/"+t.thing {
				return "it was selected: the job names it as a target"
			}
			return "it was selected: it was in " + name + " when the selection started"
		}
	}
	return "it was selected" + because(r)
}

// changeText says how an execution went on.
func changeText(x *v1.ExecutionChanged, reason string) string {
	n := x.GetExecutionNumber()
	text := ""
	switch x.GetTo() {
	case v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS:
		text = fmt.Sprintf("the device began execution %d", n) + reason
		if ms := deadlineOf(x); ms > 0 {
			text += "; it times out at " + when(ms)
		}
		return text
	case v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED, v1.ExecutionStatus_EXECUTION_STATUS_FAILED, v1.ExecutionStatus_EXECUTION_STATUS_REJECTED:
		text = fmt.Sprintf("the device reported execution %d %s", n, v1.EnumName(x.GetTo()))
	default:
		text = fmt.Sprintf("execution %d became %s", n, v1.EnumName(x.GetTo())) + reason
	}
	if d := pairs(x.GetStatusDetails()); d != "" {
		text += ", with " + d
	}
	if x.GetRetryDue() {
		text += "; another attempt follows"
	}
	return text
}

// deadlineOf is the earlier of an execution's deadlines; 0 is none.
func deadlineOf(x *v1.ExecutionChanged) int64 {
	a, b := x.GetInProgressDeadlineMs(), x.GetStepDeadlineMs()
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
