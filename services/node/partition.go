package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/jetstream"
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/tally"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
	"github.com/droverhq/drover/services/execution"
	"github.com/droverhq/drover/services/host"
	"github.com/droverhq/drover/services/job"
	"github.com/droverhq/drover/services/rollout"
	"github.com/droverhq/drover/services/targeting"
)

const (
	// lookEvery is between two looks whether a home should be handed over; handOverWell is for how long the owner must have
	// been well by then (well). Brokers that have lost a node have elected within 9 s.
	lookEvery    = 500 * time.Millisecond
	handOverWell = 10 * time.Second
	// A partition whose host ended stands by again after againMin, doubling to againMax while it keeps ending within
	// steady of its start.
	againMin = 20 * time.Millisecond
	againMax = 2 * time.Second
	steady   = 10 * time.Second
	// readyLook is between two looks whether a partition is ready.
	readyLook = 2 * time.Millisecond
	// behindMax is how many commits a standby may have to fold and yet be ready to take over.
	behindMax = 1000
	// drainMax is how long a graceful step down waits for requests under way.
	drainMax = 2 * time.Second
)

// partition is one log that this process hosts: as its owner or as a standby, in turns.
type partition struct {
	n     *Node
	name  id.Log
	log   *eventstore.Log // over a connection of its own, so that the answer to an append waits behind no reader
	lease *eventstore.Lease
	state kv.Store
	head  *eventstore.HeadFile
	conns *doorConns

	mu    sync.Mutex // guards what follows, for moments
	host  *host.Host // of this round, or the last
	doors doorState
	terms uint64 // how often this process has come to own the log
}

type doorState int

const (
	doorsShut  doorState = iota
	doorsOpen            // it serves
	doorsDrain           // it is about to step down
)

// openPartition opens what a partition keeps across all its rounds.
func (n *Node) openPartition(ctx context.Context, name id.Log) (*partition, error) {
	p := &partition{n: n, name: name}
	appends, err := n.connect(ctx, n.hub.Connect, "appends "+name.String())
	if err != nil {
		return nil, err
	}
	var b *jetstream.Backend
	err = n.persist(ctx, "log "+name.String(), func() error {
		if b, err = jetstream.Open(ctx, appends, name, jetstream.Options{Replicas: n.replicas}); err != nil {
			return err
		}
		return b.MakeRoom(ctx, roomAtStart)
	})
	if err != nil {
		return nil, err
	}
	p.log = eventstore.New(name, b)
	if p.head, err = n.openHead(name); err != nil {
		return nil, err
	}
	if p.state, err = n.store(filepath.Join("state", name.String()), host.StateVersion(p.newCore())); err != nil {
		return nil, err
	}
	p.lease, err = eventstore.NewLease(eventstore.LeaseConfig{
		Registers: n.registers, Log: name, Member: n.cfg.Name, Members: n.members, Alone: n.brokers != nil, Logger: n.cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	if p.conns, err = n.openDoorConns(ctx, p); err != nil {
		return nil, err
	}
	return p, nil
}

// startPartitions starts all, and waits until each log has an owner and is folded here.
func (n *Node) startPartitions(ctx, running context.Context) error {
	for _, p := range n.partitions {
		n.run("log "+p.name.String(), func() error { return p.run(running) })
	}
	for _, p := range n.partitions {
		for w := p.waitsFor(); w != ""; w = p.waitsFor() {
			n.wait(w)
			select {
			case <-time.After(readyLook):
			case err := <-n.failed:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// partition is that of a log; nil if this process does not host it.
func (n *Node) partition(name id.Log) *partition {
	i := slices.IndexFunc(n.partitions, func(p *partition) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return n.partitions[i]
}

// run stands by for the log, owns it, steps down, and stands by again, until ctx ends; then it has stepped down gracefully.
// It returns an error that wants an operator: of the log itself, or a fault of ours.
func (p *partition) run(ctx context.Context) error {
	delay := againMin
	for {
		began := time.Now()
		err := p.round(ctx)
		if ctx.Err() != nil {
			return err
		}
		if err != nil && !passing(err) {
			return err
		}
		if time.Since(began) > steady {
			delay = againMin
		}
		p.n.cfg.Logger.Warn("stepped down; standing by again", "log", p.name.String(), "after", delay, "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(delay):
		}
		delay = min(2*delay, againMax)
	}
}

// round runs one host, from standby to the end of its term.
//
// The order of a start: fold, lease, Owned, catch up upstream, effects (all of them the host's), then the doors. Of a
// graceful end: the doors let nobody in and all who are in are answered, then the host writes its last commit and releases
// the lease. Where the host ends by itself it has answered everybody; what still comes in it refuses, or drops.
func (p *partition) round(ctx context.Context) error {
	d, err := p.newDoors()
	if err != nil {
		return err
	}
	defer d.close()
	h, err := host.New(p.hostConfig(d))
	if err != nil {
		return err
	}
	d.host.Store(h)
	p.set(h, doorsShut)
	defer p.set(h, doorsShut)
	// The host outlives ctx by what the doors need.
	hosting, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- named("the host", func() error { return h.Run(hosting) }) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		stop()
		return <-ended
	case <-h.Ready():
	}
	if err := d.open(); err != nil {
		stop()
		return errors.Join(err, <-ended)
	}
	p.set(h, doorsOpen)
	if over, err := p.untilOver(ctx, ended); over {
		return err
	}
	p.set(h, doorsDrain)
	p.drain(ctx, d)
	h.StepDown()
	if err := <-ended; !errors.Is(err, host.ErrSteppedDown) {
		return err
	}
	return nil
}

// untilOver waits for the end of a term: over is true if the host ended by itself, false if it is to step down.
func (p *partition) untilOver(ctx context.Context, ended <-chan error) (over bool, err error) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	ill := time.Now().Add(-handOverWell) // when the owner was not well
	for {
		select {
		case err := <-ended:
			return true, err
		case <-ctx.Done():
			return false, nil
		case <-look.C:
			if !p.well() {
				ill = time.Now()
			}
			if time.Since(ill) >= handOverWell && p.n.members.HandOver(p.name) {
				p.n.cfg.Logger.Info("handing the log over", "log", p.name.String(), "to", p.n.members.Preferred(p.name))
				return false, nil
			}
		}
	}
}

// well says whether a hand-over would be a matter of moments: the owner waits for nothing, may speak, and is connected. If
// not, its brokers are away or electing, and whoever is handed the log waits for them too, while nobody answers.
func (p *partition) well() bool {
	p.mu.Lock()
	h := p.host
	p.mu.Unlock()
	return h.Stats().WaitsFor == "" && h.MaySpeak() && p.conns.connected()
}

// drain lets those finish who are in.
func (p *partition) drain(ctx context.Context, d *doors) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainMax)
	defer cancel()
	if err := d.drain(ctx); err != nil {
		p.n.cfg.Logger.Warn("stepping down while requests are under way", "log", p.name.String(), "error", err)
	}
}

func (p *partition) hostConfig(d *doors) host.Config {
	cfg := host.Config{
		Log: p.log, Core: p.newCore(), State: p.state, Upstream: p.n.upstream(p.name), IsQuery: isQuery, Homes: p.n.homes,
		Owner: p.n.cfg.Name, Lease: p.lease, Head: p.head, Logger: p.n.cfg.Logger,
	}
	if d.front != nil {
		cfg.Notifier, cfg.Tally = d.front, tally.Of
	}
	return cfg
}

func (p *partition) newCore() core.Core {
	switch p.name.Service {
	case v1.Service_SERVICE_JOB:
		limits, err := p.n.cfg.limits()
		if err != nil {
			panic("node: a configuration that was complete is not: " + err.Error())
		}
		return job.New(limits)
	case v1.Service_SERVICE_TARGETING:
		return targeting.New(p.n.cfg.targetingLimits())
	case v1.Service_SERVICE_ROLLOUT:
		return rollout.New(p.n.homes, p.n.cfg.rolloutLimits())
	default:
		return execution.New(uint32(p.name.Home), p.n.homes)
	}
}

func (p *partition) set(h *host.Host, d doorState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.host, p.doors = h, d
	if d == doorsOpen {
		p.terms++
	}
}

// status is how a partition is at a moment.
type status struct {
	// Stats are the host's. State is stateServing only while the doors are open.
	host.Stats
	terms uint64 // how often this process has come to own the log
}

const (
	stateStarting = "starting"
	stateServing  = "serving"
	stateStopping = eventstore.StateStopping
	stateStandby  = eventstore.StateStandby
	stateStopped  = "stopped" // between two hosts
	stateOpening  = "opening"
)

func (p *partition) status() status {
	p.mu.Lock()
	h, doors, s := p.host, p.doors, status{terms: p.terms}
	p.mu.Unlock()
	if h == nil {
		s.State, s.WaitsFor = stateStarting, p.name.String()+": starting"
		s.Appends = make([]uint64, len(host.AppendBounds)+1)
		return s
	}
	s.Stats = h.Stats()
	switch {
	case s.State != stateServing:
	case doors == doorsShut:
		s.State, s.WaitsFor = stateOpening, p.name.String()+": opening"
	case doors == doorsDrain:
		s.State, s.WaitsFor = stateStopping, p.name.String()+": stepping down"
	}
	return s
}

// leaseLeft is what is left of the lease, 0 if it is not held.
func (p *partition) leaseLeft() time.Duration { return max(0, time.Until(p.lease.Until())) }

// waitsFor is what keeps this process from serving the log, or from standing by for its owner; empty if nothing does.
func (p *partition) waitsFor() string {
	s := p.status()
	switch {
	case s.State != stateStandby:
		return s.WaitsFor
	case s.Behind > behindMax:
		return fmt.Sprintf("%s: %d commits to fold", p.name, s.Behind)
	case !p.served():
		return p.name.String() + ": nobody owns it"
	case s.Behind == 0:
		return "" // it stands by
	}
	return ""
}

// served says whether some live member says that it serves the log.
func (p *partition) served() bool {
	return slices.ContainsFunc(p.n.members.Live(), func(m eventstore.Member) bool { return m.Logs[p.name.String()].State == stateServing })
}
