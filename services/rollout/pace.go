package rollout

import (
	"github.com/droverhq/drover/projections/kv"
)

// The pace of a job of r things a minute (specification §4.10 NOTE, U8; design §7).
//
// There is no bucket. Time since the rate began, which is when the first thing waited, is divided into slots: slot n is
// due n·60/r seconds after, and lets one thing go. Three rules say how many may go now:
//
//  1. A thing takes a slot that is due, so none is early, and after m minutes without want r·m have gone.
//  2. A slot that went by more than a second ago is forfeited, so pace that was not used is not caught up.
//  3. In any 60 s at most r things go and in any second at most ⌈r/60⌉. Slots that are all used when they are due obey
//     this of themselves; late ones, crowding those behind them, need it said.
//
// Everything is computed from logged facts in whole milliseconds, so a restart or a new owner neither repeats nor skips.
const (
	second = 1_000 // ms
	minute = 60_000
)

// perSecond is ⌈r/60⌉.
func (j *job) perSecond() uint64 { return (j.perMinute + 59) / 60 }

// slotDue is when a slot is due; slots are counted from 1.
func (j *job) slotDue(n uint64) int64 {
	whole, part := n/j.perMinute, n%j.perMinute
	return j.began + int64(whole*minute+(part*minute+j.perMinute-1)/j.perMinute)
}

// slotAt is the last slot that is due at a time; 0 is none.
func (j *job) slotAt(at int64) uint64 {
	if at <= j.began {
		return 0
	}
	since := uint64(at - j.began)
	return since/minute*j.perMinute + since%minute*j.perMinute/minute
}

// forfeited is the slot up to which slots are used or have gone by.
func (j *job) forfeited(now int64) uint64 { return max(j.slot, j.slotAt(now-second-1)) }

// allowed is how many things the pace lets go now.
func (j *job) allowed(r kv.Reader, number uint64, now int64) uint64 {
	slots := j.slotAt(now)
	if gone := j.forfeited(now); slots > gone {
		slots -= gone
	} else {
		return 0
	}
	n := min(slots, j.room(r, number, now, second, j.perSecond()))
	if n == 0 {
		return 0
	}
	return min(n, j.room(r, number, now, minute, j.perMinute))
}

// room is how many things may go now, if in any window of that many ms at most so many may. More than ⌈r/60⌉ is never
// asked for, and not counted.
func (j *job) room(r kv.Reader, number uint64, now, window int64, most uint64) uint64 {
	outside := uint64(0) // so many things of those released went before the window
	if j.released > most {
		outside = j.released - most
	}
	enough := outside + j.perSecond()
	for until, at := range recent(r, number, outside+1) {
		if at > now-window || outside >= enough {
			break
		}
		outside = until
	}
	return min(outside+most-j.released, most)
}

// nextRelease is the first time, not before from, at which allowed is more than none.
func (j *job) nextRelease(r kv.Reader, number uint64, from int64) int64 {
	t := max(from, j.slotDue(j.slot+1))
	t = max(t, j.windowOpens(r, number, second, j.perSecond()))
	t = max(t, j.windowOpens(r, number, minute, j.perMinute))
	if last := j.slotAt(t); j.slotDue(last) < t-second {
		t = j.slotDue(last + 1) // the slots that were due until then are forfeited
	}
	return t
}

// windowOpens is when the next thing may go, if in any window of that many ms at most so many may.
func (j *job) windowOpens(r kv.Reader, number uint64, window int64, most uint64) int64 {
	if j.released < most {
		return 0
	}
	for _, at := range recent(r, number, j.released-most+1) {
		return at + window
	}
	return 0
}

// recent goes through the latest releases in order, from the one of the n-th thing on: how many things had been
// released then, and when.
func recent(r kv.Reader, number, n uint64) func(yield func(until uint64, at int64) bool) {
	return func(yield func(uint64, int64) bool) {
		for k, v := range r.Scan(recentKey(number, n), kv.PrefixEnd(kv.NewKey(tableRecent).Uint(number))) {
			until, _ := kv.CutUint(k[9:])
			fields := kv.NewFields(v)
			at := fields.Int()
			fields.Must("a release")
			if !yield(until, at) {
				return
			}
		}
	}
}

// remember records a release, and forgets what no window reaches back to any more.
func (j *job) remember(tx kv.Tx, number uint64, at int64) {
	tx.Set(recentKey(number, j.released), kv.Row(nil).Int(at))
	if j.released <= j.perMinute {
		return
	}
	var old []kv.Key
	for k := range tx.Scan(recentKey(number, 0), recentKey(number, j.released-j.perMinute+1)) {
		old = append(old, append(kv.Key(nil), k...))
	}
	for _, k := range old {
		tx.Delete(k)
	}
}
