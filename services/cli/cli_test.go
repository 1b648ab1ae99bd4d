package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

// system is a bus with operations that answer from literals: what a command sends, and what it makes of an answer.
type system struct {
	t   *testing.T
	url string
	nc  *nats.Conn
	bus *bus.Server

	mu   sync.Mutex
	seen []proto.Message
}

func newSystem(t *testing.T) *system {
	t.Helper()
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	if !ns.ReadyForConnections(time.Minute) {
		t.Fatal("the broker is not ready")
	}
	nc, err := nats.Connect(ns.ClientURL(), nats.Timeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	b, err := bus.NewServer(nc, "test", "0.0.0")
	if err != nil {
		t.Fatal(err)
	}
	return &system{t: t, url: ns.ClientURL(), nc: nc, bus: b}
}

// answer serves an operation with what f returns.
func answer[Q, R proto.Message](s *system, o bus.Op[Q, R], f func(Q) (R, error)) {
	s.t.Helper()
	handle := func(_ context.Context, _ bus.Request, q Q) (R, error) {
		s.mu.Lock()
		s.seen = append(s.seen, q)
		s.mu.Unlock()
		return f(q)
	}
	if err := errors.Join(bus.Serve(s.bus, o, handle), s.nc.Flush()); err != nil {
		s.t.Fatal(err)
	}
}

// reply serves an operation with one answer.
func reply[Q, R proto.Message](s *system, o bus.Op[Q, R], r R) {
	s.t.Helper()
	answer(s, o, func(Q) (R, error) { return r, nil })
}

// requests are those that arrived so far.
func (s *system) requests() []proto.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]proto.Message(nil), s.seen...)
}

// result is what a command left behind.
type result struct {
	status   int
	out, err string
}

// run runs a command against the system, with a stdin.
func (s *system) runWith(stdin string, args ...string) result {
	s.t.Helper()
	return runIn(s.t, stdin, append([]string{"--server", s.url}, args...)...)
}

func (s *system) run(args ...string) result {
	s.t.Helper()
	return s.runWith("", args...)
}

func runIn(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	status := Main(ctx, args, strings.NewReader(stdin), &out, &errs)
	return result{status, out.String(), errs.String()}
}

func (s *system) want(r result, status int, contains ...string) {
	s.t.Helper()
	wantResult(s.t, r, status, contains...)
}

func wantResult(t *testing.T, r result, status int, contains ...string) {
	t.Helper()
	if r.status != status {
		t.Errorf("exit status %d, want %d\nstdout: %s\nstderr: %s", r.status, status, r.out, r.err)
	}
	for _, c := range contains {
		if !strings.Contains(r.out+r.err, c) {
			t.Errorf("%q is not in the output\nstdout: %s\nstderr: %s", c, r.out, r.err)
		}
	}
}

// wantRequest compares the last request.
func (s *system) wantRequest(want proto.Message) {
	s.t.Helper()
	seen := s.requests()
	if len(seen) == 0 {
		s.t.Fatalf("no request arrived, want %v", want)
	}
	if got := seen[len(seen)-1]; !proto.Equal(got, want) {
		s.t.Errorf("request\n got %v\nwant %v", got, want)
	}
}

func refuse(code v1.RefusalCode, field, message string) error {
	return v1.Refuse(code, field, "%s", message)
}

func at(log id.Log, number uint64) *v1.Position { return log.Position(number, 0) }
