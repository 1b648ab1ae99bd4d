package scenario

import (
	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// Cell is one of specification §4.2 with who asks for it.
type Cell struct {
	// From and To are statuses as AWS spells them. From may be "none"; "terminal" stands for all that end.
	From, To string
	// By is "device", "service", "cancel" or "force".
	By string
	// Refused: it was asked for and did not happen.
	Refused bool
}

// attempt is one execution as the logs have it.
type attempt struct {
	job    uint64
	number uint64
	status v1.ExecutionStatus
}

// reach records which cells a story comes to: transitions from the events, refusals from what was asked and refused
// while the logs had the execution in a status.
type reach struct {
	Cells map[Cell]bool
	ids   map[string]uint64             // of jobs, the latest
	jobs  map[uint64]map[string]attempt // by number and thing: the latest attempt
	stops map[uint64]v1.ReasonCode      // why rollout stopped a job, the last time
}

func newReach() *reach {
	return &reach{Cells: map[Cell]bool{}, ids: map[string]uint64{}, jobs: map[uint64]map[string]attempt{}, stops: map[uint64]v1.ReasonCode{}}
}

// status is where the latest attempt of a job on a thing stands: a word of a Cell.
func (r *reach) status(jobID, thing string) string {
	a, ok := r.jobs[r.ids[jobID]][thing]
	if !ok {
		return "none"
	}
	return word(a.status)
}

func word(s v1.ExecutionStatus) string {
	if s.Terminal() {
		return "terminal"
	}
	return s.Word()
}

// commit records the transitions of a commit.
func (r *reach) commit(c *eventstore.Commit) {
	for _, e := range c.Entries {
		switch x := e.Event.Event.(type) {
		case *v1.Event_JobCreated:
			r.ids[x.JobCreated.JobId] = x.JobCreated.Job
			r.jobs[x.JobCreated.Job] = map[string]attempt{}
		case *v1.Event_JobStopped:
			r.stops[x.JobStopped.Job] = e.Reason.GetCode()
		case *v1.Event_ExecutionQueued:
			q := x.ExecutionQueued
			r.Cells[Cell{From: "none", To: "QUEUED", By: "service"}] = true
			r.jobs[q.Job][q.Thing.GetName()] = attempt{q.Job, q.ExecutionNumber, v1.ExecutionStatus_EXECUTION_STATUS_QUEUED}
		case *v1.Event_ExecutionChanged:
			ch := x.ExecutionChanged
			if by := r.by(e, ch); by != "" {
				r.Cells[Cell{From: word(ch.From), To: ch.To.Word(), By: by}] = true
			}
			if a := r.jobs[ch.Job][ch.Thing]; a.number == ch.ExecutionNumber {
				a.status = ch.To
				r.jobs[ch.Job][ch.Thing] = a
			}
		case *v1.Event_ExecutionDeleted:
			if x.ExecutionDeleted.Last {
				delete(r.jobs[x.ExecutionDeleted.Job], x.ExecutionDeleted.Thing.GetName())
			}
		}
	}
}

// by tells who made a transition, from its reason. What a home cancels because the job is stopped, the service does where
// nobody asked for that: a criterion was met, or the end time came. It is empty for a cancel of one execution, which is
// recorded where it is asked for: of what is queued the event does not say whether it was by force.
func (r *reach) by(e *v1.Entry, c *v1.ExecutionChanged) string {
	code := e.Reason.GetCode()
	stop := r.stops[c.Job]
	switch {
	case code == v1.ReasonCode_REASON_CODE_REPORTED, code == v1.ReasonCode_REASON_CODE_START_NEXT,
		code == v1.ReasonCode_REASON_CODE_RETRY_DEFERRED && c.To == v1.ExecutionStatus_EXECUTION_STATUS_FAILED:
		return "device"
	case code == v1.ReasonCode_REASON_CODE_EXECUTION_CANCELED:
		return ""
	case stop == v1.ReasonCode_REASON_CODE_ABORT_CRITERIA, stop == v1.ReasonCode_REASON_CODE_END_TIME:
		return "service"
	case code == v1.ReasonCode_REASON_CODE_JOB_CANCELED:
		return "cancel"
	case code == v1.ReasonCode_REASON_CODE_JOB_FORCE_CANCELED:
		return "force"
	}
	return "service"
}
