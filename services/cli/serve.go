package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/node"
)

func serveCommand(a *app) *cobra.Command {
	cfg := node.Config{Version: Version}
	var hub hubFlags
	var verbose bool
	front := httpFlags{HTTP: &cfg.HTTP}
	c := &cobra.Command{
		Use:   "serve ROLE...",
		Short: "Run some services on given brokers",
		Long: `Runs services of a system whose brokers run elsewhere (drover broker). A role is one of

  job, targeting, rollout   the owner of a log; of several processes one owns it and the others stand by
  execution                 the owners of the homes' logs and the devices' protocol; several processes share the homes
  projections               the read models, and the queries they answer; several share the queries
  inbox                     durable commands
  feed                      committed events for others
  http                      AWS's API, for AWS's own clients; any process answers any request

or all. Any number of processes may run each, and they may be started before the brokers and before drover init: they wait,
and /readyz on the monitor's port says for what. What is kept in --data can be made anew from the logs, and belongs to this
process alone.

A log whose owner is gone is taken over in about two seconds. SIGTERM and ^C hand over what is owned, answer what was
asked, and end within 5 seconds.`,
		Example: `  drover serve execution --nats nats://hub-1:4222,nats://hub-2:4222 --creds service.json --tls-ca ca.pem --data /var/lib/drover
  drover serve all --creds secrets/service.json --data ./one --monitor-port 0`,
		Args: takes(1, -1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if cfg.Roles, err = parseRoles(args); err != nil {
				return err
			}
			if a.data == "" {
				return usagef("--data is missing: a folder of this process's own")
			}
			cfg.Data = a.data
			if err := checkLimits(cfg); err != nil {
				return err
			}
			closeLog, err := front.read(cmd.Flags(), a.err)
			if err != nil {
				return err
			}
			defer closeLog()
			level := slog.LevelInfo
			if verbose {
				level = slog.LevelDebug
			}
			cfg.Logger = slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
			if cfg.Hub, err = hub.dialer(cfg.Logger); err != nil {
				return err
			}
			return a.serve(cmd.Context(), cfg)
		},
		ValidArgs: append(roleWords(), allRoles),
	}
	f := c.Flags()
	hub.add(f)
	f.StringVar(&cfg.Name, "name", "", "name of this process, which no other that is alive may have (default: the host's and a random suffix)")
	f.StringVar(&cfg.Listen, "listen", "127.0.0.1", "address of the monitor, and of AWS's API; the API needs TLS or --insecure beyond this machine")
	f.BoolVar(&cfg.Insecure, "insecure", false, "let AWS's API listen beyond this machine without TLS")
	f.IntVar(&cfg.MonitorPort, "monitor-port", monitorPort, "port of health, readiness and metrics; 0 is any free one")
	f.StringVar(&cfg.Webhooks, "webhooks", "", "file of the receivers of events over HTTP (drover webhook --help)")
	f.StringVar(&cfg.Region, "region", "us-east-1", "region in ARNs: of events on AWS's event topics, and where a request to AWS's API is signed for none")
	f.StringVar(&cfg.Account, "account-id", "123456789012", "account in ARNs")
	f.DurationVar(&cfg.FeedAge, "feed-max-age", 0, "how long the feed keeps an event (default: as it is; 168h for a new one)")
	f.Int64Var(&cfg.FeedBytes, "feed-max-bytes", 0, "how many bytes the feed keeps (default: as it is; 2 GiB for a new one)")
	f.StringVar(&cfg.Limits, "limits", "default", "numbers by which requests are refused and jobs wait: default, or aws for AWS's; the same for every process of the roles job, targeting and rollout")
	f.IntVar(&cfg.RetentionDays, "retention-days", 0, "for how long a job is kept after it has ended (default 730)")
	f.BoolVar(&cfg.AllowUnsafeSync, "allow-unsafe-sync", false, "run on brokers that do not flush what they acknowledge")
	f.BoolVarP(&verbose, "verbose", "v", false, "say more on stderr")
	front.add(f)
	return c
}

// allRoles stands for every role.
const allRoles = "all"

func roleWords() []string {
	var words []string
	for _, r := range node.Roles() {
		words = append(words, string(r))
	}
	return words
}

func parseRoles(args []string) ([]node.Role, error) {
	if slices.Equal(args, []string{allRoles}) {
		return node.Roles(), nil
	}
	var roles []node.Role
	for _, arg := range args {
		r, err := node.ParseRole(arg)
		if err != nil {
			return nil, usagef("%v, %s", err, allRoles)
		}
		if !slices.Contains(roles, r) {
			roles = append(roles, r)
		}
	}
	return roles, nil
}

// hubFlags say where the brokers are, and who connects to them.
type hubFlags struct{ urls, creds, ca string }

func (h *hubFlags) add(f *pflag.FlagSet) {
	f.StringVar(&h.urls, "nats", "", "URLs of the hub's nodes, with commas between them (default $DROVER_NATS, else "+defaultHub+")")
	f.StringVar(&h.creds, "creds", "", "file of the services' passwords: service.json of drover secrets create")
	f.StringVar(&h.ca, "tls-ca", "", "file of the CA that signed the brokers' certificates; without it nothing is encrypted")
}

const defaultHub = "nats://127.0.0.1:4222"

func (h *hubFlags) dialer(log *slog.Logger) (*broker.Dialer, error) {
	if h.creds == "" {
		return nil, usagef("--creds is missing: the file of the services' passwords (drover secrets create writes service.json; drover up keeps <data>/auth)")
	}
	d := &broker.Dialer{Logger: log}
	for url := range strings.SplitSeq(orEnv(h.urls, "DROVER_NATS", defaultHub), ",") {
		if url = strings.TrimSpace(url); url != "" {
			d.URLs = append(d.URLs, url)
		}
	}
	var err error
	if d.Auth, err = broker.ReadAuth(h.creds, broker.ServiceUsers...); err != nil {
		return nil, err
	}
	if h.ca != "" {
		d.TLS, err = broker.ReadCA(h.ca)
	}
	return d, err
}

// orEnv is a flag's value, else that of a variable of the environment, else the other.
func orEnv(flag, variable, other string) string {
	if flag != "" {
		return flag
	}
	if env := os.Getenv(variable); env != "" {
		return env
	}
	return other
}

// stopMax is how long a graceful stop may take.
const stopMax = 5 * time.Second

// serve runs a node on given brokers until ctx ends or something in it fails.
func (a *app) serve(ctx context.Context, cfg node.Config) error {
	threads()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	n, err := node.Start(ctx, cfg)
	if err != nil {
		return startFailed(ctx, err)
	}
	e := n.Endpoints()
	fmt.Fprintf(a.out, "Drover %s serves %s as %s. Monitor: %s%s\n", Version, strings.Join(roleNames(cfg.Roles), ", "), n.Name(), e.Monitor, apiText(e))
	return a.untilStopped(ctx, stop, n, stopMax)
}

func roleNames(roles []node.Role) []string {
	var names []string
	for _, r := range roles {
		names = append(names, string(r))
	}
	return names
}

// startFailed explains why a node could not be started. One that was stopped before it was ready has not failed.
func startFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	if refused := refuseInUse(err); refused != nil {
		return refused
	}
	if portTaken(err) {
		return fmt.Errorf("%w: stop what listens there, or choose another port; --help lists them, and 0 is any free one", err)
	}
	return err
}

// untilStopped waits for the end of a node: it is told to stop, or something in it fails. Its stop may take most; 0 is as
// long as it takes.
func (a *app) untilStopped(ctx context.Context, stop func(), n *node.Node, most time.Duration) (err error) {
	select {
	case <-ctx.Done():
		stop() // a second ^C ends the process at once
		fmt.Fprintln(a.err, "drover: stopping")
	case err = <-n.Failed():
	}
	closed := make(chan error, 1)
	go func() { closed <- n.Close() }()
	var late <-chan time.Time
	if most > 0 {
		late = time.After(most)
	}
	select {
	case closing := <-closed:
		if err == nil {
			err = closing
		}
		return err
	case <-late:
		return errors.Join(err, fmt.Errorf("it could not be stopped in order within %v: what it acknowledged is in the logs, and others take over what it owned", most))
	}
}
