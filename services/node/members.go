package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/jetstream"
)

// drawName is a name that no other process has, nor an earlier one on this host.
func drawName() string {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	host = strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return r
		}
		return '-'
	}, host)
	host = strings.Trim(host[:min(len(host), nameMax-suffix-1)], "-")
	if host == "" {
		host = "drover"
	}
	return host + "-" + strings.ToLower(rand.Text()[:suffix])
}

// nameMax bounds a process's name, of which a drawn one has a suffix of so many characters.
const (
	nameMax = 64
	suffix  = 6
)

func checkName(name string) error {
	if len(name) > nameMax || strings.Contains(name, ".") || eventstore.CheckRegister(name) != nil {
		return fmt.Errorf("the name %.80q: 1 to %d of a-z A-Z 0-9 _ - are needed", name, nameMax)
	}
	return nil
}

// openRegisters opens where processes tell each other who is alive and who owns what.
func (n *Node) openRegisters(ctx context.Context) error {
	nc, err := n.connect(ctx, n.hub.Connect, "leases")
	if err != nil {
		return err
	}
	err = n.persist(ctx, "the leases", func() error {
		n.registers, err = jetstream.CreateRegisters(ctx, nc, jetstream.Leases, n.replicas)
		return err
	})
	if err != nil {
		return err
	}
	n.members, err = eventstore.NewMembers(eventstore.MembersConfig{
		Registers: n.registers, Name: n.cfg.Name, Describe: n.describe, Logger: n.cfg.Logger,
	})
	return err
}

// join makes this process one of the members, until leave.
func (n *Node) join() {
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan struct{})
	n.run("the members", func() error {
		defer close(left)
		return n.members.Run(ctx)
	})
	n.leave = func() {
		cancel()
		<-left
	}
}

// describe is what this process says of itself to the others.
func (n *Node) describe() eventstore.Description {
	d := eventstore.Description{
		Roles: roleNames(n.cfg.Roles), Version: n.cfg.Version, StartedAt: n.started, Logs: map[string]eventstore.Hosted{}, WaitingFor: n.ready(),
	}
	for _, p := range n.partitions {
		s := p.status()
		if s.State == stateStarting || s.State == stateStopped {
			s.State = eventstore.StateOver // it could not own the log now
		}
		d.Logs[p.name.String()] = eventstore.Hosted{State: s.State, Folded: s.End, Behind: uint64(s.Behind)}
	}
	return d
}
