package node

import (
	"context"
	"slices"

	"github.com/droverhq/drover/eventstore"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// listPartitions answers ListPartitions, from the leases, the members' own reports and the logs' ends.
func (n *Node) listPartitions(ctx context.Context) (*v1.ListPartitionsReply, error) {
	owners, err := eventstore.Owners(ctx, n.registers)
	if err != nil {
		return nil, unreadable("the leases", err)
	}
	live := n.members.Live()
	for i := range live {
		if live[i].Name == n.cfg.Name {
			live[i].Description = n.describe() // what it has published is a moment old
		}
	}
	reply := &v1.ListPartitionsReply{}
	for _, l := range n.logs {
		p, err := describePartition(ctx, l, owners[l.Name()])
		if err != nil {
			return nil, unreadable("log "+l.Name().String(), err)
		}
		preferred := n.members.Preferred(l.Name())
		for _, m := range live {
			if h, ok := m.Logs[l.Name().String()]; ok {
				p.Members = append(p.Members, &v1.PartitionMember{Member: m.Name, State: h.State, Folded: h.Folded, Behind: h.Behind, Preferred: m.Name == preferred})
			}
		}
		reply.Partitions = append(reply.Partitions, p)
	}
	for _, m := range live {
		reply.Members = append(reply.Members, &v1.Member{
			Name: m.Name, Roles: m.Roles, Version: m.Version, StartedAtMs: m.StartedAt.UnixMilli(),
			SeenMsAgo: uint64(m.Seen.Milliseconds()), WaitingFor: slices.Clone(m.WaitingFor),
		})
	}
	return reply, nil
}

// describePartition is what the lease and the log itself say.
func describePartition(ctx context.Context, l *eventstore.Log, o eventstore.Owner) (*v1.Partition, error) {
	p := &v1.Partition{Service: l.Name().Service, Home: uint32(l.Name().Home)}
	if o.Member != "" && !o.Released {
		p.Owner, p.SinceMs, p.LeaseAgeMs = o.Member, o.Since.UnixMilli(), uint64(max(0, o.Age.Milliseconds()))
	}
	_, last, err := l.Bounds(ctx)
	if err != nil || last == 0 {
		return p, err
	}
	c, err := l.Read(ctx, last)
	if err != nil {
		return nil, err
	}
	p.End, p.Epoch = last, c.Epoch
	return p, nil
}

func unreadable(what string, err error) error {
	return v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "%s cannot be read now: %v", what, err)
}
