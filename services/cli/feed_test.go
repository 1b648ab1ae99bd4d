package cli_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAFollowerThatIsKilledHasEveryEventOnce: while a job is rolled out, a process of
// drover events --follow is killed with -9 again and again, and started again behind the last whole line that it wrote; the
// system with its feeder is killed twice, too. In the end the lines are those of the logs themselves: every event once, each
// log, and with it each thing, in its order.
func TestAFollowerThatIsKilledHasEveryEventOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	d := newDrover(t)
	d.begin()
	d.awaitReady()
	f := &followed{drover: d, path: filepath.Join(t.TempDir(), "lines")}

	devices := d.start("simulate", "--data", d.data, "--devices", "100", "--prefix", "press-", "--group", "line", "--fail-rate", "0.1",
		"--work-time", "200ms", "--seed", "7", "--until-jobs", "1")
	d.eventually(patience, "the devices are registered", func() bool {
		_, out, _ := d.try("group", "describe", "line", "--members", "--output", "json")
		return strings.Count(out, "press-") == 100
	})
	f.start()
	d.run("job", "create", "demo", "--document", `{"operation":"install"}`, "--target", "group/line", "--per-minute", "1800")
	for round := range 8 {
		lines := f.lines() + 1 + rng.IntN(60)
		d.eventually(patience, "the follower goes on", func() bool { f.goesOn(); return f.lines() >= lines || f.jobEnded() })
		f.kill()
		if round == 2 || round == 5 {
			d.up.kill()
			d.begin()
			d.awaitReady()
		}
		f.start()
	}
	select {
	case <-devices.exited:
	case <-time.After(2 * patience):
		t.Fatalf("the devices go on\n%s", devices.output)
	}
	d.run("job", "watch", "demo")
	d.run("thing", "create", "the-end")
	all := events(d) // more may be written behind them, of owners
	d.eventually(patience, "the follower has them all", func() bool {
		f.goesOn()
		text := f.text()
		for at := range all {
			if !strings.Contains(text, `"position":"`+at+`"`) {
				return false
			}
		}
		return true
	})
	f.kill()

	logs := events(d)
	last := map[string]uint64{}
	seen := map[string]bool{}
	for line := range strings.Lines(f.text()) {
		at := position(t, line)
		if seen[at] {
			t.Errorf("%s was followed twice", at)
		}
		seen[at] = true
		if want := strings.TrimSuffix(logs[at], "}\n"); want == "" || !strings.HasPrefix(line, want+`,"feed":`) {
			t.Errorf("the feed has\n%sand the log has\n%s", line, logs[at])
		}
		var e struct {
			Type string
			Data struct {
				Thing         json.RawMessage
				VersionNumber uint64
			}
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Type == "ExecutionChanged" {
			thing := string(e.Data.Thing)
			if e.Data.VersionNumber != max(last[thing], 1)+1 {
				t.Errorf("%s: %s has version %d after %d", at, thing, e.Data.VersionNumber, last[thing])
			}
			last[thing] = e.Data.VersionNumber
		}
	}
	t.Logf("%d events, %d runs of the follower", len(seen), f.runs)
	d.stop()
}

// events are the lines of all events in the logs, by position.
func events(d *drover) map[string]string {
	d.t.Helper()
	lines := map[string]string{}
	for line := range strings.Lines(d.run("events", "--output", "json")) {
		lines[position(d.t, line)] = line
	}
	return lines
}

func position(t *testing.T, line string) string {
	t.Helper()
	var e struct{ Position string }
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Position == "" {
		t.Fatalf("%v: %s", err, line)
	}
	return e.Position
}

// followed is drover events --follow, whose lines are in a file.
type followed struct {
	*drover
	path   string
	runs   int
	cmd    *exec.Cmd
	errors *lockedBuffer
	ended  chan struct{} // closed when this run has ended
}

// start goes on behind the last whole line; what was written of another one is cut off.
func (f *followed) start() {
	f.t.Helper()
	text := f.text()
	if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	args := []string{"events", "--follow", "--output", "json", "--data", f.data}
	if text != "" {
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		var e struct{ Feed uint64 }
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &e); err != nil || e.Feed == 0 {
			f.t.Fatalf("%v: %s", err, lines[len(lines)-1])
		}
		args = append(args, "--since", fmt.Sprintf("feed@%d", e.Feed))
	}
	out, err := os.OpenFile(f.path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		f.t.Fatal(err)
	}
	defer out.Close() // the process has it
	f.cmd, f.errors = exec.Command(f.drover.path, args...), &lockedBuffer{}
	f.cmd.Stdout, f.cmd.Stderr = out, f.errors
	if err := f.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	cmd, ended := f.cmd, make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	f.t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	f.ended = ended
	f.runs++
}

func (f *followed) kill() {
	_ = f.cmd.Process.Kill()
	<-f.ended
}

// goesOn starts it again if it has ended by itself, as one does who finds that nobody serves the feed yet.
func (f *followed) goesOn() {
	f.t.Helper()
	select {
	case <-f.ended:
	default:
		return
	}
	if status := f.cmd.ProcessState.ExitCode(); status != 4 {
		f.t.Fatalf("the follower has ended with status %d: %s", status, f.errors)
	}
	f.start()
}

// text is every whole line.
func (f *followed) text() string {
	text, err := os.ReadFile(f.path)
	if err != nil && !os.IsNotExist(err) {
		f.t.Fatal(err)
	}
	return string(text[:strings.LastIndexByte(string(text), '\n')+1])
}

func (f *followed) lines() int { return strings.Count(f.text(), "\n") }

func (f *followed) jobEnded() bool { return strings.Contains(f.text(), `"JobCompleted"`) }
