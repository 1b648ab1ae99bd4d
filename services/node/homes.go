package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/droverhq/drover/proto/id"
)

// checkHomes makes sure that the brokers spread things over as many homes as the system has: their number stands in the
// brokers' own configuration. Otherwise some things' requests would go to a home that does not have them, or to none.
//
// It sends what no owner takes, for a few things, and looks at which home each comes out. Of brokers of its own a node
// knows it.
func (n *Node) checkHomes(ctx context.Context) error {
	if !n.has(RoleExecution) || n.brokers != nil {
		return nil
	}
	hear, err := n.dial(ctx, n.hub.ConnectFront, "homes heard")
	if err != nil {
		return err
	}
	defer hear.Close()
	say, err := n.dial(ctx, n.hub.ConnectInbox, "homes said")
	if err != nil {
		return err
	}
	defer say.Close()
	return n.persist(ctx, "the brokers' homes", func() error { return n.probeHomes(ctx, hear, say) })
}

const (
	// probes is how many things are tried: that a wrong number of homes spreads all as the right one does is unlikely.
	probes = 16
	// probeMax is how long to wait for them: brokers tell each other of a new subscription in their own time.
	probeMax = 500 * time.Millisecond
)

// errUnheard: the brokers do not know yet that somebody listens.
var errUnheard = fmt.Errorf("what was sent has not come out yet: %w", context.DeadlineExceeded)

func (n *Node) probeHomes(ctx context.Context, hear, say *nats.Conn) error {
	heard, err := hear.SubscribeSync("drover.home.*.cmd.probe.*")
	if err != nil {
		return err
	}
	defer heard.Unsubscribe()
	ctx, cancel := context.WithTimeout(ctx, probeMax)
	defer cancel()
	if err := hear.FlushWithContext(ctx); err != nil {
		return err
	}
	waiting := map[string]bool{}
	for i := range probes {
		thing := fmt.Sprintf("%s-%d", n.cfg.Name, i)
		waiting[thing] = true
		if err := say.Publish("drover.cmd.execution.probe."+thing, nil); err != nil {
			return err
		}
	}
	for len(waiting) > 0 {
		m, err := heard.NextMsgWithContext(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			return errUnheard
		}
		if err != nil {
			return err
		}
		home, thing, ok := strings.Cut(strings.TrimPrefix(m.Subject, "drover.home."), ".cmd.probe.")
		if !ok || !waiting[thing] {
			continue // of another process
		}
		delete(waiting, thing)
		if want := id.HomeOf(thing, n.homes); home != fmt.Sprint(want) {
			return fmt.Errorf("the brokers send things to other homes than this system has: it was born with %d, for life; start every broker with --homes %d", n.homes, n.homes)
		}
	}
	return nil
}
