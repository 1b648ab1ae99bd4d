package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/jetstream"
	"github.com/droverhq/drover/proto/id"
)

// roomAtStart is what every log can take, in bytes, after a start of a process that hosts it: a full one gets so much of
// what its bounds leave of the disk, so that it has an owner, who answers, and lets jobs be canceled.
const roomAtStart = 1 << 20

// openLogs opens every log that this process reads, over one connection, and makes a partition of each that it hosts.
func (n *Node) openLogs(ctx context.Context) error {
	readers, err := n.connect(ctx, n.hub.Connect, "readers")
	if err != nil {
		return err
	}
	for _, name := range needed(n.cfg.Roles, n.homes) {
		var b *jetstream.Backend
		err := n.persist(ctx, "log "+name.String(), func() error {
			b, err = jetstream.Open(ctx, readers, name, jetstream.Options{Replicas: n.replicas})
			return err
		})
		if err != nil {
			return err
		}
		n.logs = append(n.logs, eventstore.New(name, b))
		n.backends = append(n.backends, b)
	}
	for _, name := range hosted(n.cfg.Roles, n.homes) {
		p, err := n.openPartition(ctx, name)
		if err != nil {
			return err
		}
		n.partitions = append(n.partitions, p)
	}
	return nil
}

// checkSync refuses servers that may take back what they acknowledged: every one that holds a replica of a log.
func (n *Node) checkSync(ctx context.Context) error {
	if n.cfg.AllowUnsafeSync || len(n.logs) == 0 {
		return nil
	}
	sys, err := n.dial(ctx, n.hub.ConnectSystem, "sync check")
	if err != nil {
		return err
	}
	defer sys.Close()
	holders := map[string]bool{}
	for i, b := range n.backends {
		err := n.persist(ctx, "the servers of log "+n.logs[i].Name().String(), func() error {
			servers, err := b.Servers(ctx)
			for _, s := range servers {
				holders[s] = true
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	n.wait("the servers' sync_interval")
	return jetstream.CheckSync(ctx, slices.Sorted(maps.Keys(holders)), jetstream.Settings{System: sys})
}

const (
	// streamsEvery is between two looks whether the streams of the logs are as they were made. (design §3)
	streamsEvery = time.Minute
	// streamMax bounds each look at one stream.
	streamMax = 10 * time.Second
)

// watchStreams ends the node when the stream of a log that it reads has come to be one that could lose, change or refuse
// commits: started on it, it would refuse to run.
func (n *Node) watchStreams(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, b := range n.backends {
			if err := n.checkStream(ctx, b); err != nil {
				return err
			}
		}
	}
}

// checkStream looks at one stream, and again before it says anything against it: servers that elect may answer what has been. What
// cannot be read now is read the next time.
func (n *Node) checkStream(ctx context.Context, b *jetstream.Backend) (err error) {
	for range 2 {
		within, cancel := context.WithTimeout(ctx, streamMax)
		err = b.Check(within, jetstream.Options{Replicas: n.replicas})
		cancel()
		var damage *eventstore.DamageError
		if !errors.Is(err, jetstream.ErrDrift) && !errors.As(err, &damage) {
			return nil
		}
	}
	return err
}

// verifyLogs reads every log of brokers of its own to its end, and holds it against the head that was remembered, before
// this process appends or serves anything. Given brokers hold more than one process should read at each of its starts: there
// a standby reads each commit once, and its checkpoint says up to where.
func (n *Node) verifyLogs(ctx context.Context) error {
	if n.brokers == nil {
		return nil
	}
	for _, l := range n.logs {
		err := n.persist(ctx, "the verification of log "+l.Name().String(), func() error { return n.verifyLog(ctx, l) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) verifyLog(ctx context.Context, l *eventstore.Log) error {
	began := time.Now()
	report, err := l.VerifyChain(ctx, func(done, last uint64) {
		n.wait(fmt.Sprintf("the verification of log %s: %d of %d commits", l.Name(), done, last))
	})
	if err != nil {
		return err
	}
	if p := n.partition(l.Name()); p != nil {
		if head, ok := p.head.Head(); ok {
			if err := l.Holds(ctx, head.Mark); err != nil {
				return fmt.Errorf("the head that was remembered: %w", err)
			}
		}
	}
	n.cfg.Logger.Debug("log verified", "log", l.Name().String(), "commits", report.Commits, "bytes", report.Bytes, "took", time.Since(began))
	return nil
}

// openHead opens the file that remembers the end of a log.
func (n *Node) openHead(name id.Log) (*eventstore.HeadFile, error) {
	folder := filepath.Join(n.cfg.Data, "heads")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	file, err := eventstore.OpenHead(filepath.Join(folder, name.String()))
	if err != nil {
		return nil, err
	}
	n.onClose(file.Close)
	return file, nil
}

// upstream are the logs that the owner of a log reads.
func (n *Node) upstream(name id.Log) []*eventstore.Log {
	reads := readsOf(name.Service)
	return slices.DeleteFunc(slices.Clone(n.logs), func(l *eventstore.Log) bool { return !slices.Contains(reads, l.Name().Service) })
}
