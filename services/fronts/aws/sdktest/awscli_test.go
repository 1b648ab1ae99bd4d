package sdktest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	awsCLI = flag.String("awscli", "", "the aws command to run testdata/awscli with; without it they are not run")
	update = flag.Bool("update", false, "write what the commands print into testdata/awscli")
)

// TestAWSCLI types the commands of testdata/awscli and compares what a user reads. A file is a session of one user, on a
// system of its own:
//
//	$ command      is run by bash; what follows, up to the next command or remark, is what it prints, both outputs together
//	~$ command     is run until it prints that, for 60 s at most: what follows from a command shows a moment later
//	[exit 254]     is its exit status, if that is not 0
//	# remark
//
// What differs from run to run is printed as <time>, <uuid>, <token>, <seconds>.
func TestAWSCLI(t *testing.T) {
	if *awsCLI == "" {
		t.Skip("make test-awscli runs them")
	}
	files, err := filepath.Glob("testdata/awscli/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	commands := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		commands += len(parseSession(string(text)))
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			playSession(t, file, string(text))
		})
	}
	t.Logf("%d commands", commands)
	if commands < 80 {
		t.Errorf("%d commands; at least 80 are wanted", commands)
	}
}

// step is one command of a session, with the remarks before it.
type step struct {
	remarks, command string
	wait             bool
	want             string
}

func parseSession(text string) []*step {
	var steps []*step
	var remarks strings.Builder
	for line := range strings.Lines(text) {
		command, wait := strings.CutPrefix(line, "~$ ")
		plain := false
		if !wait {
			command, plain = strings.CutPrefix(line, "$ ")
		}
		switch {
		case wait || plain:
			steps = append(steps, &step{remarks: remarks.String(), command: strings.TrimSuffix(command, "\n"), wait: wait})
			remarks.Reset()
		case strings.HasPrefix(line, "#") || len(steps) == 0 || remarks.Len() > 0:
			remarks.WriteString(line)
		default:
			steps[len(steps)-1].want += line
		}
	}
	return steps
}

func playSession(t *testing.T, file, text string) {
	s, err := start()
	if err != nil {
		t.Fatal(err)
	}
	env := s.environment(t, *awsCLI)
	steps := parseSession(text)
	for _, s := range steps {
		want := strings.TrimSpace(s.want)
		have := runCommand(t, env, s.command)
		for until := time.Now().Add(time.Minute); s.wait && have != want && time.Now().Before(until) && !*update; {
			time.Sleep(200 * time.Millisecond) // between two looks
			have = runCommand(t, env, s.command)
		}
		if *update {
			if s.wait {
				time.Sleep(3 * time.Second)
				have = runCommand(t, env, s.command)
			}
			s.want = have
		} else if have != want {
			t.Errorf("$ %s\n%s\nwant\n%s", s.command, have, want)
		}
	}
	if !*update {
		return
	}
	var out strings.Builder
	for _, s := range steps {
		out.WriteString(s.remarks)
		if s.wait {
			out.WriteString("~")
		}
		out.WriteString("$ " + s.command + "\n")
		if s.want != "" {
			out.WriteString(s.want + "\n")
		}
		out.WriteString("\n")
	}
	if err := os.WriteFile(file, []byte(strings.TrimSpace(out.String())+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// environment is that of a user who was told where the system is: aws is on the path, has its endpoint, which Debian's version
// reads from no file, and the profile that drover up wrote.
func (s *system) environment(t *testing.T, aws string) []string {
	bin := t.TempDir()
	script := "#!/bin/sh\nexec " + aws + " --endpoint-url " + s.url + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "aws"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + bin, "AWS_PAGER=", "AWS_PROFILE=drover", "LC_ALL=C.UTF-8", "KEY=" + s.accessKey,
		"AWS_CONFIG_FILE=" + filepath.Join(s.profile, "config"), "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(s.profile, "credentials")}
}

// runCommand is what a command prints, with what differs from run to run named.
func runCommand(t *testing.T, env []string, command string) string {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "bash", "-c", command)
	var out bytes.Buffer
	c.Env, c.Stdout, c.Stderr = env, &out, &out
	err := c.Run()
	text := out.String()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		text = strings.TrimRight(text, "\n") + "\n[exit " + exit.String()[len("exit status "):] + "]\n"
	case err != nil:
		t.Fatal(err)
	}
	for _, v := range varying {
		text = v.form.ReplaceAllString(text, v.name)
	}
	return strings.TrimSpace(text)
}

var varying = []struct {
	form *regexp.Regexp
	name string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<uuid>"},
	{regexp.MustCompile(`"20\d\d-\d\d-\d\dT[0-9:.]+[+-]\d\d:\d\d"`), `"<time>"`},
	{regexp.MustCompile(`\b1[789]\d{8}(\.\d+)?\b`), "<time>"},
	{regexp.MustCompile(`("nextToken": )"[^"]+"`), `$1"<token>"`},
	{regexp.MustCompile(`("approximateSecondsBeforeTimedOut": )\d+`), "$1<seconds>"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:<port>"},
}
