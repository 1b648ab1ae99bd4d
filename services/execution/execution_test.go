package execution

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core/coretest"
)

const (
	ok            = v1.RefusalCode_REFUSAL_CODE_UNSPECIFIED
	badRequest    = v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST
	notFound      = v1.RefusalCode_REFUSAL_CODE_NOT_FOUND
	badVersion    = v1.RefusalCode_REFUSAL_CODE_VERSION_MISMATCH
	badTransition = v1.RefusalCode_REFUSAL_CODE_INVALID_STATE_TRANSITION
	terminal      = v1.RefusalCode_REFUSAL_CODE_TERMINAL_STATE
)

// run is a home, and what rollout, devices and operators say to it.
type run struct{ *coretest.Run }

func newRun(t testing.TB) run { return run{coretest.New(t, New(0, 1), id.ExecutionLog(0))} }

func jobID(job uint64) string { return fmt.Sprint("job-", job) }

func (r run) react(e *v1.Event) { r.React(id.RolloutLog.Position(1, 0), e) }

func (r run) open(job uint64, timeoutMinutes uint32) {
	r.react(&v1.Event{Event: &v1.Event_JobOpened{JobOpened: &v1.JobOpened{
		Job: job, JobId: jobID(job), Document: []byte(fmt.Sprintf(`{"job":%d}`, job)),
		Timeout: &v1.TimeoutConfig{InProgressTimeoutMinutes: timeoutMinutes},
	}}})
}

// number is the number of a test's thing.
func number(thing string) uint64 { return 1 + uint64(id.HomeOf(thing, 1<<30)) }

func (r run) release(job uint64, things ...string) {
	e := &v1.ExecutionsReleased{Job: job}
	for _, t := range things {
		e.Things = append(e.Things, &v1.ThingRef{Name: t, Number: number(t)})
	}
	r.react(&v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: e}})
}

func (r run) stop(job uint64, force bool) {
	r.react(&v1.Event{Event: &v1.Event_JobStopped{JobStopped: &v1.JobStopped{Job: job, Force: force}}})
}

func (r run) forget(thing string) {
	r.react(&v1.Event{Event: &v1.Event_ThingRemoved{ThingRemoved: &v1.ThingRemoved{Thing: &v1.ThingRef{Name: thing, Number: number(thing)}}}})
}

func (r run) update(thing string, job uint64, to v1.ExecutionStatus) error {
	_, err := r.Decide(&v1.UpdateExecution{Thing: thing, JobId: jobID(job), Status: to})
	return err
}

// must runs a command that is not refused.
func (r run) must(cmd proto.Message) proto.Message {
	r.T.Helper()
	reply, err := r.Decide(cmd)
	if err != nil {
		r.T.Fatalf("%v: %v", cmd, err)
	}
	return reply
}

func (r run) describe(thing string, job uint64) *v1.Execution {
	r.T.Helper()
	reply, err := r.Answer(&v1.DescribeExecution{Thing: thing, JobId: jobID(job), IncludeEnded: true})
	if err != nil {
		r.T.Fatal(err)
	}
	return reply.(*v1.DescribeExecutionReply).Execution
}

func (r run) pending(thing string) string {
	r.T.Helper()
	reply, err := r.Answer(&v1.GetPending{Thing: thing})
	if err != nil {
		r.T.Fatal(err)
	}
	p := reply.(*v1.GetPendingReply)
	return ids(p.InProgress) + "|" + ids(p.Queued)
}

func ids(list []*v1.Execution) string {
	var names []string
	for _, e := range list {
		names = append(names, strings.TrimPrefix(e.JobId, "job-"))
	}
	return strings.Join(names, " ")
}

// put brings job 1 on thing t into a status, and returns the run.
func put(t testing.TB, status v1.ExecutionStatus) run {
	r := newRun(t)
	r.open(1, 5)
	r.release(1, "t")
	r.Now += 10
	switch status {
	case statusQueued:
	case statusInProgress:
		r.must(&v1.StartNext{Thing: "t"})
	case statusTimedOut:
		r.must(&v1.StartNext{Thing: "t"})
		r.Now += 5 * minute
		r.Due()
	case statusCanceled:
		r.must(&v1.CancelExecution{Thing: "t", JobId: "job-1"})
	case statusRemoved:
		r.Given(&v1.Event{Event: &v1.Event_ExecutionChanged{ExecutionChanged: &v1.ExecutionChanged{
			Job: 1, Thing: "t", ExecutionNumber: 1, From: statusQueued, To: statusRemoved, VersionNumber: 2, QueuedAtMs: r.Now,
		}}})
	default:
		r.must(&v1.UpdateExecution{Thing: "t", JobId: "job-1", Status: status})
	}
	if got := r.describe("t", 1).Status; got != status {
		t.Fatalf("it is %v, not %v", got, status)
	}
	r.Now += 10
	return r
}

func code(err error) v1.RefusalCode {
	var refusal *v1.Refusal
	if err == nil {
		return ok
	}
	if !errors.As(err, &refusal) {
		return v1.RefusalCode_REFUSAL_CODE_INTERNAL
	}
	return refusal.Code
}

var everyStatus = []v1.ExecutionStatus{
	statusQueued, statusInProgress, statusSucceeded, statusFailed, statusRejected, statusTimedOut, statusCanceled, statusRemoved,
}

// Specification §4.2, row by row and column by column.
func TestADeviceMovesAnExecutionOnlyAlongTheMatrix(t *testing.T) {
	for _, from := range everyStatus {
		for _, to := range everyStatus {
			t.Run(statusName(from)+" to "+statusName(to), func(t *testing.T) {
				r := put(t, from)
				before := r.describe("t", 1)
				err := r.update("t", 1, to)
				want := ok
				switch {
				case to == statusCanceled || to == statusTimedOut || to == statusRemoved:
					want = badRequest
				case to == statusQueued || from != statusQueued && from != statusInProgress:
					want = badTransition
				}
				if code(err) != want {
					t.Fatalf("got %v (%v), want %v", code(err), err, want)
				}
				after := r.describe("t", 1)
				if want != ok {
					if len(r.Fresh) != 0 || !proto.Equal(before, after) {
						t.Errorf("a refused update changed %v to %v", before, after)
					}
					return
				}
				if len(r.Fresh) != 1 || after.Status != to || after.VersionNumber != before.VersionNumber+1 || after.LastUpdatedAtMs != r.Now {
					t.Errorf("%v became %v with\n%s", before, after, coretest.Text(r.Fresh))
				}
				if started := after.StartedAtMs != 0; started != (from == statusInProgress || to == statusInProgress) {
					t.Errorf("started at %d", after.StartedAtMs)
				}
				if c := r.Fresh[0].GetReason().GetCode(); c != v1.ReasonCode_REASON_CODE_REPORTED {
					t.Errorf("reason %v", c)
				}
			})
		}
	}
}

// Specification §4.5.
func TestACancelEndsWhatIsQueuedAndByForceWhatIsInProgress(t *testing.T) {
	for _, from := range everyStatus {
		for _, force := range []bool{false, true} {
			t.Run(fmt.Sprint(statusName(from), " force ", force), func(t *testing.T) {
				r := put(t, from)
				before := r.describe("t", 1)
				_, err := r.Decide(&v1.CancelExecution{Thing: "t", JobId: "job-1", Force: force})
				want := badTransition
				if from == statusQueued || from == statusInProgress && force {
					want = ok
				}
				if code(err) != want {
					t.Fatalf("got %v, want %v", err, want)
				}
				after := r.describe("t", 1)
				if want != ok {
					if !proto.Equal(before, after) {
						t.Errorf("a refused cancel changed %v to %v", before, after)
					}
					return
				}
				if after.Status != statusCanceled || after.ForceCanceled != (from == statusInProgress) || after.VersionNumber != before.VersionNumber+1 {
					t.Errorf("got %v", after)
				}
				if _, err := r.Decide(&v1.CancelExecution{Thing: "t", JobId: "job-1", Force: force}); code(err) != badTransition || len(r.Fresh) != 0 {
					t.Errorf("a second cancel: %v", err)
				}
			})
		}
	}
}

// Specification §4.2 (CancelJob, end, thing deletion, timer), §4.5, §4.7.
func TestWhatTheServiceEndsAndWhatItLeaves(t *testing.T) {
	for _, from := range everyStatus {
		pending := from == statusQueued || from == statusInProgress
		for _, c := range []struct {
			name string
			do   func(r run)
			want v1.ExecutionStatus
			code v1.ReasonCode
		}{
			{"stop", func(r run) { r.stop(1, false) }, map[bool]v1.ExecutionStatus{true: statusCanceled, false: from}[from == statusQueued], v1.ReasonCode_REASON_CODE_JOB_CANCELED},
			{"stop with force", func(r run) { r.stop(1, true) }, map[bool]v1.ExecutionStatus{true: statusCanceled, false: from}[pending], v1.ReasonCode_REASON_CODE_JOB_FORCE_CANCELED},
			{"end", func(r run) { r.stopAs(1, phaseEnded) }, from, 0},
			{"withdrawal", func(r run) { r.withdraw(1, "t") }, map[bool]v1.ExecutionStatus{true: statusRemoved, false: from}[from == statusQueued], v1.ReasonCode_REASON_CODE_LEFT_TARGETS},
			{"thing deletion", func(r run) { r.forget("t") }, map[bool]v1.ExecutionStatus{true: statusRemoved, false: from}[pending], v1.ReasonCode_REASON_CODE_THING_DELETED},
			{"timer", func(r run) { r.Now += 5 * minute }, map[bool]v1.ExecutionStatus{true: statusTimedOut, false: from}[from == statusInProgress], v1.ReasonCode_REASON_CODE_IN_PROGRESS_TIMEOUT},
		} {
			t.Run(statusName(from)+" "+c.name, func(t *testing.T) {
				r := put(t, from)
				before := r.describe("t", 1)
				r.Fresh = nil
				c.do(r)
				var change *v1.Entry
				entries := r.Fresh
				for _, e := range append(entries, r.Due()...) {
					if e.GetEvent().GetExecutionChanged() != nil {
						change = e
					}
				}
				after, _ := readEnded(r.State, "t", 1)
				if row := readThing(r.State, "t"); len(row.pending) > 0 {
					after = row.pending[0]
				}
				if after.status != c.want {
					t.Fatalf("got %v, want %v", after.status, c.want)
				}
				if c.want == from {
					if change != nil || after.version != before.VersionNumber || after.updatedAt != before.LastUpdatedAtMs {
						t.Errorf("it was left %+v, with %v", after, change)
					}
					return
				}
				if after.version != before.VersionNumber+1 || change.GetReason().GetCode() != c.code {
					t.Errorf("got %+v for %v", after, change)
				}
				if r.Due(); len(r.Fresh) != 0 {
					t.Errorf("it goes on: %s", coretest.Text(r.Fresh))
				}
			})
		}
	}
}

func TestADeletedThingLosesWhatIsPendingAndItsNumberIsGone(t *testing.T) {
	r := newRun(t)
	r.open(1, 0)
	r.open(2, 0)
	r.open(3, 0)
	r.release(1, "t", "u")
	r.release(2, "t")
	r.must(&v1.StartNext{Thing: "t"})
	r.forget("t")
	var kinds []string
	for _, e := range r.Fresh {
		if c := e.GetEvent().GetExecutionChanged(); c != nil {
			kinds = append(kinds, fmt.Sprint(c.Job, statusName(c.From), statusName(c.To)))
		} else {
			kinds = append(kinds, fmt.Sprintf("%T", e.GetEvent().GetEvent()))
		}
	}
	if got, want := fmt.Sprint(kinds), "[*droverv1.Event_ThingForgotten 1INPROGRESSREMOVED 2QUEUEDREMOVED]"; strings.ReplaceAll(got, "_", "") != strings.ReplaceAll(want, "_", "") {
		t.Errorf("got %s, want %s", got, want)
	}
	r.release(3, "t", "u")
	if got := r.Fresh[0].GetReason().GetCode(); got != v1.ReasonCode_REASON_CODE_THING_DELETED {
		t.Errorf("a late release: %s", coretest.Text(r.Fresh))
	}
	// The name is used again, by a thing with a higher number.
	r.react(&v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{
		Job: 1, Things: []*v1.ThingRef{{Name: "t", Number: number("t") + 5}},
	}}})
	if r.pending("t") != "|1" || r.pending("u") != "|1 3" {
		t.Errorf("t has %s, u has %s", r.pending("t"), r.pending("u"))
	}
	// The deletion of the old thing, heard of again, does not touch the new one.
	r.forget("t")
	if r.pending("t") != "|1" {
		t.Errorf("t has %s", r.pending("t"))
	}
}

func TestEveryReleasedThingEndsInExactlyOneFact(t *testing.T) {
	r := newRun(t)
	r.open(1, 0)
	r.open(2, 0)
	r.release(1, "t")
	r.release(9, "t")
	r.want("JOB_UNKNOWN")
	r.release(1, "t", "u", "u")
	r.want("ALREADY_QUEUED", "", "ALREADY_QUEUED")
	if err := r.update("t", 1, statusSucceeded); err != nil {
		t.Fatal(err)
	}
	r.release(1, "t")
	r.want("ALREADY_QUEUED")
	r.stop(2, false)
	r.release(2, "t", "u")
	r.want("JOB_STOPPED", "JOB_STOPPED")
	r.react(&v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{Job: 1, Home: 5, Things: []*v1.ThingRef{{Name: "x", Number: 1}}}}})
	r.want()
}

// want checks the last release: "" for queued, or why it was refused.
func (r run) want(reasons ...string) {
	r.T.Helper()
	var got []string
	for _, e := range r.Fresh {
		reason := strings.TrimPrefix(e.GetReason().GetCode().String(), "REASON_CODE_")
		if e.GetEvent().GetExecutionQueued() != nil && e.GetReason() == nil {
			reason = ""
		}
		got = append(got, reason)
	}
	if fmt.Sprint(got) != fmt.Sprint(reasons) {
		r.T.Errorf("got %v, want %v", got, reasons)
	}
}
