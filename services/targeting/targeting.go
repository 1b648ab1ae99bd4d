// Package targeting is the core of the targeting service: what things and groups there are, who is a member of
// what, and which things a job is for.
//
// It promises that a selection holds exactly the things that its targets held when the commit that records
// SelectionStarted was written, each once, however many joins, leaves and deletions follow while it is carried out
// slice by slice. A continuous job goes on from there: commit by commit it selects what has come to be held by a
// target and deselects what is held by none any more, until it is closed; a thing that is deleted leaves by that alone.
// To that end a membership carries the commits that began and ended it, and what has ended stays for as long as a
// running selection, or a change that waits to be matched, may ask for it (state.go). It leaves the order and the pace
// of releases to rollout, and what a deleted thing still has pending to its home.
// (design §2, specification §2.10, §2.11 and §4.7)
package targeting

import (
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// New is the core of log.targeting. It reads log.job.
func New(limits Limits) core.Core {
	return targeting{slices: bounds{things: sliceThingsMax, looks: sliceLooksMax, jobs: sliceJobsMax}, limits: limits}
}

// targeting holds no state: all it knows is in the transaction that it is handed.
type targeting struct {
	slices bounds
	limits Limits
}

// Decide implements core.Core.
func (t targeting) Decide(s *core.Step, cmd proto.Message) (proto.Message, error) {
	switch cmd := cmd.(type) {
	case *v1.CreateThings:
		return createThings(s, cmd)
	case *v1.DeleteThing:
		return deleteThing(s, cmd)
	case *v1.CreateGroup:
		return createGroup(s, cmd)
	case *v1.AddThings:
		return addThings(s, cmd)
	case *v1.RemoveThings:
		return removeThings(s, cmd)
	case *v1.UpdateThing:
		return updateThing(s, cmd)
	case *v1.UpdateGroup:
		return updateGroup(s, cmd)
	case *v1.DeleteGroup:
		return deleteGroup(s, cmd)
	case *v1.ChangeGroupsOfThing:
		return changeGroups(s, cmd)
	case *v1.CreateThingType:
		return createThingType(s, cmd)
	case *v1.DeprecateThingType:
		return deprecateThingType(s, cmd)
	case *v1.DeleteThingType:
		return t.deleteThingType(s, cmd)
	case *v1.TagResource:
		return tagResource(s, cmd)
	case *v1.UntagResource:
		return untagResource(s, cmd)
	}
	return nil, core.Unknown("targeting", cmd)
}

// Observe implements core.Core: nothing is counted here.
func (targeting) Observe(*core.Step, []*v1.HomeTally) {}

// Notify implements core.Core: no device is told of targets.
func (targeting) Notify(kv.Reader, int64, []core.Placed) []*v1.Notification { return nil }

// StateVersion implements core.Core.
func (targeting) StateVersion() int { return stateVersion }
