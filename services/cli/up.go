package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/services/node"
)

// The ports that up listens on unless told otherwise.
const (
	natsPort    = 4222
	devicePort  = 4223
	leafPort    = 7422
	mqttPort    = 1883
	httpPort    = 8080
	monitorPort = 8222
)

func upCommand(a *app) *cobra.Command {
	cfg := node.Config{Version: Version}
	var verbose bool
	front := httpFlags{HTTP: &cfg.HTTP}
	c := &cobra.Command{
		Use:   "up",
		Short: "Run the whole system in this process",
		Long: `Runs Drover in this process: the broker that holds the logs, a device leaf with MQTT, every service, the read models.
Everything it keeps is in one folder (--data). When it is ready it writes endpoints.json there and says where to go
next; the file is gone when it has stopped. ^C stops it; nothing that was acknowledged is lost, then or by kill -9.

Before it serves anything it reads every log to its end. If one does not hold what it held, it stops with exit status
1 and names the log and the commits.`,
		Example: `  drover up
  drover up --data /var/lib/drover --nats-port 0 --mqtt-port 1883
  drover up --limits aws --retention-days 90`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			level := slog.LevelWarn
			if verbose {
				level = slog.LevelDebug
			}
			cfg.Logger = slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
			cfg.Data = a.dataDir()
			if err := checkLimits(cfg); err != nil {
				return err
			}
			closeLog, err := front.read(cmd.Flags(), a.err)
			if err != nil {
				return err
			}
			defer closeLog()
			if cfg.MQTTPort == 0 && !cmd.Flags().Changed("device-port") {
				cfg.DevicePort = 0
			}
			return a.up(cmd.Context(), cfg)
		},
	}
	f := c.Flags()
	f.StringVar(&cfg.Listen, "listen", "127.0.0.1", "address of every listener; beyond this machine needs --insecure")
	f.IntVar(&cfg.NATSPort, "nats-port", natsPort, "port of the bus; 0 is any free one, as for the others")
	f.IntVar(&cfg.DevicePort, "device-port", devicePort, "port for devices that speak NATS; any free one with --mqtt-port 0")
	f.IntVar(&cfg.LeafPort, "leaf-port", leafPort, "port for leaf nodes")
	f.IntVar(&cfg.MQTTPort, "mqtt-port", mqttPort, "port for devices that speak MQTT 3.1.1")
	f.IntVar(&cfg.MonitorPort, "monitor-port", monitorPort, "port of health, readiness, metrics and profiles")
	f.Uint32Var(&cfg.Homes, "homes", 0, "number of execution partitions, fixed when the folder is born (default: one a core)")
	f.BoolVar(&cfg.Insecure, "insecure", false, "listen beyond this machine without TLS and authentication")
	f.StringVar(&cfg.Webhooks, "webhooks", "", "file of the receivers of events over HTTP (drover webhook --help)")
	f.StringVar(&cfg.Region, "region", "us-east-1", "region in ARNs: of events on AWS's event topics, and where a request to AWS's API is signed for none")
	f.StringVar(&cfg.Account, "account-id", "123456789012", "account in ARNs")
	f.DurationVar(&cfg.FeedAge, "feed-max-age", 0, "how long the feed keeps an event (default: as it is; 168h for a new one)")
	f.Int64Var(&cfg.FeedBytes, "feed-max-bytes", 0, "how many bytes the feed keeps (default: as it is; 2 GiB for a new one)")
	f.StringVar(&cfg.Limits, "limits", "default", "numbers by which requests are refused and jobs wait: default, or aws for AWS's")
	f.IntVar(&cfg.RetentionDays, "retention-days", 0, "for how long a job is kept after it has ended (default 730)")
	f.BoolVar(&cfg.AllowUnsafeSync, "allow-unsafe-sync", false, "run on a broker that does not flush what it acknowledges")
	f.BoolVarP(&verbose, "verbose", "v", false, "say more on stderr")
	front.add(f)
	return c
}

// checkLimits refuses what --limits and --retention-days may not be.
func checkLimits(cfg node.Config) error {
	if cfg.Limits != "default" && cfg.Limits != "aws" {
		return usagef("--limits %q: default or aws is allowed", cfg.Limits)
	}
	if cfg.RetentionDays < 0 {
		return usagef("--retention-days %d: 1 or more is needed, or 0 for 730", cfg.RetentionDays)
	}
	return nil
}

// threads lets twice as many goroutines run at once as there are cores. The kernel then shares the cores between
// them in slices much shorter than the 10 ms for which one goroutine keeps another waiting: while 1,000,000
// executions are being queued on two cores, half of a device's reports were answered within 9 ms instead of 40.
// GOMAXPROCS in the environment stands.
func threads() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))
	}
}

// up runs a node until ctx ends or something in it fails.
func (a *app) up(ctx context.Context, cfg node.Config) error {
	threads()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	n, err := node.Start(ctx, cfg)
	if err != nil {
		return startFailed(ctx, err)
	}
	e := n.Endpoints()
	fmt.Fprintf(a.out, `Drover %s is ready. Data: %s
  bus      %s
  http     %s (AWS's API)
  mqtt     %s
  devices  %s (NATS)
  monitor  %s
Next:
  drover thing create press-01
  drover job create hello --document '{"operation":"hello"}' --target thing/press-01
  drover job watch hello
`, Version, cfg.Data, e.NATS, e.HTTP, e.MQTT, e.Devices, e.Monitor)
	a.printProfile(n.Profile())
	return a.untilStopped(ctx, stop, n, 0)
}

// portTaken says whether a listener found its port taken. nats-server says so of its own in words only.
func portTaken(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || strings.Contains(err.Error(), syscall.EADDRINUSE.Error())
}
