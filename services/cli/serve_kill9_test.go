package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/jetstream"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/node"
)

// What TestKill9OfServices does to the processes of a system.
const (
	serveDevices   = 200
	servePerMinute = 1200
	serveKills     = 5
)

// serving is a process that is killed and started again, with its name and its folder.
type serving struct {
	*process
	args []string
}

// TestKill9OfServices shows that a job goes through, with nothing lost and nothing done twice, while the processes that own
// its logs die.
//
// Three processes serve everything, over one hub and one leaf. Five times, each once more of a rollout to 200 devices was
// released, a process that chance names is killed with -9, and started again up to a second later: so logs change owners
// with and without a standby that is warm, and two processes may be away at once. Afterwards the logs are recounted and held
// against every rule and against the devices' journal, and no log acts twice on one cause.
func TestKill9OfServices(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	t.Parallel() // it waits most of the time, and for what it sees
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	d := newDrover(t)
	creds := filepath.Join(d.data, "auth")
	hub := awaitEndpoints(d, d.start("broker", "hub", "--data", d.data, "--homes", "2", "--nats-port", "0", "--leaf-port", "0", "--monitor-port", "0"), d.data)
	from := []string{"--nats", hub.NATS, "--creds", creds}
	d.run(append([]string{"init", "--homes", "2", "--replicas", "1", "--log-bytes", "256MiB"}, from...)...)
	leafData := filepath.Join(t.TempDir(), "leaf")
	leaf := d.start("broker", "leaf", "--data", leafData, "--hub", hostOf(hub.Leaf), "--creds", creds, "--mqtt-port", "0", "--nats-port", "0", "--monitor-port", "0")
	var all []*serving
	for i := range 3 {
		name := fmt.Sprintf("s%d", i)
		s := &serving{args: append([]string{"serve", "job", "targeting", "rollout", "execution", "projections", "--name", name,
			"--data", filepath.Join(t.TempDir(), name), "--monitor-port", "0"}, from...)}
		s.process = d.start(s.args...)
		all = append(all, s)
	}
	for _, s := range all {
		awaitServing(d, s.process)
	}
	devicesAt := awaitEndpoints(d, leaf, leafData)

	d.patiently("group", "create", "all")
	d.patiently("thing", "create", "--prefix", "dev-", "--count", fmt.Sprint(serveDevices))
	d.patiently("group", "add", "all", "--from", d.names("dev-", serveDevices))
	journal := filepath.Join(t.TempDir(), "devices.jsonl")
	devices := d.start("simulate", "--devices", fmt.Sprint(serveDevices), "--prefix", "dev-", "--mixed", "--fail-rate", "0.05", "--work-time", "100ms",
		"--poll", "5s", "--seed", "7", "--journal", journal, "--until-jobs", "1", "--mqtt-url", devicesAt.MQTT, "--nats-url", devicesAt.Devices, "--output", "json")
	d.patiently("job", "create", "demo", "--document", `{"operation":"install"}`, "--target", "group/all", "--per-minute", fmt.Sprint(servePerMinute))

	for kill := range serveKills {
		least := int64(serveDevices * (2*kill + 1) / (2*serveKills + 2))
		d.eventually(2*time.Minute, fmt.Sprintf("%d things are released", least), func() bool { return d.released("demo") >= least })
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond) // the moment is the point
		s := all[rng.IntN(len(all))]
		if kill%2 == 0 { // every other one hits an owner
			if i := slices.IndexFunc(all, func(s *serving) bool { return s.args[7] == d.ownerOf("rollout") }); i >= 0 {
				s = all[i]
			}
		}
		s.kill()
		t.Logf("%s killed behind %d releases", s.args[7], least)
		time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
		s.process = d.start(s.args...)
	}
	select {
	case <-devices.exited:
	case <-time.After(2 * time.Minute):
		for _, s := range all {
			t.Logf("%q\n%s", s.args, s.output)
		}
		t.Fatalf("the devices have not ended\n%s", devices.output)
	}
	if devices.err != nil {
		t.Errorf("simulate: %v\n%s", devices.err, devices.output)
	}
	d.patiently("job", "watch", "demo")
	r := d.audit(0, append(from, "demo", "--journal", journal, "--expect", "SUCCEEDED=190", "--expect", "FAILED=10", "--expect", "transitions=600")...)
	if r.Executions != serveDevices || r.Ended != serveDevices || r.EndedTwice != 0 || r.VersionGaps != 0 || len(r.Violations) != 0 {
		t.Errorf("the rollout: %+v", r)
	}
	takeovers := causesOnce(t, hub, creds)
	t.Logf("%d owners of 5 logs; %d reports accepted, %d of them sent more than once", takeovers, r.Journal.ReportsAccepted, r.Journal.ReportsRepeated)
	for _, s := range all {
		select {
		case <-s.exited:
			t.Errorf("%q has ended by itself: %v\n%s", s.args, s.err, s.output)
		default:
		}
	}
	if takeovers <= 5 {
		t.Error("no log has had another owner: this test shows nothing")
	}
}

// released is how many things of a job were released, as the system says; 0 while it does not answer.
func (d *drover) released(name string) int64 {
	var j job
	if status, out, _ := d.try("job", "describe", name, "--output", "json", "--timeout", "2s"); status != 0 || json.Unmarshal([]byte(out), &j) != nil {
		return 0
	}
	return j.Counts.Released
}

// ownerOf is the process that owns a log now; empty if nobody does or says so.
func (d *drover) ownerOf(log string) string {
	var v partitionsJSON
	if status, out, _ := d.try("partitions", "--output", "json", "--timeout", "2s"); status != 0 || json.Unmarshal([]byte(out), &v) != nil {
		return ""
	}
	for _, p := range v.Partitions {
		if p.Log == log {
			return p.Owner
		}
	}
	return ""
}

// patiently runs a command until it is not unavailable (exit status 4): its owner may have been killed.
func (d *drover) patiently(args ...string) {
	d.t.Helper()
	d.eventually(2*time.Minute, fmt.Sprintf("%q is answered", args), func() bool {
		status, out, errs := d.try(args...)
		if status != 0 && status != 4 {
			d.t.Fatalf("%q: exit status %d\n%s%s", args, status, out, errs)
		}
		return status == 0
	})
}

// causesOnce reads all logs and holds the causes of their entries against each other: what another log says is acted on once,
// and so is a command with an id. It returns how many owners the logs have had.
func causesOnce(t *testing.T, hub node.Endpoints, creds string) (owners int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	open := logsOf(t, hub, creds)
	for _, name := range id.Logs(2) {
		log := open(name)
		_, last, err := log.Bounds(ctx)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]string{} // position of the first entry, by cause
		for number := uint64(1); number <= last; number++ {
			c, err := log.Read(ctx, number)
			if err != nil {
				t.Fatal(err)
			}
			for i, e := range c.Entries {
				if e.GetEvent().GetOwned() != nil {
					owners++
				}
				key, at := causeOf(e), id.FormatPosition(name.Position(number, i))
				if first := seen[key]; key != "" && first != "" {
					t.Errorf("%s and %s have the same cause: %s", first, at, key)
				}
				seen[key] = at
			}
		}
		if len(seen) < 2 { // no cause is one of them
			t.Errorf("%s names no causes", name)
		}
	}
	return owners
}

// logsOf opens logs of a running hub, as an auditor does.
func logsOf(t *testing.T, hub node.Endpoints, creds string) func(id.Log) *eventstore.Log {
	t.Helper()
	auth, err := broker.ReadAuth(creds, broker.ServiceUsers...)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := (&broker.Dialer{URLs: []string{hub.NATS}, Auth: auth}).Connect("auditor")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return func(name id.Log) *eventstore.Log {
		b, err := jetstream.Open(context.Background(), nc, name, jetstream.Options{Replicas: 1})
		if err != nil {
			t.Fatal(err)
		}
		return eventstore.New(name, b)
	}
}

// causeOf is the cause that an entry names itself, if it is one that may be acted on once only.
func causeOf(e *v1.Entry) string {
	switch {
	case e.GetPosition() != nil:
		return "position " + e.GetPosition().String()
	case e.GetCommand().GetId() != "":
		return "command " + e.GetCommand().GetId()
	}
	return ""
}
