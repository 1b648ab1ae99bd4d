// Package invariants holds what must be true of every history, one rule a file.
//
// It promises that a rule is a function of an audit.History alone, says where it is broken and with what values, and
// holds at every moment: of a system that was killed as of one that has finished. What is only true later (that a job
// has ended) is no rule. It leaves the reading to audit, and what to do to whoever asked.
package invariants

import (
	"fmt"

	"github.com/droverhq/drover/services/audit"
)

// Violation is one place where a rule is broken.
type Violation struct {
	Rule string
	// At is the position of the event, or the name of a job and a thing.
	At   string
	What string
}

func (v Violation) String() string { return v.Rule + " at " + v.At + ": " + v.What }

// Rule is one thing that must be true.
type Rule struct {
	// Name is what a violation of it is called.
	Name string
	// Promise is the rule in a sentence.
	Promise string
	check   func(h *audit.History, broken func(at any, format string, args ...any))
}

// Rules are all of them, from the log inwards.
func Rules() []Rule {
	return []Rule{
		whole, cursors, selections, releases, stops, windows, homes, attempts, retries, transitions, endings, versions, deadlines,
		settling, lives, deletions, paces, waits, tallies, observations, aborts, crossings, unaborted, places,
	}
}

// violationsMax bounds what one rule reports: a broken rule is mostly broken everywhere.
const violationsMax = 20

// Check holds a history against every rule.
func Check(h *audit.History) []Violation {
	var all []Violation
	for _, r := range Rules() {
		all = append(all, r.Check(h)...)
	}
	return all
}

// Check holds a history against one rule.
func (r Rule) Check(h *audit.History) []Violation {
	var found []Violation
	more := 0
	r.check(h, func(at any, format string, args ...any) {
		if len(found) == violationsMax {
			more++
			return
		}
		found = append(found, Violation{Rule: r.Name, At: fmt.Sprint(at), What: fmt.Sprintf(format, args...)})
	})
	if more > 0 {
		found = append(found, Violation{Rule: r.Name, At: "…", What: fmt.Sprintf("%d more of the kind", more)})
	}
	return found
}

// on names a thing of a job for a violation.
func on(j *audit.Job, t *audit.Thing) string { return j.ID + " on " + t.Name }

// eachExecution visits all executions, in the order of jobs and names.
func eachExecution(h *audit.History, visit func(*audit.Job, *audit.Thing, *audit.Execution)) {
	for _, j := range h.JobsInOrder() {
		for _, t := range j.ThingsInOrder() {
			for _, x := range t.Executions {
				visit(j, t, x)
			}
		}
	}
}
