package broker

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/droverhq/drover/eventstore/eventstoretest"
)

// tlsOf are the files of a folder of secrets, and what trusts them.
func tlsOf(t *testing.T, dir string) (TLS, *tls.Config) {
	t.Helper()
	ca := filepath.Join(dir, "ca.crt")
	trust, err := ReadCA(ca)
	if err != nil {
		t.Fatal(err)
	}
	return TLS{Cert: filepath.Join(dir, "broker.crt"), Key: filepath.Join(dir, "broker.key"), CA: ca}, trust
}

func TestWithTLSWhoHasNoPasswordOrTrustsAnotherIsNotLetIn(t *testing.T) {
	files, trust := tlsOf(t, createSecrets(t))
	_, stranger := tlsOf(t, createSecrets(t))
	// Beyond loopback, which is allowed with it.
	h := startTestHub(t, func(c *HubConfig) { c.TLS, c.Listen = files, "0.0.0.0" })
	connectAs(t, h.Dialer().Connect)
	connectAs(t, h.Dialer().ConnectFront)
	anonymous(t, h.ClientURL(), nats.Secure(trust), nats.UserInfo("client", h.auth.Client))

	client := nats.UserInfo("client", h.auth.Client)
	for what, options := range map[string][]nats.Option{
		"no name":          {nats.Secure(trust)},
		"no password":      {nats.Secure(trust), nats.UserInfo("client", "")},
		"a wrong password": {nats.Secure(trust), nats.UserInfo("client", "wrong")},
		"another CA":       {nats.Secure(stranger), client},
		"no CA":            {client},
	} {
		if nc, err := nats.Connect(h.ClientURL(), options...); err == nil {
			nc.Close()
			t.Errorf("%s: it was let in", what)
		}
	}
}

func TestALeafSpeaksTLSToItsHubAndItsDevices(t *testing.T) {
	files, trust := tlsOf(t, createSecrets(t))
	strangers, stranger := tlsOf(t, createSecrets(t))
	h := startTestHub(t, func(c *HubConfig) { c.TLS = files })
	config := LeafConfig{HubURLs: []string{h.LeafURL()}, HubPassword: h.LeafPassword(), TLS: files}
	for what, ca := range map[string]string{"plain text": "", "another CA": strangers.CA} {
		c := config
		c.Dir, c.HubCA = t.TempDir(), ca
		if l, err := startLeafWithin(c, time.Second); err == nil {
			l.Close()
			t.Errorf("%s: it is linked", what)
		}
	}
	config.Dir, config.HubCA = t.TempDir(), files.CA
	l, err := StartLeaf(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	// Over its listeners for devices a request comes to the hub.
	owner := startHome(t, h.Dialer())
	device := natsAsker(t, "a NATS device", l.ClientURL(), "$aws.things.n1.jobs.$inbox", requests, mapped, nats.Secure(trust))
	checkOnce(t, "TLS", device, owner, 0)
	checkOnce(t, "TLS", mqttAsker(t, strings.Replace(l.MQTTURL(), "mqtt", "ssl", 1), requests, mapped, trust), owner, 0)
	if nc, err := nats.Connect(l.ClientURL(), nats.Secure(stranger)); err == nil {
		nc.Close()
		t.Error("a device that trusts another CA was connected")
	}
	plain := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(l.MQTTURL()).SetConnectTimeout(patience))
	if token := plain.Connect(); !token.WaitTimeout(patience) || token.Error() == nil {
		t.Error("MQTT in plain text was let in")
	}
}

// The nodes of a hub know each other by a password, and with TLS by certificates of the same CA.
func TestNobodyIsANodeWithoutThePasswordOrACertificate(t *testing.T) {
	files, _ := tlsOf(t, createSecrets(t))
	strangers, _ := tlsOf(t, createSecrets(t))
	port := eventstoretest.FreePort(t)
	auth := Auth{}
	auth.draw()
	routes := []string{fmt.Sprintf("127.0.0.1:%d", port)}
	seen := &said{}
	first := startTestHub(t, func(c *HubConfig) {
		c.Name, c.Auth, c.TLS, c.Cluster, c.Logger = "hub-1", auth, files, &Cluster{Port: port, Routes: routes}, newLogger(seen)
	})
	wrong := auth
	wrong.Cluster = "wrong"
	for _, c := range []struct {
		what  string
		auth  Auth
		files TLS
		says  string // the first node
	}{
		{"a wrong password", wrong, files, "authentication error"},
		{"a stranger's certificate", auth, strangers, "TLS route handshake error"},
		{"no certificate", auth, TLS{}, "TLS route handshake error"},
	} {
		seen.forget()
		rogue, err := StartHub(HubConfig{Dir: t.TempDir(), Name: "rogue", Homes: 7, Auth: c.auth, TLS: c.files, Cluster: &Cluster{Routes: routes}})
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return seen.has(c.says) })
		// The rogue itself may think for a moment that it has one.
		if n := first.server.NumRoutes(); n > 0 {
			t.Errorf("%s: it is a node, with %d routes", c.what, n)
		}
		rogue.Close()
	}
	second := startTestHub(t, func(c *HubConfig) {
		c.Name, c.Auth, c.TLS, c.Cluster = "hub-2", auth, files, &Cluster{Routes: routes}
	})
	waitFor(t, func() bool { return first.server.NumRoutes() > 0 && second.server.NumRoutes() > 0 })
}

// said keeps what a broker logs.
type said struct{ record }

func (s *said) Enabled(context.Context, slog.Level) bool { return true }
func (s *said) Handle(_ context.Context, r slog.Record) error {
	s.add(r.Message)
	return nil
}
func (s *said) WithAttrs([]slog.Attr) slog.Handler { return s }
func (s *said) WithGroup(string) slog.Handler      { return s }
func (s *said) forget()                            { s.reset() }

func TestAFolderStaysWhatItWasBornAs(t *testing.T) {
	cluster := &Cluster{Routes: []string{"127.0.0.1:1"}}
	auth := Auth{}
	auth.draw()
	for _, c := range []struct {
		born, then HubConfig
		why        string
	}{
		{HubConfig{Name: "a", Cluster: cluster, Homes: 2}, HubConfig{Name: "b", Cluster: cluster, Homes: 2}, `node "a"`},
		{HubConfig{Name: "a", Cluster: cluster, Homes: 2}, HubConfig{Name: "a", Homes: 2}, "cannot become that of a hub of one node"},
		{HubConfig{Name: "a", Homes: 2}, HubConfig{Name: "a", Cluster: cluster, Homes: 2}, "cannot become that of a node of the cluster"},
		{HubConfig{Name: "a", Homes: 2}, HubConfig{Name: "a", Homes: 3}, "2 homes, for life"},
		{HubConfig{Name: "a", Cluster: cluster, Homes: 2}, HubConfig{Name: "a", Cluster: &Cluster{Name: "other", Routes: cluster.Routes}, Homes: 2}, `the cluster "drover"`},
	} {
		dir := t.TempDir()
		c.born.Dir, c.then.Dir, c.born.Auth, c.then.Auth = dir, dir, auth, auth
		h, err := StartHub(c.born)
		if err != nil {
			t.Fatal(err)
		}
		h.Close()
		if h, err = StartHub(c.then); err == nil {
			h.Close()
			t.Errorf("%+v became %+v", c.born, c.then)
		} else if !strings.Contains(err.Error(), c.why) {
			t.Errorf("%v, want %q", err, c.why)
		}
		c.born.Homes = 0 // what it was born with
		if h, err = StartHub(c.born); err != nil {
			t.Error(err)
		} else {
			h.Close()
		}
	}
	// A folder from before there were notes: of one node, if it holds anything.
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "hub", "jetstream"), 0o700); err != nil {
		t.Fatal(err)
	}
	if h, err := StartHub(HubConfig{Dir: dir, Name: "a", Cluster: cluster, Homes: 2, Auth: auth}); err == nil {
		h.Close()
		t.Error("a hub of one node became a node of a cluster")
	}
	if h, err := StartHub(HubConfig{Dir: t.TempDir()}); err == nil {
		h.Close()
		t.Error("a new folder has no homes, and nobody said how many")
	}
}

func TestANodeWithAnotherNumberOfHomesIsNotReady(t *testing.T) {
	h := startTestHub(t, nil)
	if w := h.Waiting(); len(w) > 0 {
		t.Errorf("before a system is born it waits for %v", w)
	}
	js, err := jetstream.New(connectAs(t, h.Dialer().Connect))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	bucket, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "drover-system"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		homes int
		waits bool
	}{{4, true}, {7, false}} {
		if _, err := bucket.Put(ctx, "system", fmt.Appendf(nil, `{"format":1,"homes":%d}`, c.homes)); err != nil {
			t.Fatal(err)
		}
		await(t, patience, fmt.Sprintf("born with %d, its mappings have 7", c.homes), func() string { // it reads the record within its time, or says nothing
			w := strings.Join(h.Waiting(), ", ")
			if c.waits == strings.Contains(w, "--homes 4") && c.waits == (w != "") {
				return ""
			}
			return "what it should say, not " + w
		})
	}
}

func newLogger(s *said) *slog.Logger { return slog.New(s) }
