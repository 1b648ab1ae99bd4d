package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/feed"
)

func eventsCommand(a *app) *cobra.Command {
	var job, thing string
	var since []string
	var follow bool
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Read the record: every event, with its cause and reason",
		Long: `Shows what happened, an event a line: time, position, type, fields, and why. Causes come before their effects. --since goes
on after a position, as in rollout@812; give one for each log that is not to be read from the beginning. With --output json
every line is a document.

Without --follow it reads the logs, to their ends. With --follow it reads the feed, which has the same events with the same
positions for as long as its limits keep them (7 days by default; drover help feed), and waits for more until it is stopped
with Ctrl-C. It goes on by itself when the connection or the system was away, and shows no event twice. It may go on where
it was stopped: --since feed@1234 is the place that it names when it ends, and "feed" of the last line of JSON.`,
		Example: `  drover events --job fw-1
  drover events --thing press-07 --follow
  drover events --follow --since feed@1234 --output json
  drover events --job fw-1 --since execution.0@1200 --since execution.1@1188`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if job != "" {
				if job, err = jobArg(job); err != nil {
					return err
				}
			}
			if thing != "" {
				if thing, err = thingArg(thing); err != nil {
					return err
				}
			}
			positions, after, err := sinceArgs(since)
			if err != nil {
				return err
			}
			if follow {
				return a.followFeed(cmd.Context(), &v1.ReadFeed{JobId: job, Thing: thing, Since: positions, After: after, Limit: 1000})
			}
			if after > 0 {
				return invalid("since", "%s is a place in the feed, which --follow reads", feed.FormatNumber(after))
			}
			q := &v1.ReadEvents{Freshness: fresh, JobId: job, Thing: thing, Since: positions, Limit: 1000}
			return a.readEvents(cmd.Context(), q, false, a.printEvent)
		},
	}
	f := cmd.Flags()
	f.StringVar(&job, "job", "", "only events of this job")
	f.StringVar(&thing, "thing", "", "only events of this thing")
	f.StringArrayVar(&since, "since", nil, "go on after this position; one per log, or with --follow one feed@NUMBER")
	f.BoolVarP(&follow, "follow", "f", false, "read the feed, and wait for more")
	_ = cmd.RegisterFlagCompletionFunc("job", a.completeJobs)
	_ = cmd.RegisterFlagCompletionFunc("thing", a.completeThings)
	return cmd
}

// sinceArgs reads --since: positions in logs, or one place in the feed.
func sinceArgs(since []string) (positions []*v1.Position, after uint64, err error) {
	for _, s := range since {
		if strings.HasPrefix(s, "feed@") {
			if after, err = feed.ParseNumber(s); err != nil {
				return nil, 0, invalidErr("since", err)
			}
			if len(since) > 1 {
				return nil, 0, invalid("since", "%s says where all logs go on: no other position goes with it", s)
			}
			return nil, after, nil
		}
		p, err := id.ParsePosition(s)
		if err != nil {
			return nil, 0, invalidErr("since", err)
		}
		positions = append(positions, p)
	}
	return positions, 0, nil
}

// errEnough is what each returns to end readEvents without an error.
var errEnough = errors.New("enough")

// readEvents hands each event to each, page by page, to the ends of the logs, or with follow until ctx ends.
func (a *app) readEvents(ctx context.Context, q *v1.ReadEvents, follow bool, each func(*v1.RecordedEvent) error) error {
	for {
		r, err := askPatiently(ctx, a, bus.ReadEvents, q)
		if follow && errors.Is(ctx.Err(), context.Canceled) {
			return nil // Ctrl-C is how a follower is left
		}
		if err != nil {
			return err
		}
		for _, e := range r.GetEvents() {
			if err := each(e); err != nil {
				if errors.Is(err, errEnough) {
					return nil
				}
				return err
			}
		}
		q.Since = r.GetNext()
		if r.GetEnd() {
			if !follow {
				return nil
			}
			q.WaitMs = uint32(min(a.timeout/2, 5*time.Second) / time.Millisecond)
		}
	}
}

func (a *app) printEvent(e *v1.RecordedEvent) error {
	return a.printFed(e, 0)
}

// printFed prints an event that stands in the feed at a number; 0 is none.
func (a *app) printFed(e *v1.RecordedEvent, number uint64) error {
	if a.json() {
		v := viewEvent(e)
		v.Feed = number
		return a.printLine(v)
	}
	name, body := eventOf(e.GetEntry().GetEvent())
	var out strings.Builder
	fmt.Fprintf(&out, "%s  %-16s %-18s", moment(e.GetAtMs()), positionText(e.GetPosition()), name)
	if line := eventLine(body, e.GetJobId()); line != "" {
		out.WriteString(" " + line)
	}
	if why := remarkOn(e); why != "" {
		out.WriteString("  # " + why)
	}
	_, err := fmt.Fprintln(a.out, strings.TrimRight(out.String(), " "))
	return err
}

// remarkOn is what stands behind an event's fields: its reason, or for turns of a job whose fields are numbers what they
// mean.
func remarkOn(e *v1.RecordedEvent) string {
	switch e.GetEntry().GetEvent().GetEvent().(type) {
	case *v1.Event_AbortTriggered, *v1.Event_JobEndReached, *v1.Event_JobUpdated:
		return jobSentence(e)
	case *v1.Event_JobWindowOpened, *v1.Event_JobWindowClosed:
		if e.GetEntry().GetReason() == nil {
			t := new(jobTeller)
			t.hear(e)
			return t.story()[0].Text
		}
	}
	return sentence(e.GetEntry().GetReason())
}

// eventView is one event of a stream.
type eventView struct {
	Position string      `json:"position"`
	At       string      `json:"at"`
	Type     string      `json:"type"`
	JobID    string      `json:"jobId,omitempty"`
	Cause    object      `json:"cause,omitempty"`
	Reason   *reasonView `json:"reason,omitempty"`
	Data     object      `json:"data"`
	Text     string      `json:"text,omitempty"` // what it means, where its reason does not say so
	Feed     uint64      `json:"feed,omitempty"` // its number there; with --follow only
}

type reasonView struct {
	Code    string  `json:"code"`
	Numbers []int64 `json:"numbers,omitempty"`
	Text    string  `json:"text"`
}

func viewEvent(e *v1.RecordedEvent) eventView {
	name, body := eventOf(e.GetEntry().GetEvent())
	v := eventView{Position: positionText(e.GetPosition()), At: moment(e.GetAtMs()), Type: name, JobID: e.GetJobId(), Data: object{}}
	if body != nil {
		v.Data = viewReflect(body)
	}
	switch c := e.GetEntry().GetCause().(type) {
	case *v1.Entry_Command:
		v.Cause = object{{"command", viewMessage(c.Command)}}
	case *v1.Entry_Position:
		v.Cause = object{{"position", positionText(c.Position)}}
	case *v1.Entry_Timer:
		v.Cause = object{{"timer", moment(c.Timer.GetDueMs())}}
	}
	if r := e.GetEntry().GetReason(); r != nil {
		v.Reason = &reasonView{Code: v1.EnumName(r.GetCode()), Numbers: r.GetNumbers(), Text: sentence(r)}
	}
	if text := remarkOn(e); v.Reason == nil || text != v.Reason.Text {
		v.Text = text
	}
	return v
}

func positionText(p *v1.Position) string {
	if p == nil {
		return ""
	}
	return id.FormatPosition(p)
}
