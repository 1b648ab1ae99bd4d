package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func explainCommand(a *app) *cobra.Command {
	return parent("explain", "Say why: what happened to a job or a thing, and what it waits for",
		`Tells the story of a job, or of a thing, in sentences made from the reasons in the logs, each with its place; then what it
waits for now, and until when.`,
		`  drover explain job fw-1
  drover explain thing press-07 --job fw-1`,
		explainJob(a), explainThing(a))
}

// A sentence is one line of a story: what happened, when, and where it stands in the logs.
type sentenceView struct {
	At       string `json:"at"`
	Until    string `json:"until,omitempty"` // of several events in one sentence: the last one
	Position string `json:"position"`
	Last     string `json:"last,omitempty"`
	JobID    string `json:"jobId,omitempty"`
	Text     string `json:"text"`
}

// waitView is one thing that is waited for. Until is absent if nobody knows.
type waitView struct {
	JobID string `json:"jobId,omitempty"`
	Code  string `json:"code"`
	Text  string `json:"text"`
	Until string `json:"until,omitempty"`
}

// explainView is what explain prints as JSON.
type explainView struct {
	JobID  string         `json:"jobId,omitempty"`
	Thing  string         `json:"thingName,omitempty"`
	Status string         `json:"status,omitempty"` // of the job
	Text   string         `json:"text,omitempty"`   // how it stands, in a sentence
	Story  []sentenceView `json:"story"`
	Now    []waitView     `json:"now"`
}

// printExplanation writes the story, a line a sentence, and then what is waited for.
func (a *app) printExplanation(v explainView) error {
	if a.json() {
		if v.Story == nil {
			v.Story = []sentenceView{}
		}
		if v.Now == nil {
			v.Now = []waitView{}
		}
		return a.printJSON(v)
	}
	var out strings.Builder
	if v.Text != "" {
		out.WriteString(v.Text + "\n\n")
	}
	for _, s := range v.Story {
		about := ""
		if s.JobID != "" && v.JobID == "" {
			about = s.JobID + ": "
		}
		place := s.Position
		if s.Last != "" {
			place += " to " + s.Last
		}
		fmt.Fprintf(&out, "%s  %s%s  (%s)\n", plainTime(s.At), about, s.Text, place)
	}
	if len(v.Now) > 0 {
		out.WriteString("\nNow:\n")
	}
	for _, w := range v.Now {
		about := ""
		if w.JobID != "" && v.JobID == "" {
			about = w.JobID + ": "
		}
		fmt.Fprintf(&out, "  %s%s\n", about, w.Text)
	}
	_, err := fmt.Fprint(a.out, out.String())
	return err
}

// plainTime is a moment without its milliseconds, as tables show it.
func plainTime(moment string) string {
	if len(moment) < len("2026-11-25T12:00:00.000Z") {
		return moment
	}
	return moment[:10] + " " + moment[11:19] + "Z"
}

// viewHolding says what is waited for. The sentence of a reason names its moment; what it does not name stands behind.
func viewHolding(jobID, prefix string, h *v1.Holding) waitView {
	w := waitView{JobID: jobID, Code: v1.EnumName(h.GetReason().GetCode()), Text: prefix + sentence(h.GetReason()), Until: moment(h.GetUntilMs())}
	if h.GetUntilMs() != 0 && !strings.Contains(w.Text, when(h.GetUntilMs())) {
		w.Text += ", until " + when(h.GetUntilMs())
	}
	return w
}

// asks asks an owner what something waits for. Without an answer the story stands alone, and stderr says why.
func asks[R any](a *app, what string, r R, err error) R {
	if err != nil && !refusedAs(err, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND) {
		fmt.Fprintf(a.err, "drover: what %s waits for now cannot be told: %s\n", what, a.explain(err))
	}
	return r
}

func (a *app) holdingOf(ctx context.Context, job string, number uint64, thing string) *v1.GetHoldingReply {
	r, err := ask(ctx, a, bus.GetHolding, &v1.GetHolding{JobId: job, Job: number, Thing: thing})
	return asks(a, job, r, err)
}
