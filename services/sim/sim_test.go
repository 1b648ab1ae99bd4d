package sim

import (
	"flag"
	"maps"
	"slices"
	"testing"
)

var (
	seed  = flag.Uint64("seed", 0, "play this seed alone")
	seeds = flag.Uint64("seeds", seedsPlayed, "play seeds 1 to this")
)

// Two hosts of every core under one seed: whatever fails, the invariants hold and every job finishes. The figures at
// the end show that the runs were not empty.
func TestSeeds(t *testing.T) {
	first, last := uint64(1), *seeds
	if *seed != 0 {
		first, last = *seed, *seed
	}
	met := map[string]int{}
	for s := first; s <= last; s++ {
		r, err := Run(s)
		if err != nil {
			t.Errorf("%v\n\tplay it again: go test ./services/sim -run TestSeeds -seed %d", err, s)
		}
		for what, n := range r.Met {
			met[what] += n
		}
	}
	for _, what := range slices.Sorted(maps.Keys(met)) {
		t.Logf("%8d %s", met[what], what)
	}
	if *seed != 0 || *seeds < 200 {
		return
	}
	for _, what := range meets {
		if met[what] == 0 {
			t.Errorf("no run has met: %s", what)
		}
	}
}

// meets is what 200 runs meet at least once; fewer, as under the race detector, are not held to it.
var meets = []string{
	"crash", "pause", "pause amid something", "lease lost", "lease ran out and was renewed", "lease released", "takeover by the other",
	"two serve at once", "answer withheld", "notification withheld", "request dropped", "standby compared", "deposed by the log", "deposed by the lease", "unresolved for 30 s", "graceful stop", "append or log in trouble", "waiting things dropped",
	"release refused", "job completed", "home settled STOPPED", "home settled FORCE_STOPPED", "home settled CLOSED",
	"execution to TIMED_OUT", "execution to CANCELED", "execution to REMOVED", "execution to FAILED",
	"retry", "job aborted", "job updated", "targets associated", "job deleted", "group deleted",
	"execution deleted while QUEUED", "execution deleted while IN_PROGRESS", "execution deleted while SUCCEEDED",
	"job ended with STOP_ROLLOUT", "job ended with CANCEL", "job ended with FORCE_CANCEL", "home settled ENDED", "home settled DELETED",
	"things joined", "things withdrawn", "queued again after a join", "window opened", "window closed", "ends read", "end not read", "job held", "job crowded out",
}

// A seed is a history: played twice it gives the same trace, event by event.
func TestTheSameSeedGivesTheSameTrace(t *testing.T) {
	traces := map[[32]byte]uint64{}
	for s := uint64(1); s <= 5; s++ {
		one, err1 := Run(s)
		two, err2 := Run(s)
		if one.Trace != two.Trace {
			t.Errorf("seed %d: %x, then %x (%v, %v)", s, one.Trace[:4], two.Trace[:4], err1, err2)
		}
		if other, same := traces[one.Trace]; same {
			t.Errorf("seeds %d and %d give the same trace", other, s)
		}
		traces[one.Trace] = s
	}
}
