package targeting

import (
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// React implements core.Core. Of log.job two events matter: a job may be selected for, or no more.
func (targeting) React(s *core.Step, _ *v1.Position, _ int64, entry *v1.Entry) {
	switch e := entry.GetEvent().GetEvent().(type) {
	case *v1.Event_JobStarted:
		if has(s, selectionKey(e.JobStarted.Job)) {
			return
		}
		// An intent: from this commit on it is settled what is selected; Due carries it out.
		s.Emit(&v1.Event{Event: &v1.Event_SelectionStarted{SelectionStarted: &v1.SelectionStarted{
			Job:             e.JobStarted.Job,
			Targets:         e.JobStarted.Targets,
			TargetSelection: e.JobStarted.TargetSelection,
		}}}, nil)
	case *v1.Event_JobCancelStarted:
		if row, ok := loadSelection(s, e.JobCancelStarted.Job); ok {
			s.Emit(finished(e.JobCancelStarted.Job, row.selected), core.Reason(v1.ReasonCode_REASON_CODE_JOB_CANCELED))
		}
	}
}

func finished(job, things uint64) *v1.Event {
	return &v1.Event{Event: &v1.Event_SelectionFinished{SelectionFinished: &v1.SelectionFinished{Job: job, Things: things}}}
}
