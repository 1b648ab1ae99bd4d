package scenario

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
	"github.com/droverhq/drover/services/fronts/device"
	"github.com/droverhq/drover/services/host"
	"github.com/droverhq/drover/services/sim/stage"
)

const (
	// homes of every system here: things are on more than one, and stories stay short.
	homes = 2
	// MidnightMs is when every system begins: 2024-10-04 00:00 UTC, a Friday, 1,728,000,000 s since the epoch.
	MidnightMs = int64(1_728_000_000_000)
	// roundsMax bounds how long a system may be busy at one moment.
	roundsMax = 100_000
)

// System is all services on one virtual clock. Between two calls it is settled: nothing is left to do at this moment.
type System struct {
	now   int64
	logs  []*stage.Log
	hosts []*hosted
	// Told is every message that devices got without asking, in order.
	Told []device.Told

	commits *eventstore.Causal // of all logs, for whoever reads along
	marks   []eventstore.Mark
}

// hosted is the host of one log.
type hosted struct {
	s      *System
	log    *stage.Log
	state  *kv.Memory
	m      *host.Machine // nil: it is stopped
	reader *stage.Reader
}

// NewSystem makes a system that is held to limits, and lets every host own its log.
func NewSystem(limits stage.Limits) (*System, error) {
	s := &System{now: MidnightMs, logs: stage.Logs(homes, limits)}
	var names []id.Log
	for _, l := range s.logs {
		names = append(names, l.Name)
		s.hosts = append(s.hosts, &hosted{s: s, log: l, state: kv.NewMemory()})
		s.marks = append(s.marks, eventstore.Mark{})
	}
	s.commits = eventstore.NewCausal(names)
	for _, h := range s.hosts {
		if err := h.start(); err != nil {
			return nil, err
		}
	}
	return s, s.settle()
}

// Now is the time in ms since the epoch.
func (s *System) Now() int64 { return s.now }

// Logs are all logs, for readers.
func (s *System) Logs() (logs []*eventstore.Log) {
	for _, l := range s.logs {
		logs = append(logs, l.Log)
	}
	return logs
}

// Do gives a command or a question to its owner and lets everything follow from it. An owner that is stopped does not
// answer: v1.ErrDropped.
func (s *System) Do(log id.Log, cmd proto.Message, by string) (reply proto.Message, err error) {
	h := s.host(log)
	if h.m == nil {
		return nil, v1.ErrDropped
	}
	answered := false
	h.m.Submit(host.Request{Command: cmd, By: by, Done: func(r proto.Message, e error) { reply, err, answered = r, e, true }})
	if err := s.settle(); err != nil {
		return nil, err
	}
	if !answered {
		return nil, fmt.Errorf("%s has not answered a %T", log, cmd)
	}
	return reply, err
}

// Device publishes a payload to a topic, and returns the answer's topic and payload; no topic if nobody answers.
func (s *System) Device(topic string, payload []byte, thing string) (string, []byte, error) {
	x := device.Read(topic, payload)
	var reply proto.Message
	var refused error
	if m := x.Message(); m != nil {
		reply, refused = s.Do(id.ExecutionLog(id.HomeOf(thing, homes)), m, "")
		if refused == v1.ErrDropped {
			return "", nil, nil
		}
		if reply == nil && refused == nil {
			return "", nil, fmt.Errorf("neither a reply nor a refusal to %s", topic)
		}
	}
	answer, data := x.Answer(reply, refused, s.now)
	return answer, data, nil
}

// HTTP sends a request of the device plane: "/things/lamp-1/jobs/$next?includeJobDocument=false". If the owner of the
// thing's home is stopped, it is answered as where nobody serves the operation.
func (s *System) HTTP(method, target string, body []byte) (device.HTTPAnswer, error) {
	path, query, _ := strings.Cut(target, "?")
	x := device.ReadHTTP(method, path, query, body)
	m := x.Message()
	if m == nil {
		return x.Answer(nil, nil), nil
	}
	reply, refused := s.Do(logOf("execution", m), m, "")
	if refused == v1.ErrDropped {
		refused = v1.Refuse(v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, "", "nobody serves the thing's home now")
	}
	if reply == nil && refused == nil {
		return device.HTTPAnswer{}, fmt.Errorf("neither a reply nor a refusal to %s %s", method, target)
	}
	return x.Answer(reply, refused), nil
}

// AdvanceTo moves the clock on, from one thing that is due to the next.
func (s *System) AdvanceTo(ms int64) error {
	for s.now < ms {
		s.now = min(ms, s.next())
		if err := s.settle(); err != nil {
			return err
		}
	}
	return nil
}

// next is when something is due next.
func (s *System) next() int64 {
	next := int64(core.Never)
	for _, h := range s.hosts {
		if h.m != nil {
			next = min(next, max(h.m.Next(), s.now+1))
		}
	}
	return next
}

// Stop takes the owner of a log away, between two commits; Start brings one back on what it had kept.
func (s *System) Stop(log id.Log) { s.host(log).m = nil }

// Start is the opposite of Stop.
func (s *System) Start(log id.Log) error {
	if err := s.host(log).start(); err != nil {
		return err
	}
	return s.settle()
}

// Commits are those that were written since it was asked last, effects after their causes.
func (s *System) Commits() (all []*eventstore.Commit, err error) {
	for i, l := range s.logs {
		_, last, err := l.Log.Bounds(context.Background())
		if err != nil {
			return nil, err
		}
		err = l.Log.ReadTo(context.Background(), s.marks[i], last, func(c *eventstore.Commit) error {
			s.marks[i] = c.Mark()
			s.commits.Add(c)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for c := s.commits.Next(); c != nil; c = s.commits.Next() {
		all = append(all, c)
	}
	return all, nil
}

func (s *System) host(log id.Log) *hosted {
	for _, h := range s.hosts {
		if h.log.Name == log {
			return h
		}
	}
	panic(fmt.Sprintf("no log %s", log))
}

// settle goes round until nobody has anything to do now.
func (s *System) settle() error {
	for range roundsMax {
		busy := false
		for _, h := range s.hosts {
			if h.m == nil {
				continue
			}
			did, err := h.turn()
			if err != nil {
				return fmt.Errorf("%s: %w", h.log.Name, err)
			}
			busy = busy || did
		}
		if !busy {
			return nil
		}
	}
	return fmt.Errorf("busy for ever at %s", clock(s.now))
}

// start boots a host and lets it claim its log.
func (h *hosted) start() (err error) {
	cfg := h.log.Config(h.state, "owner", h)
	cfg.Clock = func() int64 { return h.s.now }
	h.reader = nil
	if h.m, err = host.Boot(context.Background(), cfg); err == nil {
		h.m.Claim()
	}
	return err
}

// turn does what a host has to do now; it says whether it did anything.
func (h *hosted) turn() (did bool, err error) {
	ctx := context.Background()
	if h.m.Owns() && h.reader == nil {
		if h.reader, err = stage.NewReader(ctx, h.log, h.m); err != nil {
			return false, err
		}
		did = true
	}
	if h.m.CaughtUp() {
		return true, h.m.Retell(ctx)
	}
	if h.m.WantsEnds() {
		ends, err := h.reader.Ends(ctx)
		if err != nil {
			return false, err
		}
		h.m.Ends(ends)
	}
	if h.reader != nil {
		n, err := h.read(ctx)
		if err != nil {
			return false, err
		}
		did = did || n > 0
		if h.m.WantsEnds() {
			ends, err := h.reader.Ends(ctx)
			if err != nil {
				return false, err
			}
			h.m.Ends(ends)
			did = true
		}
	}
	if !did && h.m.Next() > h.s.now {
		return false, nil
	}
	sealed, err := h.m.Step(h.s.now)
	if err != nil || sealed == nil {
		return did || h.m.WantsEnds(), err
	}
	next, err := h.m.Appended(h.s.now, h.log.Log.Append(ctx, *sealed))
	if err == nil && next != host.Go {
		err = fmt.Errorf("commit %d was not appended", sealed.Number)
	}
	return true, err
}

// read takes in what is new upstream.
func (h *hosted) read(ctx context.Context) (int, error) {
	for k := range h.reader.Upstreams() {
		if err := h.reader.Read(ctx, k, core.EventsMax); err != nil {
			return 0, err
		}
	}
	return h.reader.Deliver(h.s.now, core.EventsMax)
}

// Notify implements host.Notifier.
func (h *hosted) Notify(_ uint64, n []*v1.Notification, done func()) {
	for _, one := range n {
		h.s.Told = append(h.s.Told, device.Tell(one)...)
	}
	done()
}
