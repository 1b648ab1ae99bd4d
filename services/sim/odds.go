package sim

import (
	"math/rand/v2"

	"github.com/droverhq/drover/eventstore/memory"
)

// odds are how likely each thing is that may happen. Each run draws its own, and leaves some out altogether, so that runs
// differ in kind and not only in detail.
type odds struct {
	tickMs                           int64   // the longest tick
	crash, revert, second, stop      float64 // of an instance at each point; of its store; of the other one coming up
	refused, lost, late, full, away  float64 // of an append; of a log, for a while
	requestLost, requestTwice        float64
	answerLost                       float64
	read, step, tell, flush          float64 // how eager instances are
	pause, hang                      float64 // of an instance standing still, for seconds: between two things, and amid one
	leaseAway, leaseUnanswered       float64 // of a register, for a while; of one answer of it
	leaseWiped                       float64
	lies                             bool // a register that was lost is taken at once: two may believe that they hold it
	device, deviceFails, deviceStays float64
	deviceVersion, deviceListens     float64
	deviceSilent                     float64
}

func drawOdds(rng *rand.Rand) odds {
	some := func(most float64) float64 {
		if rng.IntN(3) == 0 {
			return 0
		}
		return rng.Float64() * most
	}
	between := func(least, most float64) float64 { return least + rng.Float64()*(most-least) }
	return odds{
		tickMs: 5 + rng.Int64N(600),
		crash:  some(0.02), revert: some(1), second: some(0.05), stop: some(0.01),
		refused: some(0.1), lost: some(0.1), late: some(0.1), full: some(0.01), away: some(0.002),
		pause: some(0.005), hang: some(0.005),
		leaseAway: some(0.002), leaseUnanswered: some(0.2), leaseWiped: some(0.001), lies: rng.IntN(8) == 0,
		requestLost: some(0.2), requestTwice: some(0.2), answerLost: some(0.3),
		read: between(0.2, 1), step: between(0.3, 1), tell: between(0.1, 1), flush: between(0, 0.1),
		device: between(0.02, 0.3), deviceFails: some(0.5), deviceStays: between(0, 3), deviceVersion: rng.Float64(), deviceListens: some(1), deviceSilent: some(0.1),
	}
}

// fault is what happens to one append.
func (w *world) fault(l *simLog, number uint64) memory.Fault {
	if w.calm {
		return memory.Fault{}
	}
	p := w.rng.Float64()
	f := memory.Fault{}
	switch {
	case w.now < l.awayTill:
		f.Kind = memory.Refused
	case p < w.odds.refused:
		f.Kind = memory.Refused
	case p < w.odds.refused+w.odds.lost:
		f.Kind = memory.Lost
	case p < w.odds.refused+w.odds.lost+w.odds.late:
		f.Kind, f.After = memory.Late, w.rng.IntN(40)
	default:
		return f
	}
	w.met("append or log in trouble")
	w.note("append %s@%d meets fault %d", l.name, number, f.Kind)
	return f
}

// trouble makes logs full, or takes them away, for a while: also for longer than an owner pursues an append.
func (w *world) trouble() {
	for _, l := range w.logs {
		if r := &l.register; w.now >= r.awayTill && w.chance(w.odds.leaseAway) {
			r.awayTill = w.now + w.rng.Int64N(10_000)
			w.note("the lease of %s is away", l.name)
		}
		if w.chance(w.odds.leaseWiped) {
			l.register = register{}
			w.note("the lease of %s is wiped out", l.name)
		}
		if w.now >= l.awayTill && w.chance(w.odds.away) {
			l.awayTill = w.now + w.rng.Int64N(60_000)
			w.note("%s is away", l.name)
		}
		switch {
		case l.fullTill == 0 && w.chance(w.odds.full):
			l.fullTill = w.ticks + 1 + w.rng.IntN(50)
			l.backend.SetLimit(1)
			w.met("append or log in trouble")
			w.note("%s is full", l.name)
		case l.fullTill != 0 && w.ticks >= l.fullTill:
			l.fullTill = 0
			l.backend.SetLimit(0)
		}
	}
}
