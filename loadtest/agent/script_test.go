package agent_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/loadtest/agent"
)

var rewrite = flag.Bool("rewrite", false, "write the traces of testdata/script anew")

// A script is a device's life, its trace under each line. A line is a time and what happens then:
//
//	0s    new work=10s progress=1 patience=2s fails=job-b
//	0s    recall started|finished JOB/N [STATUS]
//	0s    connect | disconnect | tick
//	0s    notice [JOB/N STATUS vVERSION]
//	0s    accept TOKEN [JOB/N STATUS vVERSION]      to a start-next
//	0s    accepted TOKEN [vVERSION]                 to an update
//	0s    reject TOKEN CODE [STATUS vVERSION]
//
// In the trace a fact begins with a dot, a request, which is a fact Sent as well, with an arrow, and "at" is when it wants
// to be woken.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got != string(text) {
				t.Errorf("%s: the trace is another; see the difference with -rewrite and git diff\n%s", file, got)
			}
		})
	}
}

func play(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	var a *agent.Agent
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "    ") {
			continue // the old trace
		}
		out.WriteString(line + "\n")
		words := strings.Fields(line)
		if len(words) < 2 || words[0] == "#" {
			continue
		}
		at, err := time.ParseDuration(words[0])
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		now := epoch + int64(at)
		var e agent.Effects
		switch args := words[2:]; words[1] {
		case "new":
			a = agent.New(config(t, args))
			continue
		case "recall":
			job, number := execution(t, args[1])
			f := agent.Fact{What: agent.What(args[0]), Job: job, Number: number}
			if len(args) > 2 {
				f.Status = agent.Status(args[2])
			}
			a.Recall(f)
			continue
		case "connect":
			e = a.Connected(now)
		case "disconnect":
			e = a.Disconnected(now)
		case "tick":
			e = a.Tick(now)
		case "notice":
			e = a.Noticed(now, offer(t, args))
		case "accept":
			e = a.Answered(now, agent.Answer{Token: args[0], Accepted: true, Execution: offer(t, args[1:])})
		case "accepted":
			answer := agent.Answer{Token: args[0], Accepted: true}
			if len(args) > 1 {
				answer.State = &agent.State{Version: version(t, args[1])}
			}
			e = a.Answered(now, answer)
		case "reject":
			answer := agent.Answer{Token: args[0], Code: agent.Code(args[1])}
			if len(args) > 2 {
				answer.State = &agent.State{Status: agent.Status(args[2]), Version: version(t, args[3])}
			}
			e = a.Answered(now, answer)
		default:
			t.Fatalf("%q: no such step", line)
		}
		trace(t, &out, e)
		if a.Idle() {
			out.WriteString("    idle\n")
		}
	}
	return out.String()
}

func trace(t *testing.T, out *strings.Builder, e agent.Effects) {
	t.Helper()
	sent := map[string]int{}
	for _, f := range e.Facts {
		if f.What == agent.Sent {
			sent[f.Token]++
			continue
		}
		fmt.Fprintf(out, "    . %s", f.What)
		if f.Job != "" {
			fmt.Fprintf(out, " %s/%d", f.Job, f.Number)
		}
		for _, s := range []string{string(f.Status), string(f.Op), f.Token, string(f.Code)} {
			if s != "" {
				out.WriteString(" " + s)
			}
		}
		if f.Version != 0 {
			fmt.Fprintf(out, " v%d", f.Version)
		}
		if f.Tries != 0 {
			fmt.Fprintf(out, " after %s, %d tries", time.Duration(f.Nanos), f.Tries)
		}
		out.WriteString("\n")
	}
	for _, r := range e.Requests {
		if sent[r.Token]--; sent[r.Token] != 0 {
			t.Errorf("request %s goes out without a fact that says so", r.Token)
		}
		fmt.Fprintf(out, "    > %s %s", r.Op, r.Token)
		if r.Op == agent.Update {
			fmt.Fprintf(out, " %s/%d %s if v%d", r.Job, r.Number, r.Status, r.ExpectedVersion)
		}
		var names []string
		for name := range r.Details {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			fmt.Fprintf(out, " %s=%q", name, r.Details[name])
		}
		out.WriteString("\n")
	}
	for token, n := range sent {
		if n > 0 {
			t.Errorf("the journal says that request %s goes out, and it does not", token)
		}
	}
	if e.Wake != 0 {
		fmt.Fprintf(out, "    at %s\n", time.Duration(e.Wake-epoch).Round(10*time.Millisecond))
	}
}

const epoch = int64(1_700_000_000_000_000_000)

func config(t *testing.T, args []string) agent.Config {
	t.Helper()
	c := agent.Config{Thing: "press-07"}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		var err error
		switch name {
		case "work":
			c.Work, err = time.ParseDuration(value)
		case "patience":
			c.Patience, err = time.ParseDuration(value)
		case "poll":
			c.Poll, err = time.ParseDuration(value)
		case "progress":
			c.Progress, err = strconv.Atoi(value)
		case "fails":
			c.Outcome = func(job string) agent.Status {
				if job == value {
					return agent.Failed
				}
				return agent.Succeeded
			}
		default:
			err = fmt.Errorf("no such setting")
		}
		if err != nil {
			t.Fatalf("%s: %v", arg, err)
		}
	}
	return c
}

func offer(t *testing.T, args []string) *agent.Execution {
	t.Helper()
	if len(args) == 0 {
		return nil
	}
	job, number := execution(t, args[0])
	return &agent.Execution{Job: job, Number: number, Status: agent.Status(args[1]), Version: version(t, args[2])}
}

func execution(t *testing.T, s string) (string, uint64) {
	t.Helper()
	job, n, _ := strings.Cut(s, "/")
	number, err := strconv.ParseUint(n, 10, 64)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return job, number
}

func version(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "v"), 10, 64)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return n
}
