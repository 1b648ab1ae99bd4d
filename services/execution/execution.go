// Package execution is the rules of a thing's queue: what is offered to a device, what it may report, when its time is
// up, when it is to try again. (specification §3.3, §3.5 to §3.7, §4.2 to §4.9, §4.12)
//
// One core owns the queues of one home. It promises that an execution moves only along the matrix of specification
// §4.2, one version at a time, and never once it has ended; that every released thing gets exactly one ExecutionQueued
// or one ReleaseRefused, and every retry another one, with the next number of its job on that thing; that nothing is timed
// out early; and that a stop, a window and a deletion hold from the commit that holds their StopLearned, WindowLearned or
// ErasureLearned: whoever asks about a thing afterwards is answered as if they were carried out, although the slices that
// do it may take longer.
//
// While a job's window is closed, devices do not find what is queued of it: not in lists, not as head, not by job id. What
// is in progress they do.
//
// It reads log.rollout and nothing else. It leaves to rollout which thing may have which job, and when; to the host
// what is said to whom after a commit; to the device front JSON, timestamps in seconds and document placeholders.
//
// This is the hot path. A report reads two rows, the thing's and the list of stops under way, and writes one.
package execution

import (
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// Core is the rules for one home.
type Core struct{ home uint32 }

// New makes the core of one home of that many.
func New(home, homes uint32) core.Core {
	if home >= homes {
		panic("execution: there is no such home")
	}
	return &Core{home: home}
}

// Decide implements core.Core.
func (c *Core) Decide(s *core.Step, cmd proto.Message) (proto.Message, error) {
	switch cmd := cmd.(type) {
	case *v1.UpdateExecution:
		return report(s, cmd)
	case *v1.StartNext:
		return startNext(s, cmd)
	case *v1.CancelExecution:
		return cancel(s, cmd)
	case *v1.DeleteExecution:
		return deleteExecution(s, cmd)
	}
	return nil, core.Unknown("execution", cmd)
}

// React implements core.Core: it takes in log.rollout.
func (c *Core) React(s *core.Step, _ *v1.Position, _ int64, entry *v1.Entry) {
	switch e := entry.GetEvent().GetEvent().(type) {
	case *v1.Event_JobOpened:
		learn(s, e.JobOpened)
	case *v1.Event_JobChanged:
		learnChange(s, e.JobChanged)
	case *v1.Event_WindowOpened:
		learnWindow(s, e.WindowOpened.GetJob(), true, e.WindowOpened.GetClosesAtMs(), entry.GetReason())
	case *v1.Event_WindowClosed:
		learnWindow(s, e.WindowClosed.GetJob(), false, e.WindowClosed.GetOpensAtMs(), entry.GetReason())
	case *v1.Event_ExecutionsReleased:
		if e.ExecutionsReleased.GetHome() == c.home {
			queue(s, e.ExecutionsReleased)
		}
	case *v1.Event_ThingsWithdrawn:
		if e.ThingsWithdrawn.GetHome() == c.home {
			withdraw(s, e.ThingsWithdrawn)
		}
	case *v1.Event_JobStopped:
		learnStop(s, e.JobStopped, entry.GetReason())
	case *v1.Event_JobErased:
		learnErasure(s, e.JobErased.GetJob(), entry.GetReason())
	case *v1.Event_JobClosed:
		s.Emit(settledEvent(e.JobClosed.GetJob(), phaseClosed), nil)
	case *v1.Event_ThingRemoved:
		if e.ThingRemoved.GetHome() == c.home {
			remove(s, e.ThingRemoved.GetThing())
		}
	}
}

func learn(s *core.Step, o *v1.JobOpened) {
	s.Emit(&v1.Event{Event: &v1.Event_JobLearned{JobLearned: &v1.JobLearned{
		Job: o.GetJob(), JobId: o.GetJobId(), Document: o.GetDocument(), Timeout: o.GetTimeout(), Retry: o.GetRetry(),
		Scheduled: o.GetScheduled(), Windowed: o.GetWindowed(), PresignedUrl: o.GetPresignedUrl(),
	}}}, nil)
}

// learnChange keeps what concerns executions; of pace and abort criteria a home knows nothing.
func learnChange(s *core.Step, c *v1.JobChanged) {
	if c.GetTimeout() == nil && c.GetRetry() == nil && c.GetPresignedUrl() == nil {
		return
	}
	s.Emit(&v1.Event{Event: &v1.Event_JobChangeLearned{JobChangeLearned: &v1.JobChangeLearned{
		Job: c.GetJob(), Timeout: c.GetTimeout(), Retry: c.GetRetry(), PresignedUrl: c.GetPresignedUrl(),
	}}}, core.Reason(v1.ReasonCode_REASON_CODE_JOB_UPDATED))
}

// Observe implements core.Core: tallies are rollout's business.
func (c *Core) Observe(*core.Step, []*v1.HomeTally) {}

// Due implements core.Core: timers first, then a slice of what things, stops and windows leave to be done.
func (c *Core) Due(s *core.Step) int64 {
	next := timeOut(s)
	if endLeft(s) {
		return s.Now
	}
	next = min(next, carryOutStops(s))
	if next > s.Now && carryOutWindows(s) {
		return s.Now
	}
	return next
}

// Answer implements core.Core.
func (c *Core) Answer(v core.View, query proto.Message) (proto.Message, error) {
	switch q := query.(type) {
	case *v1.GetPending:
		return getPending(v, q)
	case *v1.DescribeExecution:
		return describe(v, q)
	case *v1.GetThingHolding:
		return getHolding(v, q)
	}
	return nil, core.Unknown("execution", query)
}

// Evolve implements core.Core.
func (c *Core) Evolve(tx kv.Tx, at core.Place, event *v1.Event) { evolve(tx, at, event) }

// Notify implements core.Core.
func (c *Core) Notify(state kv.Reader, nowMs int64, entries []core.Placed) []*v1.Notification {
	return notify(state, nowMs, entries)
}

// StateVersion implements core.Core.
func (*Core) StateVersion() int { return stateVersion }

// thingName checks the name of the thing that a request is about.
func thingName(s string) (string, error) {
	t, err := id.ParseThing(s)
	if err != nil {
		return "", v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "thingName", "%v", err)
	}
	return string(t), nil
}
