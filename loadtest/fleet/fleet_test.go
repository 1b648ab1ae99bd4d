package fleet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/droverhq/drover/loadtest/agent"
)

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func summarize(t *testing.T, path string) Summary {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s, err := Summarize(file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// once fails the test unless every attempt was started exactly once and its accepted versions have no gap.
func once(t *testing.T, s Summary, attempts int) {
	t.Helper()
	if len(s.Attempts) != attempts {
		t.Errorf("the journal tells of %d attempts, want %d", len(s.Attempts), attempts)
	}
	for a, w := range s.Attempts {
		if w.Started != 1 {
			t.Errorf("%v was started %d times", a, w.Started)
		}
		version := uint64(1)
		for _, r := range w.Accepted {
			if r.Version != version+1 && !(r.Op == agent.StartNext && r.Version == version) {
				t.Errorf("%v: version %d was accepted after %d", a, r.Version, version)
			}
			version = r.Version
		}
	}
}

func TestHalfMQTTHalfNATSRunOneJobAndExactlyAsManyFailAsProgrammed(t *testing.T) {
	b, s := startBroker(t), newService()
	s.serve(t, b)
	s.queue("demo", Names("press-", 40))
	path := filepath.Join(t.TempDir(), "journal")
	stats, err := Run(testContext(t), Config{MQTTURL: b.mqttURL, NATSURL: b.ClientURL(), Devices: 40, Prefix: "press-",
		FailRate: 0.05, Seed: 7, Progress: 2, NATSConnections: 3, Journal: path, UntilJobs: 1})
	if err != nil {
		t.Fatal(err)
	}
	if stats.Succeeded != 38 || stats.Failed != 2 {
		t.Errorf("%d succeeded, %d failed; want 38 and 2\n%+v", stats.Succeeded, stats.Failed, stats)
	}
	if stats.Accepted != 40*4 || stats.Rejected != 0 {
		t.Errorf("%d reports accepted and %d rejected; want 160 and 0", stats.Accepted, stats.Rejected)
	}
	summary := summarize(t, path)
	once(t, summary, 40)
	if summary.Reports != 160 || summary.P50 <= 0 || summary.P99 < summary.P50 || summary.Last <= summary.First {
		t.Errorf("the journal says %+v", summary)
	}
}

// Devices speak TLS where the URLs say so, and to nobody whom they do not trust.
func TestDevicesSpeakTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // it has a certificate for 127.0.0.1
	defer web.Close()
	b, s := startBroker(t, func(o *server.Options) {
		o.TLSConfig, o.TLSTimeout = web.TLS, 10
		o.MQTT.TLSConfig, o.MQTT.TLSTimeout = web.TLS, 10
	}), newService()
	b.clientOptions = []nats.Option{nats.Secure(&tls.Config{InsecureSkipVerify: true})}
	s.serve(t, b)
	s.queue("a", Names("d-", 4))
	c := Config{MQTTURL: strings.Replace(b.mqttURL, "tcp://", "mqtts://", 1), NATSURL: strings.Replace(b.ClientURL(), "nats://", "tls://", 1),
		Devices: 4, Prefix: "d-", UntilJobs: 1}
	ctx, cancel := context.WithCancel(testContext(t))
	c.Report = func(now Stats) {
		if now.LastError != "" {
			cancel()
		}
	}
	if stats, err := Run(ctx, c); err != nil || stats.Started != 0 || !strings.Contains(stats.LastError, "certificate") {
		t.Errorf("with a certificate of a stranger: %+v, %v", stats, err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(web.Certificate())
	c.TLS, c.Report = &tls.Config{RootCAs: pool}, nil
	if stats, err := Run(testContext(t), c); err != nil || stats.Ended() != 4 {
		t.Errorf("%d of 4 ended: %v\n%+v", stats.Ended(), err, stats)
	}
}

func TestDevicesThatAreToldOfAJobRunIt(t *testing.T) {
	for name, mix := range map[string]Mix{"MQTT": MQTT, "NATS": NATS} {
		t.Run(name, func(t *testing.T) {
			b, s := startBroker(t), newService()
			s.serve(t, b)
			queued := false
			stats, err := Run(testContext(t), Config{MQTTURL: b.mqttURL, NATSURL: b.ClientURL(), Devices: 5, Prefix: "d-", Mix: mix,
				UntilJobs: 1, Report: func(now Stats) {
					if now.Idle == 5 && !queued {
						queued = true
						s.queue("late", Names("d-", 5))
					}
				}})
			if err != nil || stats.Ended() != 5 {
				t.Errorf("%d of 5 ended: %v\n%+v", stats.Ended(), err, stats)
			}
		})
	}
}

func TestLostAnswersAreAskedForAgain(t *testing.T) {
	b, s := startBroker(t), newService()
	var n atomic.Int64
	s.drop = func(string) bool { return n.Add(1)%3 == 0 }
	s.serve(t, b)
	s.queue("a", Names("d-", 20))
	path := filepath.Join(t.TempDir(), "journal")
	stats, err := Run(testContext(t), Config{MQTTURL: b.mqttURL, NATSURL: b.ClientURL(), Devices: 20, Prefix: "d-",
		Patience: 100 * time.Millisecond, Progress: 1, Journal: path, UntilJobs: 1})
	if err != nil {
		t.Fatal(err)
	}
	if stats.Repeated == 0 {
		t.Error("no report was repeated, so nothing was tested")
	}
	once(t, summarize(t, path), 20)
}

// The broker goes away in the middle of everybody's work, and comes back at other ports.
func TestDevicesFollowABrokerThatMoves(t *testing.T) {
	s := newService()
	var moving atomic.Bool
	s.drop = func(topic string) bool { return strings.HasSuffix(topic, ".update.accepted") && !moving.Load() } // nobody is done before
	var at atomic.Pointer[broker]
	first := startBroker(t)
	at.Store(first)
	s.serve(t, first)
	s.queue("a", Names("d-", 20))
	moved := make(chan struct{})
	path := filepath.Join(t.TempDir(), "journal")
	stats, err := Run(testContext(t), Config{
		Endpoints: func() (string, string) { return at.Load().mqttURL, at.Load().ClientURL() },
		Devices:   20, Prefix: "d-", WorkTime: time.Second, Patience: 200 * time.Millisecond, Journal: path, UntilJobs: 1,
		Report: func(now Stats) {
			if now.Started == 20 && moving.CompareAndSwap(false, true) {
				go func() {
					defer close(moved)
					first.Shutdown()
					second := startBroker(t)
					s.serve(t, second)
					at.Store(second)
				}()
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	if !moving.Load() {
		t.Fatal("the broker never moved, so nothing was tested")
	}
	<-moved
	if stats.Ended() != 20 || s.ended["SUCCEEDED"] != 20 {
		t.Errorf("%d ended, by the service's count %v; want 20", stats.Ended(), s.ended)
	}
	once(t, summarize(t, path), 20)
}

// The devices' process ends in the middle of the work. The next one reports what the journal says, and does not work
// again: what was only started is reported as FAILED.
func TestASecondLifeDoesNotRunWhatTheFirstBegan(t *testing.T) {
	b, s := startBroker(t), newService()
	s.serve(t, b)
	s.queue("a", Names("d-", 10))
	path := filepath.Join(t.TempDir(), "journal")
	c := Config{MQTTURL: b.mqttURL, NATSURL: b.ClientURL(), Devices: 10, Prefix: "d-", WorkTime: time.Hour, Journal: path}
	ctx, cancel := context.WithCancel(testContext(t))
	c.Report = func(now Stats) {
		if now.Started == 10 {
			cancel()
		}
	}
	if _, err := Run(ctx, c); err != nil {
		t.Fatal(err)
	}
	c.UntilJobs, c.Report = 1, nil
	stats, err := Run(testContext(t), c)
	if err != nil {
		t.Fatal(err)
	}
	if stats.Failed != 10 || stats.Started != 0 {
		t.Errorf("%d failed, %d were started again; want 10 and 0", stats.Failed, stats.Started)
	}
	once(t, summarize(t, path), 10)
}

func TestAFleetWithNothingToDoStops(t *testing.T) {
	b, s := startBroker(t), newService()
	s.serve(t, b)
	stats, err := Run(testContext(t), Config{MQTTURL: b.mqttURL, NATSURL: b.ClientURL(), Devices: 4, Prefix: "d-", IdleFor: time.Second})
	if err != nil || stats.Idle != 4 {
		t.Errorf("%d of 4 idle: %v", stats.Idle, err)
	}
}

func TestAMalformedMessageOfTheServiceIsAnError(t *testing.T) {
	b, s := startBroker(t), newService()
	s.serve(t, b)
	s.queue("a", Names("d-", 1))
	sent := false
	ctx, cancel := context.WithCancel(testContext(t))
	_, err := Run(ctx, Config{NATSURL: b.ClientURL(), Devices: 1, Prefix: "d-", Mix: NATS, Report: func(now Stats) {
		if now.Malformed > 0 {
			cancel()
		}
		if now.Idle == 1 && !sent {
			sent = true
			s.mu.Lock()
			defer s.mu.Unlock()
			_ = s.nc.Publish("$aws.things.d-0000.jobs.notify-next", []byte(`{"timestamp":1700000000000}`))
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "seconds") {
		t.Errorf("got %v, want an error that names the timestamp", err)
	}
}

func TestConfigThatCannotBe(t *testing.T) {
	for _, c := range []Config{{}, {Devices: 1, FailRate: 2}, {Devices: 1, FailRate: -1}, {Devices: 1, Journal: t.TempDir()}} {
		if _, err := Run(t.Context(), c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}
