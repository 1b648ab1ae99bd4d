package device

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// Unknown answers what devices publish to a jobs topic that names no operation: InvalidTopic, on <topic>/rejected.
// The four requests never reach it, for the broker maps them away; answers and notifications it passes over.
type Unknown struct{ sub *nats.Subscription }

// NewUnknown answers for all things of a system. One process is enough; of several, one answers each.
func NewUnknown(nc *nats.Conn, log *slog.Logger) (*Unknown, error) {
	sub, err := nc.QueueSubscribe("$aws.things.*.jobs.>", "drover-unknown", func(m *nats.Msg) {
		if !namesNothing(m.Subject) {
			return
		}
		r := &request{topic: m.Subject}
		b, _ := decode(m.Data, onTopic)
		r.token, r.hasToken = b.clientToken, b.hasToken
		subject := r.topic + ".rejected"
		if isInbox(m.Reply) {
			subject = m.Reply
		}
		refusal := v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_TOPIC, "", "the topic names no operation")
		if err := nc.Publish(subject, appendRefusal(nil, r, refusal, time.Now().UnixMilli())); err != nil && !errors.Is(err, nats.ErrReconnectBufExceeded) && log != nil {
			log.Warn("answer not sent", "subject", subject, "error", err)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("serve unknown device topics: %w", err)
	}
	return &Unknown{sub}, nil
}

// Close ends it.
func (u *Unknown) Close() error { return u.sub.Unsubscribe() }

// namesNothing says whether a subject below $aws.things.*.jobs is neither a request nor an answer nor a notification
// nor an inbox.
func namesNothing(subject string) bool {
	rest := strings.TrimPrefix(subject, "$aws.things.")
	_, op, _ := strings.Cut(rest, ".jobs.")
	last := op[strings.LastIndexByte(op, '.')+1:]
	switch depth := strings.Count(op, "."); {
	case strings.HasPrefix(op, "$inbox."):
		return false
	case depth == 0:
		return op != "get" && op != "start-next" && op != "notify" && op != "notify-next"
	case last == "accepted" || last == "rejected":
		return false
	case depth == 1:
		return last != "get" && last != "update"
	default:
		return true
	}
}
