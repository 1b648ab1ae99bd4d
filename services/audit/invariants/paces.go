package invariants

import "github.com/droverhq/drover/services/audit"

var paces = Rule{
	Name: "paces",
	Promise: "In any 60 seconds no more things are released than the job's pace allows: of several paces in force the fastest (design §7). " +
		"Things that joined later are not bound by it (specification §4.10).",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, j := range h.JobsInOrder() {
			checkPace(j, broken)
		}
	},
}

func checkPace(j *audit.Job, broken func(any, string, ...any)) {
	var paced []audit.Release
	things := 0 // of the window that ends with the release at hand
	for _, r := range j.Releases {
		if r.Joined {
			continue
		}
		paced = append(paced, r)
		things += r.Things
		for r.AtMs-paced[0].AtMs >= 60_000 {
			things -= paced[0].Things
			paced = paced[1:]
		}
		if pace := paceBetween(j, paced[0].Place, r.Place); pace > 0 && things > int(pace) {
			broken(r.Place, "%s has released %d things in the %d ms up to there; its pace is %d a minute", j.ID, things, r.AtMs-paced[0].AtMs, pace)
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
