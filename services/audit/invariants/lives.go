package invariants

import (
	"slices"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
)

var lives = Rule{
	Name: "lives",
	Promise: "A job is created once and ends at most once; it is drained of a phase only when every home has settled it, and COMPLETED only " +
		"when it was drained and every selected thing has ended or was refused.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, j := range h.JobsInOrder() {
			if n := count(j, audit.Created); n != 1 {
				broken(j.Number, "the job was created %d times", n)
				continue
			}
			if j.Number != id.Number(j.Created.Number, j.Created.Entry) {
				broken(j.Created, "job %s has number %d; its place says %d", j.ID, j.Number, id.Number(j.Created.Number, j.Created.Entry))
			}
			if n := count(j, audit.Completed); n > 1 || n == 1 && j.Status == v1.JobStatus_JOB_STATUS_CANCELED {
				broken(j.ID, "completed %d times, and its status is %v", n, j.Status)
			}
			checkDrained(h, j, broken)
			if j.Status == v1.JobStatus_JOB_STATUS_COMPLETED {
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
			settled := slices.ContainsFunc(j.Settled, func(s audit.Settled) bool { return s.Home == id.Home(home) && s.Phase == f.Phase })
			if !settled {
				broken(f.Place, "%s is drained of %v; home %d has not settled it", j.ID, f.Phase, home)
			}
		}
	}
}

func checkCompleted(j *audit.Job, broken func(any, string, ...any)) {
	drained := slices.ContainsFunc(j.Life, func(f audit.JobFact) bool {
		return f.Kind == audit.Drained && f.Phase == v1.JobPhase_JOB_PHASE_CLOSED
	})
	if !drained {
		broken(j.ID, "COMPLETED, and never drained")
	}
	for _, t := range j.ThingsInOrder() {
		ended := t.Refused > 0
		for _, x := range t.Executions {
			ended = audit.Final(x.Status())
		}
		if !ended {
			broken(on(j, t), "the job is COMPLETED, and the thing has not ended")
		}
	}
}
