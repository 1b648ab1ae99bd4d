package device

import (
	"errors"
	"strings"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// Exchange is one request and its answer as they stand on the wire, without a broker: what a Front reads and writes,
// for who has topics and payloads in hand.
type Exchange struct {
	r       *request
	refusal *v1.Refusal
}

// Read reads a request: an MQTT topic, $aws/things/<thing>/jobs/…, and its payload.
func Read(topic string, payload []byte) *Exchange {
	rest := strings.TrimPrefix(strings.ReplaceAll(topic, "/", "."), "$aws.things.")
	thing, op, _ := strings.Cut(rest, ".")
	r, refusal := parse(thing+"."+strings.TrimPrefix(op, "jobs."), "", payload)
	return &Exchange{r, refusal}
}

// Message is what to submit; nil if the request is refused as it stands: then Answer is called with neither reply nor
// error.
func (x *Exchange) Message() proto.Message {
	if x.refusal != nil {
		return nil
	}
	return x.r.message
}

// Answer is the answer's topic and payload, to a reply or to an error. nowMs stands in a rejection.
func (x *Exchange) Answer(reply proto.Message, err error, nowMs int64) (topic string, payload []byte) {
	topic = mqtt(x.r.topic)
	if x.refusal != nil {
		err = x.refusal
	}
	if err == nil {
		return topic + "/accepted", appendAccepted(nil, x.r, reply)
	}
	refusal := internal
	errors.As(err, &refusal)
	return topic + "/rejected", appendRefusal(nil, x.r, refusal, nowMs)
}

// Told is a message that a device gets without asking.
type Told struct {
	Topic   string
	Payload []byte
}

// Tell is what a notification is on the wire: notify, notify-next, or both.
func Tell(n *v1.Notification) (out []Told) {
	if n.List != nil {
		out = append(out, Told{mqtt(topicOf(n.GetThing(), "notify")), appendNotify(nil, n.List, n.GetAtMs())})
	}
	if n.Head != nil {
		out = append(out, Told{mqtt(topicOf(n.GetThing(), "notify-next")), appendNotifyNext(nil, n.Head, n.GetAtMs())})
	}
	return out
}

// mqtt is a subject as a topic.
func mqtt(subject string) string { return strings.ReplaceAll(subject, ".", "/") }
