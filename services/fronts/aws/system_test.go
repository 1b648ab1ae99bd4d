package aws

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

// system is a Front and the bus behind it, on a broker of its own.
type system struct {
	front *Front
	nc    *nats.Conn

	mu   sync.Mutex
	seen []proto.Message
}

func newSystem(t testing.TB) *system {
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
	connect := func() *nats.Conn {
		nc, err := nats.Connect(ns.ClientURL(), nats.Timeout(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	client := bus.NewClient(connect())
	client.Timeout = time.Minute
	return &system{nc: connect(), front: New(Config{Client: client, Account: "123456789012", Region: "eu-central-1"})}
}

// service answers operations of the bus.
type service func(testing.TB, *system, *bus.Server)

// replies is a service with one answer; refuses one that grants nothing.
func replies[Q, R proto.Message](o bus.Op[Q, R], reply R) service {
	return answers(o, func(Q) (R, error) { return reply, nil })
}

func refuses[Q, R proto.Message](o bus.Op[Q, R], code v1.RefusalCode) service {
	return answers(o, func(Q) (none R, err error) { return none, v1.Refuse(code, "", "so it is") })
}

func answers[Q, R proto.Message](o bus.Op[Q, R], answer func(Q) (R, error)) service {
	return func(t testing.TB, s *system, b *bus.Server) {
		t.Helper()
		err := bus.Serve(b, o, func(_ context.Context, _ bus.Request, q Q) (R, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.seen = append(s.seen, q)
			return answer(q)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// run serves what an exchange needs while f runs, and returns what was asked meanwhile.
func (s *system) run(t *testing.T, serve service, f func()) []proto.Message {
	t.Helper()
	b, err := bus.NewServer(s.nc, "test", "0.0.0")
	if err != nil {
		t.Fatal(err)
	}
	if serve != nil {
		serve(t, s, b)
	}
	f()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := b.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen = nil
	return seen
}

// do sends "METHOD /path?query". The answer is told as "200 {…}", or as "404 ResourceNotFoundException {…}".
func (s *system) do(t *testing.T, request, body string) string {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r := httptest.NewRequest(method, "http://localhost/", strings.NewReader(body))
	var err error
	if r.URL, err = r.URL.Parse(path); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.front.ServeHTTP(w, r)
	told := strings.Fields(w.Result().Status)[0]
	if name := w.Header().Get(errorHeader); name != "" {
		told += " " + name
	}
	if w.Body.Len() > 0 {
		told += " " + w.Body.String()
	}
	return told
}

// exchange is a request, what it becomes on the bus, and how it is answered.
type exchange struct {
	request, body string
	serve         service
	asks          proto.Message // nil: nothing
	want          string        // all of the answer, or its beginning where that is an error
}

// meets runs exchanges, each with its own services.
func (s *system) meets(t *testing.T, list []exchange) {
	t.Helper()
	for _, e := range list {
		t.Run(e.request, func(t *testing.T) {
			var have string
			seen := s.run(t, e.serve, func() { have = s.do(t, e.request, e.body) })
			if have != e.want && (e.want[0] == '2' || !strings.HasPrefix(have, e.want)) {
				t.Errorf("%s\nhave %s\nwant %s", e.body, have, e.want)
			}
			switch {
			case e.asks == nil && len(seen) > 0:
				t.Errorf("%s\nit became %v, and should become nothing", e.body, seen)
			case e.asks != nil && (len(seen) != 1 || !proto.Equal(seen[0], e.asks)):
				t.Errorf("%s\nit became %v\nwant      %v", e.body, seen, e.asks)
			}
		})
	}
}
