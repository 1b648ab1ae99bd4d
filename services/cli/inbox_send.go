package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func inboxSend(a *app) *cobra.Command {
	var body string
	var wait bool
	cmd := &cobra.Command{
		Use:   "send SERVICE.NAME --body JSON|@FILE|-",
		Short: "Publish a durable command",
		Long: `Publishes a command to the inbox and says when it is kept: from then on it is decided once, also if its service is away
now. The body is the JSON of the command's message: names in lowerCamel, bytes (a job's document) in base64. It is checked
before it is sent; what only its service can know comes as the outcome.

With --command-id the command has that name, and sending it again changes nothing; without, one is drawn. With --wait it
returns when there is an outcome, and its exit status is that of the outcome. ^C ends the waiting, and not the command.

Commands:
  ` + strings.Join(durableNames(), "\n  "),
		Example: `  drover inbox send targeting.create-things --body '{"things":[{"name":"press-07"}]}'
  drover inbox send job.cancel --body '{"jobId":"fw-1","force":true}' --command-id stop-fw-1 --wait
  drover inbox send job.create --body @create-job.json --command-id deploy-1182`,
		Args:              takes(1, 1),
		ValidArgsFunction: completeDurable,
		RunE: func(cmd *cobra.Command, args []string) error {
			op, err := durableArg(args[0])
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("body") {
				return usagef("--body is missing: the JSON of the command, @FILE, or - for stdin")
			}
			data, err := a.bodyText(body)
			if err != nil {
				return err
			}
			if _, err := op.Parse(data, true); err != nil {
				return err
			}
			return a.sendDurable(cmd.Context(), op, data, wait)
		},
	}
	cmd.Flags().StringVar(&body, "body", "", "the command: JSON, @FILE, or - for stdin")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait for the outcome")
	return cmd
}

func durableArg(s string) (bus.Command, error) {
	service, name, _ := strings.Cut(s, ".")
	op, ok := bus.DurableCommand(service, name)
	if !ok {
		return nil, invalid("", "%.60q is no durable command; there are %s", s, strings.Join(durableNames(), ", "))
	}
	return op, nil
}

// bodyText reads --body.
func (a *app) bodyText(s string) ([]byte, error) {
	name, file := strings.CutPrefix(s, "@")
	if s == "-" || file {
		return a.readAll(name, bus.CommandMax)
	}
	return []byte(s), nil
}

type sentView struct {
	Number    uint64 `json:"number"`
	CommandID string `json:"commandId"`
}

// sendDurable publishes a command, and with wait returns its outcome.
func (a *app) sendDurable(ctx context.Context, op bus.Command, data []byte, wait bool) error {
	if a.commandID == "" {
		a.commandID = rand.Text()
	}
	c, err := a.dial()
	if err != nil {
		return err
	}
	var waiting *outcomeWait
	if wait {
		if waiting, err = a.awaitOutcomeOf(ctx, c, a.commandID); err != nil {
			return err
		}
		defer waiting.close()
	}
	service, name, _ := strings.Cut(op.Subject(), ".")
	sending, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	number, err := bus.PublishDurable(sending, c, service, name, data, true, a.commandID)
	if err != nil {
		return err
	}
	if !wait {
		if a.json() {
			return a.printJSON(sentView{number, a.commandID})
		}
		_, err = fmt.Fprintf(a.out, "kept as %d; learn what comes of it with: drover inbox outcome %s\n", number, shellWord(a.commandID))
		return err
	}
	o, err := waiting.outcome(ctx)
	if err != nil {
		return err
	}
	if o.GetRefusal() != nil {
		if a.json() {
			if err := a.printJSON(viewOutcome(o)); err != nil {
				return err
			}
		}
		return o.GetRefusal()
	}
	return a.printOutcome(o)
}

// shellWord is a word as a shell takes it.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/@%+=,", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// outcomeWait hears of an outcome when it is published, and asks for it every two seconds, if the connection has been away
// meanwhile.
type outcomeWait struct {
	a     *app
	id    string
	heard *nats.Subscription
	// before is the time of the outcome that was there beforehand, of an earlier command with this id; 0 if there was
	// none. known is false if nobody could say.
	before int64
	known  bool
}

// awaitOutcomeOf begins to listen, before the command is sent.
func (a *app) awaitOutcomeOf(ctx context.Context, c *bus.Client, id string) (*outcomeWait, error) {
	if err := bus.CheckCommandID(id); err != nil {
		return nil, err
	}
	heard, err := c.Conn().SubscribeSync(bus.OutcomeSubject(id))
	if err != nil {
		return nil, unavailable("%v", err)
	}
	w := &outcomeWait{a: a, id: id, heard: heard}
	o, err := ask(ctx, a, bus.GetOutcome, &v1.GetOutcome{CommandId: id})
	w.before, w.known = o.GetAtMs(), err == nil || refusedAs(err, v1.RefusalCode_REFUSAL_CODE_NOT_FOUND)
	return w, nil
}

func (w *outcomeWait) close() { _ = w.heard.Unsubscribe() }

// outcome waits until there is one that was not there beforehand.
func (w *outcomeWait) outcome(ctx context.Context) (*v1.Outcome, error) {
	for {
		listening, cancel := context.WithTimeout(ctx, 2*time.Second)
		m, err := w.heard.NextMsgWithContext(listening)
		cancel()
		if err == nil {
			return bus.ParseOutcome(m.Header, m.Data)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if o, err := ask(ctx, w.a, bus.GetOutcome, &v1.GetOutcome{CommandId: w.id}); err == nil && w.known && o.GetAtMs() != w.before {
			return o, nil
		}
	}
}
