package node

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

const patience = 60 * time.Second

// A request that is under way when the node stops is answered; who comes then is not let in.
func TestAStopAnswersRequestsUnderWay(t *testing.T) {
	n := &Node{cfg: Config{Listen: "127.0.0.1", Logger: slog.New(slog.DiscardHandler)}}
	l, err := n.listenHTTP(0)
	if err != nil {
		t.Fatal(err)
	}
	l.stopMax = patience
	in, goOn := make(chan struct{}), make(chan struct{})
	n.run("test", func() error {
		return l.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(in)
			<-goOn
			_, _ = io.WriteString(w, "answered")
		}))
	})
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get(l.url())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		answer <- string(text) + errText(err)
	}()
	<-in
	stopped := make(chan error, 1)
	go func() { stopped <- errors.Join(closeAll(n.entrances)) }()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			break // nobody is let in any more
		}
		_ = nc.Close()
		if time.Now().After(deadline) {
			t.Fatal("it lets people in while it stops")
		}
	}
	select {
	case err := <-stopped:
		t.Fatalf("it has stopped with a request under way: %v", err)
	default:
	}
	close(goOn)
	if got := <-answer; got != "answered" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	n.running.Wait()
}

// Who takes too long is cut off, so that a stop ends.
func TestAStopEndsWithoutThoseWhoTakeTooLong(t *testing.T) {
	n := &Node{cfg: Config{Listen: "127.0.0.1", Logger: slog.New(slog.DiscardHandler)}}
	l, err := n.listenHTTP(0)
	if err != nil {
		t.Fatal(err)
	}
	l.stopMax = time.Millisecond
	in := make(chan struct{})
	n.run("test", func() error {
		return l.serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(in)
			<-r.Context().Done()
		}))
	})
	failed := make(chan error, 1)
	go func() {
		resp, err := http.Get(l.url())
		if err == nil {
			_ = resp.Body.Close()
		}
		failed <- err
	}()
	<-in
	if err := closeAll(n.entrances); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("a request without an answer got one")
	}
	n.running.Wait()
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Within a second an operation has its rate; operations that share one have it together, and others are not throttled.
func TestRatesAreKeptByOperation(t *testing.T) {
	allow := throttle([]quota{
		{perSecond: 3, operations: []string{"A", "B"}},
		{perSecond: 3, together: true, operations: []string{"C", "D"}},
	})
	for _, c := range []struct {
		operations []string
		granted    int // of 50 rounds at once; one or two more where the machine is slow
	}{{[]string{"A"}, 3}, {[]string{"B"}, 3}, {[]string{"C", "D"}, 3}, {[]string{"E"}, 50}} {
		began, granted := time.Now(), 0
		for range 50 {
			for _, o := range c.operations {
				if allow(o) {
					granted++
				}
			}
		}
		late := int(time.Since(began).Seconds()*3) + 1
		if granted < c.granted || granted > c.granted+late {
			t.Errorf("%v: %d granted, want %d", c.operations, granted, c.granted)
		}
	}
}

func TestNoOperationHasTwoRates(t *testing.T) {
	seen := map[string]bool{}
	for _, q := range awsRates {
		for _, o := range q.operations {
			if seen[o] || q.perSecond < 1 {
				t.Errorf("%s: %d a second, and another", o, q.perSecond)
			}
			seen[o] = true
		}
	}
}

func TestClientsAreToldWhereToGoOn(t *testing.T) {
	for _, c := range []struct {
		a                addresses
		host, kind, want string
	}{
		{addresses{}, "api.example.org", "iot:Jobs", "api.example.org"},
		{addresses{}, "api.example.org:8080", "iot:Jobs", "api.example.org:8080"},
		{addresses{httpData: "http://127.0.0.1:9090"}, "api.example.org:8080", "iot:Jobs", "api.example.org:9090"},
		{addresses{}, "api.example.org:8080", "iot:Data-ATS", "api.example.org"},
		{addresses{mqtt: "mqtt://127.0.0.1:1883"}, "10.0.0.7:8080", "iot:Data-ATS", "10.0.0.7:1883"},
		{addresses{mqtt: "mqtt://127.0.0.1:1883"}, "[::1]:8080", "iot:Data", "[::1]:1883"},
		{addresses{}, "[::1]", "iot:Data-ATS", "::1"},
		{addresses{configured: HTTP{Endpoint: "jobs.example.org", MQTTEndpoint: "mqtt.example.org:8883"}, httpData: "http://127.0.0.1:9090"}, "x", "iot:Jobs", "jobs.example.org"},
		{addresses{configured: HTTP{Endpoint: "jobs.example.org", MQTTEndpoint: "mqtt.example.org:8883"}, mqtt: "mqtt://127.0.0.1:1883"}, "x", "iot:Data-ATS", "mqtt.example.org:8883"},
		{addresses{}, "x", "iot:CredentialProvider", ""},
	} {
		if got := c.a.endpoint(&http.Request{Host: c.host}, c.kind); got != c.want {
			t.Errorf("%s asked at %s: told %q, want %q", c.kind, c.host, got, c.want)
		}
	}
}

// Where nobody need sign, a page in a browser of this machine is not let in all the same.
func TestAWebPageIsNotLetInUnsigned(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/things/t", nil)
	if _, err := verify(nil, true)(r, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", "http://example.org")
	if _, err := verify(nil, true)(r, nil, time.Now()); err == nil {
		t.Fatal("it was let in")
	}
}
