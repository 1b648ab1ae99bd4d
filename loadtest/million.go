package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/droverhq/drover/services/bus"
)

// What a million things may cost: registering and queueing together, the server's peak memory, and the answer to one
// device meanwhile.
const (
	millionSecondsMax = 120
	millionBytesMax   = 3 << 29 // 1.5 GiB
	millionP99MsMax   = 250
)

type millionFigures struct {
	Things          int     `json:"things"`
	RegisterSeconds float64 `json:"registerSeconds"`
	QueueSeconds    float64 `json:"queueSeconds"`
	PeakBytes       uint64  `json:"peakBytes"`
	DeviceReports   int64   `json:"deviceReports"`
	DeviceP50Ms     float64 `json:"deviceP50Ms"`
	DeviceP99Ms     float64 `json:"deviceP99Ms"`
	DeviceMaxMs     float64 `json:"deviceMaxMs"`
	LongestAppendMs float64 `json:"longestAppendMs"`
	StealPercent    float64 `json:"stealPercent"`
	Version         string  `json:"version"`
}

func (f millionFigures) table(w io.Writer) {
	fmt.Fprintf(w, "%d things in one group: registered in %.1f s; one job, all queued and visible %.1f s after it was asked for\n", f.Things, f.RegisterSeconds, f.QueueSeconds)
	fmt.Fprintf(w, "server's peak memory %d MB\n", f.PeakBytes>>20)
	fmt.Fprintf(w, "one device meanwhile, a report each 20 ms: %d answered, p50 %.1f ms, p99 %.1f ms, max %.1f ms\n", f.DeviceReports, f.DeviceP50Ms, f.DeviceP99Ms, f.DeviceMaxMs)
	fmt.Fprintf(w, "longest append %.1f ms, CPU steal %.1f %%, version %s\n", f.LongestAppendMs, f.StealPercent, f.Version)
}

// exceeded names what is over its mark.
func (f millionFigures) exceeded() error {
	var over []string
	if s := f.RegisterSeconds + f.QueueSeconds; s > millionSecondsMax {
		over = append(over, fmt.Sprintf("%.0f s of %d", s, millionSecondsMax))
	}
	if f.PeakBytes > millionBytesMax {
		over = append(over, fmt.Sprintf("%d MB of %d", f.PeakBytes>>20, millionBytesMax>>20))
	}
	if f.DeviceP99Ms > millionP99MsMax {
		over = append(over, fmt.Sprintf("p99 %.0f ms of %d", f.DeviceP99Ms, millionP99MsMax))
	}
	if len(over) > 0 {
		return fmt.Errorf("over the mark: %s", strings.Join(over, ", "))
	}
	return nil
}

func millionCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "million",
		Short: "Start drover, register a million things and queue a job for them, while one device goes on reporting",
		Args:  cobra.NoArgs,
	}
	program := c.Flags().String("drover", "drover", "the program to measure")
	things := c.Flags().Int("things", 1_000_000, "things")
	keep := c.Flags().Bool("keep", false, "leave the temporary folder")
	c.RunE = func(c *cobra.Command, _ []string) error {
		s, err := startSystem(c.Context(), *program)
		if err != nil {
			return err
		}
		defer s.stop(*keep)
		f, err := million(c.Context(), s, *things)
		if err != nil {
			return err
		}
		if err := show(c, f); err != nil {
			return err
		}
		return f.exceeded()
	}
	return c
}

func million(ctx context.Context, s *system, n int) (millionFigures, error) {
	f := millionFigures{Things: n}
	nc, err := nats.Connect(s.NATS, nats.Name("loadtest"))
	if err != nil {
		return f, err
	}
	defer nc.Close()
	f.Version = build(nc)
	client := bus.NewClient(nc)
	cpu := readCPU()

	p, err := startProbe(ctx, s, client)
	if err != nil {
		return f, fmt.Errorf("the reporting device: %w", err)
	}
	defer p.stop()

	start := time.Now()
	if err := register(ctx, client, "million", names("m-", n)); err != nil {
		return f, fmt.Errorf("register: %w", err)
	}
	f.RegisterSeconds = time.Since(start).Seconds()
	start = time.Now()
	if err := createJob(ctx, client, "million", group("million")); err != nil {
		return f, fmt.Errorf("create job: %w", err)
	}
	if err := queued(ctx, client, "million", n); err != nil {
		return f, err
	}
	f.QueueSeconds = time.Since(start).Seconds()

	p.stop()
	if p.err != nil {
		return f, fmt.Errorf("the reporting device: %w", p.err)
	}
	f.DeviceReports = p.latency.TotalCount()
	f.DeviceP50Ms, f.DeviceP99Ms, f.DeviceMaxMs = float64(p.latency.ValueAtQuantile(50))/1000, float64(p.latency.ValueAtQuantile(99))/1000, float64(p.latency.Max())/1000
	f.LongestAppendMs, f.StealPercent = s.longestAppend(), stealSince(cpu)
	f.PeakBytes, err = peakMemory(s.PID)
	return f, err
}

// probe is one device at the hub that reports progress every 20 ms, one at a time. A stall is not hidden by its waiting
// for it: the reports that it would have sent meanwhile are counted too, with the time that they would have waited.
type probe struct {
	cancel  context.CancelFunc
	done    chan struct{}
	latency *hdrhistogram.Histogram // microseconds; read after stop
	err     error                   // read after stop
}

const probeEvery = 20 * time.Millisecond

func startProbe(ctx context.Context, s *system, client *bus.Client) (*probe, error) {
	const name, job = "probe", "probe"
	if err := register(ctx, client, "probes", []string{name}); err != nil {
		return nil, err
	}
	if err := createJob(ctx, client, job, thing(name)); err != nil {
		return nil, err
	}
	if err := queued(ctx, client, job, 1); err != nil {
		return nil, err
	}
	nc, err := s.device(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &probe{cancel: cancel, done: make(chan struct{}), latency: hdrhistogram.New(1, 10*60*1e6, 3)}
	go func() {
		defer close(p.done)
		defer nc.Close()
		p.err = p.run(ctx, nc, "$aws.things."+name+".jobs.", job)
	}()
	return p, nil
}

func (p *probe) stop() {
	p.cancel()
	<-p.done
}

func (p *probe) run(ctx context.Context, nc *nats.Conn, root, job string) error {
	ask := func(topic, payload string) error {
		m, err := nc.RequestWithContext(ctx, root+topic, []byte(payload))
		if err == nil && strings.Contains(string(m.Data), `"code":`) {
			err = fmt.Errorf("%s was rejected: %s", topic, m.Data)
		}
		return err
	}
	if err := ask("start-next", `{}`); err != nil {
		return err
	}
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for version := 2; ; version++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		sent := time.Now()
		if err := ask(job+".update", fmt.Sprintf(`{"status":"IN_PROGRESS","expectedVersion":%d,"statusDetails":{"phase":"download"}}`, version)); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		took := min(max(time.Since(sent).Microseconds(), 1), p.latency.HighestTrackableValue())
		_ = p.latency.RecordCorrectedValue(took, probeEvery.Microseconds())
	}
}
