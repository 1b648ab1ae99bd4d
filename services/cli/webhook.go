package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/services/fronts/feed"
)

func webhookCommand(a *app) *cobra.Command {
	return parent("webhook", "Send events to HTTP receivers",
		`Webhooks send events of the feed to HTTP receivers, signed as Standard Webhooks says (www.standardwebhooks.com). A file says
who gets what:

  {"webhooks": [{
    "name": "tickets",                          its place in the feed is kept under this name
    "url": "https://tickets.example/drover",    http on this machine only, unless "allowHttp": true
    "secret": "whsec_…",                        whsec_ and base64 of 24 to 64 bytes; "previousSecret" signs too, while
                                                receivers change
    "types": ["ExecutionChanged"],              which events, which jobs, which things; none is all
    "jobs": ["fw-1"], "things": ["press-07"],
    "start": "new"                              where it begins the first time: new, beginning, or feed@NUMBER
  }]}

drover up --webhooks FILE and drover serve feed --webhooks FILE deliver. Each webhook gets its events one at a time, in the
order of the feed, each at least once; what is sent twice has the same webhook-id. An answer of 2xx is "done", 410 is "send no
more"; anything else is tried again after a growing while, of up to 5 minutes, for as long as the feed keeps the event.
A redirect is not followed.

Whoever may write the file lets Drover call any address that it can reach. Make it by hand, not from what strangers send.`,
		`  drover webhook check webhooks.json`,
		webhookCheck(a))
}

type webhookView struct {
	Name  string `json:"name"`
	URL   string `json:"url"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func webhookCheck(a *app) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a file of webhooks, and send each an event",
		Long: `Checks the file, and sends every webhook in it one event of type drover.webhook.Checked, signed as its events are, from this
machine. It needs no system. The exit status is 1 if one of them does not answer with 2xx.`,
		Example: `  drover webhook check webhooks.json
  drover webhook check webhooks.json --dry-run`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			hooks, err := feed.ReadWebhooks(args[0])
			if err != nil {
				return err
			}
			l := &list[webhookView]{
				a: a, name: "webhooks", columns: []string{"NAME", "URL", "RESULT"},
				row:  func(v webhookView) []string { return []string{v.Name, v.URL, v.result()} },
				view: func(v webhookView) any { return v },
			}
			failed := 0
			for _, w := range hooks {
				v := webhookView{Name: w.Name, URL: w.URL, OK: true}
				if !dry {
					if err := a.tryWebhook(cmd.Context(), w); err != nil {
						failed++
						v.OK, v.Error = false, err.Error()
					}
				}
				if err := l.page([]webhookView{v}); err != nil {
					return err
				}
			}
			if err := l.end(); err != nil {
				return err
			}
			if failed > 0 {
				return fmt.Errorf("%s did not take the event", plural(failed, "webhook"))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "check the file, and send nothing")
	return cmd
}

func (v webhookView) result() string {
	if v.OK {
		return "ok"
	}
	return v.Error
}

func (a *app) tryWebhook(ctx context.Context, w feed.Webhook) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	err := feed.Try(ctx, w)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v", a.timeout)
	}
	return err
}

// feedTopic is `drover help feed`.
func feedTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "feed",
		Short: "The events of all logs, for other programs",
		Long: `Every event of every log is one message of the feed, a CloudEvent 1.0 (JSON, structured mode), causes before their effects:

  id            execution.0@812.3: log, commit, index of the event in the commit; the same for ever
  source        urn:drover:log:LOG:ID-OF-THE-LOG
  type          drover.execution.ExecutionChanged
  subject       job/fw-1/thing/press-07
  time          of the commit
  data          the event, as drover events --output json shows it
  jobid thing cause causeref causeby causecommand causereply reason reasonnumbers reasontext dataomitted

How to follow it:
  drover events --follow      from any place that is kept, each event once
  drover.query.feed.read      a query on the bus (ReadFeed): pages of it, and waiting for more
  webhooks                    drover webhook --help
  plain NATS                  subscribe to drover.feed.<service>.<event>.<job>[.<thing>], "~" where there is no job. What
                              happens while you listen, without promise: an event may be missed, and may come twice with
                              the same id

The feed is kept for 7 days and up to 2 GiB, some 800 bytes an event; --feed-max-age and --feed-max-bytes of drover up and
drover serve feed set the limits. Who goes on from a number that is no longer kept is told so; the logs still have all. If its
stream (feed, in the account LOGS) is deleted, it is made anew from the logs: the same events with the same ids and new numbers.`,
	}
}
