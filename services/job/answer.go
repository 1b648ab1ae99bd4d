package job

import (
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
	"github.com/droverhq/drover/services/job/schedule"
)

// Answer implements core.Core: DescribeJob, without counts. The owner takes a job for concurrent until it has heard
// from every home; the read models, which see the rollout, know better.
func (jobs) Answer(v core.View, query proto.Message) (proto.Message, error) {
	q, ok := query.(*v1.DescribeJob)
	if !ok {
		return nil, core.Unknown("job", query)
	}
	job, err := parseID(q.JobId)
	if err != nil {
		return nil, err
	}
	row := find(v, job)
	if row == nil {
		return nil, notFound(job)
	}
	complete(v, row)
	row.NextWindowsMs = schedule.NextStarts(row, v.Now)
	if !q.IncludeDocument {
		row.Document = nil
	}
	return &v1.DescribeJobReply{
		Stamp: &v1.Stamp{Positions: []*v1.Position{v.Log.Position(v.Number, 0)}},
		Job:   row,
	}, nil
}
