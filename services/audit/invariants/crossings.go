package invariants

import (
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/audit"
)

var crossings = Rule{
	Name: "crossings",
	Promise: "Of a job that was aborted no release rests on the report that crossed the criterion; at most one is later than that report, and it is no " +
		"larger than the bound that was told (design §7).",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, j := range h.JobsInOrder() {
			for _, a := range j.Aborts {
				checkCrossing(h, j, a, broken)
			}
		}
	},
}

func checkCrossing(h *audit.History, j *audit.Job, a audit.Triggered, broken func(any, string, ...any)) {
	at := a.Told.GetCrossing()
	rollout, home := h.Log(id.RolloutLog), h.Log(id.ExecutionLog(id.Home(at.GetHome())))
	if at == nil || rollout == nil || home == nil {
		return
	}
	crossed := home.AtMs(at.GetNumber())
	commits, things := 0, 0 // of releases that are later than the report
	last := uint64(0)
	for _, r := range j.Releases {
		if read := readBy(rollout, home.Name, r.Number); read >= at.GetNumber() {
			broken(r.Place, "%s releases %d things, and has read %s up to %d; the report that crosses criterion %d stands at %d",
				j.ID, r.Things, home.Name, read, a.Told.GetCriterion(), at.GetNumber())
		}
		if r.AtMs <= crossed {
			continue
		}
		if r.Number != last {
			commits++
		}
		last = r.Number
		things += r.Things
	}
	if commits > 1 || things > int(a.Told.GetBound()) && commits > 0 {
		broken(a.Place, "%s has released %d things in %d commits after the report that crosses its criterion; one of at most %d is allowed",
			j.ID, things, commits, a.Told.GetBound())
	}
}

// readBy is up to where a log's writer had read another by a commit of its own, as that commit says.
func readBy(l *audit.LogRead, of id.Log, number uint64) (read uint64) {
	for _, c := range l.Cursors {
		if c.At.Number > number {
			break
		}
		if c.Of == of {
			read = c.Number
		}
	}
	return read
}
