package broker

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Dialer connects our own processes to a hub: one that runs in this process, or any node of a cluster.
type Dialer struct {
	// URLs of the hub's nodes; a connection goes on with another when one is lost.
	URLs []string
	Auth Auth
	// TLS is nil where the hub listens on loopback without it.
	TLS *tls.Config
	// Logger gets what goes wrong on a connection; nil is none.
	Logger *slog.Logger

	inProcess *server.Server
}

// Connect connects as `service`, in the account of the logs: for who writes and reads them, keeps leases and the system's
// record, and publishes the feed and outcomes. Commands and queries are not there. The connection keeps nothing back while it is
// away: a publish fails instead. It looks for another node for ever, and gives one that hangs up within 6 s.
func (d *Dialer) Connect(name string, options ...nats.Option) (*nats.Conn, error) {
	return d.connect("service", d.Auth.Service, name, options)
}

// ConnectFront connects as `front`, for what answers others (device fronts and bus servers) and for what asks on the bus
// itself: check-targets and queries. An asker chooses where an answer is published; to this user the broker refuses all
// but inboxes and devices' topics.
func (d *Dialer) ConnectFront(name string, options ...nats.Option) (*nats.Conn, error) {
	return d.connect("front", d.Auth.Front, name, options)
}

// ConnectInbox connects as `inbox`: it may use the streams of durable commands, and call commands.
func (d *Dialer) ConnectInbox(name string, options ...nats.Option) (*nats.Conn, error) {
	return d.connect("inbox", d.Auth.Inbox, name, options)
}

// ConnectHTTP connects as `http`: it may call commands and queries.
func (d *Dialer) ConnectHTTP(name string, options ...nats.Option) (*nats.Conn, error) {
	return d.connect("http", d.Auth.HTTP, name, options)
}

// ConnectSystem connects to the system account, which can ask for the server's settings and state.
func (d *Dialer) ConnectSystem(name string, options ...nats.Option) (*nats.Conn, error) {
	return d.connect("sys", d.Auth.System, name, options)
}

func (d *Dialer) connect(user, password, name string, more []nats.Option) (*nats.Conn, error) {
	if password == "" {
		return nil, fmt.Errorf("connect %s to the hub: no password of its user %s was given", name, user)
	}
	options := []nats.Option{internalOptions(user, password, name, orDiscard(d.Logger))}
	if d.TLS != nil {
		options = append(options, nats.Secure(d.TLS))
	}
	if d.inProcess != nil {
		options = append(options, nats.InProcessServer(d.inProcess))
	}
	nc, err := nats.Connect(strings.Join(d.URLs, ","), append(options, more...)...)
	if err != nil {
		return nil, fmt.Errorf("connect %s to the hub: %w", name, err)
	}
	return nc, nil
}

const (
	// reconnectMin and reconnectJitter say how long a connection waits before it tries a node again that it has tried.
	reconnectMin    = 100 * time.Millisecond
	reconnectJitter = 150 * time.Millisecond
	// pingEvery and pingsMissed: a node that hangs is given up within (pingsMissed+1) * pingEvery.
	pingEvery   = 2 * time.Second
	pingsMissed = 2
)

// internalOptions are how our own processes connect to a hub: as a user, with an inbox that no other user may read,
// reconnecting for ever, and failing a publish at once while the connection is away.
func internalOptions(user, password, name string, log *slog.Logger) nats.Option {
	return func(o *nats.Options) error {
		for _, option := range []nats.Option{
			nats.Name(name),
			nats.UserInfo(user, password),
			nats.MaxReconnects(-1),
			nats.IgnoreAuthErrorAbort(),
			nats.ReconnectBufSize(-1),
			nats.ReconnectWait(reconnectMin),
			nats.ReconnectJitter(reconnectJitter, reconnectJitter),
			nats.PingInterval(pingEvery),
			nats.MaxPingsOutstanding(pingsMissed),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
				log.Warn("connection to the broker", "connection", name, "error", err)
			}),
		} {
			if err := option(o); err != nil {
				return err
			}
		}
		if user == "sys" {
			return nil
		}
		return nats.CustomInboxPrefix(inboxes[user])(o)
	}
}

// inboxes are the prefixes that permissions in deploy/hub.conf know.
var inboxes = map[string]string{"service": "_INBOX_SERVICE", "front": "_INBOX_FRONT", "inbox": "_INBOX_INBOX", "http": "_INBOX_HTTP"}
