package node_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/node"
)

// history runs a job on 50 things, 50 reports and more, each a commit of its own, and returns two copies of the
// folder: as kill -9 would have left it, and as it is after a graceful stop.
func history(t *testing.T) (killed, stopped string) {
	t.Helper()
	data := t.TempDir()
	s := start(t, data)
	s.fleet(50)
	s.job("j")
	s.until("j", func(r *v1.DescribeJobReply) bool { return attempts(r, queued) == 50 })
	for i := range 50 {
		must(t)(bus.StartNext.Call(t.Context(), s.client, &v1.StartNext{Thing: fmt.Sprint("t-", i)}))
	}
	killed = t.TempDir()
	copyFolder(t, data, killed)
	s.stop()
	return killed, data
}

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // a temporary file of a running system
			}
			return err
		}
		rel, _ := filepath.Rel(from, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || d.Name() == "endpoints.json" {
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), text, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// block is the file that holds the commits of log execution.0.
func block(t *testing.T, data string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(data, "hub", "jetstream", "*", "streams", "log-execution-0-0001", "msgs", "*.blk"))
	if err != nil || len(found) != 1 {
		t.Fatalf("block files: %v, %v", found, err)
	}
	return found[0]
}

func flip(third int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[len(b)*(2*third+1)/6] ^= 0x10
		return b
	}
}

// A system on a log that does not hold what it held stops, names the log, and serves nothing.
func TestADamagedLogStopsTheSystem(t *testing.T) {
	killed, stopped := history(t)
	harm := map[string]func([]byte) []byte{
		"bit in the first third":  flip(0),
		"bit in the second third": flip(1),
		"bit in the last third":   flip(2),
		// The server takes a changed number at its word and would fill the gap up to it: the files are looked at first.
		"number of a record": func(b []byte) []byte { b[4+5] ^= 0x40; return b },
		"truncated":          func(b []byte) []byte { return b[:len(b)/2] },
		"tail cut":           func(b []byte) []byte { return b[:len(b)-1] },
		"empty":              func([]byte) []byte { return nil },
	}
	for how, folder := range map[string]string{"after kill -9": killed, "after a stop": stopped} {
		for what, change := range harm {
			t.Run(what+" "+how, func(t *testing.T) {
				data := t.TempDir()
				copyFolder(t, folder, data)
				file := block(t, data)
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, change(text), 0o600); err != nil {
					t.Fatal(err)
				}
				n, err := node.Start(context.Background(), config(data))
				if err == nil {
					n.Close()
					t.Fatal("it serves")
				}
				var damage *eventstore.DamageError
				if !errors.As(err, &damage) || !strings.Contains(err.Error(), "execution.0") || damage.First == 0 {
					t.Fatalf("got %v", err)
				}
				if _, err := os.Stat(node.EndpointsFile(data)); !errors.Is(err, fs.ErrNotExist) {
					t.Fatalf("endpoints.json: %v", err)
				}
				t.Log(err)
			})
		}
	}
}

// Undamaged, both folders are served: the test above would pass on a system that never starts.
func TestBothFoldersAreServedUndamaged(t *testing.T) {
	killed, stopped := history(t)
	for _, data := range []string{killed, stopped} {
		s := start(t, data)
		r, err := bus.DescribeJob.Call(t.Context(), s.client, &v1.DescribeJob{JobId: "j", Freshness: &v1.Freshness{Fresh: true}})
		if err != nil || attempts(r, v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS) != 50 {
			t.Fatalf("%v, %v", r, err)
		}
	}
}
