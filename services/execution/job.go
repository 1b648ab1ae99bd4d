package execution

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// job is what a home keeps of a job, but for its document.
type job struct {
	id             string
	timeoutMinutes uint64 // 0 is none
	stop           v1.JobPhase
	retry          budgets
	// scheduled: it has a schedule; windowed: with maintenance windows; shut: and none is open now.
	scheduled, windowed, shut bool
	// deletions: an attempt that was the latest of its thing was deleted.
	deletions bool
	// changesAt is when the window opens or closes next, in ms since the epoch; 0 is not known.
	changesAt int64
	// What URLs in the document are signed with; stored for whoever renders documents.
	roleARN          []byte
	expiresInSeconds uint64
}

// budgets are how many retries a thing gets after failures of each type, or after all of them together (specification
// §4.8).
type budgets struct{ failed, timedOut, all uint64 }

func newBudgets(c *v1.RetryConfig) (b budgets) {
	for _, x := range c.GetCriteria() {
		switch x.GetFailure() {
		case v1.FailureType_FAILURE_TYPE_FAILED:
			b.failed = uint64(x.GetRetries())
		case v1.FailureType_FAILURE_TYPE_TIMED_OUT:
			b.timedOut = uint64(x.GetRetries())
		case v1.FailureType_FAILURE_TYPE_ALL:
			b.all = uint64(x.GetRetries())
		}
	}
	return b
}

// next is which retry the failure of an attempt would be followed by, counted from 1, and how many are allowed. None
// follows if it is more than that.
func (b budgets) next(a *attempt, failure v1.ExecutionStatus) (retry, allowed uint64) {
	switch {
	case b.all > 0:
		return uint64(a.retry) + 1, b.all
	case failure == statusFailed:
		return uint64(a.failed) + 1, b.failed
	case failure == statusTimedOut:
		return uint64(a.retry-a.failed) + 1, b.timedOut
	}
	return 1, 0
}

func readJob(r kv.Reader, number uint64) (j job, known bool) {
	row, ok := r.Get(jobKey(number))
	if !ok {
		return job{}, false
	}
	fields := kv.NewFields(row)
	j = job{id: fields.String(), timeoutMinutes: fields.Uint(), stop: v1.JobPhase(fields.Uint())}
	j.retry = budgets{failed: fields.Uint(), timedOut: fields.Uint(), all: fields.Uint()}
	j.scheduled, j.windowed, j.shut, j.deletions = fields.Bool(), fields.Bool(), fields.Bool(), fields.Bool()
	j.changesAt, j.roleARN, j.expiresInSeconds = fields.Int(), fields.Bytes(), fields.Uint()
	fields.Must("a job")
	return j, true
}

func writeJob(w kv.Writer, number uint64, j job) {
	r := kv.Row(nil).String(j.id).Uint(j.timeoutMinutes).Uint(uint64(j.stop))
	r = r.Uint(j.retry.failed).Uint(j.retry.timedOut).Uint(j.retry.all)
	r = r.Bool(j.scheduled).Bool(j.windowed).Bool(j.shut).Bool(j.deletions)
	w.Set(jobKey(number), r.Int(j.changesAt).Bytes(j.roleARN).Uint(j.expiresInSeconds))
}

// document is a copy of a job's document.
func document(r kv.Reader, job uint64) []byte {
	d, _ := r.Get(documentKey(job))
	return append([]byte(nil), d...)
}

// jobNumber is the latest job of an id.
func jobNumber(r kv.Reader, jobID string) (uint64, bool) {
	row, ok := r.Get(jobIDKey(jobID))
	if !ok {
		return 0, false
	}
	fields := kv.NewFields(row)
	n := fields.Uint()
	fields.Must("a job id")
	return n, true
}

// veiled says whether an attempt is queued in a closed window: devices do not get it (specification §3.7). Only for
// jobs with windows it reads a row more.
func veiled(r kv.Reader, a *attempt) bool {
	if !a.windowed || !a.queued() {
		return false
	}
	j, _ := readJob(r, a.job)
	return j.shut
}
