package droverv1

import (
	"fmt"
	"time"
)

// Sentence says a reason in words; empty if there is none. Sentences are for people and may change; codes and numbers do
// not.
func (r *Reason) Sentence() string {
	n := func(i int) int64 {
		if i < len(r.GetNumbers()) {
			return r.GetNumbers()[i]
		}
		return 0
	}
	switch r.GetCode() {
	case ReasonCode_REASON_CODE_UNSPECIFIED:
		return ""
	case ReasonCode_REASON_CODE_TARGETED:
		return "a member of the job's targets when the selection started"
	case ReasonCode_REASON_CODE_PACE:
		return fmt.Sprintf("due at %d things a minute, after %d released before", n(0), n(1))
	case ReasonCode_REASON_CODE_UNPACED:
		return "the job has no pace"
	case ReasonCode_REASON_CODE_REPORTED:
		return "the device reported it"
	case ReasonCode_REASON_CODE_START_NEXT:
		return "the device asked for its next job"
	case ReasonCode_REASON_CODE_JOB_CANCELED:
		return "the job was canceled"
	case ReasonCode_REASON_CODE_JOB_FORCE_CANCELED:
		return "the job was canceled with force"
	case ReasonCode_REASON_CODE_EXECUTION_CANCELED:
		return "an operator canceled it"
	case ReasonCode_REASON_CODE_IN_PROGRESS_TIMEOUT:
		return "it was in progress for too long, since " + when(n(0))
	case ReasonCode_REASON_CODE_STEP_TIMEOUT:
		return "the device's step took too long, since " + when(n(0))
	case ReasonCode_REASON_CODE_THING_DELETED:
		return "the thing was deleted"
	case ReasonCode_REASON_CODE_JOB_STOPPED:
		return "the job had been stopped before the release got there"
	case ReasonCode_REASON_CODE_ALREADY_QUEUED:
		return "the thing has an execution of the job already"
	case ReasonCode_REASON_CODE_ALL_ENDED:
		return fmt.Sprintf("all %d things have ended", n(0))
	case ReasonCode_REASON_CODE_NOTHING_SELECTED:
		return "the targets held no thing"
	case ReasonCode_REASON_CODE_JOB_UNKNOWN:
		return "the home does not know the job"
	}
	return r.GetCode().Word()
}

func when(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05Z")
}
