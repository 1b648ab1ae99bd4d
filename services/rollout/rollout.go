// Package rollout is the rules of how a job reaches its things: what waits, what is released and when, when a job is
// aborted, and when nothing is left to do. (specification §4.7, §4.10 to §4.12, design §7)
//
// It promises that every selected thing is released once or dropped, and says why; that nothing is released in or after
// the commit that holds JobStopped, nor while a window is closed; that a pace is kept exactly (pace.go, rate.go); that no
// release follows an abort that it could have known of (abort.go); that no more jobs are at work than may be (concurrent.go); and that JobClosed and JobDrained are written when, by
// what the homes have said, they are true. It is the only join: what homes need to know of a job they learn from this
// log, in the order in which it stands here.
//
// It leaves to targeting what a job selects, to execution what becomes of a released thing, to job what a job is called
// and what status it has, and when windows open.
package rollout

import (
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// Core is the rules.
type Core struct {
	homes  uint32
	limits Limits
}

// New makes the core of a system of that many homes. The limits bind decisions alone: other limits fold the same log into
// the same state.
func New(homes uint32, limits Limits) core.Core {
	if homes == 0 || limits.ConcurrentMax == 0 {
		panic("rollout: a system has at least one home, and lets at least one job be at work")
	}
	return &Core{homes: homes, limits: limits}
}

// Decide implements core.Core: rollout has no commands yet.
func (c *Core) Decide(_ *core.Step, cmd proto.Message) (proto.Message, error) {
	return nil, core.Unknown("rollout", cmd)
}

// Answer implements core.Core: *v1.GetHolding.
func (c *Core) Answer(v core.View, query proto.Message) (proto.Message, error) {
	if q, ok := query.(*v1.GetHolding); ok {
		return c.holding(v, q)
	}
	return nil, core.Unknown("rollout", query)
}

// Notify implements core.Core: devices are told by execution.
func (c *Core) Notify(kv.Reader, int64, []core.Placed) []*v1.Notification { return nil }

// StateVersion implements core.Core.
func (*Core) StateVersion() int { return stateVersion }

// React implements core.Core: it takes in log.job and log.targeting. A job's selection is always read after its
// creation, because log.targeting's commits name the commit of log.job that they follow from. What is said of a job that
// was deleted since means nothing.
func (c *Core) React(s *core.Step, _ *v1.Position, atMs int64, entry *v1.Entry) {
	reason := entry.GetReason()
	switch e := entry.GetEvent().GetEvent().(type) {
	case *v1.Event_JobCreated:
		c.open(s, e.JobCreated, atMs)
	case *v1.Event_JobUpdated:
		c.update(s, e.JobUpdated, reason)
	case *v1.Event_JobWindowOpened:
		c.window(s, e.JobWindowOpened.GetJob(), true, e.JobWindowOpened.GetClosesAtMs(), reason)
	case *v1.Event_JobWindowClosed:
		c.window(s, e.JobWindowClosed.GetJob(), false, e.JobWindowClosed.GetOpensAtMs(), reason)
	case *v1.Event_JobCancelStarted:
		c.cancel(s, e.JobCancelStarted)
	case *v1.Event_JobEndReached:
		c.end(s, e.JobEndReached, reason)
	case *v1.Event_JobDeletionStarted:
		c.erase(s, e.JobDeletionStarted.GetJob())
	case *v1.Event_ThingsSelected:
		c.wait(s, e.ThingsSelected, reason)
	case *v1.Event_ThingsDeselected:
		c.withdraw(s, e.ThingsDeselected, reason)
	case *v1.Event_SelectionFinished:
		if f := e.SelectionFinished; readJob(s, f.GetJob()).opened {
			s.Emit(&v1.Event{Event: &v1.Event_WaitingComplete{WaitingComplete: &v1.WaitingComplete{Job: f.GetJob(), Things: f.GetThings()}}}, nil)
			c.finish(s, f.GetJob())
		}
	case *v1.Event_ThingDeleted:
		ref := e.ThingDeleted.GetThing()
		s.Emit(&v1.Event{Event: &v1.Event_ThingRemoved{ThingRemoved: &v1.ThingRemoved{
			Thing: ref, Home: uint32(id.HomeOf(ref.GetName(), c.homes)),
		}}}, core.Reason(v1.ReasonCode_REASON_CODE_THING_DELETED))
	}
}

func (c *Core) open(s *core.Step, e *v1.JobCreated, atMs int64) {
	schedule := e.GetScheduling()
	begins := schedule.GetStartAtMs()
	if len(schedule.GetWindows()) > 0 {
		begins = schedule.GetFirstWindowMs()
	}
	c.engage(s, e.GetJob(), &v1.Event{Event: &v1.Event_JobOpened{JobOpened: &v1.JobOpened{
		Job: e.GetJob(), JobId: e.GetJobId(), Document: e.GetDocument(), Rollout: e.GetRollout(), Timeout: e.GetTimeout(),
		TargetSelection: e.GetTargetSelection(), CreatedAtMs: atMs, Abort: e.GetAbort(), Retry: e.GetRetry(),
		Scheduled: schedule != nil, Windowed: len(schedule.GetWindows()) > 0,
		PresignedUrl: e.GetPresignedUrl(), NamespaceId: e.GetNamespaceId(), BeginsAtMs: begins,
	}}}, nil)
}

// update repeats what homes and this core need of an update. New criteria may be met already.
func (c *Core) update(s *core.Step, e *v1.JobUpdated, reason *v1.Reason) {
	if !readJob(s, e.GetJob()).opened {
		return
	}
	if e.Rollout == nil && e.Abort == nil && e.Timeout == nil && e.Retry == nil && e.PresignedUrl == nil {
		return // of interest to log.job alone
	}
	if reason.GetCode() == 0 {
		reason = core.Reason(v1.ReasonCode_REASON_CODE_JOB_UPDATED)
	}
	s.Emit(&v1.Event{Event: &v1.Event_JobChanged{JobChanged: &v1.JobChanged{
		Job: e.GetJob(), Rollout: e.Rollout, Abort: e.Abort, Timeout: e.Timeout, Retry: e.Retry, PresignedUrl: e.PresignedUrl,
	}}}, reason)
	c.abort(s, e.GetJob())
}

// window opens or closes a job's window; until is when it turns again.
func (c *Core) window(s *core.Step, number uint64, opens bool, until int64, reason *v1.Reason) {
	if j := readJob(s, number); !j.opened || !j.windowed {
		return
	}
	if opens {
		c.engage(s, number, &v1.Event{Event: &v1.Event_WindowOpened{WindowOpened: &v1.WindowOpened{Job: number, ClosesAtMs: until}}}, reason)
		return
	}
	s.Emit(&v1.Event{Event: &v1.Event_WindowClosed{WindowClosed: &v1.WindowClosed{Job: number, OpensAtMs: until}}}, reason)
	if j := readJob(s, number); j.stop == v1.JobPhase_JOB_PHASE_ENDED && j.stranded() {
		c.stop(s, number, v1.JobPhase_JOB_PHASE_STOPPED, true, core.Reason(v1.ReasonCode_REASON_CODE_NO_WINDOW_FOLLOWS))
	}
}

// wait lets selected things wait, in the queue that is theirs.
func (c *Core) wait(s *core.Step, e *v1.ThingsSelected, reason *v1.Reason) {
	j := readJob(s, e.GetJob())
	switch {
	case len(e.GetThings()) == 0 || !j.opened:
	case e.GetJoined():
		c.engage(s, e.GetJob(), &v1.Event{Event: &v1.Event_ThingsJoined{ThingsJoined: &v1.ThingsJoined{
			Job: e.GetJob(), Chunk: j.queue[joined].chunks, Things: e.GetThings(),
		}}}, reason)
	default:
		c.engage(s, e.GetJob(), &v1.Event{Event: &v1.Event_ThingsWaiting{ThingsWaiting: &v1.ThingsWaiting{
			Job: e.GetJob(), Chunk: j.queue[selected].chunks, Things: e.GetThings(),
		}}}, reason)
	}
}
