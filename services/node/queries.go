package node

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/droverhq/drover/projections/executions"
	"github.com/droverhq/drover/projections/fleet"
	"github.com/droverhq/drover/projections/jobs"
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/job/schedule"
	"github.com/droverhq/drover/services/job/template"
)

// serveQueries answers the questions to the read models.
func (n *Node) serveQueries(ctx context.Context) error {
	s, err := n.server(ctx, "projections")
	if err != nil {
		return err
	}
	return errors.Join(
		bus.Serve(s, bus.ListJobs, view(n, jobs.List)),
		bus.Serve(s, bus.DescribeJob, view(n, describeJob)),
		bus.Serve(s, bus.ListTemplates, view(n, jobs.ListTemplates)),
		bus.Serve(s, bus.DescribeTemplate, view(n, jobs.DescribeTemplate)),
		bus.Serve(s, bus.ListManagedTemplates, constant(template.List)),
		bus.Serve(s, bus.DescribeManagedTemplate, constant(template.Describe)),
		bus.Serve(s, bus.ListJobTags, view(n, jobs.ListTags)),
		bus.Serve(s, bus.DescribeEventConfigurations, view(n, jobs.DescribeEvents)),
		bus.Serve(s, bus.ListExecutionsForJob, view(n, executions.ListForJob)),
		bus.Serve(s, bus.ListExecutionsForThing, view(n, listForThing)),
		bus.Serve(s, bus.GetExecution, view(n, executions.Get)),
		bus.Serve(s, bus.ListThings, view(n, fleet.ListThings)),
		bus.Serve(s, bus.DescribeThing, view(n, fleet.DescribeThing)),
		bus.Serve(s, bus.ListGroups, view(n, fleet.ListGroups)),
		bus.Serve(s, bus.DescribeGroup, view(n, fleet.DescribeGroup)),
		bus.Serve(s, bus.ListThingsInGroup, view(n, fleet.ListThingsInGroup)),
		bus.Serve(s, bus.ListThingTypes, view(n, fleet.ListThingTypes)),
		bus.Serve(s, bus.DescribeThingType, view(n, fleet.DescribeThingType)),
		bus.Serve(s, bus.ListRegistryTags, view(n, fleet.ListTags)),
		bus.Serve(s, bus.ListPartitions, func(ctx context.Context, _ bus.Request, _ *v1.ListPartitions) (*v1.ListPartitionsReply, error) {
			return n.listPartitions(ctx)
		}),
		bus.Serve(s, bus.ReadEvents, func(ctx context.Context, _ bus.Request, q *v1.ReadEvents) (*v1.ReadEventsReply, error) {
			return n.readEvents(ctx, q)
		}),
	)
}

// listForThing is a thing's executions; one that has none must be there: an unknown thing is refused.
func listForThing(r kv.Reader, q *v1.ListExecutionsForThing) (*v1.ListExecutionsReply, error) {
	reply, err := executions.ListForThing(r, q)
	if err != nil || len(reply.GetExecutions()) > 0 || reply.GetNextToken() != "" || q.GetStatus() != 0 || q.GetPage().GetToken() != "" {
		return reply, err
	}
	_, err = fleet.DescribeThing(r, &v1.DescribeThing{Name: q.GetThing()})
	return reply, err
}

// question is a query that says how fresh its answer must be.
type question interface {
	proto.Message
	GetFreshness() *v1.Freshness
}

// view makes a bus handler of a model's query: on a snapshot that is as fresh as was asked, with its stamp.
func view[Q question, R proto.Message](n *Node, answer func(kv.Reader, Q) (R, error)) func(context.Context, bus.Request, Q) (R, error) {
	return func(ctx context.Context, _ bus.Request, q Q) (R, error) {
		var reply R
		stamp, err := n.runner.Ask(ctx, q.GetFreshness(), func(r kv.Reader) (err error) {
			reply, err = answer(r, q)
			return err
		})
		if err != nil {
			return reply, err
		}
		m := reply.ProtoReflect()
		m.Set(m.Descriptor().Fields().ByName("stamp"), protoreflect.ValueOfMessage(stamp.ProtoReflect()))
		return reply, nil
	}
}

func (n *Node) describeJob(ctx context.Context, q *v1.DescribeJob) (*v1.DescribeJobReply, error) {
	return view(n, describeJob)(ctx, bus.Request{}, q)
}

// describeJob adds the starts of a job's next windows, as of now.
func describeJob(r kv.Reader, q *v1.DescribeJob) (*v1.DescribeJobReply, error) {
	reply, err := jobs.Describe(r, q)
	if err == nil {
		reply.Job.NextWindowsMs = schedule.NextStarts(reply.Job, time.Now().UnixMilli())
	}
	return reply, err
}

// constant makes a bus handler of a question whose answer never changes.
func constant[Q, R proto.Message](answer func(Q) (R, error)) func(context.Context, bus.Request, Q) (R, error) {
	return func(_ context.Context, _ bus.Request, q Q) (R, error) { return answer(q) }
}

// nameJobs fills in the job ids behind the job numbers of events.
func (n *Node) nameJobs(ctx context.Context, events []*v1.RecordedEvent) error {
	_, err := n.runner.Ask(ctx, nil, func(r kv.Reader) error {
		names := map[uint64]string{}
		for _, e := range events {
			number := e.GetEntry().GetEvent().Job()
			if number == 0 {
				continue
			}
			if _, known := names[number]; !known {
				names[number] = jobs.ID(r, number)
			}
			e.JobId = names[number]
		}
		return nil
	})
	return err
}
