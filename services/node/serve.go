package node

import (
	"context"
	"fmt"
	"os"
	"time"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/device"
	"github.com/droverhq/drover/services/fronts/feed"
	"github.com/droverhq/drover/services/fronts/inbox"
	"github.com/droverhq/drover/services/fronts/topics"
)

const (
	// queriesDrainMax is how long a stop waits for queries under way. Those that wait for something new take longer.
	queriesDrainMax = 300 * time.Millisecond
	// inboxStopMax is how long a stop waits for durable commands in hand; what is cut off is carried out again.
	inboxStopMax = time.Second
)

// serve opens what any process of a role answers, be it the owner of a log or not.
func (n *Node) serve(ctx, running context.Context) error {
	if n.has(RoleExecution) {
		nc, err := n.connect(ctx, n.hub.ConnectFront, "unknown topics")
		if err != nil {
			return err
		}
		unknown, err := device.NewUnknown(nc, n.cfg.Logger)
		if err != nil {
			return err
		}
		n.doors = append(n.doors, unknown.Close)
	}
	if n.has(RoleProjections) {
		if err := n.serveQueries(ctx); err != nil {
			return err
		}
	}
	if n.has(RoleFeed) {
		if err := n.serveFeed(ctx, running); err != nil {
			return err
		}
	}
	if n.has(RoleInbox) {
		if err := n.serveInbox(ctx, running); err != nil {
			return err
		}
	}
	if n.has(RoleHTTP) {
		return n.serveHTTP(ctx)
	}
	return nil
}

// serveInbox carries out durable commands. It is the first to stop: what it has in hand is carried out by the others.
func (n *Node) serveInbox(ctx, running context.Context) error {
	commands, err := n.connect(ctx, n.hub.ConnectInbox, "inbox")
	if err != nil {
		return err
	}
	outcomes, err := n.connect(ctx, n.hub.Connect, "outcomes")
	if err != nil {
		return err
	}
	err = n.persist(ctx, "the streams of durable commands", func() error {
		n.inbox, err = inbox.New(ctx, inbox.Config{Inbox: commands, Service: outcomes, Logger: n.cfg.Logger})
		return err
	})
	if err != nil {
		return err
	}
	s, err := n.server(ctx, "inbox")
	if err != nil {
		return err
	}
	if err := n.inbox.Serve(s); err != nil {
		return err
	}
	n.run("the inbox", func() error { return n.inbox.Run(running) })
	n.doors = append(n.doors, func() error {
		err := within(inboxStopMax, n.inbox.Close)
		commands.Close() // where it has not ended by now, it does
		outcomes.Close()
		return err
	})
	return nil
}

// serveFeed publishes what is committed, also to webhooks.
func (n *Node) serveFeed(ctx, running context.Context) error {
	nc, err := n.connect(ctx, n.hub.Connect, "feed")
	if err != nil {
		return err
	}
	n.feeder, err = feed.New(feed.Config{
		Conn: nc, Logs: n.logs, Name: n.cfg.Name, Logger: n.cfg.Logger,
		Limits: feed.Limits{Replicas: n.replicas, MaxAge: n.cfg.FeedAge, MaxBytes: n.cfg.FeedBytes},
	})
	if err != nil {
		return err
	}
	s, err := n.server(ctx, "feed")
	if err != nil {
		return err
	}
	reads, err := n.connect(ctx, n.hub.Connect, "feed read")
	if err != nil {
		return err
	}
	if err := feed.Serve(s, reads); err != nil {
		return err
	}
	n.run("the feed", func() error { return n.feeder.Run(running) })
	if err := n.serveTopics(ctx, running); err != nil {
		return err
	}
	if n.cfg.Webhooks == "" {
		return nil
	}
	webhooks, err := feed.ReadWebhooks(n.cfg.Webhooks)
	if err != nil {
		return err
	}
	calls, err := n.connect(ctx, n.hub.Connect, "webhooks")
	if err != nil {
		return err
	}
	n.bridge, err = feed.NewBridge(feed.BridgeConfig{Conn: calls, Webhooks: webhooks, Logger: n.cfg.Logger})
	if err != nil {
		return err
	}
	n.run("the webhooks", func() error { return n.bridge.Run(running) })
	return nil
}

// serveTopics tells what happens on AWS's event topics, where somebody switched that on.
func (n *Node) serveTopics(ctx, running context.Context) error {
	nc, err := n.connect(ctx, n.hub.Connect, "event topics")
	if err != nil {
		return err
	}
	questions, err := n.connect(ctx, n.hub.ConnectFront, "event topics' questions")
	if err != nil {
		return err
	}
	t, err := topics.New(topics.Config{
		Conn: nc, Client: bus.NewClient(questions), Logger: n.cfg.Logger,
		Creation: n.creation,
		Names:    topics.Names{Region: n.cfg.Region, Account: n.cfg.Account},
	})
	if err != nil {
		return err
	}
	n.run("the event topics", func() error { return t.Run(running) })
	return nil
}

// creation reads the event that the number of a job, a thing or a group is the place of.
func (n *Node) creation(ctx context.Context, log id.Log, number uint64) (*v1.Event, error) {
	commit, entry := id.SplitNumber(number)
	for _, l := range n.logs {
		if l.Name() != log {
			continue
		}
		c, err := l.Read(ctx, commit)
		if err != nil {
			return nil, err
		}
		if entry < len(c.Entries) {
			return c.Entries[entry].GetEvent(), nil
		}
	}
	return nil, fmt.Errorf("nothing was created at %s", id.FormatPosition(log.Position(commit, entry)))
}

// within waits for f for so long, and lets it go on alone after that.
func within(most time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(most):
		return nil
	}
}

// server makes a server of operations that any process of a role answers.
func (n *Node) server(ctx context.Context, name string) (*bus.Server, error) {
	nc, err := n.connect(ctx, n.hub.ConnectFront, "serve "+name)
	if err != nil {
		return nil, err
	}
	s, err := bus.NewServer(nc, name, n.cfg.Version)
	if err != nil {
		return nil, err
	}
	n.doors = append(n.doors, func() error {
		if !nc.IsConnected() {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), queriesDrainMax)
		defer cancel()
		if err := s.Drain(ctx); err != nil {
			n.cfg.Logger.Debug("stopping while queries are under way", "error", err)
		}
		return nil
	})
	return s, nil
}

// announce says where a node with brokers of its own is to be found.
func (n *Node) announce() error {
	if n.brokers == nil {
		return nil
	}
	hub, leaf := n.brokers.hub, n.brokers.leaf
	n.endpoints = Endpoints{
		NATS: hub.ClientURL(), Leaf: hub.LeafURL(), MQTT: leaf.MQTTURL(), Devices: leaf.ClientURL(),
		HTTP: n.endpoints.HTTP, HTTPData: n.endpoints.HTTPData, Monitor: n.endpoints.Monitor, PID: os.Getpid(),
	}
	if err := n.endpoints.write(n.cfg.Data); err != nil {
		return err
	}
	n.entrances = append(n.entrances, func() error { return os.Remove(EndpointsFile(n.cfg.Data)) })
	return nil
}
