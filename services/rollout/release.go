package rollout

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

const (
	// releaseMax is how many things one release holds, so that a home's reaction to it stays within a step.
	releaseMax = 1000
	namesMax   = 32 << 10
	// About what an event and a thing in it take beside names.
	eventBytes = 64
	thingBytes = 16
)

// releasePaced releases what is due of paced jobs, the longest due first, and returns when to look again.
func (c *Core) releasePaced(s *core.Step) (next int64) {
	due, next := dueJobs(s, s.Now)
	for _, number := range due {
		if s.Full() {
			return s.Now
		}
		next = min(next, c.releasePace(s, number))
	}
	return next
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
	if n := min(j.allowed(s, number, s.Now), j.waiting()); n > 0 {
		c.release(s, number, &j, n, j.forfeited(s.Now))
		j = readJob(s, number)
	}
	if j.waiting() == 0 {
		return core.Never
	}
	return j.nextRelease(s, number, s.Now)
}

// release lets the first waiting things go, at most so many and as many as fit: one event for each home that has some,
// all saying how far the waiting things and, from slot on, the slots of the pace are used up.
func (c *Core) release(s *core.Step, number uint64, j *job, most, slot uint64) {
	b := c.take(s, number, j, most)
	if j.perMinute > 0 {
		slot += b.taken
	}
	before := int64(j.released)
	for home, things := range b.byHome {
		if len(things) == 0 {
			continue
		}
		reason := core.Reason(v1.ReasonCode_REASON_CODE_UNPACED)
		if j.perMinute > 0 {
			reason = core.Reason(v1.ReasonCode_REASON_CODE_PACE, int64(j.perMinute), before)
		}
		s.Emit(&v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{
			Job: number, Home: uint32(home), Things: things,
			UntilChunk: b.untilChunk, UntilOffset: uint32(b.untilOffset), UntilSlot: slot,
		}}}, reason)
		before += int64(len(things))
	}
}

// batch is things taken from the head, by home.
type batch struct {
	byHome                  [][]*v1.ThingRef
	taken                   uint64
	untilChunk, untilOffset uint64
}

// take takes the first waiting things. It takes none if the step holds something already and has no room for one more.
func (c *Core) take(s *core.Step, number uint64, j *job, most uint64) batch {
	b := batch{byHome: make([][]*v1.ThingRef, c.homes), untilChunk: j.headChunk, untilOffset: j.headOffset}
	bytes, names := s.Bytes(), 0
	most = min(most, releaseMax)
	for b.untilChunk < j.chunks {
		chunk := openChunk(s, number, b.untilChunk, b.untilOffset)
		for b.taken < most {
			ref := chunk.next()
			if ref == nil {
				break
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
		if b.taken == most {
			break
		}
	}
	return b
}
