package scenario

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

var statuses = []string{"QUEUED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED", "TIMED_OUT", "CANCELED", "REMOVED"}

// want is what specification §4.2 says of a cell: "happens", "refused", or "" where nobody can ask for it: a device
// asks by an update and may name any status; a cancel, with or without force, asks for CANCELED; the service is refused
// nothing.
//
// Two statuses have to be read from elsewhere: a service cancels what is QUEUED for an abort or an end CANCEL, and what
// is IN_PROGRESS for an end FORCE_CANCEL.
func want(from, to, by string) string {
	pending := from == "QUEUED" || from == "IN_PROGRESS"
	switch by {
	case "device":
		if pending && slices.Contains([]string{"IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED"}, to) {
			return "happens"
		}
		return "refused"
	case "cancel", "force":
		switch {
		case to != "CANCELED":
			return ""
		case from == "QUEUED", from == "IN_PROGRESS" && by == "force":
			return "happens"
		}
		return "refused"
	}
	happens := map[string][]string{
		"none":        {"QUEUED"},
		"QUEUED":      {"CANCELED", "REMOVED"},
		"IN_PROGRESS": {"TIMED_OUT", "CANCELED", "REMOVED"},
	}
	if slices.Contains(happens[from], to) {
		return "happens"
	}
	return ""
}

// Every cell of the matrix of §4.2, by whoever can ask for it, is reached by a story, as it was played and not as it
// says; and nothing happens that no cell allows.
//
// Broken: `device lamp-4 fw/update {"status":"REMOVED"}` was taken out of the story of what a device may report; the
// cell terminal -> REMOVED by device was missing.
func TestStoriesReachEveryCellOfTheMatrix(t *testing.T) {
	reached := map[Cell]bool{}
	for _, path := range stories(t) {
		r, _ := play(t, path)
		maps.Copy(reached, r.Cells)
	}
	for _, from := range []string{"none", "QUEUED", "IN_PROGRESS", "terminal"} {
		for _, to := range statuses {
			for _, by := range []string{"device", "service", "cancel", "force"} {
				happens, refused := reached[Cell{from, to, by, false}], reached[Cell{from, to, by, true}]
				switch w := want(from, to, by); {
				case happens && w != "happens":
					t.Errorf("%s -> %s by %s happens; the specification has no such transition", from, to, by)
				case refused && w == "happens":
					t.Errorf("%s -> %s by %s is refused; the specification allows it", from, to, by)
				case w == "happens" && !happens, w == "refused" && !refused:
					t.Errorf("no story reaches %s -> %s by %s (%s)", from, to, by, w)
				}
			}
		}
	}
}

// rows are those of the tables of specification §4.5 to §4.12, in its order, and what is told of each by our own
// choice where AWS leaves it open (§12).
var rows = strings.Split(strings.TrimSpace(`
4.5/CancelJob/QUEUED
4.5/CancelJob/IN_PROGRESS
4.5/CancelJob/terminal
4.5/CancelJob/job
4.5/CancelJob force/QUEUED
4.5/CancelJob force/IN_PROGRESS
4.5/CancelJob force/terminal
4.5/CancelJob force/job
4.5/CancelJobExecution/QUEUED
4.5/CancelJobExecution/IN_PROGRESS
4.5/CancelJobExecution/terminal
4.5/CancelJobExecution/job
4.5/CancelJobExecution force/QUEUED
4.5/CancelJobExecution force/IN_PROGRESS
4.5/CancelJobExecution force/terminal
4.5/CancelJobExecution force/job
4.5/Abort criterion/QUEUED
4.5/Abort criterion/IN_PROGRESS
4.5/Abort criterion/terminal
4.5/Abort criterion/job
4.5/a canceled execution is never retried
4.6/DeleteJob
4.6/DeleteJob force
4.6/DeleteJobExecution
4.6/DeleteJobExecution force
4.6/the id is free
4.6/the eleventh deletion
4.7/SNAPSHOT joins
4.7/SNAPSHOT leaves
4.7/CONTINUOUS joins
4.7/CONTINUOUS leaves QUEUED
4.7/CONTINUOUS leaves IN_PROGRESS
4.7/CONTINUOUS leaves terminal
4.7/CONTINUOUS rejoins
4.7/CONTINUOUS reachable through another target
4.7/thing deleted
4.7/thing re-created
4.7/group deleted
4.7/joins between windows
4.8/FAILED
4.8/TIMED_OUT
4.8/ALL
4.8/ALL with a specific type
4.8/end of the queue
4.8/retryAttempt
4.8/stops on success
4.8/stops on budget used
4.8/stops on REJECTED
4.8/stops on cancel
4.8/stops on config 0
4.8/stops on abort
4.8/IN_PROGRESS attempt is not retried after a cancel
4.8/maintenance window
4.8/endTime
4.8/rejoin
4.8/completion waits
4.8/number cannot be raised
4.9/in-progress
4.9/step
4.9/step replaces
4.9/step capped
4.9/step canceled
4.9/TIMED_OUT
4.9/new job value for later starts
4.10/none
4.10/constant
4.10/exponential
4.10/exponential succeeded
4.10/cap
4.10/joined unthrottled
4.10/retries unthrottled
4.10/windows
4.10/UpdateJob
4.11/not before minimum
4.11/threshold
4.11/order of criteria
4.11/IN_PROGRESS goes on
4.11/example
4.12/startTime
4.12/endTime STOP_ROLLOUT
4.12/endTime CANCEL
4.12/endTime FORCE_CANCEL
4.12/status after the end
4.12/windows need CONTINUOUS
4.12/window opens
4.12/window closes
4.12/hidden
4.12/start while in progress outside window
4.12/cron
4.10/concurrency cap
4.13/SCHEDULED
4.13/rolling out
4.13/waiting for devices
4.13/CANCELED
4.13/window job at the cap
4.12/STOP_ROLLOUT, no window follows
4.7/rejoins while IN_PROGRESS
`), "\n")

// Every row of §4.5 to §4.13 is named by a story.
func TestStoriesReachEveryRow(t *testing.T) {
	reached := map[string]bool{}
	for _, path := range stories(t) {
		r, _ := play(t, path)
		for _, name := range r.Reaches {
			reached[name] = true
			if !slices.Contains(rows, name) {
				t.Errorf("%s reaches %q, which is no row", path, name)
			}
		}
	}
	for _, row := range rows {
		if !reached[row] {
			t.Errorf("no story reaches %s", row)
		}
	}
}
