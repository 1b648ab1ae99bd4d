package sim

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/host"
)

// operator works through a list of commands, one after the other, each with an id, and repeats one until it hears
// that it was accepted or refused for good.
type operator struct {
	w     *world
	tasks []task
	asked int
	waits int64 // until when it waits for an answer
}

// task is one command, given from a tick on.
type task struct {
	from    int
	log     *simLog
	command proto.Message
	// may is what it may be refused with, for good.
	may []v1.RefusalCode
}

const (
	notFound = v1.RefusalCode_REFUSAL_CODE_NOT_FOUND
	invalid  = v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST
	illegal  = v1.RefusalCode_REFUSAL_CODE_INVALID_STATE_TRANSITION
	mismatch = v1.RefusalCode_REFUSAL_CODE_VERSION_MISMATCH
)

func newOperator(w *world) *operator {
	o := &operator{w: w}
	jobs, fleet := w.logs[0], w.logs[1]
	things := 4 + w.rng.IntN(24)
	var all []*v1.NewThing
	var names []string
	for n := range things {
		name := fmt.Sprintf("thing-%02d", n)
		names = append(names, name)
		all = append(all, &v1.NewThing{Name: name})
		w.devices = append(w.devices, newDevice(w, name))
	}
	cut := 2 + w.rng.IntN(things-2)
	o.add(0, fleet, &v1.CreateThings{Things: all[:cut]})
	if cut < things {
		o.add(0, fleet, &v1.CreateThings{Things: all[cut:]})
	}
	o.add(0, fleet, &v1.CreateGroup{Group: "all"})
	o.add(0, fleet, &v1.CreateGroup{Group: "some", Parent: "all"})
	o.add(0, fleet, &v1.CreateGroup{Group: "other"})
	// A thing is in one group of a hierarchy at most; groups of different ones overlap.
	o.add(0, fleet, &v1.AddThings{Group: "all", Things: names[:cut/2]})
	o.add(0, fleet, &v1.AddThings{Group: "some", Things: names[cut/2:]})
	o.add(0, fleet, &v1.AddThings{Group: "other", Things: names[cut/3:]})

	target := func(s string) *v1.Target {
		t, err := id.ParseTarget(s)
		if err != nil {
			panic(err)
		}
		return t
	}
	pick := func() string { return names[w.rng.IntN(things)] }
	at := 0
	var created []string
	for n := range 2 + w.rng.IntN(10) {
		at += w.rng.IntN(faultTicks / 6)
		switch kind := w.rng.IntN(10); {
		case n == 0 || kind < 4:
			job := fmt.Sprintf("job-%d", n)
			created = append(created, job)
			c := &v1.CreateJob{JobId: job, Document: []byte(`{"do":"it"}`)}
			switch w.rng.IntN(4) {
			case 0:
				c.Targets = []*v1.Target{target("group/all")}
			case 1:
				c.Targets = []*v1.Target{target("group/other"), target("thing/" + pick())}
			case 2:
				c.Targets = []*v1.Target{target("thing/" + pick()), target("thing/" + pick())}
			case 3:
				c.Targets = []*v1.Target{target("group/some"), target("group/all"), target("group/other")}
			}
			if w.chance(0.4) {
				c.Rollout = &v1.RolloutConfig{MaximumPerMinute: 20 + w.rng.Uint32N(300)}
			}
			if w.chance(0.4) {
				c.Timeout = &v1.TimeoutConfig{InProgressTimeoutMinutes: 1}
			}
			o.add(at, jobs, c, notFound)
		case kind < 6:
			o.add(at, jobs, &v1.CancelJob{JobId: created[w.rng.IntN(len(created))], Force: w.chance(0.5)}, notFound, invalid, illegal)
		case kind < 7:
			name := pick()
			o.add(at, fleet, &v1.DeleteThing{Name: name})
			if w.chance(0.5) {
				o.add(at, fleet, &v1.CreateThings{Things: []*v1.NewThing{{Name: name}}})
			}
		case kind < 8:
			o.add(at, fleet, &v1.RemoveThings{Group: "all", Things: []string{pick()}}, notFound)
		case kind < 9:
			o.add(at, fleet, &v1.AddThings{Group: "other", Things: []string{pick()}}, notFound)
		default:
			name := pick()
			o.add(at, w.logs[3+int(id.HomeOf(name, homes))], &v1.CancelExecution{Thing: name, JobId: created[w.rng.IntN(len(created))], Force: w.chance(0.5)}, notFound, illegal, mismatch)
		}
	}
	return o
}

func (o *operator) add(from int, l *simLog, cmd proto.Message, may ...v1.RefusalCode) {
	o.tasks = append(o.tasks, task{from, l, cmd, may})
}

func (o *operator) done() bool { return len(o.tasks) == 0 }
func (o *operator) left() int  { return len(o.tasks) }

func (o *operator) act() {
	if o.done() || o.w.ticks < o.tasks[0].from || o.waits > o.w.now {
		return
	}
	t := o.tasks[0]
	o.asked++
	o.waits = o.w.now + answerMs
	// What intake does: which of the targets are unknown is asked of their owner first.
	if c, ok := t.command.(*v1.CreateJob); ok && c.Checked == nil {
		o.ask(t, o.w.logs[1], host.Request{Command: &v1.CheckTargets{Targets: c.Targets}})
		return
	}
	o.ask(t, t.log, host.Request{Command: t.command, ID: fmt.Sprintf("command-%d", len(o.tasks)), By: "operator"})
}

func (o *operator) ask(t task, l *simLog, r host.Request) {
	asked := o.asked
	r.Done = func(reply proto.Message, err error) {
		if asked == o.asked && o.waits != 0 {
			o.waits = 0
			o.hear(t, reply, err)
		}
	}
	o.w.ask(l, r)
}

func (o *operator) hear(t task, reply proto.Message, err error) {
	o.w.note("operator hears of %T: %v %v", t.command, reply != nil, err)
	var refusal *v1.Refusal
	if errors.As(err, &refusal) {
		for _, code := range t.may {
			if refusal.Code == code {
				o.tasks = o.tasks[1:]
				return
			}
		}
		switch refusal.Code {
		case v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN, v1.RefusalCode_REFUSAL_CODE_THROTTLED:
			o.waits = o.w.now + o.w.rng.Int64N(answerMs)
		default:
			if !o.w.calm && o.w.odds.lies {
				// An owner that does not know yet that it is one no more refuses by what it knows.
				o.waits = o.w.now + o.w.rng.Int64N(answerMs)
				return
			}
			o.w.checker.surprise = fmt.Errorf("operator: %T is refused with %v: %s", t.command, refusal.Code, refusal.Error())
		}
		return
	}
	if r, ok := reply.(*v1.CheckTargetsReply); ok {
		c := proto.Clone(t.command).(*v1.CreateJob)
		c.Checked = &v1.TargetsChecked{Unknown: r.Unknown, AsOf: r.AsOf}
		o.tasks[0].command = c
		return
	}
	o.tasks = o.tasks[1:]
}
