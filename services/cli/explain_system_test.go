package cli_test

import (
	"strings"
	"testing"
	"time"
)

// The story of a job and of a thing, told by the real program: settings that were given at creation, a pace, a cancel, a
// thing that the job never came to, what is waited for now, and the same of a job that was deleted.
func TestExplainOfTheRunningSystem(t *testing.T) {
	d := newDrover(t)
	d.begin()
	d.awaitReady()
	d.run("thing", "create", "press-1", "press-2", "other")
	d.run("group", "create", "presses")
	d.run("group", "add", "presses", "press-1", "press-2")
	if out := d.run("job", "create", "fw-1", "--document", "{}", "--target", "group/presses", "--per-minute", "30000", "--abort", "FAILED:50%:1", "--timeout", "20m"); !strings.Contains(out, "at most 500 things can be released after the report") {
		t.Errorf("job create: %s", out)
	}
	d.eventually(20*time.Second, "the executions are queued", func() bool {
		var j job
		d.read(&j, "job", "describe", "fw-1")
		return j.Counts.Queued == 2
	})
	for args, want := range map[string][]string{
		"explain job fw-1": {"fw-1 is IN_PROGRESS: of 2 things 2 released", "it was created by client for the things in group/presses; 30000 things a minute  (job@2)",
			"it has 2 things  (targeting@", "released 2 things", "by the pace of 30,000 things a minute"},
		"explain thing press-1 --job fw-1": {"press-1: fw-1 QUEUED.", "press-1 was registered by client", "it was selected: it was in group/presses when the selection started",
			"it was released: due at 30000 things a minute", "execution 1 was queued  (execution."},
		"explain thing other --job fw-1": {"fw-1 never came to other: it was in none of group/presses"},
		"explain thing other":            {"other was registered by client"},
	} {
		out := d.run(strings.Fields(args)...)
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%s: %q is not in\n%s", args, w, out)
			}
		}
	}
	d.run("job", "cancel", "fw-1", "--comment", "after all", "--wait")
	if out := d.run("explain", "thing", "press-2"); !strings.Contains(out, `fw-1: the job was canceled by client: "after all"`) || !strings.Contains(out, "fw-1: execution 1 became CANCELED: the job was canceled") {
		t.Errorf("after the cancel:\n%s", out)
	}
	d.run("job", "delete", "fw-1", "--wait")
	if out := d.run("explain", "thing", "press-2"); !strings.Contains(out, "fw-1: the job was created by client") || !strings.Contains(out, "fw-1: the job was deleted; its id is free") {
		t.Errorf("after the deletion:\n%s", out)
	}
	for args, want := range map[string]string{"explain job nothing": "NOT_FOUND", "explain thing nothing": "NOT_FOUND", "explain thing other --job nothing": "NOT_FOUND"} {
		if status, _, errs := d.try(strings.Fields(args)...); status != 3 || !strings.Contains(errs, want) {
			t.Errorf("%s: status %d: %s", args, status, errs)
		}
	}
	d.stop()
}
