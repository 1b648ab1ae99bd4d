// Package intake completes a command with what needs I/O or another owner, before it is decided.
//
// It runs in the owner's process, before the host's step, and puts what it found out into fields of the command, so
// that the decision stays pure and its event records what it was based on. It refuses nothing that a core can
// refuse: a request with a malformed field goes on as it is. (design §4, step 0)
package intake

import (
	"context"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

// Intake completes commands.
type Intake struct {
	client *bus.Client
}

// New asks other owners over the client's connection.
func New(client *bus.Client) *Intake { return &Intake{client: client} }

// checkedAtOnce is how many targets one question names; the answer and the question stay far below a message's limit.
const checkedAtOnce = 500

// CreateJob fills in which targets are unknown, as of a commit of log.targeting. Whatever the caller put there is
// thrown away. Of several questions the earliest commit counts: a target known then is known at the later ones too
// unless it was deleted in between, and then its selection finds nothing.
func (in *Intake) CreateJob(ctx context.Context, c *v1.CreateJob) (err error) {
	c.Checked, err = in.check(ctx, c.GetTargets())
	return err
}

// AssociateTargets does the same.
func (in *Intake) AssociateTargets(ctx context.Context, c *v1.AssociateTargets) (err error) {
	c.Checked, err = in.check(ctx, c.GetTargets())
	return err
}

func (in *Intake) check(ctx context.Context, targets []*v1.Target) (*v1.TargetsChecked, error) {
	if !wellFormed(targets) {
		return nil, nil
	}
	checked := &v1.TargetsChecked{}
	for rest := targets; len(rest) > 0; {
		n := min(len(rest), checkedAtOnce)
		reply, err := bus.CheckTargets.Call(ctx, in.client, &v1.CheckTargets{Targets: rest[:n]})
		if err != nil {
			return nil, err
		}
		checked.Unknown = append(checked.Unknown, reply.GetUnknown()...)
		if checked.AsOf == 0 || reply.GetAsOf() < checked.AsOf {
			checked.AsOf = reply.GetAsOf()
		}
		rest = rest[n:]
	}
	return checked, nil
}

func wellFormed(targets []*v1.Target) bool {
	for _, t := range targets {
		var err error
		switch t.GetTarget().(type) {
		case *v1.Target_Thing:
			_, err = id.ParseThing(t.GetThing())
		case *v1.Target_Group:
			_, err = id.ParseGroup(t.GetGroup())
		default:
			return false
		}
		if err != nil {
			return false
		}
	}
	return len(targets) > 0
}
