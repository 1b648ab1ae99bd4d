package sim

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/host"
	"github.com/droverhq/drover/services/sim/stage"
)

// question is one request as it was sent, to however many hosts.
type question struct {
	number  int
	command proto.Message
	end     uint64 // of the log when it was sent
	answers int    // over all hosts
	first   string // who answered first
}

// delivery is a question on its way to one host.
type delivery struct {
	q *question
	r host.Request
}

func (c *checker) asks(l *simLog, cmd proto.Message) *question {
	_, last, _ := l.log.Bounds(context.Background())
	c.asked++
	return &question{number: c.asked, command: cmd, end: last}
}

// answered takes in what one host makes of a question. Early is whether its lease ran when the question came to it.
//
//   - A question is answered by one host at most, refusals included: what several owners may have is dropped without an
//     answer by all but one.
//   - A host drops only what came to it when its lease had run out.
//   - A host whose lease has less than its margin left answers nothing that it did not write: no query, and nothing
//     out of a step that wrote nothing. It may turn away what came before the lease ran out.
//   - Who is told the state of a log is told of everything that stood in it when he asked.
//
// Where registers lie there may be two that hold one lease, and only the log's fence is left: then none of it holds.
func (c *checker) answered(i *instance, q *question, early bool, reply proto.Message, err error) error {
	c.w.note("%s answers request %d: %v %v, early %v", i, q.number, reply != nil, err, early)
	if errors.Is(err, host.ErrDropped) {
		c.w.met("request dropped")
		if early {
			return broken("%s drops a %T that came before its lease ran out", i, q.command)
		}
		return nil
	}
	if c.w.odds.lies {
		return nil
	}
	if q.answers++; q.answers > 1 {
		return broken("a %T is answered by %s, and was by %s", q.command, i, q.first)
	}
	q.first = i.String()
	var refusal *v1.Refusal
	turnedAway := errors.As(err, &refusal) && (refusal.Code == v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE || refusal.Code == v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN)
	if turnedAway || !stage.IsQuery(q.command) && !i.steps {
		return nil
	}
	if !i.lease.speaks() {
		return broken("%s answers a %T with %v, %v at %d; its lease runs until %d", i, q.command, reply, err, c.w.now, i.lease.until)
	}
	if at := i.m.End().Number; at < q.end {
		return broken("%s answers a %T as of %d; the log ended at %d when it was asked", i, q.command, at, q.end)
	}
	return nil
}
