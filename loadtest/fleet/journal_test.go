package fleet

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/loadtest/agent"
)

func write(t *testing.T, path string, facts ...agent.Fact) {
	t.Helper()
	j, err := openJournal(path, func(agent.Fact) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	if err := j.write(facts); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) (facts []agent.Fact) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := ReadJournal(bytes.NewReader(data), func(f agent.Fact) error { facts = append(facts, f); return nil }); err != nil {
		t.Fatal(err)
	}
	return facts
}

// A journal that is cut anywhere tells every whole line, and can be written on.
func TestAJournalCutAnywhereIsReadAndWrittenOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	a := agent.Fact{At: 1, What: agent.Started, Thing: "d", Job: "a", Number: 1}
	b := agent.Fact{At: 2, What: agent.Finished, Thing: "d", Job: "a", Number: 1, Status: agent.Succeeded}
	write(t, path, a, b)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(data) + 1 {
		if err := os.WriteFile(path, data[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		want := append([]agent.Fact{a, b}[:bytes.Count(data[:cut], []byte("\n"))], b)
		write(t, path, b)
		got := read(t, path)
		if len(got) != len(want) || got[0] != want[0] || got[len(got)-1] != b {
			t.Fatalf("cut at %d: %+v, want %+v", cut, got, want)
		}
	}
}

func TestALineThatIsNoFactIsNamed(t *testing.T) {
	good := `{"at":1,"fact":"started","thing":"d"}` + "\n"
	for name, text := range map[string]string{
		"not JSON": good + "what?\n", "no kind": good + `{"thing":"d"}` + "\n", "no thing": good + `{"fact":"started"}` + "\n",
		"too long": good + strings.Repeat(" ", lineMax) + good,
	} {
		err := ReadJournal(strings.NewReader(text), func(agent.Fact) error { return nil })
		if err == nil || !strings.HasPrefix(err.Error(), "line 2") {
			t.Errorf("%s: got %v, want an error of line 2", name, err)
		}
	}
}

// Whatever stands in a journal: reading ends, and what was read is read again from what it was written as.
func FuzzReadJournal(f *testing.F) {
	f.Add([]byte(`{"at":1,"fact":"started","thing":"d","job":"a","number":1}` + "\n" + `{"at":2,"fact":"repor`))
	f.Add([]byte("\n\n"))
	f.Add([]byte(`{"fact":"reported","thing":"\ud800","ns":-1}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var facts []agent.Fact
		whole, err := readJournal(bytes.NewReader(data), func(f agent.Fact) error { facts = append(facts, f); return nil })
		if whole > int64(len(data)) || whole > 0 && data[whole-1] != '\n' {
			t.Fatalf("%d of %d bytes are whole lines", whole, len(data))
		}
		if err == nil && bytes.Count(data, []byte("\n")) != len(facts) {
			t.Fatalf("%d facts in %q", len(facts), data)
		}
		if _, err := Summarize(bytes.NewReader(data[:whole])); err != nil {
			t.Fatalf("what was read once is not read again: %v", err)
		}
	})
}
