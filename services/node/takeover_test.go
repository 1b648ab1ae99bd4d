package node_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/node"
)

// asker asks one thing's home all the time, and notes for how long there was no answer.
type asker struct {
	stop    context.CancelFunc
	done    chan struct{}
	longest time.Duration
	answers int
}

// ask begins to ask for a thing's pending executions, with many requests in flight, until stopped.
func (c *cluster) ask(thing string) *asker {
	ctx, cancel := context.WithCancel(context.Background())
	a := &asker{stop: cancel, done: make(chan struct{})}
	client := &bus.Client{}
	*client = *c.client
	client.Timeout = 250 * time.Millisecond
	go func() {
		defer close(a.done)
		for last := time.Now(); ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
			_, err := bus.GetPending.Call(context.Background(), client, &v1.GetPending{Thing: thing})
			if err != nil {
				continue
			}
			a.longest = max(a.longest, time.Since(last))
			last = time.Now()
			a.answers++
		}
	}()
	return a
}

// gap is the longest time without an answer.
func (a *asker) gap() time.Duration {
	a.stop()
	<-a.done
	return a.longest
}

// A graceful stop hands everything over: requests are answered by the other one within a second.
func TestWhatAStoppedOwnerHadTheOtherServesWithinASecond(t *testing.T) {
	c := startCluster(t)
	a := c.start("a")
	b := c.start(behind("a", id.Logs(2)...)) // so that nothing is handed to it before the stop, however slow the machine
	s := &system{Node: a.Node, t: t, client: c.client}
	s.fleet(10)
	s.job("j")
	s.until("j", func(r *v1.DescribeJobReply) bool { return attempts(r, queued) == 10 })
	if got := owners(c.partitions()); !only(got, "a") && c.lost.n.Load() == 0 {
		t.Fatalf("b came later and owns some: %v", got)
	}
	probes := []*asker{c.ask("t-0"), c.ask("t-1"), c.ask("t-2"), c.ask("t-3")}
	began := time.Now()
	a.close()
	took := time.Since(began)
	eventually(t, "b owns everything", func() bool { return only(owners(c.partitions()), b.Name()) })
	s.Node = b.Node
	for i := range 10 {
		thing := fmt.Sprint("t-", i)
		eventually(t, thing+"'s home answers", func() bool { // who has the lease answers a moment later
			_, err := bus.StartNext.Call(t.Context(), s.client, &v1.StartNext{Thing: thing})
			return err == nil
		})
		must(t)(bus.UpdateExecution.Call(t.Context(), s.client, &v1.UpdateExecution{Thing: thing, JobId: "j", Status: succeeded, ExpectedVersion: 2}))
	}
	s.until("j", func(r *v1.DescribeJobReply) bool { return r.GetJob().GetStatus() == v1.JobStatus_JOB_STATUS_COMPLETED })
	for _, p := range probes {
		gap := p.gap()
		t.Logf("the stop took %v; the longest time without an answer was %v, of %d answers", took.Round(time.Millisecond), gap.Round(time.Millisecond), p.answers)
		if gap > patience { // a second, and what a busy machine adds
			t.Errorf("%v without an answer", gap)
		}
	}
	c.epochs(func(*v1.Partition) uint64 { return 2 })
}

// Who comes first for a log is handed it, once he has stood by for a while, and nobody else's is moved.
func TestAHomeGoesToTheMemberThatShouldHaveIt(t *testing.T) {
	t.Parallel() // it waits for ten seconds
	c := startCluster(t)
	c.start("a", node.RoleExecution, node.RoleProjections)
	home1 := id.ExecutionLog(1)
	b := firstFor(home1, "a", id.ExecutionLog(0))
	c.start(b, node.RoleExecution, node.RoleProjections)
	c.start("others", node.RoleJob, node.RoleTargeting, node.RoleRollout)
	thing := "t"
	for id.HomeOf(thing, 2) != 1 {
		thing += "t"
	}
	probe := c.ask(thing)
	want := map[string]string{"1/0": "others", "2/0": "others", "3/0": "others", "4/0": "a", "4/1": b}
	eventually(t, "everybody owns what he should", func() bool { return maps.Equal(owners(c.partitions()), want) })
	gap := probe.gap()
	t.Logf("handed over: the longest time without an answer was %v, of %d answers", gap.Round(time.Millisecond), probe.answers)
	if gap > patience {
		t.Errorf("%v without an answer", gap)
	}
	c.epochs(func(p *v1.Partition) uint64 {
		return map[bool]uint64{true: 2, false: 1}[p.GetService() == home1.Service && p.GetHome() == 1]
	})
}

// behind is a name that ranks behind another for all these logs.
func behind(other string, logs ...id.Log) string {
	for i := 0; ; i++ {
		name := fmt.Sprint("b", i)
		if !slices.ContainsFunc(logs, func(l id.Log) bool { return eventstore.Rank(name, l) >= eventstore.Rank(other, l) }) {
			return name
		}
	}
}

// firstFor is a name that ranks before another for one log, and behind it for the next.
func firstFor(log id.Log, other string, not id.Log) string {
	for i := 0; ; i++ {
		name := fmt.Sprint("b", i)
		if eventstore.Rank(name, log) > eventstore.Rank(other, log) && eventstore.Rank(name, not) < eventstore.Rank(other, not) {
			return name
		}
	}
}
