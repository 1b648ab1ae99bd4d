package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/loadtest/fleet"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/node"
)

func simulateCommand(a *app) *cobra.Command {
	c := fleet.Config{Mix: fleet.Half}
	var group, mqttURL, natsURL, ca string
	var mqtt, nats, mixed, create bool
	var jobs int
	cmd := &cobra.Command{
		Use:   "simulate --devices N",
		Short: "Run simulated devices",
		Long: `Runs simulated devices in this process: each connects through the device leaf, half of them over MQTT and half over NATS
unless you choose, asks for its jobs and works them off. They are called PREFIX0000, PREFIX0001, …; --create registers
them first, --group puts them into a group as well. With --fail-rate 0.05 exactly 5 % of them fail, chosen by --seed.

Every device notes in --journal what it does before it does it; drover audit job holds the log against that. It runs until
it is stopped with Ctrl-C, or until every device has ended as many jobs as --until-jobs says.`,
		Example: `  drover simulate --devices 1000 --prefix press- --group press-line --fail-rate 0.05 --work-time 2s
  drover simulate --devices 1000 --prefix press- --journal devices.jsonl --until-jobs 1`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case mqtt && nats, mqtt && mixed, nats && mixed:
				return usagef("--mqtt, --nats, --mixed: one of them at most")
			case mqtt:
				c.Mix = fleet.MQTT
			case nats:
				c.Mix = fleet.NATS
			}
			if c.Devices < 1 || c.Devices > countMax {
				return usagef("--devices %d: 1 to %d is needed", c.Devices, countMax)
			}
			if c.FailRate < 0 || c.FailRate > 1 || math.IsNaN(c.FailRate) {
				return usagef("--fail-rate %v: 0 to 1 is allowed", c.FailRate)
			}
			if c.WorkTime < 0 || c.Poll < 0 || jobs < 0 {
				return usagef("--work-time %v --poll %v --until-jobs %d: none may be negative", c.WorkTime, c.Poll, jobs)
			}
			names := fleet.Names(c.Prefix, c.Devices)
			if _, err := thingArg(names[0]); err != nil {
				return err
			}
			if ca != "" {
				var err error
				if c.TLS, err = broker.ReadCA(ca); err != nil {
					return usagef("--device-ca: %v", err)
				}
			}
			c.UntilJobs = jobs
			if err := a.deviceEndpoints(&c, mqttURL, natsURL); err != nil {
				return err
			}
			if create || group != "" {
				if err := registerDevices(cmd.Context(), a, names, group); err != nil {
					return err
				}
			}
			return a.simulate(cmd.Context(), c)
		},
	}
	f := cmd.Flags()
	f.IntVar(&c.Devices, "devices", 0, "how many")
	f.StringVar(&c.Prefix, "prefix", "device-", "beginning of their names; a number follows: device-0000")
	f.BoolVar(&create, "create", false, "register them first")
	f.StringVar(&group, "group", "", "register them first, in this group")
	f.BoolVar(&mqtt, "mqtt", false, "all over MQTT, with QoS 1")
	f.BoolVar(&nats, "nats", false, "all over NATS")
	f.BoolVar(&mixed, "mixed", false, "half over MQTT, half over NATS (default)")
	f.Float64Var(&c.FailRate, "fail-rate", 0, "part of the devices that fail a job, 0 to 1")
	f.DurationVar(&c.WorkTime, "work-time", time.Second, "how long a job takes")
	f.DurationVar(&c.Poll, "poll", 0, "after which time a device without work asks unasked; 0 is never")
	f.IntVar(&c.Progress, "progress", 0, "reports while a job is worked on")
	f.Uint64Var(&c.Seed, "seed", 1, "chooses which devices fail")
	f.StringVar(&c.Journal, "journal", "", "file that the devices note in what they do; one that is there is gone on with")
	f.IntVar(&jobs, "until-jobs", 0, "stop when every device has ended so many jobs (default: never)")
	f.StringVar(&mqttURL, "mqtt-url", "", "where MQTT devices connect, mqtt:// or mqtts:// (default: from the data folder's endpoints.json)")
	f.StringVar(&natsURL, "nats-url", "", "where NATS devices connect, nats:// or tls:// (default: from the data folder's endpoints.json)")
	f.StringVar(&ca, "device-ca", "", "who signed the device leaf's certificate, if it is nobody whom this machine trusts")
	return cmd
}

// deviceEndpoints says where the devices connect: at the URLs that were given, else where the data folder says at that
// moment, since a system that is started again may have other ports.
func (a *app) deviceEndpoints(c *fleet.Config, mqttURL, natsURL string) error {
	c.MQTTURL, c.NATSURL = mqttURL, natsURL
	if mqttURL != "" && natsURL != "" || c.Mix == fleet.MQTT && mqttURL != "" || c.Mix == fleet.NATS && natsURL != "" {
		return nil
	}
	data := a.dataDir()
	if _, err := node.ReadEndpoints(data); err != nil {
		return unavailable("%v; or say where devices connect with --mqtt-url and --nats-url", err)
	}
	c.Endpoints = func() (string, string) {
		e, err := node.ReadEndpoints(data)
		if err != nil {
			return "", "" // it is being started again
		}
		return either(mqttURL, e.MQTT), either(natsURL, e.Devices)
	}
	return nil
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// registerDevices creates the things, and the group with them in it.
func registerDevices(ctx context.Context, a *app, names []string, group string) error {
	things := func() source[*v1.NewThing] {
		next := namesOf(names)
		return func() (*v1.NewThing, error) {
			name, err := next()
			return &v1.NewThing{Name: name}, err
		}
	}
	err := inChunks(ctx, a, "registered", things(), (*v1.NewThing).SizeVT, func(ctx context.Context, chunk []*v1.NewThing) error {
		_, err := tellChunk(ctx, a, bus.CreateThings, &v1.CreateThings{Things: chunk})
		return err
	})
	if err != nil || group == "" {
		return err
	}
	if group, err = groupArg("thingGroupName", group); err != nil {
		return err
	}
	if _, err := tellChunk(ctx, a, bus.CreateGroup, &v1.CreateGroup{Group: group}); err != nil {
		var r *v1.Refusal
		// A group with other settings will do: it is its members that count.
		if !errors.As(err, &r) || r.Code != v1.RefusalCode_REFUSAL_CODE_ALREADY_EXISTS {
			return err
		}
	}
	return inChunks(ctx, a, "joined", namesOf(names), func(s string) int { return len(s) + 2 }, func(ctx context.Context, chunk []string) error {
		_, err := tellChunk(ctx, a, bus.AddThings, &v1.AddThings{Group: group, Things: chunk})
		return err
	})
}

// simulate runs the fleet and shows how it is doing.
func (a *app) simulate(ctx context.Context, c fleet.Config) error {
	columns, live := terminal(a.err)
	var said time.Time
	c.Report = func(s fleet.Stats) {
		switch {
		case live:
			fmt.Fprintf(a.err, "\r\x1b[K%s", shorten(statsLine(s), max(columns-1, 20)))
		case time.Since(said) >= 2*time.Second:
			said = time.Now()
			fmt.Fprintln(a.err, statsLine(s))
		}
	}
	s, err := fleet.Run(ctx, c)
	if live {
		fmt.Fprintln(a.err)
	}
	return errors.Join(a.printStats(s), err)
}

func statsLine(s fleet.Stats) string {
	line := fmt.Sprintf("%d of %d connected  idle %d  succeeded %d  failed %d  p50 %v  p99 %v", s.Connected, s.Devices, s.Idle,
		s.Succeeded, s.Failed, s.P50.Round(100*time.Microsecond), s.P99.Round(100*time.Microsecond))
	if s.Connected < s.Devices && s.LastError != "" {
		line += "  (" + s.LastError + ")"
	}
	return line
}

type simulatedView struct {
	Devices   int     `json:"devices"`
	Seconds   float64 `json:"seconds"`
	Started   int     `json:"started"`
	Succeeded int     `json:"succeeded"`
	Failed    int     `json:"failed"`
	Accepted  int     `json:"reportsAccepted"`
	Rejected  int     `json:"reportsRejected"`
	Repeated  int     `json:"reportsRepeated"`
	P50Ms     float64 `json:"acceptedP50Ms"`
	P99Ms     float64 `json:"acceptedP99Ms"`
	MaxMs     float64 `json:"acceptedMaxMs"`
}

func (a *app) printStats(s fleet.Stats) error {
	if s.Devices == 0 {
		return nil // it did not begin
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	v := simulatedView{
		Devices: s.Devices, Seconds: s.Elapsed.Seconds(), Started: s.Started, Succeeded: s.Succeeded, Failed: s.Failed, Accepted: s.Accepted,
		Rejected: s.Rejected, Repeated: s.Repeated, P50Ms: ms(s.P50), P99Ms: ms(s.P99), MaxMs: ms(s.Max),
	}
	if a.json() {
		return a.printJSON(v)
	}
	return a.printFields(
		field{"Devices", fmt.Sprint(v.Devices)},
		field{"Ran for", s.Elapsed.Round(100 * time.Millisecond).String()},
		field{"Executions", fmt.Sprintf("started %d, succeeded %d, failed %d", v.Started, v.Succeeded, v.Failed)},
		field{"Reports", fmt.Sprintf("accepted %d, rejected %d, sent more than once %d", v.Accepted, v.Rejected, v.Repeated)},
		field{"Report to accepted", fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, longest %.1f ms", v.P50Ms, v.P99Ms, v.MaxMs)},
	)
}
