package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

// explainedJobs is of how many jobs, the latest ones, the story of a thing has the job's own part.
const explainedJobs = 10

func explainThing(a *app) *cobra.Command {
	var job string
	cmd := &cobra.Command{
		Use:   "thing THING",
		Short: "Say what happened to a thing, why, and what it waits for",
		Long: `Tells a thing's story: when it was registered, which groups it joined and left, which jobs selected it and why, when each was
released to it, offered, started, reported on, retried, removed; or why it got none. Then what its executions wait for now,
and until when. With --job the story of that job on the thing alone; if the job never came to it, it says why.`,
		Example: `  drover explain thing press-07
  drover explain thing press-07 --job fw-1`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.completeThings,
		RunE: func(cmd *cobra.Command, args []string) error {
			thing, err := thingArg(args[0])
			if err != nil {
				return err
			}
			if job != "" {
				if job, err = jobArg(job); err != nil {
					return err
				}
			}
			v, err := a.explanationOf(cmd.Context(), thing, job)
			if err != nil {
				return err
			}
			return a.printExplanation(v)
		},
	}
	cmd.Flags().StringVar(&job, "job", "", "only this job")
	_ = cmd.RegisterFlagCompletionFunc("job", a.completeJobs)
	return cmd
}

func (a *app) explanationOf(ctx context.Context, thing, job string) (explainView, error) {
	v := explainView{Thing: thing, JobID: job}
	var of *v1.DescribeJobReply
	if job != "" {
		var err error
		if of, err = query(ctx, a, bus.DescribeJob, &v1.DescribeJob{Freshness: fresh, JobId: job}); err != nil {
			return v, err
		}
		v.Status = v1.EnumName(of.GetJob().GetStatus())
	}
	t := newThingTeller(thing, of.GetJob().GetJob())
	err := a.readEvents(ctx, &v1.ReadEvents{Freshness: fresh, Thing: thing, Limit: 1000}, false, func(e *v1.RecordedEvent) error { t.hear(e); return nil })
	if err != nil {
		return v, err
	}
	if len(t.events) == 0 { // a thing that nobody knows is refused
		if _, err := query(ctx, a, bus.DescribeThing, &v1.DescribeThing{Freshness: fresh, Name: thing}); err != nil {
			return v, err
		}
	}
	for _, job := range t.latestJobs(explainedJobs) {
		if err := a.hearJob(ctx, t, job); err != nil {
			return v, err
		}
	}
	v.Story = t.story()
	v.Text = t.standing()
	v.Now = a.thingNow(ctx, t, job)
	if job != "" && len(t.stages) == 0 {
		v.Text = notReached(thing, of)
	}
	return v, nil
}

// hearJob reads a job's own part of the story. It is found by its number, so that a job which was deleted has its part too.
func (a *app) hearJob(ctx context.Context, t *thingTeller, job uint64) error {
	q := &v1.ReadEvents{Freshness: fresh, Job: job, JobLevel: true, Limit: 1000}
	return a.readEvents(ctx, q, false, func(e *v1.RecordedEvent) error { t.hearOfJob(e); return nil })
}

// thingNow is what a thing waits for: its executions as its home's owner says it, its releases as rollout's.
func (a *app) thingNow(ctx context.Context, t *thingTeller, job string) []waitView {
	var now []waitView
	r, err := ask(ctx, a, bus.GetThingHolding, &v1.GetThingHolding{Thing: t.thing, JobId: job})
	for _, h := range asks(a, t.thing, r, err).GetExecutions() {
		now = append(now, viewThingHolding(h)...)
	}
	for _, s := range t.stages {
		if s.jobID == "" || s.released {
			continue
		}
		r := a.holdingOf(ctx, s.jobID, s.job, t.thing)
		if !r.GetThingWaits() {
			continue
		}
		before := "it is the next"
		if n := r.GetBeforeIt(); n < 0 {
			before = "more than 100,000 things are before it"
		} else if n > 0 {
			before = plural(n, "thing") + verb(n, " is", " are") + " before it"
		}
		w := waitView{JobID: s.jobID, Text: "it waits for its release, " + before}
		for i, h := range r.GetHoldings() {
			b := viewHolding("", "", h)
			w.Text += []string{": ", "; "}[min(i, 1)] + b.Text
			if i == 0 {
				w.Code, w.Until = b.Code, b.Until
			}
		}
		now = append(now, w)
	}
	return now
}

// viewThingHolding is one line for each thing that an execution waits for.
func viewThingHolding(h *v1.ThingHolding) []waitView {
	x := h.GetExecution()
	is := fmt.Sprintf("execution %d is %s", x.GetExecutionNumber(), v1.EnumName(x.GetStatus()))
	turn := is // for one that has ended
	switch {
	case h.GetHidden():
		is += " and not shown to the device"
		turn = is
	case x.GetStatus() == v1.ExecutionStatus_EXECUTION_STATUS_QUEUED:
		turn += " and next: the device can take it"
	case x.GetStatus() == v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS:
		turn += ": the device is at work on it"
	}
	var views []waitView
	for _, holding := range h.GetHoldings() {
		if holding.GetReason().GetCode() != v1.ReasonCode_REASON_CODE_WAITS_FOR_DEVICES {
			views = append(views, viewHolding(x.GetJobId(), is+": ", holding))
			continue
		}
		// Of one execution, that is its device.
		w := waitView{JobID: x.GetJobId(), Code: v1.EnumName(holding.GetReason().GetCode()), Text: turn, Until: moment(holding.GetUntilMs())}
		if holding.GetUntilMs() != 0 {
			w.Text += "; it times out at " + when(holding.GetUntilMs())
		}
		views = append(views, w)
	}
	if len(views) == 0 {
		views = append(views, waitView{JobID: x.GetJobId(), Code: "WAITS_FOR_DEVICES", Text: turn})
	}
	return views
}

// notReached says why a job never came to a thing.
func notReached(thing string, r *v1.DescribeJobReply) string {
	j := r.GetJob()
	targets := targetsText(j.GetTargets())
	switch {
	case j.GetStatus() == v1.JobStatus_JOB_STATUS_SCHEDULED && r.GetCounts().GetSelected() == 0 && !r.GetCounts().GetSelectionFinished():
		return fmt.Sprintf("%s has not come to %s: it has not started, and looks for its things in %s when it does.", j.GetJobId(), thing, targets)
	case !r.GetCounts().GetSelectionFinished() && j.GetStatus() == v1.JobStatus_JOB_STATUS_IN_PROGRESS:
		return fmt.Sprintf("%s has not come to %s yet: the things in %s are still being looked for, %s so far.", j.GetJobId(), thing, targets, humanize.Comma(int64(r.GetCounts().GetSelected())))
	case j.GetTargetSelection() == v1.TargetSelection_TARGET_SELECTION_CONTINUOUS:
		return fmt.Sprintf("%s never came to %s: it was in none of %s when they were looked through, and joined none since.", j.GetJobId(), thing, targets)
	}
	return fmt.Sprintf("%s never came to %s: it was in none of %s when they were looked through, and who joins later gets nothing of a SNAPSHOT job.", j.GetJobId(), thing, targets)
}

// standing is how the thing stands, in a sentence.
func (t *thingTeller) standing() string {
	var parts []string
	for _, s := range t.stages {
		if s.status != 0 && s.jobID != "" {
			parts = append(parts, s.jobID+" "+v1.EnumName(s.status))
		}
	}
	const shown = 5
	if more := len(parts) - shown; more > 0 {
		parts = append([]string{plural(more, "earlier job")}, parts[more:]...)
	}
	if len(parts) == 0 {
		return ""
	}
	return t.thing + ": " + strings.Join(parts, ", ") + "."
}
