package cli

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

func inboxCommand(a *app) *cobra.Command {
	return parent("inbox", "Publish commands that wait while the services are away",
		`A durable command is published and kept: it is decided when its service can, once, and its outcome can be asked for for 24
hours. A program publishes it to drover.inbox.SERVICE.NAME, as protobuf, or as JSON with the header Content-Type:
application/json; the header Drover-Command-Id names it. It is kept once JetStream has acknowledged it. Commands of one
service are carried out in the order in which they were published. What cannot be read lies in the poison queue, with the
reason, until it is retried or dropped.`,
		`  drover inbox send targeting.create-things --body '{"things":[{"name":"press-07"}]}' --wait
  drover inbox outcome deploy-1182
  drover inbox list`,
		inboxSend(a), inboxOutcome(a), inboxList(a), inboxRetry(a), inboxDrop(a))
}

// outcomeView is what came of a durable command: a reply or a refusal.
type outcomeView struct {
	CommandID string          `json:"commandId"`
	Operation string          `json:"operation"`
	At        string          `json:"at"`
	Reply     json.RawMessage `json:"reply,omitempty"`
	Refusal   *refusalView    `json:"refusal,omitempty"`
}

type refusalView struct {
	Code    string `json:"code"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
}

func viewOutcome(o *v1.Outcome) outcomeView {
	v := outcomeView{CommandID: o.GetCommandId(), Operation: o.GetOperation(), At: moment(o.GetAtMs())}
	if r := o.GetRefusal(); r != nil {
		v.Refusal = &refusalView{Code: v1.EnumName(r.GetCode()), Field: r.GetField(), Message: r.GetMessage()}
	} else if json.Valid([]byte(o.GetReplyJson())) {
		v.Reply = json.RawMessage(o.GetReplyJson())
	}
	return v
}

// poisonView is one command of the poison queue. Its body is text, or base64 if it is none.
type poisonView struct {
	Number      uint64 `json:"number"`
	At          string `json:"at"`
	Subject     string `json:"subject"`
	CommandID   string `json:"commandId,omitempty"`
	ContentType string `json:"contentType,omitempty"`
	Reason      string `json:"reason"`
	Body        string `json:"body,omitempty"`
	BodyBase64  string `json:"bodyBase64,omitempty"`
}

func viewPoison(m *v1.PoisonMessage) poisonView {
	v := poisonView{
		Number: m.GetNumber(), At: moment(m.GetAtMs()), Subject: m.GetSubject(), CommandID: m.GetCommandId(),
		ContentType: m.GetContentType(), Reason: m.GetReason(),
	}
	if utf8.Valid(m.GetData()) {
		v.Body = string(m.GetData())
	} else {
		v.BodyBase64 = base64.StdEncoding.EncodeToString(m.GetData())
	}
	return v
}

// numberArgs reads numbers of the poison queue, or --all.
func numberArgs(args []string, all bool) ([]uint64, error) {
	if all == (len(args) > 0) {
		return nil, usagef("give numbers, as drover inbox list shows them, or --all")
	}
	var numbers []uint64
	for _, s := range args {
		n, err := strconv.ParseUint(s, 10, 63)
		if err != nil || n == 0 {
			return nil, invalid("numbers", "%.40q is no number of the poison queue; drover inbox list shows them", s)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// completeDurable offers the names of durable commands.
func completeDurable(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return durableNames(), cobra.ShellCompDirectiveNoFileComp
}

func durableNames() []string {
	var names []string
	for _, c := range bus.DurableCommands() {
		names = append(names, c.Subject())
	}
	return names
}
