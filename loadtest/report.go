package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

// reportConfig is the shape of a load.
type reportConfig struct {
	Things      int           `json:"things"`
	Jobs        int           `json:"jobs"`
	Progress    int           `json:"progress"`
	Connections int           `json:"connections"`
	Outstanding int           `json:"outstanding"`
	Order       string        `json:"order"`
	Seed        uint64        `json:"seed"`
	Reports     int           `json:"maxReports,omitempty"`
	Duration    time.Duration `json:"maxNanos,omitempty"`
	// Run makes the names of jobs differ from those of another run on the same system.
	Run string `json:"run"`
}

// reportFigures are what a load measured, from the sending of a report to its answer.
type reportFigures struct {
	PerSecond       float64      `json:"perSecond"`
	Reports         int          `json:"reports"`
	Rejected        int          `json:"rejected"`
	Throttled       int          `json:"throttled"` // told to come later, and repeated
	Repeated        int          `json:"repeated"`
	Notices         int64        `json:"notices"`
	Seconds         float64      `json:"seconds"`
	P50Ms           float64      `json:"p50Ms"`
	P99Ms           float64      `json:"p99Ms"`
	MaxMs           float64      `json:"maxMs"`
	GapMs           float64      `json:"longestGapMs"`
	LongestAppendMs float64      `json:"longestAppendMs"` // since the server started; -1: unknown
	StealPercent    float64      `json:"stealPercent"`
	CPUMicros       float64      `json:"serverCpuMicrosPerReport"`
	PrepareSeconds  float64      `json:"prepareSeconds"`
	Config          reportConfig `json:"config"`
	Version         string       `json:"version"`
	Broker          string       `json:"broker"`
	FirstRejected   string       `json:"firstRejected,omitempty"`
}

func (f reportFigures) table(w io.Writer) {
	c := f.Config
	fmt.Fprintf(w, "report   %9.0f reports/s    p50 %.1f ms, p99 %.1f ms, max %.1f ms from sending\n", f.PerSecond, f.P50Ms, f.P99Ms, f.MaxMs)
	fmt.Fprintf(w, "         %d in %.1f s, %d rejected, %d throttled, %d repeated, %d notices; longest gap %.1f ms, longest append %.1f ms\n         server's CPU %.1f µs a report, CPU steal %.1f %%\n",
		f.Reports, f.Seconds, f.Rejected, f.Throttled, f.Repeated, f.Notices, f.GapMs, f.LongestAppendMs, f.CPUMicros, f.StealPercent)
	fmt.Fprintf(w, "         %d things, %d jobs of start + %d progress + end, %s order, %d connections at the leaf, %d outstanding in all, seed %d\n",
		c.Things, c.Jobs, c.Progress, c.Order, c.Connections, c.Outstanding, c.Seed)
	fmt.Fprintf(w, "         version %s, nats-server %s; registering and queueing took %.1f s\n", f.Version, f.Broker, f.PrepareSeconds)
	if f.FirstRejected != "" {
		fmt.Fprintf(w, "         first rejected: %s\n", f.FirstRejected)
	}
}

func reportFlags(c *cobra.Command) *reportConfig {
	r := &reportConfig{}
	f := c.Flags()
	f.IntVar(&r.Things, "things", 60_000, "devices")
	f.IntVar(&r.Jobs, "jobs", 2, "jobs that each device runs")
	f.IntVar(&r.Progress, "progress", 1, "progress reports between start and end, with 60 bytes of details")
	f.IntVar(&r.Connections, "connections", 8, "NATS connections")
	f.IntVar(&r.Outstanding, "outstanding", 8000, "reports under way, all connections together; a device has at most one")
	f.StringVar(&r.Order, "order", "local", "local: a thing to its end, then the next; random: a random thing for every report")
	f.Uint64Var(&r.Seed, "seed", 1, "of the random order")
	f.IntVar(&r.Reports, "reports", 0, "stop after so many (0: when all jobs have ended)")
	f.DurationVar(&r.Duration, "duration", 0, "stop after so long (0: when all jobs have ended)")
	c.PreRunE = func(*cobra.Command, []string) error {
		switch {
		case r.Things < 1 || r.Jobs < 1 || r.Progress < 0 || r.Connections < 1:
			return errors.New("--things, --jobs and --connections are at least 1, --progress at least 0")
		case r.Outstanding < r.Connections:
			return errors.New("--outstanding is at least --connections")
		case r.Order != "local" && r.Order != "random":
			return fmt.Errorf("--order %q: local or random is allowed", r.Order)
		}
		return nil
	}
	return r
}

func reportCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "report",
		Short: "Devices that start, progress and end jobs as fast as they are answered",
		Args:  cobra.NoArgs,
	}
	data := dataFlag(c)
	config := reportFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		s, err := openSystem(*data)
		if err != nil {
			return err
		}
		config.Run = time.Now().UTC().Format("150405")
		f, err := report(c.Context(), s, *config)
		if err != nil {
			return err
		}
		if err := show(c, f); err != nil {
			return err
		}
		if f.Rejected > 0 {
			return fmt.Errorf("%d reports were rejected", f.Rejected)
		}
		return nil
	}
	return c
}

// report registers things, queues jobs for them, and drives the load.
func report(ctx context.Context, s *system, c reportConfig) (reportFigures, error) {
	f := reportFigures{Config: c}
	nc, err := nats.Connect(s.NATS, nats.Name("loadtest"))
	if err != nil {
		return f, err
	}
	defer nc.Close()
	f.Broker, f.Version = nc.ConnectedServerVersion(), build(nc)
	client := bus.NewClient(nc)

	start := time.Now()
	prefix := fmt.Sprintf("bench%d-", c.Things)
	l := &load{things: names(prefix, c.Things), progress: c.Progress, connections: c.Connections, outstanding: c.Outstanding,
		random: c.Order == "random", seed: c.Seed, reports: c.Reports, duration: c.Duration}
	if err := register(ctx, client, prefix+"all", l.things); err != nil {
		return f, fmt.Errorf("register %d things: %w", c.Things, err)
	}
	for i := range c.Jobs {
		job := fmt.Sprintf("bench-%s-%d", c.Run, i)
		l.jobs = append(l.jobs, job)
		if err := createJob(ctx, client, job, group(prefix+"all")); err != nil {
			return f, fmt.Errorf("create job %s: %w", job, err)
		}
		if err := queued(ctx, client, job, c.Things); err != nil {
			return f, err
		}
	}
	f.PrepareSeconds = time.Since(start).Seconds()

	cpu, serverCPU := readCPU(), cpuOf(s.PID)
	r, err := l.run(ctx, func() (*nats.Conn, error) { return nats.Connect(s.Devices, nats.Name("loadtest devices")) })
	if err != nil {
		return f, err
	}
	f.Reports, f.Rejected, f.Throttled, f.Repeated, f.Notices, f.Seconds = r.Reports, r.Rejected, r.Throttled, r.Repeated, r.Notices, r.Seconds
	f.PerSecond = float64(r.Reports) / r.Seconds
	f.P50Ms, f.P99Ms, f.MaxMs = float64(r.latency.ValueAtQuantile(50))/1000, float64(r.latency.ValueAtQuantile(99))/1000, float64(r.latency.Max())/1000
	f.GapMs = milliseconds(r.Gap)
	f.StealPercent = stealSince(cpu)
	f.CPUMicros = float64((cpuOf(s.PID) - serverCPU).Microseconds()) / float64(max(r.Reports, 1))
	f.LongestAppendMs = s.longestAppend()
	f.FirstRejected = r.firstRejected
	if c.Reports > 0 || c.Duration > 0 {
		// What was left would stand at the head of these things' queues in the next run.
		for _, job := range l.jobs {
			if _, err := bus.CancelJob.Call(ctx, client, &v1.CancelJob{JobId: job, Force: true}); err != nil {
				return f, fmt.Errorf("cancel what was left of job %s: %w", job, err)
			}
		}
	}
	return f, nil
}
