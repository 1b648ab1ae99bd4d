package invariants

import "github.com/droverhq/drover/services/audit"

var paces = Rule{
	Name: "paces",
	Promise: "In any 60 seconds no more things are released than the job's pace r allows, and in any second at most r/60, rounded up: of several " +
		"paces in force the fastest (design §7). Things that joined later are not bound by it (specification §4.10).",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, j := range h.JobsInOrder() {
			checkPace(j, 60_000, func(pace uint32) int { return int(pace) }, broken)
			checkPace(j, 1000, func(pace uint32) int { return (int(pace) + 59) / 60 }, broken)
		}
	},
}

// checkPace holds the releases of any window of that many ms against the most things that a pace allows in it.
func checkPace(j *audit.Job, windowMs int64, most func(pace uint32) int, broken func(any, string, ...any)) {
	var paced []audit.Release
	things := 0 // of the window that ends with the release at hand
	for _, r := range j.Releases {
		if r.Joined {
			continue
		}
		paced = append(paced, r)
		things += r.Things
		for r.AtMs-paced[0].AtMs >= windowMs {
			things -= paced[0].Things
			paced = paced[1:]
		}
		if pace := paceBetween(j, paced[0].Place, r.Place); pace > 0 && things > most(pace) {
			broken(r.Place, "%s has released %d things in the %d ms up to there; its pace is %d a minute, so at most %d in %d ms", j.ID, things,
				r.AtMs-paced[0].AtMs, pace, most(pace), windowMs)
			return
		}
	}
}

// paceBetween is the fastest pace that was in force; 0 if there was none for a while.
func paceBetween(j *audit.Job, first, last audit.Place) uint32 {
	if len(j.Paces) == 0 {
		return j.PerMinute
	}
	fastest := uint32(0)
	for i, p := range j.Paces {
		over := i+1 < len(j.Paces) && j.Paces[i+1].Before(first)
		if over || last.Before(p.Place) {
			continue
		}
		if p.PerMinute == 0 {
			return 0
		}
		fastest = max(fastest, p.PerMinute)
	}
	return fastest
}
