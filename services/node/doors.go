package node

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/device"
	"github.com/droverhq/drover/services/host"
	"github.com/droverhq/drover/services/intake"
)

// doorConns are the connections of a partition's doors. They outlive its rounds: a standby that takes over has them.
type doorConns struct {
	serve  *nats.Conn
	intake *nats.Conn // of log.job
	// Of an execution log: requests and their answers, and what is told unasked.
	requests, notify *nats.Conn
}

// connected says whether all are.
func (c *doorConns) connected() bool {
	for _, nc := range []*nats.Conn{c.serve, c.intake, c.requests, c.notify} {
		if nc != nil && !nc.IsConnected() {
			return false
		}
	}
	return true
}

func (n *Node) openDoorConns(ctx context.Context, p *partition) (*doorConns, error) {
	c, name := &doorConns{}, p.name
	alert := &alertDialer{Dialer: net.Dialer{Timeout: nats.DefaultTimeout}, owns: func() bool { return p.leaseLeft() > 0 }}
	connect := func(name string, options ...nats.Option) (*nats.Conn, error) {
		return n.hub.ConnectFront(name, append(options, nats.SetCustomDialer(alert))...)
	}
	wanted := map[string]**nats.Conn{"serve": &c.serve}
	switch name.Service {
	case v1.Service_SERVICE_JOB:
		wanted["intake"] = &c.intake
	case v1.Service_SERVICE_EXECUTION:
		wanted["requests"], wanted["notifications"] = &c.requests, &c.notify
	}
	for what, nc := range wanted {
		var err error
		if *nc, err = n.connect(ctx, connect, what+" "+name.String()); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// doors are what answers for a log while this process owns it: its commands on the bus, and the devices of a home.
type doors struct {
	p      *partition
	host   atomic.Pointer[host.Host]
	front  *device.Front // of an execution log; else nil
	server *bus.Server   // nil until open
}

// newDoors makes doors that are shut. A home's front can tell devices already: a new owner tells what the one before did
// not, before it takes requests.
func (p *partition) newDoors() (*doors, error) {
	d := &doors{p: p}
	if p.name.Service != v1.Service_SERVICE_EXECUTION {
		return d, nil
	}
	front, err := device.New(device.Config{
		Requests: p.conns.requests, Notify: p.conns.notify, Home: uint32(p.name.Home), Logger: p.n.cfg.Logger,
		Submit: func(cmd proto.Message, done func(proto.Message, error)) {
			d.host.Load().Submit(host.Request{Command: cmd, Done: done}) // there is one before the doors open
		},
		MaySpeak: func() bool { h := d.host.Load(); return h != nil && h.MaySpeak() },
		Shut:     true,
	})
	d.front = front
	return d, err
}

// open lets requests in.
func (d *doors) open() (err error) {
	n, name := d.p.n, d.p.name
	if d.server, err = bus.NewServer(d.p.conns.serve, id.ServiceName(name.Service), n.cfg.Version); err != nil {
		return err
	}
	d.server.Owns = d.owns
	switch name.Service {
	case v1.Service_SERVICE_JOB:
		err = d.serveJob()
	case v1.Service_SERVICE_TARGETING:
		err = d.serveTargeting()
	case v1.Service_SERVICE_ROLLOUT:
		err = d.serveRollout()
	case v1.Service_SERVICE_EXECUTION:
		err = errors.Join(d.serveHome(uint32(name.Home)), d.front.Open())
	}
	return err
}

// owns says whether what arrives now is this process's to answer.
func (d *doors) owns() bool { return d.p.leaseLeft() > 0 }

// drain lets nobody in any more, and returns when all who are in are answered, or when ctx ends. Without a connection
// nobody comes, and nobody can be answered.
func (d *doors) drain(ctx context.Context) error {
	if !d.p.conns.serve.IsConnected() {
		return nil
	}
	err := d.server.Drain(ctx)
	if d.front != nil {
		err = errors.Join(err, d.front.Drain(ctx))
	}
	return err
}

// close shuts the doors, once the host has answered everybody.
func (d *doors) close() {
	var err error
	if d.server != nil {
		err = d.server.Stop()
	}
	if d.front != nil {
		err = errors.Join(err, d.front.Close())
	}
	if err != nil {
		d.p.n.cfg.Logger.Warn("closing what answers", "log", d.p.name.String(), "error", err)
	}
}

func (d *doors) serveJob() error {
	in := intake.New(bus.NewClient(d.p.conns.intake))
	return errors.Join(
		bus.Serve(d.server, bus.CreateJob, func(ctx context.Context, r bus.Request, c *v1.CreateJob) (*v1.CreateJobReply, error) {
			if err := in.CreateJob(ctx, c); err != nil {
				return nil, d.unlessGone(err)
			}
			return ask[*v1.CreateJob, *v1.CreateJobReply](d)(ctx, r, c)
		}),
		bus.Serve(d.server, bus.AssociateTargets, func(ctx context.Context, r bus.Request, c *v1.AssociateTargets) (*v1.AssociateTargetsReply, error) {
			if err := in.AssociateTargets(ctx, c); err != nil {
				return nil, d.unlessGone(err)
			}
			return ask[*v1.AssociateTargets, *v1.AssociateTargetsReply](d)(ctx, r, c)
		}),
		bus.Serve(d.server, bus.CancelJob, ask[*v1.CancelJob, *v1.CancelJobReply](d)),
		bus.Serve(d.server, bus.UpdateJob, ask[*v1.UpdateJob, *v1.UpdateJobReply](d)),
		bus.Serve(d.server, bus.DeleteJob, ask[*v1.DeleteJob, *v1.DeleteJobReply](d)),
		bus.Serve(d.server, bus.CreateTemplate, ask[*v1.CreateTemplate, *v1.CreateTemplateReply](d)),
		bus.Serve(d.server, bus.DeleteTemplate, ask[*v1.DeleteTemplate, *v1.DeleteTemplateReply](d)),
		bus.Serve(d.server, bus.TagJobs, ask[*v1.TagResource, *v1.TagResourceReply](d)),
		bus.Serve(d.server, bus.UntagJobs, ask[*v1.UntagResource, *v1.UntagResourceReply](d)),
		bus.Serve(d.server, bus.ConfigureEvents, ask[*v1.ConfigureEvents, *v1.ConfigureEventsReply](d)),
	)
}

func (d *doors) serveRollout() error {
	return bus.Serve(d.server, bus.GetHolding, ask[*v1.GetHolding, *v1.GetHoldingReply](d))
}

func (d *doors) serveTargeting() error {
	return errors.Join(
		bus.Serve(d.server, bus.CreateThings, ask[*v1.CreateThings, *v1.CreateThingsReply](d)),
		bus.Serve(d.server, bus.DeleteThing, ask[*v1.DeleteThing, *v1.DeleteThingReply](d)),
		bus.Serve(d.server, bus.CreateGroup, ask[*v1.CreateGroup, *v1.CreateGroupReply](d)),
		bus.Serve(d.server, bus.AddThings, ask[*v1.AddThings, *v1.AddThingsReply](d)),
		bus.Serve(d.server, bus.RemoveThings, ask[*v1.RemoveThings, *v1.RemoveThingsReply](d)),
		bus.Serve(d.server, bus.CheckTargets, ask[*v1.CheckTargets, *v1.CheckTargetsReply](d)),
		bus.Serve(d.server, bus.UpdateThing, ask[*v1.UpdateThing, *v1.UpdateThingReply](d)),
		bus.Serve(d.server, bus.UpdateGroup, ask[*v1.UpdateGroup, *v1.UpdateGroupReply](d)),
		bus.Serve(d.server, bus.DeleteGroup, ask[*v1.DeleteGroup, *v1.DeleteGroupReply](d)),
		bus.Serve(d.server, bus.ChangeGroupsOfThing, ask[*v1.ChangeGroupsOfThing, *v1.ChangeGroupsOfThingReply](d)),
		bus.Serve(d.server, bus.CreateThingType, ask[*v1.CreateThingType, *v1.CreateThingTypeReply](d)),
		bus.Serve(d.server, bus.DeprecateThingType, ask[*v1.DeprecateThingType, *v1.DeprecateThingTypeReply](d)),
		bus.Serve(d.server, bus.DeleteThingType, ask[*v1.DeleteThingType, *v1.DeleteThingTypeReply](d)),
		bus.Serve(d.server, bus.TagRegistry, ask[*v1.TagResource, *v1.TagResourceReply](d)),
		bus.Serve(d.server, bus.UntagRegistry, ask[*v1.UntagResource, *v1.UntagResourceReply](d)),
	)
}

func (d *doors) serveHome(home uint32) error {
	return errors.Join(
		bus.ServeHome(d.server, bus.CancelExecution, home, ask[*v1.CancelExecution, *v1.CancelExecutionReply](d)),
		bus.ServeHome(d.server, bus.DeleteExecution, home, ask[*v1.DeleteExecution, *v1.DeleteExecutionReply](d)),
		bus.ServeHome(d.server, bus.GetThingHolding, home, ask[*v1.GetThingHolding, *v1.GetThingHoldingReply](d)),
		bus.ServeHome(d.server, bus.DescribeExecution, home, ask[*v1.DescribeExecution, *v1.DescribeExecutionReply](d)),
		bus.ServeHome(d.server, bus.GetPending, home, ask[*v1.GetPending, *v1.GetPendingReply](d)),
		bus.ServeHome(d.server, bus.StartNext, home, ask[*v1.StartNext, *v1.StartNextReply](d)),
		bus.ServeHome(d.server, bus.UpdateExecution, home, ask[*v1.UpdateExecution, *v1.UpdateExecutionReply](d)),
	)
}

// unlessGone is what to answer before a host has seen the request: nothing, if by now it is another's to answer.
func (d *doors) unlessGone(err error) error {
	if !d.owns() {
		return v1.ErrDropped
	}
	return err
}

// isQuery tells the questions that an owner answers from its state from the commands that it decides.
func isQuery(m proto.Message) bool {
	switch m.(type) {
	case *v1.CheckTargets, *v1.GetPending, *v1.DescribeExecution, *v1.GetHolding, *v1.GetThingHolding:
		return true
	}
	return false
}

// ask makes a bus handler of a log's host.
func ask[Q, R proto.Message](d *doors) func(context.Context, bus.Request, Q) (R, error) {
	return func(ctx context.Context, r bus.Request, q Q) (R, error) {
		var none R
		reply, err := d.host.Load().Do(ctx, host.Request{Command: q, ID: r.CommandID, By: r.By})
		if err != nil {
			return none, err
		}
		return reply.(R), nil
	}
}
