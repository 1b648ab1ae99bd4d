package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/jetstream"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/host"
)

// brokers are those that a node runs inside itself.
type brokers struct {
	hub  *broker.Hub
	leaf *broker.Leaf
}

// startBrokers takes the folder, and gets the node its hub: one of its own, or the given one once it answers. It leaves the
// number of homes and replicas known, and every log made.
func (n *Node) startBrokers(ctx context.Context) error {
	lock, err := broker.TakeLock(n.cfg.Data)
	if err != nil {
		return err
	}
	n.onClose(func() error { lock.Release(); return nil })
	if n.cfg.Hub != nil {
		return n.joinSystem(ctx)
	}
	system, err := openSystem(n.cfg.Data, n.cfg.Homes)
	if err != nil {
		return err
	}
	if err := n.startMonitor(); err != nil {
		return err
	}
	// What an earlier process left: while this one starts, nothing is ready.
	if err := os.Remove(EndpointsFile(n.cfg.Data)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	n.wait("the broker")
	if err := n.embedBrokers(system.Homes, lock); err != nil {
		return err
	}
	n.wait("the logs")
	return n.bear(ctx, system)
}

// embedBrokers starts a hub, and a device leaf of it.
func (n *Node) embedBrokers(homes uint32, lock *broker.Lock) error {
	hub, err := broker.StartHub(broker.HubConfig{
		Dir: n.cfg.Data, Lock: lock, Listen: n.cfg.Listen, NATSPort: n.cfg.NATSPort, LeafPort: n.cfg.LeafPort,
		Homes: homes, Insecure: n.cfg.Insecure, Check: jetstream.CheckFiles, Logger: n.cfg.Logger,
	})
	if err != nil {
		return err
	}
	n.brokers, n.hub = &brokers{hub: hub}, hub.Dialer()
	n.onClose(func() error { hub.Close(); return nil })
	leaf, err := broker.StartLeaf(broker.LeafConfig{
		Dir: n.cfg.Data, Listen: n.cfg.Listen, MQTTPort: n.cfg.MQTTPort, NATSPort: n.cfg.DevicePort,
		HubURLs: []string{hub.LeafURL()}, HubPassword: hub.LeafPassword(), Insecure: n.cfg.Insecure, Logger: n.cfg.Logger,
	})
	if err != nil {
		return err
	}
	n.brokers.leaf = leaf
	n.onClose(func() error { leaf.Close(); return nil })
	return nil
}

// bear makes what the system of an own hub consists of, once; a crash meanwhile leaves some of it made, and the next start
// goes on.
func (n *Node) bear(ctx context.Context, s system) error {
	room, err := freeForLogs(n.cfg.Data)
	if err != nil {
		return err
	}
	record, err := Init(ctx, n.hub, Birth{Homes: s.Homes, Replicas: 1, LogBytes: room, Exists: s.LogsCreated})
	if err != nil {
		return err
	}
	n.homes, n.replicas = record.Homes, record.Replicas
	if s.LogsCreated {
		return nil
	}
	s.LogsCreated = true
	return s.write(n.cfg.Data)
}

// joinSystem waits for a given hub, and for the system that lives there.
func (n *Node) joinSystem(ctx context.Context) error {
	n.hub = n.cfg.Hub
	if err := n.startMonitor(); err != nil {
		return err
	}
	nc, err := n.dial(ctx, n.hub.Connect, "record")
	if err != nil {
		return err
	}
	defer nc.Close()
	var record Record
	err = n.persist(ctx, "the system's record", func() error {
		record, err = ReadRecord(ctx, nc)
		return err
	})
	if err != nil {
		return err
	}
	if n.cfg.Homes != 0 && n.cfg.Homes != record.Homes {
		return fmt.Errorf("%d homes were asked for; this system was born with %d, for life", n.cfg.Homes, record.Homes)
	}
	n.homes, n.replicas = record.Homes, record.Replicas
	return nil
}

// connect connects as one of the hub's users. The connection is closed with the node, which is not ready without it.
func (n *Node) connect(ctx context.Context, as func(string, ...nats.Option) (*nats.Conn, error), name string) (*nats.Conn, error) {
	nc, err := n.dial(ctx, as, name)
	if err != nil {
		return nil, err
	}
	n.lines = append(n.lines, nc)
	n.onClose(func() error { nc.Close(); return nil })
	return nc, nil
}

// dial connects, and waits for as long as no broker can be reached. The connection is the caller's to close.
func (n *Node) dial(ctx context.Context, as func(string, ...nats.Option) (*nats.Conn, error), name string) (nc *nats.Conn, err error) {
	err = n.persist(ctx, "the hub", func() error {
		nc, err = as(n.cfg.Name + " " + name)
		return err
	})
	return nc, err
}

// noPeers is JetStream's "no suitable peers for placement".
const noPeers js.ErrorCode = 10005

// The delay between two tries grows from retryMin to retryMax; what is waited for is said again every sayEvery.
const (
	retryMin = 50 * time.Millisecond
	retryMax = 2 * time.Second
	sayEvery = 30 * time.Second
)

// persist repeats f while it fails because brokers or other parts of the system are not there yet. It says in readiness and
// in the log what it waits for.
func (n *Node) persist(ctx context.Context, what string, f func() error) error {
	n.wait(what)
	var said time.Time
	return persist(ctx, f, func(err error) {
		n.wait(fmt.Sprintf("%s: %v", what, err))
		if time.Since(said) > sayEvery {
			said = time.Now()
			n.cfg.Logger.Warn("waiting", "for", what, "error", err)
		}
	})
}

// persist repeats f while it fails with what ends by itself; say is told of each such error. When ctx ends it returns
// the last error.
func persist(ctx context.Context, f func() error, say func(error)) error {
	for delay := retryMin; ; delay = min(2*delay, retryMax) {
		err := f()
		if err == nil || ctx.Err() != nil || !passing(err) {
			return err
		}
		say(err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(delay):
		}
	}
}

// passing tells what ends by itself, or when somebody starts something else, from what wants an operator.
func passing(err error) bool {
	var damage *eventstore.DamageError
	var foreign *eventstore.ForeignError
	var version *eventstore.VersionError
	if errors.As(err, &damage) || errors.As(err, &foreign) || errors.As(err, &version) || errors.Is(err, jetstream.ErrNoStream) {
		return false
	}
	for _, wait := range []error{
		ErrNotBorn, host.ErrDeposed, host.ErrUnresolved, context.DeadlineExceeded, nats.ErrNoServers, nats.ErrNoResponders, nats.ErrTimeout,
		nats.ErrDisconnected, nats.ErrConnectionReconnecting, nats.ErrReconnectBufExceeded, nats.ErrStaleConnection,
		nats.ErrConnectionClosed, // also what a flush says that loses its connection under way; ours reconnect for ever
	} {
		if errors.Is(err, wait) {
			return true
		}
	}
	var api *js.APIError
	if errors.As(err, &api) {
		// No leader, no quorum, not caught up; or too few servers have been found for the replicas.
		return api.Code == 503 || api.Code == 408 || api.ErrorCode == noPeers
	}
	var network interface{ Timeout() bool } // *net.OpError: refused, unreachable, no such host
	return errors.As(err, &network)
}
