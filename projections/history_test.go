package projections_test

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/eventstoretest"
	"github.com/droverhq/drover/eventstore/memory"
	"github.com/droverhq/drover/projections/tally"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// history writes logs as the services would, from a seed: things come, join, leave and go; jobs are created, selected,
// released, run and canceled, several at a time; every commit cites what its writer had read.
type history struct {
	t        testing.TB
	rng      *rand.Rand
	homes    uint32
	logs     []*eventstore.Log
	backends map[id.Log]*memory.Backend
	writers  map[id.Log]*eventstoretest.Writer
	cited    map[id.Log]map[id.Log]uint64 // the last cursor of a writer on another log
	things   []*v1.ThingRef
	created  int
	jobs     int
	running  []func() (struct{}, bool)
}

func newHistory(t testing.TB, seed uint64, homes uint32) *history {
	h := &history{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), homes: homes, backends: map[id.Log]*memory.Backend{},
		writers: map[id.Log]*eventstoretest.Writer{}, cited: map[id.Log]map[id.Log]uint64{},
	}
	for _, name := range id.Logs(homes) {
		h.backends[name] = memory.New()
		log := eventstore.New(name, h.backends[name])
		h.logs = append(h.logs, log)
		h.writers[name] = eventstoretest.NewWriter(t, log)
		h.cited[name] = map[id.Log]uint64{}
	}
	return h
}

// grow does that many random things.
func (h *history) grow(steps int) {
	for range steps {
		switch n := h.rng.IntN(10); {
		case n == 0 || len(h.things) < 5:
			h.createThings(1 + h.rng.IntN(20))
		case n == 1:
			h.deleteThing(h.rng.IntN(len(h.things)))
		case n == 2 || len(h.running) == 0:
			next, _ := iter.Pull(h.job())
			h.running = append(h.running, next)
		default:
			i := h.rng.IntN(len(h.running))
			if _, more := h.running[i](); !more {
				h.running = append(h.running[:i], h.running[i+1:]...)
			}
		}
	}
}

// finish runs every job to its end.
func (h *history) finish() {
	for _, next := range h.running {
		for _, more := next(); more; _, more = next() {
		}
	}
	h.running = nil
}

// commit appends events to a log, with cursors on what others have written since that log last said so.
func (h *history) commit(log id.Log, events ...*v1.Event) {
	h.t.Helper()
	c := &v1.Commit{}
	for _, other := range h.logs {
		head := h.writers[other.Name()].Head
		if other.Name() != log && h.reads(log, other.Name()) && head.Number > h.cited[log][other.Name()] {
			h.cited[log][other.Name()] = head.Number
			c.Cursors = append(c.Cursors, &v1.Cursor{
				Service: other.Name().Service, Home: uint32(other.Name().Home), Number: head.Number, Hash: head.Hash.Prefix(),
			})
		}
	}
	for _, e := range events {
		c.Entries = append(c.Entries, eventstoretest.Entry(e))
	}
	if log.Service == v1.Service_SERVICE_EXECUTION {
		c.Tallies = tally.Of(c.Entries)
	}
	h.writers[log].Append(c)
}

func (h *history) reads(log, other id.Log) bool {
	switch log.Service {
	case v1.Service_SERVICE_JOB, v1.Service_SERVICE_EXECUTION:
		return other == id.RolloutLog
	case v1.Service_SERVICE_TARGETING:
		return other == id.JobLog
	}
	return true
}

// next is the number of the event at an index of the log's next commit.
func (h *history) next(log id.Log, entry int) uint64 {
	return id.Number(h.writers[log].Head.Number+1, entry)
}

func (h *history) createThings(n int) {
	var events []*v1.Event
	for i := range n {
		h.created++
		thing := &v1.ThingRef{Name: fmt.Sprintf("thing-%d", h.created%300), Number: h.next(id.TargetingLog, i)}
		for _, other := range h.things {
			if other.Name == thing.Name {
				thing.Name = fmt.Sprintf("thing-%d", h.created+1000)
			}
		}
		h.things = append(h.things, thing)
		events = append(events, event(&v1.ThingCreated{Thing: thing, ThingType: "pump"}))
	}
	group := fmt.Sprintf("group-%d", h.rng.IntN(4))
	joined := events
	for _, t := range h.things[len(h.things)-n:] {
		joined = append(joined, event(&v1.ThingJoined{Group: group, Thing: t}))
	}
	h.commit(id.TargetingLog, joined...)
}

func (h *history) deleteThing(i int) {
	h.commit(id.TargetingLog, event(&v1.ThingDeleted{Thing: h.things[i]}))
	h.things = append(h.things[:i:i], h.things[i+1:]...)
}

// job is the life of one job, a commit at a time.
func (h *history) job() iter.Seq[struct{}] {
	return func(yield func(struct{}) bool) {
		tell := func(log id.Log, events ...*v1.Event) bool {
			h.commit(log, events...)
			return yield(struct{}{})
		}
		h.jobs++
		job := h.next(id.JobLog, 0)
		things := append([]*v1.ThingRef(nil), h.things...)
		canceled := h.rng.IntN(3) == 0
		jobID := fmt.Sprintf("job-%d", h.jobs)
		_ = tell(id.JobLog, event(&v1.JobCreated{Job: job, JobId: jobID, Document: []byte(`{"v":1}`), Targets: []*v1.Target{{Target: &v1.Target_Group{Group: "group-1"}}}}),
			event(&v1.JobStarted{Job: job})) &&
			tell(id.TargetingLog, event(&v1.SelectionStarted{Job: job})) &&
			tell(id.TargetingLog, event(&v1.ThingsSelected{Job: job, Things: things}), event(&v1.SelectionFinished{Job: job, Things: uint64(len(things))})) &&
			tell(id.RolloutLog, event(&v1.JobOpened{Job: job, JobId: jobID}), event(&v1.ThingsWaiting{Job: job, Things: things}), event(&v1.WaitingComplete{Job: job})) &&
			h.release(job, things, tell) &&
			(!canceled || tell(id.JobLog, event(&v1.JobCancelStarted{Job: job, ReasonCode: "BAD"}))) &&
			(!canceled || tell(id.RolloutLog, event(&v1.JobStopped{Job: job}), event(&v1.JobDrained{Job: job}))) &&
			(!canceled || tell(id.JobLog, event(&v1.JobCanceled{Job: job}))) &&
			(canceled || tell(id.JobLog, event(&v1.JobCompleted{Job: job})))
	}
}

// release hands things to their homes, in two halves, and runs them there.
func (h *history) release(job uint64, things []*v1.ThingRef, tell func(id.Log, ...*v1.Event) bool) bool {
	for half, some := range [][]*v1.ThingRef{things[:len(things)/2], things[len(things)/2:]} {
		at := map[id.Home][]*v1.ThingRef{}
		for _, t := range some {
			home := id.HomeOf(t.Name, h.homes)
			at[home] = append(at[home], t)
		}
		for home := range id.Home(h.homes) {
			if len(at[home]) > 0 && !tell(id.RolloutLog, event(&v1.ExecutionsReleased{Job: job, Home: uint32(home), Things: at[home]})) {
				return false
			}
		}
		for home := range id.Home(h.homes) {
			if len(at[home]) > 0 && !h.execute(job, uint64(half), home, at[home], tell) {
				return false
			}
		}
	}
	return true
}

func (h *history) execute(job, half uint64, home id.Home, things []*v1.ThingRef, tell func(id.Log, ...*v1.Event) bool) bool {
	log := id.ExecutionLog(home)
	var queued, started, ended []*v1.Event
	at := h.writers[log].AtMs
	for _, t := range things {
		queued = append(queued, event(&v1.ExecutionQueued{Job: job, Thing: t, ExecutionNumber: half + 1}))
		started = append(started, event(&v1.ExecutionChanged{
			Job: job, Thing: t.Name, ExecutionNumber: half + 1, From: queuedStatus, To: inProgress, VersionNumber: 2,
			QueuedAtMs: at, StartedAtMs: at + 1, StepDeadlineMs: at + 1000, StatusDetails: []*v1.Detail{{Name: "step", Value: "1"}},
		}))
		to := succeeded
		if h.rng.IntN(10) == 0 {
			to = failed
		}
		ended = append(ended, event(&v1.ExecutionChanged{
			Job: job, Thing: t.Name, ExecutionNumber: half + 1, From: inProgress, To: to, VersionNumber: 3, QueuedAtMs: at, StartedAtMs: at + 1,
		}))
	}
	return tell(log, queued...) && tell(log, started...) && tell(log, ended...)
}

const (
	queuedStatus = v1.ExecutionStatus_EXECUTION_STATUS_QUEUED
	inProgress   = v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS
	succeeded    = v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED
	failed       = v1.ExecutionStatus_EXECUTION_STATUS_FAILED
)

// event wraps a fact.
func event(fact any) *v1.Event {
	switch f := fact.(type) {
	case *v1.JobCreated:
		return &v1.Event{Event: &v1.Event_JobCreated{JobCreated: f}}
	case *v1.JobStarted:
		return &v1.Event{Event: &v1.Event_JobStarted{JobStarted: f}}
	case *v1.JobCancelStarted:
		return &v1.Event{Event: &v1.Event_JobCancelStarted{JobCancelStarted: f}}
	case *v1.JobCanceled:
		return &v1.Event{Event: &v1.Event_JobCanceled{JobCanceled: f}}
	case *v1.JobCompleted:
		return &v1.Event{Event: &v1.Event_JobCompleted{JobCompleted: f}}
	case *v1.ThingCreated:
		return &v1.Event{Event: &v1.Event_ThingCreated{ThingCreated: f}}
	case *v1.ThingDeleted:
		return &v1.Event{Event: &v1.Event_ThingDeleted{ThingDeleted: f}}
	case *v1.ThingJoined:
		return &v1.Event{Event: &v1.Event_ThingJoined{ThingJoined: f}}
	case *v1.SelectionStarted:
		return &v1.Event{Event: &v1.Event_SelectionStarted{SelectionStarted: f}}
	case *v1.ThingsSelected:
		return &v1.Event{Event: &v1.Event_ThingsSelected{ThingsSelected: f}}
	case *v1.SelectionFinished:
		return &v1.Event{Event: &v1.Event_SelectionFinished{SelectionFinished: f}}
	case *v1.JobOpened:
		return &v1.Event{Event: &v1.Event_JobOpened{JobOpened: f}}
	case *v1.ThingsWaiting:
		return &v1.Event{Event: &v1.Event_ThingsWaiting{ThingsWaiting: f}}
	case *v1.WaitingComplete:
		return &v1.Event{Event: &v1.Event_WaitingComplete{WaitingComplete: f}}
	case *v1.ExecutionsReleased:
		return &v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: f}}
	case *v1.JobStopped:
		return &v1.Event{Event: &v1.Event_JobStopped{JobStopped: f}}
	case *v1.JobDrained:
		return &v1.Event{Event: &v1.Event_JobDrained{JobDrained: f}}
	case *v1.ExecutionQueued:
		return &v1.Event{Event: &v1.Event_ExecutionQueued{ExecutionQueued: f}}
	case *v1.ExecutionChanged:
		return &v1.Event{Event: &v1.Event_ExecutionChanged{ExecutionChanged: f}}
	}
	panic(fmt.Sprintf("the history does not write %T", fact))
}
