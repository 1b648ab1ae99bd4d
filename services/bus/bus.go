// Package bus is request and reply on NATS subjects: which subject means which operation, and how a request, a reply
// and a refusal are put into messages.
//
// It promises that a subject is built and parsed here and nowhere else; that a payload is protobuf, or JSON where the
// header Content-Type says application/json; that a refusal arrives as *v1.Refusal with its code, whichever side made
// it. It knows core NATS only, decides nothing, and leaves devices' topics to fronts/device. (design §5)
//
//	drover.cmd.<service>.<name>              a command, answered when its commit is durable
//	drover.cmd.execution.<name>.<thing>      the same; the broker's configuration maps it to the thing's home
//	drover.query.<model>.<name>              a query to a read model
//	drover.home.<home>.cmd.<name>.<thing>    what an owner of a home subscribes for commands
//	drover.home.<home>.device.<thing>.<request>   and for devices: get, start-next, <job>.get, <job>.update
package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

const (
	headerCommandID   = "Drover-Command-Id"
	headerContentType = "Content-Type"
	contentJSON       = "application/json"

	// CommandMax is the largest command, in bytes. (design §4)
	CommandMax = 128 << 10
	// busVersion is that of the subjects and their messages, which micro wants as major.minor.patch.
	busVersion = "1.0.0"
	// inFlightMax is how many requests one Server works on at once; beyond, THROTTLED.
	inFlightMax = 1024
)

// Client calls operations. It is safe for concurrent use.
type Client struct {
	nc *nats.Conn
	// Timeout bounds a call whose context has no deadline. Default 10 s.
	Timeout time.Duration
}

// NewClient calls over nc, which stays the caller's to close.
func NewClient(nc *nats.Conn) *Client { return &Client{nc: nc, Timeout: 10 * time.Second} }

// Conn is the connection of the client.
func (c *Client) Conn() *nats.Conn { return c.nc }

// Option changes one call.
type Option func(*nats.Msg)

// WithCommandID makes a repeat of an accepted command return its outcome, for 24 h. 1 to 64 printable characters.
func WithCommandID(id string) Option {
	return func(m *nats.Msg) { m.Header.Set(headerCommandID, id) }
}

// Call sends q and waits for its reply. Its errors are *v1.Refusal: those of the other side; UNAVAILABLE if nobody
// serves the operation or the connection is gone before it was sent; OUTCOME_UNKNOWN if no answer came in time.
func (o Op[Q, R]) Call(ctx context.Context, c *Client, q Q, opts ...Option) (R, error) {
	var none R
	data, err := proto.Marshal(q)
	if err != nil {
		return none, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "", "%s: %v", o, err)
	}
	if len(data) > CommandMax {
		return none, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "", "%s has %d bytes; at most %d are allowed", o, len(data), CommandMax)
	}
	msg := &nats.Msg{Subject: o.subject(q), Data: data, Header: nats.Header{}}
	for _, opt := range opts {
		opt(msg)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	resp, err := c.nc.RequestMsgWithContext(ctx, msg)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return none, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "nobody serves %s now", o)
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrInvalidConnection):
		return none, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "%s: %v", o, err)
	case err != nil && o.Query:
		return none, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "%s got no answer: %v", o, err)
	case err != nil:
		return none, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN, "", "%s got no answer: %v", o, err)
	}
	if resp.Header.Get(micro.ErrorCodeHeader) != "" {
		r := new(v1.Refusal)
		if err := proto.Unmarshal(resp.Data, r); err != nil || r.Code == 0 {
			r = v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INTERNAL, "", "%s", resp.Header.Get(micro.ErrorHeader))
		}
		return none, r
	}
	reply := none.ProtoReflect().New().Interface().(R)
	if err := proto.Unmarshal(resp.Data, reply); err != nil {
		return none, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INTERNAL, "", "%s: reply: %v", o, err)
	}
	return reply, nil
}

// Request is what came with a command beside its message.
type Request struct {
	Subject   string
	CommandID string // may be empty
	By        string // the principal
}

// Server answers operations as one NATS micro service.
type Server struct {
	// Owns says whether a request that arrives now is this process's to answer; else it is left without an answer. Nil:
	// always. It is set before anything is served.
	Owns func() bool

	nc    *nats.Conn
	svc   micro.Service
	slots chan struct{} // one is taken for each request under way
	other int           // subscriptions of nc that are not this server's
}

// NewServer starts a micro service; name is one of the services, or "projections". Every instance that serves an
// operation shares its answers unless the operation has one owner, which is then its only subscriber. Nobody else may
// subscribe on nc while the server is there, or Drain waits for him.
func NewServer(nc *nats.Conn, name, build string) (*Server, error) {
	other := nc.NumSubscriptions()
	svc, err := micro.AddService(nc, micro.Config{
		Name: "drover-" + name, Version: busVersion, Description: "Drover's " + name, Metadata: map[string]string{"build": build},
	})
	if err != nil {
		return nil, fmt.Errorf("serve %s: %w", name, err)
	}
	return &Server{nc: nc, svc: svc, slots: make(chan struct{}, inFlightMax), other: other}, nil
}

// Stop ends the service. Requests under way are answered, if the connection is left open until then.
func (s *Server) Stop() error { return s.svc.Stop() }

// Drain ends the service, and returns when the requests that the broker has delivered are answered, or when ctx ends, which
// has a deadline.
func (s *Server) Drain(ctx context.Context) error {
	if err := s.svc.Stop(); err != nil {
		return err
	}
	// The client takes a subscription off its list when the broker has, and all that was delivered is handed on.
	for s.nc.NumSubscriptions() > s.other || len(s.slots) > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("drain %s: %d requests are not answered: %w", s.svc.Info().Name, len(s.slots), ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
	return s.nc.FlushWithContext(ctx)
}

// Serve answers an operation on its own subject.
func Serve[Q, R proto.Message](s *Server, o Op[Q, R], h func(context.Context, Request, Q) (R, error)) error {
	subject := o.pattern()
	return serve(s, o, subject, h, !o.Query && !o.shared)
}

// ServeHome answers a per-thing operation of one home.
func ServeHome[Q, R proto.Message](s *Server, o Op[Q, R], home uint32, h func(context.Context, Request, Q) (R, error)) error {
	return serve(s, o, fmt.Sprintf("drover.home.%d.cmd.%s.*", home, o.Name), h, true)
}

func serve[Q, R proto.Message](s *Server, o Op[Q, R], subject string, h func(context.Context, Request, Q) (R, error), one bool) error {
	opts := []micro.EndpointOpt{micro.WithEndpointSubject(subject)}
	if one {
		opts = append(opts, micro.WithEndpointQueueGroupDisabled())
	}
	name := strings.NewReplacer(".", "-", "*", "any").Replace(subject)
	err := s.svc.AddEndpoint(name, micro.HandlerFunc(func(m micro.Request) {
		if s.Owns != nil && !s.Owns() {
			return
		}
		select {
		case s.slots <- struct{}{}:
		default:
			s.respond(m, nil, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_THROTTLED, "", "%s: %d requests are under way", o, inFlightMax))
			return
		}
		go func() {
			defer func() { <-s.slots }()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			q, err := decode[Q](m)
			var reply proto.Message
			if err == nil {
				err = o.agrees(m.Subject(), q)
			}
			if err == nil {
				r := Request{Subject: m.Subject(), CommandID: m.Headers().Get(headerCommandID), By: "client"}
				reply, err = recovered(func() (proto.Message, error) { return h(ctx, r, q) })
			}
			s.respond(m, reply, err)
		}()
	}), opts...)
	if err != nil {
		return fmt.Errorf("serve %s: %w", o, err)
	}
	// Who calls after this has returned finds it served.
	return s.nc.FlushTimeout(10 * time.Second)
}

// recovered turns a panic of a handler into an error, so that one request cannot end the process; the stack is logged.
func recovered(f func() (proto.Message, error)) (reply proto.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("a request's handler panicked", "panic", p, "stack", string(debug.Stack()))
			reply, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}

func decode[Q proto.Message](m micro.Request) (Q, error) {
	return parse[Q](m.Data(), m.Headers().Get(headerContentType) == contentJSON)
}

// parse reads a request strictly: what this version does not know is refused, at any depth, not passed over.
func parse[Q proto.Message](data []byte, json bool) (Q, error) {
	var none Q
	q := none.ProtoReflect().New().Interface().(Q)
	if len(data) > CommandMax {
		return none, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "", "the request has %d bytes; at most %d are allowed", len(data), CommandMax)
	}
	if json {
		if err := (protojson.UnmarshalOptions{RecursionLimit: 64}).Unmarshal(data, q); err != nil {
			return none, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "", "not the JSON of a %s: %v", q.ProtoReflect().Descriptor().Name(), err)
		}
		return q, nil
	}
	if err := (proto.UnmarshalOptions{RecursionLimit: 64}).Unmarshal(data, q); err != nil {
		return none, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "", "not the protobuf of a %s: %v", q.ProtoReflect().Descriptor().Name(), err)
	}
	if name := unknownIn(q.ProtoReflect()); name != "" {
		return none, v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "", "%s holds fields that this version does not know", name)
	}
	return q, nil
}

// unknownIn names the first message, from the outside in, that holds a field this version does not know.
func unknownIn(m protoreflect.Message) (name string) {
	if len(m.GetUnknown()) > 0 {
		return string(m.Descriptor().Name())
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil:
		case f.IsList():
			for i := 0; i < v.List().Len() && name == ""; i++ {
				name = unknownIn(v.List().Get(i).Message())
			}
		default:
			name = unknownIn(v.Message())
		}
		return name == ""
	})
	return name
}

// respond sends a reply, a refusal, or nothing. An error that is no refusal is shown as INTERNAL without its text. It publishes by
// itself: micro's own Respond and Error write to the request, which micro reads once the handler has returned, and this
// one returns before the answer is there. Of v1.ErrDropped nobody is told.
func (s *Server) respond(m micro.Request, reply proto.Message, err error) {
	if m.Reply() == "" || errors.Is(err, v1.ErrDropped) {
		return
	}
	marshal := proto.Marshal
	if m.Headers().Get(headerContentType) == contentJSON {
		marshal = protojson.MarshalOptions{}.Marshal
	}
	if err == nil {
		data, merr := marshal(reply)
		if merr == nil {
			if merr = s.nc.Publish(m.Reply(), data); merr == nil {
				return
			}
			// Too large for the broker: who asks hears of it, rather than wait. If the connection is gone, nobody does.
			merr = v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INTERNAL, "", "the reply has %d bytes and cannot be sent (%v); ask for less at once", len(data), merr)
		}
		err = merr
	}
	refusal := new(v1.Refusal)
	if !errors.As(err, &refusal) {
		refusal = v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INTERNAL, "", "internal error")
	}
	data, _ := marshal(refusal)
	code := strings.TrimPrefix(refusal.Code.String(), "REFUSAL_CODE_")
	_ = s.nc.PublishMsg(&nats.Msg{
		Subject: m.Reply(),
		Header:  nats.Header{micro.ErrorCodeHeader: {code}, micro.ErrorHeader: {refusal.Error()}},
		Data:    data,
	})
}
