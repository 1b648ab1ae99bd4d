package execution

import (
	"math"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// learned keeps what the home needs of a job. A job with windows begins with its window closed.
func learned(tx kv.Tx, e *v1.JobLearned) {
	j, _ := readJob(tx, e.GetJob())
	j.id, j.scheduled, j.windowed, j.shut = e.GetJobId(), e.GetScheduled(), e.GetWindowed(), e.GetWindowed()
	j.retry = newBudgets(e.GetRetry())
	configure(&j, e.GetTimeout(), e.GetPresignedUrl())
	writeJob(tx, e.GetJob(), j)
	tx.Set(documentKey(e.GetJob()), e.GetDocument())
	if n, ok := jobNumber(tx, j.id); !ok || n < e.GetJob() {
		tx.Set(jobIDKey(j.id), kv.Row(nil).Uint(e.GetJob()))
	}
}

func configure(j *job, t *v1.TimeoutConfig, p *v1.PresignedUrlConfig) {
	if t != nil {
		j.timeoutMinutes = uint64(t.GetInProgressTimeoutMinutes())
	}
	if p != nil {
		j.roleARN, j.expiresInSeconds = []byte(p.GetRoleArn()), uint64(p.GetExpiresInSeconds())
	}
}

// changeLearned takes over what is present. Retries that are due and no longer allowed are dropped in slices.
func changeLearned(tx kv.Tx, e *v1.JobChangeLearned) {
	j, known := readJob(tx, e.GetJob())
	if !known {
		return
	}
	configure(&j, e.GetTimeout(), e.GetPresignedUrl())
	if e.GetRetry() != nil {
		j.retry = newBudgets(e.GetRetry())
		if j.shut {
			setWindow(tx, e.GetJob(), window{job: e.GetJob()})
		}
	}
	writeJob(tx, e.GetJob(), j)
}

func windowLearned(tx kv.Tx, e *v1.WindowLearned) {
	j, known := readJob(tx, e.GetJob())
	if !known {
		return
	}
	j.shut, j.changesAt = !e.GetOpen(), e.GetChangesAtMs()
	writeJob(tx, e.GetJob(), j)
	setWindow(tx, e.GetJob(), window{job: e.GetJob(), open: e.GetOpen()})
}

// stopLearned puts the stop in the stead of a lesser one of the job that is still under way.
func stopLearned(tx kv.Tx, job uint64, phase v1.JobPhase, cause v1.ReasonCode) {
	j, _ := readJob(tx, job)
	j.stop = phase
	writeJob(tx, job, j)
	writeStops(tx, append(readStops(tx).without(job), stop{job: job, phase: phase, cause: cause}))
}

// erasureLearned frees the job's id: nobody finds it by that any more.
func erasureLearned(tx kv.Tx, job uint64) {
	j, _ := readJob(tx, job)
	if n, ok := jobNumber(tx, j.id); ok && n == job {
		tx.Delete(jobIDKey(j.id))
	}
	stopLearned(tx, job, phaseDeleted, v1.ReasonCode_REASON_CODE_JOB_DELETED)
}

func homeSettled(tx kv.Tx, e *v1.HomeSettled) {
	if e.GetPhase() == phaseClosed {
		return
	}
	writeStops(tx, readStops(tx).without(e.GetJob()))
	if e.GetPhase() == phaseDeleted {
		forgetJob(tx, e.GetJob())
	}
}

// forgottenMax is how many numbers of deleted executions one slice forgets.
const forgottenMax = 1000

// deletions are the first rows of those executions of a job that operators deleted one by one, at most so many.
func deletions(r kv.Reader, job uint64, most int) (keys []kv.Key) {
	prefix := kv.NewKey(tableDeleted).Uint(job)
	for k := range r.Scan(prefix, kv.PrefixEnd(prefix)) {
		if keys = append(keys, append(kv.Key(nil), k...)); len(keys) == most {
			break
		}
	}
	return keys
}

func forgetDeletions(tx kv.Tx, job uint64) {
	for _, k := range deletions(tx, job, forgottenMax) {
		tx.Delete(k)
	}
}

// forgetJob drops the last rows of a job. Its executions are gone; a slice at most is left of their numbers, in older logs
// all.
func forgetJob(tx kv.Tx, job uint64) {
	for _, k := range deletions(tx, job, math.MaxInt) {
		tx.Delete(k)
	}
	setWindow(tx, job)
	tx.Delete(documentKey(job))
	tx.Delete(jobKey(job))
}
