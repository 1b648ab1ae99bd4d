// Package node is one process of Drover: which roles it runs, and how they are put together. All wiring by hand is
// here.
//
// It promises that it says "ready" only when every log that it hosts has an owner and is folded here, and the read models
// have caught up; with brokers of its own, that every log was read to its end and verified before; that a log that does
// not hold what it held stops it with an error that names the commits; and that Close loses nothing that was acknowledged.
// It decides nothing.
//
// The files: roles.go says which role needs which log; birth.go how a system comes to be; brokers.go how a node gets its
// hub, its own or a given one; homes.go that brokers and system agree; logs.go how logs are opened and verified; partition.go one log that this process owns or
// stands by for; doors.go what answers while it owns it; the rest is what it serves and shows.
package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/jetstream"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/kv/pebble"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/fronts/feed"
	"github.com/droverhq/drover/services/fronts/inbox"
)

// Config is how a node is started.
type Config struct {
	// Roles are what this process runs; empty is all.
	Roles []Role
	// Hub is where its brokers are. Nil: it runs a hub and a device leaf inside itself.
	Hub *broker.Dialer
	// Name tells this process from all others of the system, also from an earlier one in its place. Default: the host's
	// name and a random suffix. 1 to 64 of [a-zA-Z0-9_-].
	Name string
	// Data is the folder that holds everything it keeps; it is made if it is not there. With a given hub that is state,
	// read models and heads, all of which can be made anew from the logs.
	Data string
	// Listen is the address that every listener binds; default 127.0.0.1. Of embedded brokers, and of the HTTP front
	// without TLS, beyond loopback needs Insecure.
	Listen   string
	Insecure bool
	// Ports; 0 is any free one. With a given hub only MonitorPort counts.
	NATSPort, LeafPort, MQTTPort, DevicePort, MonitorPort int
	// HTTP is for the role http.
	HTTP HTTP
	// Homes is the number of execution partitions, fixed when the system is born; 0 is the number of cores. A given hub's
	// system says how many it has.
	Homes uint32
	// Webhooks is the file of the receivers of events over HTTP, for the role feed. Empty is none.
	Webhooks string
	// FeedAge and FeedBytes are the limits of the feed, for the role feed; 0 leaves them as they are.
	FeedAge   time.Duration
	FeedBytes int64
	// Region and Account stand in ARNs: of events on AWS's event topics, and in answers of AWS's API to who signs for no region
	// or for none of its own. Default us-east-1 and 123456789012.
	Region, Account string
	// Limits are the numbers by which commands are refused, for the roles job, targeting and rollout: "default" (also if empty), or
	// "aws" for AWS's. Every process with one of these roles is given the same.
	Limits string
	// RetentionDays is for how long a job is kept after it has ended, for the role job; 0 is AWS's number, 730.
	RetentionDays int
	// AllowUnsafeSync runs on brokers that do not flush every write. What they acknowledged can then be lost.
	AllowUnsafeSync bool
	Version         string
	Logger          *slog.Logger
}

// Node is a running process.
type Node struct {
	cfg       Config
	started   time.Time
	homes     uint32
	replicas  int
	endpoints Endpoints
	profile   Profile

	// What Close does. entrances are closed first: who came in by one asks those behind the doors. Then doors, all at once, so
	// that nothing new comes in; then partitions and read models stop; then closers go in the other order than they were
	// started.
	entrances, doors, closers []func() error

	cache   *pebble.Cache
	monitor *monitor
	hub     *broker.Dialer
	brokers *brokers // nil: they were given

	registers *jetstream.Registers // of leases and members
	members   *eventstore.Members
	leave     context.CancelFunc // takes this process off the list of members

	logs       []*eventstore.Log    // to read: all over one connection, in the order of id.Logs
	backends   []*jetstream.Backend // of the same
	partitions []*partition         // that this process hosts, in the same order
	runner     *projections.Runner  // nil without that role, like the next three
	feeder     *feed.Feeder
	bridge     *feed.Bridge
	inbox      *inbox.Inbox

	stop    context.CancelFunc // ends partitions and the runner
	running sync.WaitGroup
	failed  chan error // the first error that ended one of them

	lines []*nats.Conn // that are to be there for as long as the node serves

	mu      sync.Mutex // guards waiting
	waiting string     // what start waits for; empty when all has started
}

// Start starts a node and returns when it is ready. An error leaves nothing running.
func Start(ctx context.Context, cfg Config) (_ *Node, err error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, started: time.Now(), failed: make(chan error, 1), stop: func() {}, leave: func() {}}
	n.cache = pebble.NewCache(0)
	n.onClose(func() error { n.cache.Close(); return nil })
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	return n, n.start(ctx)
}

func (c *Config) complete() error {
	if len(c.Roles) == 0 {
		c.Roles = Roles()
	}
	for _, r := range c.Roles {
		if _, err := ParseRole(string(r)); err != nil {
			return err
		}
	}
	if _, err := c.limits(); err != nil {
		return err
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1"
	}
	if slices.Contains(c.Roles, RoleHTTP) {
		if err := c.checkHTTP(); err != nil {
			return err
		}
	}
	c.Region, c.Account = cmp.Or(c.Region, "us-east-1"), cmp.Or(c.Account, "123456789012")
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Name == "" {
		c.Name = drawName()
	}
	return checkName(c.Name)
}

func (n *Node) start(ctx context.Context) error {
	if err := os.MkdirAll(n.cfg.Data, 0o700); err != nil {
		return err
	}
	n.wait("the folder")
	if err := n.startBrokers(ctx); err != nil {
		return err
	}
	if err := n.openRegisters(ctx); err != nil {
		return err
	}
	if err := n.openLogs(ctx); err != nil {
		return err
	}
	if err := n.checkSync(ctx); err != nil {
		return err
	}
	if err := n.checkHomes(ctx); err != nil {
		return err
	}
	if err := n.verifyLogs(ctx); err != nil {
		return err
	}
	var running context.Context
	running, n.stop = context.WithCancel(context.Background())
	n.run("the streams of the logs", func() error { return n.watchStreams(running, streamsEvery) })
	n.join()
	if err := n.startModels(running); err != nil {
		return err
	}
	if err := n.startPartitions(ctx, running); err != nil {
		return err
	}
	if err := n.awaitModels(ctx); err != nil {
		return err
	}
	n.wait("the fronts")
	if err := n.serve(ctx, running); err != nil {
		return err
	}
	n.monitor.registry.MustRegister(metrics{n})
	n.wait("")
	return n.announce()
}

// has says whether this process runs a role.
func (n *Node) has(r Role) bool { return slices.Contains(n.cfg.Roles, r) }

// Endpoints are the node's addresses.
func (n *Node) Endpoints() Endpoints { return n.endpoints }

// Name is the name of the process, as leases and commits have it.
func (n *Node) Name() string { return n.cfg.Name }

// Failed yields the error that ended a partition or the read models, if one does. The node answers no more of what
// depends on it, and should be closed.
func (n *Node) Failed() <-chan error { return n.failed }

// Close stops the node. What it took in is answered; what it acknowledged is in the logs; its logs are free for others.
//
// It leaves the members, and lets nobody in, before it steps down: others then take its logs as soon as they are released.
func (n *Node) Close() error {
	var left sync.WaitGroup
	left.Go(n.leave)
	err := errors.Join(closeAll(n.entrances), closeAll(n.doors))
	n.entrances, n.doors = nil, nil
	left.Wait()
	n.stop()
	n.running.Wait()
	for _, f := range slices.Backward(n.closers) {
		err = errors.Join(err, f())
	}
	n.closers = nil
	return err
}

// closeAll closes all at once: each may wait a while for those who are in.
func closeAll(doors []func() error) error {
	var closed sync.WaitGroup
	errs := make([]error, len(doors))
	for i, f := range doors {
		closed.Go(func() { errs[i] = f() })
	}
	closed.Wait()
	return errors.Join(errs...)
}

func (n *Node) onClose(f func() error) { n.closers = append(n.closers, f) }

// run keeps a part of the node going. The first that ends with an error, or panics, ends the node.
func (n *Node) run(name string, f func() error) {
	n.running.Go(func() {
		if err := named(name, f); err != nil && !errors.Is(err, context.Canceled) {
			n.fail(err)
		}
	})
}

func (n *Node) fail(err error) {
	select {
	case n.failed <- err:
	default: // one is enough
	}
}

// named runs f; its error, and what it panics with, begin with the name.
func named(name string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: panic: %v\n%s", name, p, debug.Stack())
		}
	}()
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// wait says what the start waits for; nothing once all has started.
func (n *Node) wait(what string) {
	n.mu.Lock()
	before := n.waiting
	n.waiting = what
	n.mu.Unlock()
	if what != "" && what != before {
		n.cfg.Logger.Debug("waiting", "for", what)
	}
}

// ready is what the node waits for; nothing once it serves.
func (n *Node) ready() []string {
	n.mu.Lock()
	waiting := n.waiting
	n.mu.Unlock()
	if waiting != "" {
		return []string{waiting}
	}
	var all []string
	for _, nc := range n.lines {
		if !nc.IsConnected() {
			all = append(all, "the hub: the connection "+nc.Opts.Name+" is lost")
		}
	}
	for _, p := range n.partitions {
		if w := p.waitsFor(); w != "" {
			all = append(all, w)
		}
	}
	return all
}

func (n *Node) startMonitor() error {
	m, err := startMonitor(net.JoinHostPort(n.cfg.Listen, strconv.Itoa(n.cfg.MonitorPort)), n.ready)
	if err != nil {
		return err
	}
	n.monitor = m
	n.endpoints.Monitor = m.url()
	n.onClose(m.close)
	return nil
}
