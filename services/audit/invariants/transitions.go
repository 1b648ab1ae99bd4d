package invariants

import (
	"slices"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/audit"
)

const (
	queued     = v1.ExecutionStatus_EXECUTION_STATUS_QUEUED
	inProgress = v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS
	succeeded  = v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED
	failed     = v1.ExecutionStatus_EXECUTION_STATUS_FAILED
	rejected   = v1.ExecutionStatus_EXECUTION_STATUS_REJECTED
	timedOut   = v1.ExecutionStatus_EXECUTION_STATUS_TIMED_OUT
	canceled   = v1.ExecutionStatus_EXECUTION_STATUS_CANCELED
	removed    = v1.ExecutionStatus_EXECUTION_STATUS_REMOVED
)

// legal is the matrix of specification §4.2.
var legal = map[v1.ExecutionStatus][]v1.ExecutionStatus{
	queued:     {inProgress, succeeded, failed, rejected, canceled, removed},
	inProgress: {inProgress, succeeded, failed, rejected, timedOut, canceled, removed},
}

var transitions = Rule{
	Name:    "transitions",
	Promise: "An execution goes from QUEUED only where the specification lets it, each step from where the one before has ended.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		eachExecution(h, func(j *audit.Job, t *audit.Thing, x *audit.Execution) {
			for i, s := range x.Steps[1:] {
				before := x.Steps[i]
				switch {
				case s.From != before.To:
					broken(s.Place, "%s goes on from %s; it was %s", on(j, t), audit.StatusName(s.From), audit.StatusName(before.To))
				case !slices.Contains(legal[s.From], s.To):
					broken(s.Place, "%s goes from %s to %s", on(j, t), audit.StatusName(s.From), audit.StatusName(s.To))
				case s.Force && s.To != canceled:
					broken(s.Place, "%s is canceled with force, and %s", on(j, t), audit.StatusName(s.To))
				case s.To == canceled && s.From == inProgress && !s.Force:
					broken(s.Place, "%s is canceled while in progress, without force", on(j, t))
				}
			}
		})
	},
}
