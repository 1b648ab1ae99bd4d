package sim

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/host"
)

// operator works through a list of commands, one after the other, each with an id, and repeats one until it hears
// that it was accepted or refused for good.
type operator struct {
	w     *world
	tasks []task
	asked int
	waits int64 // until when it waits for an answer

	created []string // ids of jobs
	endless []string // those that are continuous and have no end time
}

// task is one command, given from a tick on.
type task struct {
	from    int
	log     *simLog
	command proto.Message
	// may is what it may be refused with, for good.
	may []v1.RefusalCode
	// prepare fills in what depends on the time at which it is first given; nil: nothing does.
	prepare func(nowMs int64)
}

const (
	notFound = v1.RefusalCode_REFUSAL_CODE_NOT_FOUND
	invalid  = v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST
	illegal  = v1.RefusalCode_REFUSAL_CODE_INVALID_STATE_TRANSITION
	mismatch = v1.RefusalCode_REFUSAL_CODE_VERSION_MISMATCH
	limited  = v1.RefusalCode_REFUSAL_CODE_LIMIT_EXCEEDED
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

	at := 0
	for range 2 + w.rng.IntN(14) {
		at += w.rng.IntN(faultTicks / 8)
		o.plan(at, names)
	}
	// What nothing else would end.
	for _, job := range o.endless {
		at += w.rng.IntN(faultTicks / 20)
		if w.chance(0.3) {
			o.add(at, jobs, &v1.DeleteJob{JobId: job, Force: true}, notFound, illegal, limited)
		}
		o.add(at, jobs, &v1.CancelJob{JobId: job, Force: w.chance(0.5)}, notFound, invalid, illegal)
	}
	return o
}

func (o *operator) add(from int, l *simLog, cmd proto.Message, may ...v1.RefusalCode) {
	o.tasks = append(o.tasks, task{from: from, log: l, command: cmd, may: may})
}

func (o *operator) done() bool { return len(o.tasks) == 0 }
func (o *operator) left() int  { return len(o.tasks) }

func (o *operator) act() {
	if o.done() || o.w.ticks < o.tasks[0].from || o.waits > o.w.now {
		return
	}
	t := o.tasks[0]
	if t.prepare != nil {
		t.prepare(o.w.now)
		o.tasks[0].prepare = nil
	}
	o.asked++
	o.waits = o.w.now + answerMs
	// What intake does: which of the targets are unknown is asked of their owner first.
	if targets, unchecked := toCheck(t.command); unchecked {
		o.ask(t, o.w.logs[1], host.Request{Command: &v1.CheckTargets{Targets: targets}})
		return
	}
	o.ask(t, t.log, host.Request{Command: t.command, ID: fmt.Sprintf("command-%d", len(o.tasks)), By: "operator"})
}

// toCheck are the targets of a command that were not looked up yet.
func toCheck(cmd proto.Message) (targets []*v1.Target, unchecked bool) {
	switch c := cmd.(type) {
	case *v1.CreateJob:
		return c.Targets, c.Checked == nil
	case *v1.AssociateTargets:
		return c.Targets, c.Checked == nil
	}
	return nil, false
}

func checked(cmd proto.Message, result *v1.TargetsChecked) proto.Message {
	cmd = proto.Clone(cmd)
	switch c := cmd.(type) {
	case *v1.CreateJob:
		c.Checked = result
	case *v1.AssociateTargets:
		c.Checked = result
	}
	return cmd
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
		o.tasks[0].command = checked(t.command, &v1.TargetsChecked{Unknown: r.Unknown, AsOf: r.AsOf})
		return
	}
	o.tasks = o.tasks[1:]
}
