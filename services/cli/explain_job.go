package cli

import (
	"context"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func explainJob(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "job JOB",
		Short: "Say what happened to a job, why, and what it waits for",
		Long: `Tells a job's story: who created, changed, canceled it; when it started and its windows opened; how many things were
selected and released, by which pace; which report crossed an abort criterion. What happened to single things is summed up:
drover explain thing tells that. Then what the job waits for now, and until when.`,
		Example: `  drover explain job fw-1
  drover explain job fw-1 --output json`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeJobs,
		RunE: ofJob(func(ctx context.Context, job string) error {
			r, err := query(ctx, a, bus.DescribeJob, &v1.DescribeJob{Freshness: fresh, JobId: job})
			if err != nil {
				return err
			}
			j := viewJob(r.GetJob(), r.GetCounts())
			v := explainView{JobID: j.JobID, Status: j.Status, Text: standing(j)}
			if v.Story, err = a.jobStory(ctx, j.Job); err != nil {
				return err
			}
			v.Now = a.jobNow(ctx, j)
			return a.printExplanation(v)
		}),
	}
}

// jobStory reads the events of a job as a whole, of which releases in a row are one, and tells them.
func (a *app) jobStory(ctx context.Context, job uint64) ([]sentenceView, error) {
	t := new(jobTeller)
	q := &v1.ReadEvents{Freshness: fresh, Job: job, JobLevel: true, Limit: 1000}
	err := a.readEvents(ctx, q, false, func(e *v1.RecordedEvent) error { t.hear(e); return nil })
	return t.story(), err
}

// jobNow is what a job waits for, as rollout's owner says it.
func (a *app) jobNow(ctx context.Context, j jobView) []waitView {
	if j.Status == v1.EnumName(v1.JobStatus_JOB_STATUS_COMPLETED) {
		return nil // nothing follows
	}
	r := a.holdingOf(ctx, j.JobID, j.Job, "")
	var now []waitView
	for i, h := range r.GetHoldings() {
		prefix := ""
		if n := r.GetWaiting(); i == 0 && n > 0 {
			prefix = plural(n, "thing") + verb(n, " waits", " wait") + " to be released: "
		}
		now = append(now, viewHolding(j.JobID, prefix, h))
	}
	return now
}

func verb[N int | int64 | uint64](n N, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// standing is how a job stands, in a sentence.
func standing(j jobView) string {
	text := j.JobID + " is " + j.Status
	if j.WindowOpen != nil && j.Status != v1.EnumName(v1.JobStatus_JOB_STATUS_CANCELED) && j.Status != v1.EnumName(v1.JobStatus_JOB_STATUS_COMPLETED) {
		text += ", its window " + j.windowText()
	}
	c := j.Counts
	if c == nil || c.Selected == 0 {
		return text + "."
	}
	total := int64(c.Selected)
	text += fmt.Sprintf(": of %s %s released, %s succeeded", plural(total, "thing"), humanize.Comma(int64(c.Released)), humanize.Comma(c.Good))
	for _, part := range []struct {
		n    int64
		text string
	}{{c.Harmed, "did not succeed"}, {c.Open, "not ended"}, {int64(c.Waiting), "waiting"}, {int64(c.Dropped), "never released"}} {
		if part.n > 0 {
			text += ", " + humanize.Comma(part.n) + " " + part.text
		}
	}
	return text + "."
}
