// Package job is the core of the job service: what jobs there are, and how each of them stands.
//
// It promises that a job id names one job, that a job is created whole and in order or not at all, and that a job
// is COMPLETED or its cancel finished only after every home has carried that out. It leaves to targeting which
// things a job is for, to rollout when each is released, and to the homes what becomes of it there; it hears from
// them by JobDrained alone. (design §2, specification §4.1 and §4.5)
package job

import (
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// New is the core of log.job. It is upstream of targeting and rollout, and reads rollout.
func New() core.Core { return jobs{} }

// jobs has no fields: all it knows is in the state.
type jobs struct{}

// Decide implements core.Core.
func (jobs) Decide(s *core.Step, cmd proto.Message) (proto.Message, error) {
	switch cmd := cmd.(type) {
	case *v1.CreateJob:
		return create(s, cmd)
	case *v1.CancelJob:
		return cancel(s, cmd)
	}
	return nil, core.Unknown("job", cmd)
}

// Observe implements core.Core: jobs are not counted here.
func (jobs) Observe(*core.Step, []*v1.HomeTally) {}

// Due implements core.Core: nothing here waits for a time.
func (jobs) Due(*core.Step) int64 { return core.Never }

// Notify implements core.Core: no device is told of jobs.
func (jobs) Notify(kv.Reader, int64, []core.Placed) []*v1.Notification { return nil }
