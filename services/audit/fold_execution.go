package audit

import v1 "github.com/droverhq/drover/proto/drover/v1"

// execution takes in an event of a home's log.
func (f *fold) execution(at Place, event *v1.Event) {
	h := f.history
	switch e := event.GetEvent().(type) {
	case *v1.Event_ExecutionQueued:
		f.queued(at, e.ExecutionQueued)
	case *v1.Event_ExecutionChanged:
		f.changed(at, e.ExecutionChanged)
	case *v1.Event_RetryDropped:
		f.retryDropped(at, e.RetryDropped)
	case *v1.Event_ExecutionDeleted:
		f.deleted(at, e.ExecutionDeleted)
	case *v1.Event_ReleaseRefused:
		j := h.job(e.ReleaseRefused.GetJob())
		t := f.known(at, j, e.ReleaseRefused.GetThing())
		t.Refused++
		t.RefusedAt = at
		if e.ReleaseRefused.GetRejoined() {
			t.Rejoined = append(t.Rejoined, at)
		}
		t.Withdrawn = nil // it is wanted again (event.proto, WithdrawalLearned)
		f.counts(j.Number).Refused++
	case *v1.Event_WithdrawalLearned:
		j := h.job(e.WithdrawalLearned.GetJob())
		for _, ref := range e.WithdrawalLearned.GetThings() {
			t := f.known(at, j, ref)
			t.Withdrawn = append(t.Withdrawn, at)
		}
	case *v1.Event_WindowLearned:
		j := h.job(e.WindowLearned.GetJob())
		j.Windows = append(j.Windows, Window{Place: at, Open: e.WindowLearned.GetOpen()})
	case *v1.Event_HomeSettled:
		j := h.job(e.HomeSettled.GetJob())
		j.Settled = append(j.Settled, Settled{Place: at, Home: at.Log.Home, Phase: e.HomeSettled.GetPhase()})
		if f.settled == nil {
			f.settled = map[uint64][]v1.JobPhase{}
		}
		f.settled[j.Number] = append(f.settled[j.Number], e.HomeSettled.GetPhase())
		if e.HomeSettled.GetPhase() == v1.JobPhase_JOB_PHASE_DELETED {
			f.done(at, j.Number)
		}
	}
}

func (f *fold) queued(at Place, e *v1.ExecutionQueued) {
	j := f.history.job(e.GetJob())
	t := f.known(at, j, e.GetThing())
	if t.execution(e.GetExecutionNumber()) != nil {
		f.strange(at, "execution %d of job %s on %s is queued a second time", e.GetExecutionNumber(), j.ID, t.Name)
		return
	}
	x := &Execution{Number: e.GetExecutionNumber(), Retry: e.GetRetryAttempt(), Steps: make([]Step, 0, 3)}
	x.Steps = append(x.Steps, Step{Place: at, To: v1.ExecutionStatus_EXECUTION_STATUS_QUEUED, Version: 1, DeadlineMs: never})
	t.Executions = append(t.Executions, x)
	f.counts(j.Number).queued(e.GetRetryAttempt())
}

func (f *fold) changed(at Place, e *v1.ExecutionChanged) {
	j := f.history.job(e.GetJob())
	_, x := f.attempt(at, j, e.GetThing(), e.GetExecutionNumber(), "changes")
	if x == nil {
		return
	}
	s := Step{
		Place: at, From: e.GetFrom(), To: e.GetTo(), Version: e.GetVersionNumber(), Force: e.GetForceCanceled(), RetryDue: e.GetRetryDue(),
		HasRun: x.Last().HasRun || e.GetTo() == v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS, DeadlineMs: never,
	}
	for _, d := range []int64{e.GetInProgressDeadlineMs(), e.GetStepDeadlineMs()} {
		if d != 0 {
			s.DeadlineMs = min(s.DeadlineMs, d)
		}
	}
	x.Steps = append(x.Steps, s)
	f.counts(j.Number).moved(s)
}

// attempt finds what an event is about; nil, and strange, if it is not there (any more).
func (f *fold) attempt(at Place, j *Job, thing string, number uint64, does string) (*Thing, *Execution) {
	t := j.Things[thing]
	if t == nil || t.execution(number) == nil {
		f.strange(at, "execution %d of job %s on %s %s and was never queued", number, j.ID, thing, does)
		return nil, nil
	}
	x := t.execution(number)
	if x.Deleted != nil {
		f.strange(at, "execution %d of job %s on %s %s and was deleted at %s", number, j.ID, thing, does, *x.Deleted)
		return nil, nil
	}
	return t, x
}

func (f *fold) retryDropped(at Place, e *v1.RetryDropped) {
	j := f.history.job(e.GetJob())
	t, x := f.attempt(at, j, e.GetThing().GetName(), e.GetExecutionNumber(), "has no retry")
	if x == nil {
		return
	}
	if !t.retryDue(x) || x.Status() != e.GetStatus() {
		f.strange(at, "the retry of execution %d of job %s on %s is dropped as %s; it stands at %s, and a retry is due: %v",
			x.Number, j.ID, t.Name, StatusName(e.GetStatus()), StatusName(x.Status()), t.retryDue(x))
		return
	}
	x.Dropped = &at
	f.counts(j.Number).dropped(x.Last())
}

func (f *fold) deleted(at Place, e *v1.ExecutionDeleted) {
	j := f.history.job(e.GetJob())
	t, x := f.attempt(at, j, e.GetThing().GetName(), e.GetExecutionNumber(), "is deleted")
	if x == nil {
		return
	}
	last, due := t.lastOfRelease(x), t.retryDue(x)
	if last != e.GetLast() || due != e.GetRetryDue() || x.Status() != e.GetStatus() {
		f.strange(at, "execution %d of job %s on %s is deleted as %s, the last %v, its retry due %v; it is %s, %v, %v",
			x.Number, j.ID, t.Name, StatusName(e.GetStatus()), e.GetLast(), e.GetRetryDue(), StatusName(x.Status()), last, due)
	}
	x.Deleted, x.DeletedLast, x.DeletedDue = &at, last, due
	f.counts(j.Number).deleted(x)
}
