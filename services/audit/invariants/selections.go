package invariants

import "github.com/droverhq/drover/services/audit"

var selections = Rule{
	Name:    "selections",
	Promise: "A job's things are selected once, and once more each time that they have left; they wait as often, and are released at most as often as they waited; the totals agree.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, j := range h.JobsInOrder() {
			selected, waiting := j.SelectedBySelection, j.WaitingBySelection
			for _, t := range j.ThingsInOrder() {
				switch {
				case t.Selected > 1+t.Left:
					broken(on(j, t), "selected %d times, and left %d times", t.Selected, t.Left)
				case t.Waiting > t.Selected:
					broken(on(j, t), "waits %d times, was selected %d times", t.Waiting, t.Selected)
				case t.Released > t.Waiting:
					broken(on(j, t), "released %d times, waited %d times", t.Released, t.Waiting)
				}
			}
			if j.SelectedTold >= 0 && j.SelectedTold != selected {
				broken(j.ID, "the selection says %d things; %d were selected", j.SelectedTold, selected)
			}
			if j.WaitingTold >= 0 && j.WaitingTold != waiting {
				broken(j.ID, "rollout says that %d things came in; %d did", j.WaitingTold, waiting)
			}
		}
	},
}
