package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/bus"
)

// many is a hub, in this process, and real processes of drover on it.
type many struct {
	*drover
	hub    *broker.Hub
	creds  string
	client *bus.Client
}

func newMany(t *testing.T) *many {
	t.Helper()
	m := &many{drover: newDrover(t)}
	dir := t.TempDir()
	hub, err := broker.StartHub(broker.HubConfig{Dir: dir, Homes: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	m.hub, m.creds = hub, filepath.Join(dir, "auth")
	nc, err := nats.Connect(hub.ClientURL(), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	m.client = bus.NewClient(nc)
	return m
}

// serve starts a process without waiting for it.
func (m *many) serve(name string, roles ...string) *process {
	m.t.Helper()
	args := append([]string{"serve"}, roles...)
	return m.start(append(args, "--nats", m.hub.ClientURL(), "--creds", m.creds, "--data", filepath.Join(m.data, name), "--name", name, "--monitor-port", "0", "--http-port", "0")...)
}

// awaitServing waits until processes say that they serve.
func (m *many) awaitServing(processes ...*process) {
	m.t.Helper()
	for _, p := range processes {
		m.eventually(patience, "it serves: "+strings.Join(p.cmd.Args, " "), func() bool {
			select {
			case <-p.exited:
				m.t.Fatalf("it has ended: %v\n%s", p.err, p.output)
			default:
			}
			return strings.Contains(p.output.String(), " serves ")
		})
	}
}

// partitionsJSON is what the tests read of drover partitions.
type partitionsJSON struct {
	Partitions []struct {
		Log, Owner, Since string
		Epoch, Takeovers  uint64
		End               uint64
		Members           []struct {
			Member, State string
			Lag           uint64
			Preferred     bool
		}
	}
	Members []struct {
		Name       string
		Roles      []string
		WaitingFor []string
	}
}

func (m *many) partitions() partitionsJSON {
	m.t.Helper()
	var v partitionsJSON
	m.read(&v, "partitions", "--server", m.hub.ClientURL())
	return v
}

func (v partitionsJSON) ownedBy(name string) int {
	n := 0
	for _, p := range v.Partitions {
		if p.Owner == name {
			n++
		}
	}
	return n
}

// partOf is of how many logs a process does its part: it stands by, or owns the log and serves it.
func (v partitionsJSON) partOf(name string) int {
	n := 0
	for _, p := range v.Partitions {
		for _, m := range p.Members {
			if m.Member == name && (m.State == "standby" || m.State == "serving" && p.Owner == name) {
				n++
			}
		}
	}
	return n
}

// owner is who owns a log.
func (v partitionsJSON) owner(log string) string {
	for _, p := range v.Partitions {
		if p.Log == log {
			return p.Owner
		}
	}
	return ""
}

// gaveUp says whether a process has ever given up a log: handed it over, or lost its lease on a machine that stood still.
func gaveUp(p *process) bool {
	return strings.Contains(p.output.String(), "stepped down; standing by again")
}

// Two processes run everything. The owner is killed with -9: the other takes over what it had, in about two seconds. That
// one is stopped (SIGSTOP): the first, started again, takes over, and the other stands by when it goes on. Nobody gets a log
// whose owner is there and has not given it up; on a slow machine it may, and says so.
func TestAKilledOwnerIsReplaced(t *testing.T) {
	t.Parallel() // it waits most of the time, and for what it sees
	m := newMany(t)
	// Started before there is a system: it waits.
	one := m.serve("one", "all")
	m.eventually(patience, "it says that it waits for the system", func() bool { return strings.Contains(one.output.String(), "drover init") })
	if out := m.run("init", "--homes", "2", "--replicas", "1", "--log-bytes", "1GiB", "--nats", m.hub.ClientURL(), "--creds", m.creds); out != "the system is there: 2 homes, each log on 1 broker\n" {
		t.Errorf("init: %s", out)
	}
	m.awaitServing(one)
	two := m.serve("two", "all")
	m.awaitServing(two)
	var v partitionsJSON
	m.eventually(patience, "both are seen", func() bool { v = m.partitions(); return len(v.Members) == 2 })
	if v.ownedBy("one") != 5 || v.Partitions[0].Takeovers != 0 {
		m.eventually(patience, "two came second and owns some, so one has given it up", func() bool { return gaveUp(one) })
	}
	m.run("thing", "create", "--prefix", "t-", "--count", "10", "--server", m.hub.ClientURL())

	m.takenOver("two", func() { one.kill() })
	// Its announcements run out like its leases, by the readers' clock: a little later on a busy machine.
	m.eventually(patience, "the table shows who took over, and who was killed no more", func() bool {
		table := m.run("partitions", "--server", m.hub.ClientURL())
		for _, want := range []string{"LOG", "execution.1", "two*", "MEMBER", "job targeting rollout execution projections inbox feed"} {
			if !strings.Contains(table, want) {
				return false
			}
		}
		return !strings.Contains(table, "one")
	})
	for _, p := range m.partitions().Partitions { // two owners; more if one of them lost it and took it again
		if p.Epoch < 2 || p.Takeovers != p.Epoch-1 || p.Since == "" {
			t.Errorf("%+v", p)
		}
	}

	one = m.serve("one", "all")
	m.awaitServing(one)
	m.takenOver("one", func() { m.signal(two, syscall.SIGSTOP) })
	m.signal(two, syscall.SIGCONT)
	m.eventually(patience, "two stands by again", func() bool { return m.partitions().partOf("two") == 5 })
	// Killed and started again under its name, it is not taken for the one that was.
	two.kill()
	two = m.serve("two", "all")
	m.awaitServing(two)
	m.eventually(patience, "one owns everything, or has given up some", func() bool {
		return m.partitions().ownedBy("one") == 5 || gaveUp(one)
	})
	m.terminate(one)
	m.terminate(two)
}

// takenOver does something to the owner of everything, and waits until the other is it.
func (m *many) takenOver(by string, harm func()) {
	m.t.Helper()
	askers := m.askAll(4)
	m.eventually(patience, "every home answers", askers.answered())
	before := m.partitions()
	harm()
	m.eventually(patience, by+" owns everything", func() bool {
		status, out, _ := m.try("partitions", "--output", "json", "--server", m.hub.ClientURL())
		var v partitionsJSON
		return status == 0 && json.Unmarshal([]byte(out), &v) == nil && v.ownedBy(by) == 5
	})
	m.eventually(patience, "every home answers again", askers.answered())
	for _, a := range askers {
		gap, had := a.stop(), before.owner(id.ExecutionLog(id.HomeOf(a.thing, 2)).String())
		m.t.Logf("%s takes over from %s: %s had no answer for at most %v", by, had, a.thing, gap.Round(time.Millisecond))
		// About two seconds, and what a busy machine adds. Less would be before the lease has run out, unless it was handed
		// over before the harm.
		if had != by && gap < time.Second || gap > time.Minute {
			m.t.Errorf("%v without an answer", gap)
		}
	}
}

func (m *many) signal(p *process, s syscall.Signal) {
	m.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		m.t.Fatal(err)
	}
}

// asker asks for one thing's pending executions all the time.
type asker struct {
	thing   string
	answers atomic.Int64
	cancel  context.CancelFunc
	longest chan time.Duration // without an answer, at the end
}

type askers []*asker

func (m *many) askAll(things int) askers {
	var all askers
	for i := range things {
		ctx, cancel := context.WithCancel(context.Background())
		a := &asker{thing: fmt.Sprintf("t-%04d", i), cancel: cancel, longest: make(chan time.Duration, 1)}
		all = append(all, a)
		client := *m.client
		client.Timeout = 250 * time.Millisecond
		go func() {
			most, last := time.Duration(0), time.Now()
			for ; ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
				if _, err := bus.GetPending.Call(context.Background(), &client, &v1.GetPending{Thing: a.thing}); err == nil {
					most, last = max(most, time.Since(last)), time.Now()
					a.answers.Add(1)
				}
			}
			a.longest <- most
		}()
	}
	return all
}

// answered says whether everybody was answered since it was made.
func (all askers) answered() func() bool {
	before := make([]int64, len(all))
	for i, a := range all {
		before[i] = a.answers.Load()
	}
	return func() bool {
		for i, a := range all {
			if a.answers.Load() == before[i] {
				return false
			}
		}
		return true
	}
}

func (a *asker) stop() time.Duration {
	a.cancel()
	return <-a.longest
}

// terminate is SIGTERM: it stops in order, within five seconds of its own clock.
func (m *many) terminate(p *process) {
	m.t.Helper()
	m.signal(p, syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(patience):
		m.t.Fatalf("it does not stop\n%s", p.output)
	}
	if p.err != nil {
		m.t.Errorf("it ended with %v\n%s", p.err, p.output)
	}
}

// A process that waits, be it for brokers or for the system, ends on SIGTERM like one that serves.
func TestAProcessThatWaitsEndsOnSIGTERM(t *testing.T) {
	m := newMany(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // takes connections, and says nothing
	unborn := m.serve("unborn", "job")
	alone := m.start("serve", "job", "execution", "--nats", "nats://"+l.Addr().String()+",nats://127.0.0.1:1", "--creds", m.creds,
		"--data", filepath.Join(m.data, "alone"), "--monitor-port", "0")
	m.eventually(patience, "one waits for the system", func() bool { return strings.Contains(unborn.output.String(), "drover init") })
	m.eventually(patience, "the other waits for the hub", func() bool { return strings.Contains(alone.output.String(), "the hub") })
	m.terminate(unborn)
	m.terminate(alone)
}

func TestServeAndInitSayWhatIsWrong(t *testing.T) {
	d := newDrover(t)
	for args, want := range map[string]string{
		"serve":                           "arguments",
		"serve jobs":                      `"jobs" is no role: job, targeting`,
		"serve job":                       "--creds is missing",
		"serve job --creds /nowhere/auth": "/nowhere/auth",
		"init --homes 2":                  "--creds is missing",
		"init":                            "--homes is missing",
		"init --homes 2 --replicas 2":     "1 or 3",
		"init --homes 2 --log-bytes x":    "20GiB",
		"init --homes 2 --log-bytes 10":   "20GiB",
	} {
		status, out, errs := d.try(strings.Fields(args)...)
		usage := 2
		if strings.Contains(args, "/nowhere") {
			usage = 1
		}
		if status != usage || !strings.Contains(errs, want) {
			t.Errorf("%s: exit status %d\n%s%s", args, status, out, errs)
		}
	}
	if status, _, errs := d.try("partitions", "--server", "nats://127.0.0.1:1"); status != 4 {
		t.Errorf("nobody answers: %d %s", status, errs)
	}
}
