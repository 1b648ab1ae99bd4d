package jetstream_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/eventstore/jetstream"
	"github.com/droverhq/drover/proto/id"
)

// build builds the server's program.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "nats-server")
	out, err := exec.Command("go", "build", "-o", program, "github.com/nats-io/nats-server/v2").CombinedOutput()
	if err != nil {
		t.Fatalf("build nats-server: %v: %s", err, out)
	}
	return program
}

// process is a server in a process of its own.
type process struct {
	client, monitor string
	*os.Process
}

// startProcess starts one whose jetstream block holds settings too.
func startProcess(t *testing.T, program, settings string) process {
	t.Helper()
	return startConfigured(t, program, fmt.Sprintf(`
		server_name: apart
		jetstream { store_dir: store, max_file: 1GB, max_mem: 64MB, %s }
		accounts {
			SYS: { users: [{user: system, password: s}] }
			APP: { jetstream: enabled, users: [{user: app, password: a}] }
		}
		system_account: SYS`, settings))
}

// startConfigured starts one with a configuration, in a folder of its own and on any free ports.
func startConfigured(t *testing.T, program, config string) process {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "nats.conf")
	listen := fmt.Sprintf("listen: \"127.0.0.1:-1\", http: \"127.0.0.1:-1\", ports_file_dir: %q\n", dir)
	if err := os.WriteFile(file, []byte(listen+config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-c", file)
	cmd.Dir = dir
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	var ports struct{ Nats, Monitoring []string }
	eventually(t, "the server tells its ports", func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, "*.ports"))
		if len(files) == 0 {
			return false
		}
		data, _ := os.ReadFile(files[0])
		return json.Unmarshal(data, &ports) == nil && len(ports.Nats) > 0 && len(ports.Monitoring) > 0
	})
	return process{ports.Nats[0], ports.Monitoring[0], cmd.Process}
}

// as is the URL for a user.
func (p process) as(user, password string) string {
	u, _ := url.Parse(p.client)
	u.User = url.UserPassword(user, password)
	return u.String()
}

func TestAServerThatDoesNotFlushIsRefused(t *testing.T) {
	program := build(t)
	for _, tc := range []struct {
		settings string
		lazy     bool
	}{
		{"sync_interval: always", false},
		{"", true},
		{`sync_interval: "10s"`, true},
	} {
		t.Run(tc.settings, func(t *testing.T) {
			ctx, p := within(t), startProcess(t, program, tc.settings)
			b := open(t, connect(t, p.as("app", "a")), id.JobLog, jetstream.Options{Create: true})
			servers, err := b.Servers(ctx)
			if err != nil || len(servers) != 1 || servers[0] != "apart" {
				t.Fatalf("the log is held by %v (%v), want apart", servers, err)
			}
			for from, settings := range map[string]jetstream.Settings{
				"system account": {System: connect(t, p.as("system", "s"))},
				"monitor":        {Monitors: []string{p.monitor}},
			} {
				var err error
				eventually(t, from+" says whether apart flushes", func() bool { // a busy one may not say so in time
					var unsafe *jetstream.UnsafeSyncError
					err = jetstream.CheckSync(ctx, servers, settings)
					return !tc.lazy && err == nil || tc.lazy && errors.As(err, &unsafe) && unsafe.Lazy["apart"] != ""
				})
				if tc.lazy {
					for _, word := range []string{"apart", "sync_interval: always", "--allow-unsafe-sync"} {
						if !strings.Contains(err.Error(), word) {
							t.Errorf("%s: %q does not name %s", from, err, word)
						}
					}
				}
			}
		})
	}
}

func TestASettingThatCannotBeReadCountsAsUnsafe(t *testing.T) {
	ctx, p := within(t), startProcess(t, build(t), "sync_interval: always")
	for from, settings := range map[string]jetstream.Settings{
		"nothing":             {},
		"an ordinary account": {System: connect(t, p.as("app", "a"))},
		"no monitor there":    {Monitors: []string{"http://127.0.0.1:1"}},
		"not a monitor":       {Monitors: []string{p.monitor + "/healthz?"}},
	} {
		err := jetstream.CheckSync(ctx, []string{"apart"}, settings)
		var unsafe *jetstream.UnsafeSyncError
		if !errors.As(err, &unsafe) || unsafe.Unread["apart"] == "" || !strings.Contains(err.Error(), "--allow-unsafe-sync") {
			t.Errorf("%s: got %v, want that apart cannot be read", from, err)
		}
	}
	eventually(t, "another alone cannot be read", func() bool {
		err := jetstream.CheckSync(ctx, []string{"apart", "another"}, jetstream.Settings{Monitors: []string{p.monitor}})
		var unsafe *jetstream.UnsafeSyncError
		return errors.As(err, &unsafe) && unsafe.Unread["another"] != "" && len(unsafe.Unread) == 1
	})
	if err := jetstream.CheckSync(ctx, nil, jetstream.Settings{Monitors: []string{p.monitor}}); err == nil {
		t.Error("no server at all counts as safe")
	}
}
