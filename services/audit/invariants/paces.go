package invariants

import "github.com/droverhq/drover/services/audit"

var paces = Rule{
	Name:    "paces",
	Promise: "In any 60 seconds no more things are released than the job's pace allows (design §7).",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, j := range h.JobsInOrder() {
			if j.PerMinute == 0 {
				continue
			}
			first, things := 0, 0 // of the window that ends with the release at hand
			for _, r := range j.Releases {
				things += r.Things
				for r.AtMs-j.Releases[first].AtMs >= 60_000 {
					things -= j.Releases[first].Things
					first++
				}
				if things > int(j.PerMinute) {
					broken(r.Place, "%s has released %d things in the %d ms up to there; its pace is %d a minute",
						j.ID, things, r.AtMs-j.Releases[first].AtMs, j.PerMinute)
					break
				}
			}
		}
	},
}
