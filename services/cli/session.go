package cli

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/node"
)

const defaultDataShown = "$XDG_STATE_HOME/drover, else ~/.local/state/drover"

// DefaultData is the folder that is used if none is named.
func DefaultData() string {
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "drover")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "drover-data"
	}
	return filepath.Join(home, ".local", "state", "drover")
}

func (a *app) dataDir() string {
	if a.data != "" {
		return a.data
	}
	return DefaultData()
}

// address is where the bus is, and who asks there.
type address struct {
	urls      string // one for each node, commas between them
	creds, ca string // files; may be empty
}

// address says where the bus is: --server, then DROVER_SERVER unless a folder is named, then the endpoints file. Who asks
// is --creds, and what is trusted --tls-ca, each else its variable unless a folder is named.
func (a *app) address() (address, error) {
	env := func(flag, name string) string {
		if flag == "" && a.data == "" {
			return os.Getenv(name)
		}
		return flag
	}
	to := address{env(a.server, "DROVER_SERVER"), env(a.creds, "DROVER_CREDS"), env(a.tlsCA, "DROVER_TLS_CA")}
	if to.urls != "" {
		return to, nil
	}
	e, err := node.ReadEndpoints(a.dataDir())
	if err != nil {
		return to, unavailable("%v", err)
	}
	to.urls = e.NATS
	return to, nil
}

// options are how a command connects there: as the user client, or without a name where nobody needs one.
func (to address) options() ([]nats.Option, error) {
	var options []nats.Option
	if to.creds != "" {
		auth, err := broker.ReadAuth(to.creds, broker.ClientUsers...)
		if err != nil {
			return nil, usagef("--creds: %v", err)
		}
		options = append(options, nats.UserInfo("client", auth.Client))
	}
	if to.ca != "" {
		trust, err := broker.ReadCA(to.ca)
		if err != nil {
			return nil, usagef("--tls-ca: %v", err)
		}
		options = append(options, nats.Secure(trust))
	}
	return options, nil
}

func unavailable(format string, args ...any) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", format, args...)
}

// dial connects to the bus once.
func (a *app) dial() (*bus.Client, error) {
	if a.client != nil {
		return a.client, nil
	}
	to, err := a.address()
	if err != nil {
		return nil, err
	}
	options, err := to.options()
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(to.urls, append(options, nats.Name("drover cli"), nats.Timeout(min(a.timeout, 5*time.Second)),
		nats.MaxReconnects(-1), nats.ReconnectWait(200*time.Millisecond),
		nats.ReconnectBufSize(-1))...) // nothing is kept back while the connection is away: it fails at once
	if err != nil {
		return nil, notConnected(to, err)
	}
	a.client = bus.NewClient(nc)
	return a.client, nil
}

// notConnected explains why nobody answers there, and what would be right.
func notConnected(to address, err error) error {
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return unavailable("%s lets nobody in without the password of its user client: name the file that holds it with --creds (client.json of drover secrets create)", to.urls)
	case errors.As(err, &untrusted):
		return unavailable("%s shows a certificate that is not trusted: %v; name who signed it with --tls-ca", to.urls, err)
	case errors.Is(err, nats.ErrSecureConnWanted):
		return unavailable("%s does not speak TLS: leave out --tls-ca (or DROVER_TLS_CA)", to.urls)
	}
	return unavailable("%s does not answer: %v; start the system with `drover up`, or name another with --server", to.urls, err)
}

func (a *app) close() {
	if a.client != nil {
		a.client.Conn().Close()
		a.client = nil
	}
}

// ask sends a query.
func ask[Q, R proto.Message](ctx context.Context, a *app, op bus.Op[Q, R], q Q) (R, error) {
	return call(ctx, a, op, q)
}

// tell sends a command with an id: --command-id, or one that is drawn now and named if the outcome stays unknown.
func tell[Q, R proto.Message](ctx context.Context, a *app, op bus.Op[Q, R], q Q) (R, error) {
	if a.commandID == "" {
		a.commandID = rand.Text()
	}
	return call(ctx, a, op, q, bus.WithCommandID(a.commandID))
}

func call[Q, R proto.Message](ctx context.Context, a *app, op bus.Op[Q, R], q Q, opts ...bus.Option) (R, error) {
	var none R
	c, err := a.dial()
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	reply, err := op.Call(ctx, c, q, opts...)
	if err == nil {
		a.answered.Store(true)
	}
	return reply, err
}

// askPatiently is ask for a command that follows something: once it has been answered by a system, it waits for as long
// as a restart of that system takes, and looks for it where its endpoints file says then.
func askPatiently[Q, R proto.Message](ctx context.Context, a *app, op bus.Op[Q, R], q Q) (R, error) {
	const patience = 30 * time.Second
	for until := time.Now().Add(patience); ; {
		r, err := ask(ctx, a, op, q)
		if err == nil || !a.answered.Load() || exitStatus(err) != exitUnavailable || time.Now().After(until) {
			return r, errors.Join(err, ctx.Err())
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return r, err
		}
		a.close()
	}
}

// fresh asks for an answer as new as the ends of the logs.
var fresh = &v1.Freshness{Fresh: true}

// stamped is a reply of a read model.
type stamped interface{ GetStamp() *v1.Stamp }

// query asks a read model for a fresh answer, and says so if it could not be had in time.
func query[Q proto.Message, R interface {
	proto.Message
	stamped
}](ctx context.Context, a *app, op bus.Op[Q, R], q Q) (R, error) {
	reply, err := ask(ctx, a, op, q)
	if err == nil && reply.GetStamp().GetBehind() {
		fmt.Fprintln(a.err, "drover: this answer is older than the log: the read models are catching up")
	}
	return reply, err
}
