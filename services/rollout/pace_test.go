package rollout

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/droverhq/drover/services/core"
)

// watch checks releases from outside: none before its slot, never more than r in any 60 s, never more than ⌈r/60⌉ in
// any second, and over any span of time no more than the slots that were due in it or in the second before it.
type watch struct {
	perMinute int64
	began     int64
	at        []int64 // of each thing
}

func (w *watch) add(t testing.TB, now int64, n int) {
	for range n {
		w.at = append(w.at, now)
		i := int64(len(w.at))
		if (now-w.began)*w.perMinute < i*minute {
			t.Fatalf("thing %d of %d a minute was released %d ms after the rate began", i, w.perMinute, now-w.began)
		}
		w.window(t, minute, w.perMinute)
		w.window(t, second, (w.perMinute+59)/60)
	}
	for i, at := range w.at {
		went := int64(len(w.at) - i)
		if due := w.due(now) - w.due(at-second-1); went > due {
			t.Fatalf("%d a minute: %d went from +%d to +%d, for %d slots", w.perMinute, went, at-w.began, now-w.began, due)
		}
	}
}

// due is how many slots are due at a time.
func (w *watch) due(at int64) int64 { return max(0, at-w.began) * w.perMinute / minute }

func (w *watch) window(t testing.TB, length, most int64) {
	if i := int64(len(w.at)) - most - 1; i >= 0 && w.at[len(w.at)-1]-w.at[i] < length {
		t.Fatalf("%d things a minute: %d within %d ms, at %v", w.perMinute, most+1, w.at[len(w.at)-1]-w.at[i], w.at[i:])
	}
}

func TestAWokenInTimeJobReleasesExactlyItsPace(t *testing.T) {
	for _, perMinute := range []uint32{1, 7, 50, 59, 60, 61, 100, 777, 1000} {
		r := newRun(t)
		r.Seldom = true
		r.create(7, perMinute)
		r.Now += 12_345 // the pace begins when the first thing waits
		for i := range 3 {
			r.selects(7, i*1000, 1000)
		}
		w := watch{perMinute: int64(perMinute), began: r.Now}
		for m := int64(1); m <= 2; m++ {
			for r.Now < w.began+m*minute {
				w.add(t, r.Now, count(r.Due(), 7))
				if r.Next <= r.Now {
					t.Fatalf("look again at %d, now is %d", r.Next, r.Now)
				}
				r.Now = min(r.Next, w.began+m*minute)
			}
			w.add(t, r.Now, count(r.Due(), 7))
			if got := int64(len(w.at)); got != m*w.perMinute {
				t.Errorf("%d a minute: %d after %d min", perMinute, got, m)
			}
		}
	}
}

func TestAReleaseSaysThePaceAndWhatWentBefore(t *testing.T) {
	r := newRun(t)
	r.create(7, 60)
	r.selects(7, 0, 10)
	for range 3 {
		r.Due()
		r.Now = r.Next
	}
	r.Due()
	reason := r.Fresh[0].GetReason()
	if n := reason.GetNumbers(); len(n) != 2 || n[0] != 60 || n[1] != 2 {
		t.Errorf("reason %v", reason)
	}
}

func TestPaceThatWasNotUsedIsNotCaughtUp(t *testing.T) {
	r := newRun(t)
	r.create(7, 60)
	r.selects(7, 0, 100)
	r.Now += 30_500 // thirty slots went by, all but one more than a second ago
	if n := count(r.Due(), 7); n != 1 {
		t.Errorf("%d released after a sleep of 30 s, want 1", n)
	}
	if want := r.Now + 1000; r.Next != want {
		t.Errorf("next at +%d, want +%d: never two in a second", r.Next-r.Now, want-r.Now)
	}
}

// A late beginning shifts releases; what is due behind them must not crowd into the same minute, nor catch up.
func TestAJobThatIsWokenLateKeepsItsPace(t *testing.T) {
	for _, perMinute := range []uint32{61, 90, 100, 601} {
		for _, late := range []int64{990, 1660, 30_500} {
			for _, nap := range []int64{0, 700, 990} {
				r := newRun(t)
				r.Seldom = true
				r.create(7, perMinute)
				r.selects(7, 0, 1000)
				r.selects(7, 1000, 1000)
				w := watch{perMinute: int64(perMinute), began: r.Now}
				r.Now += late
				for end := r.Now + 2*minute; r.Now < end; {
					w.add(t, r.Now, count(r.Due(), 7))
					if r.Now = r.Next; end-r.Now < 70_000 {
						r.Now += nap // late again, when the first minute's releases leave the window
					}
				}
				if n := int64(len(w.at)); nap == 0 && n < 2*w.perMinute*98/100 {
					t.Errorf("%d a minute, %d ms late: %d in 2 min", perMinute, late, n)
				}
			}
		}
	}
}

// At 90 a minute the second and third thing go late, at +2300; the 91st and 92nd have slots at +60667 and +61333. Woken
// at +61500 for both, only one may go: the other would be the 91st since +2300.
func TestOfTwoSlotsThatAreDueTheMinuteMayLeaveRoomForOne(t *testing.T) {
	r := newRun(t)
	r.Seldom = true
	r.create(7, 90)
	r.selects(7, 0, 200)
	w := watch{perMinute: 90, began: r.Now}
	wake := func(at int64) int {
		r.Now = w.began + at
		n := count(r.Due(), 7)
		w.add(t, r.Now, n)
		return n
	}
	wake(667)
	wake(2300)
	for len(w.at) < 90 {
		wake(r.Next - w.began)
	}
	if n := wake(61_500); n != 1 || r.Next != w.began+62_300 {
		t.Errorf("%d went; look again at +%d", n, r.Next-w.began)
	}
}

// Shows: whenever it is woken, restarted in between or left without things, a job keeps its pace; and the time that it
// asks to be woken at is the first at which something may go.
func TestThePaceIsKeptWheneverItIsWoken(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		t := drawn{t, rt}
		perMinute := rapid.OneOf(rapid.Uint32Range(1, 130), rapid.Uint32Range(900, 1100), rapid.Just(uint32(100_000))).Draw(rt, "perMinute")
		r := newRun(t)
		r.Seldom = true
		r.create(7, perMinute)
		supply, w := 0, watch{perMinute: int64(perMinute)}
		feed := func() {
			if w.began == 0 {
				w.began = r.Now
			}
			n := rapid.IntRange(1, 40).Draw(rt, "things")
			r.selects(7, supply, n)
			supply += n
		}
		feed()
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "kind") {
			case 0:
				r.Now += rapid.Int64Range(0, 3000).Draw(rt, "sleep")
			case 1:
				r.Now += rapid.Int64Range(0, 70_000).Draw(rt, "long sleep")
			case 2:
				feed()
			case 3: // as the host would, a little late
				if r.Next > r.Now && r.Next != core.Never {
					before := r.Next
					if before-1 > r.Now {
						r.Now = before - 1
						if n := count(r.Due(), 7); n != 0 {
							t.Fatalf("%d things went before the time that was asked for", n)
						}
					}
					r.Now = before
					if n := count(r.Due(), 7); n == 0 {
						t.Fatalf("nothing went at the time that was asked for, +%d", r.Now-w.began)
					} else {
						w.add(t, r.Now, n)
					}
					r.Now += rapid.Int64Range(0, 30).Draw(rt, "late")
				}
			}
			w.add(t, r.Now, count(r.Due(), 7))
			if len(w.at) == supply {
				if r.Next != core.Never {
					t.Fatalf("nothing waits, and it wants to be woken at %d", r.Next)
				}
			} else if r.Next <= r.Now || r.Next > r.Now+2*minute {
				t.Fatalf("look again at %+d", r.Next-r.Now)
			}
		}
	})
}

// drawn is a testing.TB for coretest whose failures rapid hears of.
type drawn struct {
	testing.TB
	rapid *rapid.T
}

func (d drawn) Helper()                   {}
func (d drawn) Fatal(args ...any)         { d.rapid.Fatal(args...) }
func (d drawn) Fatalf(f string, a ...any) { d.rapid.Fatalf(f, a...) }
