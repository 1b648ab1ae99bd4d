package rollout

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// Abort criteria (specification §4.11, U6). What is counted are attempts: those that have ended in SUCCEEDED, FAILED,
// REJECTED or TIMED_OUT, and among them the failures of the criterion's type. Canceled, removed and deleted ones count
// for nothing. The first criterion of the list that is met cancels the job without force, in the commit that learns of it.
//
// No release follows what was durable when it was asked for: a job with criteria is released in a current state only
// (core.Step.NeedCurrent), and few things at a time (bound). (design §7)

// executed is how many attempts have ended, as criteria count them.
func executed(attempts func(v1.ExecutionStatus) int64) int64 {
	return attempts(v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED) + failures(attempts, v1.FailureType_FAILURE_TYPE_ALL)
}

// failures is how many of them failed so.
func failures(attempts func(v1.ExecutionStatus) int64, kind v1.FailureType) int64 {
	switch kind {
	case v1.FailureType_FAILURE_TYPE_FAILED:
		return attempts(v1.ExecutionStatus_EXECUTION_STATUS_FAILED)
	case v1.FailureType_FAILURE_TYPE_REJECTED:
		return attempts(v1.ExecutionStatus_EXECUTION_STATUS_REJECTED)
	case v1.FailureType_FAILURE_TYPE_TIMED_OUT:
		return attempts(v1.ExecutionStatus_EXECUTION_STATUS_TIMED_OUT)
	case v1.FailureType_FAILURE_TYPE_ALL:
		return attempts(v1.ExecutionStatus_EXECUTION_STATUS_FAILED) + attempts(v1.ExecutionStatus_EXECUTION_STATUS_REJECTED) +
			attempts(v1.ExecutionStatus_EXECUTION_STATUS_TIMED_OUT)
	}
	return 0
}

// criterion is one of a job's.
type criterion struct {
	kind               v1.FailureType
	hundredths, atOnly int64 // the threshold in hundredths of a percent; how many must have ended
}

// met says whether so many failures among so many ended ones meet it.
func (c criterion) met(failed, ended int64) bool {
	return ended > 0 && ended >= c.atOnly && 10_000*failed >= c.hundredths*ended
}

func criteriaRow(a *v1.AbortConfig) kv.Row {
	r := kv.Row(nil).Uint(uint64(len(a.GetCriteria())))
	for _, c := range a.GetCriteria() {
		r = r.Uint(uint64(c.GetFailure())).Int(int64(c.GetThresholdHundredths())).Int(int64(c.GetMinExecuted()))
	}
	return r
}

func readCriteria(r kv.Reader, number uint64) (list []criterion) {
	row, ok := r.Get(criteriaKey(number))
	if !ok {
		return nil
	}
	f := kv.NewFields(row)
	for range f.Uint() {
		list = append(list, criterion{kind: v1.FailureType(f.Uint()), hundredths: f.Int(), atOnly: f.Int()})
	}
	f.Must("abort criteria")
	return list
}

// setCriteria takes the place of a job's criteria.
func setCriteria(tx kv.Tx, number uint64, j *job, a *v1.AbortConfig) {
	if j.careful = len(a.GetCriteria()) > 0; j.careful {
		tx.Set(criteriaKey(number), criteriaRow(a))
	} else {
		tx.Delete(criteriaKey(number))
	}
}

// abort stops a job of which a criterion is met. Homes are the tallies that were just taken in, if any: they say which
// commit made it true. It is never put off, whatever the call holds already.
func (c *Core) abort(s *core.Step, number uint64, homes []*v1.HomeTally) {
	j := readJob(s, number)
	if !j.careful || j.closed || rank(j.stop) >= rank(v1.JobPhase_JOB_PHASE_STOPPED) {
		return
	}
	attempts := func(status v1.ExecutionStatus) int64 { return j.counts.Attempts[status] }
	ended := executed(attempts)
	for i, x := range readCriteria(s, number) {
		failed := failures(attempts, x.kind)
		if !x.met(failed, ended) {
			continue
		}
		reason := core.Reason(v1.ReasonCode_REASON_CODE_ABORT_CRITERIA, int64(i), failed, ended, x.hundredths)
		s.Emit(&v1.Event{Event: &v1.Event_AbortTriggered{AbortTriggered: &v1.AbortTriggered{
			Job: number, Criterion: uint32(i), Failure: x.kind, ThresholdHundredths: uint32(x.hundredths), MinExecuted: uint32(x.atOnly),
			Failures: uint64(failed), Executed: uint64(ended), Crossing: crossing(number, x, failed, ended, homes),
			Released: j.released(), Bound: j.bound(),
		}}}, reason)
		s.Emit(&v1.Event{Event: &v1.Event_JobStopped{JobStopped: &v1.JobStopped{
			Job: number, Phase: v1.JobPhase_JOB_PHASE_STOPPED,
		}}}, reason)
		return
	}
}

// crossing is the last commit without which the criterion would not be met; nil if it is not among these.
func crossing(number uint64, x criterion, failed, ended int64, homes []*v1.HomeTally) *v1.Position {
	var at *v1.Position
	for i := len(homes) - 1; i >= 0; i-- {
		for _, t := range homes[i].GetTallies() {
			if t.GetJob() != number {
				continue
			}
			change := func(status v1.ExecutionStatus) (n int64) {
				for _, a := range t.GetAttempts() {
					if a.GetStatus() == status {
						n += a.GetCount()
					}
				}
				return n
			}
			failed, ended = failed-failures(change, x.kind), ended-executed(change)
			at = &v1.Position{Service: v1.Service_SERVICE_EXECUTION, Home: homes[i].GetHome(), Number: homes[i].GetUpTo()}
			if !x.met(failed, ended) {
				return at
			}
		}
	}
	return at
}
