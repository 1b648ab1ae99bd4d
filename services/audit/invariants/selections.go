package invariants

import "github.com/droverhq/drover/services/audit"

var selections = Rule{
	Name:    "selections",
	Promise: "A job's things are selected once, wait once, are released at most once and only if they were waiting; the totals agree.",
	check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, j := range h.JobsInOrder() {
			var selected, waiting int64
			for _, t := range j.ThingsInOrder() {
				selected += int64(t.Selected)
				waiting += int64(t.Waiting)
				switch {
				case t.Selected > 1:
					broken(on(j, t), "selected %d times", t.Selected)
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
