// Package rollout is the rules of how a job reaches its things: what waits, what is released and when, and when nothing
// is left to do. (specification §4.10, design §7)
//
// It promises that every selected thing is released once or dropped, and says why; that nothing is released in or after
// the commit that holds JobStopped; that a pace is kept exactly (pace.go); and that JobClosed and JobDrained are written
// when, by what the homes have said, they are true. It is the only join: what homes need to know of a job they learn
// from this log, in the order in which it stands here.
//
// It leaves to targeting what a job selects, to execution what becomes of a released thing, to job what a job is called
// and what status it has.
package rollout

import (
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// Core is the rules.
type Core struct{ homes uint32 }

// New makes the core of a system of that many homes.
func New(homes uint32) core.Core {
	if homes == 0 {
		panic("rollout: a system has at least one home")
	}
	return &Core{homes: homes}
}

// Decide implements core.Core: rollout has no commands yet.
func (c *Core) Decide(_ *core.Step, cmd proto.Message) (proto.Message, error) {
	return nil, core.Unknown("rollout", cmd)
}

// Answer implements core.Core: rollout has no queries yet.
func (c *Core) Answer(_ core.View, query proto.Message) (proto.Message, error) {
	return nil, core.Unknown("rollout", query)
}

// Notify implements core.Core: devices are told by execution.
func (c *Core) Notify(kv.Reader, int64, []core.Placed) []*v1.Notification { return nil }

// React implements core.Core: it takes in log.job and log.targeting. A job's selection is always read after its
// creation, because log.targeting's commits name the commit of log.job that they follow from.
func (c *Core) React(s *core.Step, _ *v1.Position, atMs int64, entry *v1.Entry) {
	switch e := entry.GetEvent().GetEvent().(type) {
	case *v1.Event_JobCreated:
		open(s, e.JobCreated, atMs)
	case *v1.Event_JobCancelStarted:
		c.stop(s, e.JobCancelStarted)
	case *v1.Event_ThingsSelected:
		wait(s, e.ThingsSelected)
	case *v1.Event_SelectionFinished:
		f := e.SelectionFinished
		s.Emit(&v1.Event{Event: &v1.Event_WaitingComplete{WaitingComplete: &v1.WaitingComplete{Job: f.GetJob(), Things: f.GetThings()}}}, nil)
		c.finish(s, f.GetJob())
	case *v1.Event_ThingDeleted:
		ref := e.ThingDeleted.GetThing()
		s.Emit(&v1.Event{Event: &v1.Event_ThingRemoved{ThingRemoved: &v1.ThingRemoved{
			Thing: ref, Home: uint32(id.HomeOf(ref.GetName(), c.homes)),
		}}}, core.Reason(v1.ReasonCode_REASON_CODE_THING_DELETED))
	}
}

// Due implements core.Core: drops what stopped jobs hold, releases what the pace allows, the longest unserved job
// first, and writes the ends that one call of Observe had no room for.
func (c *Core) Due(s *core.Step) int64 {
	for !s.Full() {
		job, ok := nextInLine(s)
		if !ok {
			return c.releasePaced(s)
		}
		before := s.Place()
		c.serve(s, job)
		if s.Place() == before {
			return s.Now // no room is left for what this job's next slice needs
		}
	}
	return s.Now
}

// serve does one slice of a job that stands in line.
func (c *Core) serve(s *core.Step, number uint64) {
	j := readJob(s, number)
	switch {
	case j.stop != 0 && j.waiting() > 0:
		drop(s, number, &j)
	case j.stop == 0 && j.waiting() > 0 && j.perMinute == 0:
		c.release(s, number, &j, j.waiting(), 0)
	}
	c.finish(s, number)
}

func open(s *core.Step, e *v1.JobCreated, atMs int64) {
	s.Emit(&v1.Event{Event: &v1.Event_JobOpened{JobOpened: &v1.JobOpened{
		Job: e.GetJob(), JobId: e.GetJobId(), Document: e.GetDocument(), Rollout: e.GetRollout(), Timeout: e.GetTimeout(),
		TargetSelection: e.GetTargetSelection(), CreatedAtMs: atMs,
	}}}, nil)
}

func wait(s *core.Step, e *v1.ThingsSelected) {
	if len(e.GetThings()) == 0 {
		return
	}
	j := readJob(s, e.GetJob())
	s.Emit(&v1.Event{Event: &v1.Event_ThingsWaiting{ThingsWaiting: &v1.ThingsWaiting{
		Job: e.GetJob(), Chunk: j.chunks, Things: e.GetThings(),
	}}}, nil)
}
