package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/services/node"
)

// patience is how long a test waits for what must happen; nothing is measured by it, for a busy machine may take its time.
const patience = 90 * time.Second

// binary is the real program, built once for all tests of this package.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "drover-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "drover")
	build := exec.Command("go", "build", "-o", path, "../..")
	if out, err := build.CombinedOutput(); err != nil {
		return path, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

var built atomic.Bool

func TestMain(m *testing.M) {
	status := m.Run()
	if built.Load() {
		if path, err := binary(); err == nil {
			os.RemoveAll(filepath.Dir(path))
		}
	}
	os.Exit(status)
}

// drover is the program with a data folder.
type drover struct {
	t    *testing.T
	path string
	data string
	up   *process // the system; nil while it is stopped
}

func newDrover(t *testing.T) *drover {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	built.Store(true)
	return &drover{t: t, path: path, data: filepath.Join(t.TempDir(), "data")}
}

// process is one run of the program in the background.
type process struct {
	cmd    *exec.Cmd
	output *lockedBuffer
	exited chan struct{} // closed when err is there
	err    error
}

// lockedBuffer is written by a process and read by the test.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start runs the program in the background; it is killed at the end of the test if it still runs.
func (d *drover) start(args ...string) *process {
	d.t.Helper()
	p := &process{cmd: exec.Command(d.path, args...), output: &lockedBuffer{}, exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	d.t.Cleanup(p.kill)
	return p
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.exited
}

// begin starts the system without waiting for it.
func (d *drover) begin() {
	d.t.Helper()
	d.up = d.start("up", "--data", d.data, "--homes", "2", "--nats-port", "0", "--leaf-port", "0", "--mqtt-port", "0", "--device-port", "0",
		"--http-port", "0", "--monitor-port", "0")
}

// awaitReady waits until the system has written its endpoints.
func (d *drover) awaitReady() {
	d.t.Helper()
	d.eventually(patience, "the system is ready", func() bool {
		select {
		case <-d.up.exited:
			d.t.Fatalf("drover up has ended: %v\n%s", d.up.err, d.up.output)
		default:
		}
		e, err := node.ReadEndpoints(d.data)
		return err == nil && e.PID == d.up.cmd.Process.Pid
	})
}

// stop is a graceful stop.
func (d *drover) stop() {
	d.t.Helper()
	if err := d.up.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	select {
	case <-d.up.exited:
	case <-time.After(patience):
		d.t.Fatalf("drover up does not stop\n%s", d.up.output)
	}
	if d.up.err != nil {
		d.t.Fatalf("drover up ended with %v\n%s", d.up.err, d.up.output)
	}
	if _, err := node.ReadEndpoints(d.data); err == nil {
		d.t.Error("endpoints.json is there after a stop")
	}
	d.up = nil
}

func (d *drover) eventually(within time.Duration, what string, holds func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(within); !holds(); {
		if time.Now().After(deadline) {
			log := ""
			if d.up != nil {
				log = d.up.output.String()
			}
			d.t.Fatalf("it did not come about in %v that %s\n%s", within, what, log)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// try runs a command to its end and returns its exit status and its streams.
func (d *drover) try(args ...string) (status int, stdout, stderr string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, d.path, append(args, "--data", d.data)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatalf("%q: %v", args, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// ask runs a command to its end, as try does, and again while it is told that nothing was changed and it may ask again: on a
// busy machine a log may be without an owner for a moment.
func (d *drover) ask(args ...string) (status int, stdout, stderr string) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		status, stdout, stderr = d.try(args...)
		if status != 4 || time.Now().After(deadline) {
			return status, stdout, stderr
		}
	}
}

// run runs a command that must succeed, and returns its stdout.
func (d *drover) run(args ...string) string {
	d.t.Helper()
	status, out, errs := d.ask(args...)
	if status != 0 {
		d.t.Fatalf("%q: exit status %d\n%s%s", args, status, out, errs)
	}
	return out
}

// read runs a command that must succeed and decodes its JSON.
func (d *drover) read(into any, args ...string) {
	d.t.Helper()
	out := d.run(append(args, "--output", "json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		d.t.Fatalf("%q: %v\n%s", args, err, out)
	}
}

// job is what the tests read of drover job describe.
type job struct {
	Status       string
	IsConcurrent bool
	Counts       struct {
		Queued     int64 `json:"numberOfQueuedThings"`
		InProgress int64 `json:"numberOfInProgressThings"`
		Succeeded  int64 `json:"numberOfSucceededThings"`
		Failed     int64 `json:"numberOfFailedThings"`
		Canceled   int64 `json:"numberOfCanceledThings"`
		TimedOut   int64 `json:"numberOfTimedOutThings"`
		Selected   int64
		Released   int64
		Dropped    int64
		Refused    int64
	} `json:"jobProcessDetails"`
}

// recount is what the tests read of drover audit job.
type recount struct {
	Status      string
	Selected    int64
	Released    int64
	Executions  int64
	Counts      map[string]int64
	Transitions int64
	VersionGaps int64
	Ended       int64
	EndedTwice  int64
	FirstAt     time.Time
	LastAt      time.Time
	Journal     struct{ ReportsAccepted, ReportsRepeated, Sent, Answered, Waiting, Unanswered int }
	Violations  []struct{ Rule, At, What string }
}

func (d *drover) audit(status int, args ...string) recount {
	d.t.Helper()
	got, out, errs := d.try(append([]string{"audit", "job", "--output", "json"}, args...)...)
	if got != status {
		d.t.Errorf("audit job %q: exit status %d, want %d\n%s%s", args, got, status, out, errs)
	}
	var r recount
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		d.t.Fatalf("%v\n%s%s", err, out, errs)
	}
	return r
}

// writeTemp writes a file that goes away with the test.
func writeTemp(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
