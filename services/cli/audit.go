package cli

import (
	"context"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/services/broker"
)

func auditCommand(a *app) *cobra.Command {
	from := &logSource{a: a}
	c := parent("audit", "Recount a system's logs",
		`Audits read the logs themselves and trust nothing else: neither the read models nor the counts that the services keep. They
read those in the folder of a system that does not run (--data), or those of a hub that does (--nats, --creds): while it
goes on, up to where it is at that moment. They write nothing.`,
		`  drover audit job fw-1 --data /var/lib/drover --expect SUCCEEDED=950
  drover audit job fw-1 --nats nats://hub-1:4222,nats://hub-2:4222 --creds secrets/service.json --tls-ca secrets/ca.crt`,
		auditJob(a, from), auditAbort(a, from),
		parent("log", "Look into the logs",
			`The logs hold everything that happened, a commit at a time: what one service decided together.`,
			`  drover audit log verify`,
			auditLogList(a, from), auditLogShow(a, from), auditLogVerify(a, from)))
	from.flags(c)
	return c
}

// logSource says which system's logs an audit reads.
type logSource struct {
	a               *app
	nats, creds, ca string
}

func (s *logSource) flags(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&s.nats, "nats", "", "URLs of a running hub's nodes, with commas between them; else the stopped system in --data is read")
	f.StringVar(&s.creds, "creds", "", "file with the password of the user service, as drover secrets create writes it (service.json)")
	f.StringVar(&s.ca, "tls-ca", "", "who signed the hub's certificates; none is plain text")
}

// open opens the logs to be read.
func (s *logSource) open(ctx context.Context) (*opened, error) {
	if s.nats == "" {
		if s.creds != "" || s.ca != "" {
			return nil, usagef("--creds and --tls-ca are for a running hub; name it with --nats")
		}
		return s.a.openOffline(ctx)
	}
	if s.creds == "" {
		return nil, usagef("--nats %s: --creds is needed as well: only the user service may read logs", s.nats)
	}
	d, err := s.dialer()
	if err != nil {
		return nil, usagef("%v", err)
	}
	o := &opened{}
	if o.nc, err = d.Connect("drover audit"); err != nil {
		return nil, unavailable("%s: %v", s.nats, err)
	}
	if err := o.open(ctx); err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

// openWhole opens the logs to be recounted, and holds their ends against those that are remembered.
func (s *logSource) openWhole(ctx context.Context) (*opened, error) {
	o, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := o.checkHeads(ctx, s.a.dataDir()); err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

func (s *logSource) dialer() (*broker.Dialer, error) {
	hub := hubFlags{urls: s.nats, creds: s.creds, ca: s.ca}
	return hub.dialer(slog.New(slog.NewTextHandler(io.Discard, nil)))
}
