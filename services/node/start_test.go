package node_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A crash of the first start leaves logs that were made with the bounds of that moment's disk.
func TestAFirstStartThatWasKilledIsGoneOnWith(t *testing.T) {
	data := t.TempDir()
	start(t, data).stop()
	path := filepath.Join(data, "system.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before := strings.Replace(string(text), `"logsCreated": true`, `"logsCreated": false`, 1)
	if before == string(text) {
		t.Fatalf("system.json: %s", text)
	}
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	// The disk has less room than then.
	if err := os.WriteFile(filepath.Join(data, "other"), make([]byte, 64<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, data).fleet(1)
}
