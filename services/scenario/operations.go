package scenario

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/executions"
	"github.com/droverhq/drover/projections/fleet"
	"github.com/droverhq/drover/projections/jobs"
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

// operation is one of the bus, by its name there: "job create".
type operation struct {
	request func() proto.Message
	do      func(*System, proto.Message) (proto.Message, error)
}

var operations = map[string]operation{}

// owned makes an operation of an owner's log. Those of a thing go to its home.
func owned[Q, R proto.Message](o bus.Op[Q, R]) {
	var zero Q
	add(o, func(s *System, m proto.Message) (proto.Message, error) {
		if err := s.complete(m); err != nil {
			return nil, err
		}
		return s.Do(logOf(o.Owner, m), m, "operator")
	}, zero)
}

// asked makes one of a read model, which is rebuilt from the logs for each question.
func asked[Q, R proto.Message](o bus.Op[Q, R], answer func(kv.Reader, Q) (R, error)) {
	var zero Q
	add(o, func(s *System, m proto.Message) (proto.Message, error) {
		models := kv.NewMemory()
		if _, err := projections.Rebuild(context.Background(), s.Logs(), models, nil, nil); err != nil {
			return nil, err
		}
		return answer(models, m.(Q))
	}, zero)
}

func add[Q, R proto.Message](o bus.Op[Q, R], do func(*System, proto.Message) (proto.Message, error), zero Q) {
	operations[o.String()] = operation{func() proto.Message { return zero.ProtoReflect().New().Interface() }, do}
}

func logOf(owner string, m proto.Message) id.Log {
	switch owner {
	case "job":
		return id.JobLog
	case "targeting":
		return id.TargetingLog
	case "rollout":
		return id.RolloutLog
	}
	return id.ExecutionLog(id.HomeOf(m.(interface{ GetThing() string }).GetThing(), homes))
}

// complete does what services/intake does: which of the targets are unknown is asked of their owner first.
func (s *System) complete(m proto.Message) error {
	check := func(targets []*v1.Target) (*v1.TargetsChecked, error) {
		reply, err := s.Do(id.TargetingLog, &v1.CheckTargets{Targets: targets}, "")
		if err != nil {
			return nil, nil // what is malformed is refused by who decides
		}
		r := reply.(*v1.CheckTargetsReply)
		return &v1.TargetsChecked{Unknown: r.Unknown, AsOf: r.AsOf}, nil
	}
	var err error
	switch c := m.(type) {
	case *v1.CreateJob:
		c.Checked, err = check(c.Targets)
	case *v1.AssociateTargets:
		c.Checked, err = check(c.Targets)
	}
	return err
}

func init() {
	owned(bus.CreateJob)
	owned(bus.CancelJob)
	owned(bus.UpdateJob)
	owned(bus.AssociateTargets)
	owned(bus.DeleteJob)
	owned(bus.CreateTemplate)
	owned(bus.DeleteTemplate)
	owned(bus.TagJobs)
	owned(bus.UntagJobs)
	owned(bus.ConfigureEvents)
	owned(bus.GetHolding)
	owned(bus.CreateThings)
	owned(bus.DeleteThing)
	owned(bus.CreateGroup)
	owned(bus.AddThings)
	owned(bus.RemoveThings)
	owned(bus.UpdateThing)
	owned(bus.UpdateGroup)
	owned(bus.DeleteGroup)
	owned(bus.ChangeGroupsOfThing)
	owned(bus.CreateThingType)
	owned(bus.DeprecateThingType)
	owned(bus.DeleteThingType)
	owned(bus.CancelExecution)
	owned(bus.DeleteExecution)
	owned(bus.GetThingHolding)
	owned(bus.DescribeExecution)
	asked(bus.ListJobs, jobs.List)
	asked(bus.DescribeJob, jobs.Describe)
	asked(bus.ListExecutionsForJob, executions.ListForJob)
	asked(bus.ListExecutionsForThing, executions.ListForThing)
	asked(bus.GetExecution, executions.Get)
	asked(bus.DescribeThing, fleet.DescribeThing)
	asked(bus.DescribeGroup, fleet.DescribeGroup)
}
