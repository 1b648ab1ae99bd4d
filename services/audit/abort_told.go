package audit

import (
	"fmt"
	"maps"

	"github.com/droverhq/drover/proto/id"
)

// contradiction recounts what AbortTriggered says: that its numbers are those of the homes' logs up to where they were
// counted, and that its criterion is met there, and not without the commit that it names. Logs of before it was said up to
// where homes were counted are not held to it.
func (a *Abort) contradiction(homes map[id.Home][]endings, observed map[id.Home]uint64) string {
	told := a.Triggered
	if len(told.GetCounted()) == 0 {
		return ""
	}
	upTo := maps.Clone(observed)
	for _, p := range told.GetCounted() {
		upTo[id.Home(p.GetHome())] = p.GetNumber()
	}
	s := sumUpTo(homes, upTo)
	switch met := a.met(s); {
	case met != int(told.GetCriterion()):
		return fmt.Sprintf("it says that criterion %d is met; a recount meets %d", told.GetCriterion(), met)
	case s.executed() != int64(told.GetExecuted()) || s.failed(told.GetFailure()) != int64(told.GetFailures()):
		return fmt.Sprintf("it says %d of %d; a recount %d of %d", told.GetFailures(), told.GetExecuted(), s.failed(told.GetFailure()), s.executed())
	}
	crossing := told.GetCrossing()
	upTo[id.Home(crossing.GetHome())] = crossing.GetNumber() - 1
	if met := a.met(sumUpTo(homes, upTo)); met >= 0 {
		return fmt.Sprintf("it names %s; criterion %d is met without it", id.FormatPosition(crossing), met)
	}
	return ""
}

// sumUpTo is what has ended up to commits of the homes' logs.
func sumUpTo(homes map[id.Home][]endings, upTo map[id.Home]uint64) sums {
	s := sums{}
	for home, list := range homes {
		for _, e := range list {
			if e.at.Number <= upTo[home] {
				s.add(e.change)
			}
		}
	}
	return s
}
