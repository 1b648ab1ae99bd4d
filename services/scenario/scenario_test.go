package scenario

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/services/audit"
	"github.com/droverhq/drover/services/audit/invariants"
)

var update = flag.Bool("update", false, "write what happens into the stories")

// play plays a story file, and holds what its logs say against the invariants.
func play(t *testing.T, path string) (*Result, string) {
	t.Helper()
	story, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Play(string(story))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	h, err := audit.Read(context.Background(), r.Logs, nil)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for _, v := range invariants.Check(h) {
		t.Errorf("%s: %s", path, v)
	}
	return r, string(story)
}

// What the abort of a story says of itself is what drover audit abort recounts from the executions alone.
func TestAbortsOfStoriesAreRecounted(t *testing.T) {
	aborts := 0
	for _, path := range stories(t) {
		r, _ := play(t, path)
		h, err := audit.Read(context.Background(), r.Logs, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range h.JobsInOrder() {
			if len(j.Aborts) == 0 || len(j.Criteria) > 1 {
				continue
			}
			aborts++
			a, err := audit.ReadAbort(context.Background(), r.Logs, j.ID)
			if err != nil {
				t.Fatal(err)
			}
			told := a.Triggered
			if a.Wrong != "" {
				t.Errorf("%s: %s", path, a.Wrong)
			}
			if at := a.Crossing.Log.Position(a.Crossing.Number, 0); !a.Crossed || !proto.Equal(told.GetCrossing(), at) ||
				int(told.GetCriterion()) != a.Criterion || int64(told.GetFailures()) != a.Failures || int64(told.GetExecuted()) != a.Executed {
				t.Errorf("%s: %s says %v; recounted: criterion %d is met by %v, %d of %d", path, j.ID, told, a.Criterion, a.Crossing, a.Failures, a.Executed)
			}
		}
	}
	if aborts < 3 {
		t.Errorf("%d aborts in all stories", aborts)
	}
}

func stories(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	return paths
}

// Every story happens as it is written. -update writes it anew: read the difference before it is kept.
func TestStories(t *testing.T) {
	for _, path := range stories(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			r, story := play(t, path)
			if !strings.HasPrefix(story, "# ") {
				t.Errorf("%s has no title", path)
			}
			if r.Text == story {
				return
			}
			if *update {
				if err := os.WriteFile(path, []byte(r.Text), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s: %s\n\tgo test ./services/scenario -run TestStories -update", path, firstDifference(story, r.Text))
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		a, b := "(the end)", "(the end)"
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return "line " + strings.Join([]string{strconv.Itoa(i + 1), "the story has\n\t\t" + a, "what happens is\n\t\t" + b}, ", ")
		}
	}
	return "no difference"
}
