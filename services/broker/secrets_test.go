package broker

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// contentsOf are the files of a folder, by name.
func contentsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(text)
	}
	return files
}

func createSecrets(t *testing.T, hosts ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "secrets")
	if _, err := CreateSecrets(dir, hosts); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSecretsAreMadeOnceAndKeptFromOthers(t *testing.T) {
	dir := createSecrets(t, "hub-1", "192.0.2.7")
	before := contentsOf(t, dir)
	if len(before) != 8 {
		t.Errorf("it holds %d files", len(before))
	}
	for name := range before {
		info, err := os.Stat(filepath.Join(dir, name))
		if mode := info.Mode().Perm(); err != nil || mode != 0o600 && name != "ca.crt" {
			t.Errorf("%s: mode %o, %v", name, mode, err)
		}
	}
	files, err := CreateSecrets(dir, []string{"hub-1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Made || before[f.Name] == "" {
			t.Errorf("the second time: %+v", f)
		}
	}
	if after := contentsOf(t, dir); !mapsEqual(before, after) {
		t.Error("the second time changed a file")
	}
	if _, err := CreateSecrets(dir, []string{"hub-2"}); err == nil || !strings.Contains(err.Error(), "hub-2") || !strings.Contains(err.Error(), "renew") {
		t.Errorf("a host that the certificate lacks: %v", err)
	}
	if _, err := CreateSecrets(t.TempDir(), []string{`x"y`}); err == nil {
		t.Error("a host that is none was let in")
	}
}

func mapsEqual(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

func TestEachFileHoldsWhatItsReaderNeedsAndNoMore(t *testing.T) {
	dir := createSecrets(t)
	hub, err := ReadAuth(filepath.Join(dir, "hub.json"), HubUsers...)
	if err != nil {
		t.Fatal(err)
	}
	for name, users := range map[string][]string{"service.json": ServiceUsers, "leaf.json": LeafUsers, "client.json": ClientUsers} {
		a, err := ReadAuth(filepath.Join(dir, name), users...)
		if err != nil {
			t.Error(err)
		}
		for user, password := range a.users() {
			want := ""
			if slices.Contains(users, user) {
				want = *hub.users()[user]
			}
			if *password != want {
				t.Errorf("%s: the password of %s is %q, want %q", name, user, *password, want)
			}
		}
		for _, user := range HubUsers {
			if slices.Contains(users, user) {
				continue
			}
			if _, err := ReadAuth(filepath.Join(dir, name), user); err == nil || !strings.Contains(err.Error(), `"`+user+`"`) {
				t.Errorf("%s is not named as missing in %s: %v", user, name, err)
			}
		}
	}
}

// A crash leaves some of the files; what is lost is not made up in a way that does not fit the rest.
func TestAnUnfinishedFolderIsFinishedAndAnInconsistentOneRefused(t *testing.T) {
	for _, c := range []struct {
		lost []string
		why  string // of the refusal; empty: the rest is made
	}{
		{[]string{"service.json"}, ""}, {[]string{"leaf.json", "client.json"}, ""}, {[]string{"broker.crt"}, ""}, {[]string{"broker.crt", "broker.key"}, ""},
		{[]string{"ca.crt", "ca.key", "broker.crt", "broker.key"}, ""},
		{[]string{"hub.json"}, "hub.json"}, {[]string{"ca.key"}, "ca.key"}, {[]string{"ca.crt"}, "ca.crt"},
	} {
		dir := createSecrets(t)
		before := contentsOf(t, dir)
		for _, name := range c.lost {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		_, err := CreateSecrets(dir, nil)
		after := contentsOf(t, dir)
		if c.why != "" {
			if err == nil || !strings.Contains(err.Error(), c.why) || len(after) != len(before)-1 {
				t.Errorf("without %v: %v, and %d files", c.lost, err, len(after))
			}
			continue
		}
		if err != nil {
			t.Errorf("without %v: %v", c.lost, err)
		}
		for name, text := range before {
			same := after[name] == text
			if !slices.Contains(c.lost, name) && !same && name != "broker.key" || strings.HasSuffix(name, ".json") && !same {
				t.Errorf("without %v: %s changed", c.lost, name)
			}
		}
		verify(t, dir, "localhost")
	}
}

// editAuth changes one file of passwords.
func editAuth(t *testing.T, file string, edit func(*Auth)) {
	t.Helper()
	a, err := ReadAuth(file)
	if err != nil {
		t.Fatal(err)
	}
	edit(&a)
	if err := a.write(file); err != nil {
		t.Fatal(err)
	}
}

func TestAFolderOfAnEarlierVersionIsCompleted(t *testing.T) {
	dir := createSecrets(t)
	earlier := func(a *Auth) { a.HTTP, a.Seal = "", "" }
	for _, name := range []string{"hub.json", "service.json"} {
		editAuth(t, filepath.Join(dir, name), earlier)
	}
	before := contentsOf(t, dir)
	old, err := ReadAuth(filepath.Join(dir, "hub.json"))
	if err != nil {
		t.Fatal(err)
	}
	// One file of them differs: nothing is written.
	editAuth(t, filepath.Join(dir, "leaf.json"), func(a *Auth) { a.Leaf = "other" })
	if _, err := CreateSecrets(dir, nil); err == nil || !strings.Contains(err.Error(), "leaf.json") {
		t.Errorf("a leaf.json of another hub: %v", err)
	}
	editAuth(t, filepath.Join(dir, "leaf.json"), func(a *Auth) { a.Leaf = old.Leaf })
	if !mapsEqual(before, contentsOf(t, dir)) {
		t.Error("a refused folder was changed")
	}

	files, err := CreateSecrets(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if want := f.Name == "hub.json" || f.Name == "service.json"; f.Made || f.Completed != want {
			t.Errorf("%+v", f)
		}
	}
	hub, err := ReadAuth(filepath.Join(dir, "hub.json"), HubUsers...)
	if err != nil {
		t.Fatal(err)
	}
	service, err := ReadAuth(filepath.Join(dir, "service.json"), ServiceUsers...)
	if err != nil || service != hub.only(ServiceUsers) {
		t.Errorf("service.json does not fit hub.json: %v", err)
	}
	if earlier(&hub); hub != old {
		t.Error("a password that was there changed")
	}
	completed := contentsOf(t, dir)
	if _, err := CreateSecrets(dir, nil); err != nil || !mapsEqual(completed, contentsOf(t, dir)) {
		t.Errorf("the second time changed a file, or: %v", err)
	}
}

func TestTheHubCompletesThePasswordsOfItsFolder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "auth")
	if err := (Auth{Service: "kept"}).write(file); err != nil {
		t.Fatal(err)
	}
	first, err := openAuth(dir)
	if err != nil || first.Service != "kept" {
		t.Fatalf("%q, %v", first.Service, err)
	}
	if stored, err := ReadAuth(file, HubUsers...); err != nil || stored != first {
		t.Errorf("what it drew is not stored: %v", err)
	}
	if len(first.Seal)*5 < 256 {
		t.Errorf("the seal has %d letters of 5 bits", len(first.Seal))
	}
	if again, err := openAuth(dir); err != nil || again != first {
		t.Errorf("it drew again: %v", err)
	}
}

// verify checks that the brokers' certificate is the CA's, for a host, and both ends of a connection.
func verify(t *testing.T, dir, host string) *x509.Certificate {
	t.Helper()
	certificate, err := readCertificate(filepath.Join(dir, "broker.crt"))
	if err != nil {
		t.Fatal(err)
	}
	trust, err := ReadCA(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := certificate.Verify(x509.VerifyOptions{DNSName: host, Roots: trust.RootCAs, KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if err := (TLS{Cert: filepath.Join(dir, "broker.crt"), Key: filepath.Join(dir, "broker.key")}).check(); err != nil {
		t.Error(err)
	}
	return certificate
}

func TestTheCertificateIsForItsHostsAndIsRenewed(t *testing.T) {
	dir := createSecrets(t, "hub-1", "192.0.2.7")
	for _, host := range []string{"hub-1", "192.0.2.7", "localhost", "127.0.0.1", "::1"} {
		verify(t, dir, host)
	}
	before, files := verify(t, dir, "hub-1"), contentsOf(t, dir)
	if err := before.VerifyHostname("hub-2"); err == nil {
		t.Error("it is for hub-2")
	}
	until, err := RenewCertificate(dir, []string{"hub-2"})
	if err != nil {
		t.Fatal(err)
	}
	if life := time.Until(until); life < certificateLife-time.Hour || life > certificateLife {
		t.Errorf("the new one lives %v", life)
	}
	for _, host := range []string{"hub-1", "hub-2", "192.0.2.7", "localhost", "127.0.0.1", "::1"} {
		if after := verify(t, dir, host); after.SerialNumber.Cmp(before.SerialNumber) == 0 {
			t.Error("it is the same certificate")
		}
	}
	for name, text := range contentsOf(t, dir) {
		if changed := text != files[name]; changed != strings.HasPrefix(name, "broker.") {
			t.Errorf("%s: changed %v", name, changed)
		}
	}
	if _, err := RenewCertificate(t.TempDir(), nil); err == nil {
		t.Error("renewed where nothing is")
	}
}
