package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/services/node"
)

// Somebody with the password of the user service publishes what is no commit straight into a log of a running system: the
// system ends and names the message, does not start again, and does so after drover log repair; nothing that was there
// is lost, and everything works. Nothing but the repair gets past the message.
func TestAForeignMessageStopsTheSystemUntilTheRepair(t *testing.T) {
	d := newDrover(t)
	d.begin()
	d.awaitReady()
	d.run("thing", "create", "press-0000", "press-0001")
	d.run("job", "create", "before", "--document", "{}", "--target", "thing/press-0000")
	d.eventually(patience, "the execution is queued", func() bool {
		var j job
		d.read(&j, "job", "describe", "before")
		return j.Counts.Queued == 1
	})

	foreign := d.publishAsService("log.job.1", []byte("junk"))
	named := fmt.Sprintf("log job holds a foreign message at %d", foreign)
	select {
	case <-d.up.exited:
	case <-time.After(patience):
		t.Fatalf("the system goes on behind a foreign message\n%s", d.up.output)
	}
	if status := d.up.cmd.ProcessState.ExitCode(); status != 1 || !strings.Contains(d.up.output.String(), named) {
		t.Errorf("exit status %d, want 1 and %q\n%s", status, named, d.up.output)
	}

	up := strings.Fields("up --nats-port 0 --leaf-port 0 --mqtt-port 0 --device-port 0 --http-port 0 --monitor-port 0")
	for _, args := range [][]string{up, {"audit", "log", "verify"}, {"audit", "job", "before"}, {"projections", "rebuild"}} {
		if status, out, errs := d.try(args...); status != 1 || !strings.Contains(errs, named) || !strings.Contains(errs, "drover log repair job") {
			t.Errorf("%q: exit status %d, want 1 and %q and the repair\n%s%s", args, status, named, out, errs)
		}
	}
	if _, err := os.Stat(filepath.Join(d.data, "endpoints.json")); err == nil {
		t.Error("a system that did not start has left its endpoints")
	}

	if out := d.run("log", "repair", "job"); !strings.Contains(out, fmt.Sprintf("names 1 foreign message: [%d]", foreign)) {
		t.Errorf("log repair: %s", out)
	}
	if out := d.run("log", "repair", "job"); !strings.Contains(out, "nothing foreign") {
		t.Errorf("a second repair: %s", out)
	}
	d.run("audit", "log", "verify")
	d.run("projections", "rebuild", "--verify")

	d.begin()
	d.awaitReady()
	d.run("job", "create", "after", "--document", "{}", "--target", "thing/press-0000", "--target", "thing/press-0001")
	// One of the two has more jobs than the other, so they go on until both jobs are seen to have ended.
	devices := d.start("simulate", "--data", d.data, "--devices", "2", "--prefix", "press-", "--work-time", "1ms", "--journal", filepath.Join(t.TempDir(), "devices.jsonl"))
	for _, name := range []string{"before", "after"} {
		d.run("job", "watch", name)
	}
	devices.kill()
	d.stop()
	d.run("audit", "log", "verify")
}

// publishAsService stores a message with what stands in the folder's auth, and returns its number.
func (d *drover) publishAsService(subject string, message []byte) uint64 {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.data, "auth"))
	if err != nil {
		d.t.Fatal(err)
	}
	var auth struct{ Service string }
	if err := json.Unmarshal(text, &auth); err != nil {
		d.t.Fatal(err)
	}
	e, err := node.ReadEndpoints(d.data)
	if err != nil {
		d.t.Fatal(err)
	}
	nc, err := nats.Connect(e.NATS, nats.UserInfo("service", auth.Service), nats.Timeout(patience))
	if err != nil {
		d.t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		d.t.Fatal(err)
	}
	ack, err := js.Publish(d.t.Context(), subject, message)
	if err != nil {
		d.t.Fatal(err)
	}
	return ack.Sequence
}
