package sdktest

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Where none of the services behind it runs, the front answers every operation with ServiceUnavailableException, which SDKs
// try again, or with the error by which AWS's model has its operation say so.
func TestWithoutTheServicesBehindIt(t *testing.T) {
	secrets := t.TempDir()
	foreground(t, "secrets", "create", secrets)
	creds := func(whose string) string { return "--creds=" + filepath.Join(secrets, whose+".json") }
	hub := background(t, "broker", "hub", "--homes", "1", "--nats-port", "0", "--leaf-port", "0", "--monitor-port", "0", creds("hub"))
	foreground(t, "init", "--homes", "1", "--replicas", "1", "--nats", hub.NATS, creds("service"))
	front := background(t, "serve", "http", "--nats", hub.NATS, "--http-port", "0", "--monitor-port", "0", "--region", region, "--account-id", account, creds("service"))
	var key struct{ AccessKeyID, SecretAccessKey string }
	text := foreground(t, "credential", "create", "--output", "json", "--server", hub.NATS, creds("client"))
	if err := json.Unmarshal(text, &key); err != nil || key.SecretAccessKey == "" {
		t.Fatalf("%s: %v", text, err)
	}
	s := &system{url: strings.TrimSuffix(front.HTTP, "/"), accessKey: key.AccessKeyID, secret: key.SecretAccessKey}
	var control, device []string
	for operation, names := range documented {
		if _, excused := unmetError(operation, unavailable); excused || !slices.Contains(names, unavailable) {
			continue
		}
		if name, ok := strings.CutPrefix(operation, "iot-jobs-data "); ok {
			device = append(device, name)
		} else {
			control = append(control, operation)
		}
	}
	for c, operations := range map[*client][]string{s.control(t): control, {t, "v1", s.iotV1(), "iot"}: control, s.device(t): device} {
		atOnce(len(operations), func(i int) { c.refused(unavailable, operations[i], c.filled(operations[i], "nobody"), "") })
	}
}

// background launches the program.
func background(t *testing.T, args ...string) *process {
	t.Helper()
	p, err := launch(args...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// foreground runs the program to its end.
func foreground(t *testing.T, args ...string) []byte {
	t.Helper()
	p := exec.Command(binary, args...)
	var stderr bytes.Buffer
	p.Stderr = &stderr
	out, err := p.Output()
	if err != nil {
		t.Fatalf("drover %v: %v\n%s", args, err, stderr.String())
	}
	return out
}
