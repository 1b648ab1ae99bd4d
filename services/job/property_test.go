package job_test

import (
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core/coretest"
	"github.com/droverhq/drover/services/job"
	"github.com/droverhq/drover/services/job/schedule"
)

// drawn is a testing.TB for coretest whose failures rapid hears of.
type drawn struct {
	testing.TB
	rapid *rapid.T
}

func (d drawn) Helper()                   {}
func (d drawn) Fatal(args ...any)         { d.rapid.Fatal(args...) }
func (d drawn) Fatalf(f string, a ...any) { d.rapid.Fatalf(f, a...) }

// world is log.job with somebody who reads it.
type world struct {
	*coretest.Run
	reader *reader
}

func newWorld(t testing.TB) *world {
	limits := job.DefaultLimits()
	limits.ActiveMax, limits.TemplatesMax, limits.RetentionDays, limits.TargetsMax = 3, 1, 2, 4
	return &world{at(coretest.New(t, job.New(limits), id.JobLog), monday), &reader{t: t, templates: map[string]bool{}}}
}

// input is something that reaches the job service. It names jobs by ids and by the order of their creation, never by
// their numbers, so that it means the same in a log that is cut into other commits.
type input func(w *world)

func command(cmd proto.Message) input {
	return func(w *world) {
		w.accepted(cmd)
		// Decided again it changes nothing: it is refused, or there is nothing left to write.
		if before := len(w.History); len(w.Fresh) > 0 {
			w.Decide(proto.Clone(cmd))
			if len(w.History) != before {
				w.T.Fatalf("decided again: %s", coretest.Text(w.Fresh))
			}
		}
	}
}

// accepted decides a command and holds a refusal against what the reader knows.
func (w *world) accepted(cmd proto.Message) {
	_, err := w.Decide(proto.Clone(cmd))
	var refusal *v1.Refusal
	switch {
	case err == nil:
		return
	case !errors.As(err, &refusal) || len(w.Fresh) != 0:
		w.T.Fatalf("%v is refused with %v, and writes %s", cmd, err, coretest.Text(w.Fresh))
	}
	if c, ok := cmd.(*v1.CreateJob); ok {
		if j, _ := w.reader.named(c.JobId); j == nil && refusal.Code == exists {
			w.T.Fatalf("the id is free: %v", err)
		}
		if full := w.reader.among(isScheduled, isInProgress) == 3; refusal.Code == exceeded && !full {
			w.T.Fatalf("there is room: %v", err)
		}
	}
}

// upstream is an event of log.rollout about the job that was created as the n-th, if rollout may have written it.
func upstream(n int, make func(number uint64) *v1.Event, may func(*standing) bool) input {
	return func(w *world) {
		if len(w.reader.jobs) == 0 {
			return
		}
		n := n % len(w.reader.jobs)
		if !may(w.reader.jobs[n]) {
			return
		}
		e := make(w.reader.numbers[n])
		w.React(id.RolloutLog.Position(1, 0), e)
		before := len(w.History)
		if w.React(id.RolloutLog.Position(2, 0), e); len(w.History) != before {
			w.T.Fatalf("taken in again: %s", coretest.Text(w.Fresh))
		}
	}
}

// phases are those that rollout may say of a job, also late.
var phases = map[v1.JobPhase]func(*standing) bool{
	v1.JobPhase_JOB_PHASE_STOPPED:       func(j *standing) bool { return j.canceled },
	v1.JobPhase_JOB_PHASE_FORCE_STOPPED: func(j *standing) bool { return j.canceled && j.forced || j.ended },
	v1.JobPhase_JOB_PHASE_CLOSED:        func(j *standing) bool { return j.started && !j.continuous || j.canceled || j.ended },
	v1.JobPhase_JOB_PHASE_ENDED:         func(j *standing) bool { return j.ended },
	v1.JobPhase_JOB_PHASE_DELETED:       func(j *standing) bool { return j.status == isDeleting || j.gone },
}

func says(n int, phase v1.JobPhase) input {
	return upstream(n, func(number uint64) *v1.Event { return drained(number, phase) }, phases[phase])
}

func triggers(n int) input {
	return upstream(n, func(number uint64) *v1.Event {
		return &v1.Event{Event: &v1.Event_AbortTriggered{AbortTriggered: &v1.AbortTriggered{Job: number, Failure: failed, Failures: 3, Executed: 4}}}
	}, func(j *standing) bool { return j.started })
}

// later moves the clock, or to the next moment that anything waits for.
func later(ms int64) input { return func(w *world) { w.Now += ms } }

func wake(w *world) {
	due(w)
	if w.Next < w.Now+400*dayMs {
		w.Now = w.Next
		due(w)
	}
}

const dayMs = 24 * 60 * 60 * 1000

func due(w *world) {
	w.Run.Due()
	if again := w.Run.Due(); len(again) != 0 || w.Next <= w.Now {
		w.T.Fatalf("due again at once: next look in %d ms, %s", w.Next-w.Now, coretest.Text(again))
	}
}

// step runs inputs as one commit.
func (w *world) step(inputs ...input) {
	w.Together(func() {
		for _, in := range inputs {
			in(w)
			w.reader.catchUp(w.History)
		}
	})
	for i, j := range w.reader.jobs {
		if got, number := w.describe(j.id); number == w.reader.numbers[i] && got != j.status {
			w.T.Fatalf("the owner says of %s %s, its events say %s", j.id, got.Word(), j.status.Word())
		} else if number != w.reader.numbers[i] && !j.gone {
			w.T.Fatalf("the owner knows no %s, which is %s", j.id, j.status.Word())
		}
	}
}

func (w *world) describe(jobID string) (v1.JobStatus, uint64) {
	reply, err := w.Answer(&v1.DescribeJob{JobId: jobID})
	if err != nil {
		return none, 0
	}
	row := reply.(*v1.DescribeJobReply).Job
	return row.Status, row.Job
}

var jobIDs = []string{"a", "b", "c", "d", "e"}

// answers is all that the owner says, with each job's place among all in place of its number.
func (w *world) answers() (out string) {
	for _, name := range jobIDs {
		reply, err := w.Answer(&v1.DescribeJob{JobId: name, IncludeDocument: true})
		if err != nil {
			continue
		}
		row := reply.(*v1.DescribeJobReply).Job
		for n, number := range w.reader.numbers {
			if number == row.Job {
				row.Job = uint64(n)
				break
			}
		}
		text, _ := prototext.MarshalOptions{Multiline: true}.Marshal(row)
		out += string(text)
	}
	return out
}

// Shows, over random histories of several jobs: a job's status changes as specification §4.1 allows and as its events say; no
// event of a job comes before its creation or after its end, no start after its cancel; a command decided again, an event of
// rollout taken in again and what was due, asked again, write nothing; the state is the fold of the events, wherever
// they are cut; what arrives gives the same jobs whatever commits it is decided in; nothing is left of what was deleted.
//
// Seen red with each of these broken: a cancel by force is refused after another; what ended waits for nothing; only what goes on
// completes or is aborted; a deletion without force needs an end; a second window does not start the job again; an update that says
// nothing new is not written; a count follows its statuses; a deleted job's definition goes with it.
func TestRandomHistories(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		t := drawn{t, rt}
		w := newWorld(t)
		w.Seldom = true
		var all []input
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			in := drawInput(rt, w)
			all = append(all, in)
			w.step(in)
		}
		cuts := rapid.SliceOfN(rapid.IntRange(1, 9), 1, 5).Draw(rt, "cuts")
		w.folds(cuts)

		// The same again, several inputs a commit.
		other := newWorld(t)
		other.Seldom = true
		for i, rest := 0, all; len(rest) > 0; i++ {
			n := min(cuts[i%len(cuts)], len(rest))
			other.step(rest[:n]...)
			rest = rest[n:]
		}
		if got, want := other.answers(), w.answers(); got != want {
			t.Fatalf("in other commits there are other jobs:\n%s\nand were\n%s", got, want)
		}
		w.clear()
	})
}

// folds folds the history as a reader does that stores its state after some commits.
func (w *world) folds(cuts []int) {
	state := kv.NewMemory()
	rest := w.History
	for i := 0; len(rest) > 0; i++ {
		n := min(cuts[i%len(cuts)], len(rest))
		tx := kv.NewOverlay(state)
		for _, p := range rest[:n] {
			w.Core.Evolve(tx, p.Place, p.Entry.Event)
		}
		rest = rest[n:]
		b := state.NewBatch()
		tx.WriteTo(b)
		if err := b.Commit(); err != nil {
			w.T.Fatal(err)
		}
	}
	if got, want := coretest.Dump(state), coretest.Dump(w.State); got != want {
		w.T.Fatalf("folded in batches:\n%s\nwas\n%s", got, want)
	}
}

// clear deletes everything.
func (w *world) clear() {
	for i := range w.reader.jobs {
		w.step(command(&v1.DeleteJob{JobId: w.reader.jobs[i].id, Force: true}))
	}
	for i := range w.reader.jobs {
		w.step(says(i, v1.JobPhase_JOB_PHASE_DELETED))
	}
	for name := range w.reader.templates {
		w.step(command(&v1.DeleteTemplate{TemplateId: name}))
	}
	w.step(command(&v1.ConfigureEvents{Configurations: []*v1.EventConfiguration{{Category: v1.EventCategory_EVENT_CATEGORY_JOB}}}))
	if left := coretest.Dump(w.State); left != "" {
		w.T.Fatalf("left:\n%s", left)
	}
}

func drawInput(rt *rapid.T, w *world) input {
	name := rapid.SampledFrom(jobIDs).Draw(rt, "job")
	force := rapid.Bool().Draw(rt, "force")
	tags := []*v1.Tag{{Key: rapid.SampledFrom([]string{"k", "l"}).Draw(rt, "key"), Value: rapid.SampledFrom([]string{"", "1"}).Draw(rt, "value")}}
	resource := rapid.SampledFrom([]string{"job/" + name, "template/t"}).Draw(rt, "resource")
	nth := rapid.IntRange(0, max(len(w.reader.jobs)-1, 0)).Draw(rt, "nth")
	inputs := []struct {
		weight int
		make   func() input
	}{
		{5, func() input { return command(drawCreate(rt, name, w.Now)) }},
		{2, func() input { return command(drawUpdate(rt, name)) }},
		{2, func() input { return command(&v1.CancelJob{JobId: name, Force: force}) }},
		{2, func() input { return command(&v1.DeleteJob{JobId: name, Force: force}) }},
		{1, func() input {
			return command(&v1.AssociateTargets{JobId: name, Targets: []*v1.Target{thing(fmt.Sprint("thing-", nth))}, Checked: &v1.TargetsChecked{}})
		}},
		{1, func() input {
			t := nightly()
			t.TemplateId = rapid.SampledFrom([]string{"t", "u"}).Draw(rt, "template")
			return command(&v1.CreateTemplate{Template: t, Tags: tags})
		}},
		{1, func() input { return command(&v1.DeleteTemplate{TemplateId: "t"}) }},
		{1, func() input { return command(&v1.TagResource{Resource: resource, Tags: tags}) }},
		{1, func() input { return command(&v1.UntagResource{Resource: resource, Keys: []string{tags[0].Key}}) }},
		{1, func() input {
			return command(&v1.ConfigureEvents{Configurations: []*v1.EventConfiguration{{Category: v1.EventCategory_EVENT_CATEGORY_JOB, Enabled: force}}})
		}},
		{6, func() input {
			return says(nth, v1.JobPhase(rapid.IntRange(1, len(phases)).Draw(rt, "phase")))
		}},
		{2, func() input { return triggers(nth) }},
		{3, func() input { return later(rapid.Int64Range(0, 40*60_000).Draw(rt, "ms")) }},
		{1, func() input { return later(rapid.Int64Range(0, 3*dayMs).Draw(rt, "ms")) }},
		{3, func() input { return due }},
		{5, func() input { return wake }},
	}
	var kinds []int
	for i, in := range inputs {
		for range in.weight {
			kinds = append(kinds, i)
		}
	}
	return inputs[rapid.SampledFrom(kinds).Draw(rt, "kind")].make()
}

func drawCreate(rt *rapid.T, name string, now int64) *v1.CreateJob {
	c := &v1.SchedulingConfig{}
	if rapid.Bool().Draw(rt, "starts later") {
		c.StartTime = schedule.FormatTime(now + rapid.Int64Range(-10, 90).Draw(rt, "start")*60_000)
	}
	if rapid.Bool().Draw(rt, "ends") {
		c.EndTime = schedule.FormatTime(now + rapid.Int64Range(10, 300).Draw(rt, "end")*60_000)
		c.EndBehavior = v1.EndBehavior(rapid.IntRange(0, 3).Draw(rt, "behavior"))
	}
	cmd := creation(func(cmd *v1.CreateJob) { cmd.JobId, cmd.Scheduling = name, c })
	if rapid.Bool().Draw(rt, "continuous") {
		cmd.TargetSelection = v1.TargetSelection_TARGET_SELECTION_CONTINUOUS
		c.Windows = rapid.SampledFrom([][]*v1.MaintenanceWindow{nil, windows("cron(0/30 * * * ? *)", 10), windows("cron(0 3 * * ? *)", 60, "cron(30 3 * * ? *)", 90)}).Draw(rt, "windows")
	}
	cmd.JobTemplate = rapid.SampledFrom([]string{"", "", "t"}).Draw(rt, "template")
	cmd.Retry = rapid.SampledFrom([]*v1.RetryConfig{nil, retry(failed, 2)}).Draw(rt, "retries")
	return cmd
}

func drawUpdate(rt *rapid.T, name string) *v1.UpdateJob {
	return rapid.SampledFrom([]*v1.UpdateJob{
		{JobId: name, Description: proto.String("other")},
		{JobId: name, Rollout: &v1.RolloutConfig{MaximumPerMinute: 9}},
		{JobId: name, Rollout: &v1.RolloutConfig{}},
		{JobId: name, Timeout: &v1.TimeoutConfig{InProgressTimeoutMinutes: 3}},
		{JobId: name, Retry: retry(failed, 0)},
		{JobId: name, Retry: retry(failed, 5)},
	}).Draw(rt, "update")
}
