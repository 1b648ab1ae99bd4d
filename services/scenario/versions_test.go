package scenario

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/services/host"
	"github.com/droverhq/drover/services/sim/stage"
)

// versionsFile says, for every story, what rows its logs leave at which version: a line is a story, whose state, its
// version, the hash of the story's logs, and that of the rows.
const versionsFile = "testdata/versions"

// The same logs leave the same rows, or the version of the rows is another one. A story that has changed has other logs,
// and shows nothing until its lines are written anew, with -update.
func TestRowsThatChangeHaveAnotherVersion(t *testing.T) {
	was := readVersions(t)
	var now strings.Builder
	compared := 0
	for _, path := range stories(t) {
		story := filepath.Base(path)
		r, text := play(t, path)
		limits, err := readLimits(text)
		if err != nil {
			t.Fatal(err)
		}
		logs := hashLogs(t, r.Logs)
		for _, f := range foldAll(t, r.Logs, limits) {
			is := rowsOf{f.version, logs, f.rows}
			fmt.Fprintln(&now, story, f.of, is.version, is.logs, is.rows)
			before, known := was[story+" "+f.of]
			if !known || before.logs != is.logs {
				continue
			}
			compared++
			if before.version == is.version && before.rows != is.rows {
				t.Errorf("%s: the state of %s is not what it was, and is of version %s still: raise StateVersion of the core (or rowsVersion of services/host, or projections.Version)", story, f.of, is.version)
			}
			if before.version != is.version && !*update {
				t.Errorf("%s: the state of %s is of version %s now: write that down, with -update", story, f.of, is.version)
			}
		}
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(versionsFile, []byte(now.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if lines := strings.Count(now.String(), "\n"); compared < lines*3/4 {
		t.Errorf("of %d states only %d have the logs of %s: write them anew, with -update", lines, compared, versionsFile)
	}
}

// rowsOf is what is known of one state in one story.
type rowsOf struct{ version, logs, rows string }

func readVersions(t *testing.T) map[string]rowsOf {
	t.Helper()
	text, err := os.ReadFile(versionsFile)
	if err != nil && !(*update && os.IsNotExist(err)) {
		t.Fatal(err)
	}
	was := map[string]rowsOf{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) != 5 {
			t.Fatalf("%s: %q", versionsFile, lines.Text())
		}
		was[f[0]+" "+f[1]] = rowsOf{f[2], f[3], f[4]}
	}
	return was
}

// folded is a state that was folded anew: whose, the version of its rows, and their hash.
type folded struct{ of, version, rows string }

// foldAll folds the states of all cores, and the read models.
func foldAll(t *testing.T, logs []*eventstore.Log, limits stage.Limits) (all []folded) {
	t.Helper()
	for i, l := range stage.Logs(homes, limits) {
		state := kv.NewMemory()
		cfg := l.Config(state, "owner", &hosted{})
		cfg.Log = logs[i]
		for k, u := range cfg.Upstream {
			cfg.Upstream[k] = logs[slices.IndexFunc(logs, func(l *eventstore.Log) bool { return l.Name() == u.Name() })]
		}
		if _, err := host.Boot(context.Background(), cfg); err != nil {
			t.Fatalf("%s: %v", l.Name, err)
		}
		all = append(all, folded{l.Name.String(), host.StateVersion(cfg.Core), hashRows(state)})
	}
	models := kv.NewMemory()
	if _, err := projections.Rebuild(context.Background(), logs, models, nil, nil); err != nil {
		t.Fatal(err)
	}
	return append(all, folded{"models", projections.Version, hashRows(models)})
}

func hashLogs(t *testing.T, logs []*eventstore.Log) string {
	t.Helper()
	h := sha256.New()
	for _, l := range logs {
		_, last, err := l.Bounds(context.Background())
		if err == nil {
			var c *eventstore.Commit
			if c, err = l.Read(context.Background(), last); err == nil {
				mark := c.Mark()
				h.Write(mark.Hash[:]) // of a chain
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return short(h)
}

func hashRows(state kv.Reader) string {
	h := sha256.New()
	for key, value := range state.Scan(nil, nil) {
		h.Write(kv.Row(nil).Bytes(key).Bytes(value))
	}
	return short(h)
}

func short(h hash.Hash) string { return fmt.Sprintf("%x", h.Sum(nil)[:6]) }
