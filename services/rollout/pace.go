package rollout

import (
	"github.com/droverhq/drover/projections/kv"
)

// The pace of a job of r things a minute (specification §4.10 NOTE, U8; design §7).
//
// There is no bucket. Time since the rate began, which is when the first thing waited, the rate changed or the window
// opened, is divided into slots: slot n is due n·60/r seconds after, and lets one thing go. Three rules say how many may
// go now:
//
//  1. A thing takes a slot that is due, so none is early, and after m minutes without want r·m have gone.
//  2. A slot that went by more than a second ago is forfeited, so pace that was not used is not caught up. A careful job,
//     which waits for a current state, keeps the last one: else one that waits longer each time would release nothing.
//  3. In any 60 s at most r things go and in any second at most ⌈r/60⌉, r being the rate now. Slots that are all used
//     when they are due obey this of themselves; late ones, crowding those behind them, need it said, and so does a
//     rate that was lowered.
//
// An exponential rate is increased by the thing that fills its count: the next rate begins when that thing's slot was
// due, so that the table of the specification comes out exactly.
//
// Everything is computed from logged facts in whole milliseconds, so a restart or a new owner neither repeats nor skips.
const (
	second = 1_000 // ms
	minute = 60_000
)

// pace is a rate and how far it has come.
type pace struct {
	perMinute uint64 // 0 is no pace
	began     int64  // 0 is not yet
	slot      uint64 // up to which slots were used or forfeited
}

func (p *pace) read(f *kv.Fields) { p.perMinute, p.began, p.slot = f.Uint(), f.Int(), f.Uint() }

func (p *pace) append(r kv.Row) kv.Row { return r.Uint(p.perMinute).Int(p.began).Uint(p.slot) }

// begin begins it at a time.
func (p *pace) begin(at int64) { p.began, p.slot = at, 0 }

// restart begins the pace of a job anew that something has kept from releasing: what was not released is not caught up.
func (j *job) restart(at int64) {
	if j.pace.began != 0 {
		j.pace.begin(at)
	}
}

// change makes another rate begin at a time.
func (p *pace) change(perMinute uint64, from int64) {
	if perMinute == p.perMinute {
		return
	}
	p.perMinute = perMinute
	if p.began != 0 {
		p.begin(from)
	}
}

// perSecond is ⌈r/60⌉.
func (p *pace) perSecond() uint64 { return (p.perMinute + 59) / 60 }

// slotDue is when a slot is due; slots are counted from 1.
func (p *pace) slotDue(n uint64) int64 {
	whole, part := n/p.perMinute, n%p.perMinute
	return p.began + int64(whole*minute+(part*minute+p.perMinute-1)/p.perMinute)
}

// slotAt is the last slot that is due at a time; 0 is none.
func (p *pace) slotAt(at int64) uint64 {
	if at <= p.began {
		return 0
	}
	since := uint64(at - p.began)
	return since/minute*p.perMinute + since%minute*p.perMinute/minute
}

// forfeited is the slot up to which slots are used or have gone by.
func (j *job) forfeited(now int64) uint64 {
	p := &j.pace
	gone := p.slotAt(now - second - 1)
	if last := p.slotAt(now); j.careful && gone > 0 && gone == last {
		gone--
	}
	return max(p.slot, gone)
}

// allowed is how many things the pace lets go now.
func (j *job) allowed(r kv.Reader, number uint64, now int64) uint64 {
	p := &j.pace
	slots := p.slotAt(now)
	if gone := j.forfeited(now); slots > gone {
		slots -= gone
	} else {
		return 0
	}
	n := min(slots, j.rate.untilIncrease(j.queue[selected].released), j.room(r, number, now, second, p.perSecond()))
	if n == 0 {
		return 0
	}
	return min(n, j.room(r, number, now, minute, p.perMinute))
}

// room is how many things may go now, if in any window of that many ms at most so many may. More than ⌈r/60⌉ is never
// asked for, and not counted. What is forgotten went before any window.
func (j *job) room(r kv.Reader, number uint64, now, window int64, most uint64) uint64 {
	released := j.queue[selected].released
	outside := released - min(released, most) // so many things of those released went before the window
	known := false
	for a := range recent(r, number, outside+1) {
		if !known {
			known, outside = true, max(outside, a.until-a.things)
		}
		if a.at > now-window || outside >= released-min(released, most)+j.pace.perSecond() {
			break
		}
		outside = a.until
	}
	if !known {
		return most
	}
	return min(outside+most-released, most)
}

// nextRelease is the first time, not before from, at which allowed is more than none.
func (j *job) nextRelease(r kv.Reader, number uint64, from int64) int64 {
	p := &j.pace
	t := max(from, p.slotDue(p.slot+1))
	t = max(t, j.windowOpens(r, number, second, p.perSecond()))
	t = max(t, j.windowOpens(r, number, minute, p.perMinute))
	if last := p.slotAt(t); !j.careful && p.slotDue(last) < t-second {
		t = p.slotDue(last + 1) // the slots that were due until then are forfeited
	}
	return t
}

// windowOpens is when the next thing may go, if in any window of that many ms at most so many may.
func (j *job) windowOpens(r kv.Reader, number uint64, window int64, most uint64) int64 {
	released := j.queue[selected].released
	if released < most {
		return 0
	}
	first := released - most + 1
	for a := range recent(r, number, first) {
		if a.until-a.things >= first {
			return 0 // it is forgotten
		}
		return a.at + window
	}
	return 0
}

// past is a release that is remembered: when it was, how many things it had, how many had been released with it.
type past struct {
	at            int64
	things, until uint64
}

// recent goes through the latest releases in order, from the one of the n-th thing on.
func recent(r kv.Reader, number, n uint64) func(yield func(past) bool) {
	return func(yield func(past) bool) {
		for k, v := range r.Scan(recentKey(number, n), kv.PrefixEnd(kv.NewKey(tableRecent).Uint(number))) {
			until, _ := kv.CutUint(k[9:])
			fields := kv.NewFields(v)
			at, things := fields.Int(), fields.Uint()
			fields.Must("a release")
			if !yield(past{at, things, until}) {
				return
			}
		}
	}
}

// remember records a release, and forgets what no window reaches back to any more.
func (j *job) remember(tx kv.Tx, number uint64, at int64, things uint64) {
	released := j.queue[selected].released
	tx.Set(recentKey(number, released), kv.Row(nil).Int(at).Uint(things))
	if released <= j.pace.perMinute {
		return
	}
	forget(tx, recentKey(number, 0), recentKey(number, released-j.pace.perMinute+1))
}

// forget deletes the rows of a range.
func forget(tx kv.Tx, from, to []byte) {
	var old []kv.Key
	for k := range tx.Scan(from, to) {
		old = append(old, append(kv.Key(nil), k...))
	}
	for _, k := range old {
		tx.Delete(k)
	}
}
