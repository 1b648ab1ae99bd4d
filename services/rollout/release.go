package rollout

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

const (
	// releaseMax is how many things one release holds, so that a home's reaction to it stays within a step; it looks at
	// twice as many, for some may be withdrawn.
	releaseMax = 1000
	namesMax   = 32 << 10
	// About what an event and a thing in it take beside names.
	eventBytes = 64
	thingBytes = 16
)

// releasePaced releases what is due of paced jobs, the longest due first, and returns when to look again. A careful job
// waits for a current state; then needs is true.
func (c *Core) releasePaced(s *core.Step) (next int64, needs bool) {
	due, next := dueJobs(s, s.Now)
	for _, number := range due {
		j := readJob(s, number)
		if j.careful && (!s.Current || j.roomIn(s.Number) == 0) {
			needs = true
			continue
		}
		if s.Full() {
			return s.Now, needs
		}
		again := c.releasePace(s, number)
		if again <= s.Now && j.careful {
			needs = true
			continue
		}
		next = min(next, again)
	}
	return next, needs
}

// dueJobs lists the paced jobs that may have something due, and when the first of the others may.
func dueJobs(r kv.Reader, now int64) (due []uint64, next int64) {
	prefix := kv.NewKey(tableDue)
	for k := range r.Scan(prefix, kv.PrefixEnd(prefix)) {
		at, rest := kv.CutUint(k[1:])
		if int64(at) > now {
			return due, int64(at)
		}
		job, _ := kv.CutUint(rest)
		due = append(due, job)
	}
	return due, core.Never
}

// releasePace releases what a job's pace lets go now, and returns when it may let more go. A job that was woken too late
// for its slot is held back until the next one.
func (c *Core) releasePace(s *core.Step, number uint64) (next int64) {
	j := readJob(s, number)
	if n := min(j.allowed(s, number, s.Now), j.queue[selected].waiting(), j.roomIn(s.Number)); n > 0 {
		c.release(s, number, &j, selected, n)
		j = readJob(s, number)
	}
	if j.queue[selected].waiting() == 0 {
		return core.Never
	}
	return j.nextRelease(s, number, s.Now)
}

// releaseUnpaced releases a slice of what no pace binds: things that joined first, for they are few.
func (c *Core) releaseUnpaced(s *core.Step, number uint64) {
	for which := joined; which >= selected; which-- {
		j := readJob(s, number)
		n := min(j.queue[which].waiting(), j.roomIn(s.Number))
		if n > 0 && (which == joined || j.pace.perMinute == 0) && !s.Full() {
			c.release(s, number, &j, which, n)
		}
	}
}

// release lets the first things of a queue go, at most so many and as many as fit: one event for each home that has
// some, all saying how far the queue and, if it is paced, the slots of the pace are used up. Withdrawn things among them
// are dropped.
func (c *Core) release(s *core.Step, number uint64, j *job, which int, most uint64) {
	b := c.take(s, number, j, which, most)
	slot := uint64(0)
	if which == selected && j.pace.perMinute > 0 {
		slot = j.forfeited(s.Now) + b.taken
	}
	before := int64(j.released())
	for home, things := range b.byHome {
		if len(things) == 0 {
			continue
		}
		s.Emit(&v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{
			Job: number, Home: uint32(home), Things: things, Joined: which == joined,
			UntilChunk: b.untilChunk, UntilOffset: uint32(b.untilOffset), UntilSlot: slot,
		}}}, j.releaseReason(which, before))
		before += int64(len(things))
	}
	if b.withdrawn > 0 {
		s.Emit(&v1.Event{Event: &v1.Event_ThingsDropped{ThingsDropped: &v1.ThingsDropped{
			Job: number, Things: b.withdrawn, Joined: which == joined, UntilChunk: b.untilChunk, UntilOffset: uint32(b.untilOffset),
		}}}, core.Reason(v1.ReasonCode_REASON_CODE_LEFT_TARGETS))
	}
}

func (j *job) releaseReason(which int, before int64) *v1.Reason {
	switch {
	case which == joined:
		return core.Reason(v1.ReasonCode_REASON_CODE_JOINED)
	case j.pace.perMinute == 0:
		return core.Reason(v1.ReasonCode_REASON_CODE_UNPACED)
	case j.rate.base > 0:
		return core.Reason(v1.ReasonCode_REASON_CODE_EXPONENTIAL_PACE, int64(j.pace.perMinute), before, int64(j.rate.increases))
	}
	return core.Reason(v1.ReasonCode_REASON_CODE_PACE, int64(j.pace.perMinute), before)
}

// batch is things taken from the head of a queue, by home.
type batch struct {
	byHome                  [][]*v1.ThingRef
	taken, withdrawn        uint64
	untilChunk, untilOffset uint64
}

// take takes the first waiting things of a queue. It takes none if the step holds something already and has no room for
// one more.
func (c *Core) take(s *core.Step, number uint64, j *job, which int, most uint64) batch {
	q := &j.queue[which]
	b := batch{byHome: make([][]*v1.ThingRef, c.homes), untilChunk: q.headChunk, untilOffset: q.headOffset}
	bytes, names := s.Bytes(), 0
	most = min(most, releaseMax)
	for b.untilChunk < q.chunks {
		chunk := openChunk(s, number, which, b.untilChunk, b.untilOffset)
		for b.taken < most && b.taken+b.withdrawn < 2*releaseMax {
			ref := chunk.next()
			if ref == nil {
				break
			}
			if j.withdrawals > 0 && isWithdrawn(s, number, ref, chunk.Place) {
				b.withdrawn++
				b.untilOffset++
				continue
			}
			home := id.HomeOf(ref.GetName(), c.homes)
			bytes += len(ref.GetName()) + thingBytes
			names += len(ref.GetName())
			if len(b.byHome[home]) == 0 {
				bytes += eventBytes
			}
			if (bytes > core.BytesMax || names > namesMax) && (b.taken > 0 || s.Bytes() > 0) {
				return b
			}
			b.byHome[home] = append(b.byHome[home], ref)
			b.taken++
			b.untilOffset++
		}
		if b.untilOffset >= chunk.Len {
			b.untilChunk, b.untilOffset = b.untilChunk+1, 0
		}
		if b.taken == most || b.taken+b.withdrawn >= 2*releaseMax {
			break
		}
	}
	return b
}
