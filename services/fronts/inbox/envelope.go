package inbox

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/services/bus"
)

// Headers of our own. They count only where the inbox itself has put them: on what was set aside, and in poison.
const (
	headerOrigin   = "Drover-Origin"
	headerAttempts = "Drover-Attempts"
	headerReason   = "Drover-Reason"
	headerSubject  = "Drover-Subject"
)

// malformed is a command that no retry would mend.
type malformed struct{ reason string }

func (m malformed) Error() string { return m.reason }

func malformedf(format string, args ...any) error { return malformed{fmt.Sprintf(format, args...)} }

// delivery is one delivery of a stored command, as it came.
type delivery struct {
	service, name string
	header        nats.Header
	data          []byte
	// origin is where the inbox stored it first. It stays when the command is set aside.
	origin string
	// attempts counts the deliveries, this one included, and those from before it was set aside.
	attempts uint64
	aside    bool
	// misread is set once decode has failed: what is wrong is the publisher's to mend.
	misread bool
}

// newDelivery reads what a consumer has handed out.
func newDelivery(born string, msg js.Msg) *delivery {
	d := &delivery{header: msg.Headers(), data: msg.Data(), attempts: 1}
	service, name, err := bus.ParseInboxSubject(msg.Subject())
	if err != nil {
		// Not one of the subjects that the stream takes; whatever it is, it names no command.
		service, name = msg.Subject(), ""
	}
	d.service, d.name = service, name
	d.aside = strings.HasPrefix(msg.Subject(), asidePrefix)
	if meta, err := msg.Metadata(); err == nil {
		d.attempts, d.origin = meta.NumDelivered, originName(born, meta.Sequence.Stream)
	}
	if d.aside {
		if o := d.header.Get(headerOrigin); o != "" {
			d.origin = o
		}
		if n, err := strconv.ParseUint(d.header.Get(headerAttempts), 10, 32); err == nil {
			d.attempts += n
		}
	}
	return d
}

func bornName(created time.Time) string { return strconv.FormatInt(created.UnixMilli(), 36) }

func originName(born string, seq uint64) string { return born + "-" + strconv.FormatUint(seq, 10) }

// commandID is the id under which the command is decided: the publisher's, or one that is made from its origin.
func (d *delivery) commandID() (string, error) {
	id, given, err := d.one(bus.HeaderCommandID)
	if err != nil {
		return "", err
	}
	if !given {
		return "inbox-" + d.origin, nil
	}
	if err := bus.CheckCommandID(id); err != nil {
		return "", malformedf("the header %s: %v", bus.HeaderCommandID, err)
	}
	return id, nil
}

// json says whether the payload is JSON.
func (d *delivery) json() (bool, error) {
	t, _, err := d.one(bus.HeaderContentType)
	return t == bus.ContentJSON, err
}

// one is a header that may stand there once, in whatever case: NATS tells cases apart, and a command id that was passed
// over would let a repeat take effect.
func (d *delivery) one(name string) (value string, given bool, err error) {
	n := 0
	for k, values := range d.header {
		if strings.EqualFold(k, name) && len(values) > 0 {
			value, n = values[0], n+len(values)
		}
	}
	if n > 1 {
		return "", true, malformedf("the header %s stands there %d times; once is allowed", name, n)
	}
	return value, n == 1, nil
}

// command is a delivery that was understood.
type command struct {
	id   string
	op   bus.Command
	body proto.Message
}

// decode understands a delivery. Its errors are malformed.
func (d *delivery) decode() (c command, err error) {
	defer func() { d.misread = err != nil }()
	if c.id, err = d.commandID(); err != nil {
		return c, err
	}
	json, err := d.json()
	if err != nil {
		return c, err
	}
	var known bool
	if c.op, known = bus.DurableCommand(d.service, d.name); !known {
		return c, malformedf("%s.%s is no durable command: %s", d.service, d.name, strings.Join(durableNames(), ", "))
	}
	if len(d.data) == 0 && !json {
		// The bytes of a message without fields, which no command is.
		return c, malformedf("the body of a %s is empty", c.op)
	}
	if c.body, err = c.op.Parse(d.data, json); err != nil {
		return c, malformed{err.Error()}
	}
	return c, nil
}

func durableNames() []string {
	var names []string
	for _, c := range bus.DurableCommands() {
		names = append(names, c.Subject())
	}
	return names
}
