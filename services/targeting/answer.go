package targeting

import (
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// Answer implements core.Core: CheckTargets. What is no name is unknown; whoever asked checks names first.
func (targeting) Answer(v core.View, query proto.Message) (proto.Message, error) {
	q, ok := query.(*v1.CheckTargets)
	if !ok {
		return nil, core.Unknown("targeting", query)
	}
	if len(q.Targets) > targetsMax {
		return nil, invalid(fieldTargets, "%d targets; at most %d are allowed: put the things into a group and name the group", len(q.Targets), targetsMax)
	}
	reply := &v1.CheckTargetsReply{AsOf: v.Number}
	for _, target := range q.Targets {
		if !known(v, target) {
			reply.Unknown = append(reply.Unknown, target)
		}
	}
	return reply, nil
}

func known(v core.View, target *v1.Target) bool {
	if name, err := id.ParseGroup(target.GetGroup()); err == nil {
		_, ok := findGroup(v, name)
		return ok
	}
	name, err := id.ParseThing(target.GetThing())
	if err != nil {
		return false
	}
	_, _, ok := findThing(v, name)
	return ok
}
