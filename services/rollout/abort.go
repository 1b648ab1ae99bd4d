package rollout

import (
	"maps"
	"slices"

	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/tally"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// Abort criteria (specification §4.11, U6). What is counted are attempts: those that have ended in SUCCEEDED, FAILED,
// REJECTED or TIMED_OUT, and among them the failures of the criterion's type. Canceled, removed and deleted ones count
// for nothing. The homes' commits are counted one after the other, in the order in which they were decided: the first
// after which a criterion of the list is met cancels the job without force, in the commit that learns of it.
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

// crossing is that a job's criterion is met, and by what: in Observe the tallies of a commit, else nothing that is new.
type crossing struct {
	job           uint64
	index         int // of the criterion
	criterion     criterion
	failed, ended int64
	at            *v1.Position
	counted       []*v1.Position // up to where homes were counted, of those that say something new
}

// abort stops a job of which a criterion is met by what is known. It is never put off, whatever the call holds already.
func (c *Core) abort(s *core.Step, number uint64) {
	if j := readJob(s, number); j.abortable() {
		if x := firstMet(readCriteria(s, number), &j.counts); x != nil {
			x.job = number
			x.abort(s)
		}
	}
}

// abortable says that criteria may stop the job yet.
func (j *job) abortable() bool {
	return j.careful && !j.closed && !j.erased && rank(j.stop) < rank(v1.JobPhase_JOB_PHASE_STOPPED)
}

// firstMet is the first criterion that is met by counts; nil if none is.
func firstMet(list []criterion, counts *tally.Counts) *crossing {
	attempts := func(status v1.ExecutionStatus) int64 { return counts.Attempts[status] }
	ended := executed(attempts)
	for i, x := range list {
		if failed := failures(attempts, x.kind); x.met(failed, ended) {
			return &crossing{index: i, criterion: x, failed: failed, ended: ended}
		}
	}
	return nil
}

func (x *crossing) abort(s *core.Step) {
	j := readJob(s, x.job)
	reason := core.Reason(v1.ReasonCode_REASON_CODE_ABORT_CRITERIA, int64(x.index), x.failed, x.ended, x.criterion.hundredths)
	s.Emit(&v1.Event{Event: &v1.Event_AbortTriggered{AbortTriggered: &v1.AbortTriggered{
		Job: x.job, Criterion: uint32(x.index), Failure: x.criterion.kind,
		ThresholdHundredths: uint32(x.criterion.hundredths), MinExecuted: uint32(x.criterion.atOnly),
		Failures: uint64(x.failed), Executed: uint64(x.ended), Crossing: x.at, Counted: x.counted,
		Released: j.released(), Bound: j.bound(),
	}}}, reason)
	s.Emit(&v1.Event{Event: &v1.Event_JobStopped{JobStopped: &v1.JobStopped{Job: x.job, Phase: v1.JobPhase_JOB_PHASE_STOPPED}}}, reason)
}

// crossings are the jobs of which a criterion is met while commits are counted one after the other, each with the commit
// that did it. What later ones would make of the share does not matter any more.
func crossings(r kv.Reader, commits []*v1.HomeTally) (list []*crossing) {
	type watched struct {
		counts   tally.Counts
		criteria []criterion
	}
	jobs := map[uint64]*watched{}
	upTo := map[uint32]uint64{} // what is counted, by home
	for _, commit := range commits {
		if _, known := upTo[commit.GetHome()]; !known {
			upTo[commit.GetHome()] = commit.GetUpTo() - 1
		}
	}
	for _, commit := range commits {
		upTo[commit.GetHome()] = commit.GetUpTo()
		for _, t := range commit.GetTallies() {
			w, known := jobs[t.GetJob()]
			if !known {
				if j := readJob(r, t.GetJob()); j.abortable() {
					w = &watched{j.counts, readCriteria(r, t.GetJob())}
				}
				jobs[t.GetJob()] = w
			}
			if w == nil {
				continue
			}
			w.counts.AddObserved(t)
			if x := firstMet(w.criteria, &w.counts); x != nil {
				x.job, x.at, x.counted = t.GetJob(), commitOf(commit.GetHome(), commit.GetUpTo()), positions(upTo)
				list = append(list, x)
				jobs[t.GetJob()] = nil
			}
		}
	}
	return list
}

// positions are the ends of what is counted, ascending by home.
func positions(upTo map[uint32]uint64) (list []*v1.Position) {
	for _, home := range slices.Sorted(maps.Keys(upTo)) {
		list = append(list, commitOf(home, upTo[home]))
	}
	return list
}

func commitOf(home uint32, number uint64) *v1.Position {
	return &v1.Position{Service: v1.Service_SERVICE_EXECUTION, Home: home, Number: number}
}
