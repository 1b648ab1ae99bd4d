package targeting

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// React implements core.Core. Of log.job matters for what a job selects, and until when.
func (targeting) React(s *core.Step, _ *v1.Position, _ int64, entry *v1.Entry) {
	switch e := entry.GetEvent().GetEvent().(type) {
	case *v1.Event_JobStarted:
		if _, runs := loadSelection(s, e.JobStarted.Job); runs || has(s, followKey(e.JobStarted.Job)) {
			return
		}
		// An intent: from this commit on it is settled what is selected; Due carries it out.
		s.Emit(&v1.Event{Event: &v1.Event_SelectionStarted{SelectionStarted: &v1.SelectionStarted{
			Job:             e.JobStarted.Job,
			Targets:         e.JobStarted.Targets,
			TargetSelection: e.JobStarted.TargetSelection,
		}}}, nil)
	case *v1.Event_TargetsAssociated:
		if has(s, followKey(e.TargetsAssociated.Job)) {
			s.Emit(&v1.Event{Event: &v1.Event_SelectionStarted{SelectionStarted: &v1.SelectionStarted{
				Job:             e.TargetsAssociated.Job,
				Targets:         e.TargetsAssociated.Targets,
				TargetSelection: v1.TargetSelection_TARGET_SELECTION_CONTINUOUS,
			}}}, core.Reason(v1.ReasonCode_REASON_CODE_TARGETS_ASSOCIATED))
		}
	case *v1.Event_JobCancelStarted:
		end(s, e.JobCancelStarted.Job, core.Reason(v1.ReasonCode_REASON_CODE_JOB_CANCELED))
	case *v1.Event_JobEndReached:
		end(s, e.JobEndReached.Job, core.Reason(v1.ReasonCode_REASON_CODE_END_TIME, entry.GetReason().GetNumbers()...))
	case *v1.Event_JobDeletionStarted:
		end(s, e.JobDeletionStarted.Job, core.Reason(v1.ReasonCode_REASON_CODE_JOB_DELETED))
	case *v1.Event_JobCompleted:
		if has(s, followKey(e.JobCompleted.Job)) {
			end(s, e.JobCompleted.Job, nil)
		}
	}
}

// end finishes the selections of a job where they stand, and follows it no more.
func end(s *core.Step, job uint64, reason *v1.Reason) {
	for row, runs := loadSelection(s, job); runs; row, runs = loadSelection(s, job) {
		s.Emit(finished(job, row.selected), reason)
	}
	if has(s, followKey(job)) {
		s.Emit(&v1.Event{Event: &v1.Event_SelectionClosed{SelectionClosed: &v1.SelectionClosed{Job: job}}}, reason)
	}
}

func finished(job, things uint64) *v1.Event {
	return &v1.Event{Event: &v1.Event_SelectionFinished{SelectionFinished: &v1.SelectionFinished{Job: job, Things: things}}}
}
