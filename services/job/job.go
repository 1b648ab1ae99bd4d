// Package job is the core of the job service: what jobs there are, and how each of them stands.
//
// It promises that a job id names one job, that a job is created whole and in order or not at all, that a job starts,
// has its windows and ends at the times of its schedule, and that a job is COMPLETED, its cancel finished or its id free
// only after every home has carried that out. It leaves to targeting which things a job is for, to rollout when each is
// released and whether to abort, and to the homes what becomes of it there; it hears from them by AbortTriggered, JobCrowdedOut
// and JobDrained alone. (design §2, specification §2.3 to §2.9, §4.1, §4.5, §4.6 and §4.12)
package job

import (
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// New is the core of log.job. It is upstream of targeting and rollout, and reads rollout. The limits bind decisions
// alone: other limits fold the same log into the same state.
func New(limits Limits) core.Core { return jobs{limits} }

// jobs keeps nothing else: all it knows is in the state.
type jobs struct{ limits Limits }

// Decide implements core.Core.
func (j jobs) Decide(s *core.Step, cmd proto.Message) (proto.Message, error) {
	switch cmd := cmd.(type) {
	case *v1.CreateJob:
		return j.create(s, cmd)
	case *v1.CancelJob:
		return cancel(s, cmd)
	case *v1.UpdateJob:
		return j.update(s, cmd)
	case *v1.AssociateTargets:
		return j.associate(s, cmd)
	case *v1.DeleteJob:
		return remove(s, cmd)
	case *v1.CreateTemplate:
		return j.createTemplate(s, cmd)
	case *v1.DeleteTemplate:
		return j.deleteTemplate(s, cmd)
	case *v1.TagResource:
		return tag(s, cmd)
	case *v1.UntagResource:
		return untag(s, cmd)
	case *v1.ConfigureEvents:
		return configureEvents(s, cmd)
	}
	return nil, core.Unknown("job", cmd)
}

// Observe implements core.Core: jobs are not counted here.
func (jobs) Observe(*core.Step, []*v1.HomeTally) {}

// Notify implements core.Core: no device is told of jobs.
func (jobs) Notify(kv.Reader, int64, []core.Placed) []*v1.Notification { return nil }

// StateVersion implements core.Core.
func (jobs) StateVersion() int { return stateVersion }
