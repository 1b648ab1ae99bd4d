package cli

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// What docker-compose.yml starts are command lines of this program. deploy/lib.sh reads them line by line too.
func TestComposeStartsCommandLines(t *testing.T) {
	text, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`^  ([a-z0-9-]+):$`)
	name, starts := "", map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if m := named.FindStringSubmatch(line); m != nil {
			name = m[1]
		}
		list, ok := strings.CutPrefix(line, "    command: ")
		if !ok {
			continue
		}
		var words []string
		if err := json.Unmarshal([]byte(list), &words); err != nil || strings.Contains(strings.Join(words, ""), `"`) {
			t.Fatalf("%s: %s: %v", name, list, err)
		}
		c, rest, err := testRoot().Find(words)
		if err == nil {
			err = c.ParseFlags(rest)
		}
		if err == nil {
			err = c.ValidateArgs(c.Flags().Args())
		}
		if err != nil || !c.Runnable() {
			t.Errorf("%s: %q: %v", name, words, err)
			continue
		}
		if n, err := c.Flags().GetString("name"); err == nil && n != name {
			t.Errorf("%s calls itself %s", name, n)
		}
		starts[name] = words[0] + " " + words[1]
	}
	for name, command := range map[string]string{
		"hub-1": "broker hub", "hub-2": "broker hub", "hub-3": "broker hub", "leaf-1": "broker leaf",
		"job-1": "serve job", "targeting-1": "serve targeting", "rollout-1": "serve rollout", "execution-1": "serve execution", "execution-2": "serve execution",
		"projections-1": "serve projections", "projections-2": "serve projections", "inbox-1": "serve inbox", "feed-1": "serve feed", "http-1": "serve http",
	} {
		if starts[name] != command {
			t.Errorf("%s starts %q, want %q", name, starts[name], command)
		}
	}
}
