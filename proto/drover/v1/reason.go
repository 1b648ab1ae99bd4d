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
	case ReasonCode_REASON_CODE_ABORT_CRITERIA:
		if len(r.GetNumbers()) == 0 {
			return "the job was aborted: a criterion was met"
		}
		return fmt.Sprintf("abort criterion %d was met: %s among %s that ended, %s or more", n(0)+1, count(n(1), "failure", "failures"), count(n(2), "execution", "executions"), percent(n(3)))
	case ReasonCode_REASON_CODE_END_TIME:
		if len(r.GetNumbers()) == 0 {
			return "the job's end time came"
		}
		if n(0) == 0 {
			return "the job's end time came"
		}
		return "the job's end time came, " + when(n(0))
	case ReasonCode_REASON_CODE_START_TIME:
		return "the job's start time came, " + when(n(0))
	case ReasonCode_REASON_CODE_WINDOW_OPENED:
		return fmt.Sprintf("a maintenance window opened, from %s to %s", when(n(0)), when(n(1)))
	case ReasonCode_REASON_CODE_WINDOW_CLOSED:
		return fmt.Sprintf("the maintenance window closed at %s; the next opens at %s", when(n(0)), when(n(1)))
	case ReasonCode_REASON_CODE_RETRY:
		return fmt.Sprintf("retry %d of %d: the attempt before it is %s", n(0), n(1), ExecutionStatus(n(2)).Word())
	case ReasonCode_REASON_CODE_RETRY_DEFERRED:
		return fmt.Sprintf("retry %d of %d waits for the next maintenance window", n(0), n(1))
	case ReasonCode_REASON_CODE_RETRY_DROPPED:
		return "the retry that was due is not made any more"
	case ReasonCode_REASON_CODE_JOINED:
		return "it joined a target of the continuous job"
	case ReasonCode_REASON_CODE_LEFT_TARGETS:
		return "it is in no target of the continuous job any more"
	case ReasonCode_REASON_CODE_EXPONENTIAL_PACE:
		if n(2) == 0 {
			return fmt.Sprintf("due at %d things a minute, after %d released before", n(0), n(1))
		}
		return fmt.Sprintf("due at %d things a minute after %d increases, after %d released before", n(0), n(2), n(1))
	case ReasonCode_REASON_CODE_DELETED:
		return "an operator deleted it"
	case ReasonCode_REASON_CODE_JOB_DELETED:
		return "the job is being deleted"
	case ReasonCode_REASON_CODE_RETENTION:
		return fmt.Sprintf("it was kept for %d days", n(0))
	case ReasonCode_REASON_CODE_WINDOW_IS_CLOSED:
		if n(0) == 0 {
			return "the maintenance window is closed and no other follows"
		}
		return "the maintenance window is closed until " + when(n(0))
	case ReasonCode_REASON_CODE_NOT_STARTED:
		return "the job starts at " + when(n(0))
	case ReasonCode_REASON_CODE_WAITS_FOR_PACE:
		return fmt.Sprintf("the pace of %d things a minute lets the next one go at %s", n(0), when(n(1)))
	case ReasonCode_REASON_CODE_WAITS_FOR_ENDS:
		return "before a release all logs are read to their ends, and one cannot be read now"
	case ReasonCode_REASON_CODE_SELECTING:
		return "the targets are being resolved"
	case ReasonCode_REASON_CODE_WAITS_FOR_DEVICES:
		return fmt.Sprintf("%d released things have not ended yet", n(0))
	case ReasonCode_REASON_CODE_BEHIND_OTHERS:
		return fmt.Sprintf("%d executions of other jobs stand before it", n(0))
	case ReasonCode_REASON_CODE_CONTINUOUS:
		return "the job is continuous and has no end time: it goes on until it is canceled"
	case ReasonCode_REASON_CODE_GROUP_DELETED:
		return "the group was deleted"
	case ReasonCode_REASON_CODE_JOB_UPDATED:
		return "an operator changed the job's configuration"
	case ReasonCode_REASON_CODE_TARGETS_ASSOCIATED:
		return "an operator associated more targets"
	case ReasonCode_REASON_CODE_TOO_MANY_CONCURRENT:
		if len(r.GetNumbers()) == 0 {
			return "too many jobs were at work when its window opened"
		}
		return fmt.Sprintf("%s at work when its window opened; %d may be", count(n(0), "job was", "jobs were"), n(1))
	case ReasonCode_REASON_CODE_WAITS_FOR_CONCURRENT:
		return fmt.Sprintf("%s at work, %d may be; %s waited for longer", count(n(0), "job is", "jobs are"), n(1), count(n(2), "job has", "jobs have"))
	case ReasonCode_REASON_CODE_NO_WINDOW_FOLLOWS:
		return "the job's end time has come, and no maintenance window follows"
	}
	return r.GetCode().Word()
}

// count writes a number of things: "1 failure", "2 failures".
func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// percent writes hundredths of a percent: "5 %", "2.50 %".
func percent(hundredths int64) string {
	if hundredths%100 == 0 {
		return fmt.Sprintf("%d %%", hundredths/100)
	}
	return fmt.Sprintf("%d.%02d %%", hundredths/100, hundredths%100)
}

func when(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05Z")
}
