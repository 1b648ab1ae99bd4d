package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/droverhq/drover/services/node"
)

func initCommand(a *app) *cobra.Command {
	var hub hubFlags
	var b node.Birth
	var size string
	var wait time.Duration
	c := &cobra.Command{
		Use:   "init",
		Short: "Make a system on given brokers",
		Long: `Makes what a system keeps on its brokers: the record of its birth, the logs, and the streams of durable commands and of the
feed. Services wait for it. drover up does this for itself.

Repeated, it makes nothing anew; it goes on where it was cut off. The number of homes and of replicas is for life.

--log-bytes is what all logs together may take on the disk of each broker that holds them: three fifths for the homes, one
tenth for job, the rest in halves for targeting and rollout. A log that is full refuses new work and keeps what it holds;
leave a fifth of the disk free.`,
		Example: `  drover init --homes 8 --nats nats://hub-1:4222,nats://hub-2:4222 --creds service.json --tls-ca ca.pem
  drover init --homes 2 --replicas 1 --log-bytes 2GiB --creds service.json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if b.Homes == 0 {
				return usagef("--homes is missing: the number of execution partitions, as the brokers have it (drover broker hub --homes)")
			}
			if b.Replicas != 1 && b.Replicas != 3 {
				return usagef("--replicas %d: 1 or 3 is allowed", b.Replicas)
			}
			bytes, err := humanize.ParseBytes(size)
			if err != nil || bytes < logBytesMin || bytes > 1<<60 {
				return usagef("--log-bytes %q: a size of at least %s is needed, as in 20GiB", size, humanize.IBytes(logBytesMin))
			}
			b.LogBytes = int64(bytes)
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			return a.init(ctx, hub, b)
		},
	}
	f := c.Flags()
	hub.add(f)
	f.Uint32Var(&b.Homes, "homes", 0, "number of execution partitions, for life; the brokers must have the same")
	f.IntVar(&b.Replicas, "replicas", 3, "on how many brokers each log stands, for life: 1 or 3")
	f.StringVar(&size, "log-bytes", "20GiB", "what all logs together may take on a broker's disk")
	f.DurationVar(&wait, "wait", time.Minute, "how long to wait for brokers that are not there yet")
	return c
}

// logBytesMin leaves every log some room.
const logBytesMin = 64 << 20

func (a *app) init(ctx context.Context, hub hubFlags, b node.Birth) error {
	d, err := hub.dialer(slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		return err
	}
	said := ""
	b.Waiting = func(err error) {
		if err.Error() != said {
			said = err.Error()
			fmt.Fprintln(a.err, "drover: waiting:", err)
		}
	}
	r, err := node.Init(ctx, d, b)
	if err != nil && ctx.Err() != nil {
		return unavailable("the system was not made in time: %v", err)
	}
	if err != nil {
		return err
	}
	if a.json() {
		return a.printJSON(r)
	}
	_, err = fmt.Fprintf(a.out, "the system is there: %s, each log on %s\n", plural(r.Homes, "home"), plural(r.Replicas, "broker"))
	return err
}
