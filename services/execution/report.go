package execution

import (
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// report decides a device's update. It checks in the order of specification §3.5: what the request says, whether there
// is such an execution, the version, the transition.
func report(s *core.Step, cmd *v1.UpdateExecution) (proto.Message, error) {
	name, err := thingName(cmd.GetThing())
	if err != nil {
		return nil, err
	}
	jobID, err := checkJobID(cmd.GetJobId())
	if err != nil {
		return nil, err
	}
	details, err := checkReport(cmd)
	if err != nil {
		return nil, err
	}

	t, err := settle(s, name)
	if err != nil {
		return nil, err
	}
	a, err := latest(s, name, &t, jobID, cmd.GetExecutionNumber())
	if err == nil && veiled(s, &a) {
		err = noExecution(name, jobID)
	}
	if err != nil {
		return nil, err
	}
	if told := repeated(s, name, cmd, details, &a); told != nil {
		reply := reportReply(s, cmd, told, readDetails(told.details))
		reply.Position = s.Position()
		return reply, nil
	}
	if err := checkVersion(cmd.GetExpectedVersion(), &a); err != nil {
		return nil, err
	}
	if a.ended() || cmd.GetStatus() == statusQueued {
		return nil, illegal(&a, "an execution that is %s cannot become %s", statusName(a.status), statusName(cmd.GetStatus()))
	}

	if !cmd.GetReplaceDetails() {
		details = readDetails(a.details)
	}
	var next attempt
	token := ""
	if cmd.GetStatus() == statusInProgress {
		next = a.progress(timeoutOf(s, &a), s.Now)
		next.setStep(cmd.GetStepTimeoutMinutes(), s.Now)
	} else {
		next = a.end(cmd.GetStatus(), s.Now)
		token = cmd.GetClientToken()
	}
	// The reply copies what it needs of the row: emitting writes.
	reply := reportReply(s, cmd, &next, details)
	emitFailure(s, name, a.status, &next, details, token, core.Reason(v1.ReasonCode_REASON_CODE_REPORTED))
	reply.Position = s.Position()
	return reply, nil
}

// checkReport checks what an update says, and returns its details sorted.
func checkReport(cmd *v1.UpdateExecution) ([]*v1.Detail, error) {
	switch cmd.GetStatus() {
	case statusInProgress, statusSucceeded, statusFailed, statusRejected, statusQueued:
		// QUEUED is a status that a device may name and no transition leads to (U9).
	case statusCanceled, statusTimedOut, statusRemoved:
		return nil, invalid("status", "a device cannot set %s; it may set IN_PROGRESS, SUCCEEDED, FAILED or REJECTED", statusName(cmd.GetStatus()))
	default:
		return nil, invalid("status", "the status is missing or unknown; a device may set IN_PROGRESS, SUCCEEDED, FAILED or REJECTED")
	}
	if err := checkStep(cmd.GetStepTimeoutMinutes()); err != nil {
		return nil, err
	}
	if err := checkToken(cmd.GetClientToken()); err != nil {
		return nil, err
	}
	return checkDetails(cmd.GetStatusDetails())
}

// timeoutOf is the job's timeout if the attempt is about to start; nobody asks for it otherwise.
func timeoutOf(r kv.Reader, a *attempt) uint64 {
	if a.status != statusQueued {
		return 0
	}
	j, _ := readJob(r, a.job)
	return j.timeoutMinutes
}

// repeated is the attempt that the update has ended before, or nil: this one, or, where a retry of it waits to be started,
// the one before.
func repeated(r kv.Reader, name string, cmd *v1.UpdateExecution, details []*v1.Detail, a *attempt) *attempt {
	if cmd.GetClientToken() == "" || !ended(cmd.GetStatus()) {
		return nil
	}
	if repeats(cmd, details, a) {
		return a
	}
	if a.queued() && a.number > 1 && cmd.GetExecutionNumber() == 0 {
		if before, ok := readEarlier(r, name, a.job, a.number-1); ok && repeats(cmd, details, &before) {
			return &before
		}
	}
	return nil
}

// repeats says whether the update is the one that ended the attempt, sent again by a device that had no answer. It is
// accepted again and writes nothing (design §5).
func repeats(cmd *v1.UpdateExecution, details []*v1.Detail, a *attempt) bool {
	return a.ended() && cmd.GetClientToken() != "" && cmd.GetClientToken() == string(a.token) &&
		cmd.GetStatus() == a.status &&
		(cmd.GetExpectedVersion() == 0 || cmd.GetExpectedVersion()+1 == a.version) &&
		(!cmd.GetReplaceDetails() || string(encodeDetails(details)) == string(a.details))
}

func reportReply(s *core.Step, cmd *v1.UpdateExecution, a *attempt, details []*v1.Detail) *v1.UpdateExecutionReply {
	reply := &v1.UpdateExecutionReply{State: a.state(details), AtMs: s.Now}
	if cmd.GetIncludeDocument() {
		reply.Document = document(s, a.job)
	}
	return reply
}

// latest is the latest attempt of a job on a thing, pending or ended, or, with a number other than 0, the one of that
// number.
func latest(r kv.Reader, name string, t *thing, jobID string, number uint64) (attempt, error) {
	a, ok := attempt{}, false
	if p := t.ofID(jobID); p != nil {
		a, ok = *p, true
	} else if a.job, ok = jobNumber(r, jobID); ok {
		a, ok = lastEnded(r, name, t, a.job)
	}
	if !ok {
		return a, noExecution(name, jobID)
	}
	if number == 0 || number == a.number {
		return a, nil
	}
	if earlier, ok := readEarlier(r, name, a.job, number); ok && !t.gone(&earlier) {
		return earlier, nil
	}
	return a, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "executionNumber",
		"thing %s has no execution %d of job %s; the latest is %d", name, number, jobID, a.number)
}

// lastEnded is the latest attempt that is left of a job that has none pending.
func lastEnded(r kv.Reader, name string, t *thing, number uint64) (attempt, bool) {
	a, ok := readEnded(r, name, number)
	if ok {
		return a, !t.gone(&a)
	}
	if j, _ := readJob(r, number); j.deletions {
		prefix := earlierKey(name, number)
		for _, row := range r.Scan(prefix, kv.PrefixEnd(prefix)) {
			fields := kv.NewFields(append([]byte(nil), row...))
			a, ok = readAttempt(&fields), true
			fields.Must("an earlier execution")
		}
	}
	return a, ok && !t.gone(&a)
}

func noExecution(thing, jobID string) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "jobId", "thing %s has no execution of job %s", thing, jobID)
}

func checkVersion(expected uint64, a *attempt) error {
	if expected == 0 || expected == a.version {
		return nil
	}
	r := v1.Refuse(v1.RefusalCode_REFUSAL_CODE_VERSION_MISMATCH, "expectedVersion", "Expected version %d but found version %d", expected, a.version)
	r.State = a.state(readDetails(a.details))
	return r
}

func illegal(a *attempt, format string, args ...any) error {
	r := v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_STATE_TRANSITION, "status", format, args...)
	r.State = a.state(readDetails(a.details))
	return r
}

// statusName is AWS's word: IN_PROGRESS.
func statusName(s v1.ExecutionStatus) string {
	return strings.TrimPrefix(s.String(), "EXECUTION_STATUS_")
}
