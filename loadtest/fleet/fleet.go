// Package fleet is many devices in one process: loadtest/agent over MQTT and NATS, with a journal.
//
// It promises that what a device does stands in the journal before it does it, given to the operating system, so that
// a witness remains whoever is killed; that devices come back by themselves after the service was away, also at other
// ports; and that every message of the service is read by encoding/json and held against the specification, so that
// the service's own codec is checked by another. It leaves registering things and creating jobs to its caller.
package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/loadtest/agent"
)

// Mix says which devices use which protocol.
type Mix int

// Half is one device MQTT, the next NATS, and so on.
const (
	Half Mix = iota
	MQTT
	NATS
)

// Config describes a fleet. Zero values are the defaults named at each field.
type Config struct {
	// MQTTURL and NATSURL are where devices connect: tcp:// or mqtt://, and nats://; encrypted: mqtts://, and tls://.
	MQTTURL, NATSURL string
	// TLS says whom encrypted connections trust; nil is whom this machine trusts.
	TLS *tls.Config
	// Endpoints is asked before every connection instead, if it is set: the service may have moved.
	Endpoints func() (mqtt, nats string)

	// Devices is how many; they are called as Names(Prefix, Devices) says.
	Devices int
	Prefix  string
	Mix     Mix
	// NATSConnections is how many connections the NATS devices share. Default: 64, at most one a device.
	NATSConnections int

	// FailRate is the part of the devices, 0 to 1, that fail a job: exactly round(FailRate × Devices) of them, chosen
	// by Seed and the job's id.
	FailRate float64
	Seed     uint64
	// WorkTime is how long a job takes, Progress how many reports a device sends meanwhile.
	WorkTime time.Duration
	Progress int
	// Patience and Poll as in agent.Config. Default 2 s, never.
	Patience, Poll time.Duration

	// Journal is a file that facts are appended to, one JSON line each; what it holds already is recalled. Empty: none.
	Journal string

	// UntilJobs stops the fleet when every device has brought so many executions to an end. 0: never.
	UntilJobs int
	// IdleFor stops it when all devices have been connected and without work for so long. 0: never.
	IdleFor time.Duration

	// Report is told the figures four times a second, and at the end.
	Report func(Stats)
}

// Names are the devices' names: the prefix and a number of four digits or more, from 0.
func Names(prefix string, n int) []string {
	width := max(4, len(fmt.Sprint(n-1)))
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s%0*d", prefix, width, i)
	}
	return names
}

type fleet struct {
	config  Config
	devices []*device
	journal *journal
	stats   stats
	start   time.Time
	dialing chan struct{} // one element for each connection being made
	broken  chan error    // the first error of the journal
	idle    atomic.Int64  // devices
	done    atomic.Int64  // devices that have reached UntilJobs
}

// reportEvery is how often Config.Report is called, and how soon the fleet sees that it is to stop.
const reportEvery = 250 * time.Millisecond

// dialingMax is how many connections are made at once: a server that comes back is not stormed.
const dialingMax = 64

// Run runs a fleet until ctx ends or Config says so. Its errors: the configuration's, the journal's, and, with the
// first of them, that the service sent messages that are not as the specification says.
func Run(ctx context.Context, c Config) (Stats, error) {
	if c.Devices <= 0 {
		return Stats{}, fmt.Errorf("a fleet of %d devices: at least 1 is needed", c.Devices)
	}
	if c.FailRate < 0 || c.FailRate > 1 || math.IsNaN(c.FailRate) {
		return Stats{}, fmt.Errorf("fail rate %v: 0 to 1 is allowed", c.FailRate)
	}
	if c.Endpoints == nil {
		c.Endpoints = func() (string, string) { return c.MQTTURL, c.NATSURL }
	}
	f := &fleet{config: c, start: time.Now(), dialing: make(chan struct{}, dialingMax), broken: make(chan error, 1)}
	f.stats.init()
	if err := f.prepare(); err != nil {
		return Stats{}, err
	}
	defer f.journal.close()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var legs sync.WaitGroup
	var natsDevices []*device
	for i, d := range f.devices {
		if c.Mix == NATS || c.Mix == Half && i%2 == 1 {
			natsDevices = append(natsDevices, d)
			continue
		}
		legs.Go(func() { f.runMQTT(ctx, d) })
	}
	connections := c.NATSConnections
	if connections <= 0 {
		connections = 64
	}
	connections = min(connections, len(natsDevices))
	for i := range connections {
		from, to := i*len(natsDevices)/connections, (i+1)*len(natsDevices)/connections
		legs.Go(func() { f.runNATS(ctx, natsDevices[from:to]) })
	}

	err := f.watch(ctx)
	atEnd := f.figures()
	cancel()
	legs.Wait()
	for _, d := range f.devices {
		d.stop()
	}
	figures := f.figures()
	figures.Connected, figures.Idle, figures.Elapsed = atEnd.Connected, atEnd.Idle, atEnd.Elapsed
	if c.Report != nil {
		c.Report(figures)
	}
	if err == nil && figures.Malformed > 0 {
		err = fmt.Errorf("%d messages of the service are not as the specification says; the first: %s", figures.Malformed, figures.FirstMalformed)
	}
	return figures, err
}

// prepare makes the devices, with what the journal recalls.
func (f *fleet) prepare() error {
	c := f.config
	failing := int(math.Round(c.FailRate * float64(c.Devices)))
	byName := make(map[string]*device, c.Devices)
	for i, name := range Names(c.Prefix, c.Devices) {
		d := &device{fleet: f, thing: name}
		d.agent = agent.New(agent.Config{
			Thing: name, Boot: uint64(f.start.UnixNano()), Work: c.WorkTime, Progress: c.Progress, Patience: c.Patience, Poll: c.Poll,
			Outcome: func(job string) agent.Status {
				if agent.Chosen(i, c.Devices, failing, c.Seed, job) {
					return agent.Failed
				}
				return agent.Succeeded
			},
		})
		d.timer = time.AfterFunc(math.MaxInt64, d.tick)
		f.devices = append(f.devices, d)
		byName[name] = d
	}
	var err error
	f.journal, err = openJournal(c.Journal, func(fact agent.Fact) error {
		if d := byName[fact.Thing]; d != nil {
			d.agent.Recall(fact)
		}
		return nil
	})
	return err
}

// watch waits until the fleet is to stop.
func (f *fleet) watch(ctx context.Context) error {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	var idleSince time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-f.broken:
			return err
		case now := <-tick.C:
			if f.config.Report != nil {
				f.config.Report(f.figures())
			}
			switch {
			case f.config.UntilJobs > 0 && int(f.done.Load()) == len(f.devices):
				return nil
			case int(f.idle.Load()) < len(f.devices):
				idleSince = time.Time{}
			case idleSince.IsZero():
				idleSince = now
			case f.config.IdleFor > 0 && now.Sub(idleSince) >= f.config.IdleFor:
				return nil
			}
		}
	}
}

// now is the devices' clock: the wall clock of the start, going on by the monotonic one.
func (f *fleet) now() int64 { return f.start.UnixNano() + int64(time.Since(f.start)) }

// note journals facts and counts them. If it fails nothing may be done that they announce.
func (f *fleet) note(facts []agent.Fact) error {
	if err := f.journal.write(facts); err != nil {
		select {
		case f.broken <- err:
		default:
		}
		return err
	}
	f.stats.count(facts)
	return nil
}

func (f *fleet) figures() Stats {
	s := f.stats.figures()
	s.Devices, s.Idle, s.Elapsed = len(f.devices), int(f.idle.Load()), time.Since(f.start)
	return s
}

// dial makes one connection, with at most dialingMax others at the same time, and waits a little after a failure.
// It is false if ctx has ended or the connection was not made.
func (f *fleet) dial(ctx context.Context, connect func() error) bool {
	select {
	case f.dialing <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	err := connect()
	<-f.dialing
	if err != nil {
		f.stats.failed(err)
		f.pause(ctx)
	}
	return err == nil
}

// pause waits 100 to 600 ms, each caller a while of its own.
func (f *fleet) pause(ctx context.Context) {
	timer := time.NewTimer(100*time.Millisecond + rand.N(500*time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

var errNoURL = errors.New("no URL is known for it")
