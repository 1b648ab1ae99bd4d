package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/spf13/cobra"
)

// system is a running Drover, known by its data folder.
type system struct {
	NATS    string `json:"nats"`    // the hub, for operators
	Devices string `json:"devices"` // the device leaf
	Monitor string `json:"monitor"`
	PID     int    `json:"pid"`

	data string
	cmd  *exec.Cmd // nil unless it was started here
	log  *os.File
}

func dataFlag(c *cobra.Command) *string {
	home, _ := os.UserHomeDir()
	return c.Flags().String("data", filepath.Join(home, ".local/state/drover"), "data folder of a running drover up")
}

// openSystem reads the endpoints file of a data folder.
func openSystem(data string) (*system, error) {
	path := filepath.Join(data, "endpoints.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w; is `drover up --data %s` running?", err, data)
	}
	s := &system{data: data}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// startSystem runs `drover up` in a new folder until stop is called.
func startSystem(ctx context.Context, program string, flags ...string) (*system, error) {
	data, err := os.MkdirTemp("", "drover-load.")
	if err != nil {
		return nil, err
	}
	log, err := os.Create(data + ".log")
	if err != nil {
		return nil, err
	}
	args := append([]string{"up", "--data", data, "--nats-port", "0", "--leaf-port", "0", "--mqtt-port", "0", "--http-port", "0", "--monitor-port", "0", "--device-port", "0"}, flags...)
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	started := &system{data: data, cmd: cmd, log: log}
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		if s, err := openSystem(data); err == nil {
			s.cmd, s.log = cmd, log
			return s, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	started.stop(true)
	return nil, fmt.Errorf("%s up was not ready within 30 s; see %s.log", program, data)
}

// stop ends what startSystem started, and removes its folder unless it is to be kept.
func (s *system) stop(keep bool) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-done
	}
	s.log.Close()
	if !keep {
		os.RemoveAll(s.data)
		os.Remove(s.data + ".log")
	}
}

// service connects as the user `service` of the hub, with the password from <data>/auth: it may write streams of its own
// beside the logs.
func (s *system) service(name string) (*nats.Conn, error) {
	text, err := os.ReadFile(filepath.Join(s.data, "auth"))
	if err != nil {
		return nil, fmt.Errorf("the hub's passwords: %w", err)
	}
	var auth struct{ Service string }
	if err := json.Unmarshal(text, &auth); err != nil || auth.Service == "" {
		return nil, fmt.Errorf("%s/auth holds no password for the user service", s.data)
	}
	return nats.Connect(s.NATS, nats.Name(name), nats.UserInfo("service", auth.Service), nats.MaxReconnects(-1))
}

// device connects to the device leaf, as a thing.
func (s *system) device(thing string) (*nats.Conn, error) {
	return nats.Connect(s.Devices, nats.Name(thing), nats.CustomInboxPrefix("$aws.things."+thing+".jobs.$inbox"), nats.MaxReconnects(-1))
}

// build is what the running server says it was built from.
func build(nc *nats.Conn) string {
	m, err := nc.Request("$SRV.INFO.drover-job", nil, 2*time.Second)
	if err != nil {
		return "unknown"
	}
	var info micro.Info
	if err := json.Unmarshal(m.Data, &info); err != nil || info.Metadata["build"] == "" {
		return "unknown"
	}
	return info.Metadata["build"]
}

// metric reads one value from the monitor's Prometheus metrics: the largest, if several have the name.
func (s *system) metric(name string) (value float64, found bool) {
	if s.Monitor == "" {
		return 0, false
	}
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(strings.TrimSuffix(s.Monitor, "/") + "/metrics")
	if err != nil {
		return 0, false
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		if v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64); err == nil {
			value, found = max(value, v), true
		}
	}
	return value, found
}

// longestAppend is the metric of the hosts, in ms since they started; -1 if there is none.
func (s *system) longestAppend() float64 {
	if v, ok := s.metric("drover_append_longest_seconds"); ok {
		return v * 1000
	}
	return -1
}

// peakMemory is the most memory that a process has had resident, in bytes.
func peakMemory(pid int) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("the kernel tells no VmHWM")
}

// cpuOf is the CPU time that a process has used; 0 if the kernel does not tell.
func cpuOf(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// Behind the name, which may hold anything: state is field 3, utime 14, stime 15, in ticks of 10 ms.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// cpuTimes are the machine's CPU ticks so far: all of them, and those that other machines took (steal).
type cpuTimes struct{ all, steal uint64 }

func readCPU() (t cpuTimes) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return t
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line) {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil || i > 8 {
			continue // the name; guest time, which is counted already
		}
		t.all += n
		if i == 8 {
			t.steal = n
		}
	}
	return t
}

// stealSince is the part of the CPU time since before that other machines took, in percent.
func stealSince(before cpuTimes) float64 {
	now := readCPU()
	if now.all == before.all {
		return 0
	}
	return 100 * float64(now.steal-before.steal) / float64(now.all-before.all)
}
