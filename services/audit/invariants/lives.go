package invariants

import (
	"slices"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
)

var lives = Rule{
	Name: "lives",
	Promise: "A job is created once and ends at most once, a continuous one only after its end time; it is drained of a phase only when every home " +
		"has settled it, or a later one, and COMPLETED only when it was drained and every released thing has ended or was refused, and without an end time every selected one.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, j := range h.JobsInOrder() {
			if n := count(j, audit.Created); n != 1 {
				broken(j.Number, "the job was created %d times", n)
				continue
			}
			if j.Number != id.Number(j.Created.Number, j.Created.Entry) {
				broken(j.Created, "job %s has number %d; its place says %d", j.ID, j.Number, id.Number(j.Created.Number, j.Created.Entry))
			}
			completed, canceled := count(j, audit.Completed), count(j, audit.CancelStarted)
			if completed > 1 || completed == 1 && canceled > 0 {
				broken(j.ID, "completed %d times, canceled %d times", completed, canceled)
			}
			if j.Continuous && completed > 0 && count(j, audit.EndReached) == 0 {
				broken(j.ID, "it is continuous, and COMPLETED before an end time")
			}
			checkDrained(h, j, broken)
			if completed == 1 {
				checkCompleted(j, broken)
			}
		}
	},
}

func count(j *audit.Job, kind audit.JobFactKind) int {
	n := 0
	for _, f := range j.Life {
		if f.Kind == kind {
			n++
		}
	}
	return n
}

// checkDrained looks for the settling of every home behind a JobDrained.
func checkDrained(h *audit.History, j *audit.Job, broken func(any, string, ...any)) {
	for _, f := range j.Life {
		if f.Kind != audit.Drained {
			continue
		}
		for home := range h.Homes {
			settled := slices.ContainsFunc(j.Settled, func(s audit.Settled) bool {
				return s.Home == id.Home(home) && rank(s.Phase) >= rank(f.Phase)
			})
			if !settled {
				broken(f.Place, "%s is drained of %v; home %d has not settled it", j.ID, f.Phase, home)
			}
		}
	}
}

// rank orders phases as they may follow each other: a job that ended may be canceled, one that was canceled closed by force,
// and all of them deleted.
func rank(p v1.JobPhase) int {
	return slices.Index([]v1.JobPhase{
		v1.JobPhase_JOB_PHASE_UNSPECIFIED, v1.JobPhase_JOB_PHASE_ENDED, v1.JobPhase_JOB_PHASE_STOPPED, v1.JobPhase_JOB_PHASE_FORCE_STOPPED,
		v1.JobPhase_JOB_PHASE_CLOSED, v1.JobPhase_JOB_PHASE_DELETED,
	}, p)
}

func checkCompleted(j *audit.Job, broken func(any, string, ...any)) {
	drained := slices.ContainsFunc(j.Life, func(f audit.JobFact) bool {
		return f.Kind == audit.Drained && f.Phase == v1.JobPhase_JOB_PHASE_CLOSED
	})
	if !drained {
		broken(j.ID, "COMPLETED, and never drained")
	}
	ends := count(j, audit.EndReached) > 0
	for _, t := range j.ThingsInOrder() {
		ended := t.Refused > 0 || t.Released == 0 && (ends || t.Left > 0)
		for _, x := range t.Executions {
			ended = audit.Final(x.Status()) || x.Deleted != nil
		}
		if !ended {
			broken(on(j, t), "the job is COMPLETED, and the thing has not ended")
		}
	}
}
