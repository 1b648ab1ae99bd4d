package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/services/node"
)

// The main job with the real program: every command meets the system that it is for. A group of devices, half over MQTT and
// half over NATS, one in ten programmed to fail; a job at the group; the record; the audit after the stop.
func TestAJobFromTheFirstCommandToTheAudit(t *testing.T) {
	d := newDrover(t)
	d.begin()
	d.awaitReady()

	journal := filepath.Join(t.TempDir(), "devices.jsonl")
	devices := d.start("simulate", "--data", d.data, "--devices", "20", "--prefix", "press-", "--group", "press-line", "--fail-rate", "0.1",
		"--work-time", "20ms", "--seed", "7", "--journal", journal, "--until-jobs", "1", "--output", "json")
	d.eventually(patience, "the devices are registered", func() bool {
		_, out, _ := d.try("group", "describe", "press-line", "--members", "--output", "json")
		return strings.Count(out, "press-") == 20
	})
	d.run("job", "create", "demo", "--document", `{"operation":"install"}`, "--target", "group/press-line", "--per-minute", "1200")
	if out := d.run("job", "watch", "demo"); out != "demo is COMPLETED: queued 0, in progress 0, succeeded 18, failed 2, rejected 0, timed out 0, canceled 0, removed 0\n" {
		t.Errorf("job watch: %s", out)
	}
	select {
	case <-devices.exited:
		if devices.err != nil {
			t.Errorf("simulate: %v\n%s", devices.err, devices.output)
		}
	case <-time.After(patience):
		t.Fatalf("simulate goes on\n%s", devices.output)
	}

	var j job
	d.read(&j, "job", "describe", "demo")
	if j.Counts.Succeeded != 18 || j.Counts.Failed != 2 || j.Counts.Selected != 20 || j.Counts.Released != 20 {
		t.Errorf("job describe: %+v", j)
	}
	for args, want := range map[string]string{
		"job list":                            "demo",
		"job list --status COMPLETED":         "demo",
		"job executions demo":                 "press-0019",
		"job executions demo --status FAILED": "FAILED",
		"thing executions press-0000":         "demo",
		"thing describe press-0000":           "press-line",
		"thing list --prefix press-001":       "press-0010",
		"execution describe demo press-0000":  "Version",
		"group list":                          "press-line",
		"events --thing press-0000":           "ThingJoined",
		"events --job demo":                   "JobCompleted",
		"job describe demo --document":        `{"operation":"install"}`,
		"execution describe demo arn:aws:iot:eu-central-1:1:thing/press-0000": "press-0000",
	} {
		if out := d.run(strings.Fields(args)...); !strings.Contains(out, want) {
			t.Errorf("%s: %q is not in\n%s", args, want, out)
		}
	}
	d.checkRefusals()
	d.checkCancel()
	d.checkOfflineIsRefused()
	d.checkAuditOfTheRunningSystem(journal)

	d.stop()
	r := d.audit(0, "demo", "--journal", journal, "--expect", "SUCCEEDED=18", "--expect", "failed=2", "--expect", "transitions=60")
	if r.Executions != 20 || r.Journal.Sent != r.Journal.Answered+r.Journal.Waiting || r.Journal.Sent < 40 || r.Ended != 20 || r.EndedTwice != 0 || r.VersionGaps != 0 || r.Journal.ReportsAccepted != 40 || len(r.Violations) != 0 {
		t.Errorf("audit: %+v", r)
	}
	if status, _, errs := d.try("audit", "job", "demo", "--expect", "SUCCEEDED=19"); status != 1 || !strings.Contains(errs, "not as expected: SUCCEEDED") {
		t.Errorf("a wrong expectation: status %d: %s", status, errs)
	}
	if status, _, errs := d.try("audit", "job", "nothing"); status != 3 || !strings.Contains(errs, "NOT_FOUND") {
		t.Errorf("an unknown job: status %d: %s", status, errs)
	}
	for args, want := range map[string]string{
		"audit log list":                   "execution.1",
		"audit log show job 1":             "LogOpened",
		"audit log verify":                 "rules hold",
		"log repair targeting":             "nothing foreign",
		"projections rebuild --verify":     "rows are the same",
		"projections rebuild":              "rebuilt to",
		"audit log show rollout 2 -o json": "previousHash",
	} {
		if out := d.run(strings.Fields(args)...); !strings.Contains(out, want) {
			t.Errorf("%s: %q is not in\n%s", args, want, out)
		}
	}
	if status, _, errs := d.try("audit", "log", "show", "job", "99"); status != 3 || !strings.Contains(errs, "ends at") {
		t.Errorf("a commit beyond the end: status %d: %s", status, errs)
	}

	// Models of another version are not compared, but made anew.
	if err := os.WriteFile(filepath.Join(d.data, "models", "VERSION"), []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := d.try("projections", "rebuild", "--verify"); status != 3 || !strings.Contains(errs, `of version "0"`) {
		t.Errorf("models of another version: status %d: %s", status, errs)
	}
	d.run("projections", "rebuild")

	// What was rebuilt is served.
	d.begin()
	d.awaitReady()
	d.read(&j, "job", "describe", "demo")
	if j.Status != "COMPLETED" || j.Counts.Succeeded != 18 {
		t.Errorf("after the rebuild: %+v", j)
	}
	d.stop()
}

// checkRefusals sends what only the owners can refuse, and looks that nothing was written.
func (d *drover) checkRefusals() {
	d.t.Helper()
	before := d.events()
	for args, want := range map[string]string{
		"job create demo --document {\"a\":1} --target group/press-line":               "ALREADY_EXISTS",
		"job create j2 --document {} --target group/nothing":                           "NOT_FOUND",
		"job create j2 --document {} --target thing/press-0000 --target thing/nothing": "NOT_FOUND",
		"job cancel demo":                                       "INVALID_REQUEST",
		"job cancel nothing":                                    "NOT_FOUND",
		"job describe nothing":                                  "NOT_FOUND",
		"job executions nothing":                                "NOT_FOUND",
		"job watch nothing":                                     "NOT_FOUND",
		"group add nothing press-0000":                          "NOT_FOUND",
		"group add press-line nothing":                          "NOT_FOUND",
		"group describe nothing":                                "NOT_FOUND",
		"group create g2 --parent nothing":                      "NOT_FOUND",
		"thing describe nothing":                                "NOT_FOUND",
		"execution describe demo nothing":                       "NOT_FOUND",
		"execution watch demo nothing":                          "NOT_FOUND",
		"execution cancel demo press-0000":                      "INVALID_STATE_TRANSITION",
		"execution cancel demo press-0000 --expected-version 1": "",
	} {
		status, out, errs := d.ask(strings.Fields(args)...)
		if status != 3 || !strings.Contains(errs, want) {
			d.t.Errorf("%s: exit status %d, want 3 and %s\n%s%s", args, status, want, out, errs)
		}
	}
	if after := d.events(); after != before {
		d.t.Errorf("a refusal wrote events:\n%s", strings.TrimPrefix(after, before))
	}
}

// events are all events of the record but those of owners: on a busy machine one may lose its lease, and take it again.
func (d *drover) events() string {
	d.t.Helper()
	var kept strings.Builder
	for line := range strings.Lines(d.run("events", "--output", "json")) {
		if !strings.Contains(line, `"type":"Owned"`) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// checkCancel cancels one execution and then the whole job of things that no device answers for.
func (d *drover) checkCancel() {
	d.t.Helper()
	d.run("thing", "create", "still-1", "still-2", "still-3")
	d.run("job", "create", "never", "--document", "{}", "--target", "thing/still-1", "--target", "thing/still-2", "--target", "thing/still-3")
	d.eventually(patience, "the executions are queued", func() bool {
		var j job
		d.read(&j, "job", "describe", "never")
		return j.Counts.Queued == 3
	})
	if status, _, errs := d.ask("execution", "cancel", "never", "still-1", "--expected-version", "7"); status != 3 || !strings.Contains(errs, "VERSION_MISMATCH") {
		d.t.Errorf("a stale version: status %d: %s", status, errs)
	}
	d.run("execution", "cancel", "never", "still-1", "--expected-version", "1")
	if status, out, errs := d.ask("execution", "watch", "never", "still-1"); status != 1 || !strings.Contains(out, "to=CANCELED") {
		d.t.Errorf("execution watch: status %d: %s%s", status, out, errs)
	}
	if out := d.run("job", "cancel", "never", "--reason-code", "NOT_NEEDED", "--comment", "after all", "--wait"); out != "no device can start never any more\n" {
		d.t.Errorf("job cancel --wait: %s", out)
	}
	if status, out, _ := d.ask("job", "watch", "never"); status != 1 || !strings.Contains(out, "canceled 3") {
		d.t.Errorf("job watch: status %d: %s", status, out)
	}
	d.run("thing", "delete", "still-3")
	var v struct{ Deleted int }
	d.read(&v, "thing", "delete", "still-3")
	if v.Deleted != 0 {
		d.t.Errorf("deleted twice: %+v", v)
	}
}

// checkOfflineIsRefused runs what reads the folder while the system has it.
func (d *drover) checkOfflineIsRefused() {
	d.t.Helper()
	for _, args := range []string{"up", "audit log list", "audit log verify", "audit job demo", "log repair job", "projections rebuild", "projections rebuild --verify"} {
		if status, _, errs := d.try(strings.Fields(args)...); status != 3 || !strings.Contains(errs, "stop it") {
			d.t.Errorf("%s while the system runs: status %d: %s", args, status, errs)
		}
	}
}

// checkAuditOfTheRunningSystem reads the logs of the running system with the password of a service, and only so.
func (d *drover) checkAuditOfTheRunningSystem(journal string) {
	d.t.Helper()
	e, err := node.ReadEndpoints(d.data)
	if err != nil {
		d.t.Fatal(err)
	}
	running := []string{"--nats", e.NATS, "--creds", filepath.Join(d.data, "auth")}
	list := func() string { return d.run(append([]string{"audit", "log", "list"}, running...)...) }
	for attempt := 1; ; attempt++ {
		before := list()
		if r := d.audit(0, append([]string{"demo", "--journal", journal, "--expect", "transitions=60"}, running...)...); r.Ended != 20 || len(r.Violations) != 0 {
			d.t.Errorf("audit of the running system: %+v", r)
		}
		for args, want := range map[string]string{"audit log verify": "rules hold", "audit log show job 1": "LogOpened"} {
			if out := d.run(append(strings.Fields(args), running...)...); !strings.Contains(out, want) {
				d.t.Errorf("%s of the running system: %s", args, out)
			}
		}
		after := list()
		if after == before && strings.Contains(after, "execution.1") {
			break
		}
		if attempt == 5 { // the services may have had something to write, but not each time
			d.t.Errorf("an audit wrote:\n%s%s", before, after)
			break
		}
	}
	other := writeTemp(d.t, `{"client": "x"}`)
	for _, c := range []struct {
		args, says string
		status     int
	}{
		{"--nats " + e.NATS, "--creds is needed", 2},
		{"--creds " + other, "--nats", 2},
		{"--nats " + e.NATS + " --creds " + other, "no password of the user \"service\"", 2},
		{"--nats " + e.NATS + " --creds " + writeTemp(d.t, `{"service": "guessed", "front": "x", "inbox": "x", "http": "x", "system": "x", "seal": "x"}`), "Authorization", 4},
		{"--nats nats://127.0.0.1:1 --creds " + filepath.Join(d.data, "auth"), "127.0.0.1:1", 4},
	} {
		if status, _, errs := d.try(append([]string{"audit", "log", "list"}, strings.Fields(c.args)...)...); status != c.status || !strings.Contains(errs, c.says) {
			d.t.Errorf("audit log list %s: exit status %d, want %d and %s: %s", c.args, status, c.status, c.says, errs)
		}
	}
}

func TestAFolderWithoutLogsIsNamed(t *testing.T) {
	d := newDrover(t)
	if status, _, errs := d.try("audit", "log", "verify"); status == 0 || !strings.Contains(errs, d.data) {
		t.Errorf("status %d: %s", status, errs)
	}
	if _, err := os.Stat(d.data); err == nil {
		t.Error("the audit made the folder")
	}
}

// A flipped bit, and a tail that was cut off after a stop: every command that reads the folder names the log and fails, and
// the system does not start.
func TestDamageIsNamedByEveryCommandThatReadsTheFolder(t *testing.T) {
	for how, change := range map[string]func([]byte) []byte{
		"a flipped bit": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"a cut tail":    func(b []byte) []byte { return b[:len(b)-len(b)/4] },
	} {
		d := newDrover(t)
		d.begin()
		d.awaitReady()
		d.run("thing", "create", "--prefix", "t-", "--count", "50")
		d.run("thing", "create", "--prefix", "u-", "--count", "50")
		d.stop()
		files, err := filepath.Glob(filepath.Join(d.data, "hub", "jetstream", "*", "streams", "log-targeting-0001", "msgs", "*.blk"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%v %v", files, err)
		}
		bytes, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(files[0], change(bytes), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range []string{"up --nats-port 0 --leaf-port 0 --mqtt-port 0 --device-port 0 --http-port 0 --monitor-port 0", "audit log verify", "audit job demo"} {
			if status, out, errs := d.try(strings.Fields(args)...); status != 1 || !strings.Contains(errs, "log targeting is damaged at commit") {
				t.Errorf("%s, %s: exit status %d\n%s%s", how, args, status, out, errs)
			}
		}
		if _, err := os.Stat(filepath.Join(d.data, "endpoints.json")); err == nil {
			t.Errorf("%s: it was served", how)
		}
	}
}
