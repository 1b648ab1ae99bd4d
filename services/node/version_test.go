package node_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/node"
)

// Every state and the read models are of an earlier version, or of none: they are folded anew, and answer as before.
func TestStatesOfAnotherVersionAreFoldedAnew(t *testing.T) {
	data := t.TempDir()
	s := start(t, data)
	s.fleet(10)
	s.job("j")
	s.until("j", func(r *v1.DescribeJobReply) bool { return attempts(r, queued) == 10 })
	must(t)(bus.StartNext.Call(t.Context(), s.client, &v1.StartNext{Thing: "t-3"}))
	started := func(r *v1.DescribeJobReply) bool {
		return attempts(r, v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS) == 1
	}
	before := s.until("j", started)
	ask := &v1.DescribeExecution{Thing: "t-3", JobId: "j"}
	execution, err := bus.DescribeExecution.Call(t.Context(), s.client, ask)
	if err != nil {
		t.Fatal(err)
	}
	s.stop()

	if said := restarts(t, data); len(said) != 0 {
		t.Errorf("at the same version: %v", said)
	}
	files, err := filepath.Glob(filepath.Join(data, "state", "*", "VERSION"))
	if err != nil || len(files) != 5 {
		t.Fatalf("states with a version: %v, %v", files, err)
	}
	files = append(files, filepath.Join(data, "models", "VERSION"))
	for i, f := range files {
		if i%2 == 0 {
			err = os.WriteFile(f, []byte("0"), 0o600)
		} else {
			err = os.Remove(f)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if said := restarts(t, data); len(said) != len(files) {
		t.Errorf("of another version: %v", said)
	}
	s = start(t, data)
	after := s.until("j", started)
	before.Stamp, after.Stamp = nil, nil
	if !proto.Equal(before, after) {
		t.Errorf("the job was %v and is %v", before, after)
	}
	again, err := bus.DescribeExecution.Call(t.Context(), s.client, ask)
	if err != nil || !proto.Equal(again.GetExecution(), execution.GetExecution()) {
		t.Errorf("the execution was %v and is %v, %v", execution, again, err)
	}
}

// restarts starts and stops a system, and returns what it says of states that it folds anew.
func restarts(t *testing.T, data string) (said []string) {
	t.Helper()
	var log bytes.Buffer
	cfg := config(data)
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	n, err := node.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	(&system{Node: n, t: t, data: data}).stop()
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "folded anew") {
			said = append(said, line)
		}
	}
	return said
}
