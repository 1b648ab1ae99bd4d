package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// What streams of durable commands take. (fronts/inbox)
const (
	InboxSubjects   = "drover.inbox.*.*"
	AsideSubjects   = "drover.inbox.aside.*.*"
	PoisonSubjects  = "drover.poison.*.*"
	OutcomeSubjects = "drover.outcome.*"
)

// HeaderCommandID and HeaderContentType stand with a request, and with a durable command. A content type other than
// ContentJSON is protobuf.
const (
	HeaderCommandID   = headerCommandID
	HeaderContentType = headerContentType
	ContentJSON       = contentJSON
)

// commandIDMax is the longest command id, in characters. (design §5; the hosts hold it too)
const commandIDMax = 64

// CheckCommandID says whether an id is one: 1 to 64 printable ASCII characters.
func CheckCommandID(id string) error {
	if id == "" || len(id) > commandIDMax {
		return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "command id", "it has %d characters; 1 to %d printable ones are allowed", len(id), commandIDMax)
	}
	for i := range len(id) {
		if id[i] < ' ' || id[i] > '~' {
			return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "command id", "it holds the byte %#x; 1 to %d printable ASCII characters are allowed", id[i], commandIDMax)
		}
	}
	return nil
}

// InboxSubject is where a durable command is published.
func InboxSubject(service, name string) string {
	return "drover.inbox." + Token(service) + "." + Token(name)
}

// AsideSubject is where the inbox puts a command that others shall not wait behind.
func AsideSubject(service, name string) string {
	return "drover.inbox.aside." + Token(service) + "." + Token(name)
}

// PoisonSubject is where a durable command is kept that no retry would mend.
func PoisonSubject(service, name string) string {
	return "drover.poison." + Token(service) + "." + Token(name)
}

// OutcomeSubject is where the outcome of a command is published. An id of letters, digits, "_", "-" and what else a
// subject's token may hold stands there as it is.
func OutcomeSubject(commandID string) string { return "drover.outcome." + Token(commandID) }

// ParseInboxSubject takes service and name out of a subject of the inbox, as they stand in it: as it was published to, as it
// is stored (inbox.<lane>.<service>.<name>), or as it was set aside.
func ParseInboxSubject(subject string) (service, name string, err error) {
	t := strings.Split(subject, ".")
	switch {
	case len(t) == 4 && t[0] == "drover" && t[1] == "inbox", len(t) == 4 && t[0] == "inbox":
		return t[2], t[3], nil
	case len(t) == 5 && t[0] == "drover" && t[1] == "inbox" && t[2] == "aside":
		return t[3], t[4], nil
	}
	return "", "", fmt.Errorf("%q is no subject of a durable command: drover.inbox.<service>.<name>", subject)
}

// Token makes one token of a subject of any text: what has a meaning in subjects (" ", ".", "*", ">"), "%" and what is
// not printable ASCII becomes %XX. Two texts never make one token. The empty text is "%".
func Token(text string) string {
	if text == "" {
		return "%"
	}
	var out strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c <= ' ' || c > '~' || c == '.' || c == '*' || c == '>' || c == '%':
			fmt.Fprintf(&out, "%%%02X", c)
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// Command is a command that is known by its name alone, for whoever has its bytes and not its type.
type Command interface {
	// String is the command's name for people: "job create".
	String() string
	// Subject is its name in subjects: "job.create".
	Subject() string
	// PerThing says that each thing's home decides it, and that one home may be away while others answer.
	PerThing() bool
	// Parse reads its message, strictly, as protobuf or as JSON. Its errors are refusals.
	Parse(data []byte, isJSON bool) (proto.Message, error)
	// Call sends a message that Parse made, and returns its reply. Errors are those of Op.Call.
	Call(ctx context.Context, c *Client, m proto.Message, opts ...Option) (proto.Message, error)
}

// durable are the commands that the inbox takes: those of operators and integrators, all but what devices ask for
// themselves, what is asked of the inbox itself, and access keys, whose secrets no stream shall keep.
var durable = []Command{
	named[*v1.CreateJob, *v1.CreateJobReply]{CreateJob},
	named[*v1.CancelJob, *v1.CancelJobReply]{CancelJob},
	named[*v1.CreateThings, *v1.CreateThingsReply]{CreateThings},
	named[*v1.DeleteThing, *v1.DeleteThingReply]{DeleteThing},
	named[*v1.CreateGroup, *v1.CreateGroupReply]{CreateGroup},
	named[*v1.AddThings, *v1.AddThingsReply]{AddThings},
	named[*v1.RemoveThings, *v1.RemoveThingsReply]{RemoveThings},
	named[*v1.CancelExecution, *v1.CancelExecutionReply]{CancelExecution},
	named[*v1.DeleteExecution, *v1.DeleteExecutionReply]{DeleteExecution},
	named[*v1.UpdateJob, *v1.UpdateJobReply]{UpdateJob},
	named[*v1.AssociateTargets, *v1.AssociateTargetsReply]{AssociateTargets},
	named[*v1.DeleteJob, *v1.DeleteJobReply]{DeleteJob},
	named[*v1.CreateTemplate, *v1.CreateTemplateReply]{CreateTemplate},
	named[*v1.DeleteTemplate, *v1.DeleteTemplateReply]{DeleteTemplate},
	named[*v1.TagResource, *v1.TagResourceReply]{TagJobs},
	named[*v1.UntagResource, *v1.UntagResourceReply]{UntagJobs},
	named[*v1.ConfigureEvents, *v1.ConfigureEventsReply]{ConfigureEvents},
	named[*v1.UpdateThing, *v1.UpdateThingReply]{UpdateThing},
	named[*v1.UpdateGroup, *v1.UpdateGroupReply]{UpdateGroup},
	named[*v1.DeleteGroup, *v1.DeleteGroupReply]{DeleteGroup},
	named[*v1.ChangeGroupsOfThing, *v1.ChangeGroupsOfThingReply]{ChangeGroupsOfThing},
	named[*v1.CreateThingType, *v1.CreateThingTypeReply]{CreateThingType},
	named[*v1.DeprecateThingType, *v1.DeprecateThingTypeReply]{DeprecateThingType},
	named[*v1.DeleteThingType, *v1.DeleteThingTypeReply]{DeleteThingType},
	named[*v1.TagResource, *v1.TagResourceReply]{TagRegistry},
	named[*v1.UntagResource, *v1.UntagResourceReply]{UntagRegistry},
}

// DurableCommands are the commands that may be published to the inbox.
func DurableCommands() []Command { return append([]Command(nil), durable...) }

// DurableCommand finds one by the tokens of its subject: "job", "create".
func DurableCommand(service, name string) (Command, bool) {
	for _, c := range durable {
		if c.Subject() == service+"."+name {
			return c, true
		}
	}
	return nil, false
}

// named is an operation as a Command.
type named[Q, R proto.Message] struct{ op Op[Q, R] }

func (n named[Q, R]) String() string  { return n.op.String() }
func (n named[Q, R]) Subject() string { return n.op.Owner + "." + n.op.Name }
func (n named[Q, R]) PerThing() bool  { return n.op.thing != nil }

func (n named[Q, R]) Parse(data []byte, isJSON bool) (proto.Message, error) {
	return parse[Q](data, isJSON)
}

func (n named[Q, R]) Call(ctx context.Context, c *Client, m proto.Message, opts ...Option) (proto.Message, error) {
	q, ok := m.(Q)
	if !ok {
		return nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "", "%s takes no %s", n, m.ProtoReflect().Descriptor().Name())
	}
	reply, err := n.op.Call(ctx, c, q, opts...)
	if err != nil {
		return nil, err
	}
	return reply, nil
}

// The codes by which a stream refuses to keep a durable command; it decides them before it stores anything.
const (
	streamFull      = 10077
	messageTooLarge = 10054
)

// PublishDurable publishes a command to the inbox and returns its number there, once it is kept. The body is the command's
// message, in protobuf or JSON; an id of "" is none. Errors are those of Call: with UNAVAILABLE, THROTTLED and
// INVALID_REQUEST nothing was kept; after OUTCOME_UNKNOWN it may have been, and with the same id it may be published again.
func PublishDurable(ctx context.Context, c *Client, service, name string, body []byte, isJSON bool, commandID string) (number uint64, err error) {
	msg := &nats.Msg{Subject: InboxSubject(service, name), Data: body, Header: nats.Header{}}
	if commandID != "" {
		if err := CheckCommandID(commandID); err != nil {
			return 0, err
		}
		msg.Header.Set(headerCommandID, commandID)
	}
	if isJSON {
		msg.Header.Set(headerContentType, contentJSON)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	ack, err := c.nc.RequestMsgWithContext(ctx, msg)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return 0, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "nothing keeps durable commands here now")
	case errors.Is(err, nats.ErrMaxPayload):
		return 0, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "", "the command has %d bytes; at most %d are allowed", len(body), CommandMax)
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrInvalidConnection):
		return 0, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "publish a durable command: %v", err)
	case err != nil:
		return 0, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN, "", "a durable command was not acknowledged: %v", err)
	}
	return kept(ack.Data)
}

// kept reads the answer of a stream.
func kept(answer []byte) (number uint64, err error) {
	var ack struct {
		Seq   uint64
		Error *struct {
			Code        int `json:"err_code"`
			Description string
		}
	}
	if err := json.Unmarshal(answer, &ack); err != nil {
		return 0, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INTERNAL, "", "answer to a durable command: %v", err)
	}
	switch {
	case ack.Error == nil && ack.Seq > 0:
		return ack.Seq, nil
	case ack.Error == nil:
		return 0, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INTERNAL, "", "answer to a durable command without a number")
	case ack.Error.Code == messageTooLarge:
		return 0, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "", "the command is too large: %s", ack.Error.Description)
	case ack.Error.Code == streamFull:
		return 0, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_THROTTLED, "", "the inbox is full (%s); ask again later", ack.Error.Description)
	}
	return 0, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "the inbox does not take it: %s", ack.Error.Description)
}

// ParseOutcome reads an outcome as it is published and kept: in JSON if the command was.
func ParseOutcome(header nats.Header, data []byte) (*v1.Outcome, error) {
	o := new(v1.Outcome)
	unmarshal := proto.Unmarshal
	if header.Get(headerContentType) == contentJSON {
		unmarshal = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal
	}
	if err := unmarshal(data, o); err != nil {
		return nil, fmt.Errorf("an outcome that cannot be read: %w", err)
	}
	return o, nil
}
