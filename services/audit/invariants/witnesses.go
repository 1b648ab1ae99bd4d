package invariants

import (
	"fmt"

	"github.com/droverhq/drover/services/audit"
)

// CheckWitnesses holds a history against what devices say: none ran an execution twice, and every report that was
// answered accepted is in the log, with the version that the answer told.
func CheckWitnesses(h *audit.History, witnesses []audit.Testimony) []Violation {
	rule := Rule{Name: "witnesses", check: func(h *audit.History, broken func(any, string, ...any)) {
		for _, w := range witnesses {
			checkWitness(h, w, broken)
		}
	}}
	return rule.Check(h)
}

func checkWitness(h *audit.History, w audit.Testimony, broken func(any, string, ...any)) {
	at := w.JobID + " on " + w.Thing
	if w.Runs > 1 {
		broken(at, "the device has run execution %d %d times", w.Number, w.Runs)
	}
	x := execution(h, w)
	if x == nil {
		if len(w.Accepted) > 0 {
			broken(at, "%d reports of execution %d were accepted; the log has no such execution", len(w.Accepted), w.Number)
		}
		return
	}
	updates := 0 // that stayed in progress, without a version to find them by
	for _, a := range w.Accepted {
		switch {
		case a.Version > 0:
			if what := findVersion(x, a); what != "" {
				broken(at, "%s", what)
			}
		case audit.Final(a.Status):
			if x.Status() != a.Status {
				broken(at, "%s was accepted; the log says %s", audit.StatusName(a.Status), audit.StatusName(x.Status()))
			}
		case !a.Start:
			updates++
		}
	}
	in := 0
	for _, s := range x.Steps {
		if s.To == inProgress {
			in++
		}
	}
	if updates > in {
		broken(at, "%d reports of IN_PROGRESS were accepted; the log has %d", updates, in)
	}
}

func execution(h *audit.History, w audit.Testimony) *audit.Execution {
	j := h.JobByID(w.JobID)
	if j == nil || j.Things[w.Thing] == nil {
		return nil
	}
	for _, x := range j.Things[w.Thing].Executions {
		if x.Number == w.Number {
			return x
		}
	}
	return nil
}

// findVersion says what is wrong with the version that a device was told; nothing if it is in the log with that status.
func findVersion(x *audit.Execution, a audit.Accepted) string {
	for _, s := range x.Steps {
		if s.Version != a.Version {
			continue
		}
		if s.To != a.Status {
			return fmt.Sprintf("version %d was accepted as %s; the log says %s", a.Version, audit.StatusName(a.Status), audit.StatusName(s.To))
		}
		return ""
	}
	return fmt.Sprintf("%s was accepted as version %d; the log ends at version %d", audit.StatusName(a.Status), a.Version, x.Last().Version)
}
