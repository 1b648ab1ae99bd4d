package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/jetstream"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/node"
)

const (
	pausedDevices = 200
	pausedCancels = 15_000
	// pausedFor is how long an owner is stopped: longer than its lease, and than a takeover takes.
	pausedFor = 3 * time.Second
	// settled is how long what follows a resumption is listened to.
	settled = time.Second
)

// owners is a system of many processes of which two own the homes.
type owners struct {
	d     *drover
	hub   node.Endpoints
	creds string
	all   []*process
	both  [2]*owner
	seen  *capture
	asked *readers
	known []takeover
}

// owner is a process that owns homes or stands by for the other, and what it says.
type owner struct {
	*process
	name string
	tap  *tap
}

// takeover is a time during which a request may stay without an answer.
type takeover struct{ from, to time.Time }

// startOwners starts a hub, a leaf, two processes of homes, with these names, and one of all else, and waits until all are ready.
func startOwners(t *testing.T, names ...string) *owners {
	t.Helper()
	d := newDrover(t)
	o := &owners{d: d, creds: filepath.Join(d.data, "auth")}
	hub := d.start("broker", "hub", "--data", d.data, "--homes", "2", "--nats-port", "0", "--leaf-port", "0", "--monitor-port", "0")
	o.hub = awaitEndpoints(d, hub, d.data)
	d.run("init", "--homes", "2", "--replicas", "1", "--log-bytes", "512MiB", "--nats", o.hub.NATS, "--creds", o.creds)
	leafData := filepath.Join(t.TempDir(), "leaf")
	leaf := d.start("broker", "leaf", "--data", leafData, "--hub", hostOf(o.hub.Leaf), "--creds", o.creds, "--mqtt-port", "0", "--nats-port", "0", "--monitor-port", "0")
	t.Cleanup(func() {
		if t.Failed() {
			for _, p := range o.all {
				t.Logf("%q:\n%s", p.cmd.Args[1:], p.output)
			}
		}
	})
	rest := o.serve("rest", o.hub.NATS, "job", "targeting", "rollout", "projections")
	for i, name := range names {
		tap := newTap(t, o.hub.NATS)
		o.both[i] = &owner{process: o.serve(name, tap.url(), "execution"), name: name, tap: tap}
	}
	devices := awaitEndpoints(d, leaf, leafData)
	for _, p := range []*process{rest, o.both[0].process, o.both[1].process} {
		awaitServing(d, p)
	}
	o.seen = newCapture(t, devices.Devices)
	o.asked = newReaders(t, devices.Devices)
	o.hub.Devices, o.hub.MQTT = devices.Devices, devices.MQTT
	return o
}

func (o *owners) serve(name, hub string, roles ...string) *process {
	args := append([]string{"serve"}, roles...)
	p := o.d.start(append(args, "--name", name, "--nats", hub, "--creds", o.creds, "--data", filepath.Join(o.d.t.TempDir(), name), "--monitor-port", "0", "--http-port", "0")...)
	o.all = append(o.all, p)
	return p
}

func hostOf(url string) string { _, host, _ := strings.Cut(url, "://"); return host }

// awaitEndpoints waits until a process has written where it listens.
func awaitEndpoints(d *drover, p *process, data string) (e node.Endpoints) {
	d.t.Helper()
	await(d, p, "it has written its endpoints", func() bool {
		var err error
		e, err = node.ReadEndpoints(data)
		return err == nil && e.PID == p.cmd.Process.Pid
	})
	return e
}

// awaitServing waits until drover serve says that it serves.
func awaitServing(d *drover, p *process) {
	d.t.Helper()
	await(d, p, "it serves", func() bool { return strings.Contains(p.output.String(), "Monitor: ") })
}

func await(d *drover, p *process, what string, holds func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		select {
		case <-p.exited:
			d.t.Fatalf("%q has ended: %v\n%s", p.cmd.Args[1:], p.err, p.output)
		default:
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("%q: it did not come about that %s\n%s", p.cmd.Args[1:], what, p.output)
		}
	}
}

// homes are the logs that a process owns, as drover partitions says.
func (o *owners) homes(name string) (logs []string) {
	o.d.t.Helper()
	var v struct {
		Partitions []struct {
			Log, Owner string
			Members    []struct{ Member, State string }
		}
	}
	status, out, _ := o.d.try("partitions", "--output", "json")
	if status != 0 || json.Unmarshal([]byte(out), &v) != nil {
		return nil // not answered just now
	}
	for _, p := range v.Partitions {
		if p.Owner != name || !strings.HasPrefix(p.Log, "execution.") {
			continue
		}
		for _, m := range p.Members {
			if m.Member == name && m.State == "serving" {
				logs = append(logs, p.Log)
			}
		}
	}
	return logs
}

// pick is the process that owns the most homes, the other one, and what it owns.
func (o *owners) pick() (victim, other *owner, logs []string) {
	o.d.t.Helper()
	o.d.eventually(60*time.Second, "each home has an owner", func() bool {
		a, b := o.homes(o.both[0].name), o.homes(o.both[1].name)
		if victim, other, logs = o.both[0], o.both[1], a; len(b) > len(a) {
			victim, other, logs = o.both[1], o.both[0], b
		}
		return len(a)+len(b) == 2
	})
	return victim, other, logs
}

// pause stops the process that owns the most, at the moment when before returns, lets the other one take over, resumes it,
// and holds what it says then against what it may say.
func (o *owners) pause(what string, before func()) {
	t := o.d.t
	t.Helper()
	o.awaitAnswers()
	victim, other, logs := o.pick()
	began := time.Now() // what is asked from here on may wait for its answer when the owner is stopped
	before()
	stopped := time.Now()
	victim.signal(t, syscall.SIGSTOP)
	o.d.eventually(20*time.Second, "the process has stopped", func() bool { return isStopped(victim.cmd.Process.Pid) })
	mark := victim.tap.fence()
	o.d.eventually(60*time.Second, "the other one has taken over", func() bool {
		return !slices.ContainsFunc(logs, func(log string) bool {
			return other.since(stopped, "serves", log).IsZero() && !slices.Contains(o.homes(other.name), log)
		})
	})
	took := time.Since(stopped)
	o.asked.burst(200)
	time.Sleep(time.Until(stopped.Add(pausedFor)))
	resumed := time.Now()
	victim.signal(t, syscall.SIGCONT)
	o.asked.burst(200)
	o.d.eventually(60*time.Second, "the resumed owner has stepped down", func() bool {
		return !slices.ContainsFunc(logs, func(log string) bool { return victim.since(resumed, "stepped down; standing by again", log).IsZero() })
	})
	o.known = append(o.known, takeover{began, time.Now()})
	time.Sleep(settled) // what it must not say it would say by now
	o.asked.burst(50)

	late := map[string]int{}
	for _, m := range victim.tap.since(mark) {
		if again := victim.tookAgain(resumed); !again.IsZero() && !m.ended.Before(again) {
			continue
		}
		kind := kindOf(m)
		if kind == "" {
			kind = "answers of what it had written, or that it turned a request away"
		} else if late[kind]++; late[kind] < 4 {
			t.Errorf("%s: %s said %s to %s, begun %v and ended %v after it was stopped, resumed after %v: %.200s", what, victim.name, kind, m.subject,
				m.began.Sub(stopped).Round(time.Millisecond), m.ended.Sub(stopped).Round(time.Millisecond), resumed.Sub(stopped).Round(time.Millisecond), m.payload)
			continue
		}
		late[kind]++
	}
	t.Logf("%s: %s was stopped, %s served %v after %.2f s; %s was resumed after %.2f s and said late: %v", what, victim.name, other.name, logs, took.Seconds(), victim.name, resumed.Sub(stopped).Seconds(), late)
}

// kindOf is what a message is that an owner may say only while it holds the lease; empty if it may be the answer of what it
// has written.
func kindOf(m said) string {
	_, topic, _ := strings.Cut(strings.TrimPrefix(m.subject, "$aws.things."), ".jobs.")
	switch {
	case topic == "notify" || topic == "notify-next":
		return "a notification"
	case strings.HasPrefix(topic, "$inbox."):
		if strings.Contains(string(m.payload), "ask again") {
			return "" // who asked before the lease ran out hears that it was not answered
		}
		return "the answer to a read"
	case strings.HasSuffix(topic, "get.accepted"):
		return "the answer to a read"
	case strings.HasSuffix(topic, ".rejected") && !strings.Contains(string(m.payload), "InternalError"):
		return "a refusal"
	}
	return ""
}

func (p *owner) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// isStopped says whether the process is stopped, with all of its threads. (proc(5))
func isStopped(pid int) bool {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, task := range tasks {
		stat, err := os.ReadFile(task)
		if err != nil {
			continue // ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		if !strings.HasPrefix(rest, "T") {
			return false
		}
	}
	return err == nil && len(tasks) > 0
}

// since is when a process first logged a message about a log after a time; the zero time if it did not.
func (p *owner) since(after time.Time, msg, log string) time.Time {
	for line := range strings.Lines(p.output.String()) {
		if !strings.Contains(line, fmt.Sprintf("msg=%q", msg)) && !strings.Contains(line, "msg="+msg+" ") || !strings.Contains(line, "log="+log) {
			continue
		}
		word, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
		if at, err := time.Parse(time.RFC3339, word); err == nil && at.After(after.Add(-time.Millisecond)) {
			return at
		}
	}
	return time.Time{}
}

// tookAgain is when it gained a lease after it was resumed.
func (p *owner) tookAgain(resumed time.Time) (first time.Time) {
	for _, log := range []string{"execution.0", "execution.1"} {
		if at := p.since(resumed, "took the lease", log); !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// capture hears everything that devices can hear.
type capture struct {
	mu      sync.Mutex
	answers map[string][]time.Time // by the inbox of a read
	told    map[string]int         // notifications, by thing
}

func newCapture(t *testing.T, url string) *capture {
	t.Helper()
	c := &capture{answers: map[string][]time.Time{}, told: map[string]int{}}
	nc, err := nats.Connect(url, nats.Name("capture"), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	sub, err := nc.Subscribe("$aws.things.*.jobs.>", func(m *nats.Msg) {
		thing, topic, _ := strings.Cut(strings.TrimPrefix(m.Subject, "$aws.things."), ".jobs.")
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case strings.HasPrefix(topic, "$inbox."):
			c.answers[topic] = append(c.answers[topic], time.Now())
		case topic == "notify":
			c.told[thing]++
		}
	})
	if err == nil {
		err = sub.SetPendingLimits(-1, -1)
	}
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// toldOf is how many notifications things of a prefix got.
func (c *capture) toldOf(prefix string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for thing, times := range c.told {
		if strings.HasPrefix(thing, prefix) {
			n += times
		}
	}
	return n
}

// readers ask what writes nothing, each time with an inbox of its own.
type readers struct {
	t    *testing.T
	nc   *nats.Conn
	sent map[string]time.Time // by inbox
}

func newReaders(t *testing.T, url string) *readers {
	t.Helper()
	nc, err := nats.Connect(url, nats.Name("asker"), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return &readers{t: t, nc: nc, sent: map[string]time.Time{}}
}

// burst asks for the lists of so many things, and describes the first execution of each, at once.
func (a *readers) burst(n int) {
	a.t.Helper()
	for range n {
		root := fmt.Sprintf("$aws.things.dev-%04d.jobs.", rand.IntN(pausedDevices))
		for _, what := range []string{"get", "$next.get"} {
			inbox := fmt.Sprintf("$inbox.%d", len(a.sent))
			a.sent[inbox] = time.Now()
			if err := a.nc.PublishRequest(root+what, root+inbox, []byte("{}")); err != nil {
				a.t.Fatal(err)
			}
		}
	}
	if err := a.nc.Flush(); err != nil {
		a.t.Fatal(err)
	}
}

// awaitAnswers waits until whatever was asked outside of takeovers is answered.
func (o *owners) awaitAnswers() {
	o.d.t.Helper()
	excused := func(at time.Time) bool {
		return slices.ContainsFunc(o.known, func(k takeover) bool { return !at.Before(k.from) && at.Before(k.to) })
	}
	o.d.eventually(60*time.Second, "each request that no takeover excuses has an answer", func() bool {
		o.seen.mu.Lock()
		defer o.seen.mu.Unlock()
		for inbox, at := range o.asked.sent {
			if len(o.seen.answers[inbox]) == 0 && !excused(at) {
				return false
			}
		}
		return true
	})
}

// checkAnswers holds the answers to their requests against what they must be: one each, or none in a takeover.
func (o *owners) checkAnswers() {
	t := o.d.t
	t.Helper()
	o.awaitAnswers()
	o.seen.mu.Lock()
	defer o.seen.mu.Unlock()
	none, twice := 0, 0
	for inbox, at := range o.asked.sent {
		switch n := len(o.seen.answers[inbox]); {
		case n == 0:
			none++
		case n > 1:
			if twice++; twice < 4 {
				t.Errorf("a request sent at %v has %d answers, at %v", at, n, o.seen.answers[inbox])
			}
		}
	}
	t.Logf("%d reads, %d of them without an answer, all within takeovers; %d answered twice", len(o.asked.sent), none, twice)
}

// steal takes the lease of a log away, as another member would whose clock ran ahead.
func (o *owners) steal(log string) {
	t := o.d.t
	t.Helper()
	auth, err := broker.ReadAuth(o.creds, broker.ServiceUsers...)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := (&broker.Dialer{URLs: []string{o.hub.NATS}, Auth: auth}).Connect("thief")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	registers, err := jetstream.OpenRegisters(ctx, nc, jetstream.Leases)
	if err != nil {
		t.Fatal(err)
	}
	victim := o.both[0]
	if slices.Contains(o.homes(o.both[1].name), log) {
		victim = o.both[1]
	}
	register := "owner." + strings.ReplaceAll(log, ".", "-")
	value := fmt.Appendf(nil, `{"owner":"thief","start":"s","nonce":"n","turn":1,"since_ms":%d}`, time.Now().UnixMilli())
	o.awaitAnswers()
	before := o.epoch(registers, log)
	began := time.Now()
	o.d.eventually(20*time.Second, "the lease is stolen", func() bool {
		r, err := registers.Get(ctx, register)
		if err == nil {
			_, err = registers.Set(ctx, register, value, r.Revision) // its owner may renew it in between
		}
		return err == nil
	})
	o.d.eventually(60*time.Second, "who lost its lease has stepped down", func() bool {
		return !victim.since(began, "stepped down; standing by again", log).IsZero()
	})
	down := time.Since(began)
	o.d.eventually(60*time.Second, "one of the two has it again", func() bool {
		name := o.epoch(registers, log)
		return name != before && name != "" && (slices.Contains(o.homes(o.both[0].name), log) || slices.Contains(o.homes(o.both[1].name), log))
	})
	served := time.Since(began)
	time.Sleep(settled) // who serves said so twice a second
	o.known = append(o.known, takeover{began, time.Now()})
	t.Logf("the lease of %s was taken from %s: it stepped down after %.2f s; served again after %.2f s", log, victim.name, down.Seconds(), served.Seconds())
	o.asked.burst(50)
}

// epoch names the holder of a lease and since when.
func (o *owners) epoch(r eventstore.Registers, log string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	owners, err := eventstore.Owners(ctx, r)
	if err != nil {
		return ""
	}
	name, err := id.ParseLog(log)
	if err != nil || owners[name].Member == "thief" {
		return ""
	}
	return fmt.Sprint(owners[name].Member, owners[name].Since)
}

// TestAnOwnerThatWasStoppedIsSilentAndItsAppendsAreRefused stops the owner of homes with SIGSTOP for longer than its lease,
// several times: during a rollout, with reads under way, and in the middle of the slices of a forced cancel; and takes a
// lease away. Each process speaks to the hub through a tap of its own, so that it is known who said what: behind the
// resumption the old owner may say nothing but what it has written. (design §4 step 5)
func TestAnOwnerThatWasStoppedIsSilentAndItsAppendsAreRefused(t *testing.T) {
	if testing.Short() || raced {
		t.Skip("it takes a minute, and watches other processes against the clock")
	}
	o := startOwners(t, "a", "b")
	d := o.d
	d.run("group", "create", "all")
	d.run("thing", "create", "--prefix", "dev-", "--count", fmt.Sprint(pausedDevices))
	d.run("group", "add", "all", "--from", d.names("dev-", pausedDevices))
	d.run("group", "create", "many")
	d.run("thing", "create", "--prefix", "big-", "--count", fmt.Sprint(pausedCancels))
	d.run("group", "add", "many", "--from", d.names("big-", pausedCancels))
	d.run("job", "create", "big", "--document", "{}", "--target", "group/many")
	var big job
	d.eventually(90*time.Second, "all executions are queued", func() bool {
		d.read(&big, "job", "describe", "big")
		return big.Counts.Queued == pausedCancels
	})
	journal := filepath.Join(t.TempDir(), "devices.jsonl")
	devices := d.start("simulate", "--devices", fmt.Sprint(pausedDevices), "--prefix", "dev-", "--mixed", "--work-time", "300ms", "--poll", "3s",
		"--journal", journal, "--until-jobs", "1", "--mqtt-url", o.hub.MQTT, "--nats-url", o.hub.Devices, "--output", "json")
	d.run("job", "create", "demo", "--document", `{"operation":"install"}`, "--target", "group/all", "--per-minute", "1200")
	o.asked.burst(200)

	o.pause("with reads under way", func() {
		o.asked.burst(1500)
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond) // the moment is the point
	})
	o.pause("in the middle of slices", func() {
		told := o.seen.toldOf("big-")
		d.run("job", "cancel", "big", "--force")
		d.eventually(60*time.Second, "some are told that their execution is canceled", func() bool { return o.seen.toldOf("big-") > told })
	})
	o.steal("execution.1")
	o.pause("with reads under way, again", func() {
		o.asked.burst(1500)
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	})

	select {
	case <-devices.exited:
	case <-time.After(90 * time.Second):
		t.Fatalf("the devices have not ended\n%s", devices.output)
	}
	if devices.err != nil {
		t.Errorf("simulate: %v\n%s", devices.err, devices.output)
	}
	d.run("job", "watch", "demo")
	d.eventually(90*time.Second, "the cancel is carried out", func() bool {
		d.read(&big, "job", "describe", "big")
		return !big.IsConcurrent && big.Counts.Canceled == pausedCancels
	})
	o.checkAnswers()
	running := []string{"--nats", o.hub.NATS, "--creds", o.creds}
	r := d.audit(0, append(running, "demo", "--journal", journal, "--expect", fmt.Sprintf("SUCCEEDED=%d", pausedDevices))...)
	if r.Ended != pausedDevices || r.EndedTwice != 0 || r.VersionGaps != 0 || len(r.Violations) != 0 {
		t.Errorf("the rollout: %+v", r)
	}
	r = d.audit(0, append(running, "big")...)
	if r.Counts["CANCELED"] != pausedCancels || r.EndedTwice != 0 || len(r.Violations) != 0 {
		t.Errorf("the cancel: %+v", r)
	}
}
