package sim

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/host"
)

// device runs jobs: it asks for its next one, reports progress a few times, and ends it. It asks again when it hears
// nothing, and for the state of things when it is refused. One that listens asks for a job only when it was told of one:
// whoever forgets to tell it leaves its job unfinished for ever.
type device struct {
	w     *world
	thing string
	log   *simLog

	listens bool
	told    bool  // that something is pending, and has not found otherwise
	waits   int64 // until when it waits for an answer; 0: it does not
	asked   int   // counts requests, so that a late answer is known
	job     string
	version uint64
	left    int // reports of progress before the end
	end     *v1.UpdateExecution
}

// answerMs is how long a device and the operator wait for an answer.
const answerMs = 2000

func newDevice(w *world, thing string) *device {
	return &device{w: w, thing: thing, log: w.logs[3+int(id.HomeOf(thing, homes))], listens: w.chance(w.odds.deviceListens)}
}

func (d *device) act() {
	if d.waits > d.w.now || d.listens && !d.told && d.job == "" {
		return
	}
	d.asked++
	d.waits = d.w.now + answerMs
	switch {
	case d.job == "":
		d.ask(&v1.StartNext{Thing: d.thing})
	case d.end != nil:
		d.ask(d.end) // the same again, until it is answered
	case d.left > 0 && d.w.chance(d.w.odds.deviceSilent):
		d.asked++ // it says nothing for so long that a timer may run out
		d.waits = d.w.now + 30_000 + d.w.rng.Int64N(90_000)
	case d.left > 0:
		d.left--
		u := d.update(inProgress)
		if d.w.chance(0.3) {
			u.StepTimeoutMinutes = 1 + d.w.rng.Int32N(2)
		}
		d.ask(u)
	default:
		d.end = d.update(succeeded)
		if d.w.chance(d.w.odds.deviceFails) {
			d.end.Status = failed
		}
		d.end.ClientToken = fmt.Sprint(d.asked)
		d.ask(d.end)
	}
}

func (d *device) update(s v1.ExecutionStatus) *v1.UpdateExecution {
	u := &v1.UpdateExecution{Thing: d.thing, JobId: d.job, Status: s}
	if d.w.chance(d.w.odds.deviceVersion) {
		u.ExpectedVersion = d.version
	}
	return u
}

func (d *device) ask(cmd proto.Message) {
	asked := d.asked
	d.w.ask(d.log, host.Request{Command: cmd, Done: func(reply proto.Message, err error) {
		if asked == d.asked && d.waits != 0 {
			d.waits = 0
			d.hear(reply, err)
		}
	}})
}

func (d *device) hear(reply proto.Message, err error) {
	d.w.note("%s hears %v %v", d.thing, reply != nil, err)
	var refusal *v1.Refusal
	if errors.As(err, &refusal) {
		switch refusal.Code {
		case v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN, v1.RefusalCode_REFUSAL_CODE_THROTTLED:
			d.waits = d.w.now + d.w.rng.Int64N(answerMs)
		default:
			d.job, d.end, d.told = "", nil, true // what it believes is not so: ask what is
		}
		return
	}
	switch r := reply.(type) {
	case *v1.StartNextReply:
		if r.Execution == nil {
			d.told = false
			d.waits = d.w.now + d.w.rng.Int64N(answerMs)
			return
		}
		d.job, d.version = r.Execution.JobId, r.Execution.VersionNumber
		d.left = d.w.rng.IntN(1 + int(d.w.odds.deviceStays))
	case *v1.UpdateExecutionReply:
		d.version = r.State.VersionNumber
		if d.end != nil {
			d.job, d.end = "", nil
		}
	}
}
