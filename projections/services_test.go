package projections_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/memory"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/executions"
	"github.com/droverhq/drover/projections/fleet"
	"github.com/droverhq/drover/projections/jobs"
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/tally"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/execution"
	"github.com/droverhq/drover/services/host"
	"github.com/droverhq/drover/services/job"
	"github.com/droverhq/drover/services/rollout"
	"github.com/droverhq/drover/services/targeting"
)

// system is the real cores in real hosts, on logs in memory.
type system struct {
	t     *testing.T
	homes uint32
	logs  []*eventstore.Log
	hosts map[id.Log]*host.Host
}

func startSystem(t *testing.T, homes uint32) *system {
	s := &system{t: t, homes: homes, hosts: map[id.Log]*host.Host{}}
	for _, name := range id.Logs(homes) {
		s.logs = append(s.logs, eventstore.New(name, memory.New()))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	for i, name := range id.Logs(homes) {
		c := host.Config{
			Log: s.logs[i], State: kv.NewMemory(), Homes: homes, Owner: "test", Logger: quiet,
			IsQuery: func(m proto.Message) bool { _, ok := m.(*v1.GetPending); return ok },
		}
		switch name.Service {
		case v1.Service_SERVICE_JOB:
			c.Core, c.Upstream = job.New(job.DefaultLimits()), s.logs[2:3]
		case v1.Service_SERVICE_TARGETING:
			c.Core, c.Upstream = targeting.New(targeting.DefaultLimits()), s.logs[:1]
		case v1.Service_SERVICE_ROLLOUT:
			c.Core, c.Upstream = rollout.New(homes, rollout.DefaultLimits()), append(append([]*eventstore.Log{}, s.logs[:2]...), s.logs[3:]...)
		case v1.Service_SERVICE_EXECUTION:
			c.Core, c.Upstream, c.Tally = execution.New(uint32(name.Home), homes), s.logs[2:3], tally.Of
		}
		h, err := host.New(c)
		if err != nil {
			t.Fatal(err)
		}
		s.hosts[name] = h
		running.Go(func() {
			if err := h.Run(ctx); ctx.Err() == nil {
				t.Errorf("host of %s: %v", name, err)
			}
		})
	}
	for _, h := range s.hosts {
		select {
		case <-h.Ready():
		case <-time.After(patience):
			t.Fatal("a host is not ready")
		}
	}
	return s
}

func (s *system) do(log id.Log, m proto.Message) proto.Message {
	s.t.Helper()
	reply, err := s.hosts[log].Do(s.t.Context(), host.Request{Command: m, By: "test"})
	if err != nil {
		s.t.Fatalf("%T: %v", m, err)
	}
	return reply
}

// work starts and ends the next execution of a thing, if it has one.
func (s *system) work(thing string, to v1.ExecutionStatus) (worked bool) {
	s.t.Helper()
	log := id.ExecutionLog(id.HomeOf(thing, s.homes))
	e := s.do(log, &v1.StartNext{Thing: thing}).(*v1.StartNextReply).Execution
	if e == nil {
		return false
	}
	s.do(log, &v1.UpdateExecution{Thing: thing, JobId: e.JobId, Status: to, StatusDetails: []*v1.Detail{{Name: "by", Value: "test"}}, ReplaceDetails: true})
	return true
}

// The whole of it: things in groups, a job that completes, one that is canceled, a thing deleted on the way.
func TestReadModelsOfTheRealServicesAreTheFoldOfTheirLogs(t *testing.T) {
	s := startSystem(t, 2)
	live := kv.NewMemory()
	h := &history{t: t, logs: s.logs, homes: s.homes}
	r, stop := startUntil(t, h, live)

	things, names := []*v1.NewThing{}, []string{}
	for i := range 40 {
		names = append(names, fmt.Sprintf("dev-%02d", i))
		things = append(things, &v1.NewThing{Name: names[i]})
	}
	s.do(id.TargetingLog, &v1.CreateThings{Things: things})
	s.do(id.TargetingLog, &v1.CreateGroup{Group: "all"})
	s.do(id.TargetingLog, &v1.AddThings{Group: "all", Things: names})
	s.do(id.TargetingLog, &v1.RemoveThings{Group: "all", Things: names[39:]})
	group := []*v1.Target{{Target: &v1.Target_Group{Group: "all"}}}
	for _, name := range []string{"first", "second"} {
		s.do(id.JobLog, &v1.CreateJob{
			JobId: name, Targets: group, TargetSelection: v1.TargetSelection_TARGET_SELECTION_SNAPSHOT, Document: []byte(`{}`),
			Checked: &v1.TargetsChecked{AsOf: 100},
		})
	}
	ask := func(query func(kv.Reader) error) {
		t.Helper()
		if _, err := r.Ask(t.Context(), fresh, query); err != nil {
			t.Fatal(err)
		}
	}
	describe := func(name string) (d *v1.DescribeJobReply) {
		ask(func(rows kv.Reader) (err error) {
			d, err = jobs.Describe(rows, &v1.DescribeJob{JobId: name})
			return err
		})
		return d
	}
	deadline(t, func() bool { return describe("first").Counts.Open == 39 && describe("second").Counts.Open == 39 })
	if d := describe("first"); d.Job.IsConcurrent || d.Counts.Selected != 39 || !d.Counts.SelectionFinished || d.Counts.Waiting != 0 {
		t.Errorf("all released: %v", d)
	}

	s.do(id.TargetingLog, &v1.DeleteThing{Name: names[38]})
	for i, name := range names[:38] {
		to := succeeded
		if i%10 == 0 {
			to = failed
		}
		if !s.work(name, to) {
			t.Fatalf("%s has nothing to do", name)
		}
	}
	deadline(t, func() bool { return describe("first").Job.Status == v1.JobStatus_JOB_STATUS_COMPLETED })
	s.do(id.JobLog, &v1.CancelJob{JobId: "second", ReasonCode: "ENOUGH"})
	deadline(t, func() bool { return describe("second").Job.CompletedAtMs != 0 })

	ask(func(rows kv.Reader) error {
		for _, name := range []string{"first", "second"} {
			recount(t, rows, name)
		}
		reply, err := executions.ListForThing(rows, &v1.ListExecutionsForThing{Thing: names[0]})
		if err != nil || len(reply.Executions) != 2 {
			t.Errorf("executions of %s: %v, %v", names[0], reply, err)
		}
		all, err := fleet.DescribeGroup(rows, &v1.DescribeGroup{Group: "all"})
		if err != nil || all.Group.Members != 38 {
			t.Errorf("the group: %v, %v", all, err)
		}
		members, err := fleet.ListThingsInGroup(rows, &v1.ListThingsInGroup{Group: "all"})
		if err != nil || len(members.Things) != 38 {
			t.Errorf("%d members are listed, %v", len(members.GetThings()), err)
		}
		return nil
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(3) {
		if _, err := projections.Verify(t.Context(), s.logs, live, kv.NewMemory(), seed, nil); err != nil {
			t.Error(err)
		}
	}
}

// recount compares a job's counters with its rows.
func recount(t *testing.T, rows kv.Reader, name string) {
	t.Helper()
	d, err := jobs.Describe(rows, &v1.DescribeJob{JobId: name})
	if err != nil {
		t.Fatal(err)
	}
	reply, err := executions.ListForJob(rows, &v1.ListExecutionsForJob{JobId: name})
	if err != nil {
		t.Fatal(err)
	}
	counted := map[v1.ExecutionStatus]int64{}
	for _, e := range reply.Executions {
		counted[e.Status]++
	}
	for _, a := range d.Counts.Attempts {
		if counted[a.Status] != a.Count {
			t.Errorf("%s: %d executions are %s, counted %d", name, counted[a.Status], a.Status, a.Count)
		}
		delete(counted, a.Status)
	}
	if len(counted) != 0 || d.Counts.Open != 0 || d.Counts.Good+d.Counts.Harmed+d.Counts.Void+int64(d.Counts.Refused) != int64(d.Counts.Released) {
		t.Errorf("%s: not counted %v, counts %v", name, counted, d.Counts)
	}
}
