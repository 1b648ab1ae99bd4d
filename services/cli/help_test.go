package cli

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// everyCommand visits the commands of this program, not those that cobra adds.
func everyCommand(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, child := range c.Commands() {
		if child.Name() != "help" && child.Name() != "completion" {
			everyCommand(child, visit)
		}
	}
}

func testRoot() *cobra.Command {
	return newRoot(&app{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
}

func TestEveryCommandTeachesItself(t *testing.T) {
	everyCommand(testRoot(), func(c *cobra.Command) {
		topic := !c.Runnable()
		if c.Short == "" || c.Long == "" || c.Example == "" && !topic {
			t.Errorf("%s: short %q, long %q, example %q: all are needed", c.CommandPath(), c.Short, c.Long, c.Example)
		}
		if strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: %q ends with a full stop", c.CommandPath(), c.Short)
		}
		for line := range strings.Lines(c.Long) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 130 {
				t.Errorf("%s: a line of its help has %d characters: %s", c.CommandPath(), n, line)
			}
		}
	})
}

func TestEveryExampleIsACommandLine(t *testing.T) {
	everyCommand(testRoot(), func(documented *cobra.Command) {
		for line := range strings.Lines(documented.Example) {
			words := shellWords(t, line)
			root := testRoot()
			c, rest, err := root.Find(words[1:])
			if err != nil || words[0] != "drover" {
				t.Errorf("%s: %s%v", documented.CommandPath(), line, err)
				continue
			}
			if documented.HasParent() && !strings.HasPrefix(c.CommandPath(), documented.CommandPath()) && documented.HasSubCommands() {
				t.Errorf("%s: its example is of another command: %s", documented.CommandPath(), line)
			}
			if err := c.ParseFlags(rest); err != nil {
				t.Errorf("%s: %s%v", documented.CommandPath(), line, err)
				continue
			}
			if err := c.ValidateArgs(c.Flags().Args()); err != nil {
				t.Errorf("%s: %s%v", documented.CommandPath(), line, err)
			}
			if c.HasSubCommands() {
				t.Errorf("%s: the example does nothing: %s", documented.CommandPath(), line)
			}
		}
	})
}

// shellWords splits a line as a shell does, so far as our examples need it.
func shellWords(t *testing.T, line string) []string {
	t.Helper()
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		end := " "
		if q := line[:1]; q == "'" || q == `"` {
			end, line = q, line[1:]
		}
		word, rest, _ := strings.Cut(line, end)
		words, line = append(words, word), rest
	}
	if len(words) < 2 {
		t.Fatalf("%q is no command line", line)
	}
	return words
}

func TestHelpListsCommandsInTheirGroups(t *testing.T) {
	r := runIn(t, "", "--help")
	wantResult(t, r, exitDone, "Fleet:", "Jobs:", "Record:", "exit-status", "completion")
	for _, c := range testRoot().Commands() {
		if c.Runnable() && c.GroupID == "" && !slices.Contains([]string{"help", "completion"}, c.Name()) {
			t.Errorf("%s is in no group", c.Name())
		}
	}
}

func TestCompletionIsOffered(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		wantResult(t, runIn(t, "", "completion", shell), exitDone, "drover")
	}
}

func TestCompletionAsksTheSystemForNames(t *testing.T) {
	s := newSystem(t)
	serveLists(s)
	s.want(s.run("__complete", "job", "describe", ""), exitDone, "fw-1\n")
	s.want(s.run("__complete", "execution", "describe", "fw-1", "press"), exitDone, "press-07\n")
	s.want(s.run("__complete", "group", "describe", ""), exitDone, "press-line\n")
	s.want(s.run("__complete", "job", "list", "--status", ""), exitDone, "IN_PROGRESS\n")
}
