// Package sdktest drives AWS's API of a running Drover with AWS's own Go SDKs. It is a module of its own, so that who uses
// Drover does not inherit them. It knows the program only as its users do: a binary, the files in its data folder, HTTP.
//
// It promises that every operation of services/fronts/aws/README.md was called, by both SDKs where both have it, and that
// every error that AWS documents for one of them was met as the SDK's own type, but for those that unmet names with why.
// A scenario is written once, in AWS's names, and played by each SDK: client_test.go says how.
package sdktest

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen; nothing is measured by it.
const patience = 60 * time.Second

// Where the program under test comes from, and what is said of its operations.
const (
	parentModule = "../../../.."
	readme       = "../README.md"
)

// The account and the region of the systems under test.
const (
	account = "123456789012"
	region  = "eu-central-1"
)

// binary is the program under test, as an absolute path. It is built unless -drover names one.
var binary string

var given = flag.String("drover", "", "the `program` under test (default: it is built)")

func TestMain(m *testing.M) {
	os.Exit(func() int {
		flag.Parse()
		var err error
		if folder, err = os.MkdirTemp("", "drover-sdktest-"); err == nil {
			defer os.RemoveAll(folder)
			binary, err = program()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer stopAll()
		status := m.Run()
		if wholeRun() {
			status = max(status, seen.report())
		}
		return status
	}())
}

// folder holds what the tests write, and is removed at their end.
var folder string

// program is the path of the program under test.
func program() (string, error) {
	if *given != "" {
		return filepath.Abs(*given)
	}
	path := filepath.Join(folder, "drover")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir = parentModule
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// system is a running Drover as its clients see it.
type system struct {
	url               string // of its HTTP listener
	accessKey, secret string
	profile           string // the folder of the files config and credentials for AWS's clients
	pid               int
}

var (
	// The systems that tests share: starting one takes a second or two. Tests use names of their own.
	plain = sync.OnceValues(func() (*system, error) { return start() })
	// limited holds AWS's numbers, and AWS's rates.
	limited = sync.OnceValues(func() (*system, error) { return start("--limits", "aws") })
)

func shared(t testing.TB, get func() (*system, error)) *system {
	t.Helper()
	s, err := get()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start runs drover up on a folder of its own and waits until it is ready.
func start(flags ...string) (*system, error) {
	args := append([]string{"up", "--homes", "2", "--region", region, "--account-id", account, "--nats-port", "0", "--leaf-port", "0", "--mqtt-port", "0",
		"--device-port", "0", "--http-port", "0", "--monitor-port", "0"}, flags...)
	p, err := launch(args...)
	if err != nil {
		return nil, err
	}
	s := &system{url: strings.TrimSuffix(p.HTTP, "/"), profile: filepath.Join(p.data, "aws"), pid: p.cmd.Process.Pid}
	s.accessKey, s.secret, err = readCredentials(filepath.Join(s.profile, "credentials"))
	return s, err
}

// process is a run of the program in the background, with a data folder of its own.
type process struct {
	cmd  *exec.Cmd
	data string
	endpoints
}

// endpoints is what is used here of a data folder's endpoints.json.
type endpoints struct{ NATS, HTTP string }

var (
	running   []*process
	runningMu sync.Mutex
)

// served is how drover serve says where AWS's API is; it writes no endpoints.json.
var served = regexp.MustCompile(`AWS's API: (http://[0-9.:]+)`)

// stopAll ends every process that was launched.
func stopAll() {
	for _, p := range running {
		_ = p.cmd.Process.Kill() // it may have ended by itself
	}
}

// launch runs the program and waits until it is ready. It runs until the end of all tests.
func launch(args ...string) (*process, error) {
	data, err := os.MkdirTemp(folder, "data-")
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(binary, append(args, "--data", data)...), data: data}
	output, err := os.Create(data + ".log")
	if err != nil {
		return nil, err
	}
	defer output.Close()
	p.cmd.Stdout, p.cmd.Stderr = output, output
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	runningMu.Lock()
	running = append(running, p)
	runningMu.Unlock()
	exited := make(chan error, 1)
	go func() { exited <- p.cmd.Wait() }()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		said, err := os.ReadFile(output.Name())
		if err != nil {
			return nil, err
		}
		if text, err := os.ReadFile(filepath.Join(data, "endpoints.json")); err == nil && json.Unmarshal(text, &p.endpoints) == nil {
			return p, nil
		}
		if api := served.FindSubmatch(said); api != nil {
			p.HTTP = string(api[1])
			return p, nil
		}
		select {
		case err := <-exited:
			return nil, fmt.Errorf("drover %s ended: %w\n%s", args[0], err, said)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil, fmt.Errorf("drover %s is not ready after %s", args[0], patience)
}

// readCredentials reads the profile drover of a shared credentials file, as AWS's clients do.
func readCredentials(path string) (id, secret string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	profile := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			profile = strings.Trim(line, "[]")
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		if profile != "drover" {
			continue
		}
		switch strings.TrimSpace(name) {
		case "aws_access_key_id":
			id = strings.TrimSpace(value)
		case "aws_secret_access_key":
			secret = strings.TrimSpace(value)
		}
	}
	if id == "" || secret == "" {
		return "", "", fmt.Errorf("%s: no keys of a profile drover", path)
	}
	return id, secret, nil
}
