package topics

import (
	"context"
	"errors"
	"slices"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

// about is what is told beside what stands in an event.
type about struct {
	// job and counts are of a job's event.
	job    *v1.JobRow
	counts *v1.JobCounts
	// group is what a group was created as, above its ancestors as far as they are still there, from the root on.
	group *v1.GroupCreated
	above []*v1.GroupRow
	// thingType is of a type's event; nil if it was deleted since.
	thingType *v1.ThingTypeRow
}

// about asks for what a category tells beside what stands in the event.
func (t *Topics) about(ctx context.Context, category v1.EventCategory, e *v1.RecordedEvent) (about, error) {
	event := e.GetEntry().GetEvent()
	switch category {
	case v1.EventCategory_EVENT_CATEGORY_JOB:
		return t.aboutJob(ctx, e)
	case v1.EventCategory_EVENT_CATEGORY_THING_GROUP, v1.EventCategory_EVENT_CATEGORY_THING_GROUP_HIERARCHY:
		return t.aboutGroup(ctx, e)
	case v1.EventCategory_EVENT_CATEGORY_THING_TYPE:
		if x := event.GetThingTypeDeprecated(); x != nil {
			reply, err := bus.DescribeThingType.Call(ctx, t.cfg.Client, &v1.DescribeThingType{ThingType: x.GetThingType(), Freshness: since(e)})
			return about{thingType: reply.GetThingType()}, answered(reply, err)
		}
	}
	return about{}, nil
}

// aboutJob is what the read models know of a job, as of the event at least; of one that they hold no more, what it was
// created as.
func (t *Topics) aboutJob(ctx context.Context, e *v1.RecordedEvent) (about, error) {
	number := e.GetEntry().GetEvent().Job()
	reply, err := bus.DescribeJob.Call(ctx, t.cfg.Client, &v1.DescribeJob{JobId: e.GetJobId(), Freshness: since(e)})
	if err := answered(reply, err); err != nil {
		return about{}, err
	}
	if reply.GetJob().GetJob() == number {
		return about{job: reply.GetJob(), counts: reply.GetCounts()}, nil
	}
	event, err := t.cfg.Creation(ctx, id.JobLog, number)
	if err != nil {
		return about{}, err
	}
	created := event.GetJobCreated()
	return about{job: &v1.JobRow{
		Job: number, JobId: created.GetJobId(), Targets: created.GetTargets(), TargetSelection: created.GetTargetSelection(),
		Description: created.GetDescription(),
	}}, nil
}

// aboutGroup is where a group stands: that never changes, so what it was created as says it for ever.
func (t *Topics) aboutGroup(ctx context.Context, e *v1.RecordedEvent) (a about, err error) {
	event := e.GetEntry().GetEvent()
	if a.group = event.GetGroupCreated(); a.group == nil {
		created, err := t.cfg.Creation(ctx, id.TargetingLog, max(event.GetGroupUpdated().GetNumber(), event.GetGroupDeleted().GetNumber()))
		if err != nil {
			return about{}, err
		}
		a.group = created.GetGroupCreated()
	}
	for name := a.group.GetParent(); name != ""; {
		reply, err := bus.DescribeGroup.Call(ctx, t.cfg.Client, &v1.DescribeGroup{Group: name, Freshness: since(e)})
		if err := answered(reply, err); err != nil {
			return about{}, err
		}
		if reply.GetGroup() == nil {
			break // it was deleted since
		}
		a.above = append(a.above, reply.GetGroup())
		name = reply.GetGroup().GetParent()
	}
	slices.Reverse(a.above)
	return a, nil
}

// since asks the read models for an answer as of the event at least.
func since(e *v1.RecordedEvent) *v1.Freshness {
	return &v1.Freshness{AtLeast: []*v1.Position{e.GetPosition()}}
}

// answered is nil if the read models have answered as of the event; that they hold no such thing is an answer.
func answered(reply interface{ GetStamp() *v1.Stamp }, err error) error {
	var refusal *v1.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.GetCode() == v1.RefusalCode_REFUSAL_CODE_NOT_FOUND:
		return nil
	case err != nil:
		return err
	case reply.GetStamp().GetBehind():
		return errors.New("the read models are behind")
	}
	return nil
}
