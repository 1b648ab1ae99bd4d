package audit

import (
	"slices"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// Job is what happened to one job.
type Job struct {
	Number    uint64
	ID        string
	Created   Place
	PerMinute uint32
	Status    v1.JobStatus
	// Continuous jobs follow joins and leaves; Windowed ones are released, and shown, in windows only.
	Continuous, Windowed bool
	// Retry is how many more attempts a thing gets.
	Retry *v1.RetryConfig
	// Paces and Criteria are in force from their places in log.rollout on.
	Paces    []Pace
	Criteria []Criteria
	// Windows are openings and closings, of log.rollout and of every home, each log in its order.
	Windows []Window
	Aborts  []Triggered
	// Late are events behind the end of the job in their log.
	Late []Late
	// Life is every event of log.job about it, and every one of log.rollout that is about the job as a whole, each
	// log in its order.
	Life []JobFact
	// Things by name: every thing that the job selected, and any that has it without.
	Things map[string]*Thing
	// SelectedTold and WaitingTold are what SelectionFinished and WaitingComplete say; -1 if they were not written.
	SelectedTold, WaitingTold int64
	// SelectedBySelection and WaitingBySelection count things that did not join later.
	SelectedBySelection, WaitingBySelection int64
	// Dropped is how many waiting things will not be released.
	Dropped uint64
	// Queue is how the number of waiting things changes, in the order of log.rollout.
	Queue []QueueChange
	// Releases in order, one per ExecutionsReleased.
	Releases []Release
	// Settled is when each home had carried out what phase, in the order of the home's log.
	Settled []Settled

	ordered []*Thing // of ThingsInOrder, once it was asked for
}

// JobFact is an event about a job as a whole.
type JobFact struct {
	Place
	Kind  JobFactKind
	Force bool        // of CancelStarted and Stopped
	Phase v1.JobPhase // of Drained; of Stopped, in newer logs
}

// JobFactKind says what happened to a job.
type JobFactKind string

// The kinds of facts, as their events are called.
const (
	Created         JobFactKind = "JobCreated"
	Started         JobFactKind = "JobStarted"
	EndReached      JobFactKind = "JobEndReached"
	CancelStarted   JobFactKind = "JobCancelStarted"
	Canceled        JobFactKind = "JobCanceled"
	Completed       JobFactKind = "JobCompleted"
	DeletionStarted JobFactKind = "JobDeletionStarted"
	Deleted         JobFactKind = "JobDeleted"
	Opened          JobFactKind = "JobOpened"
	Stopped         JobFactKind = "JobStopped"
	Closed          JobFactKind = "JobClosed"
	Drained         JobFactKind = "JobDrained"
	Erased          JobFactKind = "JobErased"
	Held            JobFactKind = "JobHeld"
	Admitted        JobFactKind = "JobAdmitted"
	CrowdedOut      JobFactKind = "JobCrowdedOut"
)

// QueueChange is how many more things wait from there on; negative when they are released or dropped.
type QueueChange struct {
	Place
	Things int
}

// Pace is what a job's releases keep to from there on: things a minute, with an exponential rate its cap; 0 is none.
type Pace struct {
	Place
	PerMinute uint32
	// Slowest is the least things a minute that it may come to: what an exponential rate begins with, else PerMinute.
	Slowest uint32
}

// Criteria are those of an abort from there on.
type Criteria struct {
	Place
	List []*v1.AbortCriterion
}

// Triggered is what rollout says when a criterion was met; it stands before the stop in its commit.
type Triggered struct {
	Place
	Told *v1.AbortTriggered
}

// Window is a maintenance window that opens or closes there.
type Window struct {
	Place
	Open bool
}

// OpenAt says whether a job is shown, or released, at a place of a log.
func (j *Job) OpenAt(p Place) bool {
	open := !j.Windowed
	for _, w := range j.Windows {
		if w.Log == p.Log && w.Before(p) {
			open = w.Open
		}
	}
	return open
}

// Late is an event of a job that its log had done with at Gone.
type Late struct {
	Place
	Event string
	Gone  Place
}

// Release is what one commit released to one home.
type Release struct {
	Place
	Home   id.Home
	Things int
	// Joined: they joined a continuous job; its pace does not bind them.
	Joined bool
}

// Settled says that a home has carried out a phase.
type Settled struct {
	Place
	Home  id.Home
	Phase v1.JobPhase
}

// Thing is one thing of one job.
type Thing struct {
	Name   string
	Number uint64
	// How often it was selected, put among the waiting, released, refused, and left. Once is right, or not at all, and
	// once more for each time that it left.
	Selected, Waiting, Released, Refused, Left int
	ReleasedAt, RefusedAt                      Place
	// ReleasedTo is the home of its (last) release.
	ReleasedTo id.Home
	Executions []*Execution // by their first event
	// Withdrawn is where its home learned that it is in no target any more, since the last release that was refused.
	Withdrawn []Place
	// Rejoined is where it was back, and kept the execution in progress that it had left with: its retries begin anew.
	Rejoined []Place

	numbers map[uint64]bool // all that had the name
}

// Execution is one attempt on a thing.
type Execution struct {
	Number uint64
	Retry  uint32
	Steps  []Step
	// Dropped is where the retry that was due was given up, Deleted where the attempt was deleted; nil if it was not.
	Dropped, Deleted *Place
	// When it was deleted: it was the last attempt of its release; a retry of it was due.
	DeletedLast, DeletedDue bool
}

// Step is one event of an execution. The first is ExecutionQueued, from nothing to QUEUED.
type Step struct {
	Place
	From, To v1.ExecutionStatus
	Version  uint64
	// HasRun says that the execution was IN_PROGRESS then or before.
	HasRun bool
	Force  bool
	// RetryDue: another attempt follows.
	RetryDue bool
	// DeadlineMs is the earlier of the deadlines after the step; never if there is none.
	DeadlineMs int64
}

// Last is the last step.
func (x *Execution) Last() Step { return x.Steps[len(x.Steps)-1] }

// Status is where it stands at the end.
func (x *Execution) Status() v1.ExecutionStatus { return x.Last().To }

// StatusAt is where it stood before a place of its log; UNSPECIFIED if it did not exist.
func (x *Execution) StatusAt(p Place) v1.ExecutionStatus {
	var status v1.ExecutionStatus
	for _, s := range x.Steps {
		if !s.Before(p) {
			break
		}
		status = s.To
	}
	return status
}

// Pending says QUEUED or IN_PROGRESS. (specification §0)
func Pending(s v1.ExecutionStatus) bool {
	return s == v1.ExecutionStatus_EXECUTION_STATUS_QUEUED || s == v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS
}

// Final says that nothing follows. (specification §4.2)
func Final(s v1.ExecutionStatus) bool {
	switch s {
	case v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED, v1.ExecutionStatus_EXECUTION_STATUS_FAILED,
		v1.ExecutionStatus_EXECUTION_STATUS_REJECTED, v1.ExecutionStatus_EXECUTION_STATUS_TIMED_OUT,
		v1.ExecutionStatus_EXECUTION_STATUS_CANCELED, v1.ExecutionStatus_EXECUTION_STATUS_REMOVED:
		return true
	}
	return false
}

func (h *History) job(number uint64) *Job {
	j := h.Jobs[number]
	if j == nil {
		j = &Job{Number: number, Things: map[string]*Thing{}, SelectedTold: -1, WaitingTold: -1}
		h.Jobs[number] = j
	}
	return j
}

func (j *Job) thing(name string) *Thing {
	t := j.Things[name]
	if t == nil {
		t = &Thing{Name: name}
		j.Things[name] = t
	}
	return t
}

// retryDue says that another attempt is to follow this one, and has not.
func (t *Thing) retryDue(x *Execution) bool {
	return x.Last().RetryDue && x.Dropped == nil && t.lastOfRelease(x)
}

// lastOfRelease says that no retry follows an attempt. One that follows because the thing joined a continuous job again
// belongs to another release, and counts by itself.
func (t *Thing) lastOfRelease(x *Execution) bool {
	i := slices.Index(t.Executions, x)
	return i == len(t.Executions)-1 || t.Executions[i+1].Retry == 0
}

// execution finds an attempt by its number.
func (t *Thing) execution(number uint64) *Execution {
	for _, x := range t.Executions {
		if x.Number == number {
			return x
		}
	}
	return nil
}
