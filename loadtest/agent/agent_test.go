package agent_test

import (
	"fmt"
	"testing"

	"github.com/droverhq/drover/loadtest/agent"
	"pgregory.net/rapid"
)

// Exactly k of n are chosen, for every seed and job.
func TestChosenIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3000).Draw(t, "n")
		k := rapid.IntRange(0, n).Draw(t, "k")
		seed := rapid.Uint64().Draw(t, "seed")
		job := rapid.String().Draw(t, "job")
		got := 0
		for i := range n {
			if agent.Chosen(i, n, k, seed, job) {
				got++
			}
		}
		if got != k {
			t.Fatalf("%d of %d are chosen, want %d", got, n, k)
		}
	})
}

func TestChosenDependsOnSeedAndJob(t *testing.T) {
	list := func(seed uint64, job string) (s string) {
		for i := range 1000 {
			if agent.Chosen(i, 1000, 50, seed, job) {
				s += fmt.Sprint(i, " ")
			}
		}
		return s
	}
	if list(1, "a") == list(2, "a") || list(1, "a") == list(1, "b") {
		t.Error("another seed or another job chooses the same devices")
	}
}

// service is a model of what answers a device: one queue, and it may lose any message either way, and repeat any
// answer. It counts what the device did.
type service struct {
	queue   []agent.Execution // the head first
	ended   map[string]agent.Status
	tokens  map[string]string // the token that ended it
	applied int
}

func (s *service) handle(r agent.Request) agent.Answer {
	a := agent.Answer{Token: r.Token, Accepted: true}
	if r.Op == agent.StartNext {
		if len(s.queue) > 0 {
			if head := &s.queue[0]; head.Status == agent.Queued {
				head.Status, head.Version = agent.InProgress, head.Version+1
			}
			head := s.queue[0]
			a.Execution = &head
		}
		return a
	}
	if status, ok := s.ended[r.Job]; ok {
		a.Accepted = s.tokens[r.Job] == r.Token
		a.State = &agent.State{Status: status, Version: 9}
		if !a.Accepted {
			a.Code = agent.InvalidStateTransition
		}
		return a
	}
	head := &s.queue[0]
	if head.Job != r.Job || head.Version != r.ExpectedVersion {
		return agent.Answer{Token: r.Token, Code: agent.VersionMismatch, State: &agent.State{Status: head.Status, Version: head.Version}}
	}
	s.applied++
	head.Version++
	a.State = &agent.State{Status: r.Status, Version: head.Version}
	if r.Status.Ended() {
		s.ended[r.Job], s.tokens[r.Job] = r.Status, r.Token
		s.queue = s.queue[1:]
	}
	return a
}

// Whatever is lost, repeated or late, and whenever the device dies and comes back with its journal: every job ends,
// and no execution is started twice.
func TestEveryJobEndsAndNoneRunsTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		jobs := rapid.IntRange(1, 5).Draw(t, "jobs")
		s := &service{ended: map[string]agent.Status{}, tokens: map[string]string{}}
		for i := range jobs {
			s.queue = append(s.queue, agent.Execution{Job: fmt.Sprint("job-", i), Number: 1, Status: agent.Queued, Version: 1})
		}
		c := agent.Config{Thing: "t", Work: 1e9, Progress: rapid.IntRange(0, 3).Draw(t, "progress"), Boot: 1}
		var journal []agent.Fact
		var answers []agent.Answer // under way to the device
		a := agent.New(c)
		now, wake := epoch, int64(0)
		loss := func(what string) bool {
			return len(journal) < 200 && rapid.IntRange(0, 9).Draw(t, what) < 3
		}
		take := func(e agent.Effects) {
			journal = append(journal, e.Facts...)
			wake = e.Wake
			for _, r := range e.Requests {
				if loss("request lost") {
					continue
				}
				answer := s.handle(r)
				if !loss("answer lost") {
					answers = append(answers, answer)
				}
				if loss("answer repeated") {
					answers = append(answers, answer)
				}
			}
		}
		take(a.Connected(now))
		for step := 0; len(s.ended) < jobs || !a.Idle(); step++ {
			if step > 5000 {
				t.Fatalf("%d of %d jobs have ended after %d steps", len(s.ended), jobs, step)
			}
			switch {
			case len(answers) > 0:
				answer := answers[0]
				answers = answers[1:]
				take(a.Answered(now, answer))
			case loss("killed"):
				c.Boot++
				a = agent.New(c)
				for _, f := range journal {
					a.Recall(f)
				}
				answers = nil
				take(a.Connected(now))
			case loss("cut off"):
				answers = nil
				take(a.Disconnected(now))
				now += 1e8
				take(a.Connected(now))
			case wake == 0:
				t.Fatalf("the device waits for nothing, with %d of %d jobs ended", len(s.ended), jobs)
			default:
				now = max(now, wake)
				take(a.Tick(now))
			}
		}
		started := map[string]int{}
		for _, f := range journal {
			if f.What == agent.Started {
				started[f.Job]++
			}
		}
		for job, n := range started {
			if n != 1 {
				t.Fatalf("%s was started %d times", job, n)
			}
		}
		if len(started) != jobs {
			t.Fatalf("%d of %d jobs were started", len(started), jobs)
		}
	})
}
