package job_test

import (
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

const (
	none       = v1.JobStatus_JOB_STATUS_UNSPECIFIED
	isDeleting = v1.JobStatus_JOB_STATUS_DELETION_IN_PROGRESS
)

// standing is how a job stands by its events alone.
type standing struct {
	id         string
	status     v1.JobStatus
	continuous bool
	windowed   bool
	started    bool
	open       bool // its window
	ended      bool // its end time came
	canceling  bool // not every home has carried it out
	canceled   bool // once
	forced     bool
	gone       bool
}

// reader is what somebody makes of log.job without the core's help, and what specification §4.1 says of it.
type reader struct {
	t         testing.TB
	read      int
	jobs      []*standing // in the order of their creation
	numbers   []uint64    // of the jobs
	templates map[string]bool
}

// transitions are those of specification §4.1, and when ours go on past its table: a cancel may be repeated with force,
// and a job that ends before it starts or between two windows is SCHEDULED until then.
var transitions = map[[2]v1.JobStatus]func(*standing) bool{
	{none, isScheduled}:         func(*standing) bool { return true },
	{isScheduled, isInProgress}: func(j *standing) bool { return !j.ended || j.windowed },
	{isInProgress, isScheduled}: func(j *standing) bool { return j.windowed },
	{isInProgress, isCompleted}: func(j *standing) bool { return !j.continuous || j.ended },
	{isScheduled, isCompleted}:  func(j *standing) bool { return j.ended },
	{isInProgress, isCanceled}:  func(*standing) bool { return true },
	{isScheduled, isCanceled}:   func(*standing) bool { return true },
	{isCanceled, isCanceled}:    func(j *standing) bool { return j.forced },
	{isCompleted, isDeleting}:   func(*standing) bool { return true },
	{isCanceled, isDeleting}:    func(*standing) bool { return true },
	{isInProgress, isDeleting}:  func(j *standing) bool { return j.forced },
	{isScheduled, isDeleting}:   func(j *standing) bool { return j.forced },
	{isDeleting, none}:          func(*standing) bool { return true },
}

func (r *reader) become(j *standing, p core.Placed, status v1.JobStatus) {
	legal := transitions[[2]v1.JobStatus{j.status, status}]
	if legal == nil || !legal(j) {
		r.t.Fatalf("commit %d: %s goes from %s to %s by %s: %+v", p.Number, j.id, j.status.Word(), status.Word(), p.Entry.Event.Type(), *j)
	}
	j.status = status
}

func (r *reader) must(holds bool, j *standing, p core.Placed, rule string) {
	if !holds {
		r.t.Fatalf("commit %d: %s of %s, which stands as %+v: %s", p.Number, p.Entry.Event.Type(), j.id, *j, rule)
	}
}

// named is the job that has an id now.
func (r *reader) named(jobID string) (*standing, uint64) {
	for i, j := range r.jobs {
		if j.id == jobID && !j.gone {
			return j, r.numbers[i]
		}
	}
	return nil, 0
}

// among counts the jobs that stand in one of these.
func (r *reader) among(statuses ...v1.JobStatus) (n int) {
	for _, j := range r.jobs {
		for _, s := range statuses {
			if j.status == s && !j.gone {
				n++
			}
		}
	}
	return n
}

func (r *reader) catchUp(history []core.Placed) {
	for ; r.read < len(history); r.read++ {
		r.entry(history[r.read])
	}
}

func (r *reader) entry(p core.Placed) {
	switch e := p.Entry.Event.GetEvent().(type) {
	case *v1.Event_JobCreated:
		if j, _ := r.named(e.JobCreated.JobId); j != nil {
			r.must(false, j, p, "the id is taken")
		}
		j := &standing{
			id: e.JobCreated.JobId, windowed: e.JobCreated.Scheduling.GetFirstWindowMs() != 0,
			continuous: e.JobCreated.TargetSelection == v1.TargetSelection_TARGET_SELECTION_CONTINUOUS,
		}
		r.become(j, p, isScheduled)
		r.jobs, r.numbers = append(r.jobs, j), append(r.numbers, e.JobCreated.Job)
	case *v1.Event_JobTemplateCreated:
		r.templates[e.JobTemplateCreated.Template.TemplateId] = true
	case *v1.Event_JobTemplateDeleted:
		delete(r.templates, e.JobTemplateDeleted.TemplateId)
	case *v1.Event_ResourceTagged:
		r.resource(p, e.ResourceTagged.Resource)
	case *v1.Event_ResourceUntagged:
		r.resource(p, e.ResourceUntagged.Resource)
	default:
		r.ofJob(p)
	}
}

func (r *reader) resource(p core.Placed, on *v1.TaggedResource) {
	if number := on.GetJob(); number != 0 {
		r.alive(p, number)
	} else if !r.templates[on.GetTemplateId()] {
		r.t.Fatalf("commit %d: %s of a template that is not", p.Number, p.Entry.Event.Type())
	}
}

// alive is the job of an event: there is none before its JobCreated and after its JobDeleted.
func (r *reader) alive(p core.Placed, number uint64) *standing {
	for i, n := range r.numbers {
		if n == number && !r.jobs[i].gone {
			return r.jobs[i]
		}
	}
	r.t.Fatalf("commit %d: %s of job %d, which is not", p.Number, p.Entry.Event.Type(), number)
	return nil
}

// ofJob reads an event of a job's life.
func (r *reader) ofJob(p core.Placed) {
	switch e := p.Entry.Event.GetEvent().(type) {
	case *v1.Event_JobStarted:
		j := r.alive(p, e.JobStarted.Job)
		r.must(!j.started && !j.canceled && !j.ended, j, p, "a job starts once, and not after its cancel or its end")
		r.become(j, p, isInProgress)
		j.started = true
	case *v1.Event_JobWindowOpened:
		j := r.alive(p, e.JobWindowOpened.Job)
		r.must(j.started && !j.open && !j.canceled, j, p, "a window opens in a started job, once")
		if j.status != isInProgress { // the first one opens with the start
			r.become(j, p, isInProgress)
		}
		j.open = true
	case *v1.Event_JobWindowClosed:
		j := r.alive(p, e.JobWindowClosed.Job)
		r.must(!j.canceled, j, p, "a canceled job has no windows")
		if j.status != isScheduled { // one that passed unseen
			r.become(j, p, isScheduled)
		}
		j.open = false
	case *v1.Event_JobEndReached:
		j := r.alive(p, e.JobEndReached.Job)
		r.must(!j.ended && (j.status == isInProgress || j.status == isScheduled), j, p, "an end comes once, to a job that goes on")
		j.ended = true
	case *v1.Event_JobUpdated:
		j := r.alive(p, e.JobUpdated.Job)
		r.must(j.status == isInProgress || j.status == isScheduled, j, p, "only a job that goes on is updated")
	case *v1.Event_TargetsAssociated:
		j := r.alive(p, e.TargetsAssociated.Job)
		r.must(j.continuous && j.status == isInProgress && !j.ended, j, p, "only a continuous job in progress has more targets")
	case *v1.Event_JobCancelStarted:
		j := r.alive(p, e.JobCancelStarted.Job)
		r.must(!j.canceled || !j.forced, j, p, "what was canceled with force is not canceled again")
		j.forced = e.JobCancelStarted.Force
		r.become(j, p, isCanceled)
		j.canceling, j.canceled = true, true
	default:
		r.lastEvents(p)
	}
}

func (r *reader) lastEvents(p core.Placed) {
	switch e := p.Entry.Event.GetEvent().(type) {
	case *v1.Event_JobCanceled:
		j := r.alive(p, e.JobCanceled.Job)
		r.must(j.status == isCanceled && j.canceling, j, p, "a cancel is finished once")
		j.canceling = false
	case *v1.Event_JobCompleted:
		r.become(r.alive(p, e.JobCompleted.Job), p, isCompleted)
	case *v1.Event_JobDeletionStarted:
		j := r.alive(p, e.JobDeletionStarted.Job)
		j.forced = e.JobDeletionStarted.Force
		r.become(j, p, isDeleting)
	case *v1.Event_JobDeleted:
		j := r.alive(p, e.JobDeleted.Job)
		r.become(j, p, none)
		j.gone = true
	}
}
