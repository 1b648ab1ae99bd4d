// Package targeting is the core of the targeting service: what things and groups there are, who is a member of
// what, and which things a job is for.
//
// It promises that a selection holds exactly the things that its targets held when the commit that records
// SelectionStarted was written, each once, however many joins, leaves and deletions follow while it is carried out
// slice by slice. To that end a membership carries the commits that began and ended it, and what has ended stays
// for as long as a running selection may ask for it (state.go). It leaves the order and the pace of releases to
// rollout, and what a deleted thing still has pending to its home.
// (design §2, specification §2.10 and §2.11)
package targeting

import (
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// New is the core of log.targeting. It reads log.job.
func New() core.Core { return targeting{slices: bounds{things: sliceThingsMax, looks: sliceLooksMax}} }

// targeting holds no state: all it knows is in the transaction that it is handed.
type targeting struct {
	slices bounds
}

// Decide implements core.Core.
func (targeting) Decide(s *core.Step, cmd proto.Message) (proto.Message, error) {
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
	}
	return nil, core.Unknown("targeting", cmd)
}

// Observe implements core.Core: nothing is counted here.
func (targeting) Observe(*core.Step, []*v1.HomeTally) {}

// Notify implements core.Core: no device is told of targets.
func (targeting) Notify(kv.Reader, int64, []core.Placed) []*v1.Notification { return nil }
