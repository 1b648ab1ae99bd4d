package cli_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// abortDevices are released at 10 a second: most of them wait when the job is aborted.
const (
	abortDevices   = 120
	abortPerMinute = 600
)

// A job is aborted while a home has no owner: with things of that home queued, and more released to it meanwhile. Its owner was
// killed with -9; what the next one says is held against the abort: no device of the home gets the job or is told of it any
// more, and whatever was released ends CANCELED.
//
// Seen red with a new owner that tells devices and takes requests before it has read log.rollout to its end.
func TestAHomeThatHadNoOwnerDuringAnAbortOffersNothingOfTheJob(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	t.Parallel()                         // it waits most of the time, and for what it sees
	o := startOwners(t, "left", "right") // each comes first for one home (eventstore.Rank)
	d := o.d
	d.run("group", "create", "all")
	d.run("thing", "create", "--prefix", "dev-", "--count", fmt.Sprint(abortDevices))
	d.run("group", "add", "all", "--from", d.names("dev-", abortDevices))
	for try := range 4 {
		if newOrphanage(o, fmt.Sprint("doomed-", try)).abort() {
			return
		}
	}
	t.Error("each time the home had its next owner before the job was aborted: this test shows nothing")
}

// orphanage is one job that is aborted while one home has no owner.
type orphanage struct {
	*owners
	t       *testing.T
	job     string
	victim  *owner
	other   *owner
	home    id.Home // of the victim
	devices *radio
	logs    func(id.Log) *eventstore.Log
}

// newOrphanage waits until each process owns one home, and is ready to take the other.
func newOrphanage(o *owners, job string) *orphanage {
	o.d.t.Helper()
	a := &orphanage{owners: o, t: o.d.t, job: job, victim: o.both[1], other: o.both[0]}
	o.d.eventually(2*patience, "each process owns one home, and stands by for the other", func() bool {
		left, right := o.homes(a.other.name), o.homes(a.victim.name)
		if len(left) != 1 || len(right) != 1 || !o.standsBy(a.other.name, right[0]) {
			return false
		}
		log, err := id.ParseLog(right[0])
		a.home = log.Home
		return err == nil
	})
	a.devices = newRadio(a.t, o.hub.Devices)
	a.logs = logsOf(a.t, o.hub, o.creds)
	return a
}

func (o *owners) standsBy(name, log string) bool {
	var v partitionsJSON
	o.d.read(&v, "partitions")
	for _, p := range v.Partitions {
		for _, m := range p.Members {
			if p.Log == log && m.Member == name && m.State == "standby" {
				return true
			}
		}
	}
	return false
}

// abort says whether the job was aborted before the home had its next owner.
func (a *orphanage) abort() bool {
	d := a.d
	d.run("job", "create", a.job, "--document", "{}", "--target", "group/all", "--abort", "FAILED:50%:2", "--per-minute", fmt.Sprint(abortPerMinute))
	var failing []string
	d.eventually(patience, "things of both homes are told", func() bool {
		failing = a.told(func(h id.Home) bool { return h != a.home })
		return len(failing) >= 2 && len(a.told(a.isOrphan)) >= 2
	})
	failing = failing[:2]
	for _, thing := range failing {
		if got := a.devices.ask(thing, "start-next", "{}"); !strings.Contains(got, a.job) {
			a.t.Fatalf("%s starts %s", thing, got)
		}
	}
	a.victim.kill()
	rollout := a.logs(id.RolloutLog)
	_, killed, err := rollout.Bounds(context.Background())
	if err != nil {
		a.t.Fatal(err)
	}
	a.find(rollout, killed, "a release to the home without an owner", func(e *v1.Event) bool {
		return slices.ContainsFunc(e.GetExecutionsReleased().GetThings(), func(ref *v1.ThingRef) bool { return a.isOrphan(id.HomeOf(ref.Name, 2)) })
	})
	for _, thing := range failing {
		if got := a.devices.ask(thing, a.job+".update", `{"status":"FAILED","clientToken":"once"}`); strings.Contains(got, "code") {
			a.t.Fatalf("%s reports: %s", thing, got)
		}
	}
	aborted := a.find(rollout, killed, "the abort", func(e *v1.Event) bool { return e.GetAbortTriggered() != nil })
	mark := time.Now()
	log := id.ExecutionLog(a.home)
	d.eventually(patience, a.other.name+" has taken over "+log.String(), func() bool { return slices.Contains(a.homes(a.other.name), log.String()) })
	took := a.lastOwned(a.logs(log))
	a.t.Logf("%s: aborted at %d ms, the next owner's first commit is %d ms later", a.job, aborted, took-aborted)
	if took > aborted {
		a.holdsTo(mark)
	}
	a.victim.process = a.serve(a.victim.name, a.victim.tap.url(), "execution")
	awaitServing(d, a.victim.process)
	return took > aborted
}

func (a *orphanage) isOrphan(h id.Home) bool { return h == a.home }

// told are the things of homes that were told of the job.
func (a *orphanage) told(of func(id.Home) bool) (things []string) {
	for _, m := range a.devices.since(time.Time{}) {
		if strings.HasPrefix(m.topic, "notify") && strings.Contains(m.payload, a.job) && of(id.HomeOf(m.thing, 2)) && !slices.Contains(things, m.thing) {
			things = append(things, m.thing)
		}
	}
	return things
}

// find waits for an event behind a commit of a log, and returns the time of its commit in ms since the epoch.
func (a *orphanage) find(log *eventstore.Log, behind uint64, what string, is func(*v1.Event) bool) (atMs int64) {
	a.t.Helper()
	a.d.eventually(patience, what, func() bool {
		_, last, err := log.Bounds(context.Background())
		if err != nil {
			a.t.Fatal(err)
		}
		for ; behind < last; behind++ {
			c, err := log.Read(context.Background(), behind+1)
			if err != nil {
				a.t.Fatal(err)
			}
			if slices.ContainsFunc(c.Entries, func(e *v1.Entry) bool { return is(e.GetEvent()) }) {
				atMs = c.AtMs
				return true
			}
		}
		return false
	})
	return atMs
}

// lastOwned is when a log was taken over last, by its commit.
func (a *orphanage) lastOwned(log *eventstore.Log) (atMs int64) {
	a.t.Helper()
	_, last, err := log.Bounds(context.Background())
	for number := last; err == nil && number > 0; number-- {
		c, fault := log.Read(context.Background(), number)
		if err = fault; fault == nil && slices.ContainsFunc(c.Entries, func(e *v1.Entry) bool { return e.GetEvent().GetOwned() != nil }) {
			return c.AtMs
		}
	}
	a.t.Fatalf("%v has no owner: %v", log.Name(), err)
	return 0
}

// holdsTo holds what the home says since against the abort.
func (a *orphanage) holdsTo(mark time.Time) {
	for i := range abortDevices {
		thing := fmt.Sprintf("dev-%04d", i)
		if !a.isOrphan(id.HomeOf(thing, 2)) {
			continue
		}
		if got := a.devices.ask(thing, "start-next", "{}"); strings.Contains(got, a.job) || strings.Contains(got, `"code"`) {
			a.t.Errorf("%s: %s starts %s", a.job, thing, got)
		}
	}
	var j job
	a.d.eventually(patience, "the abort is carried out", func() bool {
		a.d.read(&j, "job", "describe", a.job)
		return j.Status == "CANCELED" && !j.IsConcurrent
	})
	for _, m := range a.devices.since(mark) {
		if strings.HasPrefix(m.topic, "notify") && strings.Contains(m.payload, a.job) && a.isOrphan(id.HomeOf(m.thing, 2)) {
			a.t.Errorf("%s is told on %s, %v after the abort: %s", m.thing, m.topic, m.at.Sub(mark), m.payload)
		}
	}
	from := []string{"--nats", a.hub.NATS, "--creds", a.creds}
	r := a.d.audit(0, append(from, a.job, "--expect", "FAILED=2")...)
	if r.Counts["CANCELED"] != r.Executions-2 || r.Ended != r.Executions || r.EndedTwice != 0 || len(r.Violations) != 0 {
		a.t.Errorf("the recount: %+v", r)
	}
	if status, out, errs := a.d.try(append([]string{"audit", "abort", a.job}, from...)...); status != 0 {
		a.t.Errorf("audit abort: exit status %d\n%s%s", status, out, errs)
	}
}

// radio is a connection on which devices ask, and hear whatever devices are told.
type radio struct {
	t     *testing.T
	nc    *nats.Conn
	asked int

	mu    sync.Mutex
	heard []heard
}

type heard struct {
	thing, topic, payload string
	at                    time.Time
}

func newRadio(t *testing.T, url string) *radio {
	t.Helper()
	nc, err := nats.Connect(url, nats.Name("radio"), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	r := &radio{t: t, nc: nc}
	_, err = nc.Subscribe("$aws.things.*.jobs.>", func(m *nats.Msg) {
		thing, topic, _ := strings.Cut(strings.TrimPrefix(m.Subject, "$aws.things."), ".jobs.")
		r.mu.Lock()
		defer r.mu.Unlock()
		r.heard = append(r.heard, heard{thing, topic, string(m.Data), time.Now()})
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// since is what was heard after a time.
func (r *radio) since(mark time.Time) []heard {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.heard, func(h heard) bool { return h.at.After(mark) })
	if i < 0 {
		return nil
	}
	return slices.Clone(r.heard[i:])
}

// ask sends a device's request, again each second while nobody answers, and returns the answer.
func (r *radio) ask(thing, what, payload string) string {
	r.t.Helper()
	root := "$aws.things." + thing + ".jobs."
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		r.asked++
		inbox := fmt.Sprintf("$inbox.%d", r.asked)
		sent := time.Now()
		if err := r.nc.PublishRequest(root+what, root+inbox, []byte(payload)); err != nil {
			r.t.Fatal(err)
		}
		for time.Since(sent) < time.Second {
			for _, h := range r.since(sent) {
				if h.thing == thing && h.topic == inbox {
					return h.payload
				}
			}
			time.Sleep(time.Millisecond)
		}
	}
	r.t.Fatalf("%s asks %s and has no answer", thing, what)
	return ""
}
