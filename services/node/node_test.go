package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/node"
)

// system is a running node and a client of it.
type system struct {
	*node.Node
	t      *testing.T
	data   string
	client *bus.Client
}

func config(data string) node.Config {
	return node.Config{Data: data, Homes: 2, Version: "test", Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

// losses counts the leases that nodes lost to others without having given them up, as they do when the machine stands still
// for longer than a lease.
type losses struct{ n atomic.Int64 }

func (l *losses) Enabled(context.Context, slog.Level) bool { return true }
func (l *losses) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "the lease is another's" {
		l.n.Add(1)
	}
	return nil
}
func (l *losses) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *losses) WithGroup(string) slog.Handler      { return l }

func start(t *testing.T, data string) *system {
	t.Helper()
	n, err := node.Start(t.Context(), config(data))
	if err != nil {
		t.Fatal(err)
	}
	s := &system{Node: n, t: t, data: data}
	t.Cleanup(s.stop)
	nc, err := nats.Connect(n.Endpoints().NATS, nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	s.client = newClient(nc)
	return s
}

func newClient(nc *nats.Conn) *bus.Client {
	c := bus.NewClient(nc)
	c.Timeout = patience
	return c
}

func (s *system) stop() {
	s.t.Helper()
	if err := s.Close(); err != nil {
		s.t.Error(err)
	}
}

// fleet registers things t-0 … in the group g.
func (s *system) fleet(things int) {
	s.t.Helper()
	must(s.t)(bus.CreateGroup.Call(s.t.Context(), s.client, &v1.CreateGroup{Group: "g"}))
	const chunk = 500
	for first := 0; first < things; first += chunk {
		create, add := &v1.CreateThings{}, &v1.AddThings{Group: "g"}
		for i := first; i < min(first+chunk, things); i++ {
			create.Things = append(create.Things, &v1.NewThing{Name: fmt.Sprint("t-", i)})
			add.Things = append(add.Things, fmt.Sprint("t-", i))
		}
		must(s.t)(bus.CreateThings.Call(s.t.Context(), s.client, create))
		must(s.t)(bus.AddThings.Call(s.t.Context(), s.client, add))
	}
}

func (s *system) job(name string) {
	s.t.Helper()
	if err := s.createJob(name); err != nil {
		s.t.Fatal(err)
	}
}

func (s *system) createJob(name string) error {
	_, err := bus.CreateJob.Call(s.t.Context(), s.client, &v1.CreateJob{
		JobId: name, Document: []byte(`{"operation":"x"}`), Targets: []*v1.Target{{Target: &v1.Target_Group{Group: "g"}}},
	})
	return err
}

// describe asks until the job is as it should be.
func (s *system) until(name string, ok func(*v1.DescribeJobReply) bool) *v1.DescribeJobReply {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		reply, err := bus.DescribeJob.Call(s.t.Context(), s.client, &v1.DescribeJob{JobId: name, Freshness: &v1.Freshness{Fresh: true}})
		if err != nil && !unavailable(err) {
			s.t.Fatal(err)
		}
		if err == nil && ok(reply) {
			return reply
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("job %s stays as it is: %v, %v", name, reply, err)
		}
	}
}

// unavailable says whether one may ask again.
func unavailable(err error) bool {
	r := new(v1.Refusal)
	return errors.As(err, &r) && r.GetCode() == v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE
}

func attempts(r *v1.DescribeJobReply, status v1.ExecutionStatus) int64 {
	for _, a := range r.GetCounts().GetAttempts() {
		if a.GetStatus() == status {
			return a.GetCount()
		}
	}
	return 0
}

func must(t *testing.T) func(any, error) {
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

const (
	queued    = v1.ExecutionStatus_EXECUTION_STATUS_QUEUED
	succeeded = v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED
	canceled  = v1.ExecutionStatus_EXECUTION_STATUS_CANCELED
)

func TestAJobReachesItsDevicesAndCompletes(t *testing.T) {
	s := start(t, t.TempDir())
	s.fleet(20)
	s.job("j")
	s.until("j", func(r *v1.DescribeJobReply) bool { return attempts(r, queued) == 20 })
	for i := range 20 {
		thing := fmt.Sprint("t-", i)
		reply, err := bus.StartNext.Call(t.Context(), s.client, &v1.StartNext{Thing: thing})
		if err != nil || reply.GetExecution().GetJobId() != "j" {
			t.Fatalf("%s: %v, %v", thing, reply, err)
		}
		must(t)(bus.UpdateExecution.Call(t.Context(), s.client, &v1.UpdateExecution{Thing: thing, JobId: "j", Status: succeeded, ExpectedVersion: 2}))
	}
	r := s.until("j", func(r *v1.DescribeJobReply) bool { return r.GetJob().GetStatus() == v1.JobStatus_JOB_STATUS_COMPLETED })
	if attempts(r, succeeded) != 20 || r.GetCounts().GetGood() != 20 || r.GetCounts().GetOpen() != 0 {
		t.Fatalf("counts: %v", r.GetCounts())
	}
}

func TestACanceledJobIsCanceledEverywhere(t *testing.T) {
	s := start(t, t.TempDir())
	s.fleet(20)
	s.job("j")
	s.until("j", func(r *v1.DescribeJobReply) bool { return attempts(r, queued) == 20 })
	must(t)(bus.CancelJob.Call(t.Context(), s.client, &v1.CancelJob{JobId: "j"}))
	r := s.until("j", func(r *v1.DescribeJobReply) bool { return attempts(r, canceled) == 20 && !r.GetJob().GetIsConcurrent() })
	if r.GetJob().GetStatus() != v1.JobStatus_JOB_STATUS_CANCELED {
		t.Fatalf("status %v", r.GetJob().GetStatus())
	}
}

func TestWhatWasAcknowledgedIsThereAfterARestart(t *testing.T) {
	data := t.TempDir()
	s := start(t, data)
	s.fleet(10)
	s.job("j")
	s.until("j", func(r *v1.DescribeJobReply) bool { return attempts(r, queued) == 10 })
	must(t)(bus.StartNext.Call(t.Context(), s.client, &v1.StartNext{Thing: "t-3"}))
	s.stop()
	if _, err := os.Stat(node.EndpointsFile(data)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("endpoints.json outlives the system: %v", err)
	}

	s = start(t, data)
	reply, err := bus.DescribeExecution.Call(t.Context(), s.client, &v1.DescribeExecution{Thing: "t-3", JobId: "$next"})
	if err != nil || reply.GetExecution().GetVersionNumber() != 2 {
		t.Fatalf("%v, %v", reply, err)
	}
	must(t)(bus.UpdateExecution.Call(t.Context(), s.client, &v1.UpdateExecution{Thing: "t-3", JobId: "j", Status: succeeded, ExpectedVersion: 2}))
}

func TestEventsAreReadInPagesAndByJobAndThing(t *testing.T) {
	s := start(t, t.TempDir())
	s.fleet(10)
	s.job("j")
	s.until("j", func(r *v1.DescribeJobReply) bool { return attempts(r, queued) == 10 })
	read := func(q *v1.ReadEvents) (types []string) {
		for {
			reply, err := bus.ReadEvents.Call(t.Context(), s.client, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range reply.GetEvents() {
				types = append(types, e.GetEntry().GetEvent().Type())
			}
			if reply.GetEnd() {
				return types
			}
			q.Since = reply.GetNext()
		}
	}
	for all := read(&v1.ReadEvents{}); ; {
		paged := read(&v1.ReadEvents{Limit: 3})
		again := read(&v1.ReadEvents{})
		if len(again) != len(all) { // the rollout has observed what was queued meanwhile
			all = again
			continue
		}
		if strings.Join(paged, " ") != strings.Join(all, " ") {
			t.Fatalf("in pages:\n%s\nat once:\n%s", paged, all)
		}
		break
	}
	of := strings.Join(read(&v1.ReadEvents{Thing: "t-4"}), " ")
	if want := "ThingCreated ThingJoined ThingsSelected ThingsWaiting ExecutionsReleased ExecutionQueued"; of != want {
		t.Fatalf("events of a thing:\n got %s\nwant %s", of, want)
	}
	if got := read(&v1.ReadEvents{JobId: "j"}); got[0] != "JobCreated" || len(got) < 16 {
		t.Fatalf("events of a job: %v", got)
	}
	level, err := bus.ReadEvents.Call(t.Context(), s.client, &v1.ReadEvents{JobId: "j", JobLevel: true})
	if err != nil || len(level.GetEvents()) < 6 {
		t.Fatalf("at the level of the job: %v, %v", level, err)
	}
	releases := 0
	for _, e := range level.GetEvents() {
		if e.GetEntry().GetEvent().GetExecutionsReleased() != nil {
			if releases++; releases > 1 || e.GetThings() != 10 || e.GetSteps() == 0 {
				t.Fatalf("at the level of the job: %v", e)
			}
		}
		if selected := e.GetEntry().GetEvent().GetThingsSelected(); selected != nil && (e.GetThings() != 10 || len(selected.GetThings()) != 0) {
			t.Fatalf("at the level of the job: %v", e)
		}
		if e.GetPosition().GetService() == v1.Service_SERVICE_EXECUTION || e.GetEntry().GetEvent().Job() == 0 {
			t.Fatalf("at the level of the job: %v", e)
		}
	}
	number := level.GetEvents()[0].GetEntry().GetEvent().Job()
	if byID, byNumber := read(&v1.ReadEvents{JobId: "j"}), read(&v1.ReadEvents{Job: number}); strings.Join(byID, " ") != strings.Join(byNumber, " ") {
		t.Errorf("by id:\n%s\nby number:\n%s", byID, byNumber)
	}
	_, err = bus.ReadEvents.Call(t.Context(), s.client, &v1.ReadEvents{JobId: "nope"})
	if r := new(v1.Refusal); !errors.As(err, &r) || r.GetCode() != v1.RefusalCode_REFUSAL_CODE_NOT_FOUND {
		t.Fatalf("an unknown job: %v", err)
	}
}

// A commit of a release holds thousands of events: more than one message of the broker takes.
func TestEventsOfLargeCommitsAreReadInPages(t *testing.T) {
	const things = largeThings
	s := start(t, t.TempDir())
	s.fleet(things)
	s.job(strings.Repeat("j", 64))
	s.until(strings.Repeat("j", 64), func(r *v1.DescribeJobReply) bool { return attempts(r, queued) == things })
	for _, limit := range []uint32{1000, 700} {
		seen, last := map[string]bool{}, map[id.Log]*v1.Position{}
		for q := (&v1.ReadEvents{Limit: limit}); ; {
			reply, err := bus.ReadEvents.Call(t.Context(), s.client, q)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(reply.GetEvents()); n > int(limit)+1 {
				t.Fatalf("limit %d: a page of %d", limit, n)
			}
			for _, e := range reply.GetEvents() {
				p := e.GetPosition()
				if before := last[id.LogOf(p)]; before != nil && (p.GetNumber() < before.GetNumber() || p.GetNumber() == before.GetNumber() && p.GetEntry() <= before.GetEntry()) {
					t.Fatalf("limit %d: %s comes after %s", limit, id.FormatPosition(p), id.FormatPosition(before))
				}
				last[id.LogOf(p)] = p
				if x := e.GetEntry().GetEvent().GetExecutionQueued(); x != nil {
					seen[id.FormatPosition(p)] = true
				}
				if e.GetEntry().GetCause() == nil {
					t.Fatalf("limit %d: %s has no cause", limit, id.FormatPosition(p))
				}
			}
			if reply.GetEnd() {
				break
			}
			q.Since = reply.GetNext()
		}
		if len(seen) != things {
			t.Errorf("limit %d: %d executions of %d", limit, len(seen), things)
		}
	}
}

func TestExecutionsOfAnUnknownThingAreRefused(t *testing.T) {
	s := start(t, t.TempDir())
	s.fleet(1)
	list := func(thing string) error {
		_, err := bus.ListExecutionsForThing.Call(t.Context(), s.client, &v1.ListExecutionsForThing{Thing: thing, Freshness: &v1.Freshness{Fresh: true}})
		return err
	}
	if err := list("t-0"); err != nil {
		t.Fatalf("a thing without executions: %v", err)
	}
	if err, r := list("nobody"), new(v1.Refusal); !errors.As(err, &r) || r.GetCode() != v1.RefusalCode_REFUSAL_CODE_NOT_FOUND || r.GetField() != "thingName" {
		t.Fatalf("an unknown thing: %v", err)
	}
}

// An unknown target is refused and nothing is created. (issue's rule: bad input changes nothing)
func TestAJobForAnUnknownTargetIsRefused(t *testing.T) {
	s := start(t, t.TempDir())
	_, err := bus.CreateJob.Call(t.Context(), s.client, &v1.CreateJob{
		JobId: "j", Document: []byte(`{}`), Targets: []*v1.Target{{Target: &v1.Target_Thing{Thing: "nobody"}}},
	})
	r := new(v1.Refusal)
	if !errors.As(err, &r) || r.GetCode() != v1.RefusalCode_REFUSAL_CODE_NOT_FOUND || !strings.Contains(r.GetMessage(), "nobody") {
		t.Fatalf("got %v", err)
	}
	reply, err := bus.ListJobs.Call(t.Context(), s.client, &v1.ListJobs{Freshness: &v1.Freshness{Fresh: true}})
	if err != nil || len(reply.GetJobs()) != 0 {
		t.Fatalf("%v, %v", reply, err)
	}
}

func TestAFolderServesOneSystem(t *testing.T) {
	data := t.TempDir()
	start(t, data)
	if _, err := node.Start(t.Context(), config(data)); err == nil || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Fatalf("a second system on the same folder: %v", err)
	}
}

func TestHomesAreFixedForLife(t *testing.T) {
	data := t.TempDir()
	start(t, data).stop()
	cfg := config(data)
	cfg.Homes = 3
	if _, err := node.Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "born with 2") {
		t.Fatalf("got %v", err)
	}
}

func TestTheMonitorTellsHealthReadinessAndMetrics(t *testing.T) {
	s := start(t, t.TempDir())
	get := func(path string) string {
		resp, err := http.Get(s.Endpoints().Monitor + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
		}
		return string(body)
	}
	get("/healthz")
	if r := get("/readyz"); !strings.Contains(r, `"ready":true`) {
		t.Fatal(r)
	}
	if m := get("/metrics"); !strings.Contains(m, `drover_log_commits_total{log="execution.1"}`) {
		t.Fatal(m)
	}
}

// A system that nobody uses appends nothing: for a minute, after work that left all logs with cursors on one another.
func TestAnIdleSystemAppendsNothing(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	s.fleet(10)
	s.job("j")
	s.until("j", func(r *v1.DescribeJobReply) bool { return attempts(r, queued) == 10 })
	ends := func() string {
		r, err := bus.ListJobs.Call(t.Context(), s.client, &v1.ListJobs{Freshness: &v1.Freshness{Fresh: true}})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(r.GetStamp().GetPositions())
	}
	for {
		// Observed tallies may wait for a second.
		for before := ""; before != ends(); time.Sleep(2 * time.Second) {
			before = ends()
		}
		before, had := ends(), owned(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), idleFor)
		<-ctx.Done()
		cancel()
		after := ends()
		if after == before {
			return
		}
		if owned(t, s) == had {
			t.Fatalf("the logs grew\nfrom %s\nto   %s", before, after)
		}
		t.Log("a lease was lost, on a machine that stood still, and taken again: once more")
	}
}

// owned counts the terms of owners.
func owned(t *testing.T, s *system) (n int) {
	t.Helper()
	for q := (&v1.ReadEvents{}); ; {
		reply, err := bus.ReadEvents.Call(t.Context(), s.client, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range reply.GetEvents() {
			if e.GetEntry().GetEvent().GetOwned() != nil {
				n++
			}
		}
		if reply.GetEnd() {
			return n
		}
		q.Since = reply.GetNext()
	}
}
