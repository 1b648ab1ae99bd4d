package cli

import (
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/broker"
	"github.com/droverhq/drover/services/bus"
)

// A hub with TLS answers whom it should: one who names his password and whom he trusts, by flag or by variable; everybody
// else is told what is missing.
func TestCommandsNameTheirPasswordAndWhomTheyTrust(t *testing.T) {
	secrets, others := filepath.Join(t.TempDir(), "secrets"), filepath.Join(t.TempDir(), "others")
	for _, dir := range []string{secrets, others} {
		wantResult(t, runIn(t, "", "secrets", "create", dir), exitDone, "client.json", "made")
	}
	hub, err := broker.StartHub(broker.HubConfig{Dir: t.TempDir(), Homes: 1,
		TLS: broker.TLS{Cert: filepath.Join(secrets, "broker.crt"), Key: filepath.Join(secrets, "broker.key"), CA: filepath.Join(secrets, "ca.crt")},
		Auth: func() broker.Auth {
			a, err := broker.ReadAuth(filepath.Join(secrets, "hub.json"), broker.HubUsers...)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	nc, err := hub.Dialer().ConnectFront("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	server, err := bus.NewServer(nc, "test", "0.0.0")
	if err != nil {
		t.Fatal(err)
	}
	reply(&system{t: t, nc: nc, bus: server}, bus.ListThings, &v1.ListThingsReply{Things: []*v1.ThingRow{{Name: "press-07"}}})

	url, ca, creds := hub.ClientURL(), filepath.Join(secrets, "ca.crt"), filepath.Join(secrets, "client.json")
	for _, c := range []struct {
		what   string
		args   []string
		status int
		says   string
	}{
		{"all that is needed", []string{"--server", url, "--tls-ca", ca, "--creds", creds}, exitDone, "press-07"},
		{"the first of several nodes is away", []string{"--server", "nats://127.0.0.1:1," + url, "--tls-ca", ca, "--creds", creds}, exitDone, "press-07"},
		{"the file of every password", []string{"--server", url, "--tls-ca", ca, "--creds", filepath.Join(secrets, "hub.json")}, exitDone, "press-07"},
		{"no password", []string{"--server", url, "--tls-ca", ca}, exitUnavailable, "--creds"},
		{"another's password", []string{"--server", url, "--tls-ca", ca, "--creds", filepath.Join(others, "client.json")}, exitUnavailable, "--creds"},
		{"nobody is trusted", []string{"--server", url, "--creds", creds}, exitUnavailable, "--tls-ca"},
		{"another is trusted", []string{"--server", url, "--tls-ca", filepath.Join(others, "ca.crt"), "--creds", creds}, exitUnavailable, "--tls-ca"},
		{"a file of other passwords", []string{"--server", url, "--tls-ca", ca, "--creds", filepath.Join(secrets, "leaf.json")}, exitUsage, `"client"`},
		{"no such file", []string{"--server", url, "--tls-ca", ca, "--creds", filepath.Join(secrets, "none")}, exitUsage, "--creds"},
		{"no certificate", []string{"--server", url, "--tls-ca", creds, "--creds", creds}, exitUsage, "--tls-ca"},
	} {
		r := runIn(t, "", append([]string{"thing", "list"}, c.args...)...)
		if r.status != c.status || !strings.Contains(r.out+r.err, c.says) {
			t.Errorf("%s: exit status %d, want %d and %q\n%s%s", c.what, r.status, c.status, c.says, r.out, r.err)
		}
	}
	t.Setenv("DROVER_SERVER", url)
	t.Setenv("DROVER_CREDS", creds)
	t.Setenv("DROVER_TLS_CA", ca)
	wantResult(t, runIn(t, "", "thing", "list"), exitDone, "press-07")
}

func TestTLSIsNotAskedOfWhoDoesNotSpeakIt(t *testing.T) {
	s := newSystem(t)
	secrets := filepath.Join(t.TempDir(), "secrets")
	wantResult(t, runIn(t, "", "secrets", "create", secrets), exitDone)
	s.want(s.run("thing", "list", "--tls-ca", filepath.Join(secrets, "ca.crt")), exitUnavailable, "does not speak TLS")
}
