package audit

import v1 "github.com/droverhq/drover/proto/drover/v1"

// job takes in an event of log.job.
func (f *fold) job(at Place, event *v1.Event) {
	number := event.Job()
	if number == 0 {
		return
	}
	j := f.history.job(number)
	fact := JobFact{Place: at, Kind: JobFactKind(event.Type())}
	switch e := event.GetEvent().(type) {
	case *v1.Event_JobCreated:
		c := e.JobCreated
		j.ID, j.Created, j.PerMinute = c.GetJobId(), at, c.GetRollout().GetMaximumPerMinute()
		j.Continuous = c.GetTargetSelection() == v1.TargetSelection_TARGET_SELECTION_CONTINUOUS
		j.Retry = c.GetRetry()
		j.Status = v1.JobStatus_JOB_STATUS_SCHEDULED
	case *v1.Event_JobStarted, *v1.Event_JobWindowOpened:
		j.Status = v1.JobStatus_JOB_STATUS_IN_PROGRESS
	case *v1.Event_JobWindowClosed:
		j.Status = v1.JobStatus_JOB_STATUS_SCHEDULED
	case *v1.Event_JobCancelStarted:
		j.Status, fact.Force = v1.JobStatus_JOB_STATUS_CANCELED, e.JobCancelStarted.GetForce()
	case *v1.Event_JobCompleted:
		j.Status = v1.JobStatus_JOB_STATUS_COMPLETED
	case *v1.Event_JobDeletionStarted:
		j.Status, fact.Force = v1.JobStatus_JOB_STATUS_DELETION_IN_PROGRESS, e.JobDeletionStarted.GetForce()
	case *v1.Event_JobDeleted:
		f.done(at, number)
	}
	j.Life = append(j.Life, fact)
}

// targeting takes in an event of log.targeting.
func (f *fold) targeting(at Place, event *v1.Event) {
	h := f.history
	switch e := event.GetEvent().(type) {
	case *v1.Event_ThingsSelected:
		j := h.job(e.ThingsSelected.GetJob())
		for _, ref := range e.ThingsSelected.GetThings() {
			t := f.known(at, j, ref)
			if t.Selected++; !e.ThingsSelected.GetJoined() {
				j.SelectedBySelection++
			}
		}
	case *v1.Event_ThingsDeselected:
		j := h.job(e.ThingsDeselected.GetJob())
		for _, ref := range e.ThingsDeselected.GetThings() {
			f.known(at, j, ref).Left++
		}
	case *v1.Event_SelectionFinished:
		j := h.job(e.SelectionFinished.GetJob())
		j.SelectedTold = max(j.SelectedTold, 0) + int64(e.SelectionFinished.GetThings())
	}
}

// known is a thing of a job. Another thing of the same name, deleted or made since, has no business in a job that took
// its things once; a continuous one may select it, as one that left and another that came.
func (f *fold) known(at Place, j *Job, ref *v1.ThingRef) *Thing {
	t := j.thing(ref.GetName())
	switch {
	case t.numbers[ref.GetNumber()]:
	case len(t.numbers) == 0:
		t.Number, t.numbers = ref.GetNumber(), map[uint64]bool{ref.GetNumber(): true}
	case j.Continuous:
		t.numbers[ref.GetNumber()] = true
		t.Left++
	default:
		f.strange(at, "job %s meets thing %s as number %d and as %d", j.ID, t.Name, t.Number, ref.GetNumber())
	}
	return t
}
