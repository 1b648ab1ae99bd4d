package feed

import (
	"context"
	"errors"
	"fmt"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/proto/id"
)

// jobsMax bounds the job ids that are remembered, to some 5 MB.
const jobsMax = 32 << 10

// jobNames finds the job id behind a job number. A job number is the place of its JobCreated in log.job, so what is not
// remembered is read there: nothing has to be kept, and nothing read again at a start. It is not safe for concurrent use.
type jobNames struct {
	log   *eventstore.Log
	known map[uint64]string
}

func newJobNames(jobs *eventstore.Log) *jobNames {
	return &jobNames{log: jobs, known: map[uint64]string{}}
}

// name is the id; empty for a number at which no job was created.
func (j *jobNames) name(ctx context.Context, number uint64) (string, error) {
	if name, ok := j.known[number]; ok {
		return name, nil
	}
	commit, entry := id.SplitNumber(number)
	c, err := j.log.Read(ctx, commit)
	var foreign *eventstore.ForeignError
	if errors.Is(err, eventstore.ErrNotFound) || errors.As(err, &foreign) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("the id of job %d: %w", number, err)
	}
	name := ""
	if entry < len(c.Entries) {
		name = c.Entries[entry].GetEvent().GetJobCreated().GetJobId()
	}
	if len(j.known) >= jobsMax {
		clear(j.known)
	}
	j.known[number] = name
	return name, nil
}
